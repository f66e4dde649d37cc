"""Tables from results: pure functions, values in, text out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.artifacts.checkpoint import MixRecord
from harness.artifacts.run import SCORES, WarningRecord
from harness.artifacts.workspace import SAMPLE
from harness.benchmark.suites import SUITES, Suite, group_means, overall, rules
from harness.core.languages import language, scripts, table
from harness.core.tables import EMPTY, Table
from harness.evaluation.exposure import MARKS
from harness.evaluation.request import Evaluation
from harness.evaluation.results import NOT_LATIN, LanguageScore, RunResult, TaskScore
from harness.evaluation.tuning.applied import TUNED
from harness.evaluation.workload import Job, by_task


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return EMPTY
    return f"{value:+.1f}" if signed else f"{value:.1f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """Half the width of each 95 % interval, in points: what stands after ± beside a score."""

    #: (task, language, script or family; "mean" for all languages) -> half; what has no interval is no key.
    of: Mapping[tuple[str, str], float]

    def beside(self, number: str, task: str, group: str) -> str:
        """Return a number with what stands beside it: ``72.8 ±1.2``."""
        half = self.of.get((task, group))
        return number if half is None or number == EMPTY else f"{number} ±{half:.1f}"


#: No intervals: a folder of predictions is scored without its clusters.
NO_HALVES = Halves(of={})


def language_table(tasks: Sequence[TaskScore], title: str, halves: Halves = NO_HALVES) -> Table:
    """Return one row for each language with its script, one column for each task: headline, percent.

    The last rows are means over the languages, that of the level of chance among them, and with intervals the number
    of examples of a language; where it differs, it stands beside each score.
    """
    sizes = {task.task.name: {row.examples for row in task.languages} for task in tasks}

    def cell(task: TaskScore, row: LanguageScore) -> str:
        number = halves.beside(f"{task.headline(row):.1f}", task.task.name, row.language)
        size = f", n {row.examples:,}" if halves.of and len(sizes[task.task.name]) > 1 else ""
        return f"{number}{size}{MARKS[row.exposure] if row.exposure else ''}"

    cells = {(row.language, task.task.name): cell(task, row) for task in tasks for row in task.languages}
    codes = [code for code in table() if any((code, task.task.name) in cells for task in tasks)]
    names = [task.task.name for task in tasks]
    rows = [[f"{code} {language(code).script}", *(cells.get((code, name), EMPTY) for name in names)] for code in codes]
    rows.append(["mean", *(halves.beside(_number(task.score), task.task.name, "mean") for task in tasks)])
    if any(row.exposure for task in tasks for row in task.languages):
        rows.append(["mean unseen", *(_number(task.unseen()) for task in tasks)])
    if any(task.chance() is not None for task in tasks):
        rows.append(["chance", *(_number(task.chance()) for task in tasks)])
    if halves.of:
        each = [min(found) if len(found) == 1 else None for found in sizes.values()]
        rows.append(["n of a language", *(EMPTY if size is None else f"{size:,}" for size in each)])
    return Table(title, ["language", *names], rows)


def script_table(tasks: Sequence[TaskScore], title: str, halves: Halves = NO_HALVES) -> Table:
    """Return one row for each task, one column for each script: mean headline, percent.

    The last columns are the mean over all languages not in Latin script, and the transfer gap.
    """
    means = {task.task.name: task.by_script() for task in tasks}
    by_script = _by_script(means, {task.task.name: task.score for task in tasks}, title, halves)
    rows = [
        [*row, _number(task.latin_and_other().get(NOT_LATIN)), _number(task.transfer_gap(), signed=True)]
        for row, task in zip(by_script.rows, tasks, strict=True)
    ]
    return Table(title, [*by_script.columns, NOT_LATIN, "en - others"], rows)


def family_table(tasks: Sequence[TaskScore], title: str, halves: Halves = NO_HALVES) -> Table:
    """Return one row for each language family, one column for each task: mean headline, percent."""
    means = [task.by_family() for task in tasks]
    families = sorted({family for row in means for family in row})
    rows = [
        [
            family,
            *(
                halves.beside(_number(row.get(family)), task.task.name, family)
                for task, row in zip(tasks, means, strict=True)
            ),
        ]
        for family in families
    ]
    return Table(title, ["family", *(task.task.name for task in tasks)], rows)


def equal_line(left: MixRecord | None, right: MixRecord | None) -> str:
    """Return what was equal in phase 2 of two models that are compared, and what was not."""
    before, after = _sizes(left), _sizes(right)
    shown = [
        f"{before[name]:,} {name} in both"
        if before[name] == after[name]
        else f"{name} {before[name]:,} and {after[name]:,}"
        for name in before
    ]
    return f"phase 2: {', '.join(shown)}"


def _sizes(mix: MixRecord | None) -> dict[str, int]:
    """Return the sizes of a phase 2; zeros where there was none."""
    sources = mix.source_examples.values() if mix else ()
    return {
        "optimiser steps": mix.steps if mix else 0,
        "steps of text": mix.text_steps if mix else 0,
        "source examples": sum(sum(languages.values()) for languages in sources),
    }


def _by_script(
    means: Mapping[str, Mapping[str, float]], overall: Mapping[str, float], title: str, halves: Halves
) -> Table:
    used = [script for script in scripts() if any(script in row for row in means.values())]
    rows = [
        [
            name,
            *(halves.beside(_number(row.get(script)), name, script) for script in used),
            halves.beside(_number(overall[name]), name, "mean"),
        ]
        for name, row in means.items()
    ]
    return Table(title, ["task", *used, "mean"], rows)


def protocol_lines(tasks: Sequence[TaskScore]) -> list[str]:
    """Return for each task what its number depends on: split, languages, metric, choices, completeness."""
    lines = []
    for task in tasks:
        parts = [f"{task.task.name}: mean of {' and '.join(task.task.headline)}", f"{len(task.languages)} languages"]
        parts += [task.label, *filter(None, (task.task.protocol, task.representation, task.task.caution))]
        held = sum(row.placeholders for row in task.languages)
        if held:
            parts.append(f"{held:,} examples have a placeholder for a sentence")
        if task.stand_in:
            parts.append(f"trained on {task.stand_in}, a stand-in for {task.task.finetune.name}")
        if not task.exposure_declared:
            parts.append("exposure not declared")
        parts += counted_parts(task)
        if task.selected_on:
            parts.append(f"{task.selected_on} dev also chose the model's step")
        if task.leak:
            parts.append(f"LEAK, the model was trained on evaluation sentences: {task.leak}")
        lines.append(", ".join(parts))
    if any(row.exposure not in (None, "unseen") for task in tasks for row in task.languages):
        shown = ", ".join(f"{mark} {name}" for name, mark in MARKS.items() if mark)
        lines.append(f"no mark: no labelled data of that language seen; {shown}")
    return lines


def input_lines(tasks: Sequence[TaskScore]) -> Iterator[str]:
    """Yield a line for each task whose texts lost something, or whose examples lack something; see `InputFacts`."""
    for task in tasks:
        parts = [*_unknown_part(task)]
        for field, text in _COUNTED.items():
            counts = {
                row.language: getattr(row.plausibility, field) or 0
                for row in task.languages
                if row.plausibility is not None
            }
            total = sum(counts.values())
            if total:
                most = max(counts, key=lambda code: counts[code])
                where = f" ({most} {counts[most]:,})" if len(counts) > 1 else ""
                parts.append(f"{text} {total:,}{where}")
        if parts:
            yield f"{task.task.name} inputs: {', '.join(parts)}"


#: Fields of a `PlausibilityRecord` -> what is counted there; the language with most of them is named. Words without
#: subwords stand in the protocol line, where featurizers have them counted.
_COUNTED = {
    "truncated_rows": "truncated rows",
    "equal_rows": "rows made equal by truncation",
    "without_gold": "examples without a right answer",
    "unanswered": "examples without a prediction",
    "duplicate_texts": "candidates with the text of another",
    "duplicate_ids": "candidates with the id of another",
}


def _unknown_part(task: TaskScore) -> Iterator[str]:
    shares = {
        row.language: row.plausibility.unknown_share
        for row in task.languages
        if row.plausibility is not None and row.plausibility.unknown_share
    }
    if shares:
        most = max(shares, key=lambda code: shares[code])
        yield f"unknown subwords at most {shares[most]:.2g} % ({most})"


def warning_lines(warnings: Sequence[WarningRecord]) -> Iterator[str]:
    """Yield one line for each warning."""
    yield from (f"warning: {warning.text}" for warning in warnings)


def counted_parts(task: TaskScore) -> list[str]:
    """Return what was counted in the rows of a task, over its languages: "7 words without subwords"."""
    totals: Counter[str] = Counter()
    for row in task.languages:
        totals.update(row.counted)
    return [f"{count:,} {name}" for name, count in totals.items()]


def second_lines(tasks: Sequence[TaskScore]) -> Iterator[str]:
    """Yield for each task the fairer scores of its languages, which are part of no mean; see docs/protocols.md."""
    for task in tasks:
        second = task.task.second
        names = [name for name in second.names if all(name in row.scores for row in task.languages)] if second else []
        if second and names:
            cells = [
                f"{row.language} {'/'.join(_number(row.scores[name]) for name in names)}" for row in task.languages
            ]
            yield f"{task.task.name} beside it, {'/'.join(names)}: {', '.join(cells)} ({second.rule})"


def suite_lines(suite: Suite, tasks: Sequence[TaskScore]) -> list[str]:
    """Return the group means of a suite and its overall number by each rule; a partial task enters neither."""
    complete = {task.task.name: task.means() for task in tasks if task.complete}
    means = group_means(suite, {name: task.score for name, task in complete.items()})
    values = overall(suite, complete)
    rows = [(group, names, means.get(group)) for group, names in suite.groups.items()]
    rows += [(f"overall, rule {rule.name}", rule.tasks(suite), values.get(rule.name)) for rule in rules(suite)]
    lines = []
    for title, names, value in rows:
        absent = [name for name in names if name not in complete]
        remark = f" (not complete: {', '.join(absent)})" if absent else ""
        lines.append(f"{suite.name} {title}: {_number(value)}{remark}")
    return lines


def padding_line(result: RunResult) -> str:
    """Return how much of what was computed was padding."""
    padding = result.padding
    tokens = f"{padding['padded_tokens']:,.0f} / {padding['useful_tokens']:,.0f}"
    return (
        f"padded/useful tokens {padding['ratio']:.3f} ({tokens}) "
        f"in {padding['batches']:.0f} batches, {padding['graph_seconds']:.1f} s in graphs"
    )


def absent_lines(absent: Sequence[Job], without_graph: Mapping[str, Sequence[Job]]) -> Iterator[str]:
    """Yield a line for each task of which the data folder lacks files, and for each model that lacks graphs."""
    for name, jobs in by_task(absent).items():
        yield f"not scored, the data folder has no file: {name} {' '.join(job.language for job in jobs)}"
    for model, left in without_graph.items():
        yield f"not scored, {model} has no graph: {', '.join(by_task(left))}"


def result_lines(
    evaluation: Evaluation, result: RunResult, is_sample: bool, halves: Halves = NO_HALVES
) -> Iterator[str]:
    """Yield the tables of one model, and what its numbers depend on."""
    name = f"{evaluation.model} {evaluation.variant}"
    yield ""
    yield language_table(result.tasks, _marked(f"{name} per language, percent", is_sample), halves).text()
    yield ""
    yield script_table(result.tasks, _marked(f"{name} per script, percent", is_sample), halves).text()
    yield ""
    yield family_table(result.tasks, _marked(f"{name} per language family, percent", is_sample), halves).text()
    yield ""
    yield from protocol_lines(result.tasks)
    yield from input_lines(result.tasks)
    yield from second_lines(result.tasks)
    if evaluation.variant == TUNED:
        chosen = ", ".join(f"{artifact.finetune} {artifact.variant}" for artifact in evaluation.artifacts)
        yield f"variant of each graph: {chosen}"
    if evaluation.suite is not None:
        yield from suite_lines(SUITES[evaluation.suite], result.tasks)
    if evaluation.submission is not None:
        yield f"predictions in the official layout: {evaluation.submission}"
    wrong = [
        f"{task.task.name} {row.language} {row.gold_errors:,}"
        for task in result.tasks
        for row in task.languages
        if row.gold_errors
    ]
    if wrong:
        yield (
            f"gold answers that contradict their text: {', '.join(wrong)}; each is under `gold_errors` in "
            f"{result.directory / SCORES}"
        )
    yield padding_line(result)
    if any(artifact.batch_dependent for artifact in evaluation.artifacts):
        yield result.repeats
    yield from warning_lines(result.warnings)


def equal_rows(first: RunResult, other: RunResult, evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Yield one line that explains equal scores of a retrieval task in two models, where frozen layers are why."""
    scores = {task.task.name: [dict(row.scores) for row in task.languages] for task in first.tasks}
    equal = [
        task.task.name
        for task in other.tasks
        if task.representation and scores.get(task.task.name) == [dict(row.scores) for row in task.languages]
    ]
    layers = {
        (artifact.manifest.retrieval_layer, artifact.checkpoint.frozen_layers)
        for evaluation in evaluations
        for artifact in evaluation.artifacts
        if artifact.manifest.retrieval_layer is not None
    }
    frozen = all(layer is not None and kept is not None and layer <= kept for layer, kept in layers)
    if equal and layers and frozen:
        yield (
            f"equal in both models: {', '.join(equal)}; they compare hidden state {min(layer for layer, _ in layers)}, "
            "which phase 2 left frozen"
        )


def _marked(title: str, is_sample: bool) -> str:
    return f"{title} [{SAMPLE} data, not XTREME numbers]" if is_sample else title
