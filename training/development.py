"""The score of a fresh checkpoint on the dev split of its training language, in this process."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from harness.data import Layout
from harness.features import Feature
from harness.planner import BatchPlanner
from harness.task import AnyFinetune, Outputs
from harness.tensors import pad
from harness.tokenizer import FastTokenizer

#: Examples at most; enough to follow a training, and the test sets are `harness eval`'s business.
EXAMPLES = 500


def development_scores(
    finetune: AnyFinetune, model: PreTrainedModel, layout: Layout, language: str, tokenizer: FastTokenizer
) -> dict[str, Any]:
    """Return the finetune's scores in percent and the number of examples, or why there are none."""
    source = finetune.train
    if source is None or finetune.metric is None or finetune.postprocess is None or "dev" not in source.splits:
        return {"examples": 0}
    if not all(path.is_file() for path in source.paths(layout, language, "dev")):
        return {"examples": 0}
    examples = source.read(layout, language, "dev")[:EXAMPLES]
    features = finetune.featurizer(examples, tokenizer)
    outputs = _answers(finetune, model, features, tokenizer.pad_id)
    predictions = finetune.postprocess(examples, features, outputs)
    totals = finetune.metric.counts(examples, predictions, language).sum(axis=0)
    return {**finetune.metric.scores(totals), "examples": len(examples)}


def _answers(finetune: AnyFinetune, model: PreTrainedModel, features: Sequence[Feature], pad_id: int) -> list[Outputs]:
    """Return the outputs of each feature under the names of the head's signature."""
    names = [spec.name for spec in finetune.head.signature(model.config.hidden_size).outputs]
    answers: list[Outputs] = [{} for _ in features]
    for batch in BatchPlanner().plan([len(feature.input_ids) for feature in features]):
        rows = pad([features[row].input_ids for row in batch.rows], pad_id, batch.width)
        inputs = {name: torch.from_numpy(value).to(model.device) for name, value in rows.items()}
        if type(model).__name__.endswith("MultipleChoice"):
            inputs = {name: value.unsqueeze(1) for name, value in inputs.items()}
        with torch.inference_mode():
            results = model(**inputs)
        for place, row in enumerate(batch.rows):
            length = len(features[row].input_ids)
            answers[row] = {name: _share(results[name][place], length, batch.width) for name in names}
    return answers


def _share(value: torch.Tensor, length: int, width: int) -> np.ndarray:  # type: ignore[type-arg]
    array = value.float().cpu().numpy()
    return array[:length] if array.shape[:1] == (width,) else array
