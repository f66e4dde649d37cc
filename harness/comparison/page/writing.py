"""A page from runs: values into the template, every text escaped, one file written whole."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.artifacts.workspace import Workspace
from harness.comparison.alignment import Aligned, align, only
from harness.comparison.page.content import MOST_RUNS, as_mapping, content
from harness.comparison.page.examples import KINDS, ExampleView, cell_items, view
from harness.comparison.runs import FinishedRun
from harness.comparison.sheets import Sheet
from harness.core.errors import MissingExtra, UsageError
from harness.core.files import write_text
from harness.core.languages import table
from harness.core.progress import Progress

if TYPE_CHECKING:
    import jinja2

#: What `--examples` says.
SAMPLED, EVERY, NONE = "sampled", "all", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPage:
    """What was written."""

    path: Path
    size: int
    #: Pages of examples beside it.
    beside: int
    not_compared: str

    def describe(self) -> str:
        """Return one line for people."""
        more = f", and {self.beside} pages of examples beside it" if self.beside else ""
        return f"wrote {self.path} ({self.size / 1e6:.1f} MB){more}"


def write_page(
    runs: Sequence[FinishedRun],
    output: Path,
    workspace: Workspace,
    progress: Progress,
    *,
    examples: str = SAMPLED,
    data: Path | None = None,
    force: bool = False,
    title: str = "XTREME report",
    remarks: Sequence[str] = (),
) -> WrittenPage:
    """Write the page of some runs.

    Args:
        runs: at least one; the first is what the others are compared with.
        output: the file.
        workspace: where data and graphs are.
        progress: shows what is computed.
        examples: ``sampled``, ``all`` (also a folder of pages beside the file), or ``none``.
        data: the data folder, where it is not where the runs found it.
        force: compare runs with other data or protocol.
        title: of the page.
        remarks: what a reader must know besides, such as which runs are not shown.

    Raises:
        UsageError: there are too many runs, or `examples` is none of the above.
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    if examples not in (SAMPLED, EVERY, NONE):
        message = f"no choice {examples!r} of examples; `--examples` is one of {SAMPLED}, {EVERY}, {NONE}"
        raise UsageError(message)
    if len(runs) > MOST_RUNS:
        message = (
            f"{len(runs)} runs are too many for one page, which has colours for {MOST_RUNS}; name those that it should "
            "show, `harness leaderboard` lists them all"
        )
        raise UsageError(message)
    environment()
    together, not_compared = _together(runs, workspace, progress, data, force)
    alone = _alone(runs, together, workspace, progress, data)
    value = content(alone, together if len(runs) > 1 else None, not_compared, workspace, progress)
    seen = together if together is not None else alone[0]
    shown = ExampleView(items=(), total={}, shown={}) if examples == NONE else view(seen, progress)
    names = list(value.runs[: len(seen.runs)])
    pages = _example_pages(seen, names, output, progress) if examples == EVERY else []
    text = (
        environment()
        .get_template("page.html")
        .render(
            title=title,
            **{**as_mapping(value), "remarks": [*value.remarks, *remarks]},
            examples=shown,
            example_runs=names,
            example_pages=[(path.relative_to(output.parent).as_posix(), name, count) for path, name, count in pages],
            example_data=script_json({"runs": names, "names": _names(), "items": []}, shown.items),
        )
    )
    write_text(output, text)
    return WrittenPage(path=output, size=len(text.encode()), beside=len(pages), not_compared=not_compared)


def _together(
    runs: Sequence[FinishedRun], workspace: Workspace, progress: Progress, data: Path | None, force: bool
) -> tuple[Aligned | None, str]:
    """Return the runs on their common items, or why they do not compare: the page then says that."""
    if len(runs) == 1:
        return None, ""
    try:
        return align(runs, workspace, progress, data=data, force=force), ""
    except UsageError as error:
        return None, str(error)


def aligned_alone(
    runs: Sequence[FinishedRun], workspace: Workspace, progress: Progress, data: Path | None
) -> list[Aligned]:
    """Return each run with all of its tasks and languages, whether they compare or not."""
    return [align([run], workspace, progress, data=data) for run in runs]


def _alone(
    runs: Sequence[FinishedRun], together: Aligned | None, workspace: Workspace, progress: Progress, data: Path | None
) -> list[Aligned]:
    """Return each run with all of its tasks and languages."""
    found = []
    for number, run in enumerate(runs):
        same = None if together is None else only(together, number)
        found.append(same or align([run], workspace, progress, data=data))
    return found


def _example_pages(
    aligned: Aligned, names: Sequence[str], output: Path, progress: Progress
) -> list[tuple[Path, str, int]]:
    """Write a page of all examples of each task and language."""
    folder = output.with_name(f"{output.stem}_examples")
    template = environment().get_template("examples.html")
    found = []
    with progress.step("example pages", len(aligned.cells), "files") as advance:
        for cell, items, counts in cell_items(aligned, None):
            ranked = sorted(items, key=lambda entry: (KINDS.index(entry[0]), entry[1]))
            texts = tuple(text for *_, text in ranked)
            path = folder / f"{cell.task}-{cell.language}.html"
            data = {"runs": list(names), "names": _names(), "items": []}
            write_text(
                path,
                template.render(
                    title=f"{cell.task} {cell.language}: all examples",
                    examples=ExampleView(items=texts, total=counts, shown=counts),
                    example_runs=names,
                    example_data=script_json(data, texts),
                    back=f"../{output.name}",
                ),
            )
            found.append((path, cell.name, len(items)))
            advance(1)
    return found


def board_page(sheet: Sheet) -> str:
    """Return the page of a leaderboard, which its reader sorts by any column.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    return environment().get_template("board.html").render(title="Leaderboard", sheet=sheet)


@cache
def _names() -> dict[str, str]:
    return {code: row.name for code, row in table().items()}


@cache
def environment() -> "jinja2.Environment":
    """Return the templates, every value in them escaped.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra(package="jinja2", extra="report") from error
    folder = files("harness.comparison.page")
    found = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
    )
    found.filters["svg"] = _svg
    found.globals["style"] = _markup(folder.joinpath("page.css").read_text(encoding="utf-8"))
    found.globals["script"] = _markup(folder.joinpath("page.js").read_text(encoding="utf-8"))
    return found


#: Control characters that HTML allows in no text, not even escaped.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


def _printable(value: Any) -> Any:
    """Return a value of a template, texts without what HTML does not allow: a name may have colours of ANSI."""
    # The class and no subclass: markup is made here, of texts that have been through this.
    return _FORBIDDEN.sub("�", value) if type(value) is str else value


def _svg(text: str) -> Any:
    """Return a chart as the page holds it: matplotlib has escaped every text in it."""
    return _markup(text)


def _markup(text: str) -> Any:
    import markupsafe

    return markupsafe.Markup(text)


def script_json(value: Mapping[str, Any], items: Sequence[str]) -> Any:
    """Return JSON for a script element, in which nothing ends the element or starts markup.

    Args:
        value: an object whose last key is an empty list ``items``.
        items: JSON texts that fill the list.
    """
    head = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not head.endswith('"items":[]}'):
        message = "the last key of the value must be an empty list `items`"
        raise ValueError(message)
    text = f"{head[:-2]}{','.join(items)}]}}"
    for letter, escaped in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(letter, escaped)
    # JSON escapes those below a space itself.
    return _markup(_FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
