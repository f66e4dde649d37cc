"""What a run has to answer: jobs, and the features that each graph still owes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.artifacts import Artifact, ArtifactStore
from harness.data import Layout, check_files
from harness.errors import ArtifactError, UsageError
from harness.examples import first
from harness.features import Feature, Tokenizer
from harness.task import AnyTask, Split


@dataclass(frozen=True, slots=True)
class Job:
    """One task in one language on one split."""

    task: AnyTask
    language: str
    split: Split
    #: At most so many examples; None for all. A limited score is a sample, never complete.
    limit: int | None = None

    def read(self, layout: Layout) -> list[Any]:
        """Return the job's examples."""
        examples = self.task.source.read(layout, self.language, self.split)
        return examples if self.limit is None else first(examples, self.limit)


@dataclass(slots=True)
class FeaturizedJob:
    """A job with its examples and the rows that were cut from them."""

    job: Job
    examples: Sequence[Any]
    features: Sequence[Feature]


@dataclass(slots=True)
class GraphWorkload:
    """All jobs that one graph answers, over languages and tasks together."""

    artifact: Artifact
    jobs: list[Job]
    featurized: list[FeaturizedJob] = field(default_factory=list)

    def featurize(self, layout: Layout, tokenizer: Tokenizer, advance: Callable[[str], None]) -> None:
        """Read and featurize every job; `advance` is told each one that is done."""
        self.featurized = []
        for job in self.jobs:
            examples = job.read(layout)
            features = job.task.finetune.featurizer(examples, tokenizer)
            self.featurized.append(FeaturizedJob(job, examples, features))
            advance(f"{job.task.name} {job.language}")

    def rows(self) -> int:
        """Return the rows of all jobs, repeated ones counted as often as they occur."""
        return sum(len(item.features) for item in self.featurized)

    def owed(self, answered: set[bytes]) -> list[Feature]:
        """Return the features without an answer, equal ones once."""
        unique: dict[bytes, Feature] = {}
        for item in self.featurized:
            for feature in item.features:
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
        absent = [path for path in source.paths(layout, job.language, job.split) if not path.is_file()]
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
    source = job.task.source
    return [
        split
        for split in source.splits
        if split not in (job.split, "train")
        and all(path.is_file() for path in source.paths(layout, job.language, split))
    ]


def group(jobs: Sequence[Job], store: ArtifactStore, model: str, variant: str) -> list[GraphWorkload]:
    """Return the jobs by the graph that answers them.

    Raises:
        UsageError, ArtifactError: a graph is missing or damaged, or has another head.
    """
    by_finetune: dict[str, list[Job]] = {}
    for job in jobs:
        by_finetune.setdefault(job.task.finetune.name, []).append(job)
    return [
        GraphWorkload(checked(store.find(model, finetune, variant), members[0].task), members)
        for finetune, members in by_finetune.items()
    ]


def checked(artifact: Artifact, task: AnyTask) -> Artifact:
    """Return the artifact if its graph has the head that the task declares.

    Raises:
        ArtifactError: names both signatures.
    """
    declared = task.finetune.head.signature(int(artifact.manifest["hidden"]))
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
