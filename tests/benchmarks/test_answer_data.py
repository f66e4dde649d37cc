"""The rows of the experiment: halves that share nothing, equal counts and lengths, labels that say nothing."""

import json
from collections import Counter
from hashlib import sha256

import msgspec
import numpy as np
import pytest

from benchmarks.answer.data import TrainingRow, _halves, matched, shuffled
from benchmarks.answer.declaration import ARMS, COMPARISONS, LABELLED, MIXES, SEEDS, TARGETS, units
from benchmarks.answer.units import FINETUNES, RECIPES
from harness.benchmark import tasks
from harness.core.errors import DataError
from harness.core.languages import language
from training.recipe_files import load_recipe


def _pair(number: int, tokens: int = 10, premise: str = "") -> TrainingRow:
    premise = premise or f"premise {number}"
    return TrainingRow({"premise": premise, "hypothesis": f"{number}", "label": str(number % 3)}, tokens, premise)


def test_halves_share_no_premise_and_lose_no_row() -> None:
    rows = [_pair(number, premise=f"premise {number // 3}") for number in range(600)]
    first, second = _halves(rows, "nli")
    assert len(first) + len(second) == len(rows)
    assert min(len(first), len(second)) > 200
    assert not {row.group for row in first} & {row.group for row in second}


def test_choice_is_not_halved_as_phase_3_does_not_train_on_it() -> None:
    rows = [_pair(number) for number in range(10)]
    assert _halves(rows, "choice") == (rows, [])


def test_matched_rows_are_as_long_as_the_rows_they_replace() -> None:
    generator = np.random.default_rng(0)
    wanted = [_pair(number, int(tokens)) for number, tokens in enumerate(generator.integers(8, 120, 200))]
    pool = [_pair(number, int(tokens)) for number, tokens in enumerate(generator.integers(8, 120, 1600))]
    found = matched(wanted, pool, "nli in zh")
    assert len({row.raw["hypothesis"] for row in found}) == len(wanted)
    assert sum(row.tokens for row in found) == pytest.approx(sum(row.tokens for row in wanted), rel=0.01)
    assert max(abs(one.tokens - other.tokens) for one, other in zip(found, wanted, strict=True)) <= 3


def test_too_few_rows_are_named() -> None:
    with pytest.raises(DataError, match=r"nli in fa has 1 rows that fit, 2 are needed"):
        matched([_pair(0), _pair(1)], [_pair(2)], "nli in fa")


def test_shuffled_labels_keep_their_counts_and_say_nothing() -> None:
    rows = [_pair(number) for number in range(3000)]
    found = shuffled(rows, np.random.default_rng(1))
    assert [row.texts for row in found] == [row.texts for row in rows]
    assert Counter(row.raw["label"] for row in found) == Counter(row.raw["label"] for row in rows)
    agree = np.mean([one.raw["label"] == other.raw["label"] for one, other in zip(found, rows, strict=True)])
    assert agree == pytest.approx(1 / 3, abs=0.04)


def test_a_moved_answer_is_a_span_of_its_context_of_the_same_length() -> None:
    context = "北京大学在北京。 The university lies in Beijing since 1898."
    answer = {"text": "Beijing", "answer_start": context.index("Beijing")}
    row = TrainingRow({"question": "where", "answers": [answer]}, 20, "a", ("a", context))
    starts = set()
    for seed in range(50):
        (found,) = shuffled([row], np.random.default_rng(seed))
        (moved,) = found.raw["answers"]
        assert context[moved["answer_start"] :].startswith(moved["text"])
        assert len(moved["text"]) == len("Beijing")
        assert moved["text"] == moved["text"].strip()
        starts.add(moved["answer_start"])
    assert len(starts) > 10


@pytest.mark.parametrize("arm", ARMS)
def test_recipe_of_an_arm_draws_what_was_declared(arm: str) -> None:
    recipe = load_recipe(RECIPES / f"{arm}.toml")
    assert set(recipe.target.finetunes) == set(FINETUNES)
    if ARMS[arm].languages is None:
        assert recipe.intermediate is None
        return
    assert recipe.intermediate is not None
    drawn: Counter[str] = Counter()
    for each in recipe.intermediate.tasks:
        assert set(each.files) == set(each.languages)
        assert all(f"answer/{arm}/{each.name}/{code}/" in path for code, path in each.files.items())
        drawn.update(
            {task: int(sum(each.languages.values())) for task, mix in MIXES.items() if each.name in _names(mix)}
        )
    assert drawn == {task: mix.rows for task, mix in MIXES.items()}
    assert recipe.intermediate.steps == round(sum(drawn.values()) / recipe.intermediate.batch_rows)


def _names(mix: object) -> set[str]:
    return {mix.english.finetune, *(part.finetune for part in mix.others)}  # type: ignore[attr-defined]


def test_recipes_differ_in_phase_2_only() -> None:
    first, *others = [load_recipe(RECIPES / f"{arm}.toml") for arm in ARMS]
    assert all(each.target == first.target and each.pretrained == first.pretrained for each in others)


def test_targets_are_languages_of_their_tasks() -> None:
    for target in TARGETS:
        assert set(target.languages) <= set(tasks.load(target.task).all_languages(None))


def test_primary_groups_are_what_the_declaration_says() -> None:
    primary = {each.name.partition(": ")[2]: each.cells for each in COMPARISONS if each.family == "primary"}
    assert len(primary) == 4
    for name, cells in primary.items():
        assert cells
        codes = {code for _, code in cells}
        if "no label" in name:
            assert not codes & LABELLED
        else:
            assert all(language(code).script != "Latn" for code in codes)
            assert codes <= LABELLED


def test_comparisons_are_those_that_were_declared_before_the_first_result() -> None:
    # Of commit 3910d41. Another digest is another declaration: docs/answer.md has to say so.
    assert sha256(msgspec.json.encode(COMPARISONS, order="deterministic")).hexdigest()[:16] == "976734389dc3074b"


def test_units_run_seed_by_seed_and_each_once() -> None:
    order = units()
    assert [seed for _, seed in order] == sorted(seed for _, seed in order)
    assert set(order) == {(arm, seed) for arm in ARMS for seed in SEEDS}
    assert len({json.dumps([arm for arm, other in order if other == seed]) for seed in SEEDS}) > 1
