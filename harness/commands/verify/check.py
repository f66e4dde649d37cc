"""What a link that does not hold says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core.errors import ArtifactError, HarnessError
from harness.core.files import file_sha256

#: Characters of a digest in a message.
SHORT = 12


@contextmanager
def link(name: str) -> Iterator[None]:
    """Name the link that breaks inside.

    Raises:
        ArtifactError: a check inside failed; names the link.
    """
    try:
        yield
    except HarnessError as error:
        message = f"the chain breaks at {name}: {error}"
        raise ArtifactError(message) from error


def require(expected: object, found: object, what: str, fix: str) -> None:
    """Refuse a value that is not the recorded one.

    Raises:
        ArtifactError: they differ; the message has both values and the fix.
    """
    if expected != found:
        message = f"{what} is {short(found)}, {short(expected)} is expected; {fix}"
        raise ArtifactError(message)


def short(value: object) -> str:
    """Return the start of a digest, or that there is none."""
    return str(value)[:SHORT] if value is not None else "missing"


def digest(path: Path) -> str | None:
    """Return the digest of a file; None where there is none."""
    return file_sha256(path) if path.is_file() else None


def below(root: Path, path: Path) -> str:
    """Return a path as people write it: relative to a folder where it lies below that."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
