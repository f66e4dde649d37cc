"""Which ids of a tokenizer are special or unknown, read from `tokenizer.json` without its vocabulary.

A tokenizer of 250,000 subwords takes seconds to load, and a run whose rows are cached needs none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ArtifactError
from harness.tokenization.shared import shared_tokenizer, tokenizer_digest

#: How families call the subword for what their vocabulary lacks, as `FastTokenizer` looks it up.
_UNKNOWN = ("<unk>", "[UNK]")
ORDINARY, SPECIAL, UNKNOWN = 0, 1, 2


class _Added(msgspec.Struct, frozen=True):
    id: int
    content: str
    special: bool = False


class _File(msgspec.Struct, frozen=True):
    """The part of `tokenizer.json` that is read; the vocabulary is skipped."""

    added_tokens: list[_Added] = []
    #: Puts the frame of special tokens around a text.
    post_processor: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What each id is."""

    #: (ids up to the last marked one,): ORDINARY, SPECIAL or UNKNOWN; every id beyond is ordinary.
    kinds: NDArray[np.uint8]

    def of(self, ids: NDArray[np.signedinteger[Any]]) -> NDArray[np.uint8]:
        """Return the kind of each id (ids,)."""
        kinds: NDArray[np.uint8] = self.kinds[np.minimum(ids, len(self.kinds) - 1)]
        return kinds


#: The last ones that were read, by the digest of their file.
_READ: dict[str, Marks] = {}


def marks(path: Path) -> Marks:
    """Return the marks of a tokenizer; read once in a process for equal files.

    Raises:
        ArtifactError: the file is missing or no tokenizer.
    """
    digest = tokenizer_digest(path)
    if digest not in _READ:
        _READ.clear()
        _READ[digest] = _read(path)
    return _READ[digest]


def _read(path: Path) -> Marks:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        message = f"tokenizer {path} cannot be read ({error}); export the model again with `harness export`"
        raise ArtifactError(message) from error
    ids = {token.content: token.id for token in found.added_tokens}
    unknown = next((ids[name] for name in _UNKNOWN if name in ids), None)
    if unknown is None:
        unknown = shared_tokenizer(path).unknown_id
    special = [token.id for token in found.added_tokens if token.special] + list(_frame(found.post_processor))
    # One more than the last marked id, and it is ordinary: all beyond are looked up there.
    kinds = np.zeros(max([unknown, *special]) + 2, dtype=np.uint8)
    kinds[special] = SPECIAL
    kinds[unknown] = UNKNOWN
    return Marks(kinds)


def _frame(processor: Any) -> Iterator[int]:
    """Yield the ids that a post-processor puts around a text: of a template, of BERT's or RoBERTa's, or of several."""
    if not isinstance(processor, dict):
        return
    for each in processor.get("processors", ()):
        yield from _frame(each)
    for token in processor.get("special_tokens", {}).values():
        yield from token["ids"]
    for side in ("cls", "sep"):
        if side in processor:
            yield processor[side][1]
