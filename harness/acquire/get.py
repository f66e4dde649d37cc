"""`harness data get`: from rows to files, each written aside, read back, counted, and then moved to its folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from harness.acquire.catalogue import Dataset
from harness.acquire.manifest import FileRecord, load, record, relative
from harness.acquire.supply import Supplier, Supply
from harness.benchmark import tasks
from harness.core.errors import DataError, UsageError
from harness.core.files import file_sha256
from harness.core.layout import Layout, Split
from harness.core.origins import Written
from harness.core.progress import Advance, Progress

#: The name under which candidates are listed that belong to no language.
POOL = "candidates"

State = Literal["written", "kept", "refused", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the files of one language and split."""

    #: The dataset's label.
    dataset: str
    split: Split
    #: A code, or `POOL`.
    language: str
    state: State
    examples: int = 0
    #: Why nothing was written; otherwise why it is not official, if so.
    reason: str = ""
    #: What to know about what was written.
    remarks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """The files of one language and split, or the candidates of all languages."""

    dataset: Dataset
    split: Split
    language: str

    def files(self, layout: Layout) -> tuple[Path, ...]:
        """Return the files that are written."""
        if self.language == POOL and self.dataset.pool:
            return self.dataset.pool.source.paths(layout, self.split)
        return self.dataset.files(layout, self.language, self.split)

    def needed(self, layout: Layout) -> tuple[Path, ...]:
        """Return the files that reading opens."""
        if self.language == POOL:
            return self.files(layout)
        return self.dataset.source.paths(layout, self.language, self.split)

    def count(self, layout: Layout) -> int:
        """Return how many examples the reader finds.

        Raises:
            DataError: a file is missing or malformed, or its labels were stripped.
        """
        if self.language == POOL and self.dataset.pool:
            return sum(1 for _ in self.dataset.pool.source.read(layout, self.split))
        return self.dataset.count(layout, self.language, self.split)

    def expected(self) -> int | None:
        """Return how many there are in the official files, if that is known."""
        if self.language == POOL and self.dataset.pool:
            return self.dataset.pool.official
        return self.dataset.expected(self.language, self.split)

    def outcome(self, state: State, examples: int = 0, reason: str = "") -> Outcome:
        """Return what became of it."""
        return Outcome(
            dataset=self.dataset.label,
            split=self.split,
            language=self.language,
            state=state,
            examples=examples,
            reason=reason,
        )


def units(dataset: Dataset) -> list[Unit]:
    """Return what is written, and checked, one by one."""
    found = [Unit(dataset, split, code) for split in dataset.splits for code in dataset.languages_of(split)]
    # A pool that is made of the languages' own files needs nothing more.
    if dataset.pool and dataset.hub and dataset.hub.pool:
        found.append(Unit(dataset, dataset.splits[-1], POOL))
    return found


def destination(path: Path) -> Path:
    """Return DEST, made if needed: the folder itself, or the one above where `xtreme/` is named.

    Raises:
        UsageError: it is no folder, or a folder of task folders, whose meaning files would change.
    """
    dest = path.resolve()
    dest = dest.parent if dest.name == "xtreme" else dest
    try:
        dest.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{dest} cannot be made a folder ({error.strerror}); name another one with `--data`"
        raise UsageError(message) from error
    names = tasks.names()
    found = sorted(entry.name for entry in dest.iterdir() if entry.name in names)
    if found and not (dest / "xtreme").is_dir():
        message = (
            f"{dest} holds task folders itself ({', '.join(found)}); rename it to xtreme, or name the folder above "
            f"an `xtreme/` with `--data`"
        )
        raise UsageError(message)
    return dest


def get(datasets: Sequence[Dataset], dest: Path, supplier: Supplier, progress: Progress) -> list[Outcome]:
    """Write the files of the datasets that are not there, and return what became of each.

    Raises:
        DataError: the hub or its cache failed; what was written until then stays.
    """
    outcomes: list[Outcome] = []
    for dataset in datasets:
        wanted = units(dataset)
        with (
            TemporaryDirectory(prefix=".acquire-", dir=dest) as staging,
            progress.step(dataset.label, len(wanted), "languages") as advance,
        ):
            outcomes += _Writer(dest, Path(staging), supplier, advance).write(wanted)
    return outcomes


@dataclass(frozen=True, slots=True)
class _Staged:
    """Files that were converted and wait to be read back."""

    unit: Unit
    supply: Supply
    written: Written


class _Writer:
    """Writes the files of one dataset below a staging folder, and moves those that are whole."""

    def __init__(self, dest: Path, staging: Path, supplier: Supplier, advance: Advance) -> None:
        self._dest = dest
        self._staging = staging
        self._supplier = supplier
        self._advance = advance
        self._target = Layout(dest / "xtreme", dest)
        self._stage = Layout(staging / "xtreme", staging)
        self._records = load(dest)

    def write(self, wanted: Iterable[Unit]) -> list[Outcome]:
        """Return what became of each unit, in order."""
        done: dict[Unit, Outcome] = {}
        waiting: list[_Staged] = []
        order = list(wanted)
        for unit in order:
            kept = self._kept(unit)
            staged = kept or self._convert(unit)
            if isinstance(staged, Outcome):
                done[unit] = staged
                self._advance(1)
            else:
                waiting.append(staged)
            waiting = self._publish(waiting, done)
        self._publish(waiting, done, last=True)
        return [done[unit] for unit in order]

    def _kept(self, unit: Unit) -> Outcome | None:
        """Return what is there already and whole, or cannot be replaced; None if there is work to do."""
        paths = unit.files(self._target)
        present = [path for path in paths if path.exists()]
        if not present:
            return None
        records = [self._records.get(name) for name in relative(self._dest, present)]
        if all(records):
            return self._kept_record(unit, paths, present, [entry for entry in records if entry])
        # Not written here: a user's own files are read, and never replaced.
        listed = ", ".join(str(path) for path in present)
        try:
            count = unit.count(self._target)
        except DataError as error:
            return unit.outcome("refused", reason=f"{error}; remove {listed} to have it written")
        expected = unit.expected()
        if expected is not None and expected != count:
            reason = f"{listed} has {count:,} examples where {expected:,} are official; remove it to have it written"
            return unit.outcome("refused", reason=reason)
        return unit.outcome("kept", count)

    def _kept_record(
        self, unit: Unit, paths: Sequence[Path], present: Sequence[Path], records: Sequence[FileRecord]
    ) -> Outcome | None:
        for path, entry in zip(present, records, strict=True):
            if not entry.fits(path):
                return unit.outcome("refused", reason=f"{path} was changed after it was written; remove it")
        origin = records[0].origin
        replaced = unit.language != POOL and self._supplier.differs(unit.dataset, unit.language, unit.split, origin)
        if len(present) < len(paths) or replaced:
            return None
        own = records[0].reader == unit.dataset.label
        return unit.outcome("kept", records[0].examples if own else unit.count(self._target), records[0].unofficial)

    def _convert(self, unit: Unit) -> "_Staged | Outcome":
        if unit.language == POOL:
            supply = self._supplier.pool(unit.dataset, unit.split)
        else:
            supply = self._supplier.find(unit.dataset, unit.language, unit.split)
        if supply is None:
            return unit.outcome("absent", reason=self._supplier.explain(unit.dataset, unit.split))
        paths = unit.files(self._stage)
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            written = supply.convert.write(supply.rows, paths)
        except DataError as error:
            return self._refused(unit, error)
        return _Staged(unit, supply, written)

    def _refused(self, unit: Unit, error: DataError) -> Outcome:
        for path in unit.files(self._stage):
            path.unlink(missing_ok=True)
        return unit.outcome("refused", reason=str(error).replace(str(self._staging), str(self._dest)))

    def _missing(self, unit: Unit) -> list[Path]:
        """Return the files that reading opens and that are neither staged nor in the data folder.

        Files of the data folder are linked, so that they are read beside the staged ones.
        """
        missing = []
        for path in unit.needed(self._stage):
            placed = self._dest / path.relative_to(self._staging)
            if not path.exists() and placed.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(placed)
            if not path.exists():
                missing.append(path)
        return missing

    def _publish(self, waiting: Sequence[_Staged], done: dict[Unit, Outcome], *, last: bool = False) -> list[_Staged]:
        """Read back and move what is complete; return what is not, which at last is refused."""
        left = []
        for staged in waiting:
            missing = self._missing(staged.unit)
            if missing and not last:
                left.append(staged)
                continue
            done[staged.unit] = self._lonely(staged.unit, missing) if missing else self._move(staged)
            self._advance(1)
        return left

    def _lonely(self, unit: Unit, missing: Sequence[Path]) -> Outcome:
        names = ", ".join(str(self._dest / path.relative_to(self._staging)) for path in missing)
        return self._refused(unit, DataError(f"it cannot be read without {names}; get all of them together"))

    def _move(self, staged: _Staged) -> Outcome:
        unit, supply = staged.unit, staged.supply
        try:
            count = unit.count(self._stage)
            expected = unit.expected()
            if not supply.unofficial and expected is not None and expected != count:
                message = f"{count:,} examples where {expected:,} are official" + _after(supply.defect)
                raise DataError(message)
        except DataError as error:
            return self._refused(unit, error)
        entries = {}
        for path, placed in zip(unit.files(self._stage), unit.files(self._target), strict=True):
            name = placed.relative_to(self._dest).as_posix()
            entries[name] = FileRecord(
                sha256=file_sha256(path),
                examples=count,
                reader=unit.dataset.label,
                origin=supply.origin,
                unofficial=supply.unofficial,
                remarks=staged.written.remarks,
            )
            placed.parent.mkdir(parents=True, exist_ok=True)
            path.replace(placed)
        record(self._dest, unit.dataset.name, entries)
        self._records |= entries
        return replace(unit.outcome("written", count, supply.unofficial), remarks=staged.written.remarks)


def _after(text: str) -> str:
    return f"; {text}" if text else ""


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Return one line for each dataset, split and thing that happened, languages together."""
    groups: dict[tuple[str, Split, State, str], list[Outcome]] = {}
    for outcome in outcomes:
        # What differs by the file's name only is one reason.
        reason = outcome.reason.replace(f"-{outcome.language}.", "-*.").replace(f".{outcome.language}.", ".*.")
        groups.setdefault((outcome.dataset, outcome.split, outcome.state, reason), []).append(outcome)
    lines = []
    for (dataset, split, state, reason), members in groups.items():
        codes = " ".join(member.language for member in members)
        if state in ("refused", "absent"):
            lines.append(f"{dataset} {split}: not written [{codes}]: {reason}")
            continue
        remarks: dict[str, int] = {}
        for member in members:
            remarks |= {remark: remarks.get(remark, 0) + count for remark, count in member.remarks.items()}
        parts = [f"{'written' if state == 'written' else 'there already'} [{codes}]"]
        parts.append(f"{sum(member.examples for member in members):,} examples")
        parts += [f"{count:,} {remark}" for remark, count in remarks.items()]
        parts += [f"not official: {reason}"] if reason else []
        lines.append(f"{dataset} {split}: {', '.join(parts)}")
    return lines
