"""Tables as text, JSON, CSV, LaTeX and Markdown: one value, written in five ways."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from harness.core.errors import UsageError, nearest
from harness.core.tables import EMPTY, Table

Format = Literal["table", "json", "csv", "latex", "markdown"]
#: What people write instead.
_OTHER_NAMES: Mapping[str, Format] = {"md": "markdown", "tex": "latex", "text": "table", "txt": "table"}
#: The suffixes of files -> what is written into them.
_SUFFIXES: Mapping[str, Format] = {"json": "json", "csv": "csv", "tex": "latex", "md": "markdown", "txt": "table"}

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    # A signature is one word of 200 letters, which has to break somewhere.
    "|": r"\textbar\allowbreak{}",
    "±": r"$\pm$",
    "−": r"$-$",
}
#: Control characters, which a terminal would obey.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: What a spreadsheet reads as a formula: a cell that starts so and is no number.
_FORMULA = re.compile(r"(?![+-]?\d+(\.\d+)?(e[+-]?\d+)?$)[=+\-@]")
#: A comma within a word of letters; in numbers it stands between digits.
_LISTED = re.compile(r",(?=[A-Za-z])")
#: A hyphen that is a sign: nothing of a word stands before it.
_MINUS = re.compile(r"(?<![\w.\-])-(?=\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table: texts for people, and values for programs in the same rows."""

    title: str
    columns: Sequence[str]
    #: As people read them.
    rows: Sequence[Sequence[str]]
    #: One record for each row, as JSON and CSV have it.
    records: Sequence[Mapping[str, Any]]
    #: Rows and columns whose cell is the best of its kind.
    best: frozenset[tuple[int, int]] = frozenset()
    #: Lines below the table: signatures, remarks, what marks mean.
    notes: Sequence[str] = field(default_factory=tuple)
    #: What else JSON has, besides `rows` and `notes`.
    beside: Mapping[str, Any] = field(default_factory=dict)


def check_format(name: str) -> Format:
    """Return the format.

    Raises:
        UsageError: there is no such format.
    """
    found = _OTHER_NAMES.get(name.lower(), name.lower())
    known = get_args(Format)
    if found not in known:
        message = f"no format {name!r}{nearest(name, known)}; `--format` is one of {', '.join(known)}"
        raise UsageError(message)
    return cast(Format, found)


def format_of(given: str | None, suffix: str) -> Format:
    """Return the format that is named, or that a file's suffix means; a table without either."""
    return check_format(given) if given else _SUFFIXES.get(suffix.removeprefix(".").lower(), "table")


def plain(text: str) -> str:
    """Return a text without control characters: a name must not move a terminal's cursor."""
    return _CONTROL.sub("�", text)


def render(sheets: Sequence[Sheet], form: Format) -> str:
    """Return tables in a format, ending with a line end.

    CSV holds one table: the records of all sheets, which have the same fields.
    """
    if form == "json":
        values = [
            {"title": sheet.title, **sheet.beside, "rows": list(sheet.records), "notes": list(sheet.notes)}
            for sheet in sheets
        ]
        return json.dumps(values[0] if len(values) == 1 else values, ensure_ascii=False, indent=1) + "\n"
    if form == "csv":
        return _csv([record for sheet in sheets for record in sheet.records])
    write = {"table": _text, "latex": _latex, "markdown": _markdown}[form]
    return "\n\n".join(write(sheet) for sheet in sheets) + "\n"


def _text(sheet: Sheet) -> str:
    rows = [[plain(cell) for cell in row] for row in sheet.rows]
    table = Table(plain(sheet.title), [plain(column) for column in sheet.columns], rows).text()
    return "\n".join([table, *(plain(note) for note in sheet.notes)])


def _markdown(sheet: Sheet) -> str:
    rows = [
        [f"**{_in_markdown(cell)}**" if (y, x) in sheet.best else _in_markdown(cell) for x, cell in enumerate(row)]
        for y, row in enumerate(sheet.rows)
    ]
    table = Table(_in_markdown(sheet.title), [_in_markdown(column) for column in sheet.columns], rows).markdown()
    return "\n".join([table, *([""] if sheet.notes else []), *(f"- {_in_markdown(note)}" for note in sheet.notes)])


def _in_markdown(text: str) -> str:
    escaped = re.sub(r"([\\`*_{}\[\]#|])", r"\\\1", plain(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _in_csv(value) for name, value in record.items()})
    return stream.getvalue()


def _in_csv(value: Any) -> Any:
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    if not isinstance(value, str):
        return "" if value is None else value
    text = plain(value)
    return f"'{text}" if _FORMULA.match(text) else text


def in_latex(text: str) -> str:
    """Return a text as LaTeX sets it, nothing of it a command; a hyphen before a number is a minus."""
    text = _MINUS.sub("−", text)
    # A list without spaces, as a signature's tasks, may break after each comma.
    return _LISTED.sub(r",\\allowbreak{}", "".join(_LATEX.get(letter, letter) for letter in plain(text)))


def _latex(sheet: Sheet) -> str:
    def line(cells: Sequence[str], y: int | None) -> str:
        shown = [
            f"\\textbf{{{in_latex(cell)}}}" if (y, x) in sheet.best else in_latex(cell) for x, cell in enumerate(cells)
        ]
        return "    " + " & ".join(shown) + r" \\"

    names = [column in ("task", "group", "run", "model", "marks", "languages") for column in sheet.columns]
    columns = "".join("l" if name or number == 0 else "r" for number, name in enumerate(names))
    caption = ". ".join(in_latex(text).rstrip(".") for text in (sheet.title, *sheet.notes))
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{\\small {caption}.}}",
            f"  \\begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            line(sheet.columns, None),
            r"    \midrule",
            *(line(row, y) for y, row in enumerate(sheet.rows)),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
    )


def p_text(value: float | None) -> str:
    """Return a p-value as tables print it: ``0.031``, ``<0.001``."""
    if value is None:
        return EMPTY
    return "<0.001" if value < 0.001 else f"{value:.3f}"
