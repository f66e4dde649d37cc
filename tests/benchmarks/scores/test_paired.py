import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scores.paired import differences, main
from harness.artifacts.run import SCORES
from harness.core.errors import UsageError
from harness.evaluation.journal import Journal
from harness.evaluation.request import JOURNAL
from harness.statistics.bootstrap import Pair, paired_interval


def accuracy(totals: np.ndarray) -> float:
    return 100 * float(totals[0] / totals[1])


def answers(right: list[int]) -> np.ndarray:
    return np.stack([np.array(right, dtype=np.float64), np.ones(len(right))], axis=1)


def run(folder: Path, cells: dict[tuple[str, str], list[int]]) -> Path:
    with Journal(folder / JOURNAL) as journal:
        for (task, language), right in cells.items():
            journal.write_predictions(task, language, [str(n) for n in range(len(right))], right, answers(right))
    (folder / SCORES).write_text(json.dumps({"model": folder.name}))
    return folder


def test_the_interval_holds_the_difference_and_narrows_with_examples() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for count in (100, 10_000):
        left, right = (answers((rng.random(count) < share).astype(int).tolist()) for share in (0.7, 0.6))
        pair = Pair(score=accuracy, left=left, right=right)
        low, high = paired_interval([pair])
        assert low < pair.difference < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5


def test_equal_sides_have_no_interval_and_pairs_are_drawn_together() -> None:
    side = answers([1, 0] * 50)
    worse = answers([1, 0] * 49 + [0, 0])

    assert paired_interval([Pair(score=accuracy, left=side, right=side)]) == (0.0, 0.0)
    low, high = paired_interval([Pair(score=accuracy, left=side, right=worse)])
    assert 0 <= low <= high <= 5, "one example differs, so most draws hold it up to a few times"


def test_rows_that_count_nothing_do_not_take_part() -> None:
    silent = np.zeros((1_000, 2))
    pair = [
        Pair(score=accuracy, left=np.concatenate([answers([1]), silent]), right=np.concatenate([answers([0]), silent]))
    ]

    assert paired_interval(pair) == (100.0, 100.0)


def test_scripts_are_means_over_their_languages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = run(tmp_path / "left", {("xnli", "ru"): [1, 0, 0, 0], ("xnli", "bg"): [0, 0, 0, 0], ("xnli", "en"): [1] * 4})
    right = run(
        tmp_path / "right", {("xnli", "ru"): [1, 1, 0, 0], ("xnli", "bg"): [1, 1, 1, 1], ("xnli", "en"): [1] * 4}
    )

    found = {row.script: row for row in differences(left, right)}

    assert (found["Cyrl"].left, found["Cyrl"].right, found["Cyrl"].difference) == (12.5, 75.0, 62.5)
    assert found["Cyrl"].low <= 62.5 <= found["Cyrl"].high
    assert (found["Latn"].low, found["Latn"].high) == (0.0, 0.0)
    main(["--left", str(left), "--right", str(right), "--tasks", "xnli", "--json", str(tmp_path / "rows.json")])
    assert "right minus left" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 2


def test_runs_on_other_examples_are_refused(tmp_path: Path) -> None:
    left, right = run(tmp_path / "left", {("xnli", "ru"): [1]}), run(tmp_path / "right", {("xnli", "ru"): [1, 0]})

    with pytest.raises(UsageError, match="did not answer the same examples"):
        differences(left, right)
