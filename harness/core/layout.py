"""Where data lies: one local layout for real data and for the shipped sample.

::

    DEST/xtreme/<task>/...        the benchmark's files
    DEST/intermediate/<task>/...  training sets of intermediate and target tasks
    DEST/text/...                 plain and parallel text
    DEST/tokenizers/...

`--data` takes DEST or DEST/xtreme; a folder that holds the task folders under any other name
serves evaluation only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from harness.core.errors import DataError, nearest
from harness.core.gold import GoldErrors

#: Missing files that a message lists.
_SHOWN = 10
Section = Literal["xtreme", "intermediate", "text", "tokenizers"]
Split = Literal["train", "dev", "test"]
#: What other tools call a split.
_OTHER_SPLITS: Mapping[str, Split] = {
    **{name: "dev" for name in ("validation", "valid", "val", "development", "eval")},
    **{name: "train" for name in ("training",)},
    **{name: "test" for name in ("testing",)},
}


def nearest_split(name: str) -> str:
    """Return ``", did you mean 'dev'"`` for a split that other tools call so, or the closest name, or nothing."""
    meant = _OTHER_SPLITS.get(name.lower())
    return f", did you mean {meant!r}" if meant else nearest(name, get_args(Split))


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file's place in the layout, as a pattern over split and language."""

    section: Section
    pattern: str

    def at(self, layout: "Layout", **fields: str) -> Path:
        """Return the path with the pattern's fields filled in; the file may be missing."""
        return layout.section(self.section) / self.pattern.format(**fields)


@dataclass(frozen=True, slots=True)
class Layout:
    """A data folder on disk."""

    #: The folder of the benchmark's task folders.
    xtreme: Path
    #: The folder above it; None where only task folders were given.
    root: Path | None
    #: Collects gold answers that contradict their text (`--allow-gold-errors`); readers refuse them where None.
    gold_errors: GoldErrors | None = field(default=None, compare=False)

    @staticmethod
    def at(path: Path) -> "Layout":
        """Return the layout at DEST, DEST/xtreme, or a folder of task folders.

        Raises:
            DataError: there is no such folder.
        """
        if not path.is_dir():
            message = f"data folder {path} does not exist; give the folder that holds xnli/, udpos/, ... with `--data`"
            raise DataError(message)
        whole = path.resolve()
        if (whole / "xtreme").is_dir():
            return Layout(whole / "xtreme", whole)
        return Layout(whole, whole.parent if whole.name == "xtreme" else None)

    def allowing(self, allowed: bool) -> "Layout":
        """Return the layout with gold errors allowed, and counted from now on; the same one otherwise."""
        return replace(self, gold_errors=GoldErrors()) if allowed else self

    def coverage(self) -> dict[str, tuple[str, ...]] | None:
        """Return the languages of each task, where the folder says that it holds only some.

        The sample data does, in `coverage.json`; real data is expected to be whole.
        """
        path = self.xtreme / "coverage.json"
        if not path.is_file():
            return None
        return {task: tuple(codes) for task, codes in json.loads(path.read_text(encoding="utf-8")).items()}

    def section(self, name: Section) -> Path:
        """Return the folder of one part of the layout.

        Raises:
            DataError: only task folders were given, and training data is asked for.
        """
        if name == "xtreme":
            return self.xtreme
        if self.root is None:
            message = f"{self.xtreme} holds task folders only, {name}/ is needed beside them; give the folder above"
            raise DataError(message)
        return self.root / name


def check_files(
    paths: Sequence[Path], purpose: str, instead: str = "leave the language out with `--languages`"
) -> None:
    """Refuse a data folder without the needed files, naming the first ones.

    Args:
        paths: the files.
        purpose: who needs them.
        instead: what to do where they cannot be had.

    Raises:
        DataError: lists the first missing files, and how many there are.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        shown = [str(path) for path in missing[:_SHOWN]]
        more = [f"and {len(missing) - _SHOWN} more"] if len(missing) > _SHOWN else []
        listed = "\n  ".join([*shown, *more])
        message = (
            f"{purpose} needs {len(missing)} missing file{'s' if len(missing) > 1 else ''}; "
            f"put them there or {instead}:\n  {listed}"
        )
        raise DataError(message)
