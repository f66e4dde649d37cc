"""The errors a user can cause, one tree.

::

    HarnessError            printed as one sentence, exit code 2, no traceback
    ├── UsageError          a name or an option on the command line
    ├── RecipeError         a key or value of a recipe
    ├── DataError           a missing file or a malformed row
    ├── LeakError           evaluation sentences among what is trained on
    ├── CheckpointError     a training checkpoint that is missing, damaged or of another head
    ├── ArtifactError       an exported graph that is missing, damaged or of another head
    ├── EndpointError       a server that is down, lacks the model or has another signature
    └── MissingExtra        a package that an extra installs

Every message says what is wrong with the value, what would be right, and the command that
fixes it. What the system refuses (`OSError`: a full disk, a folder that is read-only) is one
sentence too; anything else is a bug and keeps its traceback.
"""

from collections.abc import Iterable


class HarnessError(Exception):
    """The root of every error that a user can mend."""


class UsageError(HarnessError):
    """A name or an option of the command line is wrong."""


class RecipeError(HarnessError):
    """A recipe has a wrong key, type or value."""


class DataError(HarnessError):
    """A data file is missing or one of its rows cannot be read."""


class LeakError(HarnessError):
    """A recipe trains on what it would be evaluated on."""


class CheckpointError(HarnessError):
    """A training checkpoint is missing, damaged or has another head."""


class ArtifactError(HarnessError):
    """An exported graph is missing, damaged or has another head."""


class EndpointError(HarnessError):
    """A server is down, lacks the model, or serves another graph."""


class MissingExtra(HarnessError):
    """A package that one of the project's extras installs is not there."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the package {package!r} is not installed; `pip install 'xtreme-harness[{extra}]'` adds it")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``", did you mean 'x'"`` for the closest known name, whatever the case of its letters, or nothing."""
    from difflib import get_close_matches

    # The same name would be no help: what is wrong with it is another thing.
    small = {each.lower(): each for each in known if each != name}
    match = get_close_matches(name.lower(), list(small), n=1, cutoff=0.5)
    return f", did you mean {small[match[0]]!r}" if match else ""
