"""The text endpoint under load: latency, throughput, memory over many requests, and a full queue.

::

    python -m benchmarks.load --model english
    python -m benchmarks.load --model mixed_ru --finetune squad --data DEST --requests 20000 --clients 8 --json FILE

It serves a published model as `harness serve` does, in the profile online with its text model, and
exits with 1 where the endpoint did not do what it promises: any error, a wrong answer, memory that
grows past the ceiling, a full queue that does not refuse in Triton's words.
"""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import tritonclient.grpc as client
from numpy.typing import NDArray

from benchmarks import runner
from harness import tasks
from harness.artifacts import Artifact
from harness.data import Layout
from harness.endpoints.onnx import OnnxEndpoint
from harness.endpoints.text import TextEndpoint
from harness.endpoints.triton import open_client
from harness.errors import ArtifactError, DataError, EndpointError, UsageError
from harness.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.planner import BatchPlanner
from harness.progress import Advance, Progress
from harness.report import Table
from harness.results import write_json
from harness.selection import choose_jobs
from harness.serving.known_answer import TOLERANCE
from harness.serving.local import LocalTriton
from harness.serving.repository import text_name
from harness.serving.text_model import declaration
from harness.terminal import Terminal
from harness.text import Answer, Field, Form, Question, TextPipeline, read_fields
from harness.tokenizer import FastTokenizer
from harness.workload import available
from harness.workspace import Workspace

#: Of the order in which texts are sent.
SEED = 0
#: Requests after which memory is looked at first: every length has been there by then, so what the server
#: takes later is no longer what its allocators keep for the largest batches.
SETTLED = 2_000
#: So often memory is looked at afterwards.
LOOKS = 20
#: MiB that the server may grow by after that. Over the 18,000 requests that are left of 20,000 this is 3.6 KiB
#: each, about what a text, its token ids and its answer take: a server that keeps any of them is above it.
CEILING = 64.0
#: Answers that are compared with those of the same graph in this process.
COMPARED = 200
#: A burst is so many times what the queue and one batch hold, since the server answers while it comes in.
BURST = 4
#: Seconds for one answer. A request waits 30 s in the queue at most, and then for the graph.
ANSWER = 120.0
#: Seconds until the server has counted what it has answered.
_COUNTED = 10.0
_MIB = 2**20
#: What Triton 2.51 says, in small letters, when it refuses a request for a full queue; its status beside it.
FULL = "exceeds maximum queue size"
_UNAVAILABLE = "StatusCode.UNAVAILABLE"
#: Percentiles of latency that are told.
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asked for."""

    model: str
    finetune: str
    variant: str
    data: Path | None
    requests: int
    clients: int
    #: Requests of the burst; by the queue's size where None.
    burst: int | None
    #: MiB.
    memory_ceiling: float
    json: Path | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", required=True, help="an exported and published model")
    parser.add_argument("--finetune", default="mnli", help="its graph; mnli")
    parser.add_argument("--variant", default="fp32", help="precision of the graph; fp32")
    parser.add_argument("--data", type=Path, help="data folder; that of the model's recipe, or $HARNESS_DATA")
    parser.add_argument("--requests", type=_positive, default=20_000, help="requests to answer, one text each; 20000")
    parser.add_argument("--clients", type=_positive, default=8, help="clients that each wait for their answer; 8")
    parser.add_argument("--burst", type=_positive, help="requests sent at once; 4 times what queue and batch hold")
    parser.add_argument("--memory-ceiling", type=float, default=CEILING, help=f"MiB of growth; {CEILING:.0f}")
    parser.add_argument("--json", type=Path, help="write the figures here")
    found = parser.parse_args(arguments)
    if found.requests < 2:
        parser.error("--requests must be at least 2: memory is looked at between the first and the last")
    return Options(**vars(found))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        message = f"{value} is below 1"
        raise argparse.ArgumentTypeError(message)
    return value


# What is asked

#: Example -> what a user would send for it, by the fields that some form has.
GIVEN: Mapping[type, Callable[[Any], Mapping[str, list[str]]]] = {
    PairExample: lambda example: {"text": [example.first], "text_pair": [example.second]},
    ChoiceExample: lambda example: {
        "text": [example.premise],
        "question": [example.question],
        "choices": list(example.choices),
    },
    WordsExample: lambda example: {"text": [" ".join(example.words)]},
    QuestionExample: lambda example: {"question": [example.question], "context": [example.context]},
    SentenceExample: lambda example: {"text": [example.text], "side": [example.side]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The questions that a task's data files hold."""

    questions: Sequence[Question]
    #: Examples whose texts the service refuses, such as those without any letter.
    left_out: int
    #: Of each task.
    languages: Mapping[str, Sequence[str]]

    def order(self, requests: int) -> NDArray[np.int64]:
        """Return the question of each request: all in one shuffled order, and again from its start."""
        shuffled = np.random.default_rng(SEED).permutation(len(self.questions))
        return np.resize(shuffled, requests)


def as_questions(examples: Sequence[Any], fields: Sequence[Field]) -> list[Question | None]:
    """Return the question of each example; None where the service would refuse its texts.

    Args:
        examples: of any of the shapes that `GIVEN` knows.
        fields: what the text model takes; what an example has beyond them is not sent.
    """
    names = {entry.name for entry in fields}
    found: list[Question | None] = []
    for example in examples:
        given = {name: texts for name, texts in GIVEN[type(example)](example).items() if name in names}
        try:
            found.append(read_fields(fields, given))
        except DataError:
            found.append(None)
    return found


def read_texts(finetune: str, form: Form, layout: Layout, progress: Progress) -> Texts:
    """Return the questions of every task that a graph answers, in all languages that the data folder has.

    Raises:
        UsageError: the graph answers for no task.
        DataError: a file is malformed, or the folder has none of them.
    """
    answered = tasks.answered_by(finetune)
    if not answered:
        message = f"no task is answered by {finetune!r}, so there are no texts for it; `harness tasks` names them"
        raise UsageError(message)
    wanted = choose_jobs(answered, splits={task.name: "test" for task in answered}, coverage=layout.coverage())
    jobs, _ = available(wanted, layout)
    found: list[Question | None] = []
    languages: dict[str, list[str]] = {}
    with progress.step("reading texts", len(jobs), "files") as advance:
        for job in jobs:
            found += as_questions(job.read(layout), form.fields)
            languages.setdefault(job.task.name, []).append(job.language)
            advance(1)
    questions = [question for question in found if question is not None]
    if not questions:
        names = " and ".join(task.name for task in answered)
        message = f"{layout.xtreme} holds no text of {names}; name another folder with `--data`"
        raise DataError(message)
    return Texts(questions=questions, left_out=len(found) - len(questions), languages=languages)


# Closed loop: each client waits for its answer


@dataclass(slots=True)
class Traffic:
    """What came of requests that clients sent, each after the answer to its last one."""

    #: Of every request that was answered, in seconds.
    latencies: list[float] = field(default_factory=list)
    #: How often a request failed, by reason.
    errors: Counter[str] = field(default_factory=Counter)
    #: Bytes that the server had resident after so many requests.
    memory: list[tuple[int, int]] = field(default_factory=list)
    #: The answers that were to be kept, by the request's place.
    answers: dict[int, Answer] = field(default_factory=dict)
    #: Of the whole loop.
    seconds: float = 0.0

    @property
    def finished(self) -> int:
        """Return the requests that got an answer or an error."""
        return len(self.latencies) + self.errors.total()

    @property
    def growth(self) -> int:
        """Return how much more memory there was later than at the first look, at the most, in bytes."""
        (_, settled), *later = self.memory
        return max(found for _, found in later) - settled

    def percentile(self, percent: float) -> float:
        """Return the least latency that so many percent of the answers did not exceed, in seconds."""
        return float(np.percentile(self.latencies, percent, method="inverted_cdf"))


def looks(requests: int) -> list[int]:
    """Return after how many requests memory is looked at: `SETTLED` (half of a short run) to the last."""
    first = min(SETTLED, requests // 2)
    return sorted({int(place) for place in np.linspace(first, requests, LOOKS + 1)})


def closed_loop(
    ask: Callable[[Question], Answer],
    questions: Sequence[Question],
    *,
    clients: int,
    resident: Callable[[], int],
    keep: frozenset[int] = frozenset(),
    advance: Advance = lambda _: None,
) -> Traffic:
    """Return what came of the questions, each of them asked once.

    Args:
        ask: gives one answer; called by all clients at once.
        questions: what is asked, in this order.
        clients: threads, each with one request at a time.
        resident: tells the server's memory, in bytes.
        keep: places in `questions` whose answers are kept.
        advance: told of each request that is done.
    """
    traffic = Traffic()
    places = iter(range(len(questions)))
    due = looks(len(questions))
    lock = threading.Lock()
    stopped = threading.Event()

    def finish(place: int, outcome: Answer | EndpointError, seconds: float) -> None:
        if isinstance(outcome, EndpointError):
            traffic.errors[str(outcome)] += 1
        else:
            traffic.latencies.append(seconds)
            if place in keep:
                traffic.answers[place] = outcome
        # The last look is after the last answer, when nothing is in flight.
        if traffic.finished in due[:-1]:
            traffic.memory.append((traffic.finished, resident()))
        advance(1)

    def serve_one_client() -> None:
        outcome: Answer | EndpointError
        while not stopped.is_set():
            with lock:
                place = next(places, None)
            if place is None:
                return
            begin = time.perf_counter()
            try:
                outcome = ask(questions[place])
            except EndpointError as error:
                outcome = error
            seconds = time.perf_counter() - begin
            with lock:
                finish(place, outcome, seconds)

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(serve_one_client) for _ in range(clients)]
        try:
            for each in running:
                each.result()
        finally:
            # Whatever ended one client ends the others, Ctrl-C included.
            stopped.set()
    traffic.seconds = time.perf_counter() - begin
    traffic.memory.append((traffic.finished, resident()))
    return traffic


def resident_memory(pid: int) -> int:
    """Return the resident memory of a process and all that it started, in bytes.

    Pages that several of them share count for each, so this is never too little.
    """
    root = psutil.Process(pid)
    return sum(int(each.memory_info().rss) for each in (root, *root.children(recursive=True)))


# What the server counts


@dataclass(frozen=True, slots=True)
class Counts:
    """What a server has counted of one model."""

    #: Requests with and without an answer. An error that the model itself gave counts as an answer.
    answered: int
    failed: int
    #: Rows, of all requests.
    rows: int
    #: Calls of the model's backend.
    executions: int
    #: Nanoseconds that requests waited in the queue.
    queued: int

    def __sub__(self, before: "Counts") -> "Counts":
        return Counts(
            self.answered - before.answered,
            self.failed - before.failed,
            self.rows - before.rows,
            self.executions - before.executions,
            self.queued - before.queued,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the counts with the two means that people look at."""
        return {
            "answered": self.answered,
            "failed": self.failed,
            "rows": self.rows,
            "executions": self.executions,
            # nv_inference_count / nv_inference_exec_count
            "mean_batch": round(self.rows / max(1, self.executions), 3),
            "mean_queue_ms": round(self.queued / max(1, self.answered) / 1e6, 3),
        }


def read_counts(connection: Any, name: str) -> Counts:
    """Return what a server has counted of a model since it was loaded, over all versions."""
    entries = connection.get_inference_statistics(name).model_stats
    return Counts(
        answered=sum(entry.inference_stats.success.count for entry in entries),
        failed=sum(entry.inference_stats.fail.count for entry in entries),
        rows=sum(entry.inference_count for entry in entries),
        executions=sum(entry.execution_count for entry in entries),
        queued=sum(entry.inference_stats.queue.ns for entry in entries),
    )


def count_until(connection: Any, name: str, before: Counts, requests: int) -> Counts:
    """Return what a server has counted since then; it counts a request after its answer is sent.

    Raises:
        EndpointError: it does not arrive at the number of requests that it was sent.
    """
    limit = time.monotonic() + _COUNTED
    while True:
        found = read_counts(connection, name) - before
        if found.answered + found.failed == requests:
            return found
        if time.monotonic() > limit:
            message = f"{name!r} was sent {requests:,} requests and counts {found.answered + found.failed:,}"
            raise EndpointError(message)
        time.sleep(0.05)


# Answers


def difference(given: Any, expected: Any) -> float:
    """Return how far two answers are apart: the largest distance of two numbers over 1 plus the second one.

    Infinity where anything but a decimal number differs, or where one of those is not finite.
    """
    if isinstance(expected, Mapping):
        if not isinstance(given, Mapping) or given.keys() != expected.keys():
            return float("inf")
        return max((difference(given[name], value) for name, value in expected.items()), default=0.0)
    if isinstance(expected, list):
        if not isinstance(given, list) or len(given) != len(expected):
            return float("inf")
        return max(map(difference, given, expected), default=0.0)
    if isinstance(expected, float) and isinstance(given, float):
        distance = abs(given - expected) / (1 + abs(expected))
        return distance if np.isfinite(distance) else float("inf")
    return 0.0 if given == expected else float("inf")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a sample of served answers compares with those of the same graph in this process."""

    compared: int
    equal: int
    #: Between two answers that are equal within the tolerance.
    largest: float
    #: Whether a graph's answer depends on its neighbours in a batch, so that unequal ones are no error.
    excused: bool

    @staticmethod
    def of(given: Sequence[Answer], expected: Sequence[Answer], *, excused: bool) -> "Agreement":
        """Return the comparison of answers in the same order."""
        distances = [difference(one, other) for one, other in zip(given, expected, strict=True)]
        equal = [distance for distance in distances if distance <= TOLERANCE]
        return Agreement(len(distances), len(equal), max(equal, default=0.0), excused)


# Open loop: a burst that the queue cannot hold


@dataclass(slots=True)
class Burst:
    """What came of requests that were all sent before anybody waited for an answer."""

    sent: int
    #: Requests that the model's queue holds.
    queue: int
    answered: int = 0
    #: In Triton's words for a full queue.
    rejected: int = 0
    #: How often a request failed otherwise, by reason.
    errors: Counter[str] = field(default_factory=Counter)
    #: Until all were sent, and until all had come back.
    sending: float = 0.0
    seconds: float = 0.0
    #: Whether one request afterwards was answered as in this process.
    works_afterwards: bool = False

    @property
    def lost(self) -> int:
        """Return the requests that nothing came of."""
        return self.sent - self.returned

    @property
    def returned(self) -> int:
        """Return the requests that something came of."""
        return self.answered + self.rejected + self.errors.total()

    def take(self, status: str | None, message: str | None) -> None:
        """Count one request that came back.

        Args:
            status: of gRPC; None with an answer.
            message: what the server said; None with an answer.
        """
        if message is None:
            self.answered += 1
        elif status == _UNAVAILABLE and FULL in message.lower():
            self.rejected += 1
        else:
            self.errors[f"{status}: {' '.join(message.split())}"] += 1


def tensors(question: Question, fields: Sequence[Field]) -> list[Any]:
    """Return a question as a request's inputs, each (1, texts) BYTES."""
    inputs = []
    for entry in fields:
        texts = question[entry.name] if entry.several else (question[entry.name],)
        value = np.array([[text.encode() for text in texts]], dtype=np.object_)
        inputs.append(client.InferInput(entry.name, value.shape, "BYTES"))
        inputs[-1].set_data_from_numpy(value)
    return inputs


def send_burst(connection: Any, name: str, requests: Sequence[list[Any]], queue: int) -> Burst:
    """Return what came of requests that were sent at once.

    Args:
        connection: to the server.
        name: of the text model.
        requests: the inputs of each, ready to be sent.
        queue: requests that the model's queue holds.
    """
    burst = Burst(len(requests), queue)
    lock = threading.Lock()
    done = threading.Event()

    def returned(result: Any, error: Any) -> None:
        with lock:
            burst.take(*((None, None) if error is None else (error.status(), str(error.message()))))
            if not burst.lost:
                done.set()

    begin = time.perf_counter()
    for inputs in requests:
        connection.async_infer(name, inputs, returned, client_timeout=ANSWER)
    burst.sending = time.perf_counter() - begin
    # gRPC gives up on a request by itself; one that has not come back after that is lost.
    done.wait(ANSWER + _COUNTED)
    burst.seconds = time.perf_counter() - begin
    return burst


# All of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one run found."""

    name: str
    clients: int
    texts: Texts
    #: Subwords of each request that was sent, those of all its rows together.
    tokens: NDArray[np.int64]
    traffic: Traffic
    agreement: Agreement
    text: Counts
    graph: Counts
    burst: Burst
    #: MiB.
    ceiling: float
    processes: int

    @property
    def rate(self) -> float:
        """Return the answers per second."""
        return len(self.traffic.latencies) / self.traffic.seconds

    def failures(self) -> list[str]:
        """Return what the endpoint promises and did not do, a sentence each."""
        return [*_traffic_failures(self), *_burst_failures(self.burst)]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as the file holds them."""
        traffic, burst = self.traffic, self.burst
        return {
            "model": self.name,
            "clients": self.clients,
            "texts": {
                "distinct": len(self.texts.questions),
                "left_out": self.texts.left_out,
                "languages": {task: list(codes) for task, codes in self.texts.languages.items()},
                "tokens": {
                    "mean": round(float(self.tokens.mean()), 2),
                    **{f"p{percent}": int(value) for percent, value in _spread(self.tokens).items()},
                },
            },
            "requests": traffic.finished,
            "answered": len(traffic.latencies),
            "errors": dict(traffic.errors),
            "seconds": round(traffic.seconds, 3),
            "requests_per_second": round(self.rate, 2),
            "latency_ms": {
                **{f"p{percent}": _ms(traffic.percentile(percent)) for percent in PERCENTILES},
                "mean": _ms(float(np.mean(traffic.latencies))),
                "max": _ms(max(traffic.latencies)),
            },
            "agreement": asdict(self.agreement),
            "text_model": self.text.to_json(),
            "graph": self.graph.to_json(),
            "memory": {
                "processes": self.processes,
                "resident_mib": [[place, _mib(value)] for place, value in traffic.memory],
                "growth_mib": _mib(traffic.growth),
                "ceiling_mib": self.ceiling,
            },
            "burst": {
                "sent": burst.sent,
                "max_queue_size": burst.queue,
                "answered": burst.answered,
                "rejected": burst.rejected,
                "errors": dict(burst.errors),
                "lost": burst.lost,
                "sending_seconds": round(burst.sending, 3),
                "seconds": round(burst.seconds, 3),
                "works_afterwards": burst.works_afterwards,
            },
            "failures": self.failures(),
        }

    def tables(self) -> list[Table]:
        """Return the figures as people read them."""
        return [_traffic_table(self), _memory_table(self), _burst_table(self.burst)]


def _traffic_failures(report: Report) -> Iterator[str]:
    traffic, agreement = report.traffic, report.agreement
    if traffic.errors:
        reason, count = traffic.errors.most_common(1)[0]
        yield f"{traffic.errors.total():,} of {traffic.finished:,} requests failed, {count:,} of them with: {reason}"
    if agreement.equal < agreement.compared and not agreement.excused:
        unequal = agreement.compared - agreement.equal
        yield f"{unequal} of {agreement.compared} answers are not those of the same graph in this process"
    if traffic.growth > report.ceiling * _MIB:
        first, _ = traffic.memory[0]
        yield (
            f"the server grew by {_mib(traffic.growth):,} MiB after the first {first:,} requests, "
            f"the ceiling is {report.ceiling:g}"
        )


def _burst_failures(burst: Burst) -> Iterator[str]:
    if burst.errors:
        reason, count = burst.errors.most_common(1)[0]
        yield f"{burst.errors.total():,} requests of the burst failed, {count:,} of them with: {reason}"
    if burst.lost:
        yield f"{burst.lost:,} requests of the burst got neither an answer nor an error in {burst.seconds:.0f} s"
    if not burst.rejected:
        yield (
            f"{burst.sent:,} requests at once did not fill the queue of {burst.queue:,}; send more with `--burst`, "
            "or longer texts"
        )
    elif burst.answered < burst.queue:
        yield f"{burst.answered:,} requests of the burst were answered, the queue holds {burst.queue:,}"
    if not burst.works_afterwards:
        yield "a single request after the burst was not answered as in this process"


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def _mib(amount: int) -> float:
    return round(amount / _MIB, 1)


def _spread(tokens: NDArray[np.int64]) -> dict[int, float]:
    percents = (5, 50, 95, 100)
    return dict(zip(percents, np.percentile(tokens, percents, method="inverted_cdf"), strict=True))


def _traffic_table(report: Report) -> Table:
    traffic, agreement = report.traffic, report.agreement
    least, middle, most, longest = _spread(report.tokens).values()
    languages = sum(len(codes) for codes in report.texts.languages.values())
    text, graph = report.text.to_json(), report.graph.to_json()
    rows = [
        ["requests answered", f"{len(traffic.latencies):,} of {traffic.finished:,}"],
        ["requests/s", f"{report.rate:,.1f}"],
        *([f"latency, p{percent}", f"{_ms(traffic.percentile(percent)):,.1f} ms"] for percent in PERCENTILES),
        ["latency, longest", f"{_ms(max(traffic.latencies)):,.1f} ms"],
        ["errors", f"{traffic.errors.total():,}"],
        ["texts a call of the text model", f"{text['mean_batch']:.2f}"],
        ["rows a call of the graph's model", f"{graph['mean_batch']:.2f}"],
        ["time in the text model's queue, mean", f"{text['mean_queue_ms']:.2f} ms"],
        ["time in the graph's queue, mean", f"{graph['mean_queue_ms']:.2f} ms"],
        ["subwords a request, p5 / p50 / p95 / longest", f"{least:,} / {middle:,} / {most:,} / {longest:,}"],
        ["equal to the answers in process", f"{agreement.equal:,} of {agreement.compared:,}"],
        ["largest difference of a number", f"{agreement.largest:.1e}"],
    ]
    if report.texts.left_out:
        rows.append(["examples left out, which the service refuses", f"{report.texts.left_out:,}"])
    title = (
        f"{report.name}, {report.clients} clients, {' and '.join(report.texts.languages)}, "
        f"{languages} languages, {len(report.texts.questions):,} different questions"
    )
    return Table(title, ["closed loop", ""], rows)


def _memory_table(report: Report) -> Table:
    (first, settled), *_, (last, end) = report.traffic.memory
    rows = [
        [f"after {first:,} requests", f"{_mib(settled):,} MiB"],
        [f"after {last:,} requests", f"{_mib(end):,} MiB"],
        ["largest growth in between", f"{_mib(report.traffic.growth):+,} MiB"],
        ["ceiling of growth", f"{report.ceiling:g} MiB"],
    ]
    return Table(f"resident memory of the server's {report.processes} processes", ["memory", ""], rows)


def _burst_table(burst: Burst) -> Table:
    rows = [
        ["answered", f"{burst.answered:,}"],
        ["rejected, queue full", f"{burst.rejected:,}"],
        ["other errors", f"{burst.errors.total():,}"],
        ["lost", f"{burst.lost:,}"],
        ["sent in", f"{burst.sending:.2f} s"],
        ["all back after", f"{burst.seconds:.2f} s"],
        ["a single request afterwards", "answered" if burst.works_afterwards else "WRONG OR NOT ANSWERED"],
    ]
    return Table(f"{burst.sent:,} requests at once, the queue holds {burst.queue:,}", ["open loop", ""], rows)


def _check_served(server: LocalTriton, artifact: Artifact, name: str) -> None:
    """Refuse a text model that asks another graph than the one whose answers are compared.

    Raises:
        ArtifactError: names both digests.
    """
    served = server.config(name)["parameters"]["graph_sha256"]["string_value"]
    if served != artifact.graph_sha256:
        message = (
            f"{name!r} is published with another graph (sha256 {served[:12]}) than {artifact.graph} "
            f"({artifact.graph_sha256[:12]}); publish it with `harness export --model {artifact.model}`"
        )
        raise ArtifactError(message)


def _burst_size(config: Mapping[str, Any], asked: int | None) -> tuple[int, int]:
    """Return how many requests to send at once, and how many the queue holds.

    Args:
        config: of the text model, as it was loaded.
        asked: what `--burst` said.

    Raises:
        UsageError: the queue holds as many as were asked for.
        EndpointError: the queue has no end.
    """
    queue = int(config.get("dynamic_batching", {}).get("default_queue_policy", {}).get("max_queue_size", 0))
    if not queue:
        message = f"{config['name']!r} refuses nobody, its queue has no end; publish it again with `harness export`"
        raise EndpointError(message)
    held = queue + int(config["max_batch_size"])
    if asked is not None and asked <= held:
        message = f"a burst of {asked:,} does not fill a queue of {queue:,}; give more than {held:,} with `--burst`"
        raise UsageError(message)
    return asked or BURST * held, queue


def _traffic(
    server: LocalTriton,
    endpoint: TextEndpoint,
    asked: Sequence[Question],
    keep: frozenset[int],
    clients: int,
    progress: Progress,
) -> Traffic:
    with progress.step(f"{len(asked):,} requests of {clients} clients", len(asked), "requests") as advance:
        return closed_loop(
            endpoint.ask,
            asked,
            clients=clients,
            resident=lambda: resident_memory(server.pid),
            keep=keep,
            advance=advance,
        )


def load(artifact: Artifact, texts: Texts, repository: Path, options: Options, log: Path, progress: Progress) -> Report:
    """Return what a server of a published graph and its text model does under load.

    Args:
        artifact: the graph; the one that is published must be the same.
        texts: what is asked.
        repository: the model repository.
        options: how many requests, and of how many clients.
        log: gets the server's output.
        progress: told of requests.

    Raises:
        EndpointError: the server does not start, or loses count.
        ArtifactError: another graph is published.
        UsageError: nothing is published, or the burst is too small.
    """
    declared = declaration(artifact)
    pipeline = TextPipeline(declared, FastTokenizer(artifact.tokenizer))
    name = text_name(artifact.name)
    order = texts.order(options.requests)
    asked = [texts.questions[place] for place in order]
    keep = frozenset(np.linspace(0, len(asked) - 1, min(COMPARED, len(asked)), dtype=int).tolist())
    # The first question of all, once more after the burst.
    first = asked[0]
    with progress.step("counting subwords", len(texts.questions), "questions") as advance:
        tokens = _tokens(pipeline, texts.questions, set(order.tolist()), advance)[order]
    with LocalTriton(repository, [artifact.name, name], profile="online", log=log) as server:
        _check_served(server, artifact, name)
        size, queue = _burst_size(server.config(name), options.burst)
        address = server.uri.partition("://")[2]
        with open_client(address) as connection, TextEndpoint(address, name, declared.form, timeout=ANSWER) as endpoint:
            before = [read_counts(connection, each) for each in (name, artifact.name)]
            traffic = _traffic(server, endpoint, asked, keep, options.clients, progress)
            if not traffic.latencies:
                message = f"none of {len(asked):,} requests was answered: {traffic.errors.most_common(1)[0][0]}"
                raise EndpointError(message)
            counted = count_until(connection, name, before[0], traffic.finished)
            graph = read_counts(connection, artifact.name) - before[1]
            burst = send_burst(
                connection,
                name,
                [tensors(question, declared.form.fields) for question in islice(cycle(asked), size)],
                queue,
            )
            afterwards = _single(endpoint, first)
            processes = 1 + len(psutil.Process(server.pid).children(recursive=True))
    places = sorted(traffic.answers)
    with OnnxEndpoint.of(artifact) as here:
        expected = pipeline.ask([first, *(asked[place] for place in places)], here, BatchPlanner())
    excused = artifact.batch_dependent
    burst.works_afterwards = afterwards is not None and (excused or difference(afterwards, expected[0]) <= TOLERANCE)
    return Report(
        name=name,
        clients=options.clients,
        texts=texts,
        tokens=tokens,
        traffic=traffic,
        agreement=Agreement.of([traffic.answers[place] for place in places], expected[1:], excused=excused),
        text=counted,
        graph=graph,
        burst=burst,
        ceiling=options.memory_ceiling,
        processes=processes,
    )


def _single(endpoint: TextEndpoint, question: Question) -> Answer | None:
    """Return the answer to one question; None where there is none, which the report tells."""
    try:
        return endpoint.ask(question)
    except EndpointError:
        return None


def _tokens(
    pipeline: TextPipeline, questions: Sequence[Question], sent: set[int], advance: Advance
) -> NDArray[np.int64]:
    """Return the subwords of each question that is sent, those of all its rows together; 0 for the others."""
    found = np.zeros(len(questions), dtype=np.int64)
    for place, question in enumerate(questions):
        if place in sent:
            (prepared,) = pipeline.prepare([question])
            found[place] = sum(len(feature.input_ids) for feature in prepared.features)
        advance(1)
    return found


def measure(options: Options, workspace: Workspace, progress: Progress) -> Report:
    """Return what the text endpoint of a published model does under load.

    Raises:
        HarnessError: a name, a file, a graph or the server is not as it must be.
    """
    artifact = workspace.artifacts.find(options.model, options.finetune, options.variant)
    recipe = artifact.manifest["checkpoint"]["account"].get("recipe", {})
    layout = workspace.layout(options.data, recipe.get("data"))
    texts = read_texts(options.finetune, declaration(artifact).form, layout, progress)
    return load(artifact, texts, workspace.model_repository, options, workspace.runs / "load.triton.log", progress)


def document(report: Report) -> dict[str, Any]:
    """Return what the file holds: the figures, and what a reader needs to place them."""
    return {key: value for key, value in runner.document([]).items() if key != "rows"} | report.to_json()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write the figures where `--json` says; exit with 1 where a promise was broken."""
    options = parse(arguments)
    report = measure(options, Workspace.current(), Terminal())
    print("\n\n".join(table.text() for table in report.tables()))
    print(
        f"\n{runner.machine_line()}\nclients and server share the cores; latency is the client's, its thread included"
    )
    if options.json is not None:
        write_json(options.json, document(report))
        print(f"figures written to {options.json}")
    failures = report.failures()
    for failure in failures:
        print(f"benchmarks: {failure}", file=sys.stderr)
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(runner.guarded(main))
