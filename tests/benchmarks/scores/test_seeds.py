import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scores.seeds import ModelDifference, differences, main
from harness.core.errors import UsageError


def run(model: str, **scripts: float) -> dict[str, Any]:
    languages: dict[str, Any] = {"en": {}, "ru": {}}
    score = sum(scripts.values()) / len(scripts)
    return {"model": model, "tasks": {"xnli": {"score": score, "scripts": scripts, "languages": languages}}}


LEFT = [run("english", Latn=50, Cyrl=40), run("english", Latn=52, Cyrl=44)]
RIGHT = [run("mixed", Latn=49, Cyrl=45), run("mixed", Latn=52, Cyrl=46)]


def test_difference_is_taken_seed_by_seed() -> None:
    assert differences(LEFT, RIGHT) == [
        ModelDifference("xnli", "Latn", (-1, 0)),
        ModelDifference("xnli", "Cyrl", (5, 2)),
        ModelDifference("xnli", "mean", (2, 1)),
    ]


def test_tasks_of_some_runs_only_are_left_out() -> None:
    assert differences(LEFT, [{**RIGHT[0], "tasks": {}}, RIGHT[1]]) == []


def test_unequal_numbers_of_runs_are_refused() -> None:
    with pytest.raises(UsageError, match="2 runs on the left and 1 on the right"):
        differences(LEFT, RIGHT[:1])


def test_runs_over_other_languages_are_refused() -> None:
    other = run("mixed", Latn=50, Cyrl=40)
    other["tasks"]["xnli"]["languages"] = {"en": {}}
    with pytest.raises(UsageError, match="xnli has other languages in some runs"):
        differences(LEFT, [RIGHT[0], other])


def test_table_and_file_have_mean_and_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = []
    for number, scores in enumerate([*LEFT, *RIGHT]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
        folders.append(str(folder))
    main(["--left", *folders[:2], "--right", *folders[2:], "--json", str(tmp_path / "out.json")])
    printed = capsys.readouterr().out
    assert "mixed minus english, 2 seeds" in printed
    assert "+3.5 (+2.0 to +5.0)" in printed
    assert [row["values"] for row in json.loads((tmp_path / "out.json").read_text())["differences"]][1] == [5, 2]


def test_folder_without_scores_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"scores\.json is missing"):
        main(["--left", str(tmp_path), "--right", str(tmp_path)])
