"""Tatoeba, XNLI, XQuAD with MLQA: this harness against the scripts of XTREME, speed and score."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare.networks import EXACT, Network
from benchmarks.compare.session import UNIT, SampleSize, Session
from benchmarks.contenders import workload
from benchmarks.contenders.baseshape import cost, shapes
from benchmarks.contenders.eager import EagerTorch, answering
from benchmarks.contenders.ours import Harness
from benchmarks.contenders.workload import Workload
from benchmarks.core.plots import Point
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import Contender, Timing, alternate
from harness.core.heads import is_retrieval
from harness.core.task import Outputs
from harness.inference.endpoints.onnx import OnnxEndpoint

#: Two products closer than this are a tie between engines: float32 sums of a thousand products, taken in
#: another order, differ by less.
RANKING_TIE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedWork:
    """One line of the table."""

    name: str
    label: str
    tasks: tuple[str, ...]
    finetune: str
    #: What XTREME's scripts pad to.
    width: int | Literal["longest"]
    #: Target ratios in fp32, and in the fastest gated variant.
    targets: tuple[float, float]
    #: Which of the sample's counts limits a language.
    questions: bool = False

    def limit(self, sample: SampleSize) -> int:
        """Return the scored examples of each language."""
        return sample.questions if self.questions else sample.rows


TATOEBA = ComparedWork(
    name="tatoeba",
    label="Tatoeba: both sides and search",
    tasks=("tatoeba",),
    finetune="encoder",
    width="longest",
    targets=(3.3, 7.0),
)
XNLI = ComparedWork(name="xnli", label="XNLI", tasks=("xnli",), finetune="mnli", width=128, targets=(2.7, 6.0))
QA = ComparedWork(
    name="qa",
    label="XQuAD and MLQA",
    tasks=("xquad", "mlqa"),
    finetune="squad",
    width=384,
    targets=(1.6, 3.2),
    questions=True,
)
WORKS = (TATOEBA, XNLI, QA)


class Answering(Protocol):
    """A side that answers every row of a workload."""

    @property
    def name(self) -> str:
        """What rows call it."""
        ...

    def warm_up(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        ...

    def run(self) -> object:
        """See `benchmarks.core.timing.Contender`."""
        ...

    def outputs(self) -> list[list[Outputs]]:
        """Return the last run's answers."""
        ...


@dataclass(slots=True)
class Predicting:
    """A contender: from rows to predictions, which for sentences is the search among them."""

    name: str
    side: Answering
    rows: Workload
    #: A side that runs again has been warmed up.
    warm: bool = False
    predicted: list[Sequence[Any]] = field(default_factory=list)

    def warm_up(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        if not self.warm:
            self.side.warm_up()

    def run(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        self.side.run()
        self.predicted = workload.predictions(self.rows, self.side.outputs())


def twice(mine: Sequence[Contender], again: Sequence[Contender], theirs: Sequence[Contender]) -> list[Contender]:
    """Return the order of a round: ours, theirs, and ours once more the other way round.

    A machine that gets slower or faster meanwhile shows as our spread, and its mean over both is what
    theirs, in the middle, met.
    """
    return [*mine, *theirs, *reversed(again)]


def both(timings: Mapping[str, Timing], first: str, again: str) -> Timing:
    """Return our two runs as one timing."""
    return Timing((*timings[first].seconds, *timings[again].seconds))


def measure(work: ComparedWork, session: Session) -> list[Row]:
    """Return the rows of one work: speed with random weights at base shape, and score with the trained model."""
    limit = work.limit(session.sample)
    found = []
    for scored in (False, True):
        network = session.network(work.finetune, scored=scored)
        rows = session.rows(work.tasks, limit, network)
        title = session.title(work.label, rows, limit)
        found += compare(work, network, rows, f"{title}, {network.label}", session)
    return found


def compare(work: ComparedWork, network: Network, rows: Workload, title: str, session: Session) -> list[Row]:
    """Return one row for each graph of a network against the baseline, which runs once.

    Args:
        work: what is done.
        network: both sides of it.
        rows: of all its languages, tokenized.
        title: of the rows.
        session: gives progress and a folder.
    """
    kind = "trained" if network.scored else "random"
    folder = session.folder / "journals" / f"{work.name}-{kind}"
    with ExitStack() as stack:
        ours = _ours(stack, network, rows, folder)
        head = network.finetune.head
        eager = EagerTorch(network.torch, rows, answer=answering(head, network.layer), width=work.width)
        theirs = Predicting(eager.name, eager, rows)
        mine = [Predicting(f"{name}, first", side, rows) for name, side in ours.items()]
        again = [Predicting(f"{EXACT}, again", ours[EXACT], rows, warm=True)]
        order = twice(mine, again, [theirs])
        with session.progress.step(f"{work.label}, {kind} weights", 2 * len(order), "runs") as advance:
            timings = alternate(order, warmup=1, repeats=1, advance=advance)
        outputs = {name: side.outputs() for name, side in ours.items()}
    return [
        _row(
            section=work.name,
            title=title,
            variant=name,
            network=network,
            rows=rows,
            side=ours[name],
            predicted=found.predicted,
            timing=both(timings, f"{name}, first", f"{name}, again") if name == EXACT else timings[f"{name}, first"],
            theirs=theirs,
            their_timing=timings[theirs.name],
            target=None if network.scored else work.targets[name != EXACT],
            details=_equality(rows, name, outputs[name], eager.outputs()),
        )
        for name, found in zip(ours, mine, strict=True)
    ]


def _ours(stack: ExitStack, network: Network, rows: Workload, folder: Path) -> dict[str, Harness]:
    found = {}
    for name, artifact in network.graphs.items():
        endpoint = stack.enter_context(OnnxEndpoint.for_batches(artifact))
        found[name] = Harness(name, endpoint, artifact, rows, folder)
    return found


def _row(
    *,
    section: str,
    title: str,
    variant: str,
    network: Network,
    rows: Workload,
    side: Harness,
    predicted: Sequence[Sequence[Any]],
    timing: Timing,
    theirs: Predicting,
    their_timing: Timing,
    target: float | None,
    details: Mapping[str, Any],
) -> Row:
    scores: dict[str, Any] = {}
    numbers: list[float | None] = [None, None]
    if network.scored:
        numbers = [workload.score(rows, each) for each in (predicted, theirs.predicted)]
        left, right = (workload.scores_by(rows, each, "script") for each in (theirs.predicted, predicted))
        scores = {
            "score_by_task": workload.scores_by(rows, predicted, "task"),
            "loss_by_script": {script: round(left[script] - right[script], 4) for script in left},
            "scores_by_script": {"ours": right, "baseline": left},
        }
    done = cost(network.shape, network.depth, shapes(side.plan()))
    return rate_row(
        f"{title}, {variant}",
        rows.useful_tokens,
        UNIT,
        Side("ours", timing, numbers[0]),
        Side(theirs.name, their_timing, numbers[1]),
        target=target,
        equal_predictions=workload.agreement(
            workload.decisions(rows, predicted), workload.decisions(rows, theirs.predicted)
        ),
        padding={
            "ours": round(side.padded_tokens / rows.useful_tokens, 4),
            "baseline": round(theirs.side.padded_tokens / rows.useful_tokens, 4),  # type: ignore[attr-defined]
        },
        section=section,
        variant=variant,
        weights="trained" if network.scored else "random",
        layers=network.depth,
        metric=sorted({name for item in rows.featurized for name in item.job.task.headline}),
        useful_tokens=rows.useful_tokens,
        rows=rows.rows,
        languages=sorted({item.job.language for item in rows.featurized}),
        # What the products of our plan are worth in a second of ours.
        operations_per_second=done.operations / timing.median,
        not_measured=list(network.reasons),
        **scores,
        **details,
    )


def points(rows: Sequence[Row]) -> dict[str, list[Point]]:
    """Return what each script scores and how fast, by section: our variants, and the baseline."""
    found: dict[str, list[Point]] = {}
    for row in rows:
        scores = row.details.get("scores_by_script")
        if scores is None:
            continue
        section = found.setdefault(row.details["section"], [])
        if not section:
            section += [
                Point("baseline", script, value, row.baseline_value) for script, value in scores["baseline"].items()
            ]
        section += [Point(row.details["variant"], script, value, row.ours) for script, value in scores["ours"].items()]
    return found


def _equality(
    rows: Workload, variant: str, ours: Sequence[Sequence[Outputs]], theirs: Sequence[Sequence[Outputs]]
) -> dict[str, Any]:
    """Return how equal the answers themselves are: the largest difference, and for vectors the rankings."""
    largest = max(
        float(np.abs(one[name] - other[name]).max())
        for mine, others in zip(ours, theirs, strict=True)
        for one, other in zip(mine, others, strict=True)
        for name in one
    )
    if not is_retrieval(rows.task.finetune.head) or variant != EXACT:
        return {"largest_difference": largest}
    return {"largest_difference": largest, "equal_rankings": equal_rankings(rows, ours, theirs)}


def equal_rankings(rows: Workload, ours: Sequence[Sequence[Outputs]], theirs: Sequence[Sequence[Outputs]]) -> float:
    """Return the share of queries, in percent, that rank all candidates the same up to ties (`RANKING_TIE`)."""
    same = [value for pair in _products(rows, ours, theirs) for value in same_ranking(*pair)]
    return 100 * float(np.mean(same))


def _products(
    rows: Workload, ours: Sequence[Sequence[Outputs]], theirs: Sequence[Sequence[Outputs]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield the products (queries, candidates) of both sides, language by language."""
    for item, mine, others in zip(rows.featurized, ours, theirs, strict=True):
        sides = [item.examples[feature.example].side for feature in item.features]
        queries, candidates = (
            [row for row, side in enumerate(sides) if side == wanted] for wanted in ("query", "candidate")
        )
        left, right = (np.stack([answer["embedding"] for answer in answers]) for answers in (mine, others))
        yield left[queries] @ left[candidates].T, right[queries] @ right[candidates].T


def same_ranking(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return for each query whether ours orders its candidates as theirs does, up to ties.

    Along our order their products must never rise by `RANKING_TIE` above an earlier one.

    Args:
        ours: products (queries, candidates).
        theirs: the same of the other side.
    """
    along = np.take_along_axis(theirs, np.argsort(-ours, axis=1, kind="stable"), axis=1)
    still_to_come = np.maximum.accumulate(along[:, ::-1], axis=1)[:, ::-1]
    same: NDArray[np.bool_] = (still_to_come - along < RANKING_TIE).all(axis=1)
    return same
