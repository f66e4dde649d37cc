"""`harness data check`: which files are there, whole, still what was written, and how healthy they are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from harness.acquire.catalogue import Dataset
from harness.acquire.get import POOL, Unit, units
from harness.acquire.health import Examiner, Health, Subwords
from harness.acquire.manifest import FileRecord, load, relative
from harness.benchmark.sources.rows import placeholders
from harness.core.errors import DataError
from harness.core.layout import Layout, Split
from harness.core.progress import Progress
from harness.core.tables import EMPTY, Table

State = Literal[
    "whole", "part", "unknown", "unofficial", "left out", "missing", "different", "changed", "contradicting",
    "unreadable",
]  # fmt: skip

#: States that leave nothing to do.
FINE: frozenset[State] = frozenset({"whole", "part", "unknown", "unofficial", "left out"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What there is of the files of one language and split."""

    dataset: str
    split: Split
    language: str
    state: State
    detail: str = ""
    #: The files, below the data folder where they lie in it.
    files: tuple[str, ...] = ()
    #: What the examples look like; None where they were not read.
    health: Health | None = None


def check(
    datasets: Sequence[Dataset], layout: Layout, progress: Progress, subwords: Subwords | None = None
) -> list[Finding]:
    """Return what there is of each dataset, language by language.

    A folder that says which languages it has, as the sample data does, is meant to hold a part of the official
    files: fewer examples, and training sets without a file, are right there.

    Args:
        datasets: what is looked for.
        layout: the data folder.
        progress: shows each file.
        subwords: gives the subwords of words; None counts no word without them.
    """
    dest = layout.root or layout.xtreme
    # Gold errors are counted here, so that one answer does not hide the others.
    checker = _Checker(layout.allowing(True), dest, load(dest), layout.coverage() is not None, subwords)
    wanted = [unit for dataset in datasets for unit in (*units(dataset), *_shared_candidates(dataset))]
    findings = []
    with progress.step("reading", len(wanted), "files") as advance:
        for unit in wanted:
            findings.append(checker.finding(unit))
            advance(1)
    return findings


def _shared_candidates(dataset: Dataset) -> list[Unit]:
    """Return the candidates that are made of the languages' own files (LAReQA), which nothing has to write."""
    made_of_files = dataset.pool and not (dataset.hub and dataset.hub.pool)
    return [Unit(dataset, dataset.splits[-1], POOL)] if made_of_files else []


@dataclass(frozen=True, slots=True)
class _Checker:
    layout: Layout
    dest: Path
    records: Mapping[str, FileRecord]
    is_part: bool
    subwords: Subwords | None

    def finding(self, unit: Unit) -> Finding:
        """Return what there is of one unit."""
        health: Health | None = None
        paths: tuple[Path, ...] = ()

        def found(state: State, detail: str = "") -> Finding:
            return Finding(
                dataset=unit.dataset.label,
                split=unit.split,
                language=unit.language,
                state=state,
                detail=detail,
                files=tuple(relative(self.dest, paths)),
                health=health,
            )

        try:
            paths = unit.files(self.layout)
            if not all(path.is_file() for path in paths):
                return found("left out" if self.is_part and unit.dataset.kind != "task" else "missing")
            entries = [self.records.get(name) for name in relative(self.dest, paths)]
            for path, entry in zip(paths, entries, strict=True):
                if entry and not entry.fits(path):
                    return found("changed", "not what its manifest says")
            count, health = self._read(unit, paths)
        except DataError as error:
            return found("unreadable", str(error))
        known = entries[0] if all(entries) else None
        if known and known.unofficial:
            return found("unofficial", known.unofficial)
        if health.gold_errors:
            return found("contradicting", self._gold_errors(paths))
        expected = unit.expected()
        if expected is None:
            return found("unknown")
        if count == expected:
            return found("whole")
        return found("part" if self.is_part and count < expected else "different", f"{count:,} of {expected:,}")

    def _read(self, unit: Unit, paths: Sequence[Path]) -> tuple[int, Health]:
        """Return how many examples there are, and what they look like; a pool is never in memory as a whole."""
        examiner = Examiner(placeholders=placeholders(unit.dataset.source), subwords=self.subwords)
        if unit.language == POOL and unit.dataset.pool:
            count = sum(1 for _ in examiner.watch(unit.dataset.pool.source.read(self.layout, unit.split)))
            # The answers of these files are counted where their questions are read.
            return count, examiner.health(0)
        examples = unit.dataset.source.read(self.layout, unit.language, unit.split)
        for example in examples:
            if not getattr(example, "tuning", False):
                examiner.add(example)
        errors = self.layout.gold_errors
        return unit.dataset.size_of(examples, unit.language), examiner.health(
            sum(len(errors.of(path)) for path in paths) if errors else 0
        )

    def _gold_errors(self, paths: Sequence[Path]) -> str:
        """Return how many gold answers contradict their text, and the first of them."""
        errors = (
            [error for path in paths for error in self.layout.gold_errors.of(path)] if self.layout.gold_errors else []
        )
        return f"{len(errors):,} in all, such as {errors[0].describe()}"


#: How a state is worded.
_WORDS: Mapping[State, str] = {
    "whole": "whole",
    "part": "a part of the official examples, as the folder is meant to have",
    "left out": "not part of this folder",
    "unknown": "read, official number not known",
    "unofficial": "not official",
    "missing": "missing",
    "different": "another number of examples",
    "changed": "changed",
    "contradicting": "gold answers contradict their text",
    "unreadable": "cannot be read",
}


def lines(findings: Sequence[Finding], data: Path) -> list[str]:
    """Return what to print: one line for each dataset, split and state, and the commands that mend it."""
    groups: dict[tuple[str, Split, State], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.dataset, finding.split, finding.state), []).append(finding)
    width = max(len(f"{dataset} {split}") for dataset, split, _ in groups)
    printed = []
    for (dataset, split, state), members in groups.items():
        codes = " ".join(
            f"{member.language} ({member.detail})" if state == "different" else member.language for member in members
        )
        printed.append(f"{f'{dataset} {split}':<{width}}  {_WORDS[state]}: {codes}")
        if state in ("unofficial", "unreadable", "changed", "contradicting"):
            printed += [f"{'':<{width}}    {detail}" for detail in dict.fromkeys(member.detail for member in members)]
    broken = dict.fromkeys(finding.dataset.partition(" ")[0] for finding in findings if finding.state not in FINE)
    if broken:
        printed.append(f"to get what is missing: harness data get {' '.join(broken)} --data {data}")
    return printed


#: What a column of the table counts, and its heading; columns that count nothing anywhere are left out.
COLUMNS: Mapping[str, str] = {
    "blank": "blank text",
    "placeholders": "placeholder",
    "duplicate_ids": "id twice",
    "duplicates": "duplicate",
    "contradicting": "other gold",
    "gold_errors": "wrong gold",
    "control": "control",
    "zero_width": "zero-width",
    "not_nfc": "not NFC",
    "no_subwords": "no subword",
}
#: Columns whose languages are named where the table has no row for each.
_NAMED = ("blank", "placeholders", "duplicate_ids", "gold_errors", "control", "no_subwords")
#: Files above which the table has a row for each dataset and split.
MOST_ROWS = 40


def health_lines(findings: Sequence[Finding], tokenizer: str) -> list[str]:
    """Return the table of what is odd about the examples: nothing where nothing is.

    Args:
        findings: of the files.
        tokenizer: whose subwords were looked for; empty where none was there.
    """
    odd = [finding for finding in findings if finding.health and any(_counts(finding.health).values())]
    if not odd:
        return []
    columns = [name for name in COLUMNS if any(_counts(finding.health)[name] for finding in odd if finding.health)]
    by_set = len(odd) > MOST_ROWS
    groups: dict[str, list[Health]] = {}
    for finding in odd if not by_set else findings:
        name = f"{finding.dataset} {finding.split}" + ("" if by_set else f" {finding.language}")
        if finding.health:
            groups.setdefault(name, []).append(finding.health)
    rows = [
        [name, *([f"{len(members)}"] if by_set else []), f"{sum(each.items for each in members):,}"]
        + [_cell(column, members) for column in columns]
        for name, members in groups.items()
        if any(any(_counts(each).values()) for each in members)
    ]
    titles = ["data", *(["files"] if by_set else []), "items", *(COLUMNS[name] for name in columns)]
    words = f"subwords of {tokenizer}" if tokenizer else "words without subwords not counted, no `--tokenizer`"
    lines = ["", Table(f"health: items with what a column names ({words})", titles, rows).text()]
    for column in [name for name in columns if name in _NAMED and by_set]:
        named = [
            f"{finding.dataset} {finding.split} {finding.language} {_counts(finding.health)[column]:,}"
            for finding in odd
            if finding.health and _counts(finding.health)[column]
        ]
        lines.append(f"{COLUMNS[column]}: {', '.join(named)}")
    return lines


def _counts(health: Health) -> dict[str, int]:
    return {name: getattr(health, name) or 0 for name in COLUMNS}


def _cell(column: str, members: Sequence[Health]) -> str:
    """Return a count over several files, or a share where a column has one; a dash for none."""
    count = sum(_counts(each)[column] for each in members)
    if not count:
        return EMPTY
    if column != "not_nfc":
        return f"{count:,}"
    share = 100 * count / sum(each.items for each in members)
    return f"{share:.1f} %" if share >= 0.05 else "< 0.1 %"


def to_json(findings: Sequence[Finding], data: Path, tokenizer: str) -> dict[str, Any]:
    """Return everything that was found, with a count for each file that was read."""
    return {
        "data": str(data),
        "tokenizer": tokenizer or None,
        "files": [
            {
                **asdict(finding),
                "fine": finding.state in FINE,
                "health": finding.health
                and {**asdict(finding.health), "share_not_nfc": round(finding.health.share_not_nfc, 6)},
            }
            for finding in findings
        ],
    }
