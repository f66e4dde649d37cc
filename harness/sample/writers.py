"""Writes the sample data: the files of each task, in the raw format that the task is shared in."""

import hashlib
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harness.sample import tasks
from harness.sample.guard import Guard
from harness.sample.render import LANGUAGES, Language
from harness.sample.world import Sentence

XNLI = {"dev": 90, "test": 180}
UDPOS = {"train": 600, "dev": 60, "test": 100}
XQUAD = 40
SQUAD = {"train": 500, "dev": 40}
COPA = {"train": 400, "val": 40, "test": 100}
SIQA = {"trn": 300, "dev": 40}
TATOEBA = 100
MNLI = {"train": 1500, "dev": 90}
MONO = 1500
PARALLEL = 2500
MIXED = 3000
SWITCHED = 0.7
"""Share of the phrases of code-switched text that are in another language."""

XNLI_LANGUAGES = ("en", "de", "es", "tr", "ru", "bg", "el", "ar", "hi", "th", "zh")
UDPOS_LANGUAGES = ("en", "de", "es", "tr", "id", "ru", "bg", "el", "ar", "hi", "ta", "zh")
XQUAD_LANGUAGES = ("en", "de", "es", "tr", "ru", "el", "ar", "hi", "th", "zh")
XCOPA_LANGUAGES = ("id", "ta", "th", "tr", "zh")
PIVOTS = ("en", "ru")
"""The languages that have intermediate training tasks."""

SEED = "xtreme-sample-1"
SLOT_OF_FIELD = {"place": "place", "agent": "agent", "thing": "object", "time": "time"}
README = """\
This is generated sample data. `harness.sample.write` made every sentence here from small tables
of words and templates; nothing is taken from a benchmark.

It has the file layout and formats of the real data sets, so that the harness can be tried without
them. Numbers measured on it are not XTREME numbers and do not compare with any published result.

SHA256SUMS lists the files; check them with `sha256sum -c SHA256SUMS`.
"""

Maker = Callable[[random.Random, str, int], Any]


class Sample:
    """The sample data under one folder: writes evaluation files first, then all others."""

    def __init__(self, folder: Path):
        """Prepare to write under `folder`, with no evaluation sentence known yet."""
        self.folder = folder
        self.languages = {code: Language(code) for code in LANGUAGES}
        self.guard = Guard(self.languages)

    def text(self, code: str, sentence: Sentence) -> str:
        """Return a sentence as text of a language."""
        return self.languages[code].render(sentence).text

    def save(self, name: str, lines: Iterable[str], end: str = "\n") -> None:
        """Write lines to a file under the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(line + end for line in lines).encode())

    def draw(self, make: Maker, split: str, name: str, count: int, codes: Iterable[str]) -> list[Any]:
        """Return distinct items; holds evaluation items, and keeps others clear of them."""
        rng = random.Random(f"{SEED}/{name}")
        codes = tuple(codes)
        held = split in ("dev", "test")
        found: dict[Any, None] = {}
        for _ in range(50 * count):
            if len(found) == count:
                break
            item = make(rng, split, len(found))
            if held or all(self.guard.passes(code, item.said()) for code in codes):
                found[item] = None
        else:
            msg = f"the world is too small for {count} items of {name}"
            raise RuntimeError(msg)
        if held:
            for code in codes:
                self.guard.hold(code, (said for item in found for said in item.said()))
        return list(found)

    def xnli(self) -> None:
        """Write XNLI's tables: premise, hypothesis, label."""
        for split, count in XNLI.items():
            items = self.draw(tasks.inference, split, f"xnli/{split}", count, XNLI_LANGUAGES)
            random.Random(f"{SEED}/xnli/{split}/order").shuffle(items)
            for code in XNLI_LANGUAGES:
                rows = ((self.text(code, item.premise), self.text(code, item.hypothesis), item.label) for item in items)
                self.save(f"xtreme/xnli/{split}-{code}.tsv", map("\t".join, rows))

    def mnli(self, split: str) -> None:
        """Write MNLI's records in each pivot language."""
        items = self.draw(tasks.inference, split, f"mnli/{split}", MNLI[split], PIVOTS)
        random.Random(f"{SEED}/mnli/{split}/order").shuffle(items)
        for code in PIVOTS:
            records = (
                {
                    "premise": self.text(code, item.premise),
                    "hypothesis": self.text(code, item.hypothesis),
                    "label": item.label,
                    "idx": i,
                }
                for i, item in enumerate(items)
            )
            self.save(f"intermediate/mnli/{code}/{split}.jsonl", map(as_json, records))

    def udpos(self, split: str, codes: Iterable[str]) -> None:
        """Write tagged sentences: a word and its tag a line, a blank line after each sentence."""
        items = self.draw(tasks.single, split, f"udpos/{split}", UDPOS[split], codes)
        for code in codes:
            lines: list[str] = []
            for item in items:
                said = self.languages[code].render(item.sentences[0])
                lines += [f"{w}\t{t}" for w, t in zip(said.words, said.tags, strict=True)]
                lines.append("")
            self.save(f"xtreme/udpos/{split}-{code}.tsv", lines)

    def questions(self, code: str, item: tasks.Reading, number: int) -> dict[str, Any]:
        """Return a reading as a paragraph of SQuAD, with the place of each answer."""
        language = self.languages[code]
        said = [language.render(sentence) for sentence in item.sentences]
        starts = [0]
        for rendered in said:
            starts.append(starts[-1] + len(rendered.text) + len(language.sentence_gap))
        asked = []
        for i, (question, place, field) in enumerate(item.questions):
            first, last = said[place].spans[SLOT_OF_FIELD[field]]
            answer = {
                "answer_start": starts[place] + first,
                "text": said[place].text[first:last],
            }
            asked.append(
                {
                    "id": f"sample-{number:04d}-{i}",
                    "question": self.text(code, question),
                    "answers": [answer],
                }
            )
        return {"context": language.paragraph(list(item.sentences)), "qas": asked}

    def squad(self, name: str, code: str, items: list[tasks.Reading]) -> None:
        """Write readings as one file in the format of SQuAD 1.1."""
        paragraphs = [self.questions(code, item, i) for i, item in enumerate(items)]
        data = [{"title": "sample", "paragraphs": paragraphs}]
        self.save(name, [as_json({"version": "1.1", "data": data})])

    def xquad(self) -> None:
        """Write XQuAD's files."""
        items = self.draw(tasks.reading, "test", "xquad", XQUAD, XQUAD_LANGUAGES)
        for code in XQUAD_LANGUAGES:
            self.squad(f"xtreme/xquad/xquad.{code}.json", code, items)

    def pivot_squad(self, split: str) -> None:
        """Write SQuAD's file of a split in each pivot language."""
        items = self.draw(tasks.reading, split, f"squad/{split}", SQUAD[split], PIVOTS)
        for code in PIVOTS:
            self.squad(f"intermediate/squad/{code}/{split}-v1.1.json", code, items)

    def copa(self, part: str, codes: Iterable[str]) -> None:
        """Write COPA's records in English, and XCOPA's in the other languages."""
        split = {"val": "dev"}.get(part, part)
        items = self.draw(tasks.alternatives, split, f"copa/{part}", COPA[part], codes)
        for code in codes:
            records = [self.choice_of_two(code, item, i) for i, item in enumerate(items)]
            if code == "en":
                self.save(f"xtreme/copa/{part}.en.jsonl", map(as_json, records))
            else:
                lines = (as_json({**record, "changed": False}) for record in records)
                self.save(f"xtreme/xcopa/{code}/{part}.{code}.jsonl", lines, end="\r\n")

    def choice_of_two(self, code: str, item: tasks.Alternatives, number: int) -> dict[str, Any]:
        """Return alternatives as a record of COPA."""
        return {
            "premise": self.text(code, item.context),
            "choice1": self.text(code, item.choices[0]),
            "choice2": self.text(code, item.choices[1]),
            "question": item.question,
            "label": item.right,
            "idx": number,
        }

    def siqa(self, part: str) -> None:
        """Write Social IQa's records, in English only, as the data set is."""
        split = {"trn": "train"}.get(part, part)
        items = self.draw(tasks.next_step, split, f"siqa/{part}", SIQA[part], ("en",))
        records = (
            {
                "context": self.text("en", item.context),
                "question": self.text("en", item.question),
                **{
                    f"answer{letter}": self.text("en", choice)
                    for letter, choice in zip("ABC", item.choices, strict=True)
                },
                "correct": "ABC"[item.right],
            }
            for item in items
        )
        self.save(f"xtreme/siqa/socialIQa_v1.4_{part}.jsonl", map(as_json, records))

    def tatoeba(self) -> None:
        """Write Tatoeba's pairs of files; no sentence occurs twice in a file."""
        items = self.draw(tasks.single, "test", "tatoeba", TATOEBA, LANGUAGES)
        for code, iso in LANGUAGES.items():
            if code != "en":
                for side, its_iso in ((code, iso), ("en", "eng")):
                    lines = (self.text(side, item.sentences[0]) for item in items)
                    self.save(f"xtreme/tatoeba/tatoeba.{iso}-eng.{its_iso}", lines)

    def texts(self) -> None:
        """Write the text for masked-language modelling, and the parallel text."""
        for code, language in self.languages.items():
            items = self.draw(tasks.document, "text", f"mono/{code}", MONO, (code,))
            lines = (language.paragraph(item.said()) for item in items)
            self.save(f"text/mono/{code}.txt", lines)
        self.mixed_texts()
        items = self.draw(tasks.single, "text", "parallel", PARALLEL, LANGUAGES)
        for code in LANGUAGES:
            lines = (self.text(code, item.sentences[0]) for item in items)
            self.save(f"text/parallel/{code}.txt", lines)

    def mixed_texts(self) -> None:
        """Write code-switched text: about half of a sentence's phrases are in another language."""
        for code, language in self.languages.items():
            others = [other for other in self.languages.values() if other is not language]
            rng = random.Random(f"{SEED}/mixed/{code}/languages")
            items = self.draw(tasks.document, "text", f"mixed/{code}", MIXED, (code,))

            def lend(others: list[Language] = others, rng: random.Random = rng) -> Language | None:
                return rng.choice(others) if rng.random() < SWITCHED else None

            lines = (
                language.sentence_gap.join(language.mixed(sentence, lend) for sentence in item.said()) for item in items
            )
            self.save(f"text/mixed/{code}.txt", lines)

    def evaluation(self) -> None:
        """Write every file that is evaluated on; must come before `training`."""
        self.xnli()
        self.mnli("dev")
        for split in ("dev", "test"):
            self.udpos(split, UDPOS_LANGUAGES)
        self.xquad()
        self.pivot_squad("dev")
        for part in ("val", "test"):
            self.copa(part, ("en", *XCOPA_LANGUAGES))
        self.siqa("dev")
        self.tatoeba()

    def training(self) -> None:
        """Write every file that is trained on."""
        self.mnli("train")
        self.udpos("train", ("en",))
        self.pivot_squad("train")
        self.copa("train", ("en",))
        self.siqa("trn")
        self.texts()

    def coverage(self) -> None:
        """Write which languages each task has, so that evaluations do not ask for the others."""
        covered = {
            "xnli": XNLI_LANGUAGES,
            "udpos": UDPOS_LANGUAGES,
            "xquad": XQUAD_LANGUAGES,
            "xcopa": XCOPA_LANGUAGES,
            "tatoeba": tuple(code for code in LANGUAGES if code != "en"),
        }
        self.save("xtreme/coverage.json", [as_json({name: list(codes) for name, codes in covered.items()})])

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


def write(destination: Path) -> None:
    """Write the sample data as the new folder `destination`: all of it, or nothing.

    The same version always writes the same bytes.
    """
    destination = Path(destination)
    if destination.exists():
        msg = f"{destination} exists already; the sample needs a new folder"
        raise FileExistsError(msg)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".sample-") as beside:
        sample = Sample(Path(beside) / "sample")
        sample.evaluation()
        sample.training()
        sample.coverage()
        sample.save("README.txt", README.splitlines())
        sample.sums()
        os.rename(sample.folder, destination)
