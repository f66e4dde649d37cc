import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contenders.baseshape import cost
from benchmarks.core.report import guarded
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import encoder, neighbours
from benchmarks.gpu.encoder import (
    CUDA,
    EncoderSide,
    check,
    export,
    least_cosine,
    logits_of,
    memory_row,
    on_device,
    planned,
    random_module,
)
from benchmarks.gpu.lengths import FIRST_SUBWORD, LENGTHS, SHARES, random_rows, spread, spread_tokens
from benchmarks.gpu.session import SMOKE, GpuSession, WrongAnswers
from benchmarks.gpu.tokenization import PARALLELISM
from benchmarks.gpu.tokenization import measure as measure_tokenization
from harness.core.errors import ArtifactError, UsageError
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.planner import Batch

SHAPE = SMOKE.shape


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The file of a smoke run of every stage that needs no data."""
    path = tmp_path_factory.mktemp("smoke") / "rows.json"
    command.main(["--cpu-smoke", "--json", str(path)])
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def works(document: dict[str, Any], beginning: str, unit: str) -> list[dict[str, Any]]:
    return [row for row in document["rows"] if row["work"].startswith(beginning) and row["unit"] == unit]


def test_smoke_run_measures_every_stage(smoke: dict[str, Any]) -> None:
    assert len(works(smoke, "peak of", "GFLOP/s")) == 3
    for variant in ("fp16", "fp32"):
        rows = [
            row for row in smoke["rows"] if row["work"].partition(", widths")[0].endswith(f"(in process), {variant}")
        ]
        # The memory; two widths and a share for each of three distributions.
        assert len(rows) == 1 + 3 * 3
    assert len(works(smoke, "4 neighbours", "queries/s")) == 1
    assert all("speeds mean nothing" in row["device"] for row in smoke["rows"])
    # Nothing is promised of a smoke run.
    assert {row["target"] for row in smoke["rows"]} == {None}


def test_share_is_rate_times_operations_over_peak(smoke: dict[str, Any]) -> None:
    (peak,) = (row["ours"] * 1e9 for row in works(smoke, "peak of float16", "GFLOP/s"))
    for name, quantiles in LENGTHS.items():
        lengths = spread_tokens(quantiles, SMOKE.tokens)
        operations = cost(SHAPE, SHAPE.layers, [(1, length) for length in lengths]).operations
        rates = [row for row in works(smoke, name, encoder.UNIT) if "fp16" in row["work"]]
        (share,) = (row for row in works(smoke, f"share of the peak: {name}", "GFLOP/s") if "fp16" in row["work"])
        best = max(row["ours"] for row in rates)
        assert share["ratio"] == pytest.approx(best * operations / sum(lengths) / peak, rel=1e-3)
        ours = next(name for name in rates[0]["share_of_peak"] if name.startswith("onnxruntime"))
        assert max(row["share_of_peak"][ours] for row in rates) == pytest.approx(share["ratio"], rel=1e-3)
        assert all(row["padding"] >= 1 for row in rates)


def test_search_is_right(smoke: dict[str, Any]) -> None:
    (row,) = works(smoke, "4 neighbours", "queries/s")
    assert (row["equal_to_exact"], row["checked_queries"]) == (1, 64)
    assert row["work"].startswith("4 neighbours, 2,000 x 2,000 x 64")


# Lengths, batches, operations


@pytest.mark.parametrize("length", [1, 7, 50])
def test_operations_are_those_that_torch_counts(length: int) -> None:
    infer = on_device(random_module(SMOKE, "eager"), "cpu", torch.float32)
    with FlopCounterMode(display=False) as counter:
        logits_of(infer, random_rows([length], SMOKE.vocabulary), [Batch((0,), length)])
    head = 2 * SHAPE.width * (SHAPE.width + len(encoder.HEAD.labels))
    assert counter.get_total_flops() == cost(SHAPE, SHAPE.layers, [(1, length)]).operations + head


@pytest.mark.parametrize(("name", "mean"), [("XNLI", 46.7), ("Tatoeba", 11.1), ("XQuAD", 235.7)])
def test_lengths_have_the_distribution(name: str, mean: float) -> None:
    lengths = spread_tokens(LENGTHS[name], 200_000)
    assert np.mean(lengths) == pytest.approx(mean, rel=0.01)
    assert sum(lengths) == pytest.approx(200_000, rel=0.02)
    np.testing.assert_allclose(np.quantile(lengths, SHARES[1:32]), LENGTHS[name][1:32], atol=1)
    assert LENGTHS[name][0] <= min(lengths) <= max(lengths) <= LENGTHS[name][-1]


def test_rows_hold_no_special_token() -> None:
    ids = np.concatenate(random_rows([600, 3], SMOKE.vocabulary))
    assert FIRST_SUBWORD <= ids.min() <= ids.max() < SMOKE.vocabulary


@pytest.mark.parametrize("multiple", [1, 8])
def test_batches_hold_each_row_once_within_the_budget(multiple: int) -> None:
    rows = random_rows(spread(LENGTHS["XNLI"], 200), SMOKE.vocabulary)
    batches = planned(SMOKE, rows, multiple)
    assert sorted(row for batch in batches for row in batch.rows) == list(range(200))
    assert max(batch.padded_tokens for batch in batches) <= SMOKE.budget
    assert {batch.width % multiple for batch in batches} == {0}


# Answers


ROWS = random_rows([length for quantiles in LENGTHS.values() for length in spread(quantiles, 8)], SMOKE.vocabulary)


class Graphs:
    """The smoke run's network as graphs, with what PyTorch answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        module = random_module(SMOKE, "eager")
        self.fused = export(module, SMOKE, "fp16", folder)
        alone = [Batch((number,), len(row)) for number, row in enumerate(ROWS)]
        self.reference = logits_of(on_device(module, "cpu", torch.float32), ROWS, alone)

    def check(self, graph: Path) -> str:
        with OnnxEndpoint(graph) as endpoint:
            return check(EncoderSide("the graph", endpoint.infer, "float16"), ROWS, self.reference)

    def damaged(self, name: str, factor: float) -> Path:
        """A graph whose weights of that name are scaled."""
        model = onnx.load(self.fused)
        (weight,) = (each for each in model.graph.initializer if each.name == name)
        values = numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), name))
        onnx.save(model, self.folder / "damaged.onnx")
        return self.folder / "damaged.onnx"


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    return Graphs(tmp_path_factory.mktemp("graphs"))


def test_right_graph_passes(graphs: Graphs) -> None:
    assert graphs.check(graphs.fused).endswith("is 1.00000")
    assert graphs.check(graphs.folder / "fp32.onnx").endswith("is 1.00000")


def test_graph_is_fused(graphs: Graphs) -> None:
    nodes = [node.op_type for node in onnx.load(graphs.fused).graph.node]
    assert (nodes.count("Attention"), nodes.count("SkipLayerNormalization")) == (2, 4)


def test_graph_that_is_not_fused_is_refused(tmp_path: Path) -> None:
    deeper = replace(SMOKE, shape=replace(SHAPE, layers=3))
    with pytest.raises(ArtifactError, match="fused the attention of 2 layers of 3, 3 are right"):
        export(random_module(SMOKE, "eager"), deeper, "fp16", tmp_path)


@pytest.mark.parametrize("factor", [-1.0, 3.0])
def test_damaged_weight_is_noticed(graphs: Graphs, factor: float) -> None:
    with pytest.raises(WrongAnswers, match=r"the graph differs .* of 24 rows is .*float16 keeps at least 0\.9995"):
        graphs.check(graphs.damaged("Attention_1_qkv_weight", factor))


def test_mask_that_masks_nothing_is_noticed(graphs: Graphs) -> None:
    with OnnxEndpoint(graphs.fused) as endpoint:

        def unmasked(inputs: Any) -> Any:
            return endpoint.infer({**inputs, "attention_mask": np.ones_like(inputs["attention_mask"])})

        with pytest.raises(WrongAnswers, match="unmasked differs"):
            check(EncoderSide("unmasked", unmasked, "float16"), ROWS, graphs.reference)


def test_values_that_are_not_finite_are_noticed(graphs: Graphs) -> None:
    def broken(inputs: Any) -> Any:
        return {"logits": np.full((len(inputs["input_ids"]), 64), np.nan, dtype=np.float32)}

    with pytest.raises(WrongAnswers, match="is nan"):
        check(EncoderSide("broken", broken, "float16"), ROWS, graphs.reference)


def test_cosine_is_that_of_the_worst_row_without_the_common_part() -> None:
    vectors = np.array([[11, 10], [10, 11], [9, 9]], dtype=np.float32)
    assert least_cosine(vectors, vectors) == pytest.approx(1)
    turned = vectors.copy()
    turned[0] = [9, 10]
    assert least_cosine(vectors, turned) == pytest.approx(-1)


def test_both_attentions_have_the_same_weights(graphs: Graphs) -> None:
    module = random_module(SMOKE, "sdpa")
    assert module.config._attn_implementation == "sdpa"
    vectors = logits_of(on_device(module, "cpu", torch.float32), ROWS, planned(SMOKE, ROWS, 8))
    np.testing.assert_allclose(vectors, graphs.reference, atol=1e-5)


def test_wrong_graph_is_not_timed(graphs: Graphs, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(encoder, "export", lambda *given: graphs.damaged("Attention_0_qkv_weight", -1.0))
    with pytest.raises(SystemExit, match="1"):
        command.main(["--cpu-smoke", "--stage", "peak", "--stage", "cuda"])
    printed = capsys.readouterr()
    assert "fp16 differs from PyTorch in fp32" in printed.err
    assert encoder.UNIT not in printed.out
    assert "peak of float16 products" in printed.out


def test_memory_is_what_a_work_leaves_in_use() -> None:
    kept: list[np.ndarray] = []

    def infer(inputs: Any) -> Any:
        kept.append(np.ones(2**26, dtype=np.uint8))
        return {}

    row = memory_row(SMOKE, EncoderSide("ours", infer, "float16"), EncoderSide("theirs", infer, "bfloat16"))
    assert row.ours == pytest.approx(2**-4, rel=0.2)
    assert row.ratio == pytest.approx(1, rel=0.2)


# Nearest neighbours


def test_wrong_search_is_not_timed(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    right = neighbours.search

    def reverse(*given: Any) -> Any:
        found = right(*given)
        return found._replace(indices=found.indices[:, ::-1])

    monkeypatch.setattr(neighbours, "search", reverse)
    with pytest.raises(SystemExit, match="1"):
        command.main(["--cpu-smoke", "--stage", "neighbours"])
    printed = capsys.readouterr()
    assert "100.0% of the neighbours of 64 queries are not those of all products" in printed.err
    assert printed.out == ""


# Tokenization


def test_texts_of_the_data_folder_are_tokenized(
    tmp_path: Path, tokenizer_file: Path, xnli: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PARALLELISM, raising=False)
    xnli(["en", "ru"])
    session = GpuSession(settings=SMOKE, tokenizer=tokenizer_file, data=tmp_path / "data", fastest=1e12)
    (row,) = measure_tokenization(session)
    # Two texts of one letter in each of eight pairs.
    assert row.work == "tokenization of 16 texts of XNLI"
    assert row.ours == pytest.approx(16 / np.median(row.details["seconds"]["ours"]))
    assert "cores tokenize" in session.notes[0]
    assert PARALLELISM not in os.environ


def test_folder_without_texts_is_named(tmp_path: Path, tokenizer_file: Path) -> None:
    (tmp_path / "xtreme").mkdir()
    with pytest.raises(UsageError, match="has no file of xnli; `harness data check`"):
        measure_tokenization(GpuSession(settings=SMOKE, tokenizer=tokenizer_file, data=tmp_path))


# Command line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--cpu-smoke", "--stage", "tokenize"], "name them with `--tokenizer tokenizer.json --data DEST`"),
        pytest.param(
            [],
            "torch sees no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_what_cannot_run_is_one_sentence_and_exit_code_2(arguments: list[str], reason: str, capsys) -> None:
    assert guarded(lambda: command.main(arguments)) == 2
    printed = capsys.readouterr().err
    assert reason in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--stage", "peek"], ["--tokens", "0"]])
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.parse(arguments)


def test_stage_that_was_not_named_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    kept = {name: command.STAGES[name] for name in ("peak", "tokenize")}
    monkeypatch.setattr(command, "STAGES", kept)
    command.main(["--cpu-smoke"])
    assert "stage tokenize left out: tokenization is measured on real texts" in capsys.readouterr().out


def test_stage_that_breaks_leaves_the_figures_of_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    def broken(session: GpuSession) -> Any:
        message = "out of memory"
        raise RuntimeError(message)

    monkeypatch.setattr(command, "STAGES", {"peak": command.STAGES["peak"], "neighbours": broken})
    with pytest.raises(RuntimeError, match="out of memory"):
        command.main(["--cpu-smoke", "--json", str(tmp_path / "rows.json")])
    assert len(json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]) == 3


def test_promises_are_those_of_the_cuda_graph() -> None:
    assert (CUDA.ratio_at_least, CUDA.share_at_least) == (1.1, 0.45)
