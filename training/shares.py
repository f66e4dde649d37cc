"""Parts of a step's batch: for gradient accumulation, and for several processes."""

from typing import Any

import torch
from torch.utils.data import Dataset

from harness.core.errors import RecipeError


class Shares(Dataset[dict[str, Any]]):
    """The parts of each step's batch that one process computes, one after another.

    Every process sees every batch and takes its own rows of it, so that a step trains on the same
    examples however many processes and parts there are.
    """

    def __init__(self, batches: Dataset[Any], *, parts: int, rank: int, world: int) -> None:
        self._batches = batches
        self._parts = parts
        self._rank = rank
        self._world = world
        self._last: tuple[int, dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self._batches) * self._parts  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> dict[str, Any]:
        step, part = divmod(index, self._parts)
        if self._last is None or self._last[0] != step:
            self._last = step, self._batches[step]
        return share(self._last[1], part * self._world + self._rank, self._parts * self._world)


def share(batch: dict[str, Any], part: int, parts: int) -> dict[str, Any]:
    """Return every `parts`-th row of a batch from row `part` on; what has no rows stays.

    Raises:
        RecipeError: the batch has fewer rows than parts.
    """
    if parts == 1:
        return batch
    rows = len(batch["input_ids"])
    # Translations stand in the second half of the rows, in the order of the first.
    pairs = int(batch["aligned"]) if "aligned" in batch else None
    chosen = torch.arange(pairs or rows)[part::parts]
    if not len(chosen):
        message = (
            f"a batch of {pairs or rows} rows cannot be split into {parts} parts; "
            f"make `batch_rows`, or `batch_tokens` of text, larger"
        )
        raise RecipeError(message)
    if pairs is not None:
        chosen = torch.cat([chosen, chosen + pairs])
    cut = {
        name: value[chosen] if torch.is_tensor(value) and value.dim() and len(value) == rows else value
        for name, value in batch.items()
    }
    return cut if pairs is None else {**cut, "aligned": torch.tensor(len(chosen) // 2)}
