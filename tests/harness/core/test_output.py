"""Text of any script on a stream of any encoding."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifacts.store import Artifact
from harness.benchmark import finetunes
from harness.core.output import accept_all_letters, escaped

TELUGU = "ఉపాధ్యాయుడు కిటికీ తెరిచాడు"


@pytest.mark.parametrize(
    ("text", "right"), [("త", "\\u0c24"), ("é", "\\u00e9"), ("😀", "\\ud83d\\ude00"), ("\udc80", "\\udc80"), ("", "")]
)
def test_letters_become_what_json_reads(text: str, right: str) -> None:
    assert escaped(text) == right
    assert json.loads(f'"{escaped(text)}"') == text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1251", "utf-8", "utf-16"])
def test_stream_of_any_encoding_takes_any_text(encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    accept_all_letters(stream)
    value = {"text": f"é {TELUGU} 😀 Игра"}
    for _ in range(2):
        stream.write(json.dumps(value, ensure_ascii=False) + "\n")
    stream.flush()
    lines = raw.getvalue().decode(encoding).splitlines()
    assert [json.loads(line) for line in lines] == [value, value]
    said = capsys.readouterr().err
    assert said.count("harness: standard output is ") == (0 if encoding.startswith("utf") else 1)


def test_stream_without_an_encoding_stays_as_it_is() -> None:
    accept_all_letters(io.StringIO())


@pytest.fixture
def home(tmp_path: Path, graph_of: Callable[..., Artifact], tiny_graph: Callable[..., bytes]) -> Path:
    for name in ("udpos", "squad"):
        graph_of(name, hidden=8, graph=tiny_graph(finetunes.load(name).head.signature(8)))
    return tmp_path


def harness(home: Path, *arguments: str, encoding: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "HARNESS_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments], env=environment, capture_output=True, timeout=120
    )


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8"])
def test_faults_edges_predict_in_telugu_answers_in_any_encoding(home: Path, encoding: str) -> None:
    """faults.md, edges: it was a traceback."""
    ended = harness(home, "predict", "--model", "tiny", "--task", "udpos", TELUGU, encoding=encoding)
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr
    words = TELUGU.split()
    shown = words if encoding == "utf-8" else [escaped(word) for word in words]
    assert [line.split()[0] for line in ended.stdout.decode(encoding).splitlines()] == shown
    assert (b"standard output is " in ended.stderr) == (encoding != "utf-8")
    ended = harness(home, "predict", "--model", "tiny", "--task", "udpos", "--json", TELUGU, encoding=encoding)
    assert json.loads(ended.stdout.decode(encoding))["words"] == words


def test_faults_edges_an_error_in_telugu_is_one_sentence(home: Path) -> None:
    ended = harness(home, "predict", "--model", TELUGU, "--task", "xquad", "a", "b", encoding="latin-1")
    assert ended.returncode == 2
    assert ended.stderr.count(b"\n") == 1
    assert b"no exported model" in ended.stderr
