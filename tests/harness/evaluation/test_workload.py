import json
import re

import numpy as np
import pytest

from harness.artifacts.store import ArtifactStore
from harness.benchmark import tasks
from harness.core.errors import ArtifactError, DataError, UsageError
from harness.core.features import Feature
from harness.evaluation.workload import (
    FeaturizedJob,
    GraphWorkload,
    Job,
    available,
    by_task,
    check_splits,
    checked,
    group,
    unanswered,
)
from harness.tokenization.rows import Rows


def job(task: str, language: str = "ru", split: str = "test", limit: int | None = None) -> Job:
    return Job(tasks.load(task), language, split, limit)


def featurized(*rows: list[int]) -> FeaturizedJob:
    return FeaturizedJob(job("xnli"), [], [Feature(number, np.array(ids)) for number, ids in enumerate(rows)])


def test_equal_features_are_owed_once_over_all_jobs() -> None:
    rows = [*featurized([1], [2], [1]).features, *featurized([2], [3]).features]
    assert [feature.input_ids.tolist() for feature in unanswered(rows, set())] == [[1], [2], [3]]


def test_answered_features_are_not_owed() -> None:
    answered = {Feature(0, np.array([1])).key}
    assert [feature.input_ids.tolist() for feature in unanswered(featurized([1], [2]).features, answered)] == [[2]]


def test_rows_of_all_jobs_come_in_one_block(rows) -> None:
    workload = GraphWorkload(None, [], featurized=[featurized([1], [2], [1]), featurized([2])])
    assert [len(block) for block in workload.blocks(rows)] == [4]


def test_job_reads_at_most_its_limit(write, layout) -> None:
    write("xnli/test-ru.tsv", "a\tb\tneutral\n" * 5)
    assert len(job("xnli", limit=2).read(layout)) == 2


def test_limited_retrieval_keeps_every_candidate(write, layout) -> None:
    write("tatoeba/tatoeba.rus-eng.rus", "1\n2\n3\n")
    write("tatoeba/tatoeba.rus-eng.eng", "a\nb\nc\n")
    assert [example.side for example in job("tatoeba", limit=1).read(layout)] == ["candidate"] * 3 + ["query"]


def test_split_on_disk_is_fine(write, layout) -> None:
    write("xnli/test-ru.tsv", "a\tb\tneutral\n")
    check_splits([job("xnli")], layout)


def test_split_that_no_language_has_is_refused(layout) -> None:
    with pytest.raises(UsageError, match="task 'xquad' has no split 'dev'; it has test, as in `--split xquad=test`"):
        check_splits([job("xquad", split="dev")], layout)


def test_missing_split_is_answered_with_those_that_are_there(write, layout) -> None:
    write("udpos/dev-ru.tsv", "a\tNOUN\n")
    with pytest.raises(UsageError, match=r"'udpos' has no test file for 'ru' in .*, but dev; .*`--split udpos=dev`"):
        check_splits([job("udpos")], layout)


def test_training_split_is_never_offered_instead(write, layout) -> None:
    write("udpos/train-ru.tsv", "a\tNOUN\n")
    with pytest.raises(DataError, match=r"test-ru\.tsv"):
        check_splits([job("udpos")], layout)


def test_split_files_own_name_is_found(write, layout) -> None:
    write("xcopa/th/val.th.jsonl", "{}\n")
    with pytest.raises(UsageError, match="`--split xcopa=dev`"):
        check_splits([job("xcopa", "th")], layout)


def test_every_missing_file_is_listed(write, layout) -> None:
    write("xnli/test-ru.tsv", "a\tb\tneutral\n")
    with pytest.raises(DataError) as error:
        check_splits([job("xnli", code) for code in ("ru", "bg", "el")], layout)
    assert re.findall(r"test-..\.tsv", str(error.value)) == ["test-bg.tsv", "test-el.tsv"]


def test_jobs_are_grouped_by_the_graph_that_answers_them(graph_of, tmp_path) -> None:
    for finetune in ("mnli", "squad"):
        graph_of(finetune)
    jobs = [job("xnli", "ru"), job("xquad", "ru"), job("xnli", "bg")]
    grouped = group(jobs, ArtifactStore(tmp_path / "artifacts"), "tiny", "fp32")
    assert [(workload.artifact.finetune, workload.jobs) for workload in grouped] == [
        ("mnli", [jobs[0], jobs[2]]),
        ("squad", [jobs[1]]),
    ]


def test_model_without_the_tasks_graph_is_refused(graph_of, tmp_path) -> None:
    graph_of("mnli")
    with pytest.raises(ArtifactError, match="model 'tiny' has no fp32 graph of 'squad'"):
        group([job("xquad")], ArtifactStore(tmp_path / "artifacts"), "tiny", "fp32")


@pytest.mark.parametrize(
    ("model", "variant", "message"),
    [("tini", "fp32", "no exported model 'tini'.*did you mean 'tiny'"), ("tiny", "fp16", "no variant 'fp16'")],
)
def test_name_that_was_never_exported_is_refused(graph_of, tmp_path, model: str, variant: str, message: str) -> None:
    graph_of("mnli")
    with pytest.raises(UsageError, match=message):
        group([job("xnli")], ArtifactStore(tmp_path / "artifacts"), model, variant)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_file_that_is_not_the_manifests_is_refused(graph_of, tmp_path, name: str) -> None:
    (graph_of("mnli").directory / name).write_bytes(b"other")
    with pytest.raises(ArtifactError, match=f"{name} is not the file its manifest describes"):
        group([job("xnli")], ArtifactStore(tmp_path / "artifacts"), "tiny", "fp32")


def test_damaged_manifest_is_refused(graph_of, tmp_path) -> None:
    path = graph_of("mnli").directory / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["signature"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged \(Object missing required field `signature`\)"):
        group([job("xnli")], ArtifactStore(tmp_path / "artifacts"), "tiny", "fp32")


def test_graph_with_another_head_is_refused_with_both_signatures(graph_of) -> None:
    with pytest.raises(ArtifactError, match=r"gives logits float32 \(rows, 1\), task 'xnli' needs .*\(rows, 3\)"):
        checked(graph_of("copa"), tasks.load("xnli"))


def test_jobs_of_a_task_stay_in_order() -> None:
    jobs = [job("xnli", "ru"), job("xquad", "ru"), job("xnli", "bg")]
    assert by_task(jobs) == {"xnli": [jobs[0], jobs[2]], "xquad": [jobs[1]]}


MENTION = (
    '{"context": {"text": "ab cd.", "sentence_spans": [{"start": 0, "end": 6}]}, "mentions": '
    '[{"example_id": "m1", "entity_id": "Q1", "mention_span": {"start": 0, "end": 2, "text": "ab"}}]}\n'
)
ENTITIES = "".join(
    f'{{"entity_id": "Q{number}", "description": "{"x" * number}", "sentence_spans": [[0, {number}]]}}\n'
    for number in range(1, 6)
)


@pytest.fixture
def rows(layout, tokenizer_file) -> Rows:
    return Rows(layout, tokenizer_file, "0" * 64)


@pytest.fixture
def linking(write, layout, rows, monkeypatch) -> GraphWorkload:
    """Two languages with one mention each, five entities, blocks of two."""
    monkeypatch.setattr("harness.evaluation.workload.POOL_BLOCK", 2)
    monkeypatch.setattr("harness.tokenization.rows.POOL_BLOCK", 2)
    write("mewslix/candidate_set_entities.jsonl", ENTITIES)
    for code in ("de", "tr"):
        write(f"mewslix/wikinews_mentions/test-{code}.jsonl", MENTION)
    workload = GraphWorkload(None, [job("mewslix", "de"), job("mewslix", "tr")])
    workload.read(layout, rows, lambda _: None)
    workload.featurize(rows, lambda _: None)
    return workload


def test_candidates_of_a_pool_come_once_for_all_languages_block_by_block(linking, rows) -> None:
    assert [len(block) for block in linking.blocks(rows)] == [4, 2, 1]


def test_pool_keeps_ids_and_keys_in_order(linking, rows) -> None:
    given = [row for block in linking.blocks(rows) for row in block]
    (pool,) = linking.pools
    assert (pool.ids, pool.keys) == (["Q1", "Q2", "Q3", "Q4", "Q5"], [row.key for row in given[2:]])


def test_job_with_a_pool_needs_the_pools_files(write, layout) -> None:
    write("mewslix/wikinews_mentions/test-de.jsonl", MENTION)
    with pytest.raises(DataError, match="candidate_set_entities"):
        check_splits([job("mewslix", "de")], layout)


def test_available_keeps_a_split_takes_another_and_says_the_rest(write, layout) -> None:
    write("pawsx/test-de.tsv", "a\tb\t0\n")
    write("pawsx/dev-en.tsv", "a\tb\t0\n")
    there, absent = available([job("pawsx", code) for code in ("de", "en", "fr")], layout)
    assert [(item.language, item.split) for item in there] == [("de", "test"), ("en", "dev")]
    assert [item.language for item in absent] == ["fr"]


def test_available_never_scores_a_train_split(write, layout) -> None:
    write("pawsx/train-en.tsv", "a\tb\t0\n")
    there, absent = available([job("pawsx", "en")], layout)
    assert (there, len(absent)) == ([], 1)
