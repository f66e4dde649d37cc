"""How many examples each set of a mix gives."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.benchmark import finetunes
from harness.core.errors import DataError, RecipeError
from harness.core.features import Feature
from harness.core.heads import SequenceClassification
from harness.core.layout import Layout
from harness.core.progress import Silent
from training.batches import TrainingSet
from training.intermediate import check_weights, taught
from training.recipe import CodeSwitch, Intermediate, Mixed
from training.sets import RowsOnDemand, every_row, share_out, training_set

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


def test_weight_that_fails_at_a_late_step_is_refused_before_the_first() -> None:
    tasks = (Mixed(name="mnli", weight="10 - t"), Mixed(name="qqp", weight=1.0))
    mix = Intermediate(steps=20, sampling="scheduled", tasks=tasks)
    check_weights(mix, 10)
    with pytest.raises(RecipeError, match="weights at step 11 are mnli -1, qqp 1"):
        check_weights(mix, 20)


def test_sizes_need_no_check_of_weights() -> None:
    check_weights(Intermediate(steps=5, tasks=(Mixed(name="mnli"),)), 5)


class Nothing:
    """A source whose file has no examples, as SQuAD's `{"data": []}`."""

    splits = ("train",)

    def paths(self, layout: Layout, language: str, split: str) -> tuple[Path, ...]:
        return (Path("squad") / f"{language}.json",)

    def read(self, layout: Layout, language: str, split: str) -> list[object]:
        return []


def test_language_without_examples_is_refused_by_its_file(tmp_path: Path) -> None:
    training = SimpleNamespace(progress=Silent(), layout=Layout(tmp_path, None), recipe=SimpleNamespace(name="mine"))
    finetune = replace(finetunes.load("mnli"), train=Nothing())
    with pytest.raises(DataError, match=r"squad/ru\.json gives mnli no example in 'ru' to train on"):
        training_set(training, finetune, "ru", None)  # type: ignore[arg-type]


def test_rows_on_demand_are_those_made_at_once() -> None:
    made: list[object] = []

    def featurizer(examples: Sequence[str], tokenizer: object) -> list[Feature]:
        made.extend(examples)
        return [
            Feature(number, np.arange(size)) for number, text in enumerate(examples) for size in range(1, len(text) + 1)
        ]

    finetune, examples = SimpleNamespace(featurizer=featurizer), ["ab", "c", "def"]
    whole = every_row(finetune, examples, None)  # type: ignore[arg-type]
    made.clear()
    later = RowsOnDemand(finetune, examples, None)[1:]  # type: ignore[arg-type]
    assert (len(later), made) == (2, [])
    assert [len(row.input_ids) for row in later[1]] == [len(row.input_ids) for row in whole[2]]
    assert later[1] is later[1]
    assert made == ["def"]
