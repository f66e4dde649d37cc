"""Several processes that train one model, as `torchrun` and `accelerate launch` start them."""

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def rank() -> int:
    """Return the number of this process, 0 where there is one."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait() -> None:
    """Wait until every process is here."""
    if world() > 1:
        from accelerate import PartialState  # type: ignore[import-untyped]

        PartialState().wait_for_everyone()


def any_of_all(wanted: bool) -> bool:
    """Return whether any of the processes wants something; all get the same answer."""
    if world() == 1:
        return wanted
    import torch
    from accelerate import PartialState

    found = torch.tensor(int(wanted), device=PartialState().device)
    torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
    return bool(found)


def once(write: Callable[[], T], read: Callable[[], T]) -> T:
    """Return what the first process writes; the others wait and read it."""
    if world() == 1:
        return write()
    if rank() == 0:
        write()
    wait()
    return read()
