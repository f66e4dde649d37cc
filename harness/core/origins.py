"""How the files of a dataset come about: its rows on the Hugging Face hub, and the official download's files.

A `Hub` is the argument of that name in a task's or a training set's declaration. It is data: which
repository, which configuration, which converter. Both origins give rows of the same shape, so one
converter writes the file whichever it was.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from harness.core.languages import language as language_row
from harness.core.layout import DataFile, Split

#: One row as the hub has it; class labels are names, and None where the label is missing.
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What a converter wrote."""

    rows: int
    #: What a reader of the file should know, such as "answers moved", and how often it happened.
    remarks: Mapping[str, int] = field(default_factory=dict)


class Converter(Protocol):
    """Writes a layout file from rows."""

    def write(self, rows: Iterable[Row], paths: Sequence[Path]) -> Written:
        """Write the files of one language and split; the folders exist.

        Raises:
            DataError: a column is missing, a label has no known name, or all labels were stripped.
        """
        ...


class Official(Protocol):
    """Files of the official download, read as rows of the hub's shape."""

    def paths(self, folder: Path, language: str, split: Split) -> tuple[Path, ...]:
        """Return the files of one language and split below the download's folder."""
        ...

    def rows(self, paths: Sequence[Path], language: str) -> Iterator[Row]:
        """Yield the rows of these files.

        Raises:
            DataError: a file is malformed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A dataset repository of the hub at one commit."""

    #: ``owner/name``.
    name: str
    #: The commit, 40 hex digits; None where no public code pins one, and the current one is taken and reported.
    revision: str | None
    #: Where the pin was seen in public.
    seen: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which rows of which repository become the files of some languages.

    `config` and `id_prefix` are patterns over `language` (ISO 639-1), `code` (Tatoeba's) and `name`
    (English, small letters).
    """

    repository: Repository
    config: str
    #: What the hub calls the splits it has.
    splits: Mapping[Split, str]
    #: The languages whose rows are here; all of the dataset's where empty.
    languages: tuple[str, ...] = ()
    #: Rows whose id has another part before its first ``-`` belong to other languages.
    id_prefix: str = ""
    #: The hub's column -> the column that the converter expects, where they differ.
    rename: Mapping[str, str] = field(default_factory=dict)
    #: What is known to be wrong with these rows; reported where their number is not the official one.
    defect: str = ""
    #: Why these rows are not the benchmark's own. Such a part is used only if `--repository` names it.
    unofficial: str = ""

    def serves(self, language: str, split: Split) -> bool:
        """Return whether the repository has these rows."""
        return split in self.splits and (not self.languages or language in self.languages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A file of a repository that holds the official files, packed."""

    repository: Repository
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """How the files of one task or training set are made."""

    convert: Converter
    #: The data's licence where no repository states one.
    licence: str = ""
    #: The first one that serves a language and is official is used.
    parts: tuple[Part, ...] = ()
    #: The official download's files, tried in order.
    official: tuple[Official, ...] = ()
    archive: Archive | None = None
    #: The files that are written; those that the source reads where empty.
    files: tuple[DataFile, ...] = ()
    #: The official files of the candidates that all languages share, copied as they are; tried in order.
    pool: tuple[Official, ...] = ()
    #: Why the hub cannot give the files, and what can.
    refusal: str = ""
    #: Rows of splits whose number is not the task's official one: for all languages, or by language.
    examples: Mapping[Split, int | Mapping[str, int]] = field(default_factory=dict)
    #: Languages without such a split.
    absent: Mapping[Split, tuple[str, ...]] = field(default_factory=dict)
    #: What a user should know before he takes the files from anywhere.
    note: str = ""

    def expected(self, language: str, split: Split) -> int | None:
        """Return the number of examples that is declared here, or None."""
        count = self.examples.get(split)
        return count if count is None or isinstance(count, int) else count.get(language)


def fill(pattern: str, language: str, split: str = "") -> str:
    """Return a pattern with its fields filled in.

    Raises:
        UsageError: the code is not one of the 50 languages.
    """
    row = language_row(language)
    return pattern.format(language=language, split=split, code=row.tatoeba, name=row.name.lower())
