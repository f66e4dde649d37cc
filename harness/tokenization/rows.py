"""The rows of jobs and pools: mapped from the cache where it has them, tokenized and written there where not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, overload

from harness.core.features import Feature, Tokenizer
from harness.core.files import content_sha256
from harness.core.layout import Layout, Split
from harness.core.task import AnyTask
from harness.tokenization.cache import Block, DamagedRows, TokenCache, describe
from harness.tokenization.shared import shared_tokenizer

#: Rows that are featurized and planned together at most: 65,536 of 64 tokens take about 50 MB.
POOL_BLOCK = 65_536


class Unread(Sequence[Any]):
    """Examples that are read when they are first looked at: cached rows are sent before that."""

    def __init__(self, read: Callable[[], list[Any]]) -> None:
        self._read = read

    @cached_property
    def _examples(self) -> list[Any]:
        return self._read()

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        """Return an example, or several."""
        return self._examples[place]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._examples)


class Rows:
    """Makes the rows of one tokenizer over one data folder, each once.

    Used from one thread at a time.
    """

    def __init__(self, layout: Layout, tokenizer: Path, tokenizer_sha256: str, cache: TokenCache | None = None) -> None:
        """Prepare; the tokenizer is read when the first row has to be made.

        Args:
            layout: the data.
            tokenizer: `tokenizer.json`.
            tokenizer_sha256: its digest.
            cache: where rows are kept; None keeps none.
        """
        self._layout = layout
        self._tokenizer_path = tokenizer
        self._tokenizer_sha256 = tokenizer_sha256
        self._cache = cache
        #: Rows that were tokenized, and that were there.
        self.tokenized = 0
        self.cached = 0
        #: What was damaged in the cache, and made again: a line each.
        self.damaged: list[str] = []

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return shared_tokenizer(self._tokenizer_path)

    def has(self, task: AnyTask, language: str, split: Split, partly: Mapping[str, Any]) -> bool:
        """Return whether a job's rows need no tokenizing."""
        return self._cache is not None and self._job_path(self._cache, task, language, split, partly).is_file()

    def of_job(
        self, task: AnyTask, language: str, split: Split, partly: Mapping[str, Any], examples: Sequence[Any]
    ) -> list[Feature]:
        """Return the rows of one task in one language.

        Args:
            task: whose featurizer makes them.
            language: of the job.
            split: of the job.
            partly: which examples of the file were read: `limit`, None for all, and what a sample is drawn by.
            examples: the job's; not looked at where the rows are there.
        """
        path = None if self._cache is None else self._job_path(self._cache, task, language, split, partly)
        return [feature for block in self._blocks(path, [(task, examples)]) for feature in block.features]

    def of_pool(self, task: AnyTask, split: Split) -> Iterator[Block]:
        """Yield the rows of the candidates that all languages of a task share, a block at a time."""
        declared = task.pool
        if declared is None:
            message = f"task {task.name!r} has no pool"
            raise ValueError(message)
        path = None
        if self._cache is not None:
            files = declared.source.paths(self._layout, split)
            path = self._path(self._cache, task, declared.source, files, split=split)
        candidates = declared.source.read(self._layout, split)
        return self._blocks(path, _parts(task, candidates), named=True)

    def _job_path(
        self, cache: TokenCache, task: AnyTask, language: str, split: Split, partly: Mapping[str, Any]
    ) -> Path:
        files = task.source.paths(self._layout, language, split)
        return self._path(cache, task, task.source, files, language=language, split=split, **partly)

    def _path(self, cache: TokenCache, task: AnyTask, source: object, files: Sequence[Path], **choice: Any) -> Path:
        return cache.path(
            tokenizer=self._tokenizer_sha256,
            featurizer=describe(task.featurizer),
            source=describe(source),
            files=[(path.name, content_sha256(path)) for path in files],
            **choice,
        )

    def _blocks(
        self, path: Path | None, parts: "Sequence[_Part] | Iterator[_Part]", *, named: bool = False
    ) -> Iterator[Block]:
        if self._cache is None or path is None:
            yield from self._made(parts, named)
            return
        try:
            there = self._cache.read(path)
        except DamagedRows as error:
            self.damaged.append(str(error))
            there = None
        if there is None:
            yield from self._cache.write(path, self._made(parts, named))
            return
        for block in there:
            self.cached += len(block.features)
            yield block

    def _made(self, parts: "Sequence[_Part] | Iterator[_Part]", named: bool) -> Iterator[Block]:
        for task, examples in parts:
            features = task.featurizer(examples, self._tokenizer)
            self.tokenized += len(features)
            yield Block([example.id for example in examples] if named else [], features)


_Part = tuple[AnyTask, Sequence[Any]]


def _parts(task: AnyTask, candidates: Iterator[Any]) -> Iterator[_Part]:
    while examples := list(islice(candidates, POOL_BLOCK)):
        yield task, examples
