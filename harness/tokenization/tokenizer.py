"""The tokenizer of a model, over `tokenizers` alone, so that evaluation needs no transformers."""

import json
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
from tokenizers import Encoding
from tokenizers import Tokenizer as RustTokenizer

from harness.core.errors import ArtifactError
from harness.core.features import Subwords

#: What stands for a space in the subwords of sentencepiece, and of byte pairs.
_BOUNDARY = "▁Ġ"
#: In no text: serving refuses NUL, and normalisers remove it.
_NEVER = "\0"


class _Added(msgspec.Struct):
    """An entry of `added_tokens` in a `tokenizer.json`."""

    id: int
    content: str
    special: bool = False


class _TokenizerFile(msgspec.Struct):
    """What is read of a `tokenizer.json` without making a tokenizer of it."""

    added_tokens: list[_Added] = []


def special_tokens(path: Path) -> dict[str, int]:
    """Return the special tokens of a `tokenizer.json` with their ids, such as ``</s>``.

    Raises:
        ArtifactError: the file cannot be read.
    """
    try:
        read = msgspec.json.decode(path.read_bytes(), type=_TokenizerFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise _unreadable(path, error) from error
    return {entry.content: entry.id for entry in read.added_tokens if entry.special}


def holds_special(text: str, names: Sequence[str]) -> bool:
    """Return whether a text holds one of these special tokens, also in the full-width letters that NFKC changes."""
    if any(name in text for name in names):
        return True
    return not text.isascii() and any(name in unicodedata.normalize("NFKC", text) for name in names)


def is_blank(text: str) -> bool:
    """Return whether a text has nothing that can be seen: white space, control and format characters only."""
    if text.isprintable():
        return not text.strip()
    return all(character.isspace() or unicodedata.category(character) in ("Cc", "Cf") for character in text)


class FastTokenizer:
    """Reads `tokenizer.json`; the frame of special tokens is the one its post-processor puts.

    Truncation is the featurizers' business, hence pieces come without special tokens and the
    frame is put on afterwards.

    Text is text: ``</s>`` or ``<pad>`` in it are ordinary subwords. The official scripts make control ids of them, so
    evaluation asks for that with `control`.
    """

    def __init__(self, path: Path, *, control: bool = False) -> None:
        """Read.

        Args:
            path: `tokenizer.json`.
            control: whether special tokens in a text become their ids, as in the official scripts.

        Raises:
            ArtifactError: the file is no tokenizer, or one that no encoder here can use.
        """
        self._path, self._control = path, control
        try:
            self._tokenizer = RustTokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises a bare Exception for every failure
            raise _unreadable(path, error) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        #: One more than the largest id.
        self.size = max(vocabulary.values()) + 1
        #: Subwords that are nothing but the mark of a word's beginning.
        self._marks = frozenset(number for piece, number in vocabulary.items() if piece and not piece.strip(_BOUNDARY))
        self._frame_single = self._frame(self._tokenizer.encode("a"), "ids")
        pair = self._tokenizer.encode("a", "b")
        self._frame_pair = self._frame(pair, "ids")
        self._frame_types = self._frame(pair, "type_ids")
        self._second_type = next(kind for kind, owner in zip(pair.type_ids, pair.sequence_ids, strict=True) if owner)
        self.pad_id = self._id("<pad>", "[PAD]")
        self.unknown_id = self._id("<unk>", "[UNK]")
        self.separator_id = self._id("</s>", "[SEP]", "<eos>")
        frames = (*self._frame_single, *self._frame_pair)
        self._reserved = frozenset(
            {
                *special_tokens(path).values(),
                self.pad_id,
                self.separator_id,
                *(number for run in frames for number in run),
            }
        )
        self._special = tuple(str(self._tokenizer.id_to_token(number)) for number in sorted(self._reserved))

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
        texts = list(texts)
        return [encoding.ids for encoding in self._encoded(self._tokenizer.encode_batch_fast, texts)]

    def subwords_with_offsets(self, texts: Sequence[str]) -> list[Subwords]:
        """See `harness.core.features.Tokenizer`."""
        texts = list(texts)
        encodings = self._encoded(self._tokenizer.encode_batch, texts)
        return [
            Subwords(encoding.ids, encoding.offsets, self._blank(text, encoding))
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def _blank(self, text: str, encoding: Encoding) -> frozenset[int]:
        return frozenset(
            number
            for number, (piece, (start, end)) in enumerate(zip(encoding.ids, encoding.offsets, strict=True))
            if piece in self._marks or is_blank(text[start:end])
        )

    def _encoded(self, encode: Callable[..., list[Encoding]], texts: list[str]) -> list[Encoding]:
        """Return the subwords of each text; those with a special token's id again, unless `control` asks for it."""
        encodings = encode(texts, add_special_tokens=False)
        if not self._control:
            for number, (text, encoding) in enumerate(zip(texts, encodings, strict=True)):
                if not self._reserved.isdisjoint(encoding.ids) and self._is_special(text, encoding.ids):
                    encodings[number] = self._plainly(text)
        return encodings

    def _is_special(self, text: str, ids: Sequence[int]) -> bool:
        """Return whether special ids come from a special token's name: the unknown id is also that of rare letters."""
        return any(number in self._reserved and number != self.unknown_id for number in ids) or holds_special(
            text, self._special
        )

    def _plainly(self, text: str) -> Encoding:
        encoding = self._plain.encode(text, add_special_tokens=False)
        kept = [number for number in encoding.ids if number in self._reserved and number != self.unknown_id]
        if kept:
            names = ", ".join(str(self._tokenizer.id_to_token(number)) for number in sorted(set(kept)))
            message = (
                f"tokenizer {self._path} makes the special token {names} of an ordinary text; "
                "use the tokenizer.json that the encoder was published with"
            )
            raise ArtifactError(message)
        return encoding

    @cached_property
    def _plain(self) -> RustTokenizer:
        """Return the same tokenizer without special tokens; made for the first text that holds one.

        `encode_special_tokens` is not enough: it leaves out the added tokens only, and XLM-R's unigram vocabulary has
        ``<pad>`` and the others as pieces of the best score.
        """
        document: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        document["added_tokens"] = [entry for entry in document["added_tokens"] if not entry.get("special")]
        document["post_processor"] = None
        model = document["model"]
        names = set(self._special)
        if isinstance(model["vocab"], list):
            # Unigram: the unknown piece is known by its number.
            model["vocab"] = [[_NEVER + piece if piece in names else piece, *rest] for piece, *rest in model["vocab"]]
        else:
            names.discard(model.get("unk_token") or "")
            model["vocab"] = {_NEVER + piece if piece in names else piece: n for piece, n in model["vocab"].items()}
            if "merges" in model:
                model["merges"] = [pair for pair in model["merges"] if not names & _made(pair)]
        plain = RustTokenizer.from_str(json.dumps(document))
        plain.no_padding()
        plain.no_truncation()
        return plain

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


def _made(pair: str | list[str]) -> set[str]:
    """Return what a merge of byte pair encoding reads and makes; older files write it as one text."""
    first, second = pair.split(" ", 1) if isinstance(pair, str) else pair
    return {first, second, first + second}


def _unreadable(path: Path, error: Exception) -> ArtifactError:
    message = f"tokenizer {path} cannot be read ({error}); export the model again with `harness export`"
    return ArtifactError(message)
