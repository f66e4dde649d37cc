import json
from pathlib import Path

import pytest

from harness import tasks
from harness.results import LanguageScore, TaskScore, write_json


def score(**languages: float) -> TaskScore:
    rows = [
        LanguageScore(language=code, examples=10, scores={"exact_match": value, "f1": value + 10}, official=True)
        for code, value in languages.items()
    ]
    return TaskScore(task=tasks.load("xquad"), split="test", languages=rows, complete=True)


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
        "split": "test",
        "complete": True,
        "headline": ["exact_match", "f1"],
        "protocol": "",
        "languages": {"ru": {"exact_match": 50, "f1": 60, "examples": 10}},
        "scripts": {"Cyrl": 55},
    }


def test_json_is_written_with_its_letters(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "scores.json", {"a": "да"})
    assert (tmp_path / "new" / "scores.json").read_text(encoding="utf-8") == '{\n "a": "да"\n}\n'


def test_failed_writing_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "scores.json", {"a": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
    assert json.loads((tmp_path / "scores.json").read_text()) == {"a": 1}
