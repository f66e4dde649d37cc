"""What a checkpoint says of its training."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors import SafetensorError

from harness.artifacts.workspace import Workspace
from harness.core.errors import CheckpointError
from harness.core.layout import Layout
from harness.core.progress import Silent
from training.checkpoint import read_checkpoint
from training.experiment import Training, add_seen
from training.recipe import Compute

ANY = {"phase": "target", "model": "tiny", "parents": {}, "seen": {}}


def test_examples_of_a_family_and_language_add_up() -> None:
    before = {"inference": {"en": 5, "ru": 1}}
    assert add_seen(before, {"inference": {"ru": 2}, "reading": {"en": 3}}) == {
        "inference": {"en": 5, "ru": 3},
        "reading": {"en": 3},
    }


def test_the_parents_account_stays_as_it_was() -> None:
    before = {"inference": {"en": 5}}
    add_seen(before, {"inference": {"en": 1}})
    assert before == {"inference": {"en": 5}}


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: No space left on device")],
    ids=["python", "safetensors"],
)
def test_checkpoint_on_a_full_disk_is_told_and_the_older_one_stays(tmp_path: Path, failure: Exception) -> None:
    recipe: Any = SimpleNamespace(name="try", compute=Compute())
    training = Training(recipe, Workspace(tmp_path), Layout(tmp_path, None), Silent())
    directory = training.directory("intermediate")
    states = training.folders("a" * 64, "").states
    older = training.keep(directory, {**ANY, "key": "b" * 64}, lambda folder: None)
    states.mkdir(parents=True)

    def save(folder: Path) -> None:
        (folder / "half").write_bytes(b"0")
        raise failure

    with pytest.raises(CheckpointError, match="No space left on device"):
        training.keep(directory, {**ANY, "key": "a" * 64}, save)
    assert read_checkpoint(directory).digest == older.digest
    assert sorted(path.name for path in directory.parent.iterdir()) == ["intermediate"]
    # What it would go on from is only dropped once the checkpoint is there.
    assert states.is_dir()
    training.keep(directory, {**ANY, "key": "a" * 64}, lambda folder: None)
    assert not states.exists()
