"""Writes the retrieval tasks that search more than aligned lines: BUCC, LAReQA and Mewsli-X."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from harness.sample import names, tasks
from harness.sample.folder import SampleFolder, as_json
from harness.sample.render import LANGUAGES
from harness.sample.squad import paragraph, sentence_spans
from harness.sample.world import Sentence

BUCC = {"dev": 150, "test": 250}
"""Lines of each side of a pair of corpora."""
BUCC_LANGUAGES = ("de", "ru", "zh")
TRANSLATED = 0.4
"""Share of a side's lines that have a translation on the other side."""
REPEATED = 4
"""Lines of a side that another line repeats; the official procedure drops both."""

LAREQA = 20
LAREQA_LANGUAGES = ("en", "de", "es", "tr", "ru", "el", "ar", "hi", "th", "zh")

MEWSLIX_LANGUAGES = ("en", "de", "es", "tr", "ar", "ta")
ARTICLES = {"dev": 11, "test": 30}
"""News articles of a language; every third one mentions two entities."""
PAIRS = {"dev": 40, "train": 400}
CANDIDATES = {"dev": 40, "test": 110}
"""Entities of the candidate set by the split of their combination of name, agent and city."""
FIRST_ENTITY = 900_000_001
"""Far above the ids that Wikidata has given, so that an invented entity is never taken for a real one."""


def bucc(folder: SampleFolder, split: str) -> None:
    """Write BUCC's comparable corpora: sentences of both sides, and which of them are translations."""
    lines = BUCC[split]
    paired = round(TRANSLATED * lines)
    other = lines - paired - REPEATED
    for code in BUCC_LANGUAGES:
        name = f"bucc2018/{code}/{split}"
        items = folder.draw(tasks.single, split, name, paired + 2 * other, (code, "en"))
        rng = folder.generator(f"{name}/order")
        ids = {}
        for side, rest in ((code, items[paired : paired + other]), ("en", items[paired + other :])):
            rows = [*items[:paired], *rest, *rest[:REPEATED]]
            rng.shuffle(rows)
            numbered = {f"{side}-{number:09d}": item for number, item in enumerate(rows, start=1)}
            texts = (f"{key}\t{folder.paragraph(side, item.sentences)}" for key, item in numbered.items())
            folder.save(f"xtreme/bucc2018/{code}-en.{split}.{side}", texts)
            ids[side] = {item: key for key, item in numbered.items()}
        gold = sorted((ids[code][item], ids["en"][item]) for item in items[:paired])
        folder.save(f"xtreme/bucc2018/{code}-en.{split}.gold", map("\t".join, gold))


def lareqa(folder: SampleFolder, readings: Sequence[tasks.Reading]) -> None:
    """Write LAReQA's files: XQuAD's paragraphs with their sentences, as in the real data.

    Args:
        folder: where to.
        readings: XQuAD's items; those are left out that would give a question of another a second answer.
    """
    items = tasks.unambiguous(readings)[:LAREQA]
    for code in LAREQA_LANGUAGES:
        language = folder.languages[code]
        paragraphs = []
        for item in items:
            name = f"sample-{readings.index(item):04d}"
            spans = sentence_spans(language, item.sentences)
            sentences = [folder.text(code, sentence) for sentence in item.sentences]
            paragraphs.append({**paragraph(language, item, name), "sentence_breaks": spans, "sentences": sentences})
        data = [{"paragraphs": paragraphs, "title": "sample"}]
        folder.save(f"xtreme/lareqa/xquad-r/{code}.json", [as_json({"data": data, "version": "1.1"})])


def entity_ids() -> dict[Sentence, str]:
    """Return the id of every entity of the world."""
    profiles = [profile for some in names.FRAGMENTS["profile"].values() for profile in some]
    return {profile: f"Q{FIRST_ENTITY + number}" for number, profile in enumerate(sorted(profiles))}


class MewsliX:
    """Mewsli-X: mentions in news of several languages, and descriptions of what they may mean."""

    def __init__(self, folder: SampleFolder):
        """Prepare to write to a folder."""
        self.folder = folder
        self.ids = entity_ids()
        rng = folder.generator("mewslix/candidates")
        self.chosen = {
            split: rng.sample(names.FRAGMENTS["profile"][split], count) for split, count in CANDIDATES.items()
        }
        # The second half of dev belongs to the English pairs, whose entities are described in English.
        self.paired = self.chosen["dev"][CANDIDATES["dev"] // 2 :]
        self.mentioned = {"dev": self.chosen["dev"][: CANDIDATES["dev"] // 2], "test": self.chosen["test"]}

    def evaluation(self) -> None:
        """Write the candidate set, the mentions in news and the pairs for selecting a model."""
        self.candidates()
        for split in ARTICLES:
            for code in MEWSLIX_LANGUAGES:
                self.news(split, code)
        self.pairs("dev", self.paired)

    def training(self) -> None:
        """Write the pairs for training; none of their entities is a candidate."""
        self.pairs("train", names.FRAGMENTS["profile"]["train"])

    def candidates(self) -> None:
        """Write the candidate set; each entity is described in one language."""
        rng = self.folder.generator("mewslix/languages")
        records = []
        for split, profiles in self.chosen.items():
            for profile in profiles:
                code = "en" if profile in self.paired else rng.choice(tuple(LANGUAGES))
                entity = self.entity(profile, split)
                self.folder.guard.hold(code, entity.said())
                records.append(self.described(entity, code))
        rng.shuffle(records)
        self.folder.save_records("xtreme/mewslix/candidate_set_entities.jsonl", records)

    def news(self, split: str, code: str) -> None:
        """Write a language's news articles of a split."""

        def make(rng: random.Random, split: str, number: int) -> names.Story:
            return names.story(rng, split, self.mentioned[split], 2 if number % 3 == 0 else 1)

        name = f"{split}-{code}"
        items = self.folder.draw(make, split, f"mewslix/{name}", ARTICLES[split], (code,))
        records = []
        for number, item in enumerate(items):
            known = f"wikinews-{name}-{number}"
            mentions = self.mentions(item, code, known)
            records.append({"context": self.context(item, code, known, ""), "mentions": mentions})
        self.folder.save_records(f"xtreme/mewslix/wikinews_mentions/{name}.jsonl", records)

    def pairs(self, split: str, profiles: list[Sentence]) -> None:
        """Write English mentions paired with their entities' descriptions."""

        def make(rng: random.Random, split: str, number: int) -> names.Link:
            story = names.story(rng, split, profiles, 1)
            return names.Link(story, self.entity(story.mentions[0].entity, split))

        items = self.folder.draw(make, split, f"mewslix/pairs-{split}", PAIRS[split], ("en",))
        records = []
        for number, item in enumerate(items):
            known = f"wikipedia-{split}-{number}"
            (mention,) = self.mentions(item.story, "en", known)
            context = self.context(item.story, "en", known, "sample")
            linked = {"context": context, "mention": mention}
            records.append({"contextual_mention": linked, "entity": self.described(item.entity, "en")})
        self.folder.save_records(f"xtreme/mewslix/wikipedia_pairs-{split}.jsonl", records)

    def entity(self, profile: Sentence, split: str) -> names.Entity:
        """Return the entity of a profile, the same whenever asked."""
        return names.entity(self.folder.generator(f"mewslix/{self.ids[profile]}"), split, profile)

    def described(self, entity: names.Entity, code: str) -> dict[str, Any]:
        """Return an entity as a record of the candidate set."""
        known = self.ids[entity.profile]
        said = self.folder.languages[code].render(entity.profile)
        first, last = said.spans["person"]
        return {
            "entity_id": known,
            "title": said.text[first:last],
            "description": self.folder.paragraph(code, entity.sentences),
            "sentence_spans": self.spans(entity.sentences, code),
            "description_language": code,
            "description_url": f"https://example.org/{code}/{known}",
        }

    def context(self, story: names.Story, code: str, known: str, section: str) -> dict[str, Any]:
        """Return a story as the context of its mentions; news has no section title."""
        return {
            "document_title": known,
            "document_url": f"https://example.org/{code}/{known}",
            "document_id": known,
            "language": code,
            "text": self.folder.paragraph(code, story.sentences),
            "sentence_spans": self.spans(story.sentences, code),
            "section_title": section,
        }

    def mentions(self, story: names.Story, code: str, known: str) -> list[dict[str, Any]]:
        """Return the mentions of a story."""
        found = []
        starts = [start for start, _ in sentence_spans(self.folder.languages[code], story.sentences)]
        for number, (place, entity) in enumerate(story.mentions):
            said = self.folder.languages[code].render(story.sentences[place])
            first, last = said.spans["person"]
            span = {"start": starts[place] + first, "end": starts[place] + last, "text": said.text[first:last]}
            found.append({"example_id": f"{known}-{number}", "mention_span": span, "entity_id": self.ids[entity]})
        return found

    def spans(self, sentences: Iterable[Sentence], code: str) -> list[dict[str, int]]:
        """Return where each sentence of a text begins and ends."""
        found = sentence_spans(self.folder.languages[code], sentences)
        return [{"start": start, "end": end} for start, end in found]
