"""Every hidden state of an encoder as the sentence vector of a retrieval task, from one pass.

The outcome is selected on the data it is scored on, so it says which layer a future recipe might
name, and is never taken over by itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from harness.artifacts.workspace import Workspace
from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.core.features import Feature
from harness.core.files import write_json
from harness.core.heads import Pooling, SentenceEmbedding
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.core.tables import Table
from harness.core.task import AnyTask
from harness.core.tensors import pad
from harness.evaluation.results import LanguageScore, TaskScore
from harness.evaluation.selection import choose_jobs, parse_splits
from harness.evaluation.workload import Job, check_splits
from harness.inference.planner import BatchPlanner
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import Checkpoint, read_checkpoint
from training.encoders.loading import load_encoder


@dataclass(frozen=True, slots=True)
class Sweep:
    """The scores of a task at each hidden state, the embedding output first."""

    model: str
    task: AnyTask
    split: str
    layers: Sequence[TaskScore]

    def table(self) -> Table:
        """Return one row for each hidden state, one column for each script."""
        used = list(self.layers[0].by_script())
        rows = [
            [
                f"{layer} of {len(self.layers) - 1}",
                *(f"{score.by_script()[script]:.1f}" for script in used),
                f"{score.score:.1f}",
            ]
            for layer, score in enumerate(self.layers)
        ]
        return Table(f"{self.model} {self.task.name} by hidden state, percent", ["hidden state", *used, "mean"], rows)

    @property
    def best(self) -> int:
        """Return the hidden state with the best mean, the lowest of equals."""
        return max(range(len(self.layers)), key=lambda layer: (self.layers[layer].score, -layer))

    @property
    def warning(self) -> str:
        """Return how the best one was found, so that nobody reports it as a result."""
        return (
            f"hidden state {self.best} is selected-on-{self.split}: its score is no result, and nothing uses it by "
            f"itself; to use it, write `retrieval_layer = {self.best}` in [pretrained] of the recipe, train and export "
            f"again, and report how it was chosen"
        )


def sweep_layers(
    model: str,
    name: str,
    workspace: Workspace,
    *,
    data: Path | None,
    split: str,
    languages: Sequence[str],
    progress: Progress,
) -> Sweep:
    """Score a retrieval task at every hidden state, and write `runs/sweep-MODEL-TASK-SPLIT.json`.

    Raises:
        UsageError: the task compares no hidden state, or the model has no encoder checkpoint.
        DataError: a data file is missing.
    """
    task = tasks.load(name)
    head = task.finetune.head
    if not isinstance(head, SentenceEmbedding):
        message = f"task {name!r} compares no hidden state; sweep one whose graph is an untrained encoder, as tatoeba"
        raise UsageError(message)
    if head.pooling not in _POOL:
        message = f"task {name!r} pools by {head.pooling!r}, which reads one layer alone; sweep mean, cls or last"
        raise UsageError(message)
    checkpoint = _checkpoint(model, task, workspace)
    layout = workspace.layout(data, checkpoint.metadata.data)
    coverage = layout.coverage() if not languages else None
    splits = parse_splits(split, [task])
    jobs = choose_jobs([task], languages=languages, splits=splits, coverage=coverage)
    check_splits(jobs, layout)
    encoder = load_encoder(checkpoint.directory, tokenizer=checkpoint.tokenizer).eval()
    # As evaluation reads texts.
    tokenizer = FastTokenizer(checkpoint.tokenizer, control=True)
    rows: list[list[LanguageScore]] = [[] for _ in range(encoder.config.num_hidden_layers + 1)]
    with progress.step(f"{model}: {name} at every hidden state", len(jobs), "files") as advance:
        for job in jobs:
            for layer, row in enumerate(_scores(job, layout, encoder, tokenizer, head)):
                rows[layer].append(row)
            advance(1)
    expected = task.all_languages(None)
    found = Sweep(model, task, splits[name], [TaskScore(task=task, languages=row, expected=expected) for row in rows])
    write_json(
        workspace.runs / f"sweep-{model}-{name}-{found.split}.json",
        {
            "model": model,
            "task": name,
            "checkpoint": checkpoint.digest,
            "selected_on": found.split,
            "warning": found.warning,
            "hidden_states": [score.to_json() for score in found.layers],
        },
    )
    return found


def _checkpoint(model: str, task: AnyTask, workspace: Workspace) -> Checkpoint:
    directory = workspace.checkpoints / model / "target" / task.finetune.name
    if not directory.is_dir():
        message = (
            f"model {model!r} has no checkpoint {task.finetune.name!r} under {workspace.checkpoints}; "
            f"make it with `harness train RECIPE --target {task.finetune.name}`"
        )
        raise UsageError(message)
    return read_checkpoint(directory)


def _scores(
    job: Job, layout: Layout, encoder: PreTrainedModel, tokenizer: FastTokenizer, head: SentenceEmbedding
) -> Iterator[LanguageScore]:
    """Yield the scores of one language at each hidden state."""
    task = job.task
    examples = job.read(layout)
    features = task.finetune.featurizer(examples, tokenizer)
    for vectors in _hidden_states(encoder, features, tokenizer.pad_id, head):
        outputs = [{"embedding": vector} for vector in vectors]
        predictions = task.postprocess(examples, features, outputs)
        totals = task.metric.counts(examples, predictions, job.language).sum(axis=0)
        yield LanguageScore(
            language=job.language,
            split=job.split,
            examples=len(examples),
            scores=task.metric.scores(totals),
            official=False,
        )


def _mean(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    mask = attention_mask[None, :, :, None].to(hidden.dtype)
    return (hidden * mask).sum(2) / mask.sum(2)


def _first(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    return hidden[:, :, 0]


def _last(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    return hidden[:, torch.arange(hidden.shape[1]), attention_mask.sum(1) - 1]


#: Hidden states (states, rows, tokens, hidden) and mask (rows, tokens) -> vectors (states, rows, hidden).
_POOL: Mapping[Pooling, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": _mean,
    "cls": _first,
    "last": _last,
}


def _hidden_states(
    encoder: PreTrainedModel, features: Sequence[Feature], pad_id: int, head: SentenceEmbedding
) -> NDArray[np.float32]:
    """Return the pooled vectors at each hidden state, (hidden states, rows, hidden), unit length."""
    states = encoder.config.num_hidden_layers + 1
    vectors = np.zeros((states, len(features), encoder.config.hidden_size), dtype=np.float32)
    for batch in BatchPlanner().plan([len(feature.input_ids) for feature in features]):
        padded = pad([features[row].input_ids for row in batch.rows], pad_id, batch.width)
        inputs = {name: torch.from_numpy(value) for name, value in padded.items()}
        with torch.inference_mode():
            answers = encoder(**inputs, output_hidden_states=True)
        # The last one is what the encoder gives: ModernBERT norms it.
        hidden = torch.stack([*answers.hidden_states[:-1], answers.last_hidden_state])
        pooled = _POOL[head.pooling](hidden, inputs["attention_mask"])
        vectors[:, list(batch.rows)] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    return vectors
