"""Whether a server really answers: the health check of containers, as light as a check every few seconds must be.

::

    python3 -m harness.serving.probe [--port 8000] [--timeout 10]

Triton reports a model ready while the process behind it is dead, so each model is sent its known
question. The exit status is 0 if all answer, else 1 after one sentence on stderr.
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

from harness.errors import EndpointError, HarnessError
from harness.serving.container import models, repository
from harness.serving.known_answer import FILE, read_known_answer

#: Of the refusals of a full queue, in small letters ("Exceeds maximum queue size"). A server that is only
#: busy must neither be restarted nor taken out of rotation: the others would have to answer for it.
_FULL = "maximum queue size"
_DATATYPES = {str: "BYTES", int: "INT64"}


def _request(port: int, path: str, body: Mapping[str, Any] | None, deadline: float) -> Any:
    """Return what the server on this machine says; None if its queue is full.

    Raises:
        EndpointError: it does not answer in time, or with an error.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        message = f"no time is left to ask {path}; give a longer --timeout"
        raise EndpointError(message)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=left)
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        value = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        message = f"Triton on port {port} gives no answer to {path} ({error!r})"
        raise EndpointError(message) from error
    finally:
        connection.close()
    if response.status != 200:
        reason = str(value.get("error", value))
        if _FULL in reason.lower():
            return None
        message = f"Triton on port {port} refuses {path}: {reason}"
        raise EndpointError(message)
    return value


def _tensor(name: str, rows: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": _DATATYPES[type(rows[0][0])], "shape": [len(rows), len(rows[0])], "data": rows}


def probe(variables: Mapping[str, str], port: int, timeout: float) -> list[str]:
    """Return the models that answered; those whose queue is full count as well.

    Which values they answer does not matter here: a dynamic int8 graph answers by the company that a
    request has in its batch.

    Args:
        variables: the environment, which tells the repository and the models.
        port: the server's HTTP port on this machine.
        timeout: seconds for all models together.

    Raises:
        EndpointError: a model fails, serves no version, gives half an answer, or takes too long.
        UsageError: the repository lacks a model.
    """
    deadline, names = time.monotonic() + timeout, models(variables)
    for name in names:
        path = f"/v2/models/{quote(name, safe='')}"
        served = [int(version) for version in _request(port, path, None, deadline)["versions"]]
        if not served:
            message = f"Triton on port {port} serves no version of {name!r}"
            raise EndpointError(message)
        for version in served:
            answer = read_known_answer(repository(variables) / name / str(version) / FILE)
            body = {"inputs": [_tensor(key, rows) for key, rows in answer.inputs.items()]}
            reply = _request(port, f"{path}/versions/{version}/infer", body, deadline)
            outputs = {} if reply is None else {each["name"]: each["data"] for each in reply["outputs"]}
            if reply is not None and (wrong := answer.gap(outputs)):
                message = f"model {name!r} version {version} gives half an answer: {wrong}"
                raise EndpointError(message)
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask every model, and return the exit status."""
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
