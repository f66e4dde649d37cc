"""The dev set of a training language: what the best step is chosen by, scored in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from harness.benchmark import tasks
from harness.core.features import Feature
from harness.core.heads import ChoiceScore
from harness.core.layout import Layout
from harness.core.task import AnyFinetune, Outputs
from harness.core.tensors import TensorSpec
from harness.inference.planner import BatchPlanner
from harness.tokenization.tokenizer import FastTokenizer
from training.collate import inputs_of

#: Examples at most; enough to follow a training, and the test sets are `harness eval`'s business.
EXAMPLES = 500
#: One of so many training examples is held out where a dataset has no dev set to choose by.
HELD_OUT = 20


@dataclass(frozen=True, slots=True)
class Development:
    """Examples that are scored during training, with their rows."""

    finetune: AnyFinetune
    language: str
    examples: Sequence[Any]
    features: Sequence[Feature]
    pad_id: int
    #: Where they come from: "dev", or "held out of train".
    origin: str

    def scores(self, model: PreTrainedModel) -> dict[str, Any]:
        """Return the finetune's scores in percent, and the number of examples and their origin."""
        finetune = self.finetune
        if finetune.metric is None or finetune.postprocess is None:
            message = f"{finetune.name!r} does not say how it is scored"
            raise ValueError(message)
        outputs = _answers(finetune, model, self.features, self.pad_id)
        predictions = finetune.postprocess(self.examples, self.features, outputs)
        totals = finetune.metric.counts(self.examples, predictions, self.language).sum(axis=0)
        return {**finetune.metric.scores(totals), "examples": len(self.examples), "origin": self.origin}

    def score(self, model: PreTrainedModel) -> float:
        """Return the mean of the finetune's headline scores, by which the best step is chosen."""
        found = self.scores(model)
        return float(np.mean([found[name] for name in self.finetune.headline]))


def development(
    finetune: AnyFinetune, layout: Layout, language: str, tokenizer: FastTokenizer, held_out: Sequence[Any]
) -> Development | None:
    """Return the dev set of a finetune, or None where there is nothing to choose by.

    Args:
        finetune: what is trained.
        layout: where its files are.
        language: the language it is trained in.
        tokenizer: makes the rows.
        held_out: training examples that stand in for a dev set the finetune does not have.
    """
    source = finetune.train
    examples, origin = list(held_out), "held out of train"
    if source is not None and has_development(finetune, layout, language):
        seen = evaluated_texts(finetune, layout, language)
        examples = [example for example in source.read(layout, language, "dev") if _reads(example) not in seen]
        origin = "dev"
    examples = examples[:EXAMPLES]
    if not examples:
        return None
    return Development(finetune, language, examples, finetune.featurizer(examples, tokenizer), tokenizer.pad_id, origin)


def has_development(finetune: AnyFinetune, layout: Layout, language: str) -> bool:
    """Return whether a finetune has a dev set of its own, and the data folder has it."""
    source = finetune.train
    return (
        source is not None
        and "dev" in source.splits
        and all(path.is_file() for path in source.paths(layout, language, "dev"))
    )


def evaluated_texts(finetune: AnyFinetune, layout: Layout, language: str) -> set[str]:
    """Return the paragraphs and questions on which the finetune's tasks are evaluated in a language.

    All of XQuAD's English paragraphs are in SQuAD's dev set, and LAReQA's questions are XQuAD's: choosing
    a step by them would be choosing by the test set.
    """
    found = set()
    for task in tasks.answered_by(finetune.name):
        if language in task.all_languages(None) and "test" in task.source.splits:
            paths = task.source.paths(layout, language, "test")
            if all(path.is_file() for path in paths):
                found |= {_reads(row) for row in task.source.read(layout, language, "test")}
    return found - {""}


def _reads(example: Any) -> str:
    """Return the key by which two examples are about the same: a paragraph, or a question that is searched with."""
    return str(next((getattr(example, name) for name in ("context", "query", "text") if hasattr(example, name)), ""))


def is_held_out(example: Any) -> bool:
    """Return whether a training example belongs to the part that stands in for a dev set.

    Questions of one paragraph stay together.
    """
    key = getattr(example, "context", example.id)
    return int.from_bytes(sha256(key.encode()).digest()[:4], "big") % HELD_OUT == 0


def _answers(finetune: AnyFinetune, model: PreTrainedModel, features: Sequence[Feature], pad_id: int) -> list[Outputs]:
    """Return the outputs of each feature under the names of the head's signature."""
    outputs = finetune.head.signature(model.config.hidden_size).outputs
    answers: list[Outputs] = [{} for _ in features]
    for batch in BatchPlanner().plan([len(feature.input_ids) for feature in features]):
        rows = inputs_of([features[row] for row in batch.rows], pad_id, batch.width)
        inputs = {name: value.to(model.device) for name, value in rows.items()}
        if isinstance(finetune.head, ChoiceScore):
            inputs = {name: value.unsqueeze(1) for name, value in inputs.items()}
        with torch.inference_mode():
            results = model(**inputs)
        for index, row in enumerate(batch.rows):
            length = len(features[row].input_ids)
            answers[row] = {spec.name: _share(results[spec.name][index], length, spec) for spec in outputs}
    return answers


def _share(value: torch.Tensor, length: int, spec: TensorSpec) -> np.ndarray:  # type: ignore[type-arg]
    array: np.ndarray = value.float().cpu().numpy()  # type: ignore[type-arg]
    # By what the head declares: a vector may be as wide as the batch.
    return array[:length] if spec.per_token else array
