"""The tokenizer of a model, over `tokenizers` alone, so that evaluation needs no transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tokenizers import Encoding
from tokenizers import Tokenizer as RustTokenizer

from harness.core.errors import ArtifactError
from harness.core.features import Subwords


class FastTokenizer:
    """Reads `tokenizer.json`; the frame of special tokens is the one its post-processor puts.

    Truncation is the featurizers' business, hence pieces come without special tokens and the
    frame is put on afterwards.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._tokenizer = RustTokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises a bare Exception for every failure
            message = f"tokenizer {path} cannot be read ({error}); export the model again with `harness export`"
            raise ArtifactError(message) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        #: One more than the largest id.
        self.size = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self._frame_single = self._frame(self._tokenizer.encode("a"), "ids")
        pair = self._tokenizer.encode("a", "b")
        self._frame_pair = self._frame(pair, "ids")
        self._frame_types = self._frame(pair, "type_ids")
        self._second_type = next(kind for kind, owner in zip(pair.type_ids, pair.sequence_ids, strict=True) if owner)
        self.pad_id = self._id("<pad>", "[PAD]")
        self.unknown_id = self._id("<unk>", "[UNK]")
        self.separator_id = self._id("</s>", "[SEP]", "<eos>")

    def _id(self, *names: str) -> int:
        for name in names:
            found = self._tokenizer.token_to_id(name)
            if found is not None:
                return int(found)
        message = f"tokenizer has none of the tokens {', '.join(names)}; it cannot serve an encoder of this family"
        raise ArtifactError(message)

    @staticmethod
    def _frame(encoding: Encoding, field: Literal["ids", "type_ids"]) -> list[list[int]]:
        """Return a field of the special tokens before, between and after the sequences."""
        runs: list[list[int]] = [[]]
        inside = False
        for value, special in zip(getattr(encoding, field), encoding.special_tokens_mask, strict=True):
            if special:
                runs[-1].append(value)
                inside = False
            elif not inside:
                runs.append([])
                inside = True
        return runs

    def subwords(self, texts: Sequence[str]) -> list[list[int]]:
        """See `harness.core.features.Tokenizer`."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def subwords_with_offsets(self, texts: Sequence[str]) -> list[Subwords]:
        """See `harness.core.features.Tokenizer`."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [Subwords(encoding.ids, encoding.offsets) for encoding in encodings]

    def single(self, first: Sequence[int]) -> list[int]:
        """See `harness.core.features.Tokenizer`."""
        before, after = self._frame_single
        return [*before, *first, *after]

    def pair(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        """See `harness.core.features.Tokenizer`."""
        before, between, after = self._frame_pair
        return [*before, *first, *between, *second, *after]

    def pair_types(self, first: int, second: int) -> list[int] | None:
        """See `harness.core.features.Tokenizer`."""
        before, between, after = self._frame_types
        if not any((*before, *between, self._second_type, *after)):
            return None
        return [*before, *[0] * first, *between, *[self._second_type] * second, *after]
