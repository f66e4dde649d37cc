"""Multiple choice: each choice of an example is a row of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.benchmark.featurizers.pair import pair_feature
from harness.benchmark.featurizers.truncation import shared_first
from harness.core.examples import ChoiceExample
from harness.core.features import Feature, Tokenizer


@dataclass(frozen=True, slots=True)
class ChoiceFeaturizer:
    """Rows `premise question | choice`; every row's target is the right choice's index.

    Where the longest row does not fit, what the choices share is cut first, and in every row alike: the beginning of
    the premise (as jiant's `truncate_end=False`), then the words with which all choices begin, then those with which
    they end; what differs between the choices is cut last.

    `official` is the rule of the benchmark's numbers: each row for itself, the longer side at its end, as in
    transformers' `longest_first`. Rows of one example then have unequal premises, and may become identical.
    """

    max_tokens: int = 128
    official: bool = False

    def __call__(self, examples: Sequence[ChoiceExample], tokenizer: Tokenizer) -> list[Feature]:
        """See `harness.core.features.Featurizer`."""
        prompts = tokenizer.subwords([f"{example.premise} {example.question}".rstrip() for example in examples])
        subwords = iter(tokenizer.subwords([choice for example in examples for choice in example.choices]))
        room = self.max_tokens - len(tokenizer.pair([], []))
        features = []
        for number, (example, prompt) in enumerate(zip(examples, prompts, strict=True)):
            kept = prompt, [next(subwords) for _ in example.choices]
            if not self.official:
                kept = shared_first(*kept, room)
            target = np.asarray(example.label, dtype=np.int64)
            features += [
                pair_feature(number, tokenizer, kept[0], choice, self.max_tokens, target) for choice in kept[1]
            ]
        return features

    def counted(self, features: Sequence[Feature]) -> Mapping[str, int]:
        """See `harness.core.features.Counting`."""
        keys: dict[int, list[bytes]] = {}
        for feature in features:
            keys.setdefault(feature.example, []).append(feature.key)
        return {"examples with identical choices": sum(len(set(own)) < len(own) for own in keys.values())}
