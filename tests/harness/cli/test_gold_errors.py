"""`--allow-gold-errors`: gold that contradicts its text is refused, or counted, listed and named beside the score."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark import finetunes, tasks

EVAL = ("eval", "--model", "tiny", "--endpoint", "onnx", "--languages", "ru", "--quiet")
CONTEXT = "кит a key b"
PROBLEM = "has answer 'key' at answer_start 9, which counts bytes; count characters: 6"


def squad(*starts: int) -> dict[str, Any]:
    asked = [
        {"id": f"q{place}", "question": f"what {place}", "answers": [{"text": "key", "answer_start": start}]}
        for place, start in enumerate(starts)
    ]
    return {"context": CONTEXT, "qas": asked}


def file_of(paragraph: dict[str, Any]) -> str:
    return json.dumps({"data": [{"paragraphs": [paragraph]}]})


@pytest.fixture
def home(
    tmp_path: Path, write: Callable, graph_of: Callable, tiny_graph: Callable, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A workspace with graphs of XQuAD, LAReQA and PAWS-X; XQuAD has one right start and one in bytes."""
    for name in ("squad", "lareqa", "pawsx"):
        graph_of(name, hidden=8, graph=tiny_graph(finetunes.load(name).head.signature(8)))
    write("xquad/xquad.ru.json", file_of(squad(6, 9)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    return tmp_path


def scores(home: Path, output: str = "out") -> dict[str, Any]:
    return json.loads((home / output / "scores.json").read_text())


def test_gold_in_bytes_is_refused_without_the_flag_and_counted_with_it(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (*EVAL, "--tasks", "xquad", "--output", "out")
    assert call(*asked) == 2
    assert f"question 'q1' {PROBLEM}; or count such answers with `--allow-gold-errors`" in capsys.readouterr().err
    assert not (home / "out/scores.json").exists()
    for _ in range(2):
        # The second time the run is finished, and says the same.
        assert call(*asked, "--allow-gold-errors") == 0
        said = capsys.readouterr().out
        assert "partial: 1/12 languages, test, 2 of 1,190 examples per language, gold errors allowed: 1" in said
        assert "gold answers that contradict their text: xquad ru 1; each is under `gold_errors` in out/scores" in said
    found = scores(home)
    assert found["request"]["allow_gold_errors"] is True
    assert found["tasks"]["xquad"]["gold_errors"] == {"ru": 1}
    assert found["tasks"]["xquad"]["label"].endswith("gold errors allowed: 1")
    file = str(home / "data/xtreme/xquad/xquad.ru.json")
    assert found["gold_errors"] == [
        {"task": "xquad", "language": "ru", "file": file, "id": "q1", "problem": PROBLEM},
    ]  # fmt: skip


def test_a_run_with_the_flag_never_looks_like_one_without(
    home: Path, write: Callable, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write("xquad/xquad.ru.json", file_of(squad(6, 6)))
    asked = (*EVAL, "--tasks", "xquad")
    assert call(*asked) == 0
    assert "gold errors" not in capsys.readouterr().out
    assert call(*asked, "--allow-gold-errors") == 0
    assert "gold errors allowed: 0" in capsys.readouterr().out
    runs = {path.parent.name: json.loads(path.read_text()) for path in home.glob("runs/*/scores.json")}
    assert sorted(
        (run["gold_errors"] is None, "gold errors" in run["tasks"]["xquad"]["label"]) for run in runs.values()
    ) == [
        (False, True),
        (True, False),
    ]


def test_rescore_and_verify_keep_the_flag_of_a_run_and_rescore_can_add_it(
    home: Path, write: Callable, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (*EVAL, "--tasks", "xquad", "--output", "out")
    assert call(*asked, "--allow-gold-errors") == 0
    before = scores(home)
    assert call("rescore", "out", "--quiet") == 0
    assert scores(home)["tasks"] == before["tasks"]
    assert scores(home)["gold_errors"] == before["gold_errors"]
    # A run that was made before the labels were broken.
    write("xquad/xquad.ru.json", file_of(squad(6, 6)))
    assert call(*asked) == 0
    write("xquad/xquad.ru.json", file_of(squad(6, 9)))
    assert call("rescore", "out", "--quiet") == 2
    assert "--allow-gold-errors" in capsys.readouterr().err
    assert call("rescore", "out", "--quiet", "--allow-gold-errors") == 0
    assert scores(home)["tasks"]["xquad"]["gold_errors"] == {"ru": 1}
    assert scores(home)["request"]["allow_gold_errors"] is True


def test_gold_of_lareqa_in_bytes_is_refused_or_counted_in_its_own_language(
    home: Path, write: Callable, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for code in tasks.load("lareqa").languages["xtreme-r"]:
        row = {**squad(9 if code == "ru" else 6), "sentences": [CONTEXT], "sentence_breaks": [[0, len(CONTEXT)]]}
        write(f"lareqa/xquad-r/{code}.json", file_of(row))
    asked = (*EVAL[:-3], "--languages", "ru,th", "--quiet", "--tasks", "lareqa", "--output", "out")
    assert call(*asked) == 2
    assert f"ru.json: question 'q0' {PROBLEM}" in capsys.readouterr().err
    assert call(*asked, "--allow-gold-errors") == 0
    assert scores(home)["tasks"]["lareqa"]["gold_errors"] == {"ru": 1, "th": 0}
    assert [(row["language"], row["id"]) for row in scores(home)["gold_errors"]] == [("ru", "q0")]


def test_rows_with_a_placeholder_are_counted_beside_the_score(
    home: Path, write: Callable, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write("pawsx/test-de.tsv", "NS\tb\t0\na\tNS\t1\nNS\tNS\t1\na\tb\t0\n")
    write("pawsx/test-fr.tsv", "a\tb\t0\n")
    asked = (*EVAL[:-3], "--languages", "de,fr", "--quiet", "--tasks", "pawsx", "--output", "out")
    assert call(*asked) == 0
    assert "3 examples have a placeholder for a sentence" in capsys.readouterr().out
    found = scores(home)["tasks"]["pawsx"]
    assert (found["placeholders"], found["gold_errors"]) == ({"de": 3}, None)
    # Languages have their metrics and nothing that an older version would take for one.
    assert set(found["languages"]["de"]) == {"accuracy", "examples", "split", "official", "exposure"}


def test_score_refuses_or_counts_gold_errors_in_label_files(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for code in tasks.load("xquad").languages["xtreme"]:
        for folder, content in (("labels", file_of(squad(6, 9))), ("predictions", '{"q0": "key", "q1": "key"}')):
            path = home / folder / f"xquad/test-{code}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    asked = ("score", "--predictions", "predictions", "--labels", "labels", "--suite", "xtreme", "--output", "s.json")
    assert call(*asked) == 2
    assert f"test-en.json: question 'q1' {PROBLEM}" in capsys.readouterr().err
    assert call(*asked, "--allow-gold-errors") == 0
    assert "gold errors allowed: 11" in capsys.readouterr().out
    found = json.loads((home / "s.json").read_text())
    assert len(found["gold_errors"]) == 11
    assert found["gold_errors"][0] == {
        "task": "xquad", "language": "en", "file": "labels/xquad/test-en.json", "id": "q1", "problem": PROBLEM,
    }  # fmt: skip
    assert found["complete"] == []


def test_edges_available_with_nothing_there_is_one_sentence(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "empty/xtreme").mkdir(parents=True)
    for wanted in ("all", "xquad", "lareqa,pawsx"):
        for more in ((), ("--dry-run",)):
            asked = ("eval", "--model", "tiny", "--endpoint", "onnx", "--tasks", wanted, "--available", *more)
            assert call(*asked, "--data", "empty") == 2
            said = capsys.readouterr()
            (line,) = said.err.splitlines()
            assert "nothing is left to evaluate for 'tiny'" in line
            assert str(home / "empty/xtreme") in line
            assert said.out == ""
