"""What a user gets wrong first: one sentence that names the right value, exit code 2, nothing written."""

import json
import shutil
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
        (
            [*EVAL, "--tasks", "xnli", "tatoeba", "--languages", "ru"],
            ["`--tasks xnli tatoeba` has spaces, and a list is written with commas: `--tasks xnli,tatoeba`"],
        ),
        ([*EVAL, "--languages", "ru", "sw", "zh"], ["`--languages ru,sw,zh`"]),
        (["eval", "--model", "tiny", "half"], ["`--model tiny,half`"]),
        (["tune", "--model", "tiny", "--tasks", "xnli", "udpos"], ["`--tasks xnli,udpos`"]),
        (["data", "check", "--tasks", "xnli", "udpos"], ["`--tasks xnli,udpos`"]),
        (["export", "--model", "half", "--variant", "fp32", "int8"], ["`--variant fp32,int8`"]),
        (["tasks", "xnli", "udpos"], ["'udpos' is one argument too many; `", " tasks --help`"]),
        (
            [*EVAL, "--variant", "bf16"],
            ["has no variant 'bf16'", "it has fp32, and `harness export --model tiny --variant VARIANT` adds others"],
        ),
        (["export", "--model", "half", "--variant", "bf16"], ["'bf16'", "there is fp32, fp16, int8, int8_block"]),
        ([*EVAL, "--split", "XNLI=Validation"], ["no split 'Validation', did you mean 'dev'"]),
        ([*EVAL, "--languages", "RU"], ["no language 'RU', did you mean 'ru'"]),
        ([*EVAL, "--scripts", "cyrl"], ["no script 'cyrl', did you mean 'Cyrl'"]),
        ([*EVAL, "--suite", "XTREME-X"], ["no suite 'xtreme-x', did you mean 'xtreme-r'"]),
        (["eval", "--model", "TINY"], ["no exported model 'TINY'", "did you mean 'tiny'"]),
        (["predict", "--model", "tiny", "--task", "NER", "a"], ["the harness calls it 'panx'"]),
        (["tasks", "paws-x"], ["the harness calls it 'pawsx'"]),
        ([*EVAL, "--device", "cuda"], ["there is no option --device", "`--endpoint onnx:cuda`"]),
        ([*EVAL, "--gpu"], ["there is no option --gpu", "`--endpoint onnx:cuda`"]),
        (
            [*EVAL, "--batch-size", "32"],
            ["there is no option --batch-size", "`harness tune --model MODEL`", "`--endpoint onnx:cuda`"],
        ),
        ([*EVAL, "--task", "xnli"], ["there is no option --task", "`--tasks xnli,udpos`"]),
        (["eval", "--models", "tiny"], ["there is no option --models", "`--model NAME`"]),
        (
            [*EVAL[:3], "--endpoint", "onyx", "--tasks", "xnli", "--languages", "ru"],
            ["no endpoint 'onyx'", "`triton[s]://host:port"],
        ),
        (["eval", "--model", "tinny"], ["no exported model 'tinny'", "did you mean 'tiny'"]),
        (["rescore", "tiny"], ["'tiny' is no run", "scores.json"]),
        (["rescore", "english"], ["'english' is no run"]),
        (["verify", "tinny"], ["'tinny' is no run and no model", "did you mean 'tiny'"]),
        (["data", "get", "nosuch"], ["no task or training set 'nosuch'"]),
        (["data", "get", "wikiann"], ["no task or training set 'wikiann', the harness calls it 'panx'"]),
        (["data", "check", "--splits", "validation"], ["no split 'validation', did you mean 'dev'"]),
        (["train", "english"], ["recipe 'english' stands for", "sample/english and", "name one of them"]),
        (["train", "sample/englsh"], ["no recipe 'sample/englsh', did you mean 'sample/english'"]),
        (["train", "nosuch.toml"], ["no recipe nosuch.toml", "such as sample/english"]),
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


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["eval", "--model", "tiny"], 2),
        (["predict", "--model", "tiny", "--task", "xnli", "a", "b"], 2),
        (["tune", "--model", "tiny"], 2),
        (["export", "--model", "tiny"], 2),
        (["serve"], 2),
        (["rescore", "tiny"], 2),
        (["verify", "tiny"], 2),
        (["models"], 0),
        (["models", "promote", "tiny"], 2),
        (["models", "rollback", "tiny"], 2),
        (["sweep-layers", "--model", "tiny"], 2),
    ],
)
def test_folder_that_is_no_workspace_is_named_in_one_line(
    tmp_path: Path,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    assert call(*arguments) == status
    first, *others = capsys.readouterr().err.splitlines()
    right = f"no workspace here: {tmp_path} has no checkpoints, graphs, served models or runs; "
    assert first == f"{right}HARNESS_HOME=DIR names another folder"
    assert len(others) == (1 if status else 0)
    assert list(tmp_path.iterdir()) == []


def test_workspace_of_the_environment_is_used_without_a_word(
    home: Path, tmp_path: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    monkeypatch.setenv("HARNESS_HOME", str(home))
    assert call("models") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "tiny" in said.out


def test_server_that_answers_needs_no_workspace(
    tmp_path: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    # Nothing listens on port 1.
    answered = ("predict", "--model", "tiny", "--task", "xnli", "--endpoint", "triton://127.0.0.1:1", "a", "b")
    assert call(*answered) == 2
    assert "no workspace" not in capsys.readouterr().err


def test_recipe_without_data_names_the_command_that_gets_it(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_DATA")
    assert call("train", "xlmr/english", "--dry-run", "--quiet") == 2
    said = capsys.readouterr().err
    assert "recipe 'xlmr_english' names no data folder; give one with `--data DIR`" in said
    assert "`harness data get mnli siqa copa " in said
    named = said.partition("harness data get ")[2].partition(" --data")[0].split()
    assert call("data", "list") == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert set(named) <= listed


def test_recipe_whose_data_is_missing_names_files_and_command(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("train", "xlmr/english", "--dry-run", "--quiet", "--target", "mnli") == 2
    said = capsys.readouterr().err
    assert f"get them with `harness data get mnli --data {home / 'data'}`" in said
    assert str(home / "data/intermediate/mnli/en/train.jsonl") in said


def test_data_check_takes_the_sample_where_no_folder_is_named(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_DATA")
    assert call("data", "check", "--tasks", "xnli", "--languages", "ru", "--splits", "test", "--quiet") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"the sample data in {home / 'data/sample'}; `--data DIR` or HARNESS_DATA names another folder"
    assert lines == ["xnli test  a part of the official examples, as the folder is meant to have: ru"]


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


def test_task_without_a_graph_is_refused_or_left_out(
    home: Path, write: Callable, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write("udpos/test-ru.tsv", "word\tNOUN\n\n")
    asked = (*EVAL, "--tasks", "xnli,udpos", "--languages", "ru")
    assert call(*asked) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "model 'tiny' has no fp32 graph for udpos; make it with `harness train` and `harness export" in said.err
    assert "leave out what has none with `--available`" in said.err
    assert call(*asked, "--available") == 0
    assert "not scored, tiny has no graph: udpos" in capsys.readouterr().out


def test_available_leaves_out_what_has_no_graph_of_the_variant(
    home: Path, write: Callable, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write("udpos/test-ru.tsv", "word\tNOUN\n\n")
    fp32 = home / "artifacts/tiny/mnli/fp32"
    tags = home / "artifacts/tiny/udpos/int8"
    shutil.copytree(fp32, tags)
    manifest = json.loads((tags / "manifest.json").read_text())
    (tags / "manifest.json").write_text(json.dumps({**manifest, "finetune": "udpos", "variant": "int8"}))
    asked = (*EVAL, "--tasks", "xnli,udpos", "--languages", "ru", "--available")
    assert call(*asked) == 0
    assert "not scored, tiny has no graph: udpos" in capsys.readouterr().out


def test_available_with_nothing_left_is_refused(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*EVAL, "--tasks", "all", "--available") == 0
    assert "not scored, the data folder has no file: " in capsys.readouterr().out
    assert call(*EVAL, "--tasks", "udpos", "--available") == 2
    assert "nothing is left to evaluate for 'tiny'" in capsys.readouterr().err


@pytest.mark.parametrize("tasks", ["xnli", "all"])
def test_faults_edges_available_where_no_file_is_there_is_one_sentence(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str], tasks: str
) -> None:
    """faults.md, edges: it was an IndexError."""
    (home / "data/xtreme/xnli/test-ru.tsv").unlink()
    assert call(*EVAL, "--tasks", tasks, "--available") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "nothing is left to evaluate for 'tiny': of " in said.err


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
