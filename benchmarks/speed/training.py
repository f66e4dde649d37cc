"""Training: useful tokens/s, steps/s, memory and loss of ours against transformers' Trainer.

::

    harness bench training --data DEST --tokenizer FILE
    harness bench training --data DEST --tokenizer FILE --checkpoint FOLDER --finetune squad --steps 20 --repeats 5
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev

import msgspec

from benchmarks.contenders.trainers import SIDES, Job, Measured
from benchmarks.core.options import add_output, bench_parser, positive
from benchmarks.core.report import finish, guarded
from benchmarks.core.rows import Row, Side, less_row, rate_row
from benchmarks.core.timing import Timing
from harness.core.errors import UsageError
from harness.core.progress import Progress
from harness.core.terminal import Terminal

UNIT = "useful tokens/s"
#: Side -> the wanted ratio of our rate over its own.
TARGETS = {"defaults": 4.0, "best": 1.2}
OURS = "ours"
#: Of the losses of a training, the share at its end that is averaged.
TAIL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """The options of the command line."""

    data: Path
    tokenizer: Path
    checkpoint: Path | None
    finetune: str
    layers: int
    examples: int
    rows: int
    steps: int
    warmup: int
    repeats: int
    learning_rate: float
    sides: tuple[str, ...]
    json: Path | None
    plot: Path | None


def parse(arguments: Sequence[str] | None = None) -> TrainingOptions:
    """Return the options of a command line."""
    parser = bench_parser("training", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of the encoder")
    parser.add_argument("--checkpoint", type=Path, help="folder of an encoder; random weights in e5-small's shape")
    parser.add_argument("--finetune", default="mnli", help="training set, its English rows; mnli")
    parser.add_argument("--layers", type=positive, default=12, help="of random weights; 12")
    parser.add_argument("--examples", type=positive, default=2000, help="training examples that are read; 2000")
    parser.add_argument("--rows", type=positive, default=32, help="examples of a step; 32")
    parser.add_argument("--steps", type=positive, default=20, help="timed steps; 20")
    parser.add_argument("--warmup", type=positive, default=2, help="steps before the clock; 2")
    parser.add_argument("--repeats", type=positive, default=3, help="rounds, each with a seed of its own; 3")
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="of all sides; 5e-5")
    parser.add_argument("--sides", default=",".join(SIDES), help=f"comma-separated; {','.join(SIDES)}")
    add_output(parser)
    found = parser.parse_args(arguments)
    sides = tuple(part.strip() for part in found.sides.split(",") if part.strip())
    unknown = [name for name in sides if name not in SIDES]
    if unknown or OURS not in sides:
        parser.error(f"--sides is {found.sides!r}; {OURS!r} and some of {', '.join(SIDES)} are expected")
    return TrainingOptions(**{**vars(found), "sides": sides})


def jobs(options: TrainingOptions) -> list[Job]:
    """Return every training in the order of its turn: each round takes each side once, with one seed."""
    return [
        Job(
            side=side,
            data=str(options.data),
            finetune=options.finetune,
            tokenizer=str(options.tokenizer),
            checkpoint=None if options.checkpoint is None else str(options.checkpoint),
            layers=options.layers,
            examples=options.examples,
            rows=options.rows,
            steps=options.steps,
            warmup=options.warmup,
            learning_rate=options.learning_rate,
            seed=seed,
        )
        for seed in range(1, options.repeats + 1)
        for side in options.sides
    ]


def measured(job: Job) -> Measured:
    """Return what one training took; a process of its own has a peak of memory of its own.

    Raises:
        UsageError: it failed; the message has what it said last.
    """
    command = [sys.executable, "-m", "benchmarks.contenders.trainers", msgspec.json.encode(job).decode()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        message = f"the training of {SIDES[job.side].name!r} failed: {said[-1] if said else done.returncode}"
        raise UsageError(message)
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Measured)


def rows(options: TrainingOptions, found: Mapping[str, Sequence[Measured]]) -> list[Row]:
    """Return our rate and memory against those of each other side.

    Args:
        options: of the command line.
        found: side -> what each round measured.
    """
    shape = "random weights" if options.checkpoint is None else options.checkpoint.name
    layers = f", {options.layers} layers" if options.checkpoint is None else ""
    work = f"training on {options.finetune}, steps of {options.rows} examples, {shape}{layers}"
    ours, made = found[OURS], []
    amount = mean(each.tokens for each in ours)
    for name in options.sides:
        if name == OURS:
            continue
        theirs = found[name]
        made.append(
            rate_row(
                work,
                amount,
                UNIT,
                Side(SIDES[OURS].name, timing(ours, amount), None),
                Side(SIDES[name].name, timing(theirs, amount), None),
                target=TARGETS.get(name),
                steps_per_second={"ours": _steps(options, ours), "baseline": _steps(options, theirs)},
                padding={"ours": _padding(ours), "baseline": _padding(theirs)},
                loss={"ours": [tail(each) for each in ours], "baseline": [tail(each) for each in theirs]},
                loss_at_start={
                    "ours": [each.losses[0] for each in ours],
                    "baseline": [each.losses[0] for each in theirs],
                },
                same_loss=same_loss(ours, theirs),
            )
        )
        memory = [median(each.peak_bytes for each in side) / 2**30 for side in (ours, theirs)]
        made.append(less_row(work, "GiB at the peak", memory[0], SIDES[name].name, memory[1]))
    return made


def timing(runs: Sequence[Measured], amount: float) -> Timing:
    """Return the seconds that a side needs for an amount of useful tokens: batches differ a little in theirs."""
    return Timing(tuple(each.seconds * amount / each.tokens for each in runs))


def _steps(options: TrainingOptions, runs: Sequence[Measured]) -> float:
    return round(options.steps / median(each.seconds for each in runs), 4)


def _padding(runs: Sequence[Measured]) -> float:
    return round(mean(each.padding for each in runs), 4)


def tail(run: Measured) -> float:
    """Return the mean loss of a training's last quarter."""
    last = run.losses[-max(1, len(run.losses) // TAIL) :]
    return mean(last)


def same_loss(ours: Sequence[Measured], theirs: Sequence[Measured]) -> bool | None:
    """Return whether two sides' mean losses differ by less than the noise of seeds; None for one seed.

    The noise is twice the standard error of the difference of two means.
    """
    if len(ours) < 2:
        return None
    first, second = ([tail(each) for each in side] for side in (ours, theirs))
    error = float((stdev(first) ** 2 + stdev(second) ** 2) / len(first)) ** 0.5
    return bool(abs(mean(first) - mean(second)) <= 2 * error)


def notes(made: Sequence[Row]) -> list[str]:
    """Return a line for each baseline: steps, padding and losses, which the tables do not hold."""
    lines = []
    for row in made:
        if "loss" not in row.details:
            continue
        pairs = {
            "steps/s": row.details["steps_per_second"],
            "computed over useful tokens": row.details["padding"],
            "loss at the end": {side: mean(values) for side, values in row.details["loss"].items()},
        }
        shown = "; ".join(f"{name} {pair['ours']:.3f}, theirs {pair['baseline']:.3f}" for name, pair in pairs.items())
        same = {True: "within the noise of seeds", False: "OTHER LOSS THAN THE NOISE OF SEEDS ALLOWS", None: "one seed"}
        lines.append(f"{row.baseline}: ours {shown}; {same[row.details['same_loss']]}")
    return lines


def run(options: TrainingOptions, progress: Progress) -> list[Row]:
    """Measure every side in turn."""
    found: dict[str, list[Measured]] = {side: [] for side in options.sides}
    turns = jobs(options)
    with progress.step("training", len(turns), "trainings") as advance:
        for job in turns:
            found[job.side].append(measured(job))
            advance(1)
    return rows(options, found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw the rows where the options say."""
    options = parse(arguments)
    made = run(options, Terminal())
    finish(made, options, notes(made))


if __name__ == "__main__":
    raise SystemExit(guarded(main))
