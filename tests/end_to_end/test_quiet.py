"""No command reaches beyond this machine or reports about its user: each runs under strace with an empty home.

An audit hook of Python would not see it: the collector of onnxruntime has its sockets in C++.
"""

import ipaddress
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from outside_tools import need

pytestmark = [pytest.mark.slow, pytest.mark.triton]

ROOT = Path(__file__).parents[2]
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
#: Without the switch, `serve` looked the collector's host up 8.5 seconds after it had loaded the graph.
UPLOAD = 12.0
#: An address in a call of strace: `sin_addr=inet_addr("1.2.3.4")` or `inet_pton(AF_INET6, "::1", &sin6_addr)`.
ADDRESS = re.compile(r'sa_family=AF_INET6?,.*?(?:inet_addr\("|inet_pton\(AF_INET6, ")(?P<address>[^"]+)"')
CALL = re.compile(r"\b(?:connect|bind|sendto|sendmsg|sendmmsg)\(")


def beyond_loopback(trace: str) -> list[str]:
    """The calls that name an address of another machine; a name look-up is one, to port 53."""
    found = []
    for line in trace.splitlines():
        if not CALL.search(line):
            continue
        for match in ADDRESS.finditer(line):
            address = ipaddress.ip_address(match["address"])
            mapped = getattr(address, "ipv4_mapped", None) or address
            if not mapped.is_loopback:
                found.append(line)
    return found


class Traced(NamedTuple):
    """A workspace, an empty home, and where the traces go."""

    workspace: Path
    user_home: Path
    traces: Path

    def command(self, name: str, *arguments: str) -> list[str]:
        trace = ["strace", "-f", "--seccomp-bpf", "-q", "-e", "trace=network", "-o", str(self.traces / name)]
        return [*trace, *arguments]

    def variables(self, **more: str) -> dict[str, str]:
        """A user's environment: nothing of this one, since onnxruntime is quiet where it finds a variable of a CI."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(self.user_home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "HARNESS_HOME": str(self.workspace),
            "HARNESS_DATA": str(self.workspace / "data" / "small"),
            **more,
        }

    def run(self, name: str, *arguments: str, **more: str) -> str:
        """Run a command to its end; return what it printed."""
        done = subprocess.run(
            self.command(name, *arguments),
            cwd=self.workspace,
            env=self.variables(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def check(self, name: str) -> None:
        trace = (self.traces / name).read_text(encoding="utf-8", errors="replace")
        # A server has not ended yet; any other command has.
        assert "socket(" in trace or "+++ exited with 0 +++" in trace
        assert beyond_loopback(trace) == []
        assert sorted(self.user_home.rglob("*")) == []


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """A workspace with a tiny trained checkpoint and data, which `harness export` exported under strace."""
    need("strace", "strace")
    from tiny_checkpoints import save_checkpoint

    from harness.sample.writers import SampleWriter

    root = tmp_path_factory.mktemp("quiet")
    each = Traced(root / "workspace", root / "home", root / "traces")
    for folder in each:
        folder.mkdir()
    sample = SampleWriter(each.workspace / "data" / "small")
    sample.evaluation()
    sample.coverage()
    save_checkpoint(
        each.workspace / "checkpoints" / "tiny" / "target" / "mnli",
        "mnli",
        metadata={"recipe": {"name": "tiny", "export": {"variants": ["fp32"]}}},
    )
    each.run("export", *HARNESS, "export", "--model", "tiny")
    return each


class Serving(NamedTuple):
    uri: str
    #: When it was ready, by the monotonic clock.
    since: float


@pytest.fixture(scope="module")
def serving(traced: Traced) -> Iterator[Serving]:
    """A server under strace, which ends with the tests of this module."""
    with subprocess.Popen(
        traced.command("serve", *HARNESS, "serve", "--models", "tiny"),
        cwd=traced.workspace,
        env=traced.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Its own group, to which Ctrl-C is sent: strace keeps signals from itself.
        start_new_session=True,
    ) as process:
        printed = ""
        assert process.stdout is not None
        try:
            for line in process.stdout:
                printed += line
                if found := re.search(r"triton://127\.0\.0\.1:\d+", line):
                    break
            assert found, printed
            yield Serving(found[0], time.monotonic())
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)


def test_export(traced: Traced) -> None:
    traced.check("export")


def test_client_of_a_server(traced: Traced, serving: Serving) -> None:
    options = ["--model", "tiny", "--task", "xnli", "--endpoint", serving.uri]
    assert "entailment" in traced.run("client", *HARNESS, "predict", *options, "w4 w5", "w6")
    traced.check("client")


def test_predict(traced: Traced) -> None:
    answer = traced.run("predict", *HARNESS, "predict", "--model", "tiny", "--task", "xnli", "w4 w5", "w6")
    assert "entailment" in answer
    traced.check("predict")


def test_eval(traced: Traced) -> None:
    options = ["--tasks", "xnli", "--languages", "ru", "--limit", "8", "--endpoint", "onnx"]
    assert "xnli" in traced.run("eval", *HARNESS, "eval", "--model", "tiny", *options)
    traced.check("eval")


def test_import_of_openvino(traced: Traced) -> None:
    """On its own, `import openvino` sends an event and writes a client's id into the home."""
    pytest.importorskip("openvino")
    assert traced.run("openvino", sys.executable, "-c", "import harness, openvino; print(openvino.__name__)")
    traced.check("openvino")


def test_a_user_may_switch_it_on_and_this_test_would_see_it(traced: Traced, tmp_path: Path) -> None:
    """The control: what the checks above look for is there where the user's own variable asks for it."""
    loud = traced._replace(user_home=tmp_path)
    loud.run("loud", *HARNESS, "predict", "--model", "tiny", "--task", "xnli", "w4", "w6", ORT_DISABLE_TELEMETRY="0")
    assert [path.name for path in sorted(tmp_path.rglob("*")) if path.is_file()]


def test_serve(traced: Traced, serving: Serving) -> None:
    """The server, its stubs and its supervisor, for longer than the collector waits before it sends."""
    time.sleep(max(0.0, serving.since + UPLOAD - time.monotonic()))
    traced.check("serve")


@pytest.mark.parametrize(
    "line",
    [
        '1 connect(7, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.255.255.53")}, 16) = 0',
        "1 connect(7, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "2603::1", &sin6_addr), sin6_scope_id=0}, 28 <unfinished ...>',
        '1 sendto(8, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("8.8.8.8")}, 16) = 1',
        '1 bind(8, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("0.0.0.0")}, 16) = 0',
    ],
)
def test_reader_of_traces_sees_other_machines(line: str) -> None:
    assert beyond_loopback(line) == [line]


def test_reader_of_traces_lets_loopback_pass() -> None:
    lines = [
        '1 connect(7, {sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
        "1 bind(7, {sa_family=AF_INET6, sin6_port=htons(0), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0',
        '1 connect(7, {sa_family=AF_INET6, inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin6_addr)}, 28) = 0',
        '1 connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT',
    ]
    assert beyond_loopback("\n".join(lines)) == []
