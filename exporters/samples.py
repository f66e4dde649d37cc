"""The real sentences that graphs are checked on: examples for the gate, and rows for the check of the trace."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.artifacts.adapted import adapt_task
from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.core.examples import first
from harness.core.features import Feature, Tokenizer
from harness.core.heads import Head, TokenClassification
from harness.core.languages import language
from harness.core.layout import Layout, Split
from harness.core.task import AnyFinetune, AnyTask, Metric, Outputs, PoolSearch, Postprocessor, Source
from harness.evaluation.workload import Job

#: Candidates that are searched where a task shares a pool, the first ones of it: so many, and for each example of a
#: script at most so many. Where values are held equal few examples are compared, and few candidates show as much.
CANDIDATES, CANDIDATES_OF_EXAMPLE = 1_000, 5
#: Rows that the check of the trace compares; two of each language and task, up to this many.
PROBES = 24

#: Feature key -> a network's outputs for that row.
Answers: TypeAlias = Mapping[bytes, Outputs]


class Scorer(Protocol):
    """What turns answers into a number: a task, or a finetune with its own dev set."""

    @property
    def postprocess(self) -> Postprocessor[Any, Any] | None:
        """Answers to predictions."""
        ...

    @property
    def metric(self) -> Metric[Any, Any] | None:
        """Predictions to statistics."""
        ...

    @property
    def headline(self) -> tuple[str, ...]:
        """The scores whose mean is the number."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSample:
    """Examples in one language, with the candidates that they are searched among."""

    #: ``xnli``, or ``copa dev`` for a training set's own.
    name: str
    language: str
    examples: Sequence[Any]
    features: Sequence[Feature]
    scorer: Scorer
    head: Head
    #: Whether these are dev examples of the training set itself, in a language it has.
    own: bool = False
    search: PoolSearch | None = None
    candidates: Sequence[str] = ()
    candidate_features: Sequence[Feature] = ()

    @property
    def script(self) -> str:
        """Return the script of the sample's language."""
        return language(self.language).script

    def rows(self) -> list[Feature]:
        """Return every row that a graph has to answer for the sample."""
        return [*self.features, *self.candidate_features]

    def predict(self, answers: Answers) -> Sequence[Any]:
        """Return the predictions that follow from a graph's answers."""
        own = [answers[feature.key] for feature in self.features]
        if self.search is not None:
            candidates = [answers[feature.key] for feature in self.candidate_features]
            return self.search.among(_vectors(own), [(self.candidates, _vectors(candidates))])
        assert self.scorer.postprocess is not None
        return self.scorer.postprocess(self.examples, self.features, own)

    def decisions(self, prediction: Any) -> Sequence[Any]:
        """Return the parts that can change: the tags of a sentence, the best candidate, else the whole."""
        if isinstance(self.head, TokenClassification):
            return tuple(prediction)
        return tuple(prediction[:1]) if self.search is not None else (prediction,)

    def counts(self, predictions: Sequence[Any]) -> NDArray[np.float64]:
        """Return the metric's statistics, one row for each example."""
        assert self.scorer.metric is not None
        return self.scorer.metric.counts(self.examples, predictions, self.language)

    def score(self, totals: NDArray[np.float64]) -> float:
        """Return the headline number, in percent, from summed statistics."""
        assert self.scorer.metric is not None
        scores = self.scorer.metric.scores(totals)
        return sum(scores[name] for name in self.scorer.headline) / len(self.scorer.headline)


def read_samples(finetune: AnyFinetune, layout: Layout, tokenizer: Tokenizer, count: int) -> list[GateSample]:
    """Return examples of every task, language and script that a graph will answer, from the files there are.

    So many of each task and script, split over the script's languages.
    Of the dev split where a task has one: the gate compares a graph with its own model, and what it
    learns about test sentences should be nothing. The training set's own dev examples join them: a
    zero-shot score may be at chance while the model is not.
    """
    samples = []
    answered = [adapt_task(task, finetune) for task in tasks.answered_by(finetune.name)]
    for task in answered:
        there = {code: split for code in task.all_languages(None) if (split := split_there(task, layout, code))}
        written = [language(code).script for code in there]
        for code, split in there.items():
            share = math.ceil(count / written.count(language(code).script))
            limit = min(CANDIDATES, CANDIDATES_OF_EXAMPLE * count)
            samples.append(_sample(task, Job(task, code, split, share), layout, tokenizer, limit))
    source = finetune.train
    if source is not None and finetune.metric is not None and all(task.source is not source for task in answered):
        samples += [_own(finetune, source, code, layout, tokenizer, count) for code in finetune.languages]
    return [sample for sample in samples if sample.examples]


def split_there(task: AnyTask, layout: Layout, code: str) -> Split | None:
    """Return the first split of a task, train aside, whose files a data folder has."""
    for split in task.source.splits:
        if split != "train" and all(path.is_file() for path in Job(task, code, split).paths(layout)):
            return split
    return None


def _sample(task: AnyTask, job: Job, layout: Layout, tokenizer: Tokenizer, limit: int) -> GateSample:
    featurizer, examples = task.finetune.featurizer, job.read(layout)
    candidates = list(islice(task.pool.source.read(layout, job.split), limit)) if task.pool else []
    return GateSample(
        name=task.name,
        language=job.language,
        examples=examples,
        features=featurizer(examples, tokenizer),
        scorer=task,
        head=task.finetune.head,
        search=task.pool.search if task.pool else None,
        candidates=[candidate.id for candidate in candidates],
        candidate_features=featurizer(candidates, tokenizer) if candidates else [],
    )


def _own(
    finetune: AnyFinetune, source: Source[Any], code: str, layout: Layout, tokenizer: Tokenizer, count: int
) -> GateSample:
    """Return dev examples of a training set, none where it has no dev file."""
    there = "dev" in source.splits and all(path.is_file() for path in source.paths(layout, code, "dev"))
    examples = first(source.read(layout, code, "dev"), count) if there else []
    return GateSample(
        name=f"{finetune.name} dev",
        language=code,
        examples=examples,
        features=finetune.featurizer(examples, tokenizer) if examples else [],
        scorer=finetune,
        head=finetune.head,
        own=True,
    )


def _vectors(outputs: Sequence[Outputs]) -> NDArray[np.float32]:
    return np.stack([next(iter(output.values())) for output in outputs])


def probe_rows(finetune: AnyFinetune, layout: Layout, tokenizer: Tokenizer) -> list[NDArray[np.int64]]:
    """Return token ids of real sentences: of every task and language the graph will answer, several lengths.

    Only inputs are read, labels play no part. From each file the shortest and the longest row of
    the first examples are taken, spread over the languages where there are too many.
    """
    rows: list[NDArray[np.int64]] = []
    for task in tasks.answered_by(finetune.name):
        for code in task.all_languages(None):
            split = split_there(task, layout, code)
            if split is not None:
                examples = task.source.read(layout, code, split)[:16]
                if task.pool is not None:
                    examples += islice(task.pool.source.read(layout, split), 16)
                features = finetune.featurizer(examples, tokenizer)
                ordered = sorted((feature.input_ids for feature in features), key=len)
                rows += [ordered[0], ordered[-1]]
    if len({row.tobytes() for row in rows}) < 2:
        message = (
            f"{layout.xtreme} has no file of a task that {finetune.name!r} answers, and an export is checked on "
            f"real sentences; name a data folder with `--data`"
        )
        raise UsageError(message)
    spread = np.linspace(0, len(rows) - 1, min(PROBES, len(rows))).astype(int)
    return [rows[index] for index in spread]
