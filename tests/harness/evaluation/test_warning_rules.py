"""Each warning from made scores, and what looks like one and is none."""

import math
from typing import Any

import pytest

from harness.artifacts.run import PlausibilityRecord
from harness.benchmark import tasks
from harness.core.languages import language
from harness.evaluation.plausibility.profiles import profiles, rows
from harness.evaluation.results import LanguageScore, TaskScore
from harness.evaluation.warning_rules import APART, BELOW, CHANCE, EQUAL, SCRIPTS, UNKNOWN, warnings

#: Where chance is next to nothing.
LITTLE = {"chance": 0.1}
LARGE = {profile.model: profile for profile in profiles(tasks.load("xnli"))}["XLM-R large"].scores


def scored(
    name: str, scores: dict[str, float], *, n: int = 5_000, records: dict[str, dict[str, Any]] | None = None
) -> TaskScore:
    """Make a task of so many independent right-or-wrong examples in each language, with chance at a third."""
    task = tasks.load(name)
    rows = []
    for code, score in scores.items():
        share = score / 100
        own = {
            "chance": 100 / 3,
            "error": 100 * math.sqrt(share * (1 - share) / (n - 1)),
            "independent": n,
            **(records or {}).get(code, {}),
        }
        rows.append(
            LanguageScore(
                language=code,
                examples=n,
                scores=dict.fromkeys((*task.headline, "accuracy"), score),
                official=True,
                plausibility=PlausibilityRecord(**own),
            )
        )
    return TaskScore(task=task, languages=rows, expected=tuple(scores))


def kinds(*scores: TaskScore, official: bool = True) -> list[tuple[str, list[str]]]:
    return [(found.kind, found.languages) for found in warnings(scores, official=official)]


def test_published_scores_have_no_warning() -> None:
    assert kinds(scored("xnli", dict(LARGE))) == []


def test_scores_of_older_runs_have_no_warning() -> None:
    row = LanguageScore(language="ru", examples=10, scores={"accuracy": 0.0}, official=True)
    assert kinds(TaskScore(task=tasks.load("xnli"), languages=[row], expected=("ru",))) == []


# Unknown subwords


def test_unknown_subwords_above_five_percent_warn_with_their_shares() -> None:
    task = scored("xnli", dict(LARGE), records={"zh": {"unknown_share": 69.0, "unknown_share_low": 67.0}})
    (found,) = warnings([task], official=True)
    assert (found.kind, found.languages) == (UNKNOWN, ["zh"])
    assert found.text == (
        "xnli zh: more than 5 % of the subwords are unknown (zh 69 %); the tokenizer lacks characters of these texts"
    )


@pytest.mark.parametrize(
    ("share", "low", "examples"), [(4.9, 4.8, 5_000), (8.0, 3.0, 10), (60.0, 20.0, 4)], ids=["few", "noise", "limit 4"]
)
def test_unknown_subwords_do_not_warn(share: float, low: float, examples: int) -> None:
    record = {"unknown_share": share, "unknown_share_low": low}
    assert kinds(scored("xnli", {"zh": 70.0}, n=examples, records={"zh": record})) == []


# Below chance


def test_accuracy_significantly_below_chance_warns() -> None:
    task = scored("xnli", {**LARGE, "ru": 15.0}, records={"ru": {"below_chance_p": 1e-50}})
    (found,) = warnings([task], official=True)
    assert (found.kind, found.languages) == (BELOW, ["ru"])
    assert found.text == (
        "xnli ru: accuracy 15.0 is significantly below chance, chance is 33.3 (p 1e-50); "
        "are the labels permuted, in the data or in the graph?"
    )


def test_one_of_fifteen_languages_a_little_below_chance_is_no_warning() -> None:
    records = {code: {"below_chance_p": 0.0009 if code == "ru" else 0.5} for code in LARGE}
    assert kinds(scored("xnli", dict.fromkeys(LARGE, 33.0), records=records)) == []


def test_nineteen_examples_do_not_show_permuted_labels() -> None:
    records = {"ru": {"below_chance_p": 0.0004}}
    assert kinds(scored("xnli", {"ru": 5.0}, n=19, records=records)) == []


# All the same


def test_equal_predictions_warn() -> None:
    assert kinds(scored("xnli", {"ru": 33.3}, records={"ru": {"same_answer": True}})) == [(EQUAL, ["ru"])]


# At chance


def test_a_language_at_chance_warns_while_the_others_are_not() -> None:
    (found,) = warnings([scored("xnli", {**LARGE, "th": 33.5})], official=True)
    assert (found.kind, found.text) == (
        CHANCE,
        "xnli th: 33.5 is at chance (33.3), while the other languages are 47.7 points above it",
    )


def test_a_language_below_chance_has_one_line() -> None:
    task = scored("xnli", {**LARGE, "th": 10.0}, records={"th": {"below_chance_p": 0.0}})
    assert kinds(task) == [(BELOW, ["th"])]


@pytest.mark.parametrize(
    "scores",
    [dict.fromkeys(LARGE, 33.4), {**LARGE, "th": 50.0}],
    ids=["all are", "half way"],
)
def test_no_language_is_at_chance(scores: dict[str, float]) -> None:
    assert CHANCE not in [kind for kind, _ in kinds(scored("xnli", scores))]


def test_few_examples_do_not_put_a_language_at_chance() -> None:
    assert kinds(scored("xnli", {"en": 80.0, "ru": 75.0, "th": 35.0}, n=30)) == []


def test_a_language_that_is_at_chance_in_a_published_model_is_no_warning() -> None:
    scores = {"et": 70.0, "ht": 50.0, "id": 80.0, "it": 72.0, "sw": 60.0, "zh": 78.0}
    record = {"chance": 50.0}
    task = scored("xcopa", scores, n=2_000, records=dict.fromkeys(scores, record))
    assert kinds(task) == []
    assert kinds(task, official=False) == [(CHANCE, ["ht"])]


# A script apart


def test_a_script_apart_from_the_published_profile_warns() -> None:
    (found,) = warnings([scored("xnli", {**LARGE, "el": 60.0})], official=True)
    assert (found.kind, found.languages) == (APART, ["el"])
    assert found.text == (
        "xnli el: script Grek is 19.3 points below what the other scripts and the published scores of XLM-R large and "
        "mBERT suggest, whose median deviation is 2.0"
    )


@pytest.mark.parametrize("name", ["xnli", "udpos", "panx", "xquad", "tydiqa", "tatoeba"])
def test_what_every_published_model_finds_hard_is_no_warning(name: str) -> None:
    for profile in profiles(tasks.load(name)):
        task = scored(name, dict(profile.scores), records=dict.fromkeys(profile.scores, LITTLE))
        assert kinds(task) == []


def test_swahili_and_thai_do_not_warn_in_a_weaker_model() -> None:
    # Half of what XLM-R large is above chance, in every language.
    weaker = {code: 100 / 3 + (score - 100 / 3) / 2 for code, score in LARGE.items()}
    assert kinds(scored("xnli", weaker)) == []


def test_plain_scores_count_where_nothing_is_published() -> None:
    scores = {"ar": 30.0, "de": 31.0, "el": 29.0, "hi": 30.5, "ru": 12.0, "th": 29.5, "zh": 31.0}
    assert kinds(scored("lareqa", scores, records=dict.fromkeys(scores, LITTLE))) == [(APART, ["ru"])]


def test_a_script_above_the_others_is_judged_by_published_scores_alone() -> None:
    scores = {"ar": 30.0, "en": 70.0, "el": 29.0, "hi": 30.5, "ru": 31.0, "th": 29.5, "zh": 31.0}
    assert kinds(scored("lareqa", scores, records=dict.fromkeys(scores, LITTLE))) == []
    assert kinds(scored("xnli", {**LARGE, "el": 99.0})) == [(APART, ["el"])]


def test_five_scripts_have_none_apart() -> None:
    scores = {"ar": 30.0, "de": 31.0, "el": 29.0, "hi": 30.5, "ru": 12.0}
    assert len({language(code).script for code in scores}) < SCRIPTS
    assert kinds(scored("lareqa", scores, records=dict.fromkeys(scores, LITTLE))) == []


def test_four_points_are_no_script_apart() -> None:
    scores = {"ar": 30.0, "de": 30.1, "el": 29.9, "hi": 30.0, "ru": 26.0, "th": 30.0, "zh": 30.1}
    assert kinds(scored("lareqa", scores, records=dict.fromkeys(scores, LITTLE))) == []


def test_a_script_is_not_apart_by_noise() -> None:
    scores = {"ar": 30.0, "de": 31.0, "el": 29.0, "hi": 30.5, "ru": 20.0, "th": 29.5, "zh": 31.0}
    records = dict.fromkeys(scores, LITTLE)
    assert kinds(scored("lareqa", scores, n=100, records=records)) == []
    assert kinds(scored("lareqa", scores, n=5_000, records=records)) == [(APART, ["ru"])]


# Published scores


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.task} {row.model} {row.metric}")
def test_published_values_have_the_mean_that_their_source_prints(row) -> None:
    task = tasks.load(row.task)
    assert row.metric in task.headline
    assert set(row.languages) <= set(task.all_languages(None))
    assert sum(row.languages.values()) / len(row.languages) == pytest.approx(row.mean, abs=0.0501)


def test_a_profile_is_the_headline() -> None:
    large = {profile.model: profile for profile in profiles(tasks.load("xquad"))}["XLM-R large"]
    assert large.scores["en"] == pytest.approx((86.5 + 75.7) / 2)
