import json
from pathlib import Path

import pytest

from harness.core.errors import DataError
from harness.core.layout import DataFile, Layout, check_files


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """A folder as `unpack-data DEST` leaves it."""
    for name in ("xtreme/xnli", "intermediate", "text"):
        (tmp_path / "DEST" / name).mkdir(parents=True)
    return tmp_path / "DEST"


def test_folder_above_xtreme_is_a_whole_layout(dest: Path) -> None:
    assert Layout.at(dest) == Layout(dest / "xtreme", dest)


def test_folder_xtreme_itself_is_a_whole_layout(dest: Path) -> None:
    assert Layout.at(dest / "xtreme") == Layout(dest / "xtreme", dest)


def test_folder_of_another_name_serves_evaluation_only(tmp_path: Path) -> None:
    (tmp_path / "mine" / "xnli").mkdir(parents=True)
    assert Layout.at(tmp_path / "mine") == Layout(tmp_path / "mine", None)


@pytest.mark.parametrize("given", [".", "../xtreme", "../DEST/../xtreme"], ids=["dot", "beside", "around"])
def test_relative_path_to_xtreme_finds_the_folder_beside_it(dest: Path, monkeypatch, given: str) -> None:
    (dest / "DEST").mkdir()
    monkeypatch.chdir(dest / "xtreme")
    assert Layout.at(Path(given)).section("intermediate").resolve() == dest / "intermediate"


def test_relative_path_to_the_folder_above_works(dest: Path, monkeypatch) -> None:
    monkeypatch.chdir(dest)
    assert Layout.at(Path(".")).section("intermediate").resolve() == dest / "intermediate"


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone does not exist; .*`--data`"):
        Layout.at(tmp_path / "gone")


def test_training_data_beside_bare_task_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="intermediate/ is needed beside them"):
        Layout.at(tmp_path).section("intermediate")


def test_file_is_found_in_its_section(dest: Path) -> None:
    file = DataFile("intermediate", "mnli/{language}/{split}.jsonl")
    assert file.at(Layout.at(dest), language="en", split="dev") == dest / "intermediate/mnli/en/dev.jsonl"


def test_coverage_names_the_languages_of_each_task(dest: Path) -> None:
    (dest / "xtreme/coverage.json").write_text(json.dumps({"xnli": ["ru", "en"]}))
    assert Layout.at(dest).coverage() == {"xnli": ("ru", "en")}


def test_folder_without_coverage_is_expected_to_be_whole(dest: Path) -> None:
    assert Layout.at(dest).coverage() is None


def test_every_missing_file_is_listed(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tsv", tmp_path / "b.tsv"]
    with pytest.raises(DataError) as error:
        check_files(paths, "this evaluation")
    assert str(error.value).startswith("this evaluation needs 2 missing files")
    assert all(str(path) in str(error.value) for path in paths)


def test_one_missing_file_is_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs 1 missing file;"):
        check_files([tmp_path / "a.tsv"], "this evaluation")


def test_files_that_are_there_are_fine(dest: Path) -> None:
    (dest / "xtreme/a").write_text("a")
    check_files([dest / "xtreme/a"], "this evaluation")
