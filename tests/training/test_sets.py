"""How many examples each set of a mix gives."""

import pytest

from harness import finetunes
from harness.errors import DataError
from harness.heads import SequenceClassification
from harness.recipe import CodeSwitch, Intermediate, Mixed
from training.batches import TrainingSet
from training.intermediate import taught
from training.sets import share_out

HEAD = SequenceClassification(("no", "yes"))


def make(task: str, language: str, size: int, weight: float = 1.0) -> TrainingSet:
    return TrainingSet(task, language, HEAD, [[number] for number in range(size)], weight)  # type: ignore[list-item]


def sizes(sets: list[TrainingSet]) -> dict[tuple[str, str], int]:
    return {(item.task, item.language): len(item.examples) for item in sets}


def test_everything_is_taken_where_no_number_is_given() -> None:
    assert sizes(share_out([make("a", "en", 5), make("a", "ru", 7)], None)) == {("a", "en"): 5, ("a", "ru"): 7}


def test_one_language_and_two_languages_see_equally_many_examples() -> None:
    english = share_out([make("a", "en", 100), make("b", "en", 50)], 60)
    mixed = share_out([make("a", "en", 100), make("a", "ru", 100), make("b", "en", 50), make("b", "ru", 50)], 60)
    assert sizes(english) == {("a", "en"): 40, ("b", "en"): 20}
    assert sizes(mixed) == {("a", "en"): 20, ("a", "ru"): 20, ("b", "en"): 10, ("b", "ru"): 10}


def test_languages_take_their_shares() -> None:
    sets = [make("a", "en", 100, 3.0), make("a", "ru", 100, 1.0)]
    assert sizes(share_out(sets, 40)) == {("a", "en"): 30, ("a", "ru"): 10}


def test_languages_of_parallel_files_take_different_examples() -> None:
    english, russian = share_out([make("a", "en", 100), make("a", "ru", 100)], 40)
    assert not {row[0] for row in english.examples} & {row[0] for row in russian.examples}


def test_language_with_too_few_examples_is_refused() -> None:
    with pytest.raises(DataError, match="needs 30 examples of a ru, which has 10"):
        share_out([make("a", "en", 100), make("a", "ru", 10)], 60)


def test_drawn_examples_are_told_by_family_and_switched_words_by_their_language() -> None:
    mix = Intermediate(
        steps=1,
        tasks=(Mixed(name="mnli", languages={"en": 1.0}, switch=CodeSwitch(language="ru")), Mixed(name="squad")),
    )
    tasks = [(task, finetunes.load(task.name)) for task in mix.tasks]
    assert taught(mix, tasks, {"mnli": {"en": 5}, "squad": {"en": 7}}, {"de": 9}) == {
        "alignment": {"de": 9},
        "inference": {"en": 5, "ru": 5},
        "reading": {"en": 7},
    }
