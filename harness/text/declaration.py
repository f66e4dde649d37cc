"""The text.json of a served model: everything except the tokenizer that an answer depends on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from harness.benchmark.postprocessors.label import BestChoice, BestLabel
from harness.benchmark.postprocessors.span import BestSpan
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.core.errors import ArtifactError
from harness.core.features import Featurizer
from harness.core.task import Postprocessor
from harness.core.tensors import GraphSignature
from harness.text.forms import FORMS, Form

#: The only classes that a declaration can name.
_KINDS: Mapping[str, Any] = {kind.__name__: kind for kind in (*FORMS, BestLabel, BestChoice, FirstPieceTags, BestSpan)}

#: Fields that declarations of earlier versions lack: no prompt is what those versions did, and serving never keeps to
#: the official rule of decoding or of truncation where the project has a better one.
_NEWER = {"prompt", "query_prompt", "candidate_prompt", "official"}


def _described(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    assert is_dataclass(value)
    assert not isinstance(value, type)
    return {"kind": type(value).__name__, **asdict(value)}


def _built(value: Mapping[str, Any] | None) -> Any:
    if value is None:
        return None
    kind = _KINDS[value["kind"]]
    given = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items() if name != "kind"}
    known = {entry.name for entry in fields(kind)}
    if not known - _NEWER <= given.keys() <= known:
        message = f"{value['kind']} has {', '.join(given)}"
        raise ValueError(message)
    return kind(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDeclaration:
    """Everything except the tokenizer that turns texts into a graph's rows and its outputs into answers.

    It holds the featurizer with its limits as they were when the graph was scored, so that a later
    change of the finetune's declaration does not change a version that is served.
    """

    #: The served graph's name.
    graph: str
    finetune: str
    #: The head as `harness.core.heads.describe` puts it.
    head: Mapping[str, Any]
    signature: GraphSignature
    featurizer: Featurizer[Any]
    #: None where the answer is the vector itself.
    postprocess: Postprocessor[Any, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the form that text.json holds."""
        return {
            "graph": self.graph,
            "finetune": self.finetune,
            "head": dict(self.head),
            "signature": self.signature.to_json(),
            "featurizer": _described(self.featurizer),
            "postprocess": _described(self.postprocess),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "TextDeclaration":
        """Return the declaration that `to_json` wrote.

        Raises:
            ArtifactError: something is missing, or of a kind that this version of the harness lacks.
        """
        try:
            return TextDeclaration(
                graph=value["graph"],
                finetune=value["finetune"],
                head=value["head"],
                signature=GraphSignature.from_json(value["signature"]),
                featurizer=_built(value["featurizer"]),
                postprocess=_built(value["postprocess"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            message = f"a text model's declaration is damaged ({error!r}); publish it again with `harness export`"
            raise ArtifactError(message) from error

    @property
    def form(self) -> Form:
        """Return how texts are read and answers are made."""
        form: Form = FORMS[type(self.featurizer)](self.featurizer, self.postprocess)
        return form
