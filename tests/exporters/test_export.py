import json
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny_checkpoints import HEADS, LAYERS, finetune, save_checkpoint, tiny_network, write_tokenizer

import exporters.export
from exporters.export import export_artifact
from exporters.variants import VARIANTS, Variant
from harness.artifacts.store import Artifact, ArtifactStore
from harness.core.errors import ArtifactError, CheckpointError, UsageError
from harness.core.files import replace_folder
from harness.core.heads import describe
from harness.core.records import to_json
from harness.core.tensors import pad
from harness.inference.endpoints.onnx import OnnxEndpoint
from training.checkpoint import read_checkpoint, write_checkpoint


@pytest.fixture(scope="module")
def store(checkpoints, probes, tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    """Return the artifacts of every head, exported once, with warnings as errors."""
    store = ArtifactStore(tmp_path_factory.mktemp("artifacts"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, directory in checkpoints.items():
            export_artifact(directory, finetune(name), "fp32", store.directory("tiny", name, "fp32"), probes, ())
    return store


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def nodes(artifact: Artifact) -> int:
    return len(onnx.load(artifact.graph).graph.node)


@pytest.mark.parametrize("name", HEADS)
def test_graph_has_exactly_the_heads_signature(name: str, store: ArtifactStore) -> None:
    artifact = store.find("tiny", name, "fp32")

    with OnnxEndpoint(artifact.graph) as endpoint:
        assert endpoint.signature == artifact.signature == HEADS[name].signature(32)


@pytest.mark.parametrize("name", HEADS)
def test_artifact_is_four_files_and_no_draft(name: str, store: ArtifactStore) -> None:
    assert sorted(contents(store.root / "tiny" / name)) == [
        "fp32/gate.json",
        "fp32/manifest.json",
        "fp32/model.onnx",
        "fp32/tokenizer.json",
    ]


def test_batch_neighbours_and_extra_padding_change_nothing(store: ArtifactStore, probes) -> None:
    with OnnxEndpoint(store.find("tiny", "squad", "fp32").graph) as endpoint:
        alone = endpoint.infer(pad(probes[1:2], 1))["start_logits"][0]
        wide = endpoint.infer(pad(probes[:3], 1, width=40))["start_logits"][1]

    np.testing.assert_allclose(wide[: len(alone)], alone, atol=1e-5)


def test_manifest_describes_the_graph(store: ArtifactStore, checkpoints, probes) -> None:
    manifest = store.find("tiny", "encoder", "fp32").manifest
    checkpoint = read_checkpoint(checkpoints["encoder"])

    assert manifest.checkpoint.digest == checkpoint.digest
    assert to_json(manifest.checkpoint.metadata) == to_json(checkpoint.metadata)
    assert to_json(manifest.head) == describe(HEADS["encoder"])
    assert (manifest.vocabulary, manifest.hidden, manifest.layers) == (200, 32, LAYERS)
    assert (manifest.retrieval_layer, manifest.max_tokens) == (1, 64)
    assert (manifest.opset, manifest.ir_version) == (18, 8)
    assert manifest.probe == probes[2].tolist()
    assert manifest.parity["rows"] == len(probes)
    assert {"torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime"} <= manifest.packages.keys()


def test_bulky_parts_stay_with_the_checkpoint(tmp_path: Path, probes) -> None:
    losses = [0.5] * 5_000
    directory = save_checkpoint(tmp_path / "checkpoint", "copa", metadata={"losses": losses})

    artifact = export_artifact(directory, finetune("copa"), "fp32", tmp_path / "out", probes, ())

    assert artifact.checkpoint.omitted == ["losses"]
    assert '"losses": [' not in (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")


def test_what_a_model_has_seen_is_in_the_manifest_however_long_it_is(tmp_path: Path, probes) -> None:
    seen = {family: {f"l{number}": 128_000 for number in range(110)} for family in ("inference", "tagging", "reading")}
    directory = save_checkpoint(tmp_path / "checkpoint", "copa", metadata={"seen": seen})

    artifact = export_artifact(directory, finetune("copa"), "fp32", tmp_path / "out", probes, ())

    assert (artifact.checkpoint.seen, artifact.checkpoint.omitted) == (seen, [])


def test_cut_graph_has_fewer_nodes(store: ArtifactStore, tmp_path: Path, probes) -> None:
    directory = save_checkpoint(tmp_path / "full", "encoder", metadata={"retrieval_layer": LAYERS})

    full = export_artifact(directory, finetune("encoder"), "fp32", tmp_path / "out", probes, ())

    assert nodes(store.find("tiny", "encoder", "fp32")) < nodes(full) / 2


def test_export_says_nothing(checkpoints, probes, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog) -> None:
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        export_artifact(checkpoints["mnli"], finetune("mnli"), "fp32", tmp_path / "out", probes, ())

    assert [str(warning.message) for warning in caught] == []
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


def test_unknown_variant_names_the_nearest(checkpoints, probes, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no variant named 'fp23', did you mean 'fp32'"):
        export_artifact(checkpoints["mnli"], finetune("mnli"), "fp23", tmp_path / "out", probes, ())


def test_checkpoint_of_another_finetune_is_refused(checkpoints, probes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="was trained for 'mnli', 'paws' is wanted"):
        export_artifact(checkpoints["mnli"], finetune("paws", HEADS["mnli"]), "fp32", tmp_path / "out", probes, ())


def test_foreign_tokenizer_is_refused(tmp_path: Path, probes) -> None:
    def save(draft: Path) -> None:
        tiny_network("copa").save_pretrained(draft)
        write_tokenizer(draft / "tokenizer.json", pad="[PAD]")
        text = (draft / "tokenizer.json").read_text().replace('"[PAD]":1', '"w":1')
        words = json.loads(text)
        words["model"]["vocab"] |= {"w1": 1, "[PAD]": 7}
        (draft / "tokenizer.json").write_text(json.dumps(words))

    metadata = {
        "phase": "target",
        "model": "tiny",
        "parents": {},
        "seen": {},
        "finetune": "copa",
        "head": describe(HEADS["copa"]),
    }
    directory = write_checkpoint(tmp_path / "copa", metadata, save).directory

    with pytest.raises(CheckpointError, match=r"its padding has the id 7, pad_token_id in config\.json is 1"):
        export_artifact(directory, finetune("copa"), "fp32", tmp_path / "out", probes, ())


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        pytest.param([0, 200, 2], "largest token id .* is 200, .* wants below 200", id="vocabulary"),
        pytest.param([0] * 65, "longest row .* is 65, .* wants at most 64 tokens", id="positions"),
    ],
)
def test_probe_that_the_network_cannot_read_is_refused(row, complaint, checkpoints, probes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", [*probes, np.array(row)], ())


@pytest.mark.parametrize("place", ["write_graph", "parity", "replace_folder"])
def test_failing_export_leaves_the_old_artifact(place: str, checkpoints, probes, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "tiny" / "copa" / "fp32"
    export_artifact(checkpoints["copa"], finetune("copa"), "fp32", out, probes, ())
    before = contents(tmp_path)

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporters.export, place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_artifact(checkpoints["copa"], finetune("copa"), "fp32", out, probes, (), force=True)

    assert contents(tmp_path) == before


def test_old_artifact_comes_back_when_the_new_one_cannot_be_put(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()

    with pytest.raises(FileNotFoundError):
        replace_folder(out, tmp_path / "missing", tmp_path / "retired")

    assert [path.name for path in out.iterdir()] == ["old"]


def test_variant_whose_steps_change_the_signature_is_refused(checkpoints, probes, tmp_path: Path, monkeypatch) -> None:
    def rename(before: Path, after: Path, loaded: object) -> None:
        graph = onnx.load(before)
        graph.graph.node.append(onnx.helper.make_node("Identity", ["logits"], ["scores"]))
        graph.graph.output[0].name = "scores"
        onnx.save(graph, after)

    renamed = Variant(name="renamed", purpose="", steps=(rename,), tolerance=VARIANTS["fp32"].tolerance)
    monkeypatch.setitem(VARIANTS, "renamed", renamed)

    with pytest.raises(ArtifactError, match=r"steps of renamed changed the graph to scores .* nothing was published"):
        export_artifact(checkpoints["copa"], finetune("copa"), "renamed", tmp_path / "out", probes, ())
    assert list(tmp_path.iterdir()) == []


def test_trace_that_drifted_is_refused(checkpoints, probes, tmp_path: Path, monkeypatch) -> None:
    write = exporters.export.write_graph

    def shifted(module: object, signature: object, path: Path) -> None:
        write(module, signature, path)
        graph = onnx.load(path)
        bias = next(weights for weights in graph.graph.initializer if weights.name.endswith("classifier.bias"))
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.5), bias.name))
        onnx.save(graph, path)

    monkeypatch.setattr(exporters.export, "write_graph", shifted)

    with pytest.raises(ArtifactError, match=r"by 0\.5 in logits .* allowed 0\.0001; nothing was written"):
        export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, ())
    assert list(tmp_path.iterdir()) == []


def test_second_export_only_returns_what_is_there(checkpoints, probes, tmp_path: Path, monkeypatch) -> None:
    first = export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, ())
    monkeypatch.delattr(exporters.export, "load_module")

    assert export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, ()) == first


def test_new_checkpoint_is_exported_over_the_old(checkpoints, probes, tmp_path: Path) -> None:
    old = export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, ())
    directory = save_checkpoint(tmp_path / "checkpoint", "copa", seed=1)

    new = export_artifact(directory, finetune("copa"), "fp32", tmp_path / "out", probes, ())

    assert new.graph_sha256 != old.graph_sha256


def test_forced_export_gives_the_same_bytes(store: ArtifactStore, checkpoints, probes, tmp_path: Path) -> None:
    again = export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, (), force=True)

    assert again.graph_sha256 == store.find("tiny", "copa", "fp32").graph_sha256


def test_edited_verdict_is_written_again(checkpoints, probes, tmp_path: Path) -> None:
    first = export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, ())
    verdict = first.directory / "gate.json"
    whole = verdict.read_bytes()
    verdict.write_bytes(whole.replace(b'"passed": true', b'"passed": false'))

    export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, ())

    assert verdict.read_bytes() == whole


def test_damaged_artifact_is_exported_again(checkpoints, probes, tmp_path: Path) -> None:
    first = export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, ())
    whole = first.graph.read_bytes()
    first.graph.write_bytes(whole[:-1])

    export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, ())

    assert first.graph.read_bytes() == whole


def test_what_a_killed_export_left_is_cleared_and_its_old_artifact_put_back(
    checkpoints, probes, tmp_path: Path
) -> None:
    out = tmp_path / "copa" / "fp32"
    first = export_artifact(checkpoints["copa"], finetune("copa"), "fp32", out, probes, ())
    (out.parent / ".fp32-left").mkdir()
    out.rename(out.parent / ".fp32-left" / "retired")
    (out.parent / ".fp32-other" / "draft").mkdir(parents=True)
    (out.parent / ".int8-mine").mkdir()

    export_artifact(checkpoints["copa"], finetune("copa"), "fp32", out, probes, (), force=True)

    assert sorted(path.name for path in out.parent.iterdir()) == [".int8-mine", "fp32"]
    assert first.graph.is_file()
