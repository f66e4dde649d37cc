"""The only function that loads weights: every tensor compared, nothing random, nothing left out in silence."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from harness.core.errors import CheckpointError
from harness.core.progress import Progress
from harness.encoders.families import Family, family_of
from harness.encoders.vocabulary import check_vocabulary, without_token_types
from harness.encoders.weights import (
    Shape,
    Stored,
    check_index,
    check_tensors,
    listed,
    read_header,
    read_index,
)
from training.encoders import hub
from training.encoders.networks import Networks, networks_of

#: torch's types by the names of safetensors; others are refused under torch's own name.
_TYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
#: What transformers says of tensors that a class has no use for, which `check_tensors` has judged already.
_UNUSED = "were not used when initializing"


@dataclass(frozen=True, slots=True)
class CheckpointSource:
    """Where a checkpoint is: a folder, or a hub id with a commit."""

    name: str
    revision: str | None = None

    @property
    def is_folder(self) -> bool:
        """Return whether it is a folder here, which comes before a hub id of the same name."""
        return Path(self.name).is_dir()

    def fetch(self, progress: Progress) -> None:
        """Fetch what is on the hub, with progress; without this it is fetched in silence when it is needed.

        Raises:
            CheckpointError: see `training.encoders.hub.fetch`.
        """
        if not self.is_folder:
            hub.fetch(self.name, self.revision, progress)

    @property
    def path(self) -> Path:
        """Return the folder that has its files, fetched from the hub where they have to be.

        Raises:
            CheckpointError: it is no folder, and the hub does not give it.
        """
        return Path(self.name) if self.is_folder else hub.fetch(self.name, self.revision).folder

    @property
    def commit(self) -> str | None:
        """Return the commit of a hub id; None for a folder."""
        return None if self.is_folder else hub.fetch(self.name, self.revision).commit

    def file(self, name: str) -> Path | None:
        """Return one of its files; None where it has none of that name."""
        found = self.path / name
        return found if found.is_file() else None

    def knows(self, name: str) -> bool:
        """Return whether it is known if it has a file of this name: offline, the hub's cache may be a part of it."""
        return self.is_folder or hub.fetch(self.name, self.revision).knows(name)


def read_config(source: CheckpointSource) -> tuple[Networks, PretrainedConfig]:
    """Return a checkpoint's family and its config.

    Raises:
        CheckpointError: there is none, its family is not known, or it has settings that the family's graphs do not.
    """
    with _worded(source):
        if source.file("config.json") is None:
            what = "a folder" if source.is_folder else "a repository"
            message = f"{source.name!r} has no config.json; name {what} with config.json, weights and tokenizer"
            raise CheckpointError(message)
        values, _ = PretrainedConfig.get_config_dict(source.path)
    family = family_of(values, source.name)
    networks = networks_of(family.model_type)
    with _worded(source):
        config = networks.config.from_pretrained(source.path)
    _check_settings(config, family, source)
    networks.settle(config)
    return networks, config


def _check_settings(config: PretrainedConfig, family: Family, source: CheckpointSource) -> None:
    for key, right in family.settings.items():
        value = getattr(config, key, right[0])
        if value not in right:
            message = (
                f"config.json of {source.name!r} says {key} = {value!r}, an encoder of {family.model_type} has "
                f"{' or '.join(map(repr, right))}; give the config.json that belongs to the weights"
            )
            raise CheckpointError(message)


def load_encoder(
    source: str | Path, revision: str | None = None, *, tokenizer: Path | None = None, pooler: bool = False
) -> PreTrainedModel:
    """Return the encoder of a checkpoint in fp32, without any head that it may have.

    Args:
        source: a folder, or a hub id.
        revision: a commit of the hub id.
        tokenizer: a tokenizer.json that has to be the encoder's; not looked at where None.
        pooler: whether to keep the encoder's pooler, which then has to be there.

    Raises:
        CheckpointError: the checkpoint is not whole, not of a known family, has other tensors or NaN, or the tokenizer
            is not its own.
    """
    where = CheckpointSource(str(source), revision)
    networks, config = read_config(where)
    if tokenizer is not None:
        check_vocabulary(tokenizer, config.to_dict(), networks.family, where.name)
    return load(networks.base, networks, config, where, pooler=pooler)


def load(
    kind: type[PreTrainedModel],
    networks: Networks,
    config: PretrainedConfig,
    source: CheckpointSource,
    *,
    pooler: bool = False,
    **options: Any,
) -> PreTrainedModel:
    """Return a network in fp32 whose every tensor came from a checkpoint.

    Args:
        kind: the class, of the family's.
        networks: the family's classes.
        config: as `read_config` gives it, labels changed or not.
        source: where the checkpoint is.
        pooler: whether an encoder alone keeps its pooler, which then has to be there.
        options: more arguments of `from_pretrained`.

    Raises:
        CheckpointError: a tensor is missing, too many, of another shape or type, or has NaN or infinity.
    """
    own = networks.options(kind, pooler=pooler)
    wanted, copies = _wanted(kind, config, own)
    check_tensors(
        read_tensors(source), wanted, networks.family, kind=kind.__name__, source=source.name, optional=copies
    )
    with _worded(source), _heard():
        network, report = kind.from_pretrained(
            source.path,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            **own,
            **options,
        )
    # Nothing of this can be left after the comparison, unless transformers reads the files in another way.
    wrong = [*report["missing_keys"], *map(str, report["mismatched_keys"]), *report["error_msgs"]]
    if wrong:
        message = f"transformers did not load {listed(wrong)} of {source.name!r}; use the versions of constraints.txt"
        raise CheckpointError(message)
    check_finite(network, source.name)
    return network


def _wanted(
    kind: type[PreTrainedModel], config: PretrainedConfig, options: Mapping[str, Any]
) -> tuple[dict[str, Shape], list[str]]:
    """Return the tensors of a class with their shapes, and those that are copies of others (tied weights)."""
    with torch.device("meta"):
        empty = kind(config, **options)
    shapes = {name: tuple(value.shape) for name, value in empty.state_dict().items()}
    tied = [re.compile(pattern) for pattern in empty._tied_weights_keys or ()] if config.tie_word_embeddings else []
    return shapes, [name for name in shapes if any(pattern.search(name) for pattern in tied)]


def read_tensors(source: CheckpointSource) -> dict[str, Stored]:
    """Return the tensors of a checkpoint's files, by name; no weights are read where they are safetensors.

    Raises:
        CheckpointError: there are no weights, or a file is missing or damaged.
    """
    for single, several in hub.WEIGHTS:
        with _worded(source):
            path, index = source.file(single), source.file(several)
        if path is not None:
            return _read(path)
        if index is not None:
            return _read_shards(source, index)
    raise _no_weights(source)


def weight_files(source: CheckpointSource) -> list[Path]:
    """Return the files of a checkpoint's weights, in alphabetical order.

    Raises:
        CheckpointError: there are none, or one that the index names is missing.
    """
    for single, several in hub.WEIGHTS:
        with _worded(source):
            path, index = source.file(single), source.file(several)
        if path is not None:
            return [path]
        if index is not None:
            with _worded(source):
                shards = {name: source.file(name) for name in sorted(set(read_index(index).values()))}
            check_index(
                read_index(index), {name: {} if path is None else _read(path) for name, path in shards.items()}, index
            )
            return [path for path in shards.values() if path is not None]
    raise _no_weights(source)


def _no_weights(source: CheckpointSource) -> CheckpointError:
    names = ", ".join(name for pair in hub.WEIGHTS for name in pair)
    return CheckpointError(f"{source.name!r} has no weights; a checkpoint has one of {names}")


def _read_shards(source: CheckpointSource, index: Path) -> dict[str, Stored]:
    parts = read_index(index)
    shards = {}
    for name in sorted(set(parts.values())):
        with _worded(source):
            path = source.file(name)
        shards[name] = {} if path is None else _read(path)
    check_index(parts, shards, index)
    return {tensor: stored for shard in shards.values() for tensor, stored in shard.items()}


def _read(path: Path) -> dict[str, Stored]:
    if path.suffix == ".safetensors":
        return read_header(path)
    try:
        tensors = torch.load(path, map_location="meta", weights_only=True)
        return {
            name: Stored(_TYPES.get(value.dtype, str(value.dtype)), tuple(value.shape))
            for name, value in tensors.items()
        }
    except Exception as error:  # a damaged archive raises RuntimeError, UnpicklingError, EOFError or AttributeError
        message = f"{path} holds no weights that can be read ({type(error).__name__}); copy or download it again"
        raise CheckpointError(message) from error


def check_finite(network: PreTrainedModel, source: str) -> None:
    """Refuse a network with NaN or infinity in a weight.

    Raises:
        CheckpointError: names three tensors and their number.
    """
    tensors = {
        name: value for name, value in network.state_dict().items() if value.is_floating_point() and value.numel()
    }
    # The extremes of values with NaN among them are NaN.
    wrong = [name for name, value in tensors.items() if not torch.stack(torch.aminmax(value)).isfinite().all()]
    if wrong:
        message = (
            f"{source!r} has NaN or infinity in {listed(wrong, tensors)}; copy, download or train the checkpoint again"
        )
        raise CheckpointError(message)


def write_tokenizer(source: CheckpointSource, path: Path) -> None:
    """Write the tokenizer.json of a checkpoint, without token types where its encoder takes none.

    Raises:
        CheckpointError: it has no tokenizer, or no known family.
    """
    networks, _ = read_config(source)
    try:
        # transformers 4.57.3 and later warn of Mistral's pattern for every local folder, whatever its model.
        tokenizer = AutoTokenizer.from_pretrained(source.path, fix_mistral_regex=False)
        text = tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # tokenizers raises a bare Exception for every failure
        cause = " ".join(str(error).split())
        message = f"no tokenizer can be loaded from {source.name!r} ({cause}); put its tokenizer.json there"
        raise CheckpointError(message) from error
    path.write_text(text if networks.family.token_types else without_token_types(text), encoding="utf-8")


@contextmanager
def _worded(source: CheckpointSource) -> Iterator[None]:
    """Word the failures of reading a checkpoint, for which each library has an error of its own.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        cause = " ".join(str(error).split())
        message = (
            f"{source.name!r} cannot be loaded ({cause}); give a folder, or a hub id, with config.json, weights and "
            f"tokenizer"
        )
        raise CheckpointError(message) from error


@contextmanager
def _heard() -> Iterator[None]:
    """Let transformers say what it does with tensors, whatever its verbosity is, and nothing else while it loads."""

    def is_news(record: logging.LogRecord) -> bool:
        return _UNUSED not in record.getMessage()

    log = logging.getLogger("transformers.modeling_utils")
    level, verbosity = log.level, transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    log.setLevel(logging.WARNING)
    log.addFilter(is_news)
    try:
        yield
    finally:
        log.removeFilter(is_news)
        log.setLevel(level)
        transformers_logging.set_verbosity(verbosity)
