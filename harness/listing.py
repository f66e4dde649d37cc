"""What `harness tasks` and `harness models` print."""

import json
from collections import Counter

from harness import tasks
from harness.languages import language
from harness.report import EMPTY, Table
from harness.serving.repository import versions
from harness.task import AnyTask
from harness.workspace import Workspace


def task_table() -> Table:
    """Return one row for each declared task."""
    rows = []
    for name in tasks.names():
        task = tasks.load(name)
        codes = task.all_languages(None)
        rows.append(
            [
                task.name,
                " ".join(task.languages),
                str(len(codes)),
                str(len({language(code).script for code in codes})),
                "+".join(task.headline),
                "/".join(split for split in task.source.splits if split != "train"),
                task.finetune.name if task.finetune.train is not None else f"none ({task.finetune.name})",
                task.paper,
            ]
        )
    return Table(
        "declared tasks; `harness tasks NAME` explains one",
        ["task", "suites", "languages", "scripts", "metric", "splits", "trained on", "source"],
        rows,
    )


def explain(name: str) -> str:
    """Return everything a task's declaration says, for a reader.

    Raises:
        UsageError: there is no such task.
    """
    task: AnyTask = tasks.load(name)
    scripts = Counter(language(code).script for code in task.all_languages(None))
    lines = [f"{task.name}: {task.paper}"]
    lines += [f"  {suite}: {len(codes)} languages, {' '.join(codes)}" for suite, codes in task.languages.items()]
    lines.append("  scripts: " + ", ".join(f"{script} {count}" for script, count in scripts.most_common()))
    lines.append(f"  splits: {', '.join(task.source.splits)}")
    lines.append(f"  metric: mean of {' and '.join(task.headline)}, in percent; unweighted mean over languages")
    lines.append(f"  decoding: {task.postprocess!r}")
    if task.protocol:
        lines.append(f"  protocol: {task.protocol}")
    for alternative in task.alternatives:
        lines.append(f"    or `--protocol {task.name}={alternative}`: {task.choose(alternative).protocol}")
    if task.pool:
        lines.append(f"  candidates: {task.pool.official:,}, shared by all languages")
    if task.caution:
        lines.append(f"  caution: {task.caution}")
    settings = task.finetune.hyperparameters
    trained = (
        f"trained on {task.finetune.name} in {' '.join(task.finetune.languages)}" if settings else "not fine-tuned"
    )
    lines.append(f"  graph: {task.finetune.name}, {type(task.finetune.head).__name__}, {trained}")
    if settings:
        lines.append(
            f"  defaults: learning rate {settings.learning_rate}, {settings.epochs} epochs, "
            f"{settings.batch_rows} rows a step ({settings.source})"
        )
    return "\n".join(lines)


def model_table(workspace: Workspace) -> Table:
    """Return one row for each trained graph: checkpoint, dev score, exported variants, served versions."""
    rows = []
    seen = set()
    for path in sorted(workspace.checkpoints.glob("*/target/*/phase.json")):
        account = json.loads(path.read_text(encoding="utf-8"))
        model, finetune = account["model"], account["finetune"]
        seen.add((model, finetune))
        rows.append(
            [
                model,
                finetune,
                str(account.get("steps", EMPTY)),
                _development(account),
                *_served(workspace, model, finetune),
            ]
        )
    for artifact in workspace.artifacts.all():
        if (artifact.model, artifact.finetune) not in seen:
            seen.add((artifact.model, artifact.finetune))
            served = _served(workspace, artifact.model, artifact.finetune)
            rows.append([artifact.model, artifact.finetune, EMPTY, EMPTY, *served])
    columns = ["model", "graph", "steps", "dev score", "variants", "served versions"]
    return Table(f"models under {workspace.root}", columns, rows)


def _development(account: dict[str, object]) -> str:
    scores = account.get("development")
    if not isinstance(scores, dict):
        return EMPTY
    return " ".join(
        f"{code} {name} {value:.1f}"
        for code, values in scores.items()
        for name, value in values.items()
        if isinstance(value, float)
    )


def _served(workspace: Workspace, model: str, finetune: str) -> list[str]:
    folder = workspace.artifacts.root / model / finetune
    variants = sorted(path.parent.name for path in folder.glob("*/manifest.json"))
    served = [
        f"{variant}:{','.join(map(str, numbers))}"
        for variant in variants
        if (numbers := versions(workspace.model_repository / f"{model}-{finetune}-{variant}"))
    ]
    return [" ".join(variants) or EMPTY, " ".join(served) or EMPTY]
