"""Parts of a step: its rows by length, cut so that padding and memory stay small, and the loss stays the whole step's.

A step draws the same rows however it is computed. Within a step the rows are sorted by length and computed in parts;
the loss of each part counts by its targets, so that the gradient is that of the undivided step.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from harness.core.features import IGNORED
from training.shares import share

#: Tokens that are computed, padding included, are at most so many times the useful ones.
PADDING = 1.1
#: Useful tokens of a part: more need more memory and are no faster, fewer leave the processor waiting.
MOST, LEAST = 8192, 512
#: Share of a machine's memory that weights, optimiser and one part may take.
SHARE = 0.6
#: Activations that the backward pass reads, in floats of a hidden state's and of a feed-forward layer's width.
HIDDEN_STATES, FEED_FORWARDS = 10, 2
#: Tokens of the longest rows, whose attention weights are kept too.
LONGEST_ROW = 512
#: Batches with one of these compare their rows with each other, so that parts of them have another loss.
COMPARED = ("aligned", "candidate_ids")
#: What has a column for each token of a row, if it is as wide as the ids.
PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "labels")

Cut = tuple[int, int]


def cut(lengths: NDArray[np.int64], limit: float = PADDING) -> list[Cut]:
    """Return where sorted rows are cut into groups, each padded to its longest row.

    The fewest groups are taken with which padding keeps to the limit, and of those the ones with the least padding.

    Args:
        lengths: of the rows (rows,), ascending.
        limit: padded tokens over useful ones at most.
    """
    values, counts = np.unique(lengths, return_counts=True)
    ends = counts.cumsum()
    starts = ends - counts
    cost = np.where(starts[:, None] < ends, (ends - starts[:, None]) * values.astype(np.float64), np.inf)
    best = cost[0]
    choices: list[NDArray[np.int64]] = []
    while best[-1] > limit * lengths.sum():
        # Row s, column e: the groups before value s as they are best, and one more from s to e.
        more = np.concatenate([[np.inf], best[:-1]])[:, None] + cost
        choices.append(more.argmin(axis=0))
        best = more.min(axis=0)
    place, cuts = len(values) - 1, []
    for choice in reversed(choices):
        first = int(choice[place])
        cuts.append((int(starts[first]), int(ends[place])))
        place = first - 1
    return [(0, int(ends[place])), *reversed(cuts)]


def padded(lengths: NDArray[np.int64], cuts: Sequence[Cut]) -> int:
    """Return the tokens of sorted rows, each group padded to its longest."""
    return int(sum((end - start) * lengths[end - 1] for start, end in cuts))


def by_tokens(lengths: NDArray[np.int64], most: int, at_least: int = 1) -> list[Cut]:
    """Return where rows are cut so that no part has more tokens than allowed, and all have about equally many.

    Args:
        lengths: of the rows (rows,).
        most: tokens of a part; a row alone may have more.
        at_least: parts, if there are so many rows.
    """
    total = lengths.cumsum()
    rows = len(lengths)
    for count in range(min(rows, max(at_least, -(-int(total[-1]) // most))), rows + 1):
        inner = np.searchsorted(total, [total[-1] * number / count for number in range(1, count)], side="left") + 1
        # Each part keeps a row.
        inner = np.minimum(np.maximum(inner, np.arange(1, count)), rows - count + np.arange(1, count))
        inner = np.maximum.accumulate(inner)
        edges = [0, *inner.tolist(), rows]
        found = [(start, end) for start, end in pairwise(edges) if start < end]
        if all(end - start == 1 or lengths[start:end].sum() <= most for start, end in found):
            return found
    return [(row, row + 1) for row in range(rows)]


def lengths_of(batch: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tokens of each row of a batch, and the columns it needs, (rows,) both; choices are parts of a row."""
    mask = batch.get("attention_mask")
    if mask is None:
        ones = np.ones(len(batch["input_ids"]), dtype=np.int64)
        return ones, ones
    tokens = mask.sum(-1).cpu().numpy().reshape(len(mask), -1)
    return tokens.sum(axis=1), tokens.max(axis=1)


def targets_of(batch: Mapping[str, Any]) -> int:
    """Return over how many targets the loss of a batch is the mean."""
    labels = batch.get("labels")
    return len(batch["input_ids"]) if labels is None else int((labels != IGNORED).sum())


def parts_of(
    batch: dict[str, Any], most: int, *, unpadded: bool, at_least: int = 1
) -> list[tuple[dict[str, Any], float]]:
    """Return the parts of a step's batch with the weight of each; the weights' sum is 1.

    Args:
        batch: the arguments of the module, as `training.collate` makes them.
        most: tokens of a part.
        unpadded: whether the network computes without padding, so that parts need not keep it small.
        at_least: parts that the recipe wants.
    """
    if any(name in batch for name in COMPARED):
        # Each part has its own negatives only, hence only as many as the recipe says.
        return [(share(batch, part, at_least), 1 / at_least) for part in range(at_least)]
    tokens, widths = lengths_of(batch)
    order = np.argsort(widths, kind="stable")
    tokens, widths = tokens[order], widths[order]
    if unpadded:
        cuts = by_tokens(tokens, most, at_least)
    else:
        per_column = max(1, batch["input_ids"][0].numel() // batch["input_ids"].shape[-1])
        groups = cut(widths)
        wanted = -(-at_least // len(groups))
        cuts = [
            (first + start, first + end)
            for first, last in groups
            for start, end in by_tokens(np.full(last - first, per_column * widths[last - 1]), most, wanted)
        ]
    total = targets_of(batch)
    found = [_part(batch, order[start:end], int(widths[end - 1])) for start, end in cuts]
    weighed = [(part, targets_of(part) / max(total, 1)) for part in found]
    # The mean over no targets is no number.
    return [(part, weight) for part, weight in weighed if weight]


def _part(batch: Mapping[str, Any], rows: NDArray[np.int64], width: int) -> dict[str, Any]:
    chosen = torch.from_numpy(rows)
    size, ids = len(batch["input_ids"]), batch["input_ids"]
    part = {}
    for name, value in batch.items():
        if not torch.is_tensor(value) or not value.dim() or len(value) != size:
            part[name] = value
            continue
        part[name] = value[chosen]
        if "attention_mask" in batch and name in PER_TOKEN and value.shape == ids.shape:
            part[name] = part[name][..., :width].contiguous()
    return part


def part_tokens(model: nn.Module, memory: int) -> int:
    """Return the useful tokens of a part, so that a training keeps to its share of a machine's memory.

    Args:
        model: what is trained; layers that are frozen count as well, which errs on the safe side.
        memory: bytes that the machine has.
    """
    config = next((each.config for each in model.modules() if isinstance(each, PreTrainedModel)), None)
    if config is None:
        return MOST
    weights = list(model.parameters())
    fixed = 4 * sum(value.numel() for value in weights)
    # Gradients, and the optimiser's two moments.
    fixed += 12 * sum(value.numel() for value in weights if value.requires_grad)
    states = HIDDEN_STATES * config.hidden_size + FEED_FORWARDS * config.intermediate_size
    kept = config.num_hidden_layers * (4 * states + 2 * config.num_attention_heads * LONGEST_ROW)
    return int(min(MOST, max(LEAST, (SHARE * memory - fixed) / kept)))
