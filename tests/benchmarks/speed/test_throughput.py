import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders.baseshape import Shape, export_random, write_random
from benchmarks.contenders.eager import EagerTorch, contenders
from benchmarks.contenders.ours import Harness
from benchmarks.contenders.workload import Workload, agreement, predictions, read
from benchmarks.speed import throughput
from benchmarks.speed.throughput import Subject, ThroughputOptions, compare, parse, tokenizer_of
from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.evaluation.workload import Job
from harness.inference.endpoints.onnx import OnnxEndpoint

XNLI = tasks.load("xnli")
TINY = Shape(name="tiny", layers=1, width=16, heads=2, feed_forward=32)
ROWS = 35


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> Workload:
    root = tmp_path_factory.mktemp("data")
    (root / "xtreme" / "xnli").mkdir(parents=True)
    for code in ("en", "ru"):
        lines = [f"{'abcdefgh'[: 1 + row % 8]}\t{'xyz' * (1 + row % 5)}\tneutral\n" for row in range(ROWS)]
        (root / "xtreme" / "xnli" / f"test-{code}.tsv").write_text("".join(lines), encoding="utf-8")
    return read([Job(XNLI, code, "test") for code in ("en", "ru")], Layout.at(root), tokenizer, None)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory, rows: Workload, tokenizer_file: Path) -> Subject:
    folder = tmp_path_factory.mktemp("random")
    checkpoint = write_random(folder, TINY, XNLI.finetune, tokenizer_file, seed=0)
    probes = [rows.featurized[0].features[row].input_ids for row in range(4)]
    return Subject(
        label="tiny",
        checkpoint=checkpoint.directory,
        artifact=export_random(folder, checkpoint, XNLI.finetune, probes),
        repository=folder / "model_repository",
        scored=False,
    )


def options(*more: str) -> ThroughputOptions:
    return parse(["--model", "tiny", *more])


def batches(side: EagerTorch) -> list[tuple[int, ...]]:
    return list(side.shapes)


def test_baseline_runs_batches_of_32_padded_to_128(subject: Subject, rows: Workload) -> None:
    plain, _ = contenders(subject.checkpoint, rows)
    assert batches(plain) == [(32, 128), (3, 128)] * 2


def test_baseline_keeps_the_file_order(subject: Subject, rows: Workload) -> None:
    plain, _ = contenders(subject.checkpoint, rows)
    sent = [
        ids[mask == 1].tolist()
        for _, _, tensors in plain._batches
        for ids, mask in zip(tensors["input_ids"].numpy(), tensors["attention_mask"].numpy(), strict=True)
    ]
    assert sent == [feature.input_ids.tolist() for item in rows.featurized for feature in item.features]


def test_second_baseline_pads_to_the_longest_of_the_batch(subject: Subject, rows: Workload) -> None:
    _, longest = contenders(subject.checkpoint, rows)
    lengths = [len(feature.input_ids) for feature in rows.featurized[0].features]
    assert [width for _, width in batches(longest)[:2]] == [max(lengths[:32]), max(lengths[32:])]


def test_baselines_are_named(subject: Subject, rows: Workload) -> None:
    assert [side.name for side in contenders(subject.checkpoint, rows)] == [
        "PyTorch eager, file order, batches of 32, padded to 128",
        "PyTorch eager, file order, batches of 32, padded to the longest of the batch",
    ]


def test_both_sides_answer_every_row_alike(subject: Subject, rows: Workload, tmp_path: Path) -> None:
    plain, _ = contenders(subject.checkpoint, rows)
    with OnnxEndpoint.of(subject.artifact) as endpoint:
        mine = Harness("in process", endpoint, subject.artifact, rows, tmp_path)
        for side in (plain, mine):
            side.warm_up()
            side.run()
    theirs, ours = (
        np.array([answer["logits"] for answers in side.outputs() for answer in answers]) for side in (plain, mine)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert agreement(predictions(rows, mine.outputs()), predictions(rows, plain.outputs())) == 100.0


def test_equal_rows_are_sent_once_by_our_side_only(subject: Subject, rows: Workload, tmp_path: Path) -> None:
    with OnnxEndpoint.of(subject.artifact) as endpoint:
        mine = Harness("in process", endpoint, subject.artifact, rows, tmp_path)
    different = {feature.key for item in rows.featurized for feature in item.features}
    assert len(different) < rows.rows
    assert sum(len(batch.rows) for batch in mine.plan()) == len(different)


def test_random_weights_have_no_score(subject: Subject, rows: Workload) -> None:
    found = compare(subject, rows, options("--no-triton", "--repeats", "1"), "title", Silent())
    assert [(row.score_ours, row.score_baseline) for row in found] == [(None, None)] * 2


def test_every_endpoint_meets_every_baseline(subject: Subject, rows: Workload) -> None:
    found = compare(subject, rows, options("--no-triton", "--repeats", "1"), "title", Silent())
    assert [row.baseline for row in found] == [side.name for side in contenders(subject.checkpoint, rows)]
    assert {row.work for row in found} == {"title, tiny, in process"}


@pytest.mark.triton
def test_local_triton_is_measured_too(subject: Subject, rows: Workload) -> None:
    found = compare(subject, rows, options("--repeats", "1"), "title", Silent())
    assert {row.work for row in found} == {"title, tiny, in process", "title, tiny, local Triton"}
    assert {json.dumps(row.to_json()["equal_predictions"]) for row in found} == {"100.0"}


def test_tokenizer_without_base_shape_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options("--tokenizer", "x.json")
    assert "--tokenizer goes with --base-shape" in capsys.readouterr().err


def test_missing_tokenizer_is_refused(subject: Subject) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        tokenizer_of(options("--base-shape", "--tokenizer", "/nowhere/tokenizer.json"), subject.artifact)


def test_sample_data_is_named_as_such(rows: Workload, layout: Layout, write) -> None:
    write("coverage.json", "{}")
    assert throughput._title(rows, layout, None) == "sample data, not XNLI, 2 languages, 70 rows"
