import dataclasses
import json
from collections.abc import Callable

import msgspec
import pytest

from harness.artifacts.checkpoint import HeadRecord
from harness.artifacts.store import Artifact
from harness.benchmark.finetunes.ccg import FINETUNE as CCG
from harness.core.errors import ArtifactError
from harness.serving.repository.config import Serving
from harness.serving.repository.text_model import declaration, text_model
from harness.text.declaration import TextDeclaration

Make = Callable[..., Artifact]
SERVING = Serving(threads=1)


def test_version_folder_holds_the_tokenizer_and_what_json_reads(graph_of: Make) -> None:
    artifact = graph_of("squad")
    model = text_model(artifact, 4, SERVING)
    assert model.name == "tiny-squad-fp32_text"
    assert model.files.keys() == {"tokenizer.json", "text.json"}
    assert model.files["tokenizer.json"] == artifact.tokenizer.read_bytes()
    declared = json.loads(model.files["text.json"])
    assert declared["graph"] == artifact.name
    assert declared["featurizer"] == {"kind": "WindowFeaturizer", "max_tokens": 384, "stride": 128, "max_question": 64}
    assert declared["postprocess"]["kind"] == "BestSpan"
    assert TextDeclaration.from_json(declared).signature == artifact.signature


def test_config_selects_the_version_and_carries_the_digests(graph_of: Make) -> None:
    artifact = graph_of("mnli")
    config = text_model(artifact, 4, SERVING).config
    assert "versions: [ 4 ]" in config
    assert artifact.graph_sha256 in config
    assert artifact.tokenizer_sha256 in config


@pytest.mark.parametrize(
    ("finetune", "inputs"),
    [("copa", {"text": 1, "question": 1, "choices": 2}), ("udpos", {"text": 1}), ("mewslix", {"text": 1, "side": 1})],
)
def test_question_fills_every_input(finetune: str, inputs: dict[str, int], graph_of: Make) -> None:
    question = text_model(graph_of(finetune), 1, SERVING).question
    assert {name: len(texts) for name, texts in question.items()} == inputs


def test_labels_are_those_the_graph_was_trained_with(graph_of: Make) -> None:
    artifact = graph_of("ccg")
    head = HeadRecord(kind="TokenClassification", labels=["N", "NP"])
    artifact = dataclasses.replace(artifact, manifest=msgspec.structs.replace(artifact.manifest, head=head))
    declared = declaration(artifact)
    assert declared.featurizer == dataclasses.replace(CCG.featurizer, tags=("N", "NP"))
    assert declared.postprocess == dataclasses.replace(CCG.postprocess, tags=("N", "NP"))


def test_vectors_are_told_as_they_are(graph_of: Make) -> None:
    assert declaration(graph_of("lareqa")).postprocess is None


def test_graph_that_no_finetune_declares_is_refused(graph_of: Make) -> None:
    made = graph_of("mnli")
    artifact = dataclasses.replace(made, manifest=msgspec.structs.replace(made.manifest, finetune="mnly"))
    with pytest.raises(
        ArtifactError, match="'tiny-mnly-fp32' takes no text: no finetune named 'mnly', did you mean 'mnli'"
    ):
        text_model(artifact, 1, SERVING)


def test_missing_tokenizer_is_named(graph_of: Make) -> None:
    artifact = graph_of("mnli")
    artifact.tokenizer.unlink()
    with pytest.raises(ArtifactError, match=r"tokenizer\.json cannot be read .*harness export"):
        text_model(artifact, 1, SERVING)
