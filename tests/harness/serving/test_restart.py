"""A request that ends Triton 2.51 costs seconds: `harness serve` starts the server again, on the same ports."""

import http.client
import json
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifacts.store import Artifact
from harness.core.progress import Silent
from harness.serving.access import Access
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from harness.serving.server.serve import Ports, serve

GRAPH = "tiny-mnli-fp32"
#: Seconds until a test gives up.
LIMIT = 90.0


class Lines(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def post(port: int, body: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", f"/v2/models/{GRAPH}/infer", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_deeply_nested_json_costs_seconds_and_the_same_port_answers_again(
    exported: Callable[..., Artifact], probe: list[int], tmp_path: Path
) -> None:
    publish(exported(), tmp_path / "repository", Serving(threads=1), probe_ids=probe)
    question = json.dumps(
        {
            "inputs": [
                {"name": name, "datatype": "INT64", "shape": [1, 5], "data": data}
                for name, data in (("input_ids", [0, 5, 6, 7, 2]), ("attention_mask", [1] * 5))
            ]
        }
    )
    progress, seen = Lines(), []

    def attack(port: int) -> None:
        try:
            seen.append(post(port, question))
            with pytest.raises((http.client.HTTPException, OSError)):
                post(port, "[" * 120_000)
            limit = time.monotonic() + LIMIT
            while time.monotonic() < limit and not any("again: gRPC" in line for line in progress.said):
                time.sleep(0.1)
            seen.append(post(port, question))
        finally:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    lines = serve(
        tmp_path / "repository",
        [],
        ports=Ports(),
        host="127.0.0.1",
        profile="online",
        access=Access(),
        log=tmp_path / "triton.log",
        progress=progress,
    )
    first = next(lines)
    found = re.search(r"HTTP http://127\.0\.0\.1:(\d+)", first)
    assert found
    attacker = threading.Thread(target=attack, args=(int(found[1]),))
    attacker.start()
    with pytest.raises(KeyboardInterrupt):
        list(lines)
    attacker.join()
    (status, before), (_, after) = seen
    assert status == 200
    assert json.loads(after) == json.loads(before)
    ended, again = progress.said[-2:]
    assert ended.startswith("Triton stopped by itself (exit status 139)")
    assert ended.endswith("; starting it again")
    assert again.startswith("Triton serves 1 model again: gRPC triton://127.0.0.1:")
    assert (tmp_path / "triton.ended.log").is_file()
