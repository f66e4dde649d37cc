"""What a user gets wrong first: one sentence that names the right value, exit code 2, nothing written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.benchmark import finetunes

EVAL = ("eval", "--model", "tiny", "--endpoint", "onnx")


@pytest.fixture
def home(
    tmp_path: Path, write: Callable, graph_of: Callable, tiny_graph: Callable, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A workspace with one graph and one file of XNLI, which is the current folder."""
    graph_of("mnli", hidden=8, graph=tiny_graph(finetunes.load("mnli").head.signature(8)))
    write("xnli/test-ru.tsv", "n a\tx\tneutral\ne b\tx\tentailment\n")
    (tmp_path / "checkpoints/half/target/mnli").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--model", "half"], ["'half' has no finished checkpoint", "harness train RECIPE"]),
        (["export", "--model", "hal"], ["no trained model 'hal'", "did you mean 'half'"]),
        ([*EVAL, "--split", "validation"], ["no split 'validation', did you mean 'dev'"]),
        ([*EVAL, "--languages", "russian"], ["no language 'russian', did you mean 'ru'"]),
        ([*EVAL, "--languages", "rus"], ["did you mean 'ru'"]),
        ([*EVAL, "--tasks", "NER"], ["no task named 'NER'; the harness calls it 'panx'"]),
        ([*EVAL, "--tasks", "wikiann"], ["the harness calls it 'panx'"]),
        ([*EVAL, "--tasks", "xnly"], ["did you mean 'xnli'"]),
        ([*EVAL, "--suite", "glue"], ["no suite 'glue'", "xtreme, xtreme-r"]),
        ([*EVAL, "--tasks", "xnli", "tatoeba"], ["'tatoeba' stands alone", "`--tasks xnli,tatoeba`"]),
        ([*EVAL, "--variant", "bf16"], ["has no variant 'bf16'", "it has fp32"]),
        ([*EVAL, "--device", "cuda"], ["there is no option --device", "`--endpoint onnx:cuda`"]),
        ([*EVAL, "--batch-size", "32"], ["there is no option --batch-size", "`harness tune`"]),
        (
            [*EVAL[:3], "--endpoint", "onyx", "--tasks", "xnli", "--languages", "ru"],
            ["no endpoint 'onyx'", "`triton[s]://host:port"],
        ),
        (["eval", "--model", "tinny"], ["no exported model 'tinny'", "did you mean 'tiny'"]),
        (["rescore", "tiny"], ["'tiny' is no run", "scores.json"]),
        (["data", "get", "nosuch"], ["no task or training set 'nosuch'"]),
        (["train", "english"], ["recipe 'english' stands for", "sample/english and", "name one of them"]),
        (["train", "sample/englsh"], ["no recipe 'sample/englsh', did you mean 'sample/english'"]),
        (["train", "nosuch.toml"], ["no recipe nosuch.toml"]),
        (["score", "--predictions", "p", "--labels", "l", "--suite", "xtreme", "--output", "o"], ["folder p does not"]),
    ],
    ids=" ".join,
)
def test_mistake_is_answered_with_the_right_value(
    home: Path,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    before = sorted(home.rglob("*"))
    assert call(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert sorted(home.rglob("*")) == before


def test_workspace_without_models_says_where_it_looked(
    tmp_path: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    assert call("eval", "--model", "tiny") == 2
    assert "there is no workspace in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--tasks", "XNLI"], ["--suite", "XTREME", "--tasks", "xnli"], ["--model", "tiny,tiny", "--tasks", "xnli"]],
    ids=" ".join,
)
def test_case_and_commas_are_accepted(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert call(*EVAL, "--languages", "ru", "--data", str(home / "data"), *arguments) == 0
    assert "partial: 1/15 languages, test, 2 of 5,010 examples per language" in capsys.readouterr().out


def test_available_leaves_out_what_has_no_graph(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*EVAL, "--tasks", "all", "--available") == 0
    said = capsys.readouterr().out
    assert "not scored, the data folder has no file: " in said
    assert call(*EVAL, "--tasks", "udpos", "--available") == 2
    assert "nothing is left to evaluate for 'tiny'" in capsys.readouterr().err


def test_rescore_takes_the_name_of_a_run(home: Path, call: Callable[..., int], capsys) -> None:
    assert call(*EVAL, "--tasks", "xnli", "--languages", "ru") == 0
    (run,) = (home / "runs").iterdir()
    assert call("rescore", run.name) == 0
    assert call("rescore", "tiny") == 2
    assert f"the newest run of that model is {run.name}" in capsys.readouterr().err


def test_missing_files_of_a_submission_are_counted_by_language(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "p/xnli").mkdir(parents=True)
    (home / "l").mkdir()
    assert call("score", "--predictions", "p", "--labels", "l", "--suite", "xtreme", "--output", "o") == 2
    said = capsys.readouterr().err
    assert "predictions lack xnli: 15 of 15 languages (ar bg" in said
    assert len(said.splitlines()) == 1


def test_labels_are_written_as_score_reads_them(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("data", "labels", "--suite", "xtreme", "--output", "labels", "--tasks", "xnli") == 0
    assert (home / "labels/xnli/test-ru.tsv").read_text() == "neutral\nentailment\n"
    assert "no test file, so no labels: xnli ar bg" in capsys.readouterr().out
