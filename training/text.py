"""Phase 1 from scratch: a tokenizer and batches for masked and translation language modelling."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch.utils.data import Dataset

from harness.benchmark.featurizers.pair import pair_row
from harness.benchmark.sources.lines import read_lines
from harness.core.errors import DataError
from harness.core.features import IGNORED
from harness.core.languages import table
from harness.core.layout import Layout
from harness.core.tensors import pad
from harness.tokenization.tokenizer import FastTokenizer
from training.collate import Batch
from training.recipe import TextMix

T = TypeVar("T")

#: XLM-R's first four entries, in its order; `<mask>` is the last of the vocabulary.
_FIRST = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
#: What tokenizers of all families call it.
MASKS = (MASK, "[MASK]")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The text of phase 1: language -> lines."""

    plain: Mapping[str, Sequence[str]]
    #: Line n is the same sentence in every language.
    parallel: Mapping[str, Sequence[str]]
    paths: Sequence[Path]

    def aligned(self, mix: TextMix) -> dict[str, int]:
        """Return the parallel lines of each language, if an objective learns from them which belong together."""
        learns = any(mix.objectives.get(name) for name in ("tlm", "alignment"))
        return {code: len(lines) for code, lines in self.parallel.items()} if learns else {}

    def lines(self) -> Iterator[str]:
        """Yield every line."""
        for texts in (self.plain, self.parallel):
            for lines in texts.values():
                yield from lines


def read_corpus(mix: TextMix, layout: Layout) -> Corpus:
    """Return the texts that a recipe names.

    Raises:
        DataError: a folder has no text, or parallel files differ in length.
    """
    paths: list[Path] = []
    plain: dict[str, list[str]] = {}
    for folder in mix.texts:
        for code, path in _files(folder, mix, layout):
            plain.setdefault(code, []).extend(read_lines(path))
            paths.append(path)
    parallel: dict[str, list[str]] = {}
    for folder in mix.parallel:
        read = {code: (path, read_lines(path)) for code, path in _files(folder, mix, layout)}
        if len({len(lines) for _, lines in read.values()}) > 1:
            lengths = ", ".join(f"{code} {len(lines)}" for code, (_, lines) in read.items())
            message = f"text/{folder} is not line-aligned, its files have unequal lengths: {lengths}"
            raise DataError(message)
        if parallel and set(read) != set(parallel):
            message = f"text/{folder} has other languages than the parallel folders before it; name `languages` for all"
            raise DataError(message)
        for code, (path, lines) in read.items():
            parallel.setdefault(code, []).extend(lines)
            paths.append(path)
    return Corpus(plain, parallel, paths)


def _files(folder: str, mix: TextMix, layout: Layout) -> list[tuple[str, Path]]:
    directory = layout.section("text") / folder
    codes = mix.languages or tuple(table())
    found = [(code, directory / f"{code}.txt") for code in codes if (directory / f"{code}.txt").is_file()]
    absent = sorted(set(mix.languages) - {code for code, _ in found})
    if not found or absent:
        lacking = " ".join(absent) or "any language"
        message = f"{directory} has no text in {lacking}; see the recipe's `texts`, `parallel` and `languages`"
        raise DataError(message)
    return found


def train_tokenizer(lines: Iterator[str], vocabulary: int) -> Tokenizer:
    """Return a tokenizer with XLM-R's special ids, frame and white space rule, of byte pair merges.

    Merges rather than XLM-R's unigram model: on a few hundred kilobytes the unigram trainer keeps
    long rare strings and cuts the commonest words to pieces ("the" became two).
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - 1, special_tokens=_FIRST, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens([MASK])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


class TextBatches(Dataset[Batch]):
    """One batch of one objective for each step: a pure function of the seed and the step."""

    def __init__(
        self, corpus: Corpus, mix: TextMix, tokenizer: FastTokenizer, *, steps: int, mask_id: int, seed: int
    ) -> None:
        self._mix = mix
        self._steps = steps
        self._tokenizer = tokenizer
        self._mask_id = mask_id
        self._seed = seed
        self._plain = {code: tokenizer.subwords(lines) for code, lines in corpus.plain.items()}
        self._parallel = {code: tokenizer.subwords(lines) for code, lines in corpus.parallel.items()}
        self._batches = {"mlm": self._mlm, "tlm": self._tlm, "alignment": self._alignment}
        # Where the mask is the last entry, as XLM-R's is, the others are below it.
        self._below = mask_id if mask_id == tokenizer.size - 1 else tokenizer.size
        self._special = np.asarray(sorted({*tokenizer.pair([], []), tokenizer.pad_id}), dtype=np.int64)

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        generator = np.random.default_rng([self._seed, step])
        names = list(self._mix.objectives)
        shares = np.asarray(list(self._mix.objectives.values()))
        return self._batches[names[int(generator.choice(len(names), p=shares / shares.sum()))]](generator)

    def _mlm(self, generator: np.random.Generator) -> Batch:
        """Return lines of any language."""

        def draw() -> tuple[list[int], ...]:
            lines = _any(generator, list(self._plain.values()))
            return (self._single(_any(generator, lines)),)

        (rows,) = _similar(draw, self._mix.batch_tokens, generator)
        return self._masked(rows, generator)

    def _tlm(self, generator: np.random.Generator) -> Batch:
        """Return lines in two languages, one row each."""

        def draw() -> tuple[list[int], ...]:
            first, second = generator.choice(list(self._parallel), size=2, replace=False)
            line = int(generator.integers(len(self._parallel[first])))
            left, right = self._parallel[first][line], self._parallel[second][line]
            return (pair_row(self._tokenizer, left, right, self._mix.max_tokens),)

        (rows,) = _similar(draw, self._mix.batch_tokens, generator)
        return self._masked(rows, generator)

    def _alignment(self, generator: np.random.Generator) -> Batch:
        """Return lines in one language each, then the same lines in another one each."""
        codes = list(self._parallel)
        # Distinct lines: a line's own translation must be the only right one of the batch.
        lines = iter(generator.permutation(len(self._parallel[codes[0]])).tolist())

        def draw() -> tuple[list[int], ...]:
            line = next(lines)
            first, second = generator.choice(codes, size=2, replace=False)
            return self._single(self._parallel[first][line]), self._single(self._parallel[second][line])

        firsts, seconds = _similar(draw, self._mix.batch_tokens // 2, generator)
        return {**self._masked([*firsts, *seconds], generator), "aligned": torch.tensor(len(firsts))}

    def _single(self, pieces: list[int]) -> list[int]:
        return self._tokenizer.single(pieces[: self._mix.max_tokens - len(self._tokenizer.single([]))])

    def _masked(self, rows: Sequence[NDArray[np.int64]], generator: np.random.Generator) -> Batch:
        """Return the rows with pieces replaced: 80 % by the mask, 10 % at random, 10 % as they are (BERT)."""
        batch = pad(rows, self._tokenizer.pad_id)
        ids = batch["input_ids"]
        chosen = (generator.random(ids.shape) < self._mix.masking) & ~np.isin(ids, self._special)
        if not chosen.any():
            chosen[0, 1] = True
        labels = np.where(chosen, ids, IGNORED)
        kind = generator.random(ids.shape)
        ids = np.where(chosen & (kind < 0.8), self._mask_id, ids)
        anything = generator.integers(len(_FIRST), self._below, size=ids.shape)
        ids = np.where(chosen & (kind >= 0.9), anything, ids)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(batch["attention_mask"]),
            "labels": torch.from_numpy(labels),
        }


def _any(generator: np.random.Generator, values: Sequence[T]) -> T:
    return values[int(generator.integers(len(values)))]


def _similar(
    draw: Callable[[], tuple[list[int], ...]], budget: int, generator: np.random.Generator
) -> tuple[list[NDArray[np.int64]], ...]:
    """Return rows of similar lengths that fill a budget of padded tokens, column by column.

    Rows of random lengths leave 40 % of a batch to padding, so three times as many are drawn and a
    random run of them, sorted by length, is kept.
    """
    pool: list[tuple[list[int], ...]] = []
    tokens = 0
    while tokens < 3 * budget:
        try:
            row = draw()
        except StopIteration:
            break
        tokens += max(map(len, row))
        pool.append(row)
    pool.sort(key=lambda row: max(map(len, row)))
    start = int(generator.integers(max(1, 2 * len(pool) // 3)))
    kept: list[tuple[list[int], ...]] = []
    for row in pool[start:]:
        if kept and max(map(len, row)) * (len(kept) + 1) > budget:
            break
        kept.append(row)
    return tuple([np.asarray(row, dtype=np.int64) for row in column] for column in zip(*kept, strict=True))
