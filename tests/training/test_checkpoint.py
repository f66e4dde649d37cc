"""Checkpoints are whole, and verified on every read."""

from pathlib import Path

import pytest

from harness.core.errors import CheckpointError
from training.checkpoint import is_complete, read_checkpoint, write_checkpoint

ANY = {"phase": "target", "model": "tiny"}


def save(folder: Path) -> None:
    (folder / "weights").write_bytes(b"w" * 100)


def test_written_checkpoint_reads_back(tmp_path: Path) -> None:
    written = write_checkpoint(tmp_path / "c", {**ANY}, save)
    assert read_checkpoint(tmp_path / "c").digest == written.digest


def test_failing_save_leaves_the_older_checkpoint_and_no_draft(tmp_path: Path) -> None:
    older = write_checkpoint(tmp_path / "c", {**ANY, "steps": 1}, save)

    def fail(folder: Path) -> None:
        save(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_checkpoint(tmp_path / "c", {**ANY, "steps": 2}, fail)
    assert read_checkpoint(tmp_path / "c").digest == older.digest
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_checkpoint_that_cannot_be_moved_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = write_checkpoint(tmp_path / "c", {**ANY, "steps": 1}, save)
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if target.name == "c" and not path.name.endswith("-older"):
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path / "c", {**ANY, "steps": 2}, save)
    assert read_checkpoint(tmp_path / "c").digest == older.digest
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_newer_checkpoint_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", {**ANY, "steps": 1}, save)
    newer = write_checkpoint(tmp_path / "c", {**ANY, "steps": 2}, save)
    assert read_checkpoint(tmp_path / "c").digest == newer.digest
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_changed_byte_is_refused_by_name(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", {**ANY}, save)
    (tmp_path / "c/weights").write_bytes(b"w" * 99 + b"v")
    with pytest.raises(CheckpointError, match="weights is not the file"):
        read_checkpoint(tmp_path / "c")


def test_missing_checkpoint_names_the_command(tmp_path: Path) -> None:
    assert not is_complete(tmp_path / "c")
    with pytest.raises(CheckpointError, match="harness train"):
        read_checkpoint(tmp_path / "c")
