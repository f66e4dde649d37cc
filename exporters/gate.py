"""The gate: PyTorch in fp32 against a graph, on real sentences of every script, before anything is published.

What is compared is what a user sees: every output value, every prediction, and the score with an
interval, for each script alone, since quantisation hurts languages unevenly. A model at chance shows
nothing of that, so it cannot vouch for a graph that is not numerically equal.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from exporters.modules import Decision
from harness.artifacts.adapted import adapt_task
from harness.benchmark import tasks
from harness.core.examples import first
from harness.core.features import Feature, Tokenizer, pad_features
from harness.core.heads import Head, TokenClassification
from harness.core.languages import language
from harness.core.layout import Layout, Split
from harness.core.task import AnyFinetune, AnyTask, Metric, Outputs, PoolSearch, Postprocessor, Source
from harness.core.tensors import GraphSignature, Tensors
from harness.evaluation.journal import pack, unpack
from harness.evaluation.workload import Job, unanswered
from harness.inference.planner import BatchPlanner
from harness.statistics.bootstrap import Pair, paired_interval

#: Candidates that are searched where a task shares a pool, the first ones of it: so many, and for each example of a
#: script at most so many. Where values are held equal few examples are compared, and few candidates show as much.
CANDIDATES, CANDIDATES_OF_EXAMPLE = 1_000, 5
#: Below this an output is the same for every row: float32 keeps about seven digits.
SPREAD = 1e-6

Infer: TypeAlias = Callable[[Tensors], Tensors]
Answers: TypeAlias = Mapping[bytes, Outputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a variant may lose in any script: either values are held equal, or predictions and scores are."""

    #: Largest absolute difference of an output value. What flips below it was a tie.
    difference: float | None = None
    #: Share of predictions that may change, tags counted one by one, by what a client decides from the outputs.
    #: A graph is past it, as past `drop`, where the lower end of the 95 % interval is: ten scripts give ten
    #: occasions to be unlucky.
    flips: Mapping[Decision, float] | None = None
    #: Points of score.
    drop: float | None = None

    def to_json(self, decision: Decision) -> dict[str, float | None]:
        """Return the form that gate.json holds."""
        flips = None if self.flips is None else self.flips[decision]
        return {"difference": self.difference, "flips": flips, "drop": self.drop}


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
class Sample:
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


def read_samples(finetune: AnyFinetune, layout: Layout, tokenizer: Tokenizer, count: int) -> list[Sample]:
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


def _sample(task: AnyTask, job: Job, layout: Layout, tokenizer: Tokenizer, limit: int) -> Sample:
    featurizer, examples = task.finetune.featurizer, job.read(layout)
    candidates = list(islice(task.pool.source.read(layout, job.split), limit)) if task.pool else []
    return Sample(
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
) -> Sample:
    """Return dev examples of a training set, none where it has no dev file."""
    there = "dev" in source.splits and all(path.is_file() for path in source.paths(layout, code, "dev"))
    examples = first(source.read(layout, code, "dev"), count) if there else []
    return Sample(
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


def ask(infer: Infer, features: Iterable[Feature], pad_id: int, signature: GraphSignature) -> dict[bytes, Outputs]:
    """Return what a network answers for each row, in batches as an evaluation would send them."""
    rows = unanswered(list(features), set())
    answers: dict[bytes, Outputs] = {}
    for batch in BatchPlanner().plan([len(row.input_ids) for row in rows]):
        chosen = [rows[place] for place in batch.rows]
        tensors = infer(pad_features(chosen, pad_id, signature.inputs, batch.width))
        lengths = [len(row.input_ids) for row in chosen]
        for row, size, blob in zip(chosen, lengths, pack(lengths, tensors, signature), strict=True):
            answers[row.key] = unpack(blob, size, signature)
    return answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate found, in the form of gate.json, and every reason against the graph."""

    record: Mapping[str, Any]
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Return whether nothing speaks against the graph."""
        return not self.problems


def judge(
    reference: Infer,
    graph: Infer,
    samples: Sequence[Sample],
    *,
    pad_id: int,
    signature: GraphSignature,
    decision: Decision,
    tolerance: Tolerance,
) -> Verdict:
    """Compare a graph with the network it came from, script by script.

    Args:
        reference: PyTorch in fp32 on the CPU.
        graph: the variant.
        samples: real examples with their labels.
        pad_id: fills batches up.
        signature: of both.
        decision: what a client reads off the outputs.
        tolerance: what the variant may lose.
    """
    features = [feature for sample in samples for feature in sample.rows()]
    right = ask(reference, features, pad_id, signature)
    given = ask(graph, features, pad_id, signature)
    problems = _unusable(given, signature)
    if problems:
        # Nothing can be predicted from such answers.
        return Verdict(record={"tolerance": tolerance.to_json(decision), "scripts": {}}, problems=tuple(problems))
    cells = [_Cell.of(sample, right, given) for sample in samples]
    scripts = {
        script: _compare([cell for cell in cells if cell.sample.script == script])
        for script in dict.fromkeys(cell.sample.script for cell in cells)
    }
    for script, found in scripts.items():
        problems += _past(script, found, tolerance, decision)
    trained = _trained(samples, right, signature)
    if tolerance.difference is None and not trained["above_chance"]:
        problems.append(
            "the model is no better than answers that ignore the text "
            f"({trained['model']:.1f} against {trained['ignoring_the_text']:.1f}), so that nothing can be learned "
            "about what this variant loses; train it first"
        )
    record = {"tolerance": tolerance.to_json(decision), "trained": trained, "scripts": scripts}
    return Verdict(record=record, problems=tuple(problems))


@dataclass(frozen=True, slots=True)
class _Cell:
    """One sample, answered twice."""

    sample: Sample
    #: The metric's statistics, (examples, columns), of PyTorch and of the graph.
    right: NDArray[np.float64]
    given: NDArray[np.float64]
    decisions: int
    flips: int
    difference: float
    #: Standard deviation of PyTorch's outputs, which a difference is to be seen against.
    deviation: float

    @staticmethod
    def of(sample: Sample, right: Answers, given: Answers) -> "_Cell":
        predictions = sample.predict(right), sample.predict(given)
        decided, others = ([sample.decisions(prediction) for prediction in side] for side in predictions)
        changed = [
            sum(a != b for a, b in zip(left, other, strict=True)) for left, other in zip(decided, others, strict=True)
        ]
        keys = [feature.key for feature in sample.rows()]
        values = np.concatenate([value.ravel() for key in keys for value in right[key].values()])
        answered = np.concatenate([value.ravel() for key in keys for value in given[key].values()])
        return _Cell(
            sample=sample,
            right=sample.counts(predictions[0]),
            given=sample.counts(predictions[1]),
            decisions=sum(map(len, decided)),
            flips=sum(changed),
            difference=float(np.abs(values - answered).max()),
            deviation=float(values.std()),
        )


def _compare(cells: Sequence[_Cell]) -> dict[str, Any]:
    """Return what one script lost; scores are means over its tasks and languages, in percent."""
    before = _mean([cell.sample.score(cell.right.sum(axis=0)) for cell in cells])
    after = _mean([cell.sample.score(cell.given.sum(axis=0)) for cell in cells])
    low, high = paired_interval([Pair(score=cell.sample.score, left=cell.right, right=cell.given) for cell in cells])
    return {
        "samples": [f"{cell.sample.name} {cell.sample.language}" for cell in cells],
        "examples": sum(len(cell.right) for cell in cells),
        "decisions": sum(cell.decisions for cell in cells),
        "flips": sum(cell.flips for cell in cells) / max(1, sum(cell.decisions for cell in cells)),
        "largest_difference": max(cell.difference for cell in cells),
        "deviation": _mean([cell.deviation for cell in cells]),
        "pytorch": before,
        "graph": after,
        "drop": before - after,
        "drop_interval": [low, high],
    }


def _past(script: str, found: Mapping[str, Any], tolerance: Tolerance, decision: Decision) -> list[str]:
    """Return what a script lost beyond what is allowed."""
    problems = []
    if tolerance.difference is not None and found["largest_difference"] > tolerance.difference:
        problems.append(
            f"{script}: an output differs by {found['largest_difference']:.2g}, allowed {tolerance.difference:.2g}"
        )
    flips = 1.0 if tolerance.flips is None else tolerance.flips[decision]
    changed = binomtest(round(found["flips"] * found["decisions"]), max(1, found["decisions"]))
    if changed.proportion_ci(0.95, method="wilson").low > flips:
        problems.append(
            f"{script}: {found['flips']:.1%} of {found['decisions']:,} predictions changed, allowed {flips:.1%}"
        )
    low, high = found["drop_interval"]
    if tolerance.drop is not None and low > tolerance.drop:
        problems.append(
            f"{script}: the score fell by {found['drop']:.1f} points ({low:.1f} to {high:.1f}), "
            f"allowed {tolerance.drop:.1f}"
        )
    return problems


def _unusable(given: Answers, signature: GraphSignature) -> list[str]:
    """Return the outputs that are not finite, or the same for every row."""
    problems = []
    for spec in signature.outputs:
        rows = [outputs[spec.name] for outputs in given.values()]
        columns = spec.axes[-1] if isinstance(spec.axes[-1], int) else 1
        table = np.concatenate([row.reshape(-1, columns) for row in rows]) if rows else np.zeros((0, columns))
        if not np.isfinite(table).all():
            problems.append(
                f"{spec.name} has NaN or infinity in {(~np.isfinite(table)).any(axis=1).mean():.1%} of rows"
            )
        elif rows and float(np.ptp(table, axis=0).max()) < SPREAD:
            problems.append(f"{spec.name} is the same for all {len(rows)} rows")
    return problems


def _trained(samples: Sequence[Sample], right: Answers, signature: GraphSignature) -> dict[str, Any]:
    """Return whether PyTorch's answers are better than answers that no text changes, by a clear margin.

    Over all samples, or on the training set's own dev set: a model may be good there and transfer nothing.
    """
    if not samples:
        return {"above_chance": False, "model": 0.0, "ignoring_the_text": 0.0, "gain_interval": [0.0, 0.0]}
    blind = _ignoring_the_text(right, signature)
    pairs = [(sample, sample.counts(sample.predict(right)), sample.counts(sample.predict(blind))) for sample in samples]
    own = [pair for pair in pairs if pair[0].own]
    groups = [
        [Pair(score=sample.score, left=left, right=right) for sample, left, right in group]
        for group in (pairs, own)
        if group
    ]
    low, high = max(paired_interval(group) for group in groups)
    return {
        "above_chance": low > 0,
        "model": _mean([sample.score(left.sum(axis=0)) for sample, left, _ in pairs]),
        "ignoring_the_text": _mean([sample.score(other.sum(axis=0)) for sample, _, other in pairs]),
        "gain_interval": [low, high],
    }


def _ignoring_the_text(right: Answers, signature: GraphSignature) -> dict[bytes, Outputs]:
    """Return answers without any text in them: mean logits, no preferred position, vectors at random."""
    blank: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {}
    rng = np.random.default_rng(0)
    for spec in signature.outputs:
        width = spec.axes[-1]
        if not isinstance(width, int):
            blank[spec.name] = np.zeros_like
        elif spec.name == "embedding":
            blank[spec.name] = partial(_random_unit, rng)
        else:
            table = np.concatenate([outputs[spec.name].reshape(-1, width) for outputs in right.values()])
            blank[spec.name] = partial(_always, table.mean(axis=0))
    return {key: {name: blank[name](value) for name, value in outputs.items()} for key, outputs in right.items()}


def _always(value: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.broadcast_to(value, like.shape).copy()


def _random_unit(rng: np.random.Generator, like: NDArray[np.float32]) -> NDArray[np.float32]:
    drawn = rng.normal(size=like.shape).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn), dtype=np.float32)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
