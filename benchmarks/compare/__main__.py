"""Every graph-speed row of the table in one command: ratio, rates, target, and the metric beside.

::

    harness bench compare --model real_small --data DEST --json FILE
    harness bench compare --model mixed_ru --quick --only tatoeba,xnli
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.core.options import add_output, bench_parser, plot_file
from benchmarks.core.report import finish, guarded
from benchmarks.core.rows import Row
from harness.artifacts.workspace import Workspace
from harness.core.errors import MissingExtra, UsageError, nearest
from harness.core.progress import Progress
from harness.core.terminal import Terminal

if TYPE_CHECKING:
    from benchmarks.compare.session import Session
    from benchmarks.contenders.baseshape import Shape

#: Measures some rows; given those that were measured before.
Section: TypeAlias = Callable[["Session", Sequence[Row]], list[Row]]

# Sections import what they need when they are run: torch and the peers take seconds, and may be missing.


def _work(name: str) -> Section:
    def measured(session: "Session", _: Sequence[Row]) -> list[Row]:
        from benchmarks.compare import works

        return works.measure(next(work for work in works.WORKS if work.name == name), session)

    return measured


def _mixed(session: "Session", _: Sequence[Row]) -> list[Row]:
    from benchmarks.compare import mixed

    return mixed.measure(session)


def _handtuned(session: "Session", _: Sequence[Row]) -> list[Row]:
    from benchmarks.compare import handtuned

    return handtuned.measure(session)


def _padding(session: "Session", _: Sequence[Row]) -> list[Row]:
    from benchmarks.compare import sides

    return sides.padding(session)


def _startup(session: "Session", _: Sequence[Row]) -> list[Row]:
    from benchmarks.speed import startup

    setting = startup.StartupSetting(
        model=session.model, data=session.data, tasks="xnli", limit=session.sample.rows * STARTUP
    )
    return startup.measure(setting, session.workspace, session.progress)


def _triton(session: "Session", _: Sequence[Row]) -> list[Row]:
    from benchmarks.compare import sides

    return sides.triton(session)


def _overhead(session: "Session", _: Sequence[Row]) -> list[Row]:
    from benchmarks.compare import sides

    return sides.overhead(session)


def _peak(session: "Session", rows: Sequence[Row]) -> list[Row]:
    from benchmarks.compare import peak

    return peak.measure(session, rows)


#: Rows of each language in the evaluations that are timed from the start of the process, in rows of the sample.
STARTUP = 5
#: In the order of the table; what rests on others' rows comes last.
SECTIONS: Mapping[str, Section] = {
    "tatoeba": _work("tatoeba"),
    "xnli": _work("xnli"),
    "qa": _work("qa"),
    "mixed": _mixed,
    "handtuned": _handtuned,
    "padding": _padding,
    "startup": _startup,
    "triton": _triton,
    "overhead": _overhead,
    "peak": _peak,
}
#: Section -> the packages that it compares with.
NEEDS: Mapping[str, tuple[str, ...]] = {"mixed": ("openvino", "sentence_transformers"), "handtuned": ("openvino",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """The options of the command line."""

    model: str
    data: Path | None
    tokenizer: Path | None
    quick: bool
    only: tuple[str, ...]
    json: Path | None
    plot: Path | None
    #: One image for each work of the trained model, named after it.
    frontier: Path | None


def parse(arguments: Sequence[str] | None = None) -> CompareOptions:
    """Return the options of a command line.

    Raises:
        UsageError: a section that there is not.
        MissingExtra: a peer of a section is not installed; checked before anything is measured.
    """
    parser = bench_parser("compare", __doc__)
    parser.add_argument("--model", required=True, help="a trained and exported model, for the score rows")
    parser.add_argument("--data", type=Path, help="data folder; that of the model's recipe, or $HARNESS_DATA")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json of the speed rows; the model's own")
    parser.add_argument(
        "--quick", action="store_true", help="half of the layers; 4 rows or 1 question of each language, not 100 and 20"
    )
    parser.add_argument("--only", default="", metavar="NAMES", help=f"of {', '.join(SECTIONS)}; comma-separated")
    add_output(parser)
    parser.add_argument(
        "--frontier", type=plot_file, metavar="FILE.png|svg", help="draw score against speed by script here"
    )
    found = parser.parse_args(arguments)
    only = tuple(part.strip() for part in found.only.split(",") if part.strip()) or tuple(SECTIONS)
    for name in only:
        if name not in SECTIONS:
            message = f"no section {name!r}{nearest(name, SECTIONS)}; there is {', '.join(SECTIONS)}"
            raise UsageError(message)
        for package in NEEDS.get(name, ()):
            if find_spec(package) is None:
                raise MissingExtra(package, "bench")
    if found.tokenizer is not None and not found.tokenizer.is_file():
        message = f"tokenizer {found.tokenizer} does not exist; name a tokenizer.json with `--tokenizer`"
        raise UsageError(message)
    return CompareOptions(
        model=found.model,
        data=found.data,
        tokenizer=found.tokenizer,
        quick=found.quick,
        only=only,
        json=found.json,
        plot=found.plot,
        frontier=found.frontier,
    )


def measure(
    options: CompareOptions, workspace: Workspace, progress: Progress, shape: "Shape | None" = None
) -> tuple[list[Row], list[str]]:
    """Return the rows of every wanted section, and the notes for the foot of the report.

    Args:
        options: of the command line.
        workspace: has the trained model.
        progress: of every step.
        shape: of the random weights; XLM-R base's if not given.

    Raises:
        HarnessError: a name, a file, a graph or a server is not as it must be.
    """
    for package in ("torch", "transformers", "optimum"):
        if find_spec(package) is None:
            raise MissingExtra(package, "export")
    from benchmarks.compare.session import FULL, HALF, QUICK, Session
    from benchmarks.compare.works import XNLI
    from benchmarks.contenders.baseshape import Shape as BaseShape

    exact = workspace.artifacts.find(options.model, XNLI.finetune, "fp32")
    rows: list[Row] = []
    seconds: dict[str, float] = {}
    with TemporaryDirectory(prefix="harness-compare-") as folder:
        session = Session(
            model=options.model,
            workspace=workspace,
            layout=workspace.layout(options.data, exact.checkpoint.data),
            sample=QUICK if options.quick else FULL,
            folder=Path(folder),
            progress=progress,
            tokenizer_file=options.tokenizer or exact.tokenizer,
            shape=shape or (HALF if options.quick else BaseShape()),
            data=options.data,
            quick=options.quick,
        )
        for name, section in SECTIONS.items():
            if name in options.only:
                begin = time.perf_counter()
                rows += section(session, rows)
                seconds[name] = time.perf_counter() - begin
        took = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
        return rows, [*dict.fromkeys(session.notes), f"took {sum(seconds.values()):.0f} s: {took}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw the rows where the options say."""
    options = parse(arguments)
    rows, notes = measure(options, Workspace.current(), Terminal())
    finish(
        rows,
        options,
        [
            "tokenization is done beforehand for both sides, but for mixed lengths, where all sides begin with text",
            "scores are percent, by the harness's own metric for both sides; only speed rows have a target",
            *notes,
        ],
    )
    if options.frontier is not None:
        _draw(rows, options.frontier)


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Draw accuracy against throughput, an image for each work: FILE-xnli.png."""
    from benchmarks.compare.works import points
    from benchmarks.core.plots import frontier

    for section, found in points(rows).items():
        image = path.with_name(f"{path.stem}-{section}{path.suffix}")
        frontier(found, image)
        print(f"score against speed drawn in {image}")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
