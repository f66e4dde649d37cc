"""The gate in front of a network that learned something: good variants pass, broken ones do not."""

import copy
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from tiny_checkpoints import HEADS, finetune, write_tokenizer
from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

from exporters import steps
from exporters.export import GateRefusal, export_artifact
from exporters.gate import Verdict, judge
from exporters.modules import Loaded, infer, load_module
from exporters.onnx import write_graph
from exporters.run import Wanted, export_model
from exporters.samples import GateSample
from exporters.variants import VARIANTS, Variant
from harness.artifacts.gate import GATE
from harness.artifacts.workspace import Workspace
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.postprocessors.label import BestLabel
from harness.core.errors import ArtifactError, UsageError
from harness.core.examples import PairExample
from harness.core.features import Feature
from harness.core.heads import describe
from harness.core.progress import Silent
from harness.core.tensors import pad
from harness.inference.endpoints.onnx import OnnxEndpoint
from training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

HEAD = HEADS["mnli"]
LABELS = ("contradiction", "entailment", "neutral")
#: The words of each language, which two scripts never share.
WORDS = {"en": range(4, 100), "ru": range(100, 196)}


class Labels:
    postprocess = BestLabel(LABELS)
    metric = Accuracy()
    headline = ("accuracy",)


def sentence(rng: np.random.Generator, language: str) -> tuple[NDArray[np.int64], int]:
    """Return words in the frame of two texts, and which of three kinds of them is the most frequent."""
    words = rng.choice(WORDS[language], size=rng.integers(5, 12))
    kinds = np.bincount(words % 3, minlength=3)
    return np.array([0, *words[:-1], 2, 2, words[-1], 2]), int(kinds.argmax())


def sample(language: str, count: int = 400) -> GateSample:
    rng = np.random.default_rng(len(language) + ord(language[0]))
    drawn = [sentence(rng, language) for _ in range(count)]
    return GateSample(
        name="kinds",
        language=language,
        examples=[PairExample(str(place), "", "", LABELS[kind]) for place, (_, kind) in enumerate(drawn)],
        features=[Feature(place, ids) for place, (ids, _) in enumerate(drawn)],
        scorer=Labels(),
        head=HEAD,
    )


SAMPLES = [sample("en"), sample("ru")]
PROBES = [feature.input_ids for feature in SAMPLES[0].features[:6]]


def network(training_steps: int) -> XLMRobertaForSequenceClassification:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    config = XLMRobertaConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=66, type_vocab_size=1, num_labels=3, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = XLMRobertaForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(training_steps):
        drawn = [sentence(rng, language) for language in WORDS for _ in range(32)]
        rows = {name: torch.from_numpy(value) for name, value in pad([ids for ids, _ in drawn], 1).items()}
        model(**rows, labels=torch.tensor([kind for _, kind in drawn])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def checkpoint(directory: Path, model: XLMRobertaForSequenceClassification) -> Checkpoint:
    def save(draft: Path) -> None:
        model.save_pretrained(draft)
        write_tokenizer(draft / "tokenizer.json")

    metadata = {
        "phase": "target",
        "model": "tiny",
        "finetune": "mnli",
        "head": describe(HEAD),
        "recipe": {"name": "tiny"},
        "parents": {},
        "seen": {},
    }
    return write_checkpoint(directory, metadata, save)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return checkpoint(tmp_path_factory.mktemp("trained") / "mnli", network(250))


@pytest.fixture(scope="module")
def loaded(trained: Checkpoint) -> Loaded:
    return load_module(trained, HEAD)


@pytest.fixture
def graph(loaded: Loaded, tmp_path: Path) -> Path:
    write_graph(loaded.module, HEAD.signature(32), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def apply(variant: str, graph: Path, loaded: Loaded) -> Path:
    for number, step in enumerate(VARIANTS[variant].steps):
        after = graph.with_name(f"{number}-{graph.name}")
        step(graph, after, loaded)
        graph = after
    return graph


def verdict(loaded: Loaded, graph: Path, variant: str, samples: Sequence[GateSample] = SAMPLES) -> Verdict:
    with OnnxEndpoint(graph) as endpoint:
        return judge(
            partial(infer, loaded.module),
            endpoint.infer,
            samples,
            pad_id=1,
            signature=HEAD.signature(32),
            decision="label",
            tolerance=VARIANTS[variant].tolerance,
        )


def edit(graph: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    model = onnx.load(graph)
    change(model.graph)
    onnx.save(model, graph)
    return graph


def replace(initializer: onnx.TensorProto, value: NDArray[np.float32]) -> None:
    initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_a_trained_model_passes(variant: str, loaded: Loaded, graph: Path) -> None:
    found = verdict(loaded, apply(variant, graph, loaded), variant)

    assert found.problems == ()
    assert list(found.scripts) == ["Latn", "Cyrl"]
    assert found.trained.above_chance
    latin = found.scripts["Latn"]
    assert (latin.examples, latin.decisions, latin.samples) == (400, 400, ["kinds en"])
    assert latin.pytorch > 60
    assert latin.drop_interval[0] <= latin.drop <= latin.drop_interval[1]


def test_a_wrong_scale_in_one_layer_is_refused(loaded: Loaded, graph: Path) -> None:
    def stretch(parts: onnx.GraphProto) -> None:
        scale = next(part for part in parts.initializer if part.name == "Attention_1_qkv_weight_scale")
        replace(scale, numpy_helper.to_array(scale) * np.float32(4))

    problems = verdict(loaded, edit(apply("int8", graph, loaded), stretch), "int8").problems

    assert any("predictions changed, allowed 2.5%" in problem for problem in problems)


def test_two_swapped_layers_are_refused(loaded: Loaded, tmp_path: Path) -> None:
    swapped = copy.deepcopy(loaded.module)
    layers = swapped.network.roberta.encoder.layer
    layers[0], layers[1] = layers[1], layers[0]
    write_graph(swapped, HEAD.signature(32), tmp_path / "model.onnx")

    exact = verdict(loaded, tmp_path / "model.onnx", "fp32").problems
    lossy = verdict(loaded, apply("int8", tmp_path / "model.onnx", loaded), "int8").problems

    assert [problem.partition(":")[0] for problem in exact] == ["Latn", "Cyrl"]
    assert all("an output differs by" in problem for problem in exact)
    assert any("predictions changed" in problem for problem in lossy)


def test_embeddings_quantised_so_that_one_script_is_hurt_are_refused_for_that_script(
    loaded: Loaded, graph: Path
) -> None:
    def coarsen(parts: onnx.GraphProto) -> None:
        table = next(part for part in parts.initializer if part.name.endswith("word_embeddings.weight"))
        values = numpy_helper.to_array(table).copy()
        rows = values[list(WORDS["ru"])]
        step = np.abs(rows).max() * 1.2
        values[list(WORDS["ru"])] = np.rint(rows / step) * step
        replace(table, values)

    problems = verdict(loaded, apply("int8", edit(graph, coarsen), loaded), "int8").problems

    assert {problem.partition(":")[0] for problem in problems} == {"Cyrl"}
    assert any("the score fell by" in problem for problem in problems)


@pytest.mark.parametrize(
    ("value", "complaint"), [(np.nan, "logits has NaN or infinity"), (0.0, "logits is the same for all 8")]
)
def test_answers_that_say_nothing_are_refused(value: float, complaint: str, loaded: Loaded, graph: Path) -> None:
    def spoil(parts: onnx.GraphProto) -> None:
        weight = next(part for part in parts.initializer if part.name.endswith("classifier.out_proj.weight"))
        replace(weight, np.full(numpy_helper.to_array(weight).shape, value, np.float32))

    (problem,) = verdict(loaded, edit(graph, spoil), "fp32").problems

    assert problem.startswith(complaint)


@pytest.mark.parametrize("training_steps", [0, 3])
def test_a_model_at_chance_cannot_vouch_for_a_lossy_graph(training_steps: int, tmp_path: Path) -> None:
    made = load_module(checkpoint(tmp_path / "mnli", network(training_steps)), HEAD)
    write_graph(made.module, HEAD.signature(32), tmp_path / "model.onnx")

    problems = verdict(made, apply("int8", tmp_path / "model.onnx", made), "int8").problems
    exact = verdict(made, tmp_path / "model.onnx", "fp32")

    assert any("no better than answers that ignore the text" in problem for problem in problems)
    assert exact.passed, "numerical equality needs no trained model"
    assert exact.trained.above_chance is False


def test_without_examples_only_numerical_equality_can_pass(loaded: Loaded, graph: Path) -> None:
    assert verdict(loaded, graph, "fp32", []).passed
    assert not verdict(loaded, apply("int8", graph, loaded), "int8", []).passed


def test_rows_scaled_by_themselves_do_not_see_their_batch(loaded: Loaded, graph: Path) -> None:
    rows = [feature.input_ids for feature in SAMPLES[0].features[:40]]

    def neighbours_matter(variant: str) -> float:
        with OnnxEndpoint(apply(variant, graph, loaded)) as endpoint:
            together = endpoint.infer(pad(rows, 1))["logits"]
            alone = np.concatenate([endpoint.infer(pad([row], 1))["logits"] for row in rows])
        return float(np.abs(together - alone).max())

    assert neighbours_matter("int8_block") < 1e-4
    assert neighbours_matter("int8") > 1e-3, "or nothing has to keep its batches"
    assert [variant.name for variant in VARIANTS.values() if variant.batch_dependent] == ["int8"]


def test_layers_whose_attention_does_not_fuse_are_refused(loaded: Loaded, graph: Path, tmp_path: Path) -> None:
    def unrecognisable(parts: onnx.GraphProto) -> None:
        softmax = next(node for node in parts.node if node.op_type == "Softmax")
        softmax.op_type = "LogSoftmax"

    with pytest.raises(ArtifactError, match="fused the attention of 2 layers of 3, 3 are right"):
        steps.fuse(edit(graph, unrecognisable), tmp_path / "fused.onnx", loaded)


def test_a_refused_graph_leaves_its_verdict_and_nothing_else(trained: Checkpoint, tmp_path: Path, monkeypatch) -> None:
    def halve_classifier(before: Path, after: Path, loaded: Loaded) -> None:
        def shift(parts: onnx.GraphProto) -> None:
            bias = next(part for part in parts.initializer if part.name.endswith("classifier.out_proj.bias"))
            replace(bias, numpy_helper.to_array(bias) + np.array([3, 0, 0], np.float32))

        after.write_bytes(before.read_bytes())
        edit(after, shift)

    broken = Variant(name="broken", purpose="", steps=(halve_classifier,), tolerance=VARIANTS["int8"].tolerance)
    monkeypatch.setitem(VARIANTS, "broken", broken)
    out = tmp_path / "mnli" / "broken"

    with pytest.raises(GateRefusal, match=r"mnli is not published in broken: Latn: .* predictions changed"):
        export_artifact(trained.directory, finetune("mnli"), "broken", out, PROBES, SAMPLES)
    verdict_file = json.loads((tmp_path / "mnli" / "broken.refused" / GATE).read_text())
    assert [path.name for path in out.parent.iterdir()] == ["broken.refused"]
    assert (verdict_file["passed"], verdict_file["accepted"], verdict_file["checkpoint"]) == (
        False,
        None,
        trained.digest,
    )
    assert verdict_file["problems"]

    artifact = export_artifact(
        trained.directory, finetune("mnli"), "broken", out, PROBES, SAMPLES, accept_drift="a test"
    )
    verdict_file = json.loads((artifact.directory / GATE).read_text())
    assert [path.name for path in out.parent.iterdir()] == ["broken"]
    assert (verdict_file["passed"], verdict_file["accepted"]) == (False, "a test")


def test_the_manifest_names_the_gate_and_what_the_graph_needs(trained: Checkpoint, tmp_path: Path) -> None:
    made = {
        name: export_artifact(trained.directory, finetune("mnli"), name, tmp_path / name, PROBES, SAMPLES).manifest
        for name in ("fp32", "int8", "int8_block")
    }

    assert {name: manifest.needs_onnxruntime for name, manifest in made.items()} == {
        "fp32": "1.14",
        "int8": "1.14",
        "int8_block": "1.22",
    }
    assert [manifest.batch_dependent for manifest in made.values()] == [False, True, False]
    assert made["int8"].steps == ["fuse", "quantize_dynamic"]
    assert len({manifest.gate_sha256 for manifest in made.values()}) == 3
    assert read_checkpoint(trained.directory).digest == made["int8"].checkpoint.digest


def line(ids: NDArray[np.int64], label: str) -> str:
    """Return a sentence as a line of XNLI has it."""
    *first, _, _, second, _ = (f"w{token}" for token in ids[1:])
    return f"{' '.join(first)}\t{second}\t{label}\n"


@pytest.fixture
def workspace(trained: Checkpoint, tmp_path: Path) -> Workspace:
    """Return a workspace with the trained model, and dev sets of two languages as data."""
    home = Workspace(tmp_path / "home")
    shutil.copytree(trained.directory, home.checkpoints / "tiny" / "target" / "mnli")
    folder = tmp_path / "data" / "xtreme" / "xnli"
    folder.mkdir(parents=True)
    for each in SAMPLES:
        lines = [line(row.input_ids, one.label) for row, one in zip(each.features, each.examples, strict=True)]
        (folder / f"dev-{each.language}.tsv").write_text("".join(lines), encoding="utf-8")
    return home


def test_export_publishes_int8_with_its_verdict(workspace: Workspace, tmp_path: Path) -> None:
    (published,) = export_model(
        "tiny", Wanted(variants=("int8",)), workspace, data=tmp_path / "data", progress=Silent()
    )

    version = workspace.model_repository / "tiny-mnli-int8" / "1"
    verdict_file = json.loads((version / GATE).read_text())
    assert (published.version, published.written) == (1, True)
    assert (verdict_file["passed"], list(verdict_file["scripts"])) == (True, ["Latn", "Cyrl"])
    assert (version / "model.onnx").is_file()
    assert (workspace.model_repository / "tiny-mnli-int8_text" / "1" / "text.json").is_file()


def test_export_of_a_broken_step_publishes_nothing(workspace: Workspace, tmp_path: Path, monkeypatch) -> None:
    def swap_kinds(before: Path, after: Path, loaded: Loaded) -> None:
        def swap(parts: onnx.GraphProto) -> None:
            weight = next(part for part in parts.initializer if part.name.endswith("classifier.out_proj.weight"))
            replace(weight, numpy_helper.to_array(weight)[[1, 0, 2]])

        after.write_bytes(before.read_bytes())
        edit(after, swap)

    broken = dataclasses.replace(VARIANTS["int8"], steps=(swap_kinds, *VARIANTS["int8"].steps))
    monkeypatch.setitem(VARIANTS, "int8", broken)

    with pytest.raises(ArtifactError, match=r"^no graphs published, 1 refused: mnli \(Latn: .* predictions changed"):
        export_model("tiny", Wanted(variants=("int8",)), workspace, data=tmp_path / "data", progress=Silent())

    assert not list(workspace.model_repository.glob("*"))
    assert json.loads((workspace.artifacts.root / "tiny/mnli/int8.refused" / GATE).read_text())["passed"] is False


def test_graphs_that_pass_are_published_and_counted_beside_the_refused(
    workspace: Workspace, tmp_path: Path, monkeypatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        finetune = "mnli"
        raise GateRefusal(finetune, "any", "it drifts", "take fp32")

    monkeypatch.setitem(VARIANTS, "int8", dataclasses.replace(VARIANTS["int8"], steps=(refuse,)))
    monkeypatch.setitem(VARIANTS, "fp16", dataclasses.replace(VARIANTS["fp16"], steps=(refuse,)))
    said: list[str] = []
    progress = Silent()
    monkeypatch.setattr(Silent, "say", lambda self, line: said.append(line))

    wanted = Wanted(variants=("fp32", "int8", "fp16"))
    with pytest.raises(ArtifactError) as error:
        export_model("tiny", wanted, workspace, data=tmp_path / "data", progress=progress)

    reasons = "mnli in any (it drifts), mnli in any (it drifts)"
    right = f"1 fp32 graph published, 2 refused: {reasons}; for mnli: take fp32"
    assert str(error.value) == right
    assert said[0] == "tiny: 3 graphs, each exported, compared with PyTorch and published"
    assert re.fullmatch(r"tiny-mnli-fp32: version 1, written \(1 of 3, \d+ s, about \d+ s left\)", said[1])
    assert re.fullmatch(r"tiny-mnli-fp16: refused \(3 of 3, \d+ s\)", said[3])
    assert (workspace.model_repository / "tiny-mnli-fp32").is_dir()


def test_a_container_that_is_too_old_is_refused_before_anything_is_published(
    workspace: Workspace, tmp_path: Path
) -> None:
    wanted = Wanted(variants=("int8_block",), container="24.10")

    with pytest.raises(ArtifactError, match=r"needs ONNX Runtime 1\.22 \(MatMulNBits .*\), Triton 24\.10 has 1\.19"):
        export_model("tiny", wanted, workspace, data=tmp_path / "data", progress=Silent())

    assert not list(workspace.model_repository.glob("*"))


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (Wanted(variants=("int8", "int9")), "no variant named 'int9', did you mean 'int8'"),
        (Wanted(container="24.01"), "no container '24.01'"),
        (Wanted(accept_drift=" "), "`--accept-drift` is blank"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_read(wanted: Wanted, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=complaint):
        export_model("tiny", wanted, Workspace(tmp_path), data=tmp_path, progress=Silent())


def test_a_product_that_stayed_in_fp32_is_noticed(loaded: Loaded, graph: Path, tmp_path: Path) -> None:
    deeper = dataclasses.replace(loaded, layers=4)

    with pytest.raises(ArtifactError, match="made 18 MatMulNBits nodes, 24 belong in this graph"):
        steps.quantize_blocks(graph, tmp_path / "blocks.onnx", deeper)
    steps.fuse(graph, tmp_path / "fused.onnx", loaded)
    with pytest.raises(ArtifactError, match="made 3 QAttention nodes, 4 belong in this graph"):
        steps.quantize_dynamic(tmp_path / "fused.onnx", tmp_path / "int8.onnx", deeper)
