"""Writes the sample data: the files of each task, in the raw format that the task is shared in."""

import os
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.core.languages import language as language_row
from harness.sample import intermediate, names, retrieval, tasks
from harness.sample.folder import SampleFolder, as_json
from harness.sample.paraphrases import paraphrase
from harness.sample.render import LANGUAGES, LanguageTable
from harness.sample.squad import paragraph, save_squad

XNLI = {"dev": 90, "test": 180}
UDPOS = {"train": 600, "dev": 60, "test": 100}
XQUAD = 40
COPA = {"train": 400, "val": 40, "test": 100}
SIQA = {"trn": 300, "dev": 40}
TATOEBA = 100
PAWSX = {"train": 600, "dev": 60, "test": 120}
PANX = {"train": 500, "dev": 60, "test": 100}
MLQA = {"dev": 10, "test": 20}
TYDIQA = {"train": 300, "dev": 20}
"""Paragraphs, each with three questions."""
MORE = {"xnli": 1_602, "udpos": 900, "panx": 900, "mlqa": 300}
"""Dev items beside the others, for the gate of an export, which shows nothing on a few; MLQA's are paragraphs."""
MONO = 1500
PARALLEL = 2500
MIXED = 3000
NAMED = 8
"""Of so many lines of text, one has names."""
SWITCHED = 0.7
"""Share of the phrases of code-switched text that are in another language."""

XNLI_LANGUAGES = ("en", "de", "es", "tr", "ru", "bg", "el", "ar", "hi", "th", "zh")
UDPOS_LANGUAGES = ("en", "de", "es", "tr", "id", "ru", "bg", "el", "ar", "hi", "ta", "zh")
XQUAD_LANGUAGES = ("en", "de", "es", "tr", "ru", "el", "ar", "hi", "th", "zh")
XCOPA_LANGUAGES = ("id", "ta", "th", "tr", "zh")
PAWSX_LANGUAGES = ("en", "de", "es", "zh")
MLQA_LANGUAGES = ("en", "de", "es", "ar", "hi", "zh")
TYDIQA_LANGUAGES = ("en", "ar", "id", "ru")

README = """\
This is generated sample data. `harness.sample.write` made every sentence here from small tables
of words and templates; nothing is taken from a benchmark.

It has the file layout and formats of the real data sets, so that the harness can be tried without
them. Numbers measured on it are not XTREME numbers and do not compare with any published result.

SHA256SUMS lists the files; check them with `sha256sum -c SHA256SUMS`.
"""


class SampleWriter(SampleFolder):
    """The sample data under one folder: writes evaluation files first, then all others."""

    def __init__(self, folder: Path):
        """Prepare to write under `folder`, with no evaluation sentence known yet."""
        super().__init__(folder)
        self.mewslix = retrieval.MewsliX(self)

    def xnli(self) -> None:
        """Write XNLI's tables: premise, hypothesis, label."""
        for split, count in XNLI.items():
            items = self.draw(tasks.inference, split, f"xnli/{split}", count, XNLI_LANGUAGES)
            self.generator(f"xnli/{split}/order").shuffle(items)
            for code in XNLI_LANGUAGES:
                rows = ((self.text(code, item.premise), self.text(code, item.hypothesis), item.label) for item in items)
                self.save(f"xtreme/xnli/{split}-{code}.tsv", map("\t".join, rows))

    def udpos(self, split: str, codes: Iterable[str]) -> None:
        """Write tagged sentences: a word and its tag a line, a blank line after each sentence."""
        items = self.draw(tasks.single, split, f"udpos/{split}", UDPOS[split], codes)
        for code in codes:
            self.save(f"xtreme/udpos/{split}-{code}.tsv", self.tagged_lines(code, items))

    def tagged_lines(self, code: str, items: Iterable[tasks.Document]) -> Iterator[str]:
        """Yield a word and its tag a line, and a blank line after each sentence."""
        for item in items:
            said = self.languages[code].render(item.sentences[0])
            yield from (f"{w}\t{t}" for w, t in zip(said.words, said.tags, strict=True))
            yield ""

    def squad(self, name: str, code: str, items: Iterable[tasks.Reading], ids: str = "sample") -> None:
        """Write readings as one file in the format of SQuAD 1.1."""
        language = self.languages[code]
        save_squad(self, name, (paragraph(language, item, f"{ids}-{i:04d}") for i, item in enumerate(items)))

    def xquad(self) -> None:
        """Write XQuAD's files, and LAReQA's, which has the same paragraphs."""
        items = self.draw(tasks.reading, "test", "xquad", XQUAD, XQUAD_LANGUAGES)
        for code in XQUAD_LANGUAGES:
            self.squad(f"xtreme/xquad/xquad.{code}.json", code, items)
        retrieval.lareqa(self, items)

    def mlqa(self, split: str, more: Sequence[tasks.Reading] = ()) -> None:
        """Write MLQA's files with the context and the question in one language, `more` behind their own paragraphs."""
        items = [*self.draw(tasks.reading, split, f"mlqa/{split}", MLQA[split], MLQA_LANGUAGES), *more]
        for code in MLQA_LANGUAGES:
            name = f"xtreme/mlqa/MLQA_V1/{split}/{split}-context-{code}-question-{code}.json"
            self.squad(name, code, items, f"mlqa-{split}")

    def tydiqa(self, split: str, codes: Iterable[str]) -> None:
        """Write TyDi QA's files: other paragraphs in each language, some answers with a second reference."""
        for code in codes:
            language = self.languages[code]
            known = language_row(code).name.lower()
            items = self.draw(tasks.reading, split, f"tydiqa/{split}/{code}", TYDIQA[split], (code,))
            # Ids of the two English files do not overlap.
            first = 1 if split == "dev" else 1_001
            paragraphs = (
                paragraph(language, item, f"{known}-{number}", second=split == "dev" and number % 2 == 0)
                for number, item in enumerate(items, start=first)
            )
            save_squad(self, f"xtreme/tydiqa/tydiqa-goldp-v1.1-{split}/tydiqa.goldp.{code}.{split}.json", paragraphs)

    def pawsx(self, split: str, codes: Iterable[str]) -> None:
        """Write PAWS-X's tables: two texts, 1 where they say the same and 0 where not."""
        items = self.draw(paraphrase, split, f"pawsx/{split}", PAWSX[split], codes)
        self.generator(f"pawsx/{split}/order").shuffle(items)
        for code in codes:
            rows = (
                (self.paragraph(code, item.first), self.paragraph(code, item.second), str(int(item.same)))
                for item in items
            )
            self.save(f"xtreme/pawsx/{split}-{code}.tsv", map("\t".join, rows))

    def panx(self, split: str, codes: Iterable[str]) -> None:
        """Write fragments with names: a word and its IOB2 tag a line, a blank line after each fragment."""
        items = self.draw(names.named, split, f"panx/{split}", PANX[split], codes)
        for code in codes:
            self.save(f"xtreme/panx/{split}-{code}.tsv", self.named_lines(code, items))

    def named_lines(self, code: str, items: Iterable[names.Named]) -> Iterator[str]:
        """Yield a word and its IOB2 tag a line, and a blank line after each fragment."""
        for item in items:
            yield from (f"{word}\t{tag}" for word, tag in names.iob2(self.languages[code], item.sentences))
            yield ""

    def copa(self, part: str, codes: Iterable[str]) -> None:
        """Write COPA's records in English, and XCOPA's in the other languages."""
        split = {"val": "dev"}.get(part, part)
        items = self.draw(tasks.alternatives, split, f"copa/{part}", COPA[part], codes)
        for code in codes:
            records = [self.choice_of_two(code, item, i) for i, item in enumerate(items)]
            if code == "en":
                self.save_records(f"xtreme/copa/{part}.en.jsonl", records)
            else:
                translated = ({**record, "changed": False} for record in records)
                self.save_records(f"xtreme/xcopa/{code}/{part}.{code}.jsonl", translated, end="\r\n")

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
        self.save_records(f"xtreme/siqa/socialIQa_v1.4_{part}.jsonl", records)

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
        for code in self.languages:
            items = self.draw(document_line, "text", f"mono/{code}", MONO, (code,))
            self.save(f"text/mono/{code}.txt", (self.paragraph(code, item.sentences) for item in items))
        self.mixed_texts()
        items = self.draw(sentence_line, "text", "parallel", PARALLEL, LANGUAGES)
        for code in LANGUAGES:
            self.save(f"text/parallel/{code}.txt", (self.paragraph(code, item.sentences) for item in items))

    def mixed_texts(self) -> None:
        """Write code-switched text: about half of a sentence's phrases are in another language."""
        for code, language in self.languages.items():
            others = [other for other in self.languages.values() if other is not language]
            rng = self.generator(f"mixed/{code}/languages")
            items = self.draw(document_line, "text", f"mixed/{code}", MIXED, (code,))

            def lend(others: list[LanguageTable] = others, rng: random.Random = rng) -> LanguageTable | None:
                return rng.choice(others) if rng.random() < SWITCHED else None

            lines = (
                language.sentence_gap.join(language.mixed(sentence, lend) for sentence in item.sentences)
                for item in items
            )
            self.save(f"text/mixed/{code}.txt", lines)

    def evaluation(self) -> None:
        """Write every file that is evaluated on; must come before `training`."""
        self.xnli()
        intermediate.write_split(self, "dev")
        for split in ("dev", "test"):
            self.udpos(split, UDPOS_LANGUAGES)
        self.xquad()
        for part in ("val", "test"):
            self.copa(part, ("en", *XCOPA_LANGUAGES))
        self.siqa("dev")
        self.tatoeba()
        for split in ("dev", "test"):
            self.pawsx(split, PAWSX_LANGUAGES)
            self.panx(split, tuple(LANGUAGES))
            self.mlqa(split)
            retrieval.bucc(self, split)
        self.tydiqa("dev", TYDIQA_LANGUAGES)
        self.mewslix.evaluation()

    def training(self) -> None:
        """Write every file that is trained on."""
        intermediate.write_split(self, "train")
        self.udpos("train", ("en",))
        self.copa("train", ("en",))
        self.siqa("trn")
        self.pawsx("train", ("en",))
        self.panx("train", ("en",))
        self.tydiqa("train", ("en",))
        self.mewslix.training()
        self.texts()
        intermediate.lexicons(self)

    def more_dev(self) -> None:
        """Add to dev files of which no training chooses its steps; must come after `training`.

        The English files of UDPOS and PAN-X stay: they are their training sets' own.
        """
        nli = self.draw_more(tasks.inference, "xnli/dev/more", MORE["xnli"])
        for code in XNLI_LANGUAGES:
            rows = ((self.text(code, item.premise), self.text(code, item.hypothesis), item.label) for item in nli)
            self.add(f"xtreme/xnli/dev-{code}.tsv", map("\t".join, rows))
        tagged = self.draw_more(tasks.single, "udpos/dev/more", MORE["udpos"])
        named = self.draw_more(names.named, "panx/dev/more", MORE["panx"])
        for code in LANGUAGES:
            if code != "en" and code in UDPOS_LANGUAGES:
                self.add(f"xtreme/udpos/dev-{code}.tsv", self.tagged_lines(code, tagged))
            if code != "en":
                self.add(f"xtreme/panx/dev-{code}.tsv", self.named_lines(code, named))
        self.mlqa("dev", self.draw_more(tasks.reading, "mlqa/dev/more", MORE["mlqa"]))

    def coverage(self) -> None:
        """Write which languages each task has, so that evaluations do not ask for the others."""
        covered = {
            "xnli": XNLI_LANGUAGES,
            "udpos": UDPOS_LANGUAGES,
            "xquad": XQUAD_LANGUAGES,
            "xcopa": XCOPA_LANGUAGES,
            "tatoeba": tuple(code for code in LANGUAGES if code != "en"),
            "pawsx": PAWSX_LANGUAGES,
            "panx": tuple(LANGUAGES),
            "mlqa": MLQA_LANGUAGES,
            "tydiqa": TYDIQA_LANGUAGES,
            "bucc2018": retrieval.BUCC_LANGUAGES,
            "lareqa": retrieval.LAREQA_LANGUAGES,
            "mewslix": retrieval.MEWSLIX_LANGUAGES,
        }
        self.save("xtreme/coverage.json", [as_json({name: list(codes) for name, codes in covered.items()})])


def document_line(rng: random.Random, split: str, number: int) -> tasks.Document | names.Named:
    """Return a line of text in one language: a short document, or a fragment with names."""
    return _line(tasks.document, rng, split, number)


def sentence_line(rng: random.Random, split: str, number: int) -> tasks.Document | names.Named:
    """Return a line of parallel text: a sentence, or a fragment with names."""
    return _line(tasks.single, rng, split, number)


def _line(
    make: Callable[[random.Random, str, int], tasks.Document], rng: random.Random, split: str, number: int
) -> tasks.Document | names.Named:
    """Return a fragment with names in every eighth place, and otherwise what `make` makes."""
    if number % NAMED == NAMED - 1:
        return names.named(rng, split, number)
    return make(rng, split, number - number // NAMED)


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
        sample = SampleWriter(Path(beside) / "sample")
        sample.evaluation()
        sample.training()
        sample.more_dev()
        sample.coverage()
        sample.save("README.txt", README.splitlines())
        sample.sums()
        os.rename(sample.folder, destination)
