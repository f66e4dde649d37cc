"""The precision that a training computes its products in, and what decides on it."""

import os
from collections.abc import Collection
from pathlib import Path

import torch

from training.recipe import Compute

#: What `accelerate launch --mixed_precision` set; a recipe's bf16 stands above it.
VARIABLE = "ACCELERATE_MIXED_PRECISION"
_LAUNCHED = os.environ.get(VARIABLE, "no")

_CPU = Path("/proc/cpuinfo")
#: Instructions that multiply in bf16.
FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def has_bf16() -> bool:
    """Return whether this machine has instructions for products in bf16: its GPU, or its CPU where it has no GPU."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    lines = _CPU.read_text(encoding="utf-8").splitlines() if _CPU.is_file() else []
    return any(line.startswith("flags") and not FLAGS.isdisjoint(line.split()) for line in lines)


def precision_of(compute: Compute, refused: Collection[str] = ()) -> str:
    """Return the precision of a training as accelerate names it: "no" for fp32, "bf16", "fp16".

    Args:
        compute: what the recipe says; where it says nothing, how the processes were launched decides, and then the
            machine.
        refused: precisions in which the encoder's family is not trained; the machine does not choose them.
    """
    if compute.bf16 is not None:
        return "bf16" if compute.bf16 else "no"
    if _LAUNCHED != "no":
        return _LAUNCHED
    return "bf16" if has_bf16() and "bf16" not in refused else "no"


def name_of(precision: str) -> str:
    """Return a precision as `phase.json` names it; weights, optimiser, losses and norms are fp32 in any case."""
    return "fp32" if precision == "no" else precision


def memory() -> int:
    """Return the bytes that training may use: of the GPU, or of this machine or what its cgroup allows."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    return found if text == "max" else min(found, int(text))
