"""Readings in SQuAD's JSON: paragraphs, questions, and the place of each answer."""

from collections.abc import Iterable
from typing import Any

from harness.sample.folder import SampleFolder, as_json
from harness.sample.render import LanguageTable, Rendered
from harness.sample.tasks import NOWHERE, Reading
from harness.sample.world import Sentence

SLOT_OF_FIELD = {"place": "place", "agent": "agent", "thing": "object", "time": "time"}


def sentence_spans(language: LanguageTable, sentences: Iterable[Sentence]) -> list[tuple[int, int]]:
    """Return the first character of each sentence of a paragraph, and the one after its last."""
    spans: list[tuple[int, int]] = []
    start = 0
    for sentence in sentences:
        end = start + len(language.render(sentence).text)
        spans.append((start, end))
        start = end + len(language.sentence_gap)
    return spans


def _answers(said: Rendered, start: int, slot: str, second: bool) -> list[dict[str, Any]]:
    """Return the reference answers that a sentence at `start` of its paragraph gives."""
    first, last = said.spans[slot]
    answers = [{"answer_start": start + first, "text": said.text[first:last]}]
    word, after = said.ranges[slot]
    if second and after - word > 1 and said.tags[word] == "ADP":
        first += len(said.words[word]) + 1
        answers.append({"answer_start": start + first, "text": said.text[first:last]})
    return answers


def paragraph(language: LanguageTable, item: Reading, name: str, second: bool = False) -> dict[str, Any]:
    """Return a reading as a paragraph of SQuAD.

    Args:
        language: the language of its sentences.
        item: the sentences and their questions.
        name: the ids of the questions are this and a number.
        second: whether to add, to an answer that begins with a preposition, the one without it.
    """
    said = [language.render(sentence) for sentence in item.sentences]
    spans = sentence_spans(language, item.sentences)
    asked = [
        {
            "id": f"{name}-{i}",
            "question": language.render(question).text,
            "answers": [] if place == NOWHERE else _answers(said[place], spans[place][0], SLOT_OF_FIELD[field], second),
        }
        for i, (question, place, field) in enumerate(item.questions)
    ]
    return {"context": language.paragraph(item.sentences), "qas": asked}


def save_squad(folder: SampleFolder, name: str, paragraphs: Iterable[dict[str, Any]], version: str = "1.1") -> None:
    """Write paragraphs as one file in SQuAD's format."""
    data = [{"title": "sample", "paragraphs": list(paragraphs)}]
    folder.save(name, [as_json({"version": version, "data": data})])
