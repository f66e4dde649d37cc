"""What a unit leaves: its scores example by example, its costs, and what it was made with; under 100 kB of JSON.

Statistics of each example (the metric's columns) are kept as unique values and their numbers, compressed, so that the
intervals of docs/answer.md can be computed from the records alone.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.answer.declaration import units
from harness.artifacts.run import read_run
from harness.artifacts.workspace import Workspace
from harness.comparison.alignment import align
from harness.comparison.runs import FinishedRun
from harness.core.errors import DataError
from harness.core.examples import ids_sha256
from harness.core.files import write_text
from harness.core.progress import Silent

LARGEST = 100_000


class PackedArray(msgspec.Struct, frozen=True, kw_only=True):
    """An array of few different values."""

    shape: list[int]
    values: list[float]
    #: Numbers into `values`, column by column: one or two bytes each, zlib, base 85.
    codes: str

    @staticmethod
    def of(array: NDArray[Any]) -> "PackedArray":
        """Return the packed form of an array of at most 65,536 different values."""
        # A column has values of one kind, which compress together.
        values, codes = np.unique(array.T, return_inverse=True)
        if len(values) > np.iinfo(np.uint16).max + 1:
            message = f"{len(values):,} different values are too many for a record, 65,536 are the most"
            raise DataError(message)
        small = codes.astype(np.uint8 if len(values) <= np.iinfo(np.uint8).max + 1 else np.uint16)
        packed = zlib.compress(small.astype(small.dtype.newbyteorder("<")).tobytes(), 9)
        return PackedArray(
            shape=list(array.shape), values=[float(value) for value in values], codes=base64.b85encode(packed).decode()
        )

    def array(self) -> NDArray[np.float64]:
        """Return the array, exactly."""
        width = np.uint8 if len(self.values) <= np.iinfo(np.uint8).max + 1 else np.dtype("<u2")
        codes = np.frombuffer(zlib.decompress(base64.b85decode(self.codes)), dtype=width)
        found: NDArray[np.float64] = np.array(self.values, dtype=np.float64)[codes].reshape(self.shape[::-1]).T
        return found


class CellFile(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one language, as a file holds it, without its arrays."""

    language: str
    split: str
    examples: int
    #: SHA-256 of the examples' ids, one a line.
    ids_sha256: str
    #: Each metric, in percent.
    scores: dict[str, float]
    #: What answering without looking at the text scores, in percent; None where it is not known.
    chance: float | None = None


class TaskFile(msgspec.Struct, frozen=True, kw_only=True):
    """One task: the examples of its languages one after another, so that their values are kept once."""

    task: str
    cells: list[CellFile]
    counts: PackedArray
    #: Differences of neighbouring labels.
    clusters: PackedArray


class PhaseCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a phase computed."""

    steps: int
    learning_rate: float
    precision: str
    #: Computed over useful subwords.
    padding: float
    #: The mean loss of the last tenth of the steps.
    loss: float


class UnitFile(msgspec.Struct, frozen=True, kw_only=True):
    """A record, as a file holds it."""

    arm: str
    seed: int
    #: SHA-256 of everything that was declared.
    declaration: str
    created: str
    training: dict[str, PhaseCost]
    #: Task of phase 2 and language -> rows and subwords that were drawn from.
    rows: dict[str, dict[str, int]]
    #: Subwords that were evaluated.
    evaluated: int
    #: Step of the unit -> seconds.
    seconds: dict[str, float]
    machine: str
    versions: dict[str, str]
    commit: str
    #: Task -> how it was scored.
    protocols: dict[str, str]
    #: SHA-256 of the account of the training rows.
    rows_sha256: str
    warnings: list[str]
    tasks: list[TaskFile]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellRecord:
    """One task in one language, answered by one unit."""

    task: str
    language: str
    split: str
    ids_sha256: str
    #: The metric's statistics (examples, columns).
    counts: NDArray[np.float64]
    #: (examples,): equal labels belong together, also across the languages of the task.
    clusters: NDArray[np.int64]
    scores: Mapping[str, float]
    chance: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitRecord:
    """One unit: everything but the cells as the file has it, and the cells as arrays."""

    file: UnitFile
    cells: tuple[CellRecord, ...]

    @property
    def name(self) -> str:
        """Return the unit as files and messages name it: ``mixed_all-2``."""
        return f"{self.file.arm}-{self.file.seed}"


def cells_of(run: Path, workspace: Workspace) -> list[CellRecord]:
    """Return the answers of a finished run, example by example.

    Args:
        run: the run's folder.
        workspace: where its graphs are.
    """
    record = read_run(run)
    aligned = align([FinishedRun(run, record)], workspace, Silent())
    found = []
    for cell in aligned.cells:
        examples = cell.read()
        row = record.tasks[cell.task].rows[cell.language]
        found.append(
            CellRecord(
                task=cell.task,
                language=cell.language,
                split=row.split,
                ids_sha256=ids_sha256([examples[place].id for place in cell.file_places]),
                counts=cell.counts[0],
                clusters=cell.clusters,
                scores=row.scores,
                chance=record.plausibility[cell.task][cell.language].chance,
            )
        )
    return found


def packed(cells: Sequence[CellRecord]) -> list[TaskFile]:
    """Return cells as a file holds them."""
    found = []
    for task in dict.fromkeys(cell.task for cell in cells):
        own = [cell for cell in cells if cell.task == task]
        found.append(
            TaskFile(
                task=task,
                cells=[
                    CellFile(
                        language=cell.language,
                        split=cell.split,
                        examples=len(cell.clusters),
                        ids_sha256=cell.ids_sha256,
                        scores=dict(cell.scores),
                        chance=cell.chance,
                    )
                    for cell in own
                ],
                counts=PackedArray.of(np.concatenate([cell.counts for cell in own])),
                # Labels grow by 0 or 1 where a file has its clusters one after another.
                clusters=PackedArray.of(np.diff(np.concatenate([cell.clusters for cell in own]), prepend=0)),
            )
        )
    return found


def unpacked(file: TaskFile) -> list[CellRecord]:
    """Return the cells of a task.

    Raises:
        ValueError: its arrays do not have as many examples as its cells.
    """
    ends = np.cumsum([cell.examples for cell in file.cells])
    counts, clusters = file.counts.array(), file.clusters.array().astype(np.int64).cumsum()
    if not len(counts) == len(clusters) == ends[-1]:
        message = f"{file.task} has statistics of {len(counts)} examples and cells of {ends[-1]}"
        raise ValueError(message)
    return [
        CellRecord(
            task=file.task,
            language=cell.language,
            split=cell.split,
            ids_sha256=cell.ids_sha256,
            counts=counts[end - cell.examples : end],
            clusters=clusters[end - cell.examples : end],
            scores=cell.scores,
            chance=cell.chance,
        )
        for cell, end in zip(file.cells, ends, strict=True)
    ]


def write_record(folder: Path, record: UnitFile) -> Path:
    """Write a record, whole or not at all, and return its path.

    Raises:
        DataError: it is above 100 kB.
    """
    text = msgspec.json.encode(record).decode() + "\n"
    if len(text) > LARGEST:
        message = f"the record of {record.arm}-{record.seed} has {len(text):,} bytes, {LARGEST:,} are the most"
        raise DataError(message)
    path = folder / f"{record.arm}-{record.seed}.json"
    write_text(path, text)
    return path


def read_record(path: Path) -> UnitRecord:
    """Return one record.

    Raises:
        DataError: it is damaged.
    """
    try:
        file = msgspec.json.decode(path.read_bytes(), type=UnitFile)
        cells = tuple(cell for task in file.tasks for cell in unpacked(task))
    except (msgspec.MsgspecError, ValueError, IndexError, zlib.error) as error:
        message = (
            f"{path} is no record of a unit ({error}); delete it, and run the unit again: `harness bench answer run`"
        )
        raise DataError(message) from error
    return UnitRecord(file=file, cells=cells)


def read_records(folder: Path, declaration: str) -> list[UnitRecord]:
    """Return all records of a folder, by arm and seed.

    Args:
        folder: of the records; it need not exist.
        declaration: the SHA-256 that each must have.

    Raises:
        DataError: one is damaged, was made under another declaration, or has answers to other examples.
    """
    found = [(path, read_record(path)) for path in sorted(folder.glob("*.json"))]
    for path, record in found:
        if record.file.declaration != declaration:
            message = (
                f"{path} was made under declaration {record.file.declaration[:12]}, this is {declaration[:12]}; "
                "move it away, results of two declarations are not mixed"
            )
            raise DataError(message)
        if path.stem != record.name or (record.file.arm, record.file.seed) not in units():
            message = (
                f"{path} is the record of {record.name}, which is no declared unit of that name; a copy counts as a "
                "seed of its own: delete it"
            )
            raise DataError(message)
        _check_alike(found[0], (path, record))
    return [record for _, record in found]


def _check_alike(first: tuple[Path, UnitRecord], other: tuple[Path, UnitRecord]) -> None:
    sides = [
        {(cell.task, cell.language): (cell.ids_sha256, cell.clusters.tobytes()) for cell in record.cells}
        for _, record in (first, other)
    ]
    if sides[0] != sides[1]:
        wrong = sorted(key for key in sides[0].keys() | sides[1].keys() if sides[0].get(key) != sides[1].get(key))
        message = (
            f"{first[0]} and {other[0]} answered different examples of {' '.join(wrong[0])}; evaluate both on the same "
            "data folder with the same sample"
        )
        raise DataError(message)
