"""What the server counts: requests, rows and calls by its statistics, tokens by its metrics."""

import http.client
import re
import time
from dataclasses import dataclass
from typing import Any

from harness.core.errors import EndpointError
from harness.serving.padding import PADDED, USEFUL

#: Seconds until the server has counted what it has answered.
COUNTED = 10.0


@dataclass(frozen=True, slots=True)
class RequestCounts:
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

    def __sub__(self, before: "RequestCounts") -> "RequestCounts":
        return RequestCounts(
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


def read_counts(connection: Any, name: str) -> RequestCounts:
    """Return what a server has counted of a model since it was loaded, over all versions."""
    entries = connection.get_inference_statistics(name).model_stats
    return RequestCounts(
        answered=sum(entry.inference_stats.success.count for entry in entries),
        failed=sum(entry.inference_stats.fail.count for entry in entries),
        rows=sum(entry.inference_count for entry in entries),
        executions=sum(entry.execution_count for entry in entries),
        queued=sum(entry.inference_stats.queue.ns for entry in entries),
    )


def count_until(connection: Any, name: str, before: RequestCounts, requests: int) -> RequestCounts:
    """Return what a server has counted since then; it counts a request after its answer is sent.

    Raises:
        EndpointError: it does not arrive at the number of requests that it was sent.
    """
    limit = time.monotonic() + COUNTED
    while True:
        found = read_counts(connection, name) - before
        if found.answered + found.failed == requests:
            return found
        if time.monotonic() > limit:
            message = f"{name!r} was sent {requests:,} requests and counts {found.answered + found.failed:,}"
            raise EndpointError(message)
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The tokens that a model has computed, by the server's metrics."""

    useful: int
    #: Rows times width of every batch.
    padded: int

    def __sub__(self, before: "TokenCounts") -> "TokenCounts":
        return TokenCounts(self.useful - before.useful, self.padded - before.padded)

    @property
    def padding(self) -> float:
        """Return padded by useful tokens: 1 is no padding."""
        return self.padded / max(1, self.useful)

    def to_json(self) -> dict[str, Any]:
        """Return both counts and the padding."""
        return {"useful_tokens": self.useful, "padded_tokens": self.padded, "padding": round(self.padding, 4)}


def read_tokens(address: str, port: int, name: str) -> TokenCounts:
    """Return what a model counts, over all versions.

    Args:
        address: of the server.
        port: of its metrics.
        name: the model's.

    Raises:
        EndpointError: the metrics cannot be read, or have no count of the model's tokens.
    """
    connection = http.client.HTTPConnection(address, port, timeout=COUNTED)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as error:
        message = f"the metrics on port {port} cannot be read ({error!r})"
        raise EndpointError(message) from error
    finally:
        connection.close()
    found: dict[str, int] = {}
    for metric in (USEFUL, PADDED):
        values = re.findall(rf'^{metric}{{model="{re.escape(name)}",[^}}]*}} (\S+)$', text, re.MULTILINE)
        if not values:
            message = f"the metrics on port {port} have no {metric} of {name!r}; the backend is not the project's own"
            raise EndpointError(message)
        found[metric] = sum(int(float(value)) for value in values)
    return TokenCounts(found[USEFUL], found[PADDED])
