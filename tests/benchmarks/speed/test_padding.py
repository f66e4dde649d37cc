import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speed import padding
from benchmarks.speed.padding import SORTED, TO_LONGEST, TO_MAXIMUM, FileLengths, blocks, measure, planned, sorted_loop
from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.evaluation.workload import Job
from harness.inference.planner import BatchPlanner
from harness.tokenization.tokenizer import FastTokenizer

XNLI = tasks.load("xnli")


def file(*lengths: int, keys: str | None = None, task: Any = XNLI, name: str = "ru") -> FileLengths:
    names = keys if keys is not None else "".join(chr(97 + place) for place in range(len(lengths)))
    return FileLengths(task, name, np.array(lengths), tuple(letter.encode() for letter in names))


def counted(*files: FileLengths) -> padding.Padding:
    return padding.padding(XNLI, files, planned(files, [], BatchPlanner()))


def test_file_order_pads_to_the_task_or_to_the_batch() -> None:
    found = counted(file(*[10] * 32, 20, keys="".join(chr(200 + place) for place in range(33))))
    assert found.useful == 340
    assert found.others[TO_MAXIMUM] == 33 * 128
    assert found.others[TO_LONGEST] == 32 * 10 + 20


def test_files_are_not_batched_together_in_file_order() -> None:
    found = counted(file(10, 10), file(20, keys="z", name="en"))
    assert found.others[TO_LONGEST] == 2 * 10 + 20


def test_the_sorted_loop_fills_batches_up_to_the_budget() -> None:
    assert [(batch.rows, batch.width) for batch in sorted_loop([3, 5, 4, 5], 11)] == [((1, 3), 5), ((2, 0), 4)]


def test_a_row_longer_than_the_budget_goes_alone() -> None:
    assert [batch.rows for batch in sorted_loop([30, 3, 3], 11)] == [(0,), (1, 2)]


def test_the_sorted_loop_takes_all_languages_together() -> None:
    assert counted(file(10, 30), file(30, 10, keys="yz")).others[SORTED] == 4 * 30


def test_equal_rows_count_once_on_our_side_and_as_often_as_they_occur_on_theirs() -> None:
    found = counted(file(10, 10, 10, keys="aab"))
    assert (found.rows, found.unique_rows, found.useful, found.unique_useful, found.ours) == (3, 2, 30, 20, 20)
    assert found.ratio == 1.0


def test_a_row_is_padded_as_the_plan_over_all_tasks_of_the_graph_says() -> None:
    files = [file(10, keys="a"), file(9, keys="z", task=tasks.load("xquad"))]
    widths = planned(files, [], BatchPlanner())
    assert widths == {b"a": 10, b"z": 10}
    assert padding.padding(XNLI, files[:1], widths).ratio == 1.0
    assert padding.padding(XNLI, files[1:], widths).ratio == pytest.approx(10 / 9)


def test_pools_are_planned_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "POOL_BLOCK", 3)
    job, first, second = file(5, keys="a"), file(6, 7, keys="bc"), file(8, 9, keys="de")
    assert list(blocks([job], [first, second])) == [[job, first], [second]]
    assert set(planned([job], [first, second], BatchPlanner())) == {b"a", b"b", b"c", b"d", b"e"}


def test_a_row_that_an_earlier_block_answered_keeps_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "POOL_BLOCK", 1)
    first, second = file(5, 4, keys="ab"), file(5, 50, keys="ac")
    assert planned([], [first, second], BatchPlanner())[b"a"] == 5


@pytest.fixture
def languages(write: Callable[[str, str], Path]) -> None:
    for code, length in (("en", 3), ("ru", 9)):
        rows = [f"{'a' * length}\t{letter * (place + 1)}\tneutral" for place, letter in enumerate("bcd")]
        write(f"xnli/test-{code}.tsv", "\n".join([*rows, rows[0]]) + "\n")


@pytest.fixture
def found(languages: None, layout: Layout, tokenizer: FastTokenizer) -> list[Any]:
    return measure([Job(XNLI, code, "test") for code in ("en", "ru")], layout, tokenizer, None, Silent())


def test_every_baseline_and_the_limit_are_rows(found) -> None:
    assert [row.baseline for row in found] == [TO_MAXIMUM, TO_LONGEST, SORTED, "at most 1.05 padded/useful"]
    # Frame of a pair: 4 special tokens; each language repeats one of its rows.
    assert {row.work for row in found} == {"xnli, 2 languages, 8 rows (2 of them repeated), 94 useful tokens"}


def test_ratios_are_theirs_over_ours(found) -> None:
    first = found[0]
    assert first.baseline_value == 8 * 128 / 94
    assert first.ratio == pytest.approx(first.baseline_value / first.ours)
    assert first.details["computed_tokens_ratio"] == round(8 * 128 / first.details["padded_tokens_ours"], 4)


def test_several_tasks_are_summed(languages, write, layout: Layout, tokenizer: FastTokenizer) -> None:
    write("pawsx/test-de.tsv", "aa\tbb\t1\n")
    jobs = [Job(XNLI, "en", "test"), Job(tasks.load("pawsx"), "de", "test")]
    rows = measure(jobs, layout, tokenizer, None, Silent())
    works = list(dict.fromkeys(row.work.split(",")[0] for row in rows))
    assert works == ["xnli", "pawsx", "all 2 tasks"]
    useful = {row.work.split(",")[0]: row.details["useful_tokens"] for row in rows}
    assert useful["all 2 tasks"] == useful["xnli"] + useful["pawsx"]


def test_the_limit_is_spread_over_each_file(languages, layout: Layout, tokenizer: FastTokenizer) -> None:
    rows = measure([Job(XNLI, "en", "test")], layout, tokenizer, 2, Silent())
    # The first and the third of four rows.
    assert rows[0].details["useful_tokens"] == (4 + 3 + 1) + (4 + 3 + 3)


def test_without_tasks_the_folder_decides(languages, layout: Layout) -> None:
    there, absent = padding.choose([], layout)
    assert [(job.task.name, job.language) for job in there] == [("xnli", "en"), ("xnli", "ru")]
    assert ("xnli", "de") in {(job.task.name, job.language) for job in absent}


def test_an_empty_folder_is_refused(layout: Layout) -> None:
    with pytest.raises(UsageError, match="has no file of any task"):
        padding.choose([], layout)


def test_command_writes_the_rows(
    languages, tmp_path: Path, tokenizer_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "rows.json"
    padding.main(["--tokenizer", str(tokenizer_file), "--data", str(tmp_path / "data"), "--json", str(target)])
    assert [row["baseline"] for row in json.loads(target.read_text())["rows"]][-1] == "at most 1.05 padded/useful"
    assert "not counted, the data folder has no file: xnli" in capsys.readouterr().out


def test_a_tokenizer_that_is_not_there_is_reported(tmp_path: Path, layout: Layout) -> None:
    with pytest.raises(UsageError, match=r"does not exist; name a tokenizer\.json"):
        padding.main(["--tokenizer", str(tmp_path / "none.json"), "--data", str(tmp_path / "data")])


def test_either_a_model_or_a_tokenizer_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        padding.main([])
    assert "one of --model and --tokenizer is needed" in capsys.readouterr().err
