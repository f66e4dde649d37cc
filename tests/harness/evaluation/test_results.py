import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from harness.artifacts.run import TaskRecord
from harness.benchmark import tasks
from harness.core.files import write_json
from harness.evaluation.results import LanguageScore, TaskScore


def score(**languages: float) -> TaskScore:
    rows = [
        LanguageScore(language=code, examples=10, scores={"exact_match": value, "f1": value + 10}, official=True)
        for code, value in languages.items()
    ]
    return TaskScore(task=tasks.load("xquad"), languages=rows, expected=tuple(languages))


def test_headline_is_the_mean_of_the_tasks_scores() -> None:
    task = score(ru=50)
    assert task.headline(task.languages[0]) == 55


def test_score_is_the_unweighted_mean_over_languages() -> None:
    assert score(ru=50, en=70, de=90).score == 75


def test_script_is_the_unweighted_mean_over_its_languages() -> None:
    assert score(ru=50, en=70, de=90).by_script() == {"Latn": 85, "Cyrl": 55}


def test_scripts_come_in_the_tables_order() -> None:
    assert list(score(zh=1, ar=1, ru=1, en=1).by_script()) == ["Latn", "Cyrl", "Arab", "Hani"]


def test_json_has_every_score_of_every_language() -> None:
    assert score(ru=50).to_json() == {
        "score": 55,
        "label": "test",
        "complete": True,
        "headline": ["exact_match", "f1"],
        "protocol": "",
        "representation": "",
        "stand_in": "",
        "leak": "",
        "selected_on": "",
        "exposure_declared": True,
        "gold_errors": None,
        "placeholders": {},
        "languages": {
            "ru": {
                "exact_match": 50, "f1": 60, "examples": 10, "split": "test", "official": True, "exposure": None
            }
        },
        "scripts": {"Cyrl": 55},
        "families": {"Indo-European": 55},
        "non-Latin": 55,
        "transfer_gap": None,
        "unseen": None,
    }  # fmt: skip


def test_two_isolates_are_two_families() -> None:
    assert list(score(ko=50, eu=60).by_family()) == ["isolate (Basque)", "isolate (Korean)"]


def test_latin_and_other_are_means_over_languages() -> None:
    assert score(ru=50, zh=70, en=80, de=90).latin_and_other() == {"non-Latin": 65, "Latin": 90}


def test_transfer_gap_is_english_minus_the_mean_of_the_others() -> None:
    assert score(en=80, ru=50, de=60).transfer_gap() == 25


@pytest.mark.parametrize("languages", [{"en": 80}, {"ru": 50}], ids=["english-alone", "without-english"])
def test_transfer_gap_needs_english_and_another(languages: dict[str, float]) -> None:
    assert score(**languages).transfer_gap() is None


def row(language: str, split: str = "test", official: bool = True) -> LanguageScore:
    return LanguageScore(language=language, split=split, examples=1, scores={"f1": 1}, official=official)


@pytest.mark.parametrize(
    ("rows", "label"),
    [
        ([row("en"), row("ru")], "test"),
        ([row("en")], "partial: 1/2 languages, test"),
        ([row("en", "dev", False), row("ru", "dev", False)], "partial: 2/2 languages, dev"),
        ([row("en", "dev", False), row("ru")], "partial: 2/2 languages, dev 1, test 1"),
        (
            [row("en", official=False), row("ru")],
            "partial: 2/2 languages, test, 1 of 5,440 examples per language in en",
        ),
    ],
    ids=["whole", "language-missing", "dev", "mixed", "short"],
)
def test_label_says_what_was_scored(rows: list[LanguageScore], label: str) -> None:
    task = TaskScore(task=tasks.load("udpos"), languages=rows, expected=("en", "ru"))
    assert (task.label, task.complete) == (label, label == "test")


def sampled(name: str, examples: dict[str, int]) -> str:
    rows = [LanguageScore(language=code, examples=count, scores={}, official=False) for code, count in examples.items()]
    return TaskScore(task=tasks.load(name), languages=rows, expected=tuple(examples)).label


@pytest.mark.parametrize(
    ("name", "examples", "said"),
    [
        ("xnli", {"ru": 30, "sw": 30}, "30 of 5,010 examples per language"),
        ("mlqa", {"en": 30, "de": 30}, "30 of 4,517 to 11,590 examples per language"),
        ("xnli", {"ru": 20, "sw": 30}, "20 to 30 of 5,010 examples per language"),
        ("xnli", {"ru": 5_011, "sw": 30}, "not the official number of examples"),
        # Its official number counts gold pairs.
        ("bucc2018", {"de": 30, "ru": 30}, "not the official number of examples"),
    ],
    ids=["one", "official-differ", "examples-differ", "too-many", "pairs"],
)
def test_label_of_a_sample_has_both_numbers(name: str, examples: dict[str, int], said: str) -> None:
    assert sampled(name, examples) == f"partial: 2/2 languages, test, {said}"


def test_json_is_written_with_its_letters(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "scores.json", {"a": "да"})
    assert (tmp_path / "new" / "scores.json").read_text(encoding="utf-8") == '{\n "a": "да"\n}\n'


def test_failed_writing_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "scores.json", {"a": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
    assert json.loads((tmp_path / "scores.json").read_text()) == {"a": 1}


def test_counts_beside_the_score_are_read_back_and_gold_errors_are_never_official() -> None:
    counted = replace(score(ru=50).languages[0], gold_errors=2, placeholders=3)
    before = replace(score(ru=50), languages=[counted])
    assert (before.complete, before.label) == (False, "partial: 1/1 languages, test, gold errors allowed: 2")
    found = msgspec.convert(before.to_json(), TaskRecord)
    assert (found.gold_errors, found.placeholders) == ({"ru": 2}, {"ru": 3})
    assert TaskScore.from_record(before.task, ("ru",), found).languages == [counted]
    allowed = replace(before, languages=[replace(counted, gold_errors=0)])
    assert (allowed.complete, allowed.label) == (True, "test, gold errors allowed: 0")
