"""What a graph's manifest says of it is obeyed by evaluation, prediction and serving alike (faults.md, labels)."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from harness import api
from harness.artifacts.run import read_run
from harness.artifacts.store import Artifact, ArtifactStore, read_artifact
from harness.benchmark import finetunes, tasks
from harness.core.errors import ArtifactError, EndpointError
from harness.core.files import file_sha256
from harness.evaluation.workload import Job, group
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.serving.repository.config import Serving
from harness.serving.repository.proof import check_answer, stored_answer
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import text_model

#: Two sentences of each row; the toy tokenizer has a piece for each letter.
TEXTS = [
    (f"{first}{second} {place}", f"{second}{first}x")
    for place, (first, second) in enumerate(zip("abcdefghijkl", "zyxwvutsrqpo", strict=True))
]
LABELS = ("contradiction", "entailment", "neutral")
#: New place -> old place of each output.
MOVED = [2, 0, 1]


@pytest.fixture
def home(tmp_path: Path, graph_of: Callable[..., Artifact], tiny_graph: Callable[..., bytes], write: Any) -> Path:
    """A workspace with a published graph of MNLI, and XNLI in two languages whose gold is what the graph says."""
    signature = finetunes.load("mnli").head.signature(8)
    artifact = change(graph_of("mnli", hidden=8, graph=tiny_graph(signature)), labels=LABELS)
    publish_text(artifact, tmp_path)
    write("xnli/test-en.tsv", "".join(f"{first}\t{second}\tneutral\n" for first, second in TEXTS))
    said = answers(tmp_path)
    for code in ("en", "ru"):
        rows = [f"{first}\t{second}\t{label}\n" for (first, second), label in zip(TEXTS, said, strict=True)]
        write(f"xnli/test-{code}.tsv", "".join(rows))
    assert len(set(said)) > 1
    return tmp_path


def publish_text(artifact: Artifact, root: Path) -> int:
    repository = root / "model_repository"
    return publish(artifact, repository, Serving(threads=1), probe_ids=[0, 5, 6, 7, 2], text=text_model)


def change(artifact: Artifact, *, labels: Any = None, **manifest: Any) -> Artifact:
    """Write other values into a manifest, as an exporter would have, with the digest of the graph that is there."""
    path = artifact.directory / "manifest.json"
    value = json.loads(path.read_text(encoding="utf-8")) | manifest
    value["graph_sha256"] = file_sha256(artifact.graph)
    if labels is not None:
        value["head"] = {"kind": "SequenceClassification", "labels": list(labels)}
    path.write_text(json.dumps(value), encoding="utf-8")
    return read_artifact(artifact.directory)


def permute(artifact: Artifact, order: list[int]) -> None:
    """Put the columns of the last product into another order: output `order[n]` becomes output n."""
    model = onnx.load(artifact.graph)
    (weights,) = [each for each in model.graph.initializer if each.name == "w_logits"]
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights)[:, order].copy(), "w_logits"))
    artifact.graph.unlink()  # the published graph is a link to this file
    onnx.save(model, artifact.graph)


def artifact_of(home: Path) -> Artifact:
    return read_artifact(home / "artifacts/tiny/mnli/fp32")


def answers(home: Path) -> list[str]:
    questions = [{"text": first, "text_pair": second} for first, second in TEXTS]
    return [str(answer["label"]) for answer in api.predict("tiny", "xnli", *questions, home=home)]


def score(home: Path, endpoint: str = "onnx") -> float | None:
    run = api.evaluate("tiny", "xnli", languages=["en", "ru"], endpoint=endpoint, data=home / "data", home=home)
    return run.scores["xnli"].score


def test_faults_labels_outputs_and_names_permuted_alike_are_right_everywhere(home: Path) -> None:
    """`predict` was right, `eval` had 8.9 %."""
    said = answers(home)
    assert score(home) == 100
    permute(artifact_of(home), MOVED)
    moved = change(artifact_of(home), labels=[LABELS[place] for place in MOVED])
    assert answers(home) == said
    assert score(home) == 100
    publish_text(moved, home)
    text = json.loads((home / "model_repository/tiny-mnli-fp32_text/2/text.json").read_text(encoding="utf-8"))
    assert text["postprocess"]["labels"] == [LABELS[place] for place in MOVED]
    assert answers(home) == said
    assert score(home) == 100


@pytest.mark.parametrize("order", [MOVED, [1, 0, 2], [2, 1, 0]], ids=str)
def test_faults_labels_outputs_permuted_without_names_are_refused(home: Path, order: list[int]) -> None:
    """The same checkpoint cannot answer its known question otherwise."""
    permute(artifact_of(home), order)
    change(artifact_of(home))
    wanted = (
        r"graph 'tiny-mnli-fp32' does not give its known answer, which is stored in .*1/known_answer.json: output "
        r"'logits' differs by .* \(onnxruntime .*\); its outputs are not those of contradiction, entailment, neutral "
        r"in this order; export it again with `harness export --model tiny --force`"
    )
    with pytest.raises(EndpointError, match=wanted):
        score(home)
    with pytest.raises(EndpointError, match=wanted):
        answers(home)


def test_faults_labels_names_permuted_without_outputs_are_refused(home: Path) -> None:
    change(artifact_of(home), labels=[LABELS[place] for place in MOVED])
    with pytest.raises(EndpointError, match="does not give its known answer"):
        score(home)


def test_faults_labels_another_network_under_the_same_checkpoint_is_refused(
    home: Path, tiny_graph: Callable[..., bytes]
) -> None:
    artifact = artifact_of(home)
    artifact.graph.unlink()
    artifact.graph.write_bytes(tiny_graph(artifact.signature, seed=5))
    change(artifact)
    with pytest.raises(EndpointError, match="does not give its known answer"):
        score(home)


def test_graph_of_another_checkpoint_is_judged_by_its_own_version(home: Path, tiny_graph: Callable[..., bytes]) -> None:
    """A model that was trained again and is not published yet has no known answer, and needs none."""
    artifact = artifact_of(home)
    artifact.graph.unlink()
    artifact.graph.write_bytes(tiny_graph(artifact.signature, seed=5))
    reference = json.loads((artifact.directory / "manifest.json").read_text(encoding="utf-8"))["checkpoint"]
    changed = change(artifact, checkpoint={**reference, "digest": "d" * 64})
    assert stored_answer(changed, home / "model_repository") is None
    assert score(home) is not None


@pytest.mark.triton
def test_faults_labels_a_server_with_a_permuted_graph_is_refused(home: Path) -> None:
    """Its config says the digest of the graph that was published, its folder has another one."""
    from harness.serving.server.local import LocalTriton

    artifact, name = artifact_of(home), "tiny-mnli-fp32"
    original = artifact.graph.read_bytes()
    with LocalTriton(home / "model_repository", [name], log=home / "log") as server:
        assert score(home, server.uri) == 100
    (home / "known").write_bytes((home / f"model_repository/{name}/1/known_answer.json").read_bytes())
    permute(artifact, MOVED)
    served = home / f"served/{name}"
    served.parent.mkdir()
    (home / f"model_repository/{name}").rename(served)
    (served / "1/model.onnx").unlink()
    (served / "1/model.onnx").write_bytes(artifact.graph.read_bytes())
    with OnnxEndpoint(served / "1/model.onnx") as wrong:
        rows = json.loads((home / "known").read_text(encoding="utf-8"))
        found = wrong.infer({key: np.asarray(value) for key, value in rows["inputs"].items()})
    rows["outputs"] = {key: value.tolist() for key, value in found.items()}
    (served / "1/known_answer.json").write_text(json.dumps(rows), encoding="utf-8")
    artifact.graph.unlink()
    artifact.graph.write_bytes(original)
    publish_text(artifact, home)
    with LocalTriton(home / "served", [name], log=home / "log") as server:
        for path in (home / "runs").iterdir():
            path.rename(home / f"old-{path.name}")
        with pytest.raises(EndpointError, match=r"does not give its known answer.*\(Triton at 127.0.0.1:\d+\)"):
            score(home, server.uri)


def test_lossy_graph_may_differ_by_what_processors_differ(home: Path) -> None:
    artifact = artifact_of(home)
    lossy = replace(artifact, manifest=msgspec.structs.replace(artifact.manifest, variant="int8"))
    publish(lossy, home / "model_repository", Serving(threads=1), probe_ids=[0, 5, 6, 7, 2])
    path = home / "model_repository/tiny-mnli-int8/1/known_answer.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    for shift, refused in ((0.02, False), (1.0, True)):
        moved = value | {"outputs": {"logits": [[each + shift for each in value["outputs"]["logits"][0]]]}}
        path.write_text(json.dumps(moved), encoding="utf-8")
        with OnnxEndpoint.of(lossy) as endpoint:
            if refused:
                with pytest.raises(EndpointError, match=r"allowed 0\.05"):
                    check_answer(endpoint, lossy, home / "model_repository")
            else:
                check_answer(endpoint, lossy, home / "model_repository")


def test_longest_row_of_the_manifest_is_obeyed(home: Path) -> None:
    """Rows of twelve tokens: evaluation cuts as prediction does, and both say that something was cut."""
    change(artifact_of(home), max_tokens=12)
    questions = [{"text": "a" * 30, "text_pair": "b" * 30}]
    (answer,) = api.predict("tiny", "xnli", *questions, home=home)
    assert answer["truncated"]
    assert score(home) is not None
    (workload,) = group([Job(tasks.load("xnli"), "en", "test")], ArtifactStore(home / "artifacts"), "tiny", "fp32")
    assert workload.jobs[0].task.finetune.featurizer.max_tokens == 12


def test_manifest_with_labels_of_another_task_is_refused(home: Path) -> None:
    change(artifact_of(home), labels=["yes", "no", "maybe"])
    with pytest.raises(ArtifactError, match="has the labels yes, no, maybe, task 'xnli' has"):
        score(home)


def test_prompt_pooling_and_layer_of_the_manifest_are_obeyed(
    tmp_path: Path, graph_of: Callable[..., Artifact], tiny_graph: Callable[..., bytes], write: Any
) -> None:
    """The vector of `predict` is that of the row with the prompt, and the score's protocol line names all three."""
    signature = finetunes.load("encoder").head.signature(8)
    artifact = graph_of("encoder", hidden=8, graph=tiny_graph(signature))
    document = json.loads((artifact.directory / "manifest.json").read_text(encoding="utf-8"))
    document["checkpoint"]["account"]["prompts"] = {"query": "qu", "candidate": "pa"}
    document |= {"head": {"kind": "SentenceEmbedding", "pooling": "cls"}, "retrieval_layer": 3, "layers": 12}
    document["max_tokens"] = 6
    artifact = change(artifact, **document)
    for suffix, side in (("rus", 1), ("eng", 0)):
        write(f"tatoeba/tatoeba.rus-eng.{suffix}", "".join(f"{text[side]}\n" for text in TEXTS))
    (answer,) = api.predict("tiny", "tatoeba", "abcdef", home=tmp_path)
    with OnnxEndpoint.of(artifact) as graph:
        ids = np.array([[0, 20, 24, 4, 5, 2]])
        right = graph.infer({"input_ids": ids, "attention_mask": np.ones_like(ids)})["embedding"][0]
    np.testing.assert_allclose(answer["embedding"], right, atol=1e-5)
    assert answer["truncated"]
    run = api.evaluate(
        "tiny", "tatoeba", languages=["ru"], endpoint="onnx", data=tmp_path / "data", home=tmp_path
    )  # fmt: skip
    assert read_run(run.path).tasks["tatoeba"].representation == (
        "hidden state 3 of 12, pooling cls, rows of at most 6 tokens, prompt 'qu'"
    )


def test_longest_row_of_the_manifest_is_published_with_the_graph(home: Path) -> None:
    """So that the served model refuses a row that is too long, in tokens, before ONNX Runtime fails on it."""
    publish_text(change(artifact_of(home), max_tokens=12), home)
    config = (home / "model_repository/tiny-mnli-fp32/config.pbtxt").read_text(encoding="utf-8")
    assert 'key: "max_tokens" value: { string_value: "12" }' in config
    text = json.loads((home / "model_repository/tiny-mnli-fp32_text/1/text.json").read_text(encoding="utf-8"))
    assert text["featurizer"]["max_tokens"] == 12
