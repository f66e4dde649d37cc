"""The real sentences that graphs are checked on: examples for the gate, and rows for the check of the trace."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.artifacts.adapted import adapt_task
from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.core.examples import cluster_of, first, is_scored, scored
from harness.core.features import Feature, Tokenizer
from harness.core.heads import Head, TokenClassification
from harness.core.languages import language
from harness.core.layout import Layout, Split
from harness.core.task import AnyFinetune, AnyTask, Metric, Outputs, PoolSearch, Postprocessor
from harness.evaluation.workload import Job

#: Candidates that are searched, the first ones there are beside the right ones: so many, and for each example of a
#: script at most so many. Where values are held equal few examples are compared, and few candidates show as much.
CANDIDATES, CANDIDATES_OF_EXAMPLE = 1_000, 5
#: Rows that the check of the trace compares; two of each language and task, up to this many.
PROBES = 24

#: Feature key -> a network's outputs for that row.
SampleAnswers: TypeAlias = Mapping[bytes, Outputs]


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
    #: Whether examples of one id in several languages are translations of one item.
    parallel: bool = False
    search: PoolSearch | None = None
    candidates: Sequence[str] = ()
    candidate_features: Sequence[Feature] = ()

    @property
    def script(self) -> str:
        """Return the script of the sample's language."""
        return language(self.language).script

    @property
    def scored(self) -> int:
        """Return how many examples count."""
        return len(scored(self.examples))

    @property
    def keys(self) -> list[tuple[Hashable, ...]]:
        """Return what each example shares with those that it is correlated with (`statistics.clusters.connected`)."""
        found: list[tuple[Hashable, ...]] = []
        for example in self.examples:
            shared = cluster_of(example)
            text = [] if shared is None else [(self.name, self.language, shared)]
            item = (self.name, None if self.parallel else self.language, "id", example.id)
            found.append((*text, item))
        return found

    def first(self, count: int) -> "GateSample":
        """Return the sample with its first examples that count, and all others that they need."""
        kept = {id(example) for example in first(self.examples, count)}
        places = [place for place, example in enumerate(self.examples) if id(example) in kept]
        renumbered = {place: number for number, place in enumerate(places)}
        return replace(
            self,
            examples=[self.examples[place] for place in places],
            features=[
                replace(feature, example=renumbered[feature.example])
                for feature in self.features
                if feature.example in renumbered
            ],
        )

    def rows(self) -> list[Feature]:
        """Return every row that a graph has to answer for the sample."""
        return [*self.features, *self.candidate_features]

    def predict(self, answers: SampleAnswers) -> Sequence[Any]:
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


#: Number of scripts -> examples that are wanted of each.
Wanted: TypeAlias = Callable[[int], int]


def read_samples(
    finetune: AnyFinetune, layout: Layout, tokenizer: Tokenizer, wanted: Wanted, *, each_task: bool = False
) -> list[GateSample]:
    """Return examples of every task, language and script that a graph will answer, from the files there are.

    Of the dev split where a task has one: the gate compares a graph with its own model, and what it
    learns about test sentences should be nothing. The training set's own dev examples join them: a
    zero-shot score may be at chance while the model is not.

    Args:
        finetune: what the graph was trained for.
        layout: the data folder.
        tokenizer: the model's.
        wanted: how many examples each script should have, from the number of scripts there are; a script has
            fewer where its files have fewer. They are spread evenly over its tasks and languages.
        each_task: whether so many are wanted of each task of a script, not of all together.
    """
    drawn = _draw(finetune, layout)
    by_script: dict[tuple[str, str], list[_Drawn]] = {}
    for one in drawn:
        by_script.setdefault((language(one.language).script, one.name if each_task else ""), []).append(one)
    count = wanted(len({script for script, _ in by_script}))
    shares: dict[int, int] = {}
    for members in by_script.values():
        sizes = spread([len(scored(member.examples)) for member in members], count)
        shares |= {id(member): size for member, size in zip(members, sizes, strict=True)}
    limit = min(CANDIDATES, CANDIDATES_OF_EXAMPLE * count)
    return [_sample(one, shares[id(one)], layout, tokenizer, limit) for one in drawn if shares[id(one)]]


def spread(available: Sequence[int], total: int) -> list[int]:
    """Return how many to take of each part so that they sum to `total`, as evenly as there are examples, at least 1."""
    taken = [0] * len(available)
    left = total
    for rank, place in enumerate(sorted(range(len(available)), key=available.__getitem__)):
        share = -(-left // (len(available) - rank))
        taken[place] = min(available[place], max(1, share))
        left = max(0, left - taken[place])
    return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """All examples of one task or dev set in one language."""

    name: str
    language: str
    split: Split
    finetune: AnyFinetune
    examples: Sequence[Any]
    scorer: Scorer
    #: None for a training set's own dev examples.
    task: AnyTask | None = None


def _draw(finetune: AnyFinetune, layout: Layout) -> list[_Drawn]:
    answered = [adapt_task(task, finetune) for task in tasks.answered_by(finetune.name)]
    drawn = [
        _Drawn(
            name=task.name,
            language=code,
            split=split,
            finetune=task.finetune,
            examples=task.source.read(layout, code, split),
            scorer=task,
            task=task,
        )
        for task in answered
        for code in task.all_languages(None)
        if (split := split_there(task, layout, code)) is not None
    ]
    source = finetune.train
    if source is not None and finetune.metric is not None and all(task.source is not source for task in answered):
        drawn += [
            _Drawn(
                name=f"{finetune.name} dev",
                language=code,
                split="dev",
                finetune=finetune,
                examples=source.read(layout, code, "dev"),
                scorer=finetune,
            )
            for code in finetune.languages
            if "dev" in source.splits and all(path.is_file() for path in source.paths(layout, code, "dev"))
        ]
    return [one for one in drawn if scored(one.examples)]


def split_there(task: AnyTask, layout: Layout, code: str) -> Split | None:
    """Return the first split of a task, train aside, whose files a data folder has."""
    for split in task.source.splits:
        if split != "train" and all(path.is_file() for path in Job(task, code, split).paths(layout)):
            return split
    return None


def _sample(drawn: _Drawn, count: int, layout: Layout, tokenizer: Tokenizer, limit: int) -> GateSample:
    """Return the first examples of what was drawn as rows, among at most about `limit` candidates."""
    featurizer, task = drawn.finetune.featurizer, drawn.task
    examples = _among(first(drawn.examples, count), limit)
    pool = None if task is None else task.pool
    candidates = list(islice(pool.source.read(layout, drawn.split), limit)) if pool else []
    return GateSample(
        name=drawn.name,
        language=drawn.language,
        examples=examples,
        features=featurizer(examples, tokenizer),
        scorer=drawn.scorer,
        head=drawn.finetune.head,
        own=task is None,
        parallel=task is not None and task.parallel,
        search=pool.search if pool else None,
        candidates=[candidate.id for candidate in candidates],
        candidate_features=featurizer(candidates, tokenizer) if candidates else [],
    )


def _among(examples: Sequence[Any], limit: int) -> list[Any]:
    """Return examples with the right candidates of each, and so many other candidates and tuning queries."""
    if all(is_scored(example) for example in examples):
        return list(examples)
    tuning = [example for example in examples if example.side == "query" and not is_scored(example)][:limit]
    queries = [*scored(examples), *tuning]
    kept = {id(example) for example in queries}
    right = {name for query in queries for name in query.gold}
    others = 0
    for example in examples:
        if example.side == "candidate" and (example.id in right or others < limit):
            others += example.id not in right
            kept.add(id(example))
    return [example for example in examples if id(example) in kept]


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
