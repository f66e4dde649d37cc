"""The tensors of a checkpoint, by name, and what is wrong with them for the class that is to be loaded.

transformers fills what is missing with random numbers, leaves out what it does not expect, and prints a
warning. Here both are refused.
"""

import json
import re
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harness.core.errors import CheckpointError
from harness.encoders.families import Family, families

Shape: TypeAlias = tuple[int, ...]

#: Types of a weight, as safetensors names them.
FLOATS = ("F64", "F32", "F16", "BF16")
#: Tensors that a message names.
_NAMED = 3
#: The longest header that safetensors itself reads, in bytes.
_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a checkpoint's files."""

    #: As safetensors names it: F32, BF16, I64.
    dtype: str
    shape: Shape


def read_header(path: Path) -> dict[str, Stored]:
    """Return the tensors of a safetensors file; only its header is read.

    Raises:
        CheckpointError: the file is no safetensors file, or ends before its last tensor does.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, _HEADER)))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        found = {name: Stored(str(entry["dtype"]), tuple(entry["shape"])) for name, entry in tensors.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        message = f"{path} is no safetensors file ({error!r}); copy or download the checkpoint again"
        raise CheckpointError(message) from error
    if size != 8 + length + end:
        message = (
            f"{path} has {size:,} bytes, its header says {8 + length + end:,}; copy or download the checkpoint again"
        )
        raise CheckpointError(message)
    return found


def read_index(path: Path) -> dict[str, str]:
    """Return tensor -> file of a checkpoint in several files.

    Raises:
        CheckpointError: the index is damaged.
    """
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        return {str(name): str(file) for name, file in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is damaged ({error!r}); copy or download the checkpoint again"
        raise CheckpointError(message) from error


def check_index(index: Mapping[str, str], shards: Mapping[str, Collection[str]], path: Path) -> None:
    """Refuse files that do not hold the tensors that their index names.

    Args:
        index: tensor -> file.
        shards: file -> the tensors in it.
        path: the index, for the message.

    Raises:
        CheckpointError: names the tensors.
    """
    absent = [name for name, file in index.items() if name not in shards.get(file, ())]
    if absent:
        message = (
            f"{path} names {listed(absent, index)} that {'are' if len(absent) > 1 else 'is'} in none of its files; "
            f"copy or download the checkpoint again"
        )
        raise CheckpointError(message)


def listed(names: Collection[str], total: Collection[str] | None = None) -> str:
    """Return three of several tensors and how many they are: ``13 of 197 tensors (a, b, c, ...)``."""
    chosen = sorted(names)
    more = ", ..." if len(chosen) > _NAMED else ""
    of = "" if total is None else f" of {len(total)}"
    noun = "tensors" if len(chosen if total is None else total) != 1 else "tensor"
    return f"{len(chosen)}{of} {noun} ({', '.join(chosen[:_NAMED])}{more})"


def current_name(name: str) -> str:
    """Return a tensor's name as today's classes have it; checkpoints of 2018 call two of a norm's otherwise."""
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name))


def with_prefix(names: Collection[str], prefix: str) -> dict[str, str]:
    """Return each name -> the name with the family's prefix.

    An encoder that was saved alone has none; then every tensor gets it. Heads of the others keep theirs.
    """
    if any(name.startswith(f"{prefix}.") for name in names):
        return {name: current_name(name) for name in names}
    return {name: f"{prefix}.{current_name(name)}" for name in names}


def check_tensors(
    found: Mapping[str, Stored],
    wanted: Mapping[str, Shape],
    family: Family,
    *,
    kind: str,
    source: object,
    optional: Sequence[str] = (),
) -> None:
    """Refuse a checkpoint whose tensors are not those of the class that is to be loaded.

    Args:
        found: the checkpoint's.
        wanted: the class's, by name, all that it has.
        family: what config.json says the checkpoint is.
        kind: the class's name, for messages.
        source: the checkpoint's folder or hub id, for messages.
        optional: names of wanted tensors that are copies of others, and need not be there.

    Raises:
        CheckpointError: tensors are missing, beyond what the family names, of another shape, or no floating-point
            numbers; names three and their number.
    """
    problem = next(_problems(found, wanted, family, kind, optional), None)
    if problem is not None:
        message = f"{str(source)!r} cannot be loaded as {family.model_type}: {problem}"
        raise CheckpointError(message)


def _problems(
    found: Mapping[str, Stored], wanted: Mapping[str, Shape], family: Family, kind: str, optional: Sequence[str]
) -> Iterator[str]:
    prefix = family.prefix
    there = {new: found[name] for name, new in with_prefix(found, prefix).items()}
    right = {new: wanted[name] for name, new in with_prefix(wanted, prefix).items()}
    tied = {new for name, new in with_prefix(wanted, prefix).items() if name in optional}
    missing = right.keys() - there.keys() - tied
    if missing:
        yield f"it lacks {listed(missing, right)} of {kind}; {_remedy(found, family, missing, right)}"
    allowed = [re.compile(pattern) for pattern in (*family.heads, *family.buffers)]
    names = with_prefix(found, prefix)
    extra = [
        name
        for name, new in names.items()
        if new not in right and not any(each.fullmatch(name) or each.fullmatch(new) for each in allowed)
    ]
    if extra:
        yield (
            f"it has {listed(extra, found)} that {kind} does not have; give a checkpoint whose config.json fits its "
            f"weights (num_hidden_layers and model_type above all), without tensors of another model"
        )
    strange = [name for name, new in names.items() if new in right and found[name].dtype not in FLOATS]
    if strange:
        types = ", ".join(sorted({found[name].dtype for name in strange}))
        yield f"{listed(strange, found)} are of type {types}; give a checkpoint in {', '.join(FLOATS)}, not quantised"
    shaped = sorted(new for new, shape in right.items() if new in there and there[new].shape != shape)
    if shaped:
        first = shaped[0]
        yield (
            f"{listed(shaped, right)} have other shapes than config.json says: {first} has {there[first].shape}, "
            f"{right[first]} is right; give the config.json that belongs to the weights"
        )


def _remedy(found: Mapping[str, Stored], family: Family, missing: Collection[str], right: Collection[str]) -> str:
    """Return what would be right where tensors are missing."""
    own = f"{family.prefix}."
    if not any(name.startswith(own) for name in found):
        for other in families().values():
            if other.prefix != family.prefix and any(name.startswith(f"{other.prefix}.") for name in found):
                return (
                    f"its tensors begin with '{other.prefix}.', as those of {other.model_type} do: give the "
                    f"config.json that belongs to the weights, with its own model_type"
                )
    if len(missing) > len(right) / 2:
        return (
            f"tensors of {family.model_type} begin with '{own}' or, in an encoder that was saved alone, with nothing; "
            f"rename them, or give the config.json that belongs to the weights"
        )
    return "give the whole checkpoint, or the config.json that belongs to the weights"
