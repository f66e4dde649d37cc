"""Lines of a text file, read as the benchmark's files need it."""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.core.errors import DataError
from harness.core.examples import Example


def read_lines(path: Path) -> list[str]:
    r"""Return the lines of a UTF-8 file without their ends.

    Lines are split on LF only: XNLI's Greek test file holds U+001D and PAWS-X U+001C, at which
    `str.splitlines` would cut. One CR before an LF belongs to the line end (XCOPA ships CR LF).

    Raises:
        DataError: the file is missing, empty, not UTF-8, starts with a byte order mark, or has a
            carriage return inside a line.
    """
    lines = list(iterate_lines(path))
    if not any(line.strip() for line in lines):
        message = f"{path} is empty; it must hold at least one row"
        raise DataError(message)
    return lines


def iterate_lines(path: Path) -> Iterator[str]:
    """Yield the lines as `read_lines` returns them, for files that are larger than memory should hold.

    Raises:
        DataError: see `read_lines`; an empty file yields nothing.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        message = f"{path} is missing; `--data` must name a folder that holds it"
        raise DataError(message) from error
    with stream:
        for number, raw in enumerate(stream, start=1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                message = f"{path}:{number}: not UTF-8 at byte {error.start} of the line; convert the file to UTF-8"
                raise DataError(message) from error
            if number == 1 and line.startswith("\ufeff"):
                message = f"{path} starts with a byte order mark; remove its first three bytes"
                raise DataError(message)
            line = line.removesuffix("\n").removesuffix("\r")
            if "\r" in line:
                raise malformed(path, number, "a carriage return stands inside the line; remove it")
            yield line


def is_blank(text: str) -> bool:
    """Return whether a text is empty or white space only, no-break spaces included."""
    return not text.strip()


def is_visible(text: str) -> bool:
    """Return whether anything of a text can be seen: more than white space, control and zero-width characters."""
    # Most texts begin with a letter, and there are millions of words.
    return text[:1].isalnum() or any(
        not (char.isspace() or unicodedata.category(char) in ("Cc", "Cf")) for char in text
    )


def invisible_field(example: Example) -> str | None:
    """Return what is wrong with an example of which a text shows nothing, or None.

    No official file of a task has such a sentence, context or choice. Words are another matter: PAN-X has a few
    that are zero-width characters only.
    """
    for name, text in example.texts():
        if not is_visible(text):
            return f"{name} is {text!r}, which shows nothing; correct the row, or leave it out"
    return None


def trailing_blanks(lines: Sequence[str]) -> int:
    """Return how many lines at the end of a file are blank."""
    count = 0
    while count < len(lines) and is_blank(lines[-1 - count]):
        count += 1
    return count


def malformed(path: Path, line: int, problem: str) -> DataError:
    """Return the error for one bad row; `line` counts from 1."""
    return DataError(f"{path}:{line}: {problem}")


def stripped(path: Path, what: str) -> DataError:
    """Return the error for a file whose labels were taken out, as the official download's test files are."""
    return DataError(
        f"{path} has {what}: its labels were stripped, as in the official download, and nothing can be scored on it; "
        f"evaluate the dev split with `--split dev` if the task has one, or put the labelled file there"
    )
