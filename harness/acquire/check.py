"""`harness data check`: which files are there, whole, and still what was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.acquire.catalogue import Dataset
from harness.acquire.get import Unit, units
from harness.acquire.manifest import FileRecord, load, relative
from harness.core.errors import DataError
from harness.core.layout import Layout, Split
from harness.core.progress import Progress

State = Literal["whole", "part", "unknown", "unofficial", "left out", "missing", "different", "changed", "unreadable"]

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


def check(datasets: Sequence[Dataset], layout: Layout, progress: Progress) -> list[Finding]:
    """Return what there is of each dataset, language by language.

    A folder that says which languages it has, as the sample data does, is meant to hold a part of the official
    files: fewer examples, and training sets without a file, are right there.
    """
    dest = layout.root or layout.xtreme
    records = load(dest)
    is_part = layout.coverage() is not None
    wanted = [unit for dataset in datasets for unit in units(dataset)]
    findings = []
    with progress.step("reading", len(wanted), "languages") as advance:
        for unit in wanted:
            findings.append(_finding(unit, layout, dest, records, is_part))
            advance(1)
    return findings


def _finding(unit: Unit, layout: Layout, dest: Path, records: Mapping[str, FileRecord], is_part: bool) -> Finding:
    def found(state: State, detail: str = "") -> Finding:
        return Finding(dataset=unit.dataset.label, split=unit.split, language=unit.language, state=state, detail=detail)

    try:
        paths = unit.files(layout)
        if not all(path.is_file() for path in paths):
            return found("left out" if is_part and unit.dataset.kind != "task" else "missing")
        entries = [records.get(name) for name in relative(dest, paths)]
        for path, entry in zip(paths, entries, strict=True):
            if entry and not entry.fits(path):
                return found("changed", "not what its manifest says")
        known = entries[0] if all(entries) else None
        if known and known.unofficial:
            return found("unofficial", known.unofficial)
        # A file that is what was written was read and counted then.
        count = known.examples if known and known.reader == unit.dataset.label else unit.count(layout)
    except DataError as error:
        return found("unreadable", str(error))
    expected = unit.expected()
    if expected is None:
        return found("unknown")
    if count == expected:
        return found("whole")
    return found("part" if is_part and count < expected else "different", f"{count:,} of {expected:,}")


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
        if state in ("unofficial", "unreadable", "changed"):
            printed += [f"{'':<{width}}    {detail}" for detail in dict.fromkeys(member.detail for member in members)]
    broken = dict.fromkeys(finding.dataset.partition(" ")[0] for finding in findings if finding.state not in FINE)
    if broken:
        printed.append(f"to get what is missing: harness data get {' '.join(broken)} --data {data}")
    return printed
