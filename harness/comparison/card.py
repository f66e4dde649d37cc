"""A model card in Markdown, with the hub's metadata, from the records of a model: phases, origin, scores, verdicts."""

import html
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.artifacts.checkpoint import CheckpointMetadata, MixRecord, OriginRecord
from harness.artifacts.gate import read_gate
from harness.artifacts.run import RequestRecord
from harness.artifacts.store import Artifact
from harness.artifacts.workspace import SAMPLE, Workspace
from harness.comparison.alignment import Aligned, align
from harness.comparison.groups import EVERY_LANGUAGE, EVERY_TASK
from harness.comparison.runs import FinishedRun
from harness.comparison.scores import GroupScore, measured_scores
from harness.comparison.signature import signature
from harness.core.errors import HarnessError, UsageError
from harness.core.languages import table
from harness.core.progress import Progress
from harness.core.tables import EMPTY

GATE = "gate.json"


def card(model: str, runs: Sequence[FinishedRun], workspace: Workspace, progress: Progress) -> str:
    """Return the card of a model.

    Args:
        model: its name.
        runs: its newest run in each variant; a card without runs says that nothing was scored.
        workspace: where checkpoints, graphs and data are.
        progress: shows what is read.

    Raises:
        UsageError: the model has no exported graph.
    """
    artifacts = workspace.artifacts.of(model)
    if not artifacts:
        message = f"model {model!r} has no exported graph here; export it first: `harness export --model {model}`"
        raise UsageError(message)
    scored = [_scored(run, workspace, progress) for run in runs]
    origin = next((each.checkpoint.origin for each in artifacts if each.checkpoint.origin is not None), None)
    parts = [
        *_metadata(model, origin, scored),
        f"# {_plain(model)}",
        "",
        *_summary(model, artifacts, origin),
        *_training(artifacts),
        *_exposure(artifacts),
        *(line for one in scored for line in one.lines()),
        *([] if scored else ["## Scores", "", f"None yet: `harness eval --model {model}`.", ""]),
        *_verdicts(artifacts),
        *_repeat(model, runs),
    ]
    return "\n".join(parts).rstrip() + "\n"


class Scored:
    """One run and its scores with intervals."""

    def __init__(self, run: FinishedRun, rows: Sequence[GroupScore], aligned: Aligned | None, problem: str) -> None:
        self.run, self.rows, self.aligned, self.problem = run, rows, aligned, problem
        self.signature = ""

    def lines(self) -> Iterator[str]:
        """Yield the section of the run."""
        record = self.run.record
        sample = f" ({SAMPLE} data, not XTREME numbers)" if self.aligned is not None and self.aligned.is_sample else ""
        yield f"## Scores, {_plain(record.variant)}{sample}"
        yield ""
        yield "Percent, with the 95 % interval over examples. A task that was not scored is not here, and in no mean."
        yield ""
        groups = list(dict.fromkeys(row.group for row in self.rows if row.group != EVERY_LANGUAGE))
        if self.rows:
            yield f"| task | what | {' | '.join(groups)} | mean |"
            yield f"|---|---|{'--:|' * (len(groups) + 1)}"
        cells = {(row.task, row.group): row for row in self.rows}
        for name, task in record.tasks.items() if self.rows else ():
            own = [_cell(cells.get((name, group))) for group in (*groups, EVERY_LANGUAGE)]
            yield f"| {name} | {_plain(' and '.join(task.headline))}, {_plain(task.label)} | {' | '.join(own)} |"
        if self.problem:
            yield f"No scores with intervals: {_plain(self.problem)}."
        yield ""
        for name, task in record.tasks.items():
            if task.protocol or task.representation:
                yield f"* {name}: {_plain(', '.join(filter(None, (task.protocol, task.representation))))}"
        for warning in record.warnings:
            yield f"* **Warning.** {_plain(warning.text)}"
        yield f"* signature: {_plain(self.signature)}"
        yield ""


def _scored(run: FinishedRun, workspace: Workspace, progress: Progress) -> Scored:
    try:
        aligned = align([run], workspace, progress)
    except HarnessError as error:
        found = Scored(run, [], None, str(error))
    else:
        rows = [row for row in measured_scores(aligned, "script") if row.task != EVERY_TASK]
        found = Scored(run, rows, aligned, "")
    found.signature = signature(run, workspace.artifacts)
    return found


def _cell(row: GroupScore | None) -> str:
    return EMPTY if row is None else row.text()


def _plain(text: str) -> str:
    """Return a text that cannot be Markdown or HTML of its own: names come from users."""
    shown = "".join(character for character in text if character.isprintable())
    return html.escape(shown, quote=False).replace("|", "\\|").replace("*", "\\*").replace("`", "\\`")


def _metadata(model: str, origin: OriginRecord | None, scored: Sequence[Scored]) -> Iterator[str]:
    """Yield the block that the hub reads: YAML, whose values are JSON, which YAML contains."""
    fields: dict[str, Any] = {"library_name": "onnx", "tags": ["xtreme", "cross-lingual", "onnx"]}
    if origin is not None:
        fields |= {"license": origin.licence.lower() or "unknown"}
        if origin.source != "folder":
            fields["base_model"] = origin.name
    codes = {code for one in scored for task in one.run.record.tasks.values() for code in task.languages}
    fields["language"] = [code for code in table() if code in codes]
    results = [_result(one, row) for one in scored for row in one.rows if row.group == EVERY_LANGUAGE]
    if results:
        fields["model-index"] = [{"name": model, "results": results}]
    yield "---"
    for name, value in fields.items():
        yield f"{name}: {json.dumps(value, ensure_ascii=False)}"
    yield "---"


def _result(one: Scored, row: GroupScore) -> Mapping[str, Any]:
    """Return a task's number as `model-index` has it."""
    record = one.run.record
    task = record.tasks[row.task]
    splits = sorted({each.split for each in task.rows.values()})
    sample = one.aligned is not None and one.aligned.is_sample
    return {
        "task": {"type": row.task, "name": row.task},
        "dataset": {
            "type": f"{SAMPLE}-{row.task}" if sample else row.task,
            "name": f"{row.task} ({SAMPLE} data)" if sample else row.task,
            "split": ",".join(splits),
            "args": {"languages": list(task.languages), "label": task.label},
        },
        "metrics": [
            {
                "type": "+".join(task.headline),
                "name": f"mean of {' and '.join(task.headline)} over {len(task.languages)} languages, {record.variant}",
                "value": row.value,
                "args": {"interval": row.text()},
            }
        ],
    }


def _summary(model: str, artifacts: Sequence[Artifact], origin: OriginRecord | None) -> Iterator[str]:
    first = artifacts[0]
    variants = sorted({each.variant for each in artifacts})
    graphs = sorted({each.finetune for each in artifacts})
    size = first.manifest
    yield (
        f"ONNX graphs of a multilingual encoder ({size.layers or '?'} layers, width {size.hidden}) for "
        f"{', '.join(graphs)}, in {', '.join(variants)}. Made by the XTREME harness."
    )
    yield ""
    if origin is not None:
        revision = f" at {origin.revision}" if origin.revision else ", revision not known"
        weights = f", {origin.weights}" if origin.weights else ""
        name = _plain(origin.encoder or origin.name)
        yield f"* encoder: {name}, from {origin.source} {_plain(origin.name)}{revision}{weights}"
        yield f"* file {_plain(origin.file)}, SHA-256 {origin.sha256}"
        yield f"* licence: {_plain(origin.licence or 'not declared')}"
        yield from (f"* {_plain(key)}: {_plain(value)}" for key, value in origin.credits.items())
    else:
        public = first.checkpoint.recipe.pretrained
        trained = public.checkpoint or f"trained here by the recipe {first.checkpoint.recipe.name or model}"
        revision = f" at {public.revision}" if public.revision else ""
        yield f"* encoder: {_plain(trained)}{revision}"
    yield ""


def _training(artifacts: Sequence[Artifact]) -> Iterator[str]:
    mix = artifacts[0].checkpoint.mix
    yield "## Training"
    yield ""
    yield from _phase_2(mix)
    yield "| graph | taught by | seed | data |"
    yield "|---|---|---|---|"
    for artifact in {each.finetune: each for each in artifacts}.values():
        own = artifact.checkpoint
        digests = ", ".join(f"{name} {value[:12]}" for name, value in own.data_sha256.items()) or EMPTY
        seed = EMPTY if own.seed is None else str(own.seed)
        yield f"| {artifact.finetune} | {own.taught_by or EMPTY} | {seed} | {_plain(digests)} |"
    yield ""


def _phase_2(mix: MixRecord | None) -> Iterator[str]:
    if mix is None:
        yield "Phase 2 (intermediate tasks): none recorded."
    else:
        rows = "; ".join(
            f"{task} " + ", ".join(f"{code} {count:,}" for code, count in codes.items())
            for task, codes in mix.source_examples.items()
        )
        yield f"Phase 2 (intermediate tasks): {mix.steps:,} steps, {mix.text_steps:,} of text; examples: {rows}."
    yield ""


def _exposure(artifacts: Sequence[Artifact]) -> Iterator[str]:
    """Yield what the network of each graph was taught: what all share, then what each has of its own."""
    yield "## What it was taught before"
    yield ""
    if not all(each.checkpoint.exposure_declared for each in artifacts):
        yield "Not declared: no score of it can be called zero-shot."
    taught = {each.finetune: _taught(each.checkpoint) for each in artifacts}
    shared = set.intersection(*(set(each) for each in taught.values()))
    if not any(taught.values()):
        yield "No labelled data."
    yield from (f"* {_plain(family)}: {' '.join(codes)}" for family, codes in sorted(shared))
    for finetune, own in taught.items():
        more = "; ".join(f"{_plain(family)}: {' '.join(codes)}" for family, codes in sorted(set(own) - shared))
        if more:
            yield f"* the graph {finetune} also {more}"
    yield ""


def _taught(checkpoint: CheckpointMetadata) -> list[tuple[str, tuple[str, ...]]]:
    return [(family, tuple(codes)) for family, codes in checkpoint.seen.items()]


def _verdicts(artifacts: Sequence[Artifact]) -> Iterator[str]:
    yield "## What the export checked"
    yield ""
    yield "| graph | variant | verdict | points lost, at most | examples | SHA-256 of the graph |"
    yield "|---|---|---|---|---|---|"
    for artifact in artifacts:
        gate = read_gate(artifact.directory / GATE, artifact.model)
        if gate is None:
            verdict = "not checked"
        elif gate.passed:
            verdict = gate.reason or "passed"
        else:
            verdict = f"refused; published because: {_plain(gate.accepted or '')}"
        lost = EMPTY if gate is None or gate.overall is None else f"{gate.overall.loss:.2f}, {gate.overall.bound:.2f}"
        examples = EMPTY if gate is None or gate.overall is None else f"{gate.overall.examples:,}"
        yield (
            f"| {artifact.finetune} | {artifact.variant} | {verdict} | {lost} | {examples} | "
            f"{artifact.graph_sha256[:16]} |"
        )
    yield ""


def _repeat(model: str, runs: Sequence[FinishedRun]) -> Iterator[str]:
    """Yield the commands that make graphs and scores again, as a shell takes them."""
    yield "## Repeat it"
    yield ""
    yield "```"
    yield shlex.join(["harness", "export", "--model", model])
    yield from (shlex.join(["harness", "eval", "--model", model, *_options(run.record.request)]) for run in runs)
    yield shlex.join(["harness", "verify", model])
    yield "```"


def _options(request: RequestRecord) -> list[str]:
    """Return the options of `harness eval` that a request had beyond the defaults; data and endpoint are the user's."""
    listed = {
        "--tasks": request.tasks,
        "--languages": request.languages,
        "--scripts": request.scripts,
        "--protocol": request.protocols,
    }
    single = {
        "--suite": request.suite,
        "--split": None if request.split == "test" else request.split,
        "--variant": request.variant,
        "--limit": request.limit,
        "--sample": request.sample,
        "--sample-seed": None if request.sample is None else request.sample_seed,
    }
    flags = {
        "--available": request.available,
        "--no-tuning": not request.tuning,
        "--allow-gold-errors": request.allow_gold_errors,
    }
    found = [part for name, values in listed.items() if values for part in (name, ",".join(values))]
    found += [part for name, value in single.items() if value is not None for part in (name, str(value))]
    return found + [name for name, given in flags.items() if given]
