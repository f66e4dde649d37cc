"""The gate in front of a network that learned something: good variants pass, broken ones do not."""

import copy
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
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
from exporters.answers import Kept, RowAnswers
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
        examples=[
            PairExample(str(place), f"premise {language} {place}", "", LABELS[kind])
            for place, (_, kind) in enumerate(drawn)
        ],
        features=[Feature(place, ids) for place, (ids, _) in enumerate(drawn)],
        scorer=Labels(),
        head=HEAD,
    )


SAMPLES = [sample("en"), sample("ru")]
#: As many as show a loss of less than half a point where one example of a hundred flips.
LARGE = [sample("en", 2_500), sample("ru", 2_500)]
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


def checkpoint(
    directory: Path, model: XLMRobertaForSequenceClassification, changes: Mapping[str, object] | None = None
) -> Checkpoint:
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
    return write_checkpoint(directory, {**metadata, **(changes or {})}, save)


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


def verdict(loaded: Loaded, graph: Path, variant: str, samples: Sequence[GateSample] = LARGE) -> Verdict:
    with OnnxEndpoint(graph) as endpoint:
        signature = HEAD.signature(32)
        return judge(
            RowAnswers(partial(infer, loaded.module), 1, signature),
            RowAnswers(endpoint.infer, 1, signature),
            samples,
            signature=signature,
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
    assert (latin.decisions, latin.samples) == (latin.examples, ["kinds en"])
    assert latin.pytorch > 60
    if VARIANTS[variant].tolerance.margins is None:
        assert (found.reason, found.overall, latin.loss) == ("values are equal", None, None)
    else:
        assert (found.reason, found.overall.outcome, latin.loss.outcome) == ("shown", "shown", "shown")
        assert found.overall.lower <= found.overall.loss <= found.overall.bound < 0.5
        assert latin.loss.lower <= latin.loss.loss <= latin.loss.bound < 2


def test_a_wrong_scale_in_one_layer_is_refused(loaded: Loaded, graph: Path) -> None:
    def stretch(parts: onnx.GraphProto) -> None:
        scale = next(part for part in parts.initializer if part.name == "Attention_1_qkv_weight_scale")
        replace(scale, numpy_helper.to_array(scale) * np.float32(4))

    found = verdict(loaded, edit(apply("int8", graph, loaded), stretch), "int8")

    assert any("the score falls by" in problem for problem in found.problems)
    assert found.overall.outcome == "refused"
    assert found.overall.examples < 5_000, "it stops where the verdict is certain"


def test_two_swapped_layers_are_refused(loaded: Loaded, tmp_path: Path) -> None:
    swapped = copy.deepcopy(loaded.module)
    layers = swapped.network.roberta.encoder.layer
    layers[0], layers[1] = layers[1], layers[0]
    write_graph(swapped, HEAD.signature(32), tmp_path / "model.onnx")

    exact = verdict(loaded, tmp_path / "model.onnx", "fp32").problems
    lossy = verdict(loaded, apply("int8", tmp_path / "model.onnx", loaded), "int8")

    assert [problem.partition(":")[0] for problem in exact] == ["Latn", "Cyrl"]
    assert all("an output differs by" in problem for problem in exact)
    assert lossy.scripts["Latn"].flips > 0.02, "reported; judged is the score, which this network keeps"


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

    found = verdict(loaded, apply("int8", edit(graph, coarsen), loaded), "int8")

    assert {problem.partition(":")[0] for problem in found.problems} == {"all examples", "Cyrl"}
    assert found.scripts["Cyrl"].loss.outcome == "refused"
    assert found.scripts["Latn"].loss.outcome != "refused"


@pytest.mark.parametrize(
    ("value", "complaint"), [(np.nan, "logits has NaN or infinity"), (0.0, "logits is the same for all 5,000")]
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
            replace(bias, numpy_helper.to_array(bias) + np.array([30, 0, 0], np.float32))

        after.write_bytes(before.read_bytes())
        edit(after, shift)

    broken = Variant(name="broken", purpose="", steps=(halve_classifier,), tolerance=VARIANTS["int8"].tolerance)
    monkeypatch.setitem(VARIANTS, "broken", broken)
    out = tmp_path / "mnli" / "broken"

    with pytest.raises(GateRefusal, match=r"mnli is not published in broken: all examples: the score falls by"):
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
    *first, _, _, second, _ = (f"wж{token}" for token in ids[1:])
    return f"{' '.join(first)}\t{second}\t{label}\n"


@pytest.fixture
def workspace(trained: Checkpoint, tmp_path: Path) -> Workspace:
    """Return a workspace with the trained model, and dev sets of two languages as data."""
    home = Workspace(tmp_path / "home")
    shutil.copytree(trained.directory, home.checkpoints / "tiny" / "target" / "mnli")
    folder = tmp_path / "data" / "xtreme" / "xnli"
    folder.mkdir(parents=True)
    for each in LARGE:
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

    with pytest.raises(ArtifactError, match=r"^no graphs published, 1 refused: mnli \(all examples: the score falls"):
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


def test_few_examples_show_nothing_however_equal_they_are(loaded: Loaded, graph: Path) -> None:
    """No change in 2 x 120 examples does not prove that nothing is lost."""
    found = verdict(loaded, graph, "int8", [sample("en", 120), sample("ru", 120)])

    (problem,) = found.problems
    assert found.overall.flips == 0
    assert re.match(
        r"not shown: [\d,]+ more examples are needed \(all examples: between -[\d.]+ and [\d.]+ points", problem
    )
    assert found.overall.outcome == "not shown"
    assert found.overall.bound > 0.5
    assert found.too_small


def test_a_script_without_two_independent_examples_is_never_passed(loaded: Loaded, graph: Path) -> None:
    alone = dataclasses.replace(sample("ru", 40), examples=[PairExample("0", "one premise", "", "neutral")] * 40)

    found = verdict(loaded, graph, "int8", [LARGE[0], alone])

    assert not found.passed
    assert any(problem.startswith("Cyrl: fewer than two independent examples") for problem in found.problems)


def test_answers_of_pytorch_are_kept_for_the_next_variant(trained: Checkpoint, tmp_path: Path, monkeypatch) -> None:
    asked: list[int] = []

    def counting(module: object, inputs: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.float32]]:
        asked.append(len(inputs["input_ids"]))
        return infer(module, inputs)

    monkeypatch.setattr("exporters.export.infer", counting)
    counts, records = {}, {}
    for variant in ("int8_block", "int8"):
        asked.clear()
        artifact = export_artifact(
            trained.directory, finetune("mnli"), variant, tmp_path / variant, PROBES, LARGE, cache=tmp_path / "cache"
        )
        counts[variant], records[variant] = sum(asked), json.loads((artifact.directory / GATE).read_text())

    assert counts["int8_block"] > 1_000
    assert counts["int8"] <= max(
        0, records["int8"]["overall"]["examples"] - records["int8_block"]["overall"]["examples"]
    )
    assert records["int8"]["engine"].startswith("onnxruntime ")


def test_kept_answers_of_another_network_are_not_used(loaded: Loaded, tmp_path: Path) -> None:
    signature, rows = HEAD.signature(32), SAMPLES[0].features[:20]
    one, another = (Kept(folder=tmp_path, network=name, numerics="torch", say=print) for name in ("one", "another"))
    with RowAnswers(partial(infer, loaded.module), 1, signature, one) as answers:
        first = answers.of(rows)

    def zeros(inputs: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.float32]]:
        return {"logits": np.zeros((len(inputs["input_ids"]), 3), np.float32)}

    with RowAnswers(zeros, 1, signature, one) as answers:
        again = answers.of(rows)
    with RowAnswers(zeros, 1, signature, another) as answers:
        other = answers.of(rows)

    assert all(np.array_equal(first[key]["logits"], again[key]["logits"]) for key in first)
    assert not any(value["logits"].any() for value in other.values())


def small_workspace(workspace: Workspace, data: Path, count: int) -> None:
    """Leave so many lines in each file."""
    for path in (data / "xtreme" / "xnli").glob("dev-*.tsv"):
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:count]), encoding="utf-8")


def write_gate(workspace: Workspace, name: str, digest: str, **changes: object) -> None:
    """Write the verdict on another graph of the model."""
    loss = {
        "outcome": "shown", "margin": 0.5, "loss": 0.0, "flips": 0.0, "bound": 0.1, "lower": -0.1, "examples": 9000,
        "clusters": 9000, "design_effect": 1.0, "needed": 0, "looks": [1.0],
    }  # fmt: skip
    trained = {"above_chance": True, "model": 70.0, "ignoring_the_text": 30.0, "gain_interval": [30, 50]}
    script = {
        "samples": [], "examples": 9000, "decisions": 9000, "flips": 0.0, "largest_difference": 0.1, "deviation": 1.0,
        "pytorch": 70.0, "graph": 70.0, "drop": 0.0,
    }  # fmt: skip
    record = {
        "format": 1, "passed": True, "checkpoint": digest, "overall": loss, "trained": trained,
        "scripts": {"Latn": script}, **changes,
    }  # fmt: skip
    folder = workspace.artifacts.directory("tiny", "udpos", name)
    folder.mkdir(parents=True)
    (folder / GATE).write_text(json.dumps(record))


@pytest.fixture
def with_tagger(workspace: Workspace, tmp_path: Path) -> str:
    """Let the model have a tagger too, and few examples for its classifier; return the tagger's digest."""
    tagger = workspace.checkpoints / "tiny" / "target" / "udpos"
    mnli = read_checkpoint(workspace.checkpoints / "tiny" / "target" / "mnli")
    metadata = json.loads((mnli.directory / "phase.json").read_text()) | {"finetune": "udpos", "key": "tagger"}
    shutil.copytree(mnli.directory, tagger)
    (tagger / "phase.json").write_text(json.dumps(metadata))
    small_workspace(workspace, tmp_path / "data", 100)
    return read_checkpoint(tagger).digest


def export_int8(workspace: Workspace, data: Path) -> None:
    wanted = Wanted(variants=("int8",), finetunes=("mnli",))
    export_model("tiny", wanted, workspace, data=data, progress=Silent())


def test_a_small_task_takes_over_the_verdict_of_larger_ones(
    workspace: Workspace, with_tagger: str, tmp_path: Path
) -> None:
    write_gate(workspace, "int8", with_tagger)

    export_int8(workspace, tmp_path / "data")

    record = json.loads((workspace.artifacts.directory("tiny", "mnli", "int8") / GATE).read_text())
    assert (record["passed"], record["taken_over"]) == (True, ["udpos"])
    assert record["reason"] == "too few examples to show a loss; taken over from udpos"
    assert record["problems"], "what it could not show itself stays on record"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("int8.refused", {"passed": False}),
        ("int8", {"checkpoint": "of another training"}),
        ("int8", {"taken_over": ["squad"]}),
        ("int8_block", {}),
    ],
)
def test_a_small_task_takes_over_nothing_else(
    name: str, changes: dict[str, object], workspace: Workspace, with_tagger: str, tmp_path: Path
) -> None:
    write_gate(workspace, name, with_tagger, **changes)

    with pytest.raises(ArtifactError, match=r"mnli \(not shown: [\d,]+ more examples are needed .*`--data DIR`"):
        export_int8(workspace, tmp_path / "data")

    assert not workspace.artifacts.directory("tiny", "mnli", "int8").exists()


@pytest.mark.parametrize("declared", [True, False])
def test_a_negative_control_is_expected_to_be_refused(declared: bool, tmp_path: Path, workspace: Workspace) -> None:
    shutil.rmtree(workspace.checkpoints / "tiny")
    controls = {"recipe": {"name": "tiny", "export": {"negative_controls": ["mnli"] * declared}}}
    checkpoint(workspace.checkpoints / "tiny" / "target" / "mnli", network(0), controls)
    small_workspace(workspace, tmp_path / "data", 100)
    if declared:
        export_int8(workspace, tmp_path / "data")
    else:
        with pytest.raises(ArtifactError, match="1 refused: mnli"):
            export_int8(workspace, tmp_path / "data")

    assert not workspace.artifacts.directory("tiny", "mnli", "int8").exists(), "and never published"


def test_a_declared_control_that_learns_is_judged_like_any_graph(
    workspace: Workspace, tmp_path: Path, monkeypatch
) -> None:
    """A refusal for what is lost stays an error, whatever the recipe expects."""
    refusal = GateRefusal("mnli", "int8", "the score falls", "take fp32")

    def refuse(*arguments: object, **options: object) -> None:
        raise refusal

    monkeypatch.setitem(VARIANTS, "int8", dataclasses.replace(VARIANTS["int8"], steps=(refuse,)))
    path = workspace.checkpoints / "tiny" / "target" / "mnli" / "phase.json"
    metadata = json.loads(path.read_text())
    metadata["recipe"]["export"] = {"negative_controls": ["mnli"]}
    path.write_text(json.dumps(metadata))

    with pytest.raises(ArtifactError, match="the score falls"):
        export_int8(workspace, tmp_path / "data")


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
