"""The commands, through the command line's own parser."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.acquire import client
from harness.cli import app
from harness.core.errors import DataError, UsageError

QUESTIONS = [
    {"id": str(number), "context": "in Bonn", "question": "where?", "answers": {"text": ["Bonn"], "answer_start": [3]}}
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
