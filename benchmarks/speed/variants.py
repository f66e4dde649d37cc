"""What each variant of a graph costs and loses: speed in the shape of XLM-R base, loss on a trained model.

::

    harness bench variants --model mixed_ru [--finetune mnli] [--data DEST] [--limit 8] [--json FILE]
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from benchmarks.contenders import workload
from benchmarks.contenders.baseshape import Shape, apply_steps, write_random
from benchmarks.core.options import add_output, bench_parser
from benchmarks.core.report import finish, guarded
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import alternate
from exporters.answers import RowAnswers
from exporters.gate import judge
from exporters.modules import Loaded, decision_of, infer, load_module
from exporters.onnx import write_graph
from exporters.samples import read_samples
from exporters.variants import VARIANTS
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes, tasks
from harness.core.errors import UsageError
from harness.core.heads import Head, SentenceEmbedding
from harness.core.layout import Layout
from harness.core.tables import Table
from harness.core.tensors import pad
from harness.core.terminal import Terminal
from harness.evaluation.selection import choose_jobs
from harness.evaluation.workload import check_splits
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.planner import Batch, BatchPlanner
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import read_checkpoint

UNIT = "useful tokens/s"
#: XLM-R base has 12 layers; its graph for retrieval stops here (tasks `tatoeba`, `bucc2018`).
FULL = 12
#: Sentences that static scales are calibrated on; English, the training language.
CALIBRATION = 32


@dataclass(slots=True)
class Graph:
    """A contender: one graph that answers the batches of one plan."""

    name: str
    endpoint: OnnxEndpoint
    batches: Sequence[dict[str, NDArray[np.int64]]]

    def warm_up(self) -> None:
        """Answer the widest and the narrowest batch."""
        for batch in (self.batches[0], self.batches[-1]):
            self.endpoint.infer(batch)

    def run(self) -> None:
        """Answer every batch."""
        for batch in self.batches:
            self.endpoint.infer(batch)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: Iterable[Mapping[str, NDArray[np.int64]]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> Mapping[str, NDArray[np.int64]] | None:
        """Return the next batch, or None."""
        return next(self._batches, None)


def static(source: Path, target: Path, rows: Sequence[NDArray[np.int64]], pad_id: int) -> None:
    """Write a graph whose products are int8 with fixed scales, from the range that real rows reach."""
    quantize_static(
        str(source),
        str(target),
        _Reader(pad([row], pad_id) for row in rows),
        quant_format=QuantFormat.QOperator,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )


def graphs(
    folder: Path, loaded: Loaded, head: Head, calibration: Sequence[NDArray[np.int64]]
) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of each variant that a CPU runs, and of one with static scales."""
    plain = folder / "fp32.onnx"
    write_graph(loaded.module, loaded.signature, plain)
    for name, variant in VARIANTS.items():
        # Half precision is for GPUs; a CPU converts every value to and fro.
        if name != "fp16":
            yield name, apply_steps(variant, plain, folder, loaded)
    static(plain, folder / "static.onnx", calibration, loaded.pad_id)
    yield "int8, static scales (not a variant)", folder / "static.onnx"


def speed(folder: Path, rows: workload.Workload, tokenizer: Path, options: argparse.Namespace) -> list[Row]:
    """Return rows of tokens per second in the shape of XLM-R base: variants, and the cut for retrieval."""
    features = [feature.input_ids for item in rows.featurized for feature in item.features]
    plan = BatchPlanner().plan([len(row) for row in features])
    calibration = [feature.input_ids for feature in rows.featurized[0].features][:CALIBRATION]
    finetune = finetunes.load("mnli")
    checkpoint = write_random(folder, Shape(), finetune, tokenizer, seed=0)
    loaded = load_module(checkpoint, finetune.head)
    found = _race(list(graphs(folder, loaded, finetune.head, calibration)), features, plan, rows, options)
    (folder / "fp32.onnx").unlink()
    del loaded
    return found + cut(folder, features, plan, rows, tokenizer, options)


def cut(
    folder: Path,
    features: Sequence[NDArray[np.int64]],
    plan: Sequence[Batch],
    rows: workload.Workload,
    tokenizer: Path,
    options: argparse.Namespace,
) -> list[Row]:
    """Return the row of the graph that stops at the retrieval layer against the one with all layers."""
    encoder = finetunes.load("encoder")
    if not isinstance(encoder.head, SentenceEmbedding):
        message = f"finetune 'encoder' ends in {type(encoder.head).__name__}, which has no retrieval layer to cut at"
        raise UsageError(message)
    layer = encoder.head.layers[FULL]
    files = []
    for name, last in (("all 12 layers", FULL), (f"cut at layer {layer}", layer)):
        # The head's own table of layers must not decide here.
        head = replace(encoder.head, layers={})
        shape = Shape(name=f"base-shape-{last}")
        checkpoint = write_random(folder, shape, replace(encoder, head=head), tokenizer, seed=0, retrieval_layer=last)
        loaded = load_module(checkpoint, head)
        write_graph(loaded.module, loaded.signature, folder / f"{last}.onnx")
        files.append((name, folder / f"{last}.onnx"))
    return _race(files, features, plan, rows, options)


def _race(
    files: Sequence[tuple[str, Path]],
    features: Sequence[NDArray[np.int64]],
    plan: Sequence[Batch],
    rows: workload.Workload,
    options: argparse.Namespace,
) -> list[Row]:
    batches = [pad([features[row] for row in batch.rows], rows.pad_id, batch.width) for batch in plan]
    sides = [Graph(name, OnnxEndpoint(path), batches) for name, path in files]
    timings = alternate(sides, warmup=1, repeats=options.repeats)
    for side in sides:
        side.endpoint.close()
    first = Side(sides[0].name, timings[sides[0].name], None)
    return [
        rate_row(
            f"{rows.rows:,} rows of XNLI in {len(rows.featurized)} languages, XLM-R base shape, {side.name}",
            rows.useful_tokens,
            UNIT,
            Side(side.name, timings[side.name], None),
            first,
            weights="random",
        )
        for side in sides[1:]
    ]


def losses(folder: Path, options: argparse.Namespace, layout: Layout, workspace: Workspace) -> Table:
    """Return what each variant of a trained model's graph loses on each script, as the gate sees it."""
    checkpoint = read_checkpoint(workspace.checkpoints / options.model / "target" / options.finetune)
    finetune = finetunes.load(options.finetune)
    loaded = load_module(checkpoint, finetune.head)
    tolerance = VARIANTS["int8"].tolerance
    samples = read_samples(
        finetune, layout, FastTokenizer(checkpoint.tokenizer), tolerance.wanted(decision_of(finetune.head))
    )
    calibration = [feature.input_ids for sample in samples if sample.language == "en" for feature in sample.features]
    signature = loaded.signature
    rows = []
    reference = RowAnswers(partial(infer, loaded.module), loaded.pad_id, signature)
    for name, path in graphs(folder, loaded, finetune.head, calibration[:CALIBRATION]):
        with OnnxEndpoint(path) as endpoint:
            answers = RowAnswers(endpoint.infer, loaded.pad_id, signature)
            found = judge(reference, answers, samples, signature=signature, tolerance=tolerance)
        groups = {"all": found.overall, **{script: record.loss for script, record in found.scripts.items()}}
        rows += [
            [
                name,
                script,
                f"{loss.examples:,}",
                f"{100 * loss.flips:.1f}",
                f"{loss.loss:+.1f} ({loss.lower:+.1f} to {loss.bound:+.1f})",
                loss.outcome,
            ]
            for script, loss in groups.items()
            if loss is not None
        ]
    title = f"{options.model}, {options.finetune}: what is lost against PyTorch fp32, over all examples and per script"
    headings = ["variant", "script", "examples", "flips %", "score lost, points (bounds)", "verdict"]
    return Table(title, headings, rows)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = bench_parser("variants", __doc__)
    parser.add_argument("--model", required=True, help="a trained model, for the losses")
    parser.add_argument("--finetune", default="mnli", help="its graph; mnli")
    parser.add_argument("--data", type=Path, help="data folder; $HARNESS_DATA, or the sample data")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json for the base shape")
    parser.add_argument("--limit", type=int, default=8, help="rows of each language for the speeds; 8")
    parser.add_argument("--repeats", type=int, default=3, help="timed rounds; 3")
    add_output(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print both tables, and write and draw the speeds where the options say."""
    options, workspace, progress = parse(arguments), Workspace.current(), Terminal()
    layout = workspace.layout(options.data, "sample")
    task = tasks.load("xnli")
    jobs = choose_jobs([task], splits={"xnli": "test"}, coverage=layout.coverage())
    check_splits(jobs, layout)
    with TemporaryDirectory(prefix="harness-variants-") as folder:
        with progress.step("losses of a trained model", 1, "model") as advance:
            lost = losses(Path(folder), options, layout, workspace)
            advance(1)
        rows = workload.read(jobs, layout, FastTokenizer(options.tokenizer), options.limit)
        with progress.step("speeds in the shape of XLM-R base", 1, "shape") as advance:
            found = speed(Path(folder), rows, options.tokenizer, options)
            advance(1)
    finish(found, options, ["", lost.text()])


if __name__ == "__main__":
    raise SystemExit(guarded(main))
