"""The commands, through the command line's own parser."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.acquire import client
from harness.cli import app
from harness.core.errors import DataError, UsageError

QUESTIONS = [
    {
        "id": str(number),
        "context": "in Bonn, Βόννη",
        "question": f"where {number}?",
        "answers": {"text": ["Bonn"], "answer_start": [3]},
    }
    for number in range(1_190)
]


@pytest.fixture
def run():
    def invoke(*arguments: str):
        result = CliRunner().invoke(app, ["data", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """XQuAD as the hub has it; says what was asked for."""
    asked: list[tuple[str, ...]] = []

    def load_rows(*key: str):
        asked.append(key)
        return QUESTIONS

    monkeypatch.setattr(client, "load_rows", load_rows)
    return asked


def test_list_prints_the_table_and_the_notes(run) -> None:
    result = run("list")
    assert result.exit_code == 0
    assert "google/xquad@51adfef" in result.output
    assert "bucc2018: google/xtreme's bucc18.* has the gold pairs only" in result.output


def test_get_then_check(run, hub, tmp_path: Path) -> None:
    got = run("get", "xquad", "--languages", "ro,el", "--data", str(tmp_path), "--quiet")
    assert (got.exit_code, got.output) == (0, "xquad test: written [el ro], 2,380 examples\n")
    assert [key[:3] for key in hub] == [
        ("google/xquad", "xquad.el", "validation"),
        ("google/xquad", "xquad.ro", "validation"),
    ]
    checked = run("check", "--data", str(tmp_path), "--tasks", "xquad", "--languages", "ro,el", "--quiet")
    assert (checked.exit_code, checked.output) == (0, "xquad test  whole: el ro\n")


def test_check_of_what_is_missing_ends_with_one_and_the_command(run, hub, tmp_path: Path) -> None:
    run("get", "xquad", "--languages", "ro", "--data", str(tmp_path), "--quiet")
    result = run("check", "--data", str(tmp_path), "--tasks", "xquad", "--languages", "ro,el", "--quiet")
    assert result.exit_code == 1
    assert result.output.endswith(f"to get what is missing: harness data get xquad --data {tmp_path}\n")


def test_refused_data_ends_with_one(run, hub, tmp_path: Path) -> None:
    result = run("get", "bucc2018", "--data", str(tmp_path), "--quiet")
    assert result.exit_code == 1
    assert "bucc2018 dev: not written [de fr ru zh]: google/xtreme's bucc18.*" in result.output


def test_other_revision_is_asked_for(run, hub, tmp_path: Path) -> None:
    run("get", "xquad", "--languages", "ro", "--data", str(tmp_path), "--revision", "c" * 40, "--quiet")
    assert hub == [("google/xquad", "xquad.ro", "validation", "c" * 40)]


def test_revision_of_local_files_is_refused(run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`--revision` is a commit of the hub"):
        run("get", "xquad", "--data", str(tmp_path), "--from", str(tmp_path), "--revision", "main")


def test_folder_may_come_from_the_environment(run, hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert run("get", "xquad", "--languages", "ro", "--quiet").exit_code == 0
    assert (tmp_path / "xtreme/xquad/xquad.ro.json").is_file()


def test_no_folder_is_refused(run, monkeypatch) -> None:
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    with pytest.raises(UsageError, match="no data folder is given"):
        run("get", "xquad")


def test_folder_that_is_not_there_cannot_be_checked(run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        run("check", "--data", str(tmp_path / "gone"))


def questions(*rows: tuple[str, str, int]) -> str:
    """A SQuAD file over one context: id, answer, start."""
    asked = [
        {"id": name, "question": f"{name}?", "answers": [{"text": text, "answer_start": start}]}
        for name, text, start in rows
    ]
    return json.dumps({"data": [{"paragraphs": [{"context": "Málaga is in España\u200b.", "qas": asked}]}]})


@pytest.fixture
def spanish(tmp_path: Path) -> Path:
    """A data folder with Spanish XQuAD, of which one start counts bytes and one answer is not there."""
    path = tmp_path / "xtreme/xquad/xquad.es.json"
    path.parent.mkdir(parents=True)
    path.write_text(questions(("a", "Málaga", 0), ("b", "España", 14), ("c", "Madrid", 0)), encoding="utf-8")
    return tmp_path


def check_spanish(run, folder: Path, *more: str):
    return run("check", "--data", str(folder), "--tasks", "xquad", "--languages", "es", "--quiet", *more)


def test_gold_in_bytes_is_counted_by_check_and_ends_with_one(run, spanish: Path) -> None:
    result = check_spanish(run, spanish)
    assert result.exit_code == 1
    said = "question 'b' has answer 'España' at answer_start 14, which counts bytes; count characters: 13"
    assert "xquad test  gold answers contradict their text: es\n              2 in all, such as " in result.output
    assert said in result.output
    assert "wrong gold" in result.output
    assert result.output.splitlines()[-1].split() == ["xquad", "test", "es", "3", "2", "3"]


def test_check_gives_every_count_of_every_file_as_json(run, spanish: Path, monkeypatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(spanish / "home"))
    result = check_spanish(run, spanish, "--json")
    found = json.loads(result.output)
    (file,) = found["files"]
    assert (result.exit_code, found["tokenizer"], file["fine"], file["state"]) == (1, None, False, "contradicting")
    assert (file["dataset"], file["split"], file["language"]) == ("xquad", "test", "es")
    assert file["files"] == ["xtreme/xquad/xquad.es.json"]
    assert file["health"] == {
        "items": 3, "blank": 0, "placeholders": 0, "duplicate_ids": 0, "duplicates": 0, "contradicting": 0,
        "gold_errors": 2, "control": 0, "zero_width": 3, "not_nfc": 0, "no_subwords": None, "share_not_nfc": 0.0,
    }  # fmt: skip


def test_check_names_whose_subwords_it_looked_for(run, tmp_path: Path, tokenizer_file: Path) -> None:
    path = tmp_path / "xtreme/udpos/test-ru.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("a\tNOUN\n\u200b\tX\n\n", encoding="utf-8")
    named = run(
        "check", "--data", str(tmp_path), "--tasks", "udpos", "--languages", "ru", "--splits", "test", "--quiet",
        "--tokenizer", str(tokenizer_file),
    )  # fmt: skip
    assert f"(subwords of {tokenizer_file})" in named.output
    assert named.output.splitlines()[-2].split("  ")[-1].strip() == "no subword"


def test_tokenizer_that_is_not_there_is_refused(run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no tokenizer 'nowhere'; `--tokenizer` takes a tokenizer\.json"):
        run("check", "--data", str(tmp_path), "--tokenizer", "nowhere")


def test_edges_one_file_of_lareqa_is_one_sentence_with_the_files_that_are_missing(run, tmp_path: Path) -> None:
    path = tmp_path / "xtreme/lareqa/xquad-r/ar.json"
    path.parent.mkdir(parents=True)
    path.write_text(questions(("a", "Málaga", 0)), encoding="utf-8")
    result = run("check", "--data", str(tmp_path), "--tasks", "lareqa", "--splits", "test", "--quiet")
    assert result.exit_code == 1
    (said,) = [line for line in result.output.splitlines() if "needs the files of all its 11 languages" in line]
    assert said.count(".json") == 10
    assert "lareqa test  cannot be read: ar" in result.output
    assert "lareqa test  missing: de el en es hi ru th tr vi zh candidates" in result.output
