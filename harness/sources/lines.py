"""Lines of a text file, read as the benchmark's files need it."""

from pathlib import Path

from harness.errors import DataError


def read_lines(path: Path) -> list[str]:
    r"""Return the lines of a UTF-8 file without their ends.

    Lines are split on LF only: XNLI's Greek test file holds U+001D and PAWS-X U+001C, at which
    `str.splitlines` would cut. One CR before an LF belongs to the line end (XCOPA ships CR LF).

    Raises:
        DataError: the file is missing, empty, not UTF-8, or starts with a byte order mark.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        message = f"{path} is missing; `--data` must name a folder that holds it"
        raise DataError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 at byte {error.start}; convert it to UTF-8"
        raise DataError(message) from error
    if text.startswith("\ufeff"):
        message = f"{path} starts with a byte order mark; remove its first three bytes"
        raise DataError(message)
    if not text.strip():
        message = f"{path} is empty; it must hold at least one row"
        raise DataError(message)
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def malformed(path: Path, line: int, problem: str) -> DataError:
    """Return the error for one bad row; `line` counts from 1."""
    return DataError(f"{path}:{line}: {problem}")
