"""The best loop that a good engineer writes by hand: all rows sorted by length, on every engine.

Each engine tries fixed rows (8, 16, 32, 64) and fixed token budgets (1,024, 2,048, 4,096) on a small part,
spread evenly over the sorted rows; its best size answers everything, and ours is compared with
the best engine.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.compare.networks import Network
from benchmarks.compare.session import UNIT, Session
from benchmarks.compare.works import TATOEBA, XNLI, ComparedWork, both, twice
from benchmarks.contenders import workload
from benchmarks.contenders.baseshape import cost, shapes
from benchmarks.contenders.eager import ReadOutputs, answering
from benchmarks.contenders.ours import Harness
from benchmarks.contenders.workload import Workload, evenly
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import alternate
from harness.core.heads import SentenceEmbedding
from harness.core.machine import cores
from harness.core.task import Outputs
from harness.core.tensors import Tensors, pad
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.planner import Batch

#: The target ratio: pooled Tatoeba repeats sentences, which the loop sends again.
TARGETS = ((XNLI, 0.97), (TATOEBA, 1.1))
#: One of so many parts of the sample is answered, and one of so many of its rows finds the sizes.
SHARE, TRIAL = 8, 6
BatchOutputs: TypeAlias = list[dict[str, NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How sorted rows are cut into batches: a number of rows, or of padded tokens."""

    unit: str
    count: int

    def describe(self) -> str:
        """Return it as rows name it."""
        return f"{self.count:,} {self.unit} a batch"

    def cut(self, lengths: Sequence[int]) -> list[Batch]:
        """Return batches over all rows, longest first, each as wide as its longest row."""
        order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
        batches, start = [], 0
        while start < len(order):
            width = lengths[order[start]]
            size = self.count if self.unit == "rows" else max(1, self.count // width)
            batches.append(Batch(tuple(order[start : start + size]), width))
            start += size
        return batches


BATCH_SIZES = (
    *(BatchSize("rows", count) for count in (8, 16, 32, 64)),
    *(BatchSize("tokens", count) for count in (1_024, 2_048, 4_096)),
)


class Engine(Protocol):
    """BatchOutputs padded batches."""

    @property
    def name(self) -> str:
        """What rows call it."""
        ...

    def answer(self, batches: Iterable[Tensors]) -> BatchOutputs:
        """Return the outputs of each batch by name, in order."""
        ...


@dataclass(frozen=True, slots=True)
class OrtLoop:
    """ONNX Runtime with its default session, threads = cores."""

    session: onnxruntime.InferenceSession
    name: str = "ONNX Runtime"

    def answer(self, batches: Iterable[Tensors]) -> BatchOutputs:
        """See `Engine.answer`."""
        names = [output.name for output in self.session.get_outputs()]
        return [dict(zip(names, self.session.run(names, dict(batch)), strict=True)) for batch in batches]


@dataclass(frozen=True, slots=True)
class TorchLoop:
    """transformers' network in inference mode, only the layers that are needed."""

    network: nn.Module
    read: ReadOutputs
    name: str = "PyTorch eager"

    def answer(self, batches: Iterable[Tensors]) -> BatchOutputs:
        """See `Engine.answer`."""
        found = []
        with torch.inference_mode():
            for batch in batches:
                tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
                found.append({name: value.numpy() for name, value in self.read(self.network, tensors).items()})
        return found


@dataclass(frozen=True, slots=True)
class NamedEngine:
    """An engine under a name of its own."""

    name: str
    answer: Callable[[Iterable[Tensors]], BatchOutputs]


@contextmanager
def shallow(network: nn.Module, layer: int | None) -> Iterator[nn.Module]:
    """Give an encoder without the layers above the one that is read, as a hand-written loop would run it."""
    if layer is None:
        yield network
        return
    encoder: Any = network.encoder
    whole = encoder.layer
    encoder.layer = whole[:layer]
    try:
        yield network
    finally:
        encoder.layer = whole


def engines(network: Network, torch_network: nn.Module) -> list[Engine]:
    """Return every engine with the network's fp32 graph or weights loaded.

    Raises:
        MissingExtra: OpenVINO is not installed.
    """
    from benchmarks.compare.peers.openvino_runtime import Compiled

    torch.set_num_threads(cores())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    graph: Path = network.exact.graph
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    head = network.finetune.head
    # The last of the layers that are left is the one to be read.
    layer = -1 if isinstance(head, SentenceEmbedding) else None
    return [
        OrtLoop(session),
        NamedEngine("OpenVINO, hint LATENCY", Compiled(graph, "LATENCY").answer),
        NamedEngine("OpenVINO, hint THROUGHPUT", Compiled(graph, "THROUGHPUT").answer),
        TorchLoop(torch_network, answering(head, layer)),
    ]


@dataclass(slots=True)
class SortedLoop:
    """A contender: one engine over sorted batches, padded as they are sent."""

    engine: Engine
    size: BatchSize
    rows: Sequence[NDArray[np.int64]]
    pad_id: int
    warm: bool = False
    answers: dict[int, Outputs] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What rows call it."""
        return f"hand-tuned: {self.engine.name}, sorted, {self.size.describe()}"

    def batches(self) -> list[Batch]:
        """Return what is sent."""
        return self.size.cut([len(row) for row in self.rows])

    def warm_up(self) -> None:
        """Answer the narrowest batch, or, not tried before, also the widest."""
        plan = self.batches()
        self.engine.answer(self._padded(plan[-1:] if self.warm else [plan[0], plan[-1]]))

    def run(self) -> None:
        """Answer every batch and keep each row's part."""
        plan = self.batches()
        self.answers = {}
        for batch, found in zip(plan, self.engine.answer(self._padded(plan)), strict=True):
            for index, row in enumerate(batch.rows):
                self.answers[row] = {name: value[index] for name, value in found.items()}

    def _padded(self, plan: Sequence[Batch]) -> Iterator[Tensors]:
        return (pad([self.rows[row] for row in batch.rows], self.pad_id, batch.width) for batch in plan)


def tuned(engine: Engine, rows: Workload, features: Sequence[NDArray[np.int64]]) -> tuple[SortedLoop, dict[str, float]]:
    """Return an engine's loop with the size that answered a part of the rows fastest, and the seconds of each."""
    order = sorted(features, key=len)
    part = evenly(order, max(1, len(order) // TRIAL))
    seconds: dict[BatchSize, float] = {}
    SortedLoop(engine, BATCH_SIZES[0], part, rows.pad_id).warm_up()
    for size in BATCH_SIZES:
        trial = SortedLoop(engine, size, part, rows.pad_id, warm=True)
        trial.warm_up()
        begin = time.perf_counter()
        trial.run()
        seconds[size] = time.perf_counter() - begin
    best = min(seconds, key=lambda size: seconds[size])
    trials = {size.describe(): round(value, 4) for size, value in seconds.items()}
    return SortedLoop(engine, best, features, rows.pad_id), trials


def measure(session: Session) -> list[Row]:
    """Return our rate against the best hand-tuned loop on XNLI and on pooled Tatoeba, base shape, fp32."""
    return [_compare(session, work, target) for work, target in TARGETS]


def _compare(session: Session, work: ComparedWork, target: float) -> Row:
    limit = work.limit(session.sample.part(SHARE))
    rows = session.rows(work.tasks, limit)
    network = session.network(work.finetune, scored=False)
    features = [feature.input_ids for item in rows.featurized for feature in item.features]
    with shallow(network.torch, network.layer) as cut, OnnxEndpoint.for_batches(network.exact) as endpoint:
        folder = session.folder / "journals" / f"handtuned-{work.name}"
        ours, again = (Harness(name, endpoint, network.exact, rows, folder) for name in ("first", "again"))
        loops, trials = [], {}
        loaded = engines(network, cut)
        with session.progress.step(f"{work.label}: tuning by hand", len(loaded), "engines") as advance:
            for engine in loaded:
                loop, trials[engine.name] = tuned(engine, rows, features)
                loops.append(loop)
                advance(1)
        order = twice([ours], [again], loops)
        with session.progress.step(f"{work.label}: against loops tuned by hand", 2 * len(order), "runs") as advance:
            timings = alternate(order, warmup=1, repeats=1, advance=advance)
        answered = ours.outputs()
    best = min(loops, key=lambda loop: timings[loop.name].median)
    timing = both(timings, "first", "again")
    done = cost(network.shape, network.depth, shapes(ours.plan()))
    return rate_row(
        f"{session.title(work.label, rows, limit)}, {network.label}, fp32, against the best loop tuned by hand",
        rows.useful_tokens,
        UNIT,
        Side("ours", timing, None),
        Side(best.name, timings[best.name], None),
        target=target,
        equal_predictions=workload.agreement(
            *(workload.decisions(rows, workload.predictions(rows, each)) for each in (answered, grouped(rows, best)))
        ),
        others={loop.name: round(timings[loop.name].median, 4) for loop in loops},
        trials=trials,
        operations_per_second=done.operations / timing.median,
        variant="fp32",
        weights="random",
    )


def grouped(rows: Workload, loop: SortedLoop) -> list[list[Outputs]]:
    """Return a loop's last answers as a workload has its rows: job by job."""
    found, start = [], 0
    for item in rows.featurized:
        found.append([loop.answers[start + row] for row in range(len(item.features))])
        start += len(item.features)
    return found
