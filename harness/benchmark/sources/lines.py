"""Lines of a text file, read as the benchmark's files need it."""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.core.errors import DataError
from harness.core.examples import Example

#: Rows below which equal labels may be chance.
FEW = 20
#: Rows from which on a file cannot have been made by hand for a trial; most official test files have that many.
MANY = 200


def read_lines(path: Path) -> list[str]:
    r"""Return the lines of a UTF-8 file without their ends.

    Lines are split on LF only: XNLI's Greek test file holds U+001D and PAWS-X U+001C, at which
    `str.splitlines` would cut. One CR before an LF belongs to the line end (XCOPA ships CR LF).

    Raises:
        DataError: the file is missing, empty, compressed, not UTF-8, starts with a byte order mark, or has a
            carriage return or NUL inside a line.
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
            if number == 1:
                _check_encoding(path, raw)
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                message = f"{path}:{number}: not UTF-8 at byte {error.start} of the line; convert the file to UTF-8"
                raise DataError(message) from error
            line = line.removesuffix("\n").removesuffix("\r")
            if "\r" in line:
                raise malformed(path, number, "a carriage return stands inside the line; remove it")
            if "\0" in line:
                raise malformed(path, number, "a NUL character stands in the line; remove it")
            yield line


def decoded(path: Path, raw: bytes) -> str:
    """Return the text of a whole UTF-8 file.

    Raises:
        DataError: it is not UTF-8, or begins with a byte order mark.
    """
    _check_encoding(path, raw[:_HEAD])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 at byte {error.start}; convert it to UTF-8"
        raise DataError(message) from error


#: Bytes that show how a file is encoded.
_HEAD = 256
#: What files of another encoding begin with, what they are, and what mends them.
_MARKS = (
    (b"\xef\xbb\xbf", "starts with a byte order mark; remove its first three bytes"),
    (b"\xff\xfe", "is UTF-16 or UTF-32, as its byte order mark says; convert it to UTF-8"),
    (b"\xfe\xff", "is UTF-16, as its byte order mark says; convert it to UTF-8"),
    (b"\0\0\xfe\xff", "is UTF-32, as its byte order mark says; convert it to UTF-8"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it"),
    (b"BZh", "is compressed with bzip2; unpack it"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it"),
    (b"PK\x03\x04", "is a ZIP archive; unpack it"),
)


def _check_encoding(path: Path, head: bytes) -> None:
    """Refuse a file that is compressed, or text of another encoding than UTF-8 without mark; `head` is its beginning.

    Raises:
        DataError: says what it is.
    """
    # Every second byte of ASCII in UTF-16 is zero; UTF-8 text has no zero byte.
    what = next((what for mark, what in _MARKS if head.startswith(mark)), None)
    if what is None and head[:_HEAD].count(0) >= max(4, len(head[:_HEAD]) / 4):
        what = "has many zero bytes, as UTF-16 has; convert it to UTF-8"
    if what is not None:
        message = f"{path} {what}"
        raise DataError(message)


def is_blank(text: str) -> bool:
    """Return whether a text is empty or white space only, no-break spaces included."""
    return not text.strip()


#: Letters and signs that show nothing: Hangul's fillers, Braille's blank.
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def is_visible(text: str) -> bool:
    """Return whether anything of a text can be seen.

    White space, control and zero-width characters, fillers, and marks that combine with nothing show nothing.
    """
    # Most texts begin with a letter, and there are millions of words.
    return (text[:1].isalnum() and text[0] not in _FILLERS) or any(
        not (char.isspace() or char in _FILLERS or unicodedata.category(char) in _UNSEEN) for char in text
    )


#: Control and format characters, and combining marks, variation selectors among them.
_UNSEEN = frozenset(("Cc", "Cf", "Mn", "Mc", "Me"))


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


def check_id(name: str, what: str = "id") -> str:
    """Return an id that the eye can distinguish from others.

    Ids are compared exactly, as the official scorers do; one that is empty, or has white space or control characters
    at an end, matches nothing that looks like it.

    Raises:
        ValueError: it is empty or has such characters; readers add file and line.
    """
    if not is_visible(name) or name != name.strip() or not (name[0].isprintable() and name[-1].isprintable()):
        message = f"{what} {name!r} is blank or has blanks around it; correct it"
        raise ValueError(message)
    return name


def check_labels(path: Path, labels: Sequence[object], least: int) -> None:
    """Refuse a file with one label in all of its rows, which are `least` or more.

    Raises:
        DataError: so it is.
    """
    if len(labels) >= least and len(set(labels)) == 1:
        raise stripped(path, f"label {labels[0]!r} in all of its {len(labels)} rows")


def malformed(path: Path, line: int, problem: str) -> DataError:
    """Return the error for one bad row; `line` counts from 1."""
    return DataError(f"{path}:{line}: {problem}")


def stripped(path: Path, what: str) -> DataError:
    """Return the error for a file whose labels were taken out, as the official download's test files are."""
    return DataError(
        f"{path} has {what}: its labels were stripped, as in the official download, and nothing can be scored on it; "
        f"evaluate the dev split with `--split dev` if the task has one, or put the labelled file there"
    )
