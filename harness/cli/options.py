"""Options that several commands share, and how their values are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.core.errors import UsageError

if TYPE_CHECKING:
    from harness.artifacts.workspace import Workspace
    from harness.core.progress import Progress

#: Groups of options in the help.
WHAT, HOW, OUTPUT = "What is evaluated", "How it is answered", "Output"

Model = Annotated[str, typer.Option(help="An exported model; `harness models` lists them.")]
Models = Annotated[
    list[str],
    typer.Option(
        "--model", metavar="NAME", help="An exported model; two, comma-separated, are compared.", rich_help_panel=WHAT
    ),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder.  [default: the folder that the recipe names, or $HARNESS_DATA]"),
]
Destination = Annotated[Path | None, typer.Option("--data", help="Data folder.  [default: $HARNESS_DATA]")]
DataToRead = Annotated[
    Path | None, typer.Option("--data", help="Data folder.  [default: $HARNESS_DATA, or the sample data]")
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Exit with code 3 where a score has a warning, after it was written.", rich_help_panel=OUTPUT
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress and no status lines.")]
Languages = Annotated[
    str | None, typer.Option(help="Only these languages, comma-separated ISO 639-1 codes.  [default: all]")
]
Submission = Annotated[
    Path | None,
    typer.Option(
        help="Also write the predictions there, in the official layout.  [default: nowhere]", rich_help_panel=OUTPUT
    ),
]

AllowGoldErrors = Annotated[
    bool,
    typer.Option(
        "--allow-gold-errors",
        help="Count and list gold answers that contradict their text, instead of refusing them.",
    ),
]


def names(values: str | Sequence[str] | None) -> list[str]:
    """Return the names in comma-separated values."""
    given = [values] if isinstance(values, str) else list(values or ())
    return [part.strip() for value in given for part in value.split(",") if part.strip()]


#: How a command ends whose scores have warnings, with `--strict`.
DOUBTFUL = 3


def end_strictly(strict: bool, doubtful: bool) -> None:
    """End a command whose scores are written and printed.

    Args:
        strict: whether warnings count as a failure.
        doubtful: whether there are any.
    """
    if strict and doubtful:
        raise typer.Exit(DOUBTFUL)


def progress(quiet: bool) -> "Progress":
    """Return what shows progress on the terminal, or nothing."""
    from harness.core.progress import Silent

    if quiet:
        return Silent()
    from harness.core.terminal import Terminal

    return Terminal()


def current_workspace(quiet: bool = False, *, makes: bool = False) -> "Workspace":
    """Return the workspace, and say on standard error that the folder is none yet, where it is none.

    Args:
        quiet: say nothing.
        makes: whether the command makes the workspace that is missing.
    """
    from harness.artifacts.workspace import Workspace

    found = Workspace.current()
    if not (quiet or found.is_there):
        lacks = f"{found.root} has no checkpoints, graphs, served models or runs"
        line = f"new workspace in {found.root}" if makes else f"no workspace here: {lacks}"
        typer.echo(f"{line}; HARNESS_HOME=DIR names another folder", err=True)
    return found


def seed_numbers(seeds: str) -> tuple[int, ...]:
    """Return the seeds of `--seeds 1,2,3`, each once.

    Raises:
        UsageError: one is no whole number from 0 on.
    """
    parts = names(seeds)
    wrong = [part for part in parts if not part.isdecimal()]
    if wrong or not parts:
        message = f"--seeds is {seeds!r}; whole numbers from 0 on are expected, such as --seeds 1,2,3"
        raise UsageError(message)
    return tuple(dict.fromkeys(int(part) for part in parts))
