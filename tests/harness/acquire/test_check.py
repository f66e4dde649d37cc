from dataclasses import replace
from pathlib import Path

import pytest

from harness.acquire.check import FINE, check, lines
from harness.acquire.get import destination, get
from harness.acquire.supply import FromHub
from harness.core.layout import Layout
from harness.core.progress import Silent


@pytest.fixture
def dest(dataset, loads, tmp_path: Path) -> Path:
    with FromHub(Silent()) as supplier:
        get([dataset()], destination(tmp_path / "dest"), supplier, Silent())
    return tmp_path / "dest"


def found(dataset, dest: Path) -> dict[tuple[str, str], tuple[str, str]]:
    findings = check([dataset], Layout.at(dest), Silent())
    return {(finding.split, finding.language): (finding.state, finding.detail) for finding in findings}


def test_what_was_written_is_whole(dataset, dest: Path) -> None:
    assert set(found(dataset(), dest).values()) == {("whole", "")}


def test_missing_file_is_missing(dataset, dest: Path) -> None:
    (dest / "xtreme/pairs/dev-ru.tsv").unlink()
    assert found(dataset(), dest)["dev", "ru"] == ("missing", "")


def test_changed_file_is_told_from_its_checksum(dataset, dest: Path) -> None:
    path = dest / "xtreme/pairs/dev-ru.tsv"
    path.write_text(path.read_text().replace("p 0", "p 9"))
    assert found(dataset(), dest)["dev", "ru"][0] == "changed"


def test_users_own_file_is_counted(dataset, dest: Path) -> None:
    (dest / "manifests/pairs.json").unlink()
    (dest / "xtreme/pairs/dev-ru.tsv").write_text("a\tb\tneutral\n")
    assert found(dataset(), dest)["dev", "ru"] == ("different", "1 of 2")
    assert found(dataset(), dest)["dev", "en"] == ("whole", "")


def test_folder_that_is_meant_to_hold_a_part_needs_no_official_number(dataset, dest: Path) -> None:
    (dest / "manifests/pairs.json").unlink()
    (dest / "xtreme/pairs/dev-ru.tsv").write_text("a\tb\tneutral\n")
    (dest / "xtreme/coverage.json").write_text('{"pairs": ["en", "ru"]}')
    assert found(dataset(), dest)["dev", "ru"] == ("part", "1 of 2")
    assert found(dataset(), dest)["dev", "en"] == ("whole", "")
    (dest / "xtreme/pairs/dev-ru.tsv").write_text("a\tb\tneutral\n" * 3)
    assert found(dataset(), dest)["dev", "ru"] == ("different", "3 of 2")
    (dest / "xtreme/pairs/dev-ru.tsv").unlink()
    assert found(dataset(), dest)["dev", "ru"] == ("missing", "")
    assert found(replace(dataset(), kind="training set"), dest)["dev", "ru"] == ("left out", "")


def test_file_that_cannot_be_read_says_why(dataset, dest: Path) -> None:
    (dest / "manifests/pairs.json").unlink()
    (dest / "xtreme/pairs/dev-ru.tsv").write_text("a\n")
    state, detail = found(dataset(), dest)["dev", "ru"]
    assert state == "unreadable"
    assert "dev-ru.tsv:1: 1 columns where 3 are expected" in detail


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbfa\tb\tneutral\n", "dev-ru.tsv starts with a byte order mark"),
        ("a\tb\tneutral\n".encode("utf-16"), "dev-ru.tsv is UTF-16"),
        (b"\x1f\x8b\x08\x00", "dev-ru.tsv is compressed with gzip"),
        (b"a\tb\tneutral\nthe c\0t\tb\tneutral\n", "dev-ru.tsv:2: a NUL character"),
        (b"a\tb\tneutral\rc\td\tneutral\n", "dev-ru.tsv:1: a carriage return stands inside the line"),
        (b"caf\xe9\tb\tneutral\n", "dev-ru.tsv:1: not UTF-8 at byte 3 of the line"),
        ("猫\t狗\tneutral\n猫\t这\tentailment\n".encode() * 10, "20 of 20 items have no letter of Russian's"),
    ],
    ids=["mark", "utf-16", "gzip", "nul", "cr", "latin-1", "language"],
)
def test_damaged_file_is_unreadable_and_says_how(dataset, dest: Path, content: bytes, said: str) -> None:
    (dest / "manifests/pairs.json").unlink()
    (dest / "xtreme/pairs/dev-ru.tsv").write_bytes(content)
    state, detail = found(dataset(), dest)["dev", "ru"]
    assert state == "unreadable"
    assert said in detail


def test_cr_lf_and_normal_form_d_are_read_and_the_form_is_counted(dataset, dest: Path) -> None:
    (dest / "manifests/pairs.json").unlink()
    (dest / "xtreme/pairs/dev-ru.tsv").write_text("é\tи\u0306\tneutral\r\ni\tb\tneutral\r\n", newline="")
    (finding,) = (
        each for each in check([dataset()], Layout.at(dest), Silent()) if (each.split, each.language) == ("dev", "ru")
    )
    assert (finding.state, finding.health and finding.health.not_nfc) == ("whole", 1)


def test_number_that_nobody_pins_is_not_judged(dataset, dest: Path) -> None:
    assert found(dataset(official={"en": 3}), dest)["test", "ru"] == ("unknown", "")


def test_file_that_is_not_official_says_so(dataset, loads, tmp_path: Path) -> None:
    with FromHub(Silent(), repository="owner/odd") as supplier:
        get([dataset()], destination(tmp_path), supplier, Silent())
    assert found(dataset(), tmp_path)["test", "en"] == ("unofficial", "another conversion")


def test_count_of_another_reader_is_not_taken_over(dataset, dest: Path) -> None:
    # A training set that leaves rows out may have written the file.
    path = dest / "manifests/pairs.json"
    path.write_text(path.read_text().replace('"examples": 2', '"examples": 1').replace('"pairs"', '"other"'))
    assert found(dataset(), dest)["dev", "en"] == ("whole", "")


def test_split_that_a_language_lacks_is_not_asked_for(dataset, hub, dest: Path) -> None:
    (dest / "xtreme/pairs/dev-ru.tsv").unlink()
    assert ("dev", "ru") not in found(dataset(hub=replace(hub, absent={"dev": ("ru",)})), dest)


def test_folder_of_task_folders_has_no_manifests(dataset, dest: Path) -> None:
    moved = dest.parent / "moved"
    (dest / "xtreme").rename(moved)
    assert set(found(dataset(), moved).values()) == {("whole", "")}


def test_lines_end_with_the_command_that_mends(dataset, dest: Path) -> None:
    (dest / "xtreme/pairs/dev-ru.tsv").unlink()
    findings = check([dataset()], Layout.at(dest), Silent())
    assert lines(findings, dest) == [
        "pairs dev   whole: en",
        "pairs dev   missing: ru",
        "pairs test  whole: en ru",
        f"to get what is missing: harness data get pairs --data {dest}",
    ]


def test_nothing_to_mend_names_no_command(dataset, dest: Path) -> None:
    findings = check([dataset()], Layout.at(dest), Silent())
    assert lines(findings, dest) == ["pairs dev   whole: en ru", "pairs test  whole: en ru"]
    assert all(finding.state in FINE for finding in findings)
