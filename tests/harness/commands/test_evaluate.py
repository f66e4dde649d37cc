"""From files to scores.json, with a function where the graph would be."""

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pytest
from callable_endpoint import CallableEndpoint

from harness.artifacts.store import Artifact, ArtifactStore, read_artifact
from harness.benchmark import tasks
from harness.commands import evaluate
from harness.core.errors import ArtifactError, EndpointError, UsageError
from harness.core.features import Feature
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.core.records import to_json
from harness.core.task import Task
from harness.core.tensors import Tensors
from harness.evaluation import dispatch
from harness.evaluation.answers import DamagedAnswers, batch_keys
from harness.evaluation.connection import Connect, Connection
from harness.evaluation.journal import Journal
from harness.evaluation.plan import pending_batches, plan, repeats
from harness.evaluation.request import Evaluation
from harness.evaluation.results import RunResult
from harness.evaluation.stages import Stages
from harness.evaluation.workload import GraphWorkload, Job, group
from harness.inference.endpoints.numerics import MERGED
from harness.inference.planner import BatchPlanner

#: Premises whose first letter is what `first_letter` answers.
RUSSIAN = "n a\tx\tneutral\ne b\tx\tentailment\nc c\tx\tcontradiction\nc d\tx\tneutral\n"
ENGLISH = "n a\tx\tneutral\ne e\tlonger than all\tneutral\n"
#: Ids of c, e and n in the toy tokenizer -> index of contradiction, entailment, neutral.
LETTERS = {6: 0, 8: 1, 17: 2}
OFFICIAL = MappingProxyType({"ru": 4, "en": 2})
#: Batches cost so much here that all rows go into one.
ONE_BATCH = BatchPlanner(overhead=1_000)


class Counting:
    """A graph that answers by the premise's first letter and remembers what it was asked."""

    def __init__(self, fails_at: int | None = None, answer: float | None = None) -> None:
        self.calls: list[Tensors] = []
        self._fails_at = fails_at
        self._answer = answer
        self._lock = threading.Lock()

    def __call__(self, inputs: Tensors) -> Tensors:
        with self._lock:
            self.calls.append(inputs)
            if self._fails_at is not None and len(self.calls) >= self._fails_at:
                message = "the server is gone"
                raise EndpointError(message)
        logits = np.zeros((len(inputs["input_ids"]), 3), dtype=np.float32)
        for row, ids in zip(logits, inputs["input_ids"], strict=True):
            row[LETTERS[int(ids[1])]] = 1
        if self._answer is not None:
            logits[-1, 0] = self._answer
        return {"logits": logits}

    @property
    def rows(self) -> int:
        return sum(len(call["input_ids"]) for call in self.calls)


def run_plan(
    evaluation: Evaluation, connect: Connect, progress: Silent | None = None, numerics: str = "a function"
) -> RunResult:
    opened = Connection("function", connect, False, numerics=lambda artifact: numerics)
    return evaluate.run(plan(evaluation), opened, Stages(), progress or Silent())


@pytest.fixture
def files(write) -> None:
    write("xnli/test-ru.tsv", RUSSIAN)
    write("xnli/test-en.tsv", ENGLISH)
    write("xnli/dev-ru.tsv", RUSSIAN)


@pytest.fixture
def run(files, graph_of, layout: Layout, tmp_path: Path) -> Callable[..., RunResult]:
    """Evaluate XNLI: ``run(Counting(), languages=("ru", "en"))``."""

    def start(graph: Callable[[Tensors], Tensors] | None = None, **options: Any) -> RunResult:
        model = options.get("model", "tiny")
        if not (tmp_path / "artifacts" / model).exists():
            graph_of("mnli", model=model)
        task = options.get("task", tasks.load("xnli"))
        codes, split, limit = options.get("languages", ("ru", "en")), options.get("split", "test"), options.get("limit")
        jobs = [Job(task, code, split, limit) for code in codes]
        evaluation = Evaluation(
            model=model,
            variant="fp32",
            workloads=group(jobs, ArtifactStore(tmp_path / "artifacts"), model, "fp32"),
            layout=layout,
            suite="xtreme",
            output=options.get("output", tmp_path / "run"),
            request={
                **{"models": [model], "tasks": ["xnli"], "data": "data", "limit": None, "protocols": []},
                **({"fresh": True} if options.get("fresh") else {}),
            },
            planner=options.get("planner", ONE_BATCH),
            cache=options.get("cache"),
        )

        def connect(artifact: Artifact) -> CallableEndpoint:
            return CallableEndpoint(artifact.signature, graph or Counting(), options.get("concurrency", 1))

        return run_plan(evaluation, connect, options.get("progress"), options.get("numerics", "a function"))

    return start


@pytest.fixture
def document(run, tmp_path: Path) -> dict[str, Any]:
    run()
    return json.loads((tmp_path / "run/scores.json").read_text(encoding="utf-8"))


def test_scores_file_has_its_parts(document) -> None:
    assert list(document) == [
        "format", "model", "variant", "endpoint", "suite", "request", "tasks", "groups", "overall",
        "plausibility", "warnings", "padding", "gold_errors", "repeats", "provenance", "stages", "answers",
        "tokens", "fingerprint",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"), [("model", "tiny"), ("variant", "fp32"), ("endpoint", "function"), ("suite", "xtreme")]
)
def test_scores_file_says_what_was_evaluated(document, key: str, value: str) -> None:
    assert document[key] == value


def test_scores_file_has_every_language(document) -> None:
    reported = {"split": "test", "official": False, "exposure": "unseen"}
    assert document["tasks"]["xnli"]["languages"] == {
        "en": {"accuracy": 50.0, "examples": 2, **reported},
        "ru": {"accuracy": 75.0, "examples": 4, **reported},
    }


def test_task_score_is_the_mean_over_languages_not_examples(document) -> None:
    assert document["tasks"]["xnli"]["score"] == 62.5


def test_scores_file_has_every_script(document) -> None:
    assert document["tasks"]["xnli"]["scripts"] == {"Latn": 50.0, "Cyrl": 75.0}


def test_padding_is_that_of_the_batches(document) -> None:
    # <s> n a </s> </s> x </s> is seven tokens
    lengths = [7, 7, 7, 7, 2 + 4 + len("longerthanall")]
    assert document["padding"]["useful_tokens"] == sum(lengths)
    assert document["padding"]["padded_tokens"] == len(lengths) * max(lengths)
    assert document["padding"]["ratio"] == round(len(lengths) * max(lengths) / sum(lengths), 4)


@pytest.mark.parametrize(
    "key",
    ["packages", "git", "data", "data_sha256", "graph_sha256", "tokenizer_sha256", "checkpoint_sha256", "backend",
     "machine", "created"],
)  # fmt: skip
def test_provenance_has(document, key: str) -> None:
    assert document["provenance"][key]


def test_provenance_names_the_graph_of_each_finetune(document, tmp_path: Path) -> None:
    manifest = json.loads((tmp_path / "artifacts/tiny/mnli/fp32/manifest.json").read_text())
    assert document["provenance"]["graph_sha256"] == {"mnli": manifest["graph_sha256"]}


def test_row_that_two_languages_share_is_sent_once(run) -> None:
    graph = Counting()
    run(graph)
    assert graph.rows == 5  # "n a | x" stands in both files


def test_run_again_asks_nothing(run) -> None:
    run()
    graph = Counting()
    run(graph)
    assert graph.rows == 0


def test_run_again_gives_the_same_scores(run) -> None:
    assert [task.to_json() for task in run().tasks] == [task.to_json() for task in run().tasks]


def test_more_languages_ask_only_for_what_is_new(run) -> None:
    run(languages=("ru",))
    graph = Counting()
    run(graph)
    assert graph.rows == 1


def test_stopped_run_goes_on_where_it_stopped(run) -> None:
    planner = BatchPlanner(max_rows=1)
    with pytest.raises(EndpointError):
        run(Counting(fails_at=3), planner=planner)
    graph = Counting()
    run(graph, planner=planner)
    assert graph.rows == 3


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_stopped_run_keeps_every_batch_before_the_one_that_failed(run, tmp_path: Path, concurrency: int) -> None:
    def graph(inputs: Tensors) -> Tensors:
        if inputs["input_ids"][0, 1:3].tolist() == [6, 7]:  # "c d", the last of five rows
            message = "the server is gone"
            raise EndpointError(message)
        return Counting()(inputs)

    with pytest.raises(EndpointError, match="the server is gone"):
        run(graph, planner=BatchPlanner(max_rows=1), concurrency=concurrency)
    with Journal(tmp_path / "run/journal.sqlite") as journal:
        assert journal.padding()["rows"] == 4


def test_stopped_run_keeps_what_was_answered_beside_the_batch_that_failed(run, tmp_path: Path) -> None:
    others = threading.Semaphore(0)

    def graph(inputs: Tensors) -> Tensors:
        if inputs["input_ids"].shape[1] > 7:  # the longest row, which is asked first
            for _ in range(4):
                others.acquire(timeout=5)
            message = "the server is gone"
            raise EndpointError(message)
        answer = Counting()(inputs)
        others.release()
        return answer

    with pytest.raises(EndpointError, match="the server is gone"):
        run(graph, planner=BatchPlanner(max_rows=1), concurrency=8)
    with Journal(tmp_path / "run/journal.sqlite") as journal:
        assert journal.padding()["rows"] == 4


def test_stopped_run_writes_no_scores(run, tmp_path: Path) -> None:
    with pytest.raises(EndpointError):
        run(Counting(fails_at=1))
    assert not (tmp_path / "run/scores.json").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "minus-inf"])
def test_answer_that_is_no_number_is_refused(run, value: float) -> None:
    wanted = (
        "'tiny-mnli-fp32' in function answered with NaN or infinity for task 'xnli', language 'ru', test example '3'"
    )
    with pytest.raises(EndpointError, match=wanted):
        run(Counting(answer=value))


def test_nothing_of_a_batch_with_nan_is_kept(run, tmp_path: Path) -> None:
    with pytest.raises(EndpointError):
        run(Counting(answer=np.nan))
    with Journal(tmp_path / "run/journal.sqlite") as journal:
        assert journal.padding()["rows"] == 0


def test_folder_of_another_models_run_is_refused(run) -> None:
    run()
    with pytest.raises(UsageError, match="holds a run with model 'tiny', not 'other'"):
        run(model="other")


def test_folder_of_another_models_run_is_not_asked_about(run) -> None:
    run()
    graph = Counting()
    with pytest.raises(UsageError):
        run(graph, model="other")
    assert graph.calls == []


@pytest.mark.parametrize("planner", [BatchPlanner(max_rows=1), BatchPlanner(max_tokens=20), BatchPlanner(multiple=8)])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_batches_do_not_change_the_scores(run, planner: BatchPlanner, concurrency: int) -> None:
    (task,) = run(planner=planner, concurrency=concurrency).tasks
    assert [row.scores for row in task.languages] == [{"accuracy": 50.0}, {"accuracy": 75.0}]


def test_predictions_are_journaled_by_example(run, tmp_path: Path) -> None:
    run()
    with Journal(tmp_path / "run/journal.sqlite") as journal:
        assert journal.predictions("xnli", "en") == [("0", "neutral"), ("1", "entailment")]


def short(official: int | Mapping[str, int] = OFFICIAL, **options: Any) -> Task:
    """XNLI as it would be if these files were the official ones."""
    xnli = tasks.load("xnli")
    return Task(
        name="xnli",
        languages=options.get("languages", {"xtreme": ("ru", "en")}),
        finetune=xnli.finetune,
        source=xnli.source,
        postprocess=xnli.postprocess,
        metric=xnli.metric,
        headline=("accuracy",),
        official=official,
        paper="",
        submission=xnli.submission,
    )


def complete(run, **options: Any) -> bool:
    (task,) = run(**options).tasks
    return task.complete


def test_whole_official_test_set_is_complete(run) -> None:
    assert complete(run, task=short())


@pytest.mark.parametrize(
    "options",
    [
        {"task": tasks.load("xnli")},
        {"task": short({"ru": 4, "en": 3})},
        {"task": short({"ru": 4})},
        {"task": short(), "languages": ("ru",)},
        {"task": short(4), "languages": ("ru",), "split": "dev"},
        {"task": short(4, languages={"xtreme": ("ru",)}), "languages": ("ru",), "split": "dev"},
        {"task": short(), "limit": 100},
        {"task": short({"ru": 2, "en": 2}), "limit": 2},
    ],
    ids=["fewer-examples", "one-language-short", "figure-unknown", "language-left-out", "dev", "dev-of-all-languages",
         "limit-above", "limit-at-the-figure"],
)  # fmt: skip
def test_anything_less_is_partial(run, options: dict[str, Any]) -> None:
    assert not complete(run, **options)


def test_limit_scores_the_first_examples(run) -> None:
    (task,) = run(limit=3, languages=("ru",)).tasks
    assert (task.languages[0].examples, task.languages[0].scores) == (3, {"accuracy": 100.0})


def test_retrieval_counts_queries_as_its_examples(write, layout, graph_of, tmp_path: Path) -> None:
    write("tatoeba/tatoeba.rus-eng.rus", "b c\na c\n")
    write("tatoeba/tatoeba.rus-eng.eng", "b\na\n")
    graph_of("encoder", hidden=2)
    jobs = [Job(tasks.load("tatoeba"), "ru", "test")]

    def vectors(inputs: Tensors) -> Tensors:
        angle = inputs["input_ids"][:, 1].astype(np.float32)
        return {"embedding": np.stack([np.cos(angle), np.sin(angle)], axis=1)}

    evaluation = Evaluation(
        model="tiny",
        variant="fp32",
        workloads=group(jobs, ArtifactStore(tmp_path / "artifacts"), "tiny", "fp32"),
        layout=layout,
        suite=None,
        output=tmp_path / "run",
        request={"tasks": ["xnli"], "data": "data", "limit": None, "protocols": []},
    )
    result = run_plan(evaluation, lambda each: CallableEndpoint(each.signature, vectors))
    assert result.tasks[0].to_json()["languages"] == {
        "ru": {"accuracy": 100.0, "examples": 2, "split": "test", "official": False, "exposure": "unseen"}
    }


def test_graphs_with_different_tokenizers_are_refused(files, graph_of, layout, tmp_path: Path) -> None:
    first = graph_of("mnli")
    second = graph_of("mnli", model="other")
    manifest = {**to_json(second.manifest), "tokenizer_sha256": "0" * 64}
    (second.directory / "manifest.json").write_text(json.dumps(manifest))

    workloads = [GraphWorkload(first, []), GraphWorkload(read_artifact(second.directory), [])]
    evaluation = Evaluation(
        model="tiny",
        variant="fp32",
        workloads=workloads,
        layout=layout,
        suite=None,
        output=tmp_path / "run",
        request={"tasks": ["xnli"], "data": "data", "limit": None, "protocols": []},
    )
    with pytest.raises(ArtifactError, match="the graphs of 'tiny' have 2 tokenizers"):
        plan(evaluation)


def test_answer_asks_only_what_is_pending(graph_of, tmp_path: Path) -> None:
    rows = [Feature(number, np.array([0, 17, *[5] * number, 2])) for number in range(6)]
    artifact = graph_of("mnli")
    asked = []
    with Journal(tmp_path / "journal.sqlite") as journal:
        for part in (rows[:4], rows):
            graph = Counting()
            answered = journal.answered(artifact.graph_sha256)
            pending, plan = pending_batches(artifact, part, answered, BatchPlanner())
            endpoint = CallableEndpoint(artifact.signature, graph)
            dispatch.answer(artifact, pending, plan, endpoint, 1, journal, Silent())
            asked.append(graph.rows)
    assert asked == [4, 2]


def test_a_resumed_run_asks_the_batches_of_a_whole_one_where_answers_depend_on_them(graph_of) -> None:
    rows = [Feature(number, np.array([0, 17, *[5] * number, 2])) for number in range(9)]
    graph = graph_of("mnli")
    dependent = dataclasses.replace(graph, manifest=msgspec.structs.replace(graph.manifest, batch_dependent=True))
    planner = BatchPlanner(max_rows=3)
    _, whole = pending_batches(dependent, rows, set(), planner)
    first = [rows[row].key for row in whole[0].rows]

    pending, rest = pending_batches(dependent, rows, set(batch_keys(first, whole[0].width)), planner)
    assert (rest, len(pending)) == (whole[1:], 9)
    pending, rest = pending_batches(graph, rows, set(first), planner)
    assert sorted(row for batch in rest for row in batch.rows) == list(range(6))
    assert len(pending) == 6


def test_graph_gets_padded_rows_with_their_mask(run) -> None:
    graph = Counting()
    run(graph)
    (call,) = graph.calls
    assert [int(row.sum()) for row in call["attention_mask"]] == [19, 7, 7, 7, 7]
    assert set(call["input_ids"][call["attention_mask"] == 0].tolist()) == {1}


@pytest.fixture
def linked(write, layout, graph_of, tmp_path: Path, monkeypatch) -> Callable[..., RunResult]:
    """Mewsli-X with two mentions and three entities; an entity's first letter decides who is near."""
    monkeypatch.setattr("harness.evaluation.workload.POOL_BLOCK", 2)
    monkeypatch.setattr("harness.tokenization.rows.POOL_BLOCK", 2)
    monkeypatch.setattr("harness.evaluation.scoring.POOL_BLOCK", 2)
    rows = [("Q1", "b."), ("Q2", "c."), ("Q3", "d.")]
    write(
        "mewslix/candidate_set_entities.jsonl",
        "".join(json.dumps({"entity_id": q, "description": d, "sentence_spans": [[0, 2]]}) + "\n" for q, d in rows),
    )
    for code, letter, gold in (("de", "d", "Q3"), ("tr", "b", "Q2")):
        mention = {"example_id": code, "entity_id": gold, "mention_span": {"start": 0, "end": 1, "text": letter}}
        article = {"context": {"text": letter, "sentence_spans": [[0, 1]]}, "mentions": [mention]}
        write(f"mewslix/wikinews_mentions/test-{code}.jsonl", json.dumps(article) + "\n")
    graph_of("mewslix", hidden=2, seen={"linking": {"en": 5}})

    def vectors(inputs: Tensors) -> Tensors:
        angle = inputs["input_ids"][:, 1].astype(np.float32)
        return {"embedding": np.stack([np.cos(angle / 9), np.sin(angle / 9)], axis=1)}

    def make(task: Task | None = None) -> Evaluation:
        jobs = [Job(task or tasks.load("mewslix"), code, "test") for code in ("tr", "de")]
        return Evaluation(
            model="tiny",
            variant="fp32",
            workloads=group(jobs, ArtifactStore(tmp_path / "artifacts"), "tiny", "fp32"),
            layout=layout,
            suite="xtreme-r",
            output=tmp_path / "run",
            request={"tasks": ["xnli"], "data": "data", "limit": None, "protocols": []},
            submission=tmp_path / "submission",
        )

    def start(*, again: bool = False, task: Task | None = None) -> RunResult:
        if again:
            return evaluate.score_again(plan(make(task)), Silent())
        return run_plan(make(task), lambda artifact: CallableEndpoint(artifact.signature, vectors))

    return start


def test_queries_of_all_languages_search_one_pool(linked) -> None:
    (task,) = linked().tasks
    assert {row.language: row.scores for row in task.languages} == {"de": {"map@20": 100.0}, "tr": {"map@20": 50.0}}


def test_pool_of_another_size_than_the_official_one_is_partial(linked) -> None:
    mewslix = tasks.load("mewslix")
    whole = dataclasses.replace(mewslix, official=1, pool=dataclasses.replace(mewslix.pool, official=3))
    short = dataclasses.replace(mewslix, official=1)
    official = [[row.official for row in linked(task=task).tasks[0].languages] for task in (whole, short)]
    assert official == [[True, True], [False, False]]


def test_run_is_scored_again_from_its_journal(linked) -> None:
    first, again = linked(), linked(again=True)
    assert [task.to_json() for task in again.tasks] == [task.to_json() for task in first.tasks]


def test_run_that_lacks_answers_is_not_scored_again(linked, write) -> None:
    linked()
    row = {"entity_id": "Q4", "description": "e.", "sentence_spans": [[0, 2]]}
    write("mewslix/candidate_set_entities.jsonl", json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=r"run .* lacks 1 answers of 'tiny-mewslix-fp32'; .*`harness eval --output"):
        linked(again=True)


def test_predictions_go_into_the_official_layout(linked, tmp_path: Path) -> None:
    linked()
    path = tmp_path / "submission/mewslix/test-de.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {"de": ["Q3", "Q2", "Q1"]}


def answers_of(folder: Path) -> Path:
    (path,) = (folder / "answers").glob("*.sqlite")
    return path


def damage(path: Path, content: bytes) -> None:
    changed = bytearray(path.read_bytes())
    changed[changed.index(content)] ^= 1
    path.write_bytes(changed)


def test_another_run_finds_what_was_answered(run, tmp_path: Path) -> None:
    run(languages=("ru",), cache=tmp_path / "cache")
    graph = Counting()
    result = run(graph, output=tmp_path / "other", cache=tmp_path / "cache")
    # Of the two English rows, one is Russian too.
    assert (graph.rows, result.answers) == (1, {"asked": 1, "kept": 4})


def test_history_of_the_store_does_not_change_a_score(run, tmp_path: Path) -> None:
    def scored(name: str, cache: str) -> tuple[dict[str, Any], dict[str, int]]:
        result = run(output=tmp_path / name, cache=tmp_path / cache)
        return json.loads((tmp_path / name / "scores.json").read_text(encoding="utf-8"))["tasks"], result.answers

    empty, asked = scored("empty", "cache")
    full, kept = scored("full", "cache")
    run(languages=("en",), output=tmp_path / "half-first", cache=tmp_path / "half")
    half, rest = scored("half", "half")
    with pytest.raises(EndpointError):
        run(Counting(fails_at=2), planner=BatchPlanner(max_rows=1), output=tmp_path / "cut", cache=tmp_path / "mixed")
    run(languages=("en",), output=tmp_path / "en", cache=tmp_path / "mixed")
    mixed, last = scored("mixed", "mixed")
    assert empty == full == half == mixed
    assert (asked, kept) == ({"asked": 5, "kept": 0}, {"asked": 0, "kept": 5})
    assert rest == {"asked": 3, "kept": 2}
    assert last["asked"] + last["kept"] == 5
    assert last["kept"] >= 2


def test_damaged_answers_are_named_and_asked_again(run, tmp_path: Path) -> None:
    said: list[str] = []

    class Said(Silent):
        def say(self, line: str) -> None:
            said.append(line)

    before = run(cache=tmp_path / "cache")
    # A logit of 1 is 0x3f800000 in little-endian order.
    damage(answers_of(tmp_path / "cache"), np.array([0, 0, 1], dtype="<f4").tobytes())
    graph = Counting()
    after = run(graph, output=tmp_path / "other", cache=tmp_path / "cache", progress=Said())
    assert [task.score for task in after.tasks] == [task.score for task in before.tasks]
    assert (graph.rows, after.answers) == (5, {"asked": 5, "kept": 0})
    (line,) = said
    assert "had 5 damaged answers" in line


def test_scores_of_damaged_answers_are_not_computed_again(run, tmp_path: Path) -> None:
    run(cache=tmp_path / "cache")
    damage(answers_of(tmp_path / "cache"), np.array([0, 0, 1], dtype="<f4").tobytes())
    with Journal(tmp_path / "run" / "journal.sqlite", tmp_path / "cache" / "answers") as journal:
        graph = ArtifactStore(tmp_path / "artifacts").of("tiny")[0]
        keys = journal.answered(graph.graph_sha256)
        with pytest.raises(DamagedAnswers, match="the next `harness eval` that needs them asks again"):
            journal.outputs(graph.graph_sha256, keys, graph.signature)


def test_fresh_run_asks_for_every_row(run, tmp_path: Path) -> None:
    run(cache=tmp_path / "cache")
    graph = Counting()
    result = run(graph, output=tmp_path / "other", cache=tmp_path / "cache", fresh=True)
    assert (graph.rows, result.answers["kept"]) == (5, 0)


def test_answers_of_another_engine_are_not_taken(run, tmp_path: Path) -> None:
    run(cache=tmp_path / "cache", numerics="onnxruntime 1.31.1 cpu")
    graph = Counting()
    run(graph, output=tmp_path / "other", cache=tmp_path / "cache", numerics="openvino 2026.4 cpu bf16")
    assert graph.rows == 5


def test_what_is_said_of_repeating_is_what_the_server_does(graph_of) -> None:
    graph = graph_of("mnli")
    dependent = dataclasses.replace(graph, manifest=msgspec.structs.replace(graph.manifest, batch_dependent=True))
    engine = "onnxruntime 1.31.1 cpu"
    assert "its own, whatever it is batched with" in repeats([graph], {graph.graph_sha256: f"{engine}{MERGED}"})
    assert "the server merges nothing" in repeats([dependent], {graph.graph_sha256: engine})
    said = repeats([dependent], {graph.graph_sha256: f"{engine}{MERGED}"})
    assert "merges requests of all its clients into one: the same evaluation may give other answers" in said
