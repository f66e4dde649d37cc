"""Reading prediction and label files, so that every format refuses the same faults in the same words."""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from harness.benchmark.sources.lines import FEW, malformed, read_lines
from harness.benchmark.sources.strict_json import read_file
from harness.core.errors import DataError
from harness.core.task import Tally

#: Which of the two folders a file belongs to; also the name of the option that gives it.
Role = Literal["labels", "predictions"]
T = TypeVar("T")


def present(path: Path, role: Role) -> Path:
    """Return the path of a file that is there.

    Raises:
        DataError: it is missing.
    """
    if not path.is_file():
        message = f"{path} is missing; `--{role}` must name a folder that holds it"
        raise DataError(message)
    return path


def lines(path: Path, role: Role) -> list[str]:
    """Return the lines of a file as `harness.benchmark.sources.lines.read_lines` does, in a fraction of its time.

    Raises:
        DataError: the file is missing, empty, not UTF-8, starts with a byte order mark, or has a
            carriage return inside a line.
    """
    raw = present(path, role).read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return read_lines(path)
    # Millions of lines are split at once; what is wrong with a file `read_lines` finds and words.
    if text.startswith("\ufeff") or "\0" in text or not text.strip() or raw.count(b"\r") != raw.count(b"\r\n"):
        return read_lines(path)
    found = (text.replace("\r\n", "\n") if "\r" in text else text).split("\n")
    if found[-1] == "":
        found.pop()
    return found


def values(path: Path, role: Role, parse: Callable[[str], T]) -> list[T]:
    """Return what `parse` makes of each line without the white space around it.

    Args:
        path: the file.
        role: the folder it belongs to.
        parse: raises `ValueError` for a line that is none of the format's.

    Raises:
        DataError: the file cannot be read, a line is malformed, or labels were stripped.
    """
    found: list[T] = []
    faults: dict[int, ValueError] = {}
    for number, line in enumerate(lines(path, role), start=1):
        try:
            found.append(parse(line.strip()))
        except ValueError as error:
            faults[number] = error
    if faults:
        first = min(faults)
        rows = lines(path, role)

        def is_value(text: str) -> bool:
            try:
                parse(text)
            except ValueError:
                return False
            return True

        raise refused(
            path, role, first, str(faults[first]), [rows[number - 1] for number in faults], len(rows), is_value
        )
    if role == "labels":
        check_labelled(path, set(found), len(found))
    return found


def refused(
    path: Path,
    role: Role,
    line: int,
    problem: str,
    faulty: Sequence[str],
    rows: int,
    is_value: Callable[[str], bool],
) -> DataError:
    """Return the error for a file with malformed lines: the first of them.

    Where most lines of a label file are none of the format's, it is another file: one whose lines have the labels
    in one of several columns, or the test's input without labels.

    Args:
        path: the file.
        role: the folder it belongs to.
        line: the first malformed line, counted from 1.
        problem: what is wrong with it.
        faulty: the malformed lines.
        rows: lines of the file in all.
        is_value: whether a text is one of the format's.
    """
    if role == "labels" and len(faulty) > rows / 2:
        layout = _other_layout(faulty, is_value)
        if layout is None:
            return stripped(f"{path}:{line}", f"{problem}, nor are most lines")
        problem = f"{layout}, where a label file has nothing but labels; `harness data labels` writes such files"
    return malformed(path, line, problem)


def _other_layout(rows: Sequence[str], is_value: Callable[[str], bool]) -> str | None:
    """Return what else most rows are, where one of their columns is what is wanted; None otherwise."""
    for name, separator in (("tabs", "\t"), ("spaces", None)):
        split = [parts for row in rows if len(parts := row.split(separator)) > 1]
        for place in (-1, 0, 1, 2):
            held = [parts for parts in split if -len(parts) <= place < len(parts) and is_value(parts[place].strip())]
            if len(held) > len(rows) / 2:
                column = "last" if place == -1 else f"{place + 1}."
                return f"the lines have several columns, separated by {name}, and the {column} one holds the labels"
    return None


def check_labelled(path: Path, different: Collection[object], count: int) -> None:
    """Refuse a label file with one label in all of its rows, too many for chance.

    Args:
        path: the file.
        different: its labels, each once.
        count: its rows.

    Raises:
        DataError: so it is.
    """
    if count >= FEW and len(different) == 1:
        raise stripped(str(path), f"{next(iter(different))!r} is the label of all {count} rows")


def stripped(place: str, problem: str) -> DataError:
    """Return the error for a label file whose labels were taken out; `place` is the file, or file and line."""
    return DataError(
        f"{place}: {problem}: the labels were stripped, as in the official download; "
        f"`--labels` must name a folder that has them"
    )


def unequal(predictions: Path, found: int, gold: Path, expected: int) -> DataError:
    """Return the error for files that are aligned by position and have unequal lengths."""
    return DataError(
        f"{predictions} has {found} rows and {gold} {expected}; there must be one prediction for each label, in order"
    )


def json_object(path: Path, role: Role) -> dict[str, Any]:
    """Return a file's JSON object.

    Raises:
        DataError: the file is missing, holds no object, or `read_file` of `strict_json` refuses it.
    """
    found = read_file(
        present(path, role),
        "an object from ids to predictions is expected",
        missing=lambda: DataError(f"{path} is missing; `--{role}` must name a folder that holds it"),
    )
    if not isinstance(found, dict):
        message = f"{path} holds a JSON {type(found).__name__}; an object from ids to predictions is expected"
        raise DataError(message)
    return found


def by_id(path: Path, found: Mapping[str, T], gold: Path, ids: Sequence[str], tally: Tally | None) -> list[T | None]:
    """Return the prediction of each id, None where there is none.

    Args:
        path: the file of the predictions.
        found: predictions by id.
        gold: the file of the labels.
        ids: those of the labels, in order.
        tally: None refuses missing and extra ids, otherwise they are counted in it.

    Raises:
        DataError: ids are missing or unknown and `tally` is None.
    """
    known = frozenset(ids)
    missing = [name for name in ids if name not in found]
    extra = [name for name in found if name not in known]
    if tally is None and (missing or extra):
        faults = [
            f"{what} {len(names)} {'id' if len(names) == 1 else 'ids'} (the first is {names[0]!r})"
            for what, names in (("lacks", missing), ("adds", extra))
            if names
        ]
        alike = look_alike(extra, missing)
        same = f"; {alike[0]!r} and {alike[1]!r} differ in case, blanks or normal form only" if alike else ""
        message = (
            f"{path} {' and '.join(faults)} against {gold}{same}; there must be one prediction for each of its "
            f"{len(ids)} ids, or `--official-missing` counts missing ones as wrong and ignores the others"
        )
        raise DataError(message)
    if tally is not None:
        tally.missing += len(missing)
        tally.extra += len(extra)
    return [found.get(name) for name in ids]


def look_alike(ids: Iterable[str], others: Collection[str]) -> tuple[str, str] | None:
    """Return the first id that differs from another one in case, blanks or Unicode normal form only, with that one."""
    known = {_folded(name): name for name in others}
    return next(((name, known[_folded(name)]) for name in ids if known.get(_folded(name), name) != name), None)


def _folded(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
