"""What holds for the format of every task: its suffix, and that what is written is read back."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.submission import labels_text, make
from harness.benchmark import tasks

#: google-research/xtreme@838c13b evaluate.py get_suffix; LAReQA has no official format.
SUFFIXES = {
    **dict.fromkeys("xnli pawsx udpos panx bucc2018 tatoeba".split(), "tsv"),
    **dict.fromkeys("xquad mlqa tydiqa mewslix lareqa".split(), "json"),
    "xcopa": "jsonl",
}


@pytest.mark.parametrize("name", tasks.names())
def test_suffix_is_the_official_one(name: str) -> None:
    assert tasks.load(name).submission.suffix == SUFFIXES[name]


@pytest.mark.parametrize("name", tasks.names())
def test_counts_of_what_was_written_and_read_are_those_of_the_predictions(name: str, tmp_path: Path) -> None:
    task = tasks.load(name)
    language = task.all_languages(None)[0]
    made = make(task.submission, np.random.default_rng(1), language, 40)
    (tmp_path / "labels").write_text(labels_text(task, made), encoding="utf-8", newline="\n")
    text = task.submission.render(made.examples, made.predictions)
    (tmp_path / "predictions").write_text(text, encoding="utf-8", newline="\n")
    examples, predictions = task.submission.read(tmp_path / "labels", tmp_path / "predictions", None)
    before = task.metric.counts(made.examples, made.predictions, language).sum(axis=0)
    after = task.metric.counts(examples, predictions, language).sum(axis=0)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-9)
    assert 0 < task.metric.scores(after)[task.headline[0]] < 100
