import json
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from benchmarks.contenders.baseshape import Shape, export_random, write_random
from benchmarks.core.report import guarded
from benchmarks.load import __main__ as command
from benchmarks.load import burst, counts, run, texts, traffic
from benchmarks.load.answers import Agreement, difference
from benchmarks.load.burst import Burst, burst_size
from benchmarks.load.counts import RequestCounts, TokenCounts
from benchmarks.load.options import parse
from benchmarks.load.report import Report
from benchmarks.load.texts import Texts
from benchmarks.load.traffic import Traffic
from harness.benchmark import finetunes, tasks
from harness.core.errors import ArtifactError, DataError, EndpointError, UsageError
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import text_model
from harness.text.forms import FORMS

MIB = 2**20


def form(finetune: str) -> Any:
    declared = finetunes.load(finetune)
    return FORMS[type(declared.featurizer)](declared.featurizer, declared.postprocess)


# LoadOptions


def test_options_have_the_stated_defaults() -> None:
    found = parse(["--model", "english"])
    assert (found.finetune, found.variant, found.requests, found.clients) == ("mnli", "fp32", 20_000, 8)
    assert (found.burst, found.memory_ceiling, found.data, found.json) == (None, 64.0, None, None)


@pytest.mark.parametrize("wrong", [["--requests", "1"], ["--requests", "0"], ["--clients", "0"], ["--burst", "-5"]])
def test_impossible_numbers_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["--model", "english", *wrong])


# Texts


@pytest.mark.parametrize(
    ("finetune", "example"),
    [
        ("mnli", PairExample("7", "one text", "another", "neutral")),
        ("copa", ChoiceExample("7", "it rained", "what was the effect?", ("wet", "dry", "both"), 2)),
        ("udpos", WordsExample("7", ("the", "cat", "."), ("DET", "NOUN", "PUNCT"))),
        ("squad", QuestionExample("7", "who?", "nobody at all", ())),
        ("encoder", SentenceExample("7", "one text", "candidate")),
        ("lareqa", SentenceExample("7", "one text", "candidate")),
    ],
)
def test_questions_become_the_example_that_they_are_of(finetune: str, example: Any) -> None:
    (question,) = texts.as_questions([example], form(finetune).fields)
    assert question is not None
    back = form(finetune).example(question)
    reported = {name: getattr(example, name) for name in type(example).__slots__}
    # What the service does not take: ids, gold labels, and the side where one graph has one longest row.
    for name in ("id", "label", "tags", *(["side"] if finetune == "encoder" else [])):
        reported.pop(name, None)
    assert {name: getattr(back, name) for name in reported} == reported


def test_examples_that_the_service_refuses_are_left_out() -> None:
    examples = [PairExample("1", "a", "b", "neutral"), PairExample("2", "a", " ", "neutral")]
    found = texts.as_questions(examples, form("mnli").fields)
    assert found == [{"text": "a", "text_pair": "b"}, None]


def test_texts_of_all_languages_that_are_there_are_read(
    layout: Layout, xnli: Callable[[Sequence[str]], None], write: Callable[..., Path]
) -> None:
    xnli(["en", "ru"])
    write("xnli/test-de.tsv", "a\tb\tneutral\n")
    found = texts.read_texts("mnli", form("mnli"), layout, Silent())
    assert found.languages == {"xnli": ["de", "en", "ru"]}
    assert (len(found.questions), found.left_out) == (9, 0)


def test_folder_without_the_tasks_texts_is_refused(layout: Layout) -> None:
    with pytest.raises(DataError, match="holds no text of xnli; name another folder with `--data`"):
        texts.read_texts("mnli", form("mnli"), layout, Silent())


def test_graph_that_answers_for_no_task_is_refused(layout: Layout) -> None:
    idle = next(name for name in finetunes.names() if not tasks.answered_by(name))
    with pytest.raises(UsageError, match=f"no task is answered by '{idle}'"):
        texts.read_texts(idle, form("mnli"), layout, Silent())


def test_order_is_shuffled_and_repeated_the_same_each_time() -> None:
    texts = Texts(questions=[{"text": str(number)} for number in range(50)], left_out=0, languages={})
    order = texts.order(120)
    assert sorted(order[:50].tolist()) == list(range(50))
    assert order[:50].tolist() != list(range(50))
    assert order[50:100].tolist() == order[:50].tolist()
    assert order[100:].tolist() == order[:20].tolist()
    assert texts.order(120).tolist() == order.tolist()


# Closed loop


def test_percentile_is_the_latency_that_so_many_did_not_exceed() -> None:
    traffic = Traffic(latencies=[number / 1000 for number in range(200, 0, -1)])
    assert [traffic.percentile(percent) for percent in (50, 95, 99, 100)] == [0.1, 0.19, 0.198, 0.2]
    assert Traffic(latencies=[3.0, 1.0]).percentile(50) == 1.0


def test_growth_is_the_largest_after_the_first_look() -> None:
    assert Traffic(memory=[(10, 100), (20, 90), (30, 170), (40, 120)]).growth == 70
    assert Traffic(memory=[(10, 100), (20, 90)]).growth == -10


@pytest.mark.parametrize(("requests", "first", "count"), [(20_000, 2_000, 21), (3_000, 1_500, 21), (40, 20, 21)])
def test_memory_is_looked_at_from_the_settled_server_to_the_end(requests: int, first: int, count: int) -> None:
    found = traffic.looks(requests)
    assert (found[0], found[-1], len(found)) == (first, requests, count)
    assert traffic.looks(2) == [1, 2]


def test_every_question_is_asked_once_and_reported() -> None:
    questions = [{"text": str(number)} for number in range(300)]
    seen: Counter[str] = Counter()
    done: list[int] = []

    def ask(question: Any) -> dict[str, Any]:
        seen[question["text"]] += 1
        return {"label": question["text"]}

    memory = iter(range(1_000))
    found = traffic.closed_loop(
        ask,
        questions,
        clients=5,
        resident=lambda: next(memory),
        keep=frozenset({0, 7, 299}),
        advance=done.append,
    )
    assert seen == Counter({str(number): 1 for number in range(300)})
    assert (len(found.latencies), found.finished, found.errors, sum(done)) == (300, 300, Counter(), 300)
    assert found.answers == {place: {"label": str(place)} for place in (0, 7, 299)}
    assert found.memory == [(place, look) for look, place in enumerate(traffic.looks(300))]


def test_each_client_has_one_request_at_a_time() -> None:
    together = threading.Barrier(4, timeout=10)
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def ask(question: Any) -> dict[str, Any]:
        with lock:
            running.append(1)
            most.append(len(running))
        # Goes on once four requests are there: with fewer clients it breaks.
        together.wait()
        with lock:
            running.pop()
        return {}

    traffic.closed_loop(ask, [{}] * 40, clients=4, resident=lambda: 0)
    assert max(most) == 4


def test_errors_are_counted_by_reason_and_the_rest_goes_on() -> None:
    def ask(question: Any) -> dict[str, Any]:
        if question["text"] % 10 == 0:
            message = "no answer"
            raise EndpointError(message)
        return {}

    found = traffic.closed_loop(ask, [{"text": n} for n in range(100)], clients=3, resident=lambda: 0)
    assert (found.errors, len(found.latencies), found.finished) == (Counter({"no answer": 10}), 90, 100)


def test_mistake_of_the_client_ends_the_loop() -> None:
    asked = []

    def ask(question: Any) -> dict[str, Any]:
        asked.append(question)
        message = "a mistake"
        raise ValueError(message)

    with pytest.raises(ValueError, match="a mistake"):
        traffic.closed_loop(ask, [{}] * 1_000, clients=2, resident=lambda: 0)
    assert len(asked) < 1_000


def test_memory_is_that_of_a_process_and_all_that_it_started() -> None:
    shell = subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE)
    assert shell.stdout is not None
    shell.stdout.readline()
    (child,) = psutil.Process(shell.pid).children()
    try:
        while child.name() != "sleep":
            pass
        found = traffic.resident_memory(shell.pid)
        own, child_own = psutil.Process(shell.pid).memory_info().rss, child.memory_info().rss
        assert min(own, child_own) > 0
        # The child may still be reading its libraries.
        assert own < found <= own + child_own
    finally:
        child.kill()
        shell.wait()


# What the server counts


def statistics(answered: int, *, failed: int = 0, versions: int = 1) -> Any:
    entry = SimpleNamespace(
        inference_stats=SimpleNamespace(
            success=SimpleNamespace(count=answered),
            fail=SimpleNamespace(count=failed),
            queue=SimpleNamespace(ns=2_000_000 * answered),
        ),
        inference_count=3 * answered,
        execution_count=2,
    )
    return SimpleNamespace(model_stats=[entry] * versions)


def test_counts_of_all_versions_are_summed_and_told_with_their_means() -> None:
    connection = SimpleNamespace(get_inference_statistics=lambda name: statistics(8, failed=1, versions=2))
    found = counts.read_counts(connection, "any") - RequestCounts(6, 0, 8, 0, 12_000_000)
    assert found == RequestCounts(10, 2, 40, 4, 20_000_000)
    assert found.to_json() == {
        "answered": 10,
        "failed": 2,
        "rows": 40,
        "executions": 4,
        "mean_batch": 10.0,
        "mean_queue_ms": 2.0,
    }


def test_counts_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = iter([5, 7, 9])
    connection = SimpleNamespace(get_inference_statistics=lambda name: statistics(next(reported)))
    monkeypatch.setattr("benchmarks.load.counts.time.sleep", lambda seconds: None)
    assert counts.count_until(connection, "any", RequestCounts(0, 0, 0, 0, 0), 9).answered == 9


def test_server_that_loses_count_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = SimpleNamespace(get_inference_statistics=lambda name: statistics(8))
    monkeypatch.setattr(counts, "COUNTED", -1.0)
    with pytest.raises(EndpointError, match="'any' was sent 9 requests and counts 8"):
        counts.count_until(connection, "any", RequestCounts(0, 0, 0, 0, 0), 9)


# Answers


@pytest.mark.parametrize(
    ("given", "expected", "distance"),
    [
        ({"label": "a", "p": {"a": 0.5}}, {"label": "a", "p": {"a": 0.5}}, 0.0),
        ({"p": [0.1, 2.2]}, {"p": [0.1, 1.0]}, 0.6),
        ({"label": "a"}, {"label": "b"}, np.inf),
        ({"label": "a"}, {"label": "a", "truncated": False}, np.inf),
        ({"truncated": False}, {"truncated": True}, np.inf),
        ({"start": 3}, {"start": 4}, np.inf),
        ({"score": None}, {"score": None}, 0.0),
        ({"score": None}, {"score": 1.0}, np.inf),
        ({"tags": ["X"]}, {"tags": ["X", "X"]}, np.inf),
        ({"p": float("nan")}, {"p": 1.0}, np.inf),
    ],
)
def test_difference_is_that_of_numbers_and_nothing_else_may_differ(given: Any, expected: Any, distance: float) -> None:
    assert difference(given, expected) == pytest.approx(distance)


def test_agreement_counts_what_is_equal_within_the_tolerance() -> None:
    given, expected = [{"p": 0.5}, {"p": 0.5001}, {"p": 0.9}], [{"p": 0.5}] * 3
    found = Agreement.of(given, expected, excused=False)
    assert (found.compared, found.equal) == (3, 2)
    assert found.largest == pytest.approx(0.0001 / 1.5)


# Open loop


def test_outcomes_of_a_burst_are_reported_apart() -> None:
    burst = Burst(6, 2)
    burst.take(None, None)
    burst.take("StatusCode.UNAVAILABLE", "Exceeds maximum queue size")
    burst.take("StatusCode.UNAVAILABLE", "Request timeout\n expired")
    burst.take("StatusCode.INTERNAL", "Exceeds maximum queue size")
    assert (burst.answered, burst.rejected, burst.returned, burst.lost) == (1, 1, 4, 2)
    assert burst.errors == Counter(
        {
            "StatusCode.UNAVAILABLE: Request timeout expired": 1,
            "StatusCode.INTERNAL: Exceeds maximum queue size": 1,
        }
    )


class Connection:
    """Answers two requests at once, refuses the others, and forgets as many as it is reported to."""

    def __init__(self, forget: int) -> None:
        self.sent: list[Any] = []
        self._forget = forget

    def async_infer(self, name: str, inputs: Any, callback: Any, client_timeout: float) -> None:
        self.sent.append((name, inputs))
        if len(self.sent) <= self._forget:
            return
        refusal = SimpleNamespace(
            status=lambda: "StatusCode.UNAVAILABLE", message=lambda: "in model: Exceeds maximum queue size 2"
        )
        error = None if len(self.sent) <= self._forget + 2 else refusal
        threading.Thread(target=callback, args=(object() if error is None else None, error)).start()


def test_burst_sends_everything_and_waits_for_all() -> None:
    connection = Connection(forget=0)
    found = burst.send_burst(connection, "model_text", [[number] for number in range(9)], queue=2)
    assert connection.sent == [("model_text", [number]) for number in range(9)]
    assert (found.sent, found.queue, found.answered, found.rejected, found.lost) == (9, 2, 2, 7, 0)


def test_requests_that_never_return_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burst, "ANSWER", 0.1)
    monkeypatch.setattr(burst, "COUNTED", 0.1)
    found = burst.send_burst(Connection(forget=3), "model_text", [[number] for number in range(9)], queue=2)
    assert found.lost == 3


def config(queue: int) -> dict[str, Any]:
    policy = {"max_queue_size": queue} if queue else {}
    return {"name": "m", "max_batch_size": 64, "dynamic_batching": {"default_queue_policy": policy}}


def test_burst_is_larger_than_what_the_loaded_queue_holds() -> None:
    assert burst_size(config(512), None) == (2304, 512)
    assert burst_size(config(512), 600) == (600, 512)
    with pytest.raises(UsageError, match="a burst of 576 does not fill a queue of 512; give more than 576"):
        burst_size(config(512), 576)
    with pytest.raises(EndpointError, match="refuses nobody"):
        burst_size(config(0), None)


def test_another_graph_than_the_published_one_is_refused() -> None:
    server = SimpleNamespace(config=lambda name: {"parameters": {"graph_sha256": {"string_value": "a" * 64}}})
    artifact = SimpleNamespace(graph_sha256="b" * 64, graph=Path("model.onnx"), model="tiny")
    with pytest.raises(ArtifactError, match=r"aaaa\) than model.onnx .*`harness export --model tiny`"):
        run._check_served(server, artifact, "m_text")  # type: ignore[arg-type]


# Tokens


class Metrics(BaseHTTPRequestHandler):
    """A metrics port."""

    def do_GET(self) -> None:
        lines = (
            "# TYPE harness_useful_tokens_total counter",
            'harness_useful_tokens_total{model="m_text",version="1"} 16',
            'harness_useful_tokens_total{model="m",version="1"} 1.4e+06',
            'harness_useful_tokens_total{model="m",version="2"} 30',
            'harness_padded_tokens_total{model="m",version="1"} 2.1e+06',
            'harness_padded_tokens_total{model="m",version="2"} 45',
        )
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\n".join(lines).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metrics_port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_tokens_of_all_versions_are_read(metrics_port: int) -> None:
    found = counts.read_tokens("127.0.0.1", metrics_port, "m") - TokenCounts(30, 45)
    assert (found, found.padding) == (TokenCounts(1_400_000, 2_100_000), 1.5)


def test_server_that_counts_no_tokens_is_reported(metrics_port: int) -> None:
    with pytest.raises(EndpointError, match="have no harness_padded_tokens_total of 'm_text'; the backend is not"):
        counts.read_tokens("127.0.0.1", metrics_port, "m_text")


# Reports


@pytest.fixture
def report() -> Report:
    """A run that kept every promise."""
    return Report(
        name="tiny-mnli-fp32_text",
        clients=4,
        texts=Texts(questions=[{}] * 5, left_out=0, languages={"xnli": ["en", "ru"]}),
        tokens=np.arange(1, 101),
        traffic=Traffic(
            latencies=[number / 1000 for number in range(1, 101)],
            memory=[(50, 100 * MIB), (75, 103 * MIB), (100, 102 * MIB)],
            seconds=0.5,
        ),
        agreement=Agreement(10, 10, 1e-6, excused=False),
        text=RequestCounts(100, 0, 100, 40, 0),
        graph=RequestCounts(50, 0, 100, 25, 0),
        text_tokens=TokenCounts(1_000, 1_040),
        graph_tokens=TokenCounts(1_000, 1_100),
        burst=Burst(30, 8, answered=20, rejected=10, works_afterwards=True),
        ceiling=4.0,
        processes=4,
    )


def test_report_says_everything(report: Report) -> None:
    found = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert found["failures"] == []
    assert found["requests_per_second"] == 200.0
    assert found["latency_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "mean": 50.5, "max": 100.0}
    assert (found["text_model"]["mean_batch"], found["graph"]["mean_batch"]) == (2.5, 4.0)
    assert (found["text_model"]["padding"], found["graph"]["padding"]) == (1.04, 1.1)
    assert (found["graph"]["useful_tokens"], found["graph"]["padded_tokens"]) == (1_000, 1_100)
    assert found["texts"]["tokens"] == {"mean": 50.5, "p5": 5, "p50": 50, "p95": 95, "p100": 100}
    assert found["memory"]["resident_mib"] == [[50, 100.0], [75, 103.0], [100, 102.0]]
    assert (found["memory"]["growth_mib"], found["memory"]["ceiling_mib"]) == (3.0, 4.0)
    assert (found["burst"]["rejected"], found["burst"]["lost"]) == (10, 0)


def test_tables_tell_the_same(report: Report) -> None:
    printed = "\n".join(table.text() for table in report.tables())
    for line in (
        "tiny-mnli-fp32_text, 4 clients, xnli, 2 languages, 5 different questions",
        "latency, p95  95.0 ms",
        "rows a call of the graph's model  4.00",
        "padded / useful tokens, as the text model packed  1.040",
        "padded / useful tokens, as the graph computed  1.100",
        "subwords a request, p5 / p50 / p95 / longest  5 / 50 / 95 / 100",
        "largest growth in between  +3.0 MiB",
        "30 requests at once, the queue holds 8",
        "rejected, queue full  10",
    ):
        assert " ".join(line.split()) in " ".join(printed.split())


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "error": (
        {"traffic": Traffic([0.1] * 9, Counter({"no": 2, "never": 1}), [(1, 0), (2, 0)], {}, 1.0)},
        "3 of 12 requests failed, 2 of them with: no",
    ),
    "answer": ({"agreement": Agreement(10, 8, 0.0, excused=False)}, "2 of 10 answers are not those"),
    "memory": ({"ceiling": 2.5}, "the server grew by 3.0 MiB after the first 50 requests, the ceiling is 2.5"),
    "burst": (
        {"burst": Burst(30, 8, 19, 10, Counter({"INTERNAL: x": 1}), works_afterwards=True)},
        "1 requests of the burst failed, 1 of them with: INTERNAL: x",
    ),
    "lost": ({"burst": Burst(30, 8, 19, 10, works_afterwards=True)}, "1 requests of the burst got neither"),
    "no rejection": ({"burst": Burst(30, 8, 30, 0, works_afterwards=True)}, "30 requests at once did not fill"),
    "early": ({"burst": Burst(30, 8, 7, 23, works_afterwards=True)}, "7 requests of the burst were answered"),
    "afterwards": ({"burst": Burst(30, 8, 20, 10)}, "a single request after the burst was not answered"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_each_broken_promise_is_a_failure_of_its_own(report: Report, kind: str) -> None:
    changed, sentence = BROKEN[kind]
    (failure,) = replace(report, **changed).failures()
    assert failure.startswith(sentence)


def test_answers_that_depend_on_their_batch_may_differ(report: Report) -> None:
    assert replace(report, agreement=Agreement(10, 8, 0.0, excused=True)).failures() == []


@pytest.mark.parametrize(("ceiling", "status"), [(4.0, 0), (2.0, 1)])
def test_broken_promise_ends_with_1(
    report: Report,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ceiling: float,
    status: int,
) -> None:
    monkeypatch.setattr(command, "measure", lambda *_: replace(report, ceiling=ceiling))
    file = tmp_path / "load.json"
    ended = 0
    try:
        command.main(["--model", "tiny", "--json", str(file)])
    except SystemExit as error:
        ended = int(error.code or 0)
    assert ended == status
    written = json.loads(file.read_text(encoding="utf-8"))
    assert {"machine", "load_at_start", "packages", "git", "command", "memory", "burst"} <= written.keys()
    assert len(written["failures"]) == status
    assert ("the ceiling is 2" in capsys.readouterr().err) == bool(status)


def test_model_that_is_not_there_ends_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    assert guarded(lambda: command.main(["--model", "nobody"])) == 2


# The real server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> Path:
    """A workspace with one tiny model, published with a queue of eight, and XNLI data in two languages."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "data" / "xtreme" / "xnli").mkdir(parents=True)
    for code in ("en", "ru"):
        lines = [f"{'abcdefgh ' * (1 + row % 13)}\t{'xyz' * (1 + row % 5)}\tneutral\n" for row in range(40)]
        (folder / "data" / "xtreme" / "xnli" / f"test-{code}.tsv").write_text("".join(lines), encoding="utf-8")
    mnli = finetunes.load("mnli")
    shape = Shape(name="tiny", layers=1, width=16, heads=2, feed_forward=32)
    checkpoint = write_random(folder, shape, mnli, tokenizer_file, seed=0)
    probes = [np.array([0, 5, 6, 7, 2]), np.array([0, 9, 2, 2, 8, 2])]
    artifact = export_random(folder, checkpoint, mnli, probes)
    small = Serving(threads=1, online_batch_size=4, max_queue_size=8)
    publish(artifact, folder / "model_repository", small, probe_ids=artifact.manifest.probe, text=text_model)
    return folder


@pytest.mark.triton
def test_real_server_keeps_its_promises(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(home))
    file = home / "load.json"
    asked = ["--model", "tiny", "--data", str(home / "data"), "--requests", "200", "--clients", "6"]
    command.main([*asked, "--burst", "200", "--json", str(file)])
    found = json.loads(file.read_text(encoding="utf-8"))
    assert (found["requests"], found["answered"], found["errors"], found["failures"]) == (200, 200, {}, [])
    assert found["texts"]["languages"] == {"xnli": ["en", "ru"]}
    assert (found["texts"]["distinct"], found["texts"]["left_out"]) == (80, 0)
    assert found["texts"]["tokens"]["p5"] < found["texts"]["tokens"]["p50"] < found["texts"]["tokens"]["p100"]
    assert (found["agreement"]["compared"], found["agreement"]["equal"]) == (200, 200)
    assert (found["text_model"]["answered"], found["text_model"]["rows"]) == (200, 200)
    assert (found["graph"]["rows"], found["graph"]["failed"]) == (200, 0)
    assert found["text_model"]["mean_batch"] > 1
    looked = found["memory"]["resident_mib"]
    assert ([place for place, _ in looked], min(value for _, value in looked) > 20) == (traffic.looks(200), True)
    # Supervisor, server, a stub for the graph, and two for the text model.
    assert found["memory"]["processes"] == 5
    burst = found["burst"]
    assert (burst["max_queue_size"], burst["sent"], burst["lost"], burst["errors"]) == (8, 200, 0, {})
    assert burst["answered"] + burst["rejected"] == 200
    assert (burst["answered"] >= 8, burst["rejected"] > 0, burst["works_afterwards"]) == (True, True, True)
    assert "200 requests at once, the queue holds 8" in capsys.readouterr().out


@pytest.mark.triton
def test_wrong_answers_of_the_real_server_are_noticed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(home))
    infer = OnnxEndpoint.infer

    def wrong(self: OnnxEndpoint, inputs: Any) -> Any:
        return {name: value + np.arange(value.shape[-1]) for name, value in infer(self, inputs).items()}

    monkeypatch.setattr(OnnxEndpoint, "infer", wrong)
    asked = ["--model", "tiny", "--data", str(home / "data"), "--requests", "20", "--clients", "4", "--burst", "100"]
    with pytest.raises(SystemExit, match="1"):
        command.main(asked)
    said = capsys.readouterr().err
    assert "20 of 20 answers are not those of the same graph in this process" in said
    assert "a single request after the burst was not answered as in this process" in said
