"""What a run has to answer: jobs, and the rows that are still pending for each graph."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.artifacts.adapted import task_of
from harness.artifacts.run import RequestRecord
from harness.artifacts.store import EXACT, Artifact, ArtifactStore
from harness.core.errors import ArtifactError, UsageError
from harness.core.examples import Sample, first
from harness.core.features import Feature
from harness.core.gold import GoldError
from harness.core.heads import is_retrieval
from harness.core.layout import Layout, Split, check_files
from harness.core.task import AnyFinetune, AnyTask
from harness.core.tensors import TOKEN_TYPES
from harness.tokenization.rows import POOL_BLOCK, Rows, Unread


@dataclass(frozen=True, slots=True)
class Job:
    """One task in one language on one split."""

    task: AnyTask
    language: str
    split: Split
    #: At most so many examples; None for all. A limited score is a sample, never complete.
    limit: int | None = None
    #: Drawn from what the limit leaves; None for all.
    sample: Sample | None = None

    @property
    def partly(self) -> dict[str, Any]:
        """Return what says which examples of the file are the job's, for the key of its rows."""
        return {"limit": self.limit} | ({} if self.sample is None else asdict(self.sample))

    def read(self, layout: Layout) -> list[Any]:
        """Return the job's examples."""
        examples = self.task.source.read(layout, self.language, self.split)
        if self.sample is not None:
            return self.sample.of(examples)
        return examples if self.limit is None else first(examples, self.limit)

    def own_paths(self, layout: Layout) -> tuple[Path, ...]:
        """Return the files that the job's examples come from."""
        return self.task.source.paths(layout, self.language, self.split)

    def gold_errors(self, layout: Layout) -> list[GoldError] | None:
        """Return the gold errors that were counted when the job's own file was read; None where they are refused."""
        return None if layout.gold_errors is None else layout.gold_errors.of(self.own_paths(layout)[0])

    def paths(self, layout: Layout) -> tuple[Path, ...]:
        """Return the files that the job's score depends on, those of a shared pool included."""
        pool = self.task.pool.source.paths(layout, self.split) if self.task.pool else ()
        return tuple(dict.fromkeys((*self.own_paths(layout), *pool)))


def sample_of(request: RequestRecord) -> Sample | None:
    """Return how a run drew its examples; None where it took all of them."""
    return None if request.sample is None else Sample(request.sample, request.sample_seed)


@dataclass(slots=True)
class FeaturizedJob:
    """A job with its examples and the rows that were cut from them."""

    job: Job
    examples: Sequence[Any]
    features: Sequence[Feature]


@dataclass(slots=True)
class FeaturizedPool:
    """The candidates of one task and split: what is left of them once their rows were handed out."""

    task: AnyTask
    split: Split
    ids: list[str] = field(default_factory=list)
    #: The key of each candidate's row.
    keys: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class GraphWorkload:
    """All jobs that one graph answers, over languages and tasks together."""

    artifact: Artifact
    jobs: list[Job]
    #: Of each job; read late where its rows are there already.
    examples: list[Sequence[Any]] = field(default_factory=list)
    featurized: list[FeaturizedJob] = field(default_factory=list)
    pools: list[FeaturizedPool] = field(default_factory=list)

    def read(self, layout: Layout, rows: Rows, advance: Callable[[int], None]) -> None:
        """Read the examples of every job whose rows have to be made, so that damage shows before any work.

        Raises:
            DataError: a file is malformed.
        """
        self.examples = []
        for job in self.jobs:
            known = rows.has(job.task, job.language, job.split, job.partly)
            self.examples.append(Unread(partial(job.read, layout)) if known else job.read(layout))
            advance(1)

    def featurize(self, rows: Rows, advance: Callable[[int], None]) -> None:
        """Take or make the rows of every job; the examples have been read."""
        self.featurized = []
        for job, examples in zip(self.jobs, self.examples, strict=True):
            features = rows.of_job(job.task, job.language, job.split, job.partly, examples)
            self.featurized.append(FeaturizedJob(job, examples, features))
            advance(1)

    def blocks(self, rows: Rows) -> Iterator[list[Feature]]:
        """Yield every row that has to be answered: the jobs', then the pools', a block at a time.

        A million candidates are never in memory together; `pools` keeps their ids and keys.
        """
        self.pools = []
        block = [feature for item in self.featurized for feature in item.features]
        for task, split in dict.fromkeys((job.task.name, job.split) for job in self.jobs if job.task.pool):
            chosen = next(job.task for job in self.jobs if job.task.name == task)
            pool = FeaturizedPool(chosen, split)
            self.pools.append(pool)
            for part in rows.of_pool(chosen, split):
                pool.ids += part.ids
                pool.keys += [feature.key for feature in part.features]
                block += part.features
                if len(block) >= POOL_BLOCK:
                    yield block
                    block = []
        if block:
            yield block

    def names(self, features: Sequence[Feature]) -> list[str]:
        """Return what errors call some of the rows: the first example of each, and how many more have its content."""
        wanted: dict[bytes, list[str]] = {feature.key: [] for feature in features}
        for item in self.featurized:
            for feature in item.features:
                if feature.key in wanted:
                    job, example = item.job, item.examples[feature.example]
                    wanted[feature.key].append(
                        f"task {job.task.name!r}, language {job.language!r}, {job.split} example {example.id!r}"
                    )
        for pool in self.pools:
            for name, key in zip(pool.ids, pool.keys, strict=True):
                if key in wanted:
                    wanted[key].append(f"task {pool.task.name!r}, {pool.split} candidate {name!r}")
        return [_first_of(found) for found in wanted.values()]


def _first_of(names: Sequence[str]) -> str:
    # A row of several windows or two languages is one row where its content is the same.
    others = len(set(names)) - 1
    return f"{names[0]} (and {others} more of the same content)" if others else names[0]


def unanswered(features: Sequence[Feature], answered: set[bytes]) -> list[Feature]:
    """Return the features without an answer, equal ones once."""
    unique: dict[bytes, Feature] = {}
    for feature in features:
        key = feature.key
        if key not in answered:
            unique.setdefault(key, feature)
    return list(unique.values())


def check_splits(jobs: Sequence[Job], layout: Layout) -> None:
    """Refuse splits a dataset lacks and data folders that lack files, before any work.

    Raises:
        UsageError: the split is not one of the dataset's, or not on disk while another one is.
        DataError: lists each missing file.
    """
    missing = []
    for job in jobs:
        source = job.task.source
        if job.split not in source.splits:
            message = (
                f"task {job.task.name!r} has no split {job.split!r}; it has {', '.join(source.splits)}, "
                f"as in `--split {job.task.name}={source.splits[-1]}`"
            )
            raise UsageError(message)
        absent = [path for path in job.paths(layout) if not path.is_file()]
        if absent:
            missing.append((job, absent))
    for job, _ in missing:
        there = _splits_on_disk(job, layout)
        if there:
            message = (
                f"task {job.task.name!r} has no {job.split} file for {job.language!r} in {layout.xtreme}, "
                f"but {', '.join(there)}; choose it with `--split {job.task.name}={there[0]}`"
            )
            raise UsageError(message)
    check_files([path for _, absent in missing for path in absent], "this evaluation")


def _splits_on_disk(job: Job, layout: Layout) -> list[Split]:
    return [
        split
        for split in job.task.source.splits
        if split not in (job.split, "train") and _is_there(replace(job, split=split), layout)
    ]


def _is_there(job: Job, layout: Layout) -> bool:
    return all(path.is_file() for path in job.paths(layout))


def available(jobs: Sequence[Job], layout: Layout) -> tuple[list[Job], list[Job]]:
    """Return the jobs that the data folder allows, and those it does not.

    A job keeps its split where the files are there, and takes another one than train otherwise.
    """
    there, absent = [], []
    for job in jobs:
        if job.split in job.task.source.splits and _is_there(job, layout):
            there.append(job)
        elif splits := _splits_on_disk(job, layout):
            there.append(replace(job, split=splits[-1]))
        else:
            absent.append(job)
    return there, absent


def with_graphs(
    jobs: Sequence[Job], store: ArtifactStore, model: str, variant: str | None
) -> tuple[list[Job], list[Job]]:
    """Return the jobs for which a model has an exported graph, and those for which it has none.

    Args:
        jobs: what would be evaluated.
        store: the exported graphs.
        model: whose.
        variant: their precision; any where None.
    """
    graphs = {(artifact.finetune, artifact.variant) for artifact in store.of(model)}
    trained = {finetune for finetune, _ in graphs}
    exported = {
        name
        for name, finetune in {job.task.finetune.name: job.task.finetune for job in jobs}.items()
        if (name, answering_variant(store, model, variant or EXACT, finetune)) in graphs
        or (variant is None and name in trained)
    }
    there = [job for job in jobs if job.task.finetune.name in exported]
    return there, [job for job in jobs if job.task.finetune.name not in exported]


def group(jobs: Sequence[Job], store: ArtifactStore, model: str, variant: str) -> list[GraphWorkload]:
    """Return the jobs by the graph that answers them.

    Raises:
        UsageError, ArtifactError: a graph is missing or damaged, or has another head.
    """
    by_finetune: dict[str, list[Job]] = {}
    for job in jobs:
        by_finetune.setdefault(job.task.finetune.name, []).append(job)
    return [_workload(store, model, variant, members) for members in by_finetune.values()]


def _workload(store: ArtifactStore, model: str, variant: str, jobs: list[Job]) -> GraphWorkload:
    task = jobs[0].task
    artifact = checked(_graph(store, model, variant, task), task)
    return GraphWorkload(artifact, answered_by(artifact, jobs))


def answered_by(artifact: Artifact, jobs: Sequence[Job]) -> list[Job]:
    """Return jobs with their tasks as a graph answers them: its order of labels, its encoder's prompts.

    Raises:
        ArtifactError: the graph's labels are not a task's.
    """
    return [replace(job, task=task_of(artifact, job.task)) for job in jobs]


def _graph(store: ArtifactStore, model: str, variant: str, task: AnyTask) -> Artifact:
    chosen = answering_variant(store, model, variant, task.finetune)
    return store.find(model, task.finetune.name, chosen)


def answering_variant(store: ArtifactStore, model: str, variant: str, finetune: AnyFinetune) -> str:
    """Return the variant whose graph answers: where a lossy one left a retrieval graph out, that is fp32."""
    left_out = is_retrieval(finetune.head) and not store.directory(model, finetune.name, variant).is_dir()
    return EXACT if left_out else variant


def checked(artifact: Artifact, task: AnyTask) -> Artifact:
    """Return the artifact if its graph has the head that the task declares.

    Raises:
        ArtifactError: names both signatures.
    """
    token_types = TOKEN_TYPES in artifact.signature.inputs
    declared = task.finetune.head.signature(artifact.manifest.hidden, token_types=token_types)
    if artifact.signature != declared:
        message = (
            f"graph {artifact.graph} gives {artifact.signature.describe()}, task {task.name!r} needs "
            f"{declared.describe()}; export it again with `harness export --model {artifact.model}`"
        )
        raise ArtifactError(message)
    return artifact


def by_task(jobs: Sequence[Job]) -> Mapping[str, list[Job]]:
    """Return the jobs of each task, in order."""
    grouped: dict[str, list[Job]] = {}
    for job in jobs:
        grouped.setdefault(job.task.name, []).append(job)
    return grouped
