"""What `harness add` is asked for: the request, and what is wrong with it before any checkpoint is looked at."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from harness.artifacts.workspace import SAMPLE
from harness.benchmark import tasks
from harness.core.errors import DataError, UsageError, nearest
from harness.core.heads import Pooling, is_retrieval
from harness.core.languages import table
from harness.core.task import Family
from training.recipe import NAME

_EXAMPLE = '{"inference": {"en": 392702}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRequest:
    """What `harness add` was asked for; nothing of it is checked yet."""

    name: str
    #: A folder or a hub id; or a known encoder and where its weights come from.
    checkpoint: str | None = None
    encoder: str | None = None
    source: str | None = None
    #: A commit of the hub id.
    revision: str | None = None
    #: ``TASK=FOLDER`` entries: fine-tuned networks.
    heads: Sequence[str] = ()
    #: Label names in the order of the network's outputs; ``TASK=a,b,c`` where several heads have labels.
    labels: Sequence[str] = ()
    pooling: str | None = None
    layer: int | None = None
    prompt: str | None = None
    candidate_prompt: str | None = None
    #: JSON: family of training sets -> language -> examples.
    trained_on: Path | None = None
    #: The data folder that the model is checked and evaluated on where nothing else is said.
    data: str | None = None
    variants: Sequence[str] = ("fp32",)


def check_request(request: AddRequest) -> None:
    """Refuse what is wrong with the options alone.

    Raises:
        UsageError: says which option.
    """
    if not NAME.fullmatch(request.name):
        message = f"name {request.name!r} must be letters, digits, '_' and '.', as it names folders"
        raise UsageError(message)
    if request.checkpoint is not None and request.encoder is not None:
        message = "`--checkpoint` and `--encoder` both name the encoder; give one of them"
        raise UsageError(message)
    if request.checkpoint is None and request.encoder is None and not request.heads:
        message = "nothing to add; name an encoder (`--encoder`, `--checkpoint`) or a network (`--head TASK=DIR`)"
        raise UsageError(message)
    if request.source is not None and request.encoder is None:
        message = "`--source` belongs to `--encoder`; `--checkpoint` is a folder or a hub id itself"
        raise UsageError(message)
    if request.pooling is not None and request.pooling not in get_args(Pooling):
        known = get_args(Pooling)
        message = f"no pooling {request.pooling!r}{nearest(request.pooling, known)}; it is one of {', '.join(known)}"
        raise UsageError(message)


def read_exposure(path: Path | None) -> Mapping[str, Mapping[str, int]] | None:
    """Return what a network was taught, as a user's file says; None without a file.

    Raises:
        DataError: names what is wrong in the file.
    """
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); give JSON such as {_EXAMPLE}"
        raise DataError(message) from error
    except ValueError as error:
        message = f"{path} is not JSON ({error}); it is such as {_EXAMPLE}"
        raise DataError(message) from error
    problem = next(_exposure_problems(found), None)
    if problem is not None:
        message = f"{path}: {problem}; it is such as {_EXAMPLE}"
        raise DataError(message)
    return cast("Mapping[str, Mapping[str, int]]", found)


def _exposure_problems(found: Any) -> Iterator[str]:
    families = get_args(Family)
    if not isinstance(found, dict):
        yield f"{type(found).__name__} is not an object of families of training sets"
        return
    for family, languages in found.items():
        if family not in families:
            yield f"no family {family!r}{nearest(family, families)}; they are {', '.join(families)}"
        elif not isinstance(languages, dict):
            yield f"{family} is no object of languages and numbers of examples"
        else:
            for code, examples in languages.items():
                if code not in table():
                    yield f"{family} names no language {code!r}{nearest(code, table())}"
                elif type(examples) is not int or examples < 1:
                    yield f"{family} {code} is {examples!r}, a number of examples is expected"


def read_heads(request: AddRequest) -> dict[str, tuple[str, str]]:
    """Return training set -> task that was named and its folder or hub id.

    Raises:
        UsageError: an entry is not ``TASK=FOLDER``, or two name one graph.
    """
    found: dict[str, tuple[str, str]] = {}
    for entry in request.heads:
        name, separator, place = entry.partition("=")
        if not separator or not place:
            message = f"`--head {entry}` is not TASK=FOLDER, such as `--head xnli=FOLDER`"
            raise UsageError(message)
        finetune = tasks.load(name).finetune
        if is_retrieval(finetune.head):
            message = (
                f"`--head {entry}`: task {name!r} compares vectors and has no head to bring; "
                f"give the encoder with `--checkpoint {place}`"
            )
            raise UsageError(message)
        before = found.setdefault(finetune.name, (name, place))
        if before[1] != place:
            message = f"`--head {before[0]}={before[1]}` and `--head {entry}` both answer {finetune.name}; give one"
            raise UsageError(message)
    return found


def data_of(data: Path | None) -> str | None:
    """Return what a model that is added records as its data: a folder, or the sample where no data is named."""
    if data is not None:
        return str(data.resolve())
    return None if os.environ.get("HARNESS_DATA") else SAMPLE
