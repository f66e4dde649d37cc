"""What each step of a training is cut into, and what was computed: the part of a checkpoint's metadata about it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from harness.artifacts.checkpoint import ComputeRecord
from training.parts import parts_of
from training.unpadded import Packing, Unpadded, rate

#: In a state: how much of each set was computed until then.
COUNTS = "counts.json"
#: Names the only set of a training whose batches name none.
ONLY = ""
#: In a batch: 1 where a token is.
MASKS = ("attention_mask", "candidate_mask")


class Parts:
    """Cuts the steps of a training into parts, and counts what was computed of each set."""

    def __init__(self, state: Unpadded, *, tokens: int, at_least: int) -> None:
        """Begin to count.

        Args:
            state: what is computed without padding.
            tokens: useful ones of a part at most.
            at_least: parts of each step that the recipe wants.
        """
        self._state = state
        #: Useful tokens of a part at most.
        self.tokens = tokens
        self._at_least = at_least
        #: Set -> useful tokens, tokens computed, and the most parts that a step had.
        self.counts: dict[str, list[int]] = {}

    @property
    def packs(self) -> bool:
        """Return whether layers see useful tokens only."""
        return self._state.active

    def of(self, batch: dict[str, Any]) -> list[tuple[dict[str, Any], float]]:
        """Return the parts of a step with the weight of each."""
        found = parts_of(batch, self.tokens, unpadded=self._state.active, at_least=self._at_least)
        count = self.counts.setdefault(str(batch.get("task", ONLY)), [0, 0, 0])
        masks = [part[name] for part, _ in found for name in MASKS if name in part]
        count[0] += sum(int(mask.sum()) for mask in masks)
        if self._state.active:
            count[1] += sum(Packing.padded_of(mask) for mask in masks)
        else:
            count[1] += sum(mask.numel() for mask in masks)
        count[2] = max(count[2], len(found))
        return found

    def save(self, state: Path) -> None:
        """Write the counts beside a state of the training."""
        (state / COUNTS).write_text(json.dumps(self.counts), encoding="utf-8")

    def resume(self, state: Path) -> None:
        """Take up the counts of a state; one of before they were kept has none."""
        path = state / COUNTS
        if path.is_file():
            self.counts = json.loads(path.read_text(encoding="utf-8"))


def record_of(model: nn.Module, precision: str, parts: Parts | None) -> ComputeRecord:
    """Return what a checkpoint says of how it was computed.

    Args:
        model: what was trained.
        precision: as `phase.json` names it.
        parts: what its steps were cut into; None for one padded batch each.
    """
    weights = list(model.parameters())
    frozen = sum(value.numel() for value in weights if not value.requires_grad)
    found = ComputeRecord(
        precision=precision, unpadded=parts is not None, frozen_parameters=frozen,
        parameters=sum(value.numel() for value in weights), device="cuda" if torch.cuda.is_available() else "cpu",
    )  # fmt: skip
    if parts is None:
        return found
    dropped = max((module.p for module in model.modules() if isinstance(module, nn.Dropout)), default=0.0)
    on_cpu = found.device == "cpu"
    return msgspec.structs.replace(
        found,
        dropout=rate(dropped) if on_cpu else dropped,
        # Networks that keep their padding keep this too.
        attention_dropout=0.0 if on_cpu and parts.packs else None,
        part_tokens=parts.tokens,
        parts={name: count[2] for name, count in parts.counts.items()},
        padding={name: round(count[1] / count[0], 4) for name, count in parts.counts.items() if count[0]},
    )
