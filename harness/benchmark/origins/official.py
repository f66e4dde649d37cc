"""The files of the official XTREME download (google-research/xtreme@838c13b), read as rows of the hub's shape.

Its `download/` folder holds one folder a task. Test labels are stripped there, which the converters
notice and refuse.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmark.sources.lines import iterate_lines, malformed
from harness.benchmark.sources.rows import unquote
from harness.benchmark.sources.squad_json import read_json
from harness.benchmark.sources.strict_json import parse_object
from harness.core.errors import DataError
from harness.core.origins import Row, fill

if TYPE_CHECKING:
    from harness.core.layout import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Files by pattern over split and the fields of `harness.core.origins.fill`."""

    patterns: tuple[str, ...]
    #: What the files call a split, where that differs.
    names: Mapping["Split", str] = field(default_factory=dict)
    #: The splits that are there.
    splits: tuple["Split", ...] = ("train", "dev", "test")

    def paths(self, folder: Path, language: str, split: "Split") -> tuple[Path, ...]:
        """See `harness.core.origins.Official`."""
        if split not in self.splits:
            return ()
        name = self.names.get(split, split)
        return tuple(folder / fill(pattern, language, name) for pattern in self.patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns(_Files):
    """Tab-separated lines as Python's CSV writer leaves them; a file without the last column lost its labels."""

    columns: tuple[str, ...]

    def rows(self, paths: Sequence[Path], language: str) -> Iterator[Row]:
        """See `harness.core.origins.Official`."""
        (path,) = paths
        quoted = _is_quoted(path)
        for number, line in enumerate(iterate_lines(path), start=1):
            values: list[str | None] = [unquote(text) if quoted else text for text in line.split("\t")]
            if len(values) == len(self.columns) - 1:
                values.append(None)
            if len(values) != len(self.columns):
                raise malformed(path, number, f"{len(values)} columns where {len(self.columns)} are expected")
            yield dict(zip(self.columns, values, strict=True))


def _is_quoted(path: Path) -> bool:
    """Return whether a CSV writer wrote the file: no field holds a quotation mark without being quoted."""
    fields = (text for line in iterate_lines(path) for text in line.split("\t") if '"' in text)
    return all(unquote(text) != text for text in fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects(_Files):
    """One JSON object a line."""

    #: Key -> the column that the hub has.
    rename: Mapping[str, str] = field(default_factory=dict)

    def rows(self, paths: Sequence[Path], language: str) -> Iterator[Row]:
        """See `harness.core.origins.Official`."""
        (path,) = paths
        for number, line in enumerate(iterate_lines(path), start=1):
            row = _object(path, number, line)
            yield {self.rename.get(key, key): value for key, value in row.items()}


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return parse_object(line)
    except ValueError as error:
        raise malformed(path, number, str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged(_Files):
    """``form TAB tag`` lines with a blank line after each sentence; without tags the labels were stripped."""

    tags: str

    def rows(self, paths: Sequence[Path], language: str) -> Iterator[Row]:
        """See `harness.core.origins.Official`."""
        (path,) = paths
        words: list[str] = []
        tags: list[str] = []
        for line in iterate_lines(path):
            if line:
                word, tab, tag = line.partition("\t")
                words.append(word)
                if tab:
                    tags.append(tag)
            elif words:
                yield {"tokens": words, self.tags: tags}
                words, tags = [], []
        if words:
            yield {"tokens": words, self.tags: tags}


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadFiles(_Files):
    """SQuAD's JSON."""

    #: Questions whose id has another part before its first ``-`` belong to other languages; a pattern.
    id_prefix: str = ""

    def rows(self, paths: Sequence[Path], language: str) -> Iterator[Row]:
        """See `harness.core.origins.Official`."""
        (path,) = paths
        document = read_json(path)
        prefix = fill(self.id_prefix, language)
        try:
            for article in document["data"]:
                for paragraph in article["paragraphs"]:
                    for asked in paragraph["qas"]:
                        if prefix and asked["id"].partition("-")[0] != prefix:
                            continue
                        yield {
                            "id": asked["id"],
                            "title": article.get("title"),
                            "context": paragraph["context"],
                            "question": asked["question"],
                            "answers": asked["answers"],
                        }
        except (KeyError, TypeError, AttributeError) as error:
            message = f"{path}: not SQuAD's format, {error!r} while reading data/paragraphs/qas"
            raise DataError(message) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel(_Files):
    """Files of aligned lines, one for each column."""

    columns: tuple[str, ...]

    def rows(self, paths: Sequence[Path], language: str) -> Iterator[Row]:
        """See `harness.core.origins.Official`."""
        sides = [list(iterate_lines(path)) for path in paths]
        if len({len(side) for side in sides}) > 1:
            counts = ", ".join(f"{path.name} {len(side)}" for path, side in zip(paths, sides, strict=True))
            message = f"the lines of {paths[0].parent} are not aligned: {counts}"
            raise DataError(message)
        for values in zip(*sides, strict=True):
            yield dict(zip(self.columns, values, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(_Files):
    """Files that are copied line by line, as the layout has them."""

    #: Keys down to a language code in JSON lines; lines of other languages are left out.
    language_at: tuple[str, ...] = ()

    def rows(self, paths: Sequence[Path], language: str) -> Iterator[Row]:
        """See `harness.core.origins.Official`."""
        for place, path in enumerate(paths):
            for number, line in enumerate(iterate_lines(path), start=1):
                if not self.language_at or self._language(path, number, line) == language:
                    yield {"file": place, "line": line}

    def _language(self, path: Path, number: int, line: str) -> Any:
        value: Any = _object(path, number, line)
        for key in self.language_at:
            if not isinstance(value, dict) or key not in value:
                raise malformed(path, number, f"the object lacks {'.'.join(self.language_at)}")
            value = value[key]
        return value
