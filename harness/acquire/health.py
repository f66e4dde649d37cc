"""What is odd about the examples of a file: texts that show nothing, duplicates, gold that contradicts, characters."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.benchmark.sources.lines import is_visible
from harness.core.examples import Example, WordsExample

#: Characters that no text needs; tabs and line ends are not among them.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: Characters without width: soft hyphen, joiners, directional marks, byte order marks, tags.
_ZERO_WIDTH = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f]"
)
#: Words that are tokenized together.
_BLOCK = 100_000

#: Texts to the number of their subwords.
Subwords = Callable[[Sequence[str]], list[list[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Counts over the examples of one language and split; queries and candidates count alike."""

    #: What was read.
    items: int
    #: Items with a text that is empty, white space, or zero-width characters only.
    blank: int
    #: Items with a text that stands for one that is missing, as PAWS-X's ``NS``.
    placeholders: int
    #: Items whose id occurred before.
    duplicate_ids: int
    #: Items that show a model what an earlier one shows.
    duplicates: int
    #: Those of them whose gold is another one.
    contradicting: int
    #: Gold answers that do not stand where the file says.
    gold_errors: int
    #: Items with a control character, tabs and line ends aside.
    control: int
    #: Items with a zero-width character; Persian and the scripts of India need some of them.
    zero_width: int
    #: Items that are not in Unicode's normal form C.
    not_nfc: int
    #: Words, however often they occur, of which the tokenizer makes no subword; None without a tokenizer.
    no_subwords: int | None

    @property
    def share_not_nfc(self) -> float:
        """The share of items that are not in normal form C, 0 to 1."""
        return self.not_nfc / self.items if self.items else 0.0


@dataclass(slots=True)
class Examiner:
    """Looks at examples one by one; holds two numbers for each, not its texts."""

    placeholders: tuple[str, ...] = ()
    #: Gives the subwords of words, if a tokenizer is there.
    subwords: Subwords | None = None
    items: int = 0
    _blank: int = 0
    _placeholders: int = 0
    _duplicate_ids: int = 0
    _duplicates: int = 0
    _contradicting: int = 0
    _control: int = 0
    _zero_width: int = 0
    _not_nfc: int = 0
    _ids: set[int] = field(default_factory=set)
    #: What was asked -> its gold, both as hashes.
    _asked: dict[int, int] = field(default_factory=dict)
    #: Word -> how often it occurs.
    _words: dict[str, int] = field(default_factory=dict)

    def watch(self, examples: Iterable[Any]) -> Iterator[Any]:
        """Yield the examples as they come, and look at each."""
        for example in examples:
            self.add(example)
            yield example

    def add(self, example: Example) -> None:
        """Look at one example."""
        texts = [text for _, text in example.texts()]
        whole = "\n".join(texts)
        self.items += 1
        self._blank += not all(map(is_visible, texts))
        self._placeholders += any(text in self.placeholders for text in texts)
        self._control += _CONTROL.search(whole) is not None
        self._zero_width += _ZERO_WIDTH.search(whole) is not None
        self._not_nfc += not unicodedata.is_normalized("NFC", whole)
        name = hash(example.id)
        self._duplicate_ids += name in self._ids
        self._ids.add(name)
        asked, right = hash(example.asked()), hash(example.right())
        before = self._asked.get(asked)
        if before is None:
            self._asked[asked] = right
        else:
            self._duplicates += 1
            self._contradicting += before != right
        if self.subwords is not None and isinstance(example, WordsExample):
            for word in example.words:
                self._words[word] = self._words.get(word, 0) + 1

    def health(self, gold_errors: int) -> Health:
        """Return what was found.

        Args:
            gold_errors: gold answers of these examples that their reader counted.
        """
        return Health(
            items=self.items,
            blank=self._blank,
            placeholders=self._placeholders,
            duplicate_ids=self._duplicate_ids,
            duplicates=self._duplicates,
            contradicting=self._contradicting,
            gold_errors=gold_errors,
            control=self._control,
            zero_width=self._zero_width,
            not_nfc=self._not_nfc,
            no_subwords=self._without_subwords(),
        )

    def _without_subwords(self) -> int | None:
        if self.subwords is None:
            return None
        words = list(self._words)
        found = 0
        for start in range(0, len(words), _BLOCK):
            block = words[start : start + _BLOCK]
            found += sum(self._words[word] for word, ids in zip(block, self.subwords(block), strict=True) if not ids)
        return found
