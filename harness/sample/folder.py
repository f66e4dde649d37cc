"""The folder that the sample data is written to: draws items, keeps splits apart, saves files."""

import hashlib
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harness.sample.guard import Guard
from harness.sample.render import LANGUAGES, LanguageTable
from harness.sample.world import Sentence

SEED = "xtreme-sample-1"

Maker = Callable[[random.Random, str, int], Any]


class SampleFolder:
    """A folder of sample data, with the languages of its files and the guard of its splits."""

    def __init__(self, folder: Path):
        """Prepare to write under `folder`, with no evaluation sentence known yet."""
        self.folder = folder
        self.languages = {code: LanguageTable(code) for code in LANGUAGES}
        self.guard = Guard(self.languages)
        #: What was written for training, as concepts.
        self.trained: set[Sentence] = set()
        #: Items of evaluation files.
        self.evaluated: set[Any] = set()

    def text(self, code: str, sentence: Sentence) -> str:
        """Return a sentence as text of a language."""
        return self.languages[code].render(sentence).text

    def paragraph(self, code: str, sentences: Iterable[Sentence]) -> str:
        """Return sentences as text of a language."""
        return self.languages[code].paragraph(sentences)

    def save(self, name: str, lines: Iterable[str], end: str = "\n") -> None:
        """Write lines to a file under the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(line + end for line in lines).encode())

    def add(self, name: str, lines: Iterable[str]) -> None:
        """Add lines to a file that is there."""
        with (self.folder / name).open("ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())

    def save_records(self, name: str, records: Iterable[dict[str, Any]], end: str = "\n") -> None:
        """Write records to a file under the folder, one JSON object a line."""
        self.save(name, map(as_json, records), end)

    def generator(self, name: str) -> random.Random:
        """Return the generator of a name: always the same numbers."""
        return random.Random(f"{SEED}/{name}")

    def draw(self, make: Maker, split: str, name: str, count: int, codes: Iterable[str]) -> list[Any]:
        """Return distinct items; holds evaluation items, and keeps others clear of them.

        Args:
            make: makes an item from a generator, the split and the item's number; an item names by
                `said` which sentences it consists of.
            split: a split of the world; items of "dev" and "test" are held.
            name: names the draw, which has its own generator.
            count: how many items.
            codes: the languages that the items are written in.

        Raises:
            RuntimeError: the world has too few items.
        """
        rng = self.generator(name)
        codes = tuple(codes)
        held = split in ("dev", "test")
        found: dict[Any, None] = {}
        for _ in range(50 * count):
            if len(found) == count:
                break
            item = make(rng, split, len(found))
            if held or self.clear(item, codes):
                found[item] = None
        else:
            message = f"the world is too small for {count} items of {name}"
            raise RuntimeError(message)
        if held:
            self.evaluated.update(found)
            for code in codes:
                self.guard.hold(code, (said for item in found for said in item.said()))
        else:
            self.trained.update(said for item in found for said in item.said())
        return list(found)

    def draw_more(self, make: Maker, name: str, count: int) -> list[Any]:
        """Return distinct dev items that no training file has a sentence of; must come after those files.

        So they change nothing that is drawn before, as items of `draw` do, which training is kept clear of.

        Raises:
            RuntimeError: the world has too few items.
        """
        rng = self.generator(name)
        found: dict[Any, None] = {}
        for _ in range(50 * count):
            if len(found) == count:
                return list(found)
            item = make(rng, "dev", len(found))
            if item not in self.evaluated and self.trained.isdisjoint(item.said()):
                found[item] = None
        message = f"the world is too small for {count} items of {name}"
        raise RuntimeError(message)

    def clear(self, item: Any, codes: Iterable[str]) -> bool:
        """Return whether an item holds no evaluation sentence in any of the languages."""
        return all(self.guard.passes(code, item.said()) for code in codes)

    def sums(self) -> None:
        """Write SHA256SUMS over all files."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        lines = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(self.folder).as_posix()}"
            for path in paths
        ]
        self.save("SHA256SUMS", lines)


def as_json(record: dict[str, Any]) -> str:
    """Return the record as one line of JSON, with letters of all scripts as they are."""
    return json.dumps(record, ensure_ascii=False)
