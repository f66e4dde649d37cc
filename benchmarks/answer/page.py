"""The results of docs/answer.md and its forest plot, from the records; the declaration above them is not touched."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.answer.declaration import ARMS, NLI, QA, SEEDS, TARGETS, Contrast, units
from benchmarks.answer.records import UnitRecord, read_records
from benchmarks.answer.tables import ContrastOutcome, ScriptScore, above_chance, exposures, outcomes, script_scores
from benchmarks.core.plots import Difference, forest
from harness.core.errors import DataError
from harness.core.files import write_text
from harness.core.languages import language

PAGE = Path(__file__).parents[2] / "docs" / "answer.md"
PLOT = "answer.svg"
#: What `answer_reference` found for one unit.
CHECK = Path(__file__).with_name("check.json")
README = Path(__file__).parents[2] / "README.md"
#: Around the answer in README.
LINE_START, LINE_END = "<!-- the answer, made by `make answer` -->\n", "<!-- end of the answer -->\n"
#: Of an arm in a primary comparison; with fewer, a verdict is an interim look.
FEWEST = 3
START = "<!-- results: made by `make answer`, do not edit below -->\n"
_VERDICTS = {
    "yes": "better",
    "harm": "worse",
    "no": "no difference of 2 points or more",
    "undecided": "undecided",
    "not run": "not run",
}
Rows = Sequence[Sequence[str]]


def write(folder: Path, declaration: str, page: Path = PAGE, readme: Path = README) -> list[str]:
    """Write the results into the page, the plot beside it and one line into README; return what was written.

    Args:
        folder: of the records.
        declaration: the SHA-256 that each record must have.
        page: the document, which has the declaration.
        readme: the document with a place for the answer in one line.

    Raises:
        DataError: a record is not of this declaration, or a document has no place for results.
    """
    records = read_records(folder, declaration)
    text = page.read_text(encoding="utf-8")
    declared, mark, _ = text.partition(START)
    if not mark:
        message = f"{page} lacks the line {START.strip()!r}, below which results are written; put it at its end"
        raise DataError(message)
    found = outcomes(records)
    drawn = _drawn(found, records)
    if drawn:
        forest(drawn, f"mixed_all minus english, {_seed_text(records)}", page.with_name(PLOT))
    before, start, rest = readme.read_text(encoding="utf-8").partition(LINE_START)
    _, end, after = rest.partition(LINE_END)
    if not end:
        message = (
            f"{readme} lacks the lines {LINE_START.strip()!r} and {LINE_END.strip()!r}; put them where the answer is"
        )
        raise DataError(message)
    write_text(page, declared + mark + "\n".join(_results(records, found, bool(drawn))) + "\n")
    write_text(readme, f"{before}{start}{in_one_line(records, found)}\n{end}{after}")
    return [f"{page}: {len(records)} of {len(units())} units"]


def by_script() -> list[Contrast]:
    """Return mixed_all minus english on each script, without English: drawn and not tested."""
    found = []
    for name, group in (("QA", QA), ("NLI", NLI)):
        cells = [(each.task, code) for each in TARGETS if each.task in group for code in each.languages if code != "en"]
        for script in dict.fromkeys(language(code).script for _, code in cells):
            own = tuple(cell for cell in cells if language(cell[1]).script == script)
            found.append(
                Contrast(
                    name=f"{name}, {script}", left="english", right="mixed_all", cells=own, family=script, margin=1
                )
            )
    return found


def _drawn(found: Sequence[ContrastOutcome], records: Sequence[UnitRecord]) -> list[Difference]:
    lines = [(each, "primary") for each in found if each.comparison.family == "primary"]
    lines += [(each, "by script, not tested") for each in outcomes(records, by_script())]
    return [
        Difference(
            heading=heading,
            name=each.comparison.name.rpartition(": ")[2],
            value=each.value,
            low=None if each.interval is None else each.interval.low,
            high=None if each.interval is None else each.interval.high,
            primary=heading == "primary",
        )
        for each, heading in lines
        if each.value is not None
    ]


def _seed_text(records: Sequence[UnitRecord]) -> str:
    counts = {arm: sum(record.file.arm == arm for record in records) for arm in ARMS}
    shared = set(counts.values())
    if len(shared) == 1:
        only = shared.pop()
        return f"{only} seed{'' if only == 1 else 's'} of each arm"
    return "seeds: " + ", ".join(f"{arm} {count}" for arm, count in counts.items())


def _results(records: Sequence[UnitRecord], found: Sequence[ContrastOutcome], drawn: bool) -> Iterator[str]:
    yield "\n# Results\n"
    yield from _answer(records, found)
    missing = [f"{arm} {seed}" for arm, seed in units() if (arm, seed) not in _done(records)]
    count = len(units())
    if missing:
        yield f"\nUnits without a record, of {count}: {', '.join(missing)}; `harness bench answer run` goes on.\n"
    if not records:
        return
    if drawn:
        yield f"![mixed_all minus english, by group and by script]({PLOT})\n"
    families = list(dict.fromkeys(each.comparison.family for each in found))
    run = [name for name in families if any(one.value is not None for one in found if one.comparison.family == name)]
    for family in run:
        yield from _comparisons(family, [each for each in found if each.comparison.family == family])
    if len(run) < len(families):
        yield f"\nComparisons of which no arm was run yet: {', '.join(name for name in families if name not in run)}."
    yield (
        "\nThe two controls are one Holm family of eight. 'Labelled in another task only' has Indonesian (Latin) in "
        "TyDi QA beside Cyrillic and Devanagari. Where XCOPA is at chance, 'choice' says nothing."
    )
    yield from _scores(records)
    yield from _chance(records)
    yield from _exposure(records)
    yield from _checked(CHECK)
    yield from _costs(records)


def _done(records: Sequence[UnitRecord]) -> set[tuple[str, int]]:
    return {(record.file.arm, record.file.seed) for record in records}


def _answer(records: Sequence[UnitRecord], found: Sequence[ContrastOutcome]) -> Iterator[str]:
    primary = [each for each in found if each.comparison.family == "primary"]
    if all(each.value is None for each in primary):
        yield "* No answer yet: the primary comparisons need units of `english` and of `mixed_all`."
        return
    for place, where in (("labelled in its mix", "in scripts other than Latin whose labels it saw"),
                         ("no label", "in languages without any label")):  # fmt: skip
        own = [each for each in primary if place in each.comparison.name]
        yield (
            f"* Against English alone, phase 2 on a mix of languages is, {where}: "
            + "; ".join(
                f"in {each.comparison.name.rpartition(': ')[2].partition(',')[0]} {_quoted(each)}" for each in own
            )
            + "."
        )
    yield (
        f"* One small encoder (multilingual-e5-small), {_seed_text(records)} of {len(SEEDS)} declared; parts of the "
        "training sets; samples of the test sets."
        + (f" This is {_interim(records)}: a verdict may change." if _interim(records) else "")
    )


def in_one_line(records: Sequence[UnitRecord], found: Sequence[ContrastOutcome]) -> str:
    """Return the answer for README: the primary differences with their intervals."""
    primary = [each for each in found if each.comparison.family == "primary" and each.value is not None]
    if not primary:
        return "No answer yet: [docs/answer.md](docs/answer.md)."
    numbers = "; ".join(
        f"{each.comparison.name.rpartition(': ')[2]} {each.value:+.1f} ({_interval(each) or 'one seed'}, "
        f"{_VERDICTS[each.verdict]})"
        for each in primary
    )
    interim = f", {_interim(records)}" if _interim(records) else ""
    return f"**Mixed minus English, points, 95 % interval{interim}**: {numbers}. [docs/answer.md](docs/answer.md)"


def _interim(records: Sequence[UnitRecord]) -> str:
    """Return that a primary comparison has few seeds; empty where both arms have enough."""
    fewest = min(sum(record.file.arm == arm for record in records) for arm in ("english", "mixed_all"))
    return "" if fewest >= FEWEST else f"an interim look at {fewest} of {len(SEEDS)} seeds"


def _quoted(outcome: ContrastOutcome) -> str:
    """Return a verdict with its number, as a sentence has it."""
    if outcome.value is None:
        return "not run"
    number = f"{outcome.value:+.1f} points"
    if outcome.interval is not None:
        number += f", 95 % interval {_interval(outcome)}"
    if outcome.items_only:
        number += ", over examples only, as one seed says nothing of others"
    return f"{_VERDICTS[outcome.verdict]} ({number})"


def _interval(outcome: ContrastOutcome) -> str:
    return "" if outcome.interval is None else f"{outcome.interval.low:+.1f} to {outcome.interval.high:+.1f}"


def _comparisons(family: str, found: Sequence[ContrastOutcome]) -> Iterator[str]:
    yield f"\n## Comparisons: {family}\n"
    rows = []
    for each in found:
        rows.append(
            [
                each.comparison.name,
                f"{each.seeds[0]}, {each.seeds[1]}",
                *(" ".join(f"{value:.1f}" for value in side) for side in (each.left, each.right)),
                "" if each.value is None else f"{each.value:+.1f}",
                _interval(each) + (" (examples only)" if each.items_only and each.interval is not None else ""),
                "" if each.corrected is None else f"{each.corrected:.3f}",
                "" if each.detectable is None else f"{each.detectable:.1f}",
                "" if each.equivalent_p is None else f"{each.equivalent_p:.3f}",
                each.verdict,
            ]
        )
    size = max((each.size for each in found), default=0)
    yield from _table(
        ["comparison", "seeds", "left, each seed", "right, each seed", "difference", "95 % interval",
         f"p (Holm over {size})", "shown with 80 % power", "p (within 2 points)", "verdict"],
        rows,
    )  # fmt: skip


def _scores(records: Sequence[UnitRecord]) -> Iterator[str]:
    yield "\n## Scores\n\nPercent, mean over languages and seeds; in brackets the standard deviation over seeds.\n"
    every = script_scores(records)
    for target in TARGETS:
        own = [each for each in every if each.task == target.task]
        scripts = list(dict.fromkeys(each.script for each in own))
        rows = [
            [arm, *(_mean(next(one for one in own if (one.arm, one.script) == (arm, script))) for script in scripts)]
            for arm in dict.fromkeys(each.arm for each in own)
        ]
        yield from _table([target.task, *scripts], rows)
        yield ""


def _mean(score: ScriptScore) -> str:
    return f"{score.mean:.1f}" if score.spread is None else f"{score.mean:.1f} ({score.spread:.1f})"


def _chance(records: Sequence[UnitRecord]) -> Iterator[str]:
    yield "\n## Above chance\n\nLanguages whose score has its 95 % interval above chance, the first seed of each arm.\n"
    every = above_chance(records)
    names = list(dict.fromkeys(each.task for each in every))
    rows = [
        [arm, *(f"{each.above} of {each.languages}" for each in every if each.arm == arm)]
        for arm in dict.fromkeys(each.arm for each in every)
    ]
    levels = [f"{next(each.chance for each in every if each.task == name):.1f}" for name in names]
    yield from _table(["arm", *names], [*rows, ["level of chance", *levels]])


def _exposure(records: Sequence[UnitRecord]) -> Iterator[str]:
    if not exposures(records):
        return
    yield "\n## What phase 2 saw\n"
    rows = [
        [
            each.arm,
            each.task,
            f"{each.rows:,}",
            f"{each.subwords:,.0f}",
            "" if each.ratio is None else f"{each.ratio:.3f}",
        ]
        for each in exposures(records)
    ]
    yield from _table(["arm", "task", "rows", "subwords", "of english"], rows)
    whole = [each for each in exposures(records) if each.task == "all" and each.ratio is not None]
    wrong = [each.arm for each in whole if each.ratio is not None and abs(each.ratio - 1) > 0.05]
    if wrong:
        yield f"\n**More than 5 % from english: {', '.join(wrong)}.** The declaration is not kept there."


def _checked(path: Path) -> Iterator[str]:
    """Yield what `harness bench answer_reference --json` found for one unit, where it was run."""
    if not path.is_file():
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    yield "\n## Against plain transformers\n"
    yield (
        f"Unit {found['unit']}, by `harness bench answer_reference`, which shares no code with the harness: the same "
        "checkpoints, examples of all languages in turn. A logit may differ by 1e-4.\n"
    )
    rows = [
        [each["task"], *(f"{each[name]:,}" for name in ("examples", "equal", "ties")),
         f"{len(each['different']):,}", f"{each['largest']:.1e}"]
        for each in found["tasks"]
    ]  # fmt: skip
    yield from _table(
        ["task", "examples", "predictions equal", "ties", "different", "largest difference of a logit"], rows
    )


def _costs(records: Sequence[UnitRecord]) -> Iterator[str]:
    seconds = [record.file.seconds for record in records]
    train, export = (np.mean([each[name] for each in seconds]) / 60 for name in ("train", "export"))
    evaluate = np.mean([sum(value for name, value in each.items() if name.startswith("eval")) for each in seconds]) / 60
    whole = sum(sum(each.values()) for each in seconds) / 3600
    yield "\n## Costs\n"
    yield (
        f"{len(records)} units, {whole:.1f} hours in all; a unit trains for {train:.1f} minutes, exports for "
        f"{export:.1f} and evaluates for {evaluate:.1f} (two units side by side, a core each). Machines: "
        f"{'; '.join(sorted({record.file.machine.partition(', load')[0] for record in records}))}. Commits: "
        f"{', '.join(sorted({record.file.commit[:12] for record in records}))}."
    )
    yield "\n```\nharness bench answer prepare --data DEST --output PREPARED"
    yield "harness bench answer run --data PREPARED\nmake answer\n```"


def _table(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "|".join("---" for _ in columns) + "|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
