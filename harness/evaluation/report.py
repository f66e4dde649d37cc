"""Tables from results: pure functions, values in, text out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.artifacts.checkpoint import MixRecord
from harness.artifacts.run import SCORES
from harness.artifacts.workspace import SAMPLE
from harness.benchmark.suites import SUITES, Suite, group_means, overall, rules
from harness.core.languages import language, scripts, table
from harness.core.tables import EMPTY, Table
from harness.evaluation.exposure import MARKS
from harness.evaluation.plan import repeats
from harness.evaluation.request import Evaluation
from harness.evaluation.results import NOT_LATIN, RunResult, TaskScore
from harness.evaluation.tuning.applied import TUNED
from harness.evaluation.workload import Job, by_task


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return EMPTY
    return f"{value:+.1f}" if signed else f"{value:.1f}"


def language_table(tasks: Sequence[TaskScore], title: str) -> Table:
    """Return one row for each language with its script, one column for each task: headline, percent."""
    cells = {
        (row.language, task.task.name): f"{task.headline(row):.1f}{MARKS[row.exposure] if row.exposure else ''}"
        for task in tasks
        for row in task.languages
    }
    codes = [code for code in table() if any((code, task.task.name) in cells for task in tasks)]
    names = [task.task.name for task in tasks]
    rows = [[f"{code} {language(code).script}", *(cells.get((code, name), EMPTY) for name in names)] for code in codes]
    rows.append(["mean", *(_number(task.score) for task in tasks)])
    if any(row.exposure for task in tasks for row in task.languages):
        rows.append(["mean unseen", *(_number(task.unseen()) for task in tasks)])
    return Table(title, ["language", *names], rows)


def script_table(tasks: Sequence[TaskScore], title: str) -> Table:
    """Return one row for each task, one column for each script: mean headline, percent.

    The last columns are the mean over all languages not in Latin script, and the transfer gap.
    """
    means = {task.task.name: task.by_script() for task in tasks}
    by_script = _by_script(means, {task.task.name: task.score for task in tasks}, title, signed=False)
    rows = [
        [*row, _number(task.latin_and_other().get(NOT_LATIN)), _number(task.transfer_gap(), signed=True)]
        for row, task in zip(by_script.rows, tasks, strict=True)
    ]
    return Table(title, [*by_script.columns, NOT_LATIN, "en - others"], rows)


def family_table(tasks: Sequence[TaskScore], title: str) -> Table:
    """Return one row for each language family, one column for each task: mean headline, percent."""
    means = [task.by_family() for task in tasks]
    families = sorted({family for row in means for family in row})
    rows = [[family, *(_number(row.get(family)) for row in means)] for family in families]
    return Table(title, ["family", *(task.task.name for task in tasks)], rows)


def difference_table(left: Sequence[TaskScore], right: Sequence[TaskScore], title: str) -> Table:
    """Return right minus left in percentage points: one row for each task, one column for each script."""
    before = {task.task.name: task for task in left}
    pairs = [_shared(before[task.task.name], task) for task in right if task.task.name in before]
    pairs = [(old, new) for old, new in pairs if old.languages]
    means = {
        new.task.name: {
            script: value - old.by_script()[script]
            for script, value in new.by_script().items()
            if script in old.by_script()
        }
        for old, new in pairs
    }
    return _by_script(means, {new.task.name: new.score - old.score for old, new in pairs}, title, signed=True)


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


def _shared(old: TaskScore, new: TaskScore) -> tuple[TaskScore, TaskScore]:
    """Return both with the languages that both have: means over different languages do not compare."""
    common = {row.language for row in old.languages} & {row.language for row in new.languages}
    kept = [replace(task, languages=[row for row in task.languages if row.language in common]) for task in (old, new)]
    return kept[0], kept[1]


def _by_script(
    means: Mapping[str, Mapping[str, float]], overall: Mapping[str, float], title: str, *, signed: bool
) -> Table:
    used = [script for script in scripts() if any(script in row for row in means.values())]
    rows = [
        [
            name,
            *(_number(row.get(script), signed=signed) for script in used),
            _number(overall[name], signed=signed),
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
        if task.selected_on:
            parts.append(f"{task.selected_on} dev also chose the model's step")
        if task.leak:
            parts.append(f"LEAK, the model was trained on evaluation sentences: {task.leak}")
        lines.append(", ".join(parts))
    if any(row.exposure not in (None, "unseen") for task in tasks for row in task.languages):
        shown = ", ".join(f"{mark} {name}" for name, mark in MARKS.items() if mark)
        lines.append(f"no mark: no labelled data of that language seen; {shown}")
    return lines


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
    return (
        f"padded/useful tokens {padding['ratio']:.3f} ({padding['padded_tokens']:,} / {padding['useful_tokens']:,}) "
        f"in {padding['batches']} batches, {padding['graph_seconds']:.1f} s in graphs"
    )


def absent_lines(absent: Sequence[Job], without_graph: Mapping[str, Sequence[Job]]) -> Iterator[str]:
    """Yield a line for each task of which the data folder lacks files, and for each model that lacks graphs."""
    for name, jobs in by_task(absent).items():
        yield f"not scored, the data folder has no file: {name} {' '.join(job.language for job in jobs)}"
    for model, left in without_graph.items():
        yield f"not scored, {model} has no graph: {', '.join(by_task(left))}"


def result_lines(evaluation: Evaluation, result: RunResult, is_sample: bool) -> Iterator[str]:
    """Yield the tables of one model, and what its numbers depend on."""
    name = f"{evaluation.model} {evaluation.variant}"
    yield ""
    yield language_table(result.tasks, _marked(f"{name} per language, percent", is_sample)).text()
    yield ""
    yield script_table(result.tasks, _marked(f"{name} per script, percent", is_sample)).text()
    yield ""
    yield family_table(result.tasks, _marked(f"{name} per language family, percent", is_sample)).text()
    yield ""
    yield from protocol_lines(result.tasks)
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
        yield repeats(evaluation.artifacts)


def difference_lines(
    first: RunResult,
    other: RunResult,
    first_mix: MixRecord | None,
    other_mix: MixRecord | None,
    is_sample: bool,
) -> Iterator[str]:
    """Yield the table of differences between two models, and what was equal in their phase 2."""
    yield ""
    title = f"{other.model} minus {first.model} per script, percentage points"
    yield difference_table(first.tasks, other.tasks, _marked(title, is_sample)).text()
    yield equal_line(first_mix, other_mix)


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
