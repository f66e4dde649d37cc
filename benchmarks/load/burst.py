"""The open loop: a burst of requests that the queue cannot hold."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tritonclient.grpc as client

from benchmarks.load.counts import COUNTED
from harness.core.errors import EndpointError, UsageError
from harness.text.fields import Field, Question

#: A burst is so many times what the queue and one batch hold, since the server answers while it comes in.
BURST = 4
#: Seconds for one answer. A request waits 30 s in the queue at most, and then for the graph.
ANSWER = 120.0
#: What Triton 2.51 says, in small letters, when it refuses a request for a full queue; its status beside it.
FULL = "exceeds maximum queue size"
_UNAVAILABLE = "StatusCode.UNAVAILABLE"


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


def burst_size(config: Mapping[str, Any], wanted: int | None) -> tuple[int, int]:
    """Return how many requests to send at once, and how many the queue holds.

    Args:
        config: of the text model, as it was loaded.
        wanted: what `--burst` says.

    Raises:
        UsageError: the queue holds as many as are wanted.
        EndpointError: the queue has no end.
    """
    queue = int(config.get("dynamic_batching", {}).get("default_queue_policy", {}).get("max_queue_size", 0))
    if not queue:
        message = f"{config['name']!r} refuses nobody, its queue has no end; publish it again with `harness export`"
        raise EndpointError(message)
    held = queue + int(config["max_batch_size"])
    if wanted is not None and wanted <= held:
        message = f"a burst of {wanted:,} does not fill a queue of {queue:,}; give more than {held:,} with `--burst`"
        raise UsageError(message)
    return wanted or BURST * held, queue


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
    done.wait(ANSWER + COUNTED)
    burst.seconds = time.perf_counter() - begin
    return burst
