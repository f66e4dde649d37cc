"""The closed loop: clients that each wait for their answer, and the server's memory meanwhile."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import psutil

from harness.core.errors import EndpointError
from harness.core.progress import Advance
from harness.text.fields import Question
from harness.text.forms import Answer

#: Requests after which memory is looked at first: every length has been there by then, so what the server
#: takes later is no longer what its allocators keep for the largest batches.
SETTLED = 2_000
#: So often memory is looked at afterwards.
LOOKS = 20


@dataclass(slots=True)
class Traffic:
    """What came of requests that clients sent, each after the answer to its last one."""

    #: Of every request that was answered, in seconds.
    latencies: list[float] = field(default_factory=list)
    #: How often a request failed, by reason.
    errors: Counter[str] = field(default_factory=Counter)
    #: Bytes that the server had resident after so many requests.
    memory: list[tuple[int, int]] = field(default_factory=list)
    #: The answers that were to be kept, by the request's index.
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
    return sorted({int(count) for count in np.linspace(first, requests, LOOKS + 1)})


def closed_loop(
    answer: Callable[[Question], Answer],
    questions: Sequence[Question],
    *,
    clients: int,
    resident: Callable[[], int],
    keep: frozenset[int] = frozenset(),
    advance: Advance = lambda _: None,
) -> Traffic:
    """Return what came of the questions, each of them sent once.

    Args:
        answer: gives one answer; called by all clients at once.
        questions: what is sent, in this order.
        clients: threads, each with one request at a time.
        resident: returns the server's memory, in bytes.
        keep: indices into `questions` whose answers are kept.
        advance: called for each request that is done.
    """
    traffic = Traffic()
    indices = iter(range(len(questions)))
    due = looks(len(questions))
    lock = threading.Lock()
    stopped = threading.Event()

    def finish(index: int, outcome: Answer | EndpointError, seconds: float) -> None:
        if isinstance(outcome, EndpointError):
            traffic.errors[str(outcome)] += 1
        else:
            traffic.latencies.append(seconds)
            if index in keep:
                traffic.answers[index] = outcome
        # The last look is after the last answer, when nothing is in flight.
        if traffic.finished in due[:-1]:
            traffic.memory.append((traffic.finished, resident()))
        advance(1)

    def serve_one_client() -> None:
        outcome: Answer | EndpointError
        while not stopped.is_set():
            with lock:
                index = next(indices, None)
            if index is None:
                return
            begin = time.perf_counter()
            try:
                outcome = answer(questions[index])
            except EndpointError as error:
                outcome = error
            seconds = time.perf_counter() - begin
            with lock:
                finish(index, outcome, seconds)

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
