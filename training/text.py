"""Phase 1 from scratch: a tokenizer and batches for masked and translation language modelling."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.utils.data import Dataset

from harness.data import Layout
from harness.errors import DataError
from harness.features import IGNORED
from harness.featurizers.pair import pair_row
from harness.languages import table
from harness.recipe import Scratch
from harness.sources.lines import read_lines
from harness.tensors import pad
from harness.tokenizer import FastTokenizer
from training.collate import Batch

#: XLM-R's first four entries, in its order; `<mask>` is the last of the vocabulary.
_FIRST = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"


@dataclass(frozen=True, slots=True)
class Corpus:
    """The text of phase 1: language -> lines."""

    plain: Mapping[str, Sequence[str]]
    #: Line n is the same sentence in every language.
    parallel: Mapping[str, Sequence[str]]
    paths: Sequence[Path]

    def lines(self) -> Iterator[str]:
        """Yield every line."""
        for texts in (self.plain, self.parallel):
            for lines in texts.values():
                yield from lines


def read_corpus(scratch: Scratch, layout: Layout) -> Corpus:
    """Return the texts that a recipe names.

    Raises:
        DataError: a folder has no text, or parallel files differ in length.
    """
    paths: list[Path] = []
    plain: dict[str, list[str]] = {}
    for folder in scratch.texts:
        for code, path in _files(folder, scratch, layout):
            plain.setdefault(code, []).extend(read_lines(path))
            paths.append(path)
    parallel: dict[str, list[str]] = {}
    for folder in scratch.parallel:
        read = {code: (path, read_lines(path)) for code, path in _files(folder, scratch, layout)}
        if len({len(lines) for _, lines in read.values()}) > 1:
            lengths = ", ".join(f"{code} {len(lines)}" for code, (_, lines) in read.items())
            message = f"text/{folder} is not line-aligned, its files have unequal lengths: {lengths}"
            raise DataError(message)
        for code, (path, lines) in read.items():
            parallel.setdefault(code, []).extend(lines)
            paths.append(path)
    return Corpus(plain, parallel, paths)


def _files(folder: str, scratch: Scratch, layout: Layout) -> list[tuple[str, Path]]:
    directory = layout.section("text") / folder
    codes = scratch.languages or tuple(table())
    found = [(code, directory / f"{code}.txt") for code in codes if (directory / f"{code}.txt").is_file()]
    absent = sorted(set(scratch.languages) - {code for code, _ in found})
    if not found or absent:
        message = f"{directory} has no text in {' '.join(absent) or 'any language'}; see the recipe's [pretrained.scratch]"
        raise DataError(message)
    return found


def train_tokenizer(lines: Iterator[str], vocabulary: int) -> Tokenizer:
    """Return a unigram tokenizer of XLM-R's shape: same special ids, frame and white space rule."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]  # type: ignore[list-item]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary - 1, special_tokens=_FIRST, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens([MASK])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


class TextBatches(Dataset[Batch]):
    """Masked rows of one line, or of one line in two languages; a pure function of seed and step."""

    def __init__(self, corpus: Corpus, scratch: Scratch, tokenizer: FastTokenizer, *, mask_id: int, seed: int) -> None:
        self._scratch = scratch
        self._tokenizer = tokenizer
        self._mask_id = mask_id
        self._seed = seed
        self._plain = {code: tokenizer.pieces(lines) for code, lines in corpus.plain.items()}
        self._parallel = {code: tokenizer.pieces(lines) for code, lines in corpus.parallel.items()}
        self._special = np.asarray(sorted({*tokenizer.pair([], []), tokenizer.pad_id}), dtype=np.int64)

    def __len__(self) -> int:
        return self._scratch.steps

    def __getitem__(self, step: int) -> Batch:
        generator = np.random.default_rng([self._seed, step])
        paired = bool(self._parallel) and (
            not self._plain or generator.random() < self._scratch.parallel_share
        )
        rows: list[NDArray[np.int64]] = []
        longest = 0
        while True:
            row = self._pair(generator) if paired else self._single(generator)
            longest = max(longest, len(row))
            if rows and longest * (len(rows) + 1) > self._scratch.batch_tokens:
                return self._masked(rows, generator)
            rows.append(np.asarray(row, dtype=np.int64))

    def _single(self, generator: np.random.Generator) -> list[int]:
        codes = list(self._plain)
        lines = self._plain[codes[int(generator.integers(len(codes)))]]
        room = self._scratch.max_tokens - len(self._tokenizer.single([]))
        return self._tokenizer.single(lines[int(generator.integers(len(lines)))][:room])

    def _pair(self, generator: np.random.Generator) -> list[int]:
        first, second = generator.choice(list(self._parallel), size=2, replace=False)
        line = int(generator.integers(len(self._parallel[first])))
        return pair_row(
            self._tokenizer, self._parallel[first][line], self._parallel[second][line], self._scratch.max_tokens
        )

    def _masked(self, rows: Sequence[NDArray[np.int64]], generator: np.random.Generator) -> Batch:
        """Return the rows with pieces replaced: 80 % by the mask, 10 % at random, 10 % as they are (BERT)."""
        batch = pad(rows, self._tokenizer.pad_id)
        ids = batch["input_ids"]
        chosen = (generator.random(ids.shape) < self._scratch.masking) & ~np.isin(ids, self._special)
        if not chosen.any():
            chosen[0, 1] = True
        labels = np.where(chosen, ids, IGNORED)
        kind = generator.random(ids.shape)
        ids = np.where(chosen & (kind < 0.8), self._mask_id, ids)
        anything = generator.integers(len(_FIRST), self._mask_id, size=ids.shape)
        ids = np.where(chosen & (kind >= 0.9), anything, ids)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(batch["attention_mask"]),
            "labels": torch.from_numpy(labels),
        }
