"""Multiple choice: each choice of an example is a row of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.benchmark.featurizers.pair import pair_feature
from harness.core.examples import ChoiceExample
from harness.core.features import Feature, Tokenizer


@dataclass(frozen=True, slots=True)
class ChoiceFeaturizer:
    """Rows `premise question | choice`; every row's target is the right choice's index."""

    max_tokens: int = 128

    def __call__(self, examples: Sequence[ChoiceExample], tokenizer: Tokenizer) -> list[Feature]:
        """See `harness.core.features.Featurizer`."""
        prompts = tokenizer.subwords([f"{example.premise} {example.question}".rstrip() for example in examples])
        choices = iter(tokenizer.subwords([choice for example in examples for choice in example.choices]))
        return [
            pair_feature(
                number, tokenizer, prompt, next(choices), self.max_tokens, np.asarray(example.label, dtype=np.int64)
            )
            for number, (example, prompt) in enumerate(zip(examples, prompts, strict=True))
            for _ in example.choices
        ]
