"""Whether a server really answers: the health check of containers, as light as a check every few seconds must be.

::

    python3 -m harness.serving.container.probe [--port 8000] [--timeout 10]

Triton reports a model ready while the process behind it is dead, so each model is sent its known
question. A model that is only busy must neither be restarted nor taken out of rotation, since the others
would get its requests: a full queue counts as an answer, and so does a question that is not answered
in time, since Triton reports a dead process at once. The exit status is 0 if all live, else 1 after one sentence
on stderr.
"""

import argparse
import http.client
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from harness.core.errors import EndpointError, HarnessError
from harness.serving.container.launch import models, repository
from harness.serving.repository.known_answer import FILE, is_busy, read_known_answer


def _request(port: int, path: str, body: Mapping[str, Any] | None, seconds: float) -> Any:
    """Return the reply of the server on this machine; None if it is too busy for a known question.

    Raises:
        EndpointError: it answers with an error or not at all, or is late with anything but a known question.
    """
    if seconds <= 0:
        message = f"no time is left for {path}; give a longer --timeout"
        raise EndpointError(message)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        value = json.loads(response.read())
    except TimeoutError as error:
        if body is not None:
            return None
        message = f"Triton on port {port} gives no answer to {path} in {seconds:.0f} s"
        raise EndpointError(message) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        message = f"Triton on port {port} gives no answer to {path} ({error!r})"
        raise EndpointError(message) from error
    finally:
        connection.close()
    if response.status != 200:
        reason = str(value.get("error", value))
        if is_busy(reason):
            return None
        message = f"Triton on port {port} refuses {path}: {reason}"
        raise EndpointError(message)
    return value


def probe(variables: Mapping[str, str], port: int, timeout: float) -> list[str]:
    """Return the models that answered; those that are only busy count as well.

    The values do not matter here: those of a dynamic int8 graph depend on the other rows of the batch.

    Args:
        variables: the environment, which names the repository and the models.
        port: the server's HTTP port on this machine.
        timeout: seconds for all models together.

    Raises:
        EndpointError: a model fails, has no version or answers incompletely, or the server itself takes too long.
        UsageError: the repository lacks a model.
    """
    deadline, names = time.monotonic() + timeout, models(variables)
    for position, name in enumerate(names):
        path = f"/v2/models/{quote(name, safe='')}"
        # A busy model may not use up the time of those after it: one of them may be dead.
        end = time.monotonic() + (deadline - time.monotonic()) / (len(names) - position)
        served = [int(version) for version in _request(port, path, None, end - time.monotonic())["versions"]]
        if not served:
            message = f"Triton on port {port} serves no version of {name!r}"
            raise EndpointError(message)
        for rest, version in zip(range(len(served), 0, -1), served, strict=True):
            answer = read_known_answer(repository(variables) / name / str(version) / FILE)
            seconds = (end - time.monotonic()) / rest
            reply = _request(port, f"{path}/versions/{version}/infer", answer.request(), seconds)
            outputs = {} if reply is None else {each["name"]: each["data"] for each in reply["outputs"]}
            if reply is not None and (wrong := answer.gap(outputs)):
                message = f"model {name!r} version {version} gives an incomplete answer: {wrong}"
                raise EndpointError(message)
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Check every model, and return the exit status."""
    parser = argparse.ArgumentParser(prog="probe", description="Send every served model its known question.")
    parser.add_argument("--port", type=int, default=8000, help="the HTTP port on this machine")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for all models together")
    given = parser.parse_args(arguments)
    try:
        probe(os.environ, given.port, given.timeout)
    except HarnessError as error:
        print(f"probe: {error}", file=sys.stderr)  # noqa: T201 - what a container's events show
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
