"""The bodies of `harness compare`, `report` and `leaderboard`: from names of runs to lines and files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.artifacts.workspace import Workspace
from harness.comparison import comparing
from harness.comparison.comparing import ComparisonRequest
from harness.comparison.sheets import Sheet, format_of, render
from harness.core.errors import UsageError
from harness.core.files import write_text
from harness.core.progress import Progress

__all__ = ["ComparisonRequest", "compare"]


def compare(
    request: ComparisonRequest, workspace: Workspace, progress: Progress, form: str | None, output: Path | None
) -> Iterator[str]:
    """Yield the tables, or write them and yield where.

    Raises:
        UsageError: an unknown format, or an output that cannot be a file; see `comparing.compare`.
    """
    chosen = format_of(form, "" if output is None else output.suffix)
    _check_output(output, "comparison.md")
    sheets = comparing.compare(request, workspace, progress)
    yield from _written(render(sheets, chosen), output, sheets)


def _written(text: str, output: Path | None, sheets: Sequence[Sheet]) -> Iterator[str]:
    if output is None:
        yield text.rstrip("\n")
        return
    write_text(output, text)
    yield f"wrote {output}: {sum(len(sheet.rows) for sheet in sheets):,} rows"


def _check_output(output: Path | None, name: str) -> None:
    if output is not None and output.is_dir():
        message = f"{output} is a folder; `--output` must name a file, such as {output / name}"
        raise UsageError(message)
