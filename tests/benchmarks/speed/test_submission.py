from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import submission
from harness.benchmark import tasks
from harness.benchmark.submissions.labels import LabelLines
from harness.benchmark.suites import SUITES


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suite", SUITES)
def test_every_task_and_language_has_both_files(tmp_path: Path, suite) -> None:
    sizes = submission.write(tmp_path, suite, 2)
    names = {
        f"{part}/{name}/test-{code}.{tasks.load(name).submission.suffix}"
        for part in ("labels", "predictions")
        for name in SUITES[suite].tasks
        for code in tasks.load(name).languages[suite]
    }
    assert set(files(tmp_path)) == names
    assert list(sizes) == list(SUITES[suite].tasks)


def test_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        submission.write(tmp_path / name, "xtreme", 2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_command_scores_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submission.main(["--output", str(tmp_path), "--limit", "2", "--repeats", "1"])
    assert "harness score: " in capsys.readouterr().out
    assert (tmp_path / "scores.json").is_file()


def test_format_without_a_random_model_is_refused() -> None:
    with pytest.raises(TypeError, match="no random model writes object"):
        submission.make(object(), np.random.default_rng(0), "en", 1)


def test_labels_must_be_known_to_choose_from() -> None:
    with pytest.raises(ValueError, match="nothing to choose from"):
        submission.make(LabelLines(None), np.random.default_rng(0), "en", 1)
