import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu
from benchmarks.gpu import (
    CLASSES,
    LENGTHS,
    NEIGHBOURS,
    PAD,
    SHARES,
    SMOKE,
    Batch,
    Left,
    OnnxEngine,
    Parity,
    Rows,
    Run,
    TorchEngine,
    Wrong,
    best_of,
    check_neighbours,
    check_parity,
    compare,
    draw,
    exact,
    export,
    fuse,
    main,
    make_rows,
    network,
    pack,
    padded,
    parity_rows,
    plan,
    reference_of,
    search,
    vectors,
)

SHAPE = SMOKE.shape
FILE = Path(gpu.__file__)


# The whole of it, as a file that is carried alone


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("alone")
    shutil.copyfile(FILE, folder / "gpu.py")
    options = ["--cpu-smoke", "--tokenizer", str(tokenizer_file), "--granularity", "8", "--json", "rows.json"]
    done = subprocess.run(
        [sys.executable, "-I", "gpu.py", *options], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the speeds mean nothing" in done.stdout
    document: dict[str, Any] = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    return document


def rows_of(document: dict[str, Any], stage: str, unit: str) -> list[dict[str, Any]]:
    return [row for row in document["rows"] if (row["stage"], row["unit"]) == (stage, unit)]


def test_smoke_run_measures_every_stage(smoke: dict[str, Any]) -> None:
    assert {row["stage"] for row in smoke["rows"]} == set(gpu.STAGES)
    assert (smoke["cpu_smoke"], smoke["wrong"]) == (True, [])
    assert smoke["machine"]["packages"].keys() >= {"torch", "onnxruntime", "numpy"}


@pytest.mark.parametrize("stage", ["graph", "torch"])
def test_share_is_rate_times_operations_over_peak(smoke: dict[str, Any], stage: str) -> None:
    rows = rows_of(smoke, stage, "tokens/s")
    peaks = {row["work"].split()[0]: row["value"] * 1e12 for row in rows_of(smoke, "peak", "TFLOP/s")}
    assert [row["work"].split(", ")[-2] for row in rows] == list(LENGTHS)
    for row in rows:
        assert row["peak"] == pytest.approx(peaks["float16" if stage == "graph" else "bfloat16"])
        assert row["share_of_peak"] == pytest.approx(row["value"] * row["flops_per_token"] / row["peak"])
        assert row["value"] == pytest.approx(row["useful_tokens"] / np.median(row["seconds"]))
        assert row["padding"] >= 1
        assert len(row["seconds"]) == SMOKE.repeats


def test_ratio_is_that_of_two_rates_on_the_same_batches(smoke: dict[str, Any]) -> None:
    rates = {stage: [row["value"] for row in rows_of(smoke, stage, "tokens/s")] for stage in ("graph", "torch")}
    found = [row["value"] for row in rows_of(smoke, "graph", "times")]
    assert found == pytest.approx([one / other for one, other in zip(rates["graph"], rates["torch"], strict=True)])


def test_what_has_no_kernel_on_a_cpu_is_converted_and_named(smoke: dict[str, Any]) -> None:
    (left,) = smoke["skipped"]
    assert left["reason"] == "attention packed in 2 layers; PackedAttention has kernels for CUDA only"
    assert all("casts" in row["computed_in"] for row in rows_of(smoke, "graph", "tokens/s"))


def test_search_is_set_against_its_floors(smoke: dict[str, Any]) -> None:
    rows = rows_of(smoke, "knn", "s")
    (peak,) = (row["value"] for row in smoke["rows"] if row["work"].startswith("float16"))
    for row in rows:
        floor = max(row["matmul_floor_seconds"], row["vectors_floor_seconds"])
        assert row["times_the_floor"] == pytest.approx(row["value"] / floor)
        assert row["matmul_floor_seconds"] == pytest.approx(2 * 2000 * 2000 * 64 / (peak * 1e12))
        assert (row["equal_to_exact"], row["checked_queries"]) == (1, 64)
    assert rows[0]["work"] == "torch: 2,000 x 2,000 x 64 fp16, top 4"


def test_tokenizer_is_set_against_the_graph(smoke: dict[str, Any]) -> None:
    one, _ = rows_of(smoke, "tokenize", "tokens/s")
    (needed,) = rows_of(smoke, "tokenize", "cores")
    fastest = max(row["value"] for row in rows_of(smoke, "graph", "tokens/s"))
    assert needed["value"] == pytest.approx(fastest / one["value"])


# Operations, lengths, batches


@pytest.mark.parametrize("length", [1, 7, 50])
def test_operations_are_those_that_torch_counts(length: int) -> None:
    module = network(SHAPE, "eager", "cpu")
    inputs = [torch.from_numpy(each) for each in padded(rows_of_lengths(length), Batch(np.array([0]), length))]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(*inputs)
    head = 2 * SHAPE.hidden * CLASSES
    assert counter.get_total_flops() == SHAPE.flops(np.array([length])) + head


def rows_of_lengths(*lengths: int) -> Rows:
    return make_rows("some", np.array(lengths), SHAPE.vocabulary)


@pytest.mark.parametrize(("name", "mean"), [("XNLI", 46.7), ("Tatoeba", 11.1), ("XQuAD", 235.7)])
def test_drawn_lengths_have_the_distribution(name: str, mean: float) -> None:
    lengths = draw(LENGTHS[name], 200_000)
    assert lengths.mean() == pytest.approx(mean, rel=0.01)
    assert lengths.sum() == pytest.approx(200_000, rel=0.02)
    np.testing.assert_allclose(np.quantile(lengths, SHARES[1:32]), LENGTHS[name][1:32], atol=1)
    assert LENGTHS[name][0] <= lengths.min() <= lengths.max() <= LENGTHS[name][-1]


@pytest.mark.parametrize("granularity", [1, 8])
def test_batches_hold_each_row_once_within_the_budget(granularity: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 300)
    batches = plan(lengths, 512, granularity)
    assert sorted(np.concatenate([batch.rows for batch in batches]).tolist()) == list(range(300))
    for batch in batches:
        assert len(batch.rows) * batch.width <= 512
        assert batch.width % granularity == 0
        assert lengths[batch.rows].max() <= batch.width < lengths[batch.rows].max() + granularity
    widths = [batch.width for batch in batches]
    assert widths == sorted(widths, reverse=True)


def test_row_beyond_the_budget_is_a_batch_of_its_own() -> None:
    assert [batch.rows.tolist() for batch in plan(np.array([5, 40, 5]), 10, 1)] == [[1], [0, 2]]


def test_rows_are_padded_on_the_right() -> None:
    rows = Rows("some", np.array([10, 11, 20, 30, 31, 32]), np.array([2, 1, 3]), np.array([0, 2, 3]))
    ids, mask = padded(rows, Batch(np.array([2, 1]), 4))
    assert ids.tolist() == [[30, 31, 32, PAD], [20, PAD, PAD, PAD]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]


def test_given_ids_never_become_padding() -> None:
    ids = make_rows("some", np.array([600]), 512, np.arange(600)).ids
    assert 3 <= ids.min() <= ids.max() < 512


# Parity


class Graphs:
    """The smoke run's network as graphs, with what PyTorch answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        export(network(SHAPE, "eager", "cpu"), folder / "fp32.onnx")
        fuse(folder / "fp32.onnx", folder / "fused.onnx", SHAPE)
        self.rows = parity_rows(SHAPE)
        self.reference = reference_of(network(SHAPE, "eager", "cpu"), self.rows, SMOKE)

    def check(self, graph: Path) -> Run:
        run = Run(SMOKE)
        check_parity(run, "graph", OnnxEngine(graph, "cpu", "the graph"), self.rows, self.reference)
        return run

    def sabotaged(self, name: str, factor: float) -> Path:
        """A graph whose weights of that name are scaled."""
        model = onnx.load(self.folder / "fused.onnx")
        (weight,) = (each for each in model.graph.initializer if each.name == name)
        values = numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), name))
        onnx.save(model, self.folder / "sabotaged.onnx")
        return self.folder / "sabotaged.onnx"


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    return Graphs(tmp_path_factory.mktemp("graphs"))


def test_right_graph_passes(graphs: Graphs) -> None:
    (row,) = graphs.check(graphs.folder / "fused.onnx").rows
    assert row["value"] > 0.9999
    assert row["rows"] == 3 * gpu.PARITY_ROWS


def test_graph_holds_what_was_promised(graphs: Graphs) -> None:
    nodes = [node.op_type for node in onnx.load(graphs.folder / "fused.onnx").graph.node]
    assert (nodes.count("Attention"), nodes.count("SkipLayerNormalization")) == (2, 4)
    pack(graphs.folder / "fused.onnx", graphs.folder / "packed.onnx", SHAPE)
    nodes = [node.op_type for node in onnx.load(graphs.folder / "packed.onnx").graph.node]
    assert (nodes.count("Attention"), nodes.count("PackedAttention"), nodes.count("RemovePadding")) == (0, 2, 1)
    with pytest.raises(Left, match="attention of 2 layers was fused, the graph has 3"):
        fuse(graphs.folder / "fp32.onnx", graphs.folder / "none.onnx", replace(SHAPE, layers=3))


@pytest.mark.parametrize("factor", [-1.0, 3.0])
def test_sabotaged_weight_is_noticed(graphs: Graphs, factor: float) -> None:
    with pytest.raises(
        Wrong, match=r"the graph differs from PyTorch in fp32: the least cosine of 48 rows is .*0\.9995"
    ):
        graphs.check(graphs.sabotaged("Attention_1_qkv_weight", factor))


def test_mask_that_masks_nothing_is_noticed(graphs: Graphs) -> None:
    class Unmasked(OnnxEngine):
        def answer(self, ids, mask):
            return super().answer(ids, np.ones_like(mask))

    engine = Unmasked(graphs.folder / "fused.onnx", "cpu", "unmasked")
    with pytest.raises(Wrong, match="unmasked differs"):
        check_parity(Run(SMOKE), "graph", engine, graphs.rows, graphs.reference)


def test_wrong_graph_is_not_timed(graphs: Graphs, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def sabotage(source: Path, target: Path, shape: object) -> None:
        shutil.copyfile(graphs.sabotaged("Attention_0_qkv_weight", -1.0), target)

    monkeypatch.setattr(gpu, "fuse", sabotage)
    assert main(["--cpu-smoke", "--stage", "graph"]) == 1
    told = capsys.readouterr()
    assert "ONNX Runtime fp16, fused differs from PyTorch" in told.err
    assert "tokens/s" not in told.out


def test_parity_counts_differences_cosines_and_flips() -> None:
    embeddings = np.array([[1, 0], [0, 1], [-1, -1]], dtype=np.float32)
    logits = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    assert compare((embeddings, logits), (embeddings, logits)) == Parity(0, pytest.approx(1), 0)
    turned = embeddings.copy()
    turned[0] = [0, 1]
    assert compare((embeddings, logits), (turned, logits[:, ::-1])) == Parity(1, pytest.approx(0), 1)
    with pytest.raises(Wrong, match="not finite"):
        compare((embeddings, logits), (embeddings * np.nan, logits))


def test_both_attentions_have_the_same_weights(graphs: Graphs) -> None:
    engine = TorchEngine(network(SHAPE, "sdpa", "cpu"), "cpu", "float32", "sdpa")
    answers = gpu.answers_of(engine, graphs.rows, plan(graphs.rows.lengths, 1024, 8), SHAPE)
    assert compare(graphs.reference, answers).difference < 1e-4


# Nearest neighbours


@pytest.mark.parametrize("columns", [64 * 5, 64 * 40, 2500, 10])
def test_best_of_groups_are_the_best_of_all(columns: int) -> None:
    products = torch.from_numpy(np.random.default_rng(0).standard_normal((20, columns)).astype(np.float32))
    values, places = best_of(torch, products, 16)
    right = products.topk(min(16, columns), dim=1)
    assert torch.equal(values, right.values)
    assert torch.equal(places, right.indices)


@pytest.mark.parametrize("block", [(7, 64), (100, 2000), (1000, 1280)])
def test_blocks_find_what_exact_search_finds(block: tuple[int, int]) -> None:
    queries, candidates = vectors(torch, replace(SMOKE, sentences=1500, dimension=32))
    right, found = exact(torch, queries, candidates), search(torch, queries, candidates, block)
    assert check_neighbours(torch, right, found) == 1
    assert (right[1] == found[1]).double().mean() > 0.999
    expected = queries.float() @ candidates.float().T
    assert torch.allclose(found[0], expected.gather(1, found[1]), atol=1e-5)


def test_wrong_and_repeated_neighbours_are_noticed() -> None:
    queries, candidates = vectors(torch, replace(SMOKE, sentences=500))
    right = exact(torch, queries, candidates)
    values, places = right[0].clone(), right[1].clone()
    places[0, 1], values[0, 1] = (places[0, 1] + 1) % 500, values[0, 1] - 0.1
    assert check_neighbours(torch, right, (values, places)) == pytest.approx(1 - 1 / (500 * NEIGHBOURS))
    repeated = right[1].clone()
    repeated[:, 1] = repeated[:, 0]
    assert check_neighbours(torch, right, (right[0], repeated)) == 0


def test_wrong_search_is_told_and_not_timed(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def reverse(*given):
        values, places = search(*given)
        return values.flip(1), places.flip(1)

    monkeypatch.setattr(gpu, "search", reverse)
    assert main(["--cpu-smoke", "--stage", "knn"]) == 1
    told = capsys.readouterr()
    assert "torch finds 100.0% of the neighbours of 64 queries wrong" in told.err
    assert "knn       torch:" not in told.out


# Command line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--stage", "peek"], "invalid choice: 'peek'"),
        (["--tokens", "0"], "--tokens is 0; give at least 1"),
        (["--texts", "a.txt"], "--texts has to be read by a tokenizer"),
        (["--json", "nowhere/rows.json"], "whose folder does not exist"),
        (["--cpu-smoke", "--stage", "tokenize"], "stage tokenize cannot run here: no tokenizer is named"),
        (["--stage", "tokenize", "--tokenizer", "none.json"], "none.json cannot be read"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(arguments: list[str], reason: str, capsys) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("gpu: ")
    assert reason in told
    assert told.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured(capsys) -> None:
    assert main([]) == 2
    assert "torch sees no CUDA device" in capsys.readouterr().err


def test_missing_package_leaves_out_its_stage_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    options = ["--cpu-smoke", "--stage", "peak", "--stage", "torch", "--json", str(tmp_path / "rows.json")]
    assert main(options) == 0
    assert main([*options, "--stage", "graph"]) == 2
    document = json.loads((tmp_path / "rows.json").read_text())
    assert {row["stage"] for row in document["rows"]} == {"peak", "torch"}
    assert document["skipped"][0]["stage"] == "graph"
    assert "onnxruntime" in document["skipped"][0]["reason"]


def test_stage_that_breaks_does_not_take_the_others_with_it(monkeypatch, tmp_path: Path, capsys) -> None:
    def broken(run: Run) -> None:
        message = "out of memory"
        raise RuntimeError(message)

    monkeypatch.setattr(gpu, "knn", broken)
    options = ["--cpu-smoke", "--stage", "peak", "--stage", "knn", "--json", str(tmp_path / "rows.json")]
    assert main(options) == 1
    assert "stage knn broke: RuntimeError: out of memory" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 3


def test_texts_give_lengths_and_ids(tmp_path: Path, tokenizer_file: Path) -> None:
    (tmp_path / "texts.txt").write_text("abc\n\nde fgh\n" * 20, encoding="utf-8")
    run = Run(SMOKE, tokenizer_file, tmp_path / "texts.txt")
    (rows,) = gpu._distributions(run, 10_000)
    assert rows.name == "texts.txt"
    assert sorted(rows.lengths.tolist()) == [5] * 20 + [8] * 20
    assert len(rows.ids) == rows.lengths.sum()
