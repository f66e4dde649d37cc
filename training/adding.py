"""`harness add`: an encoder or fine-tuned networks that were trained elsewhere, as checkpoints of a model.

Everything is checked before anything is written: weights tensor by tensor, tokenizers, label names. What is
written is then exported, evaluated, served and verified as a trained model is.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast, get_args

from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import PretrainedConfig, PreTrainedModel

from harness.artifacts.adapted import Labelled
from harness.artifacts.checkpoint import PHASE_FILE, OriginRecord, read_metadata
from harness.artifacts.workspace import SAMPLE, Workspace
from harness.benchmark import finetunes, tasks
from harness.core.errors import CheckpointError, DataError, UsageError, nearest
from harness.core.files import link_or_copy
from harness.core.heads import ChoiceScore, Pooling, SentenceEmbedding, describe, is_retrieval
from harness.core.languages import table
from harness.core.progress import Progress
from harness.core.records import to_json
from harness.core.task import AnyFinetune, Family
from harness.core.version import packages
from harness.encoders.catalogue import Known, find, of_hub
from harness.encoders.vocabulary import check_vocabulary
from harness.evaluation.provenance import commit
from training.checkpoint import Checkpoint, write_checkpoint
from training.encoders.known import SourcedWeights, of_source, weights_of
from training.encoders.loading import CheckpointSource, load, read_config, write_tokenizer
from training.encoders.networks import Networks
from training.encoders.sentence_transformers import SentenceModel, read_sentence_model
from training.experiment import LOADING, identity_of
from training.recipe import NAME

#: Training sets whose graphs may be the encoder itself.
ENCODER = "encoder"
#: What transformers calls a label that nobody named.
_UNNAMED = "LABEL_"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One checkpoint that will be written."""

    finetune: AnyFinetune
    head: Mapping[str, Any]
    weights: SourcedWeights
    #: Loads the network; it has been loaded once, so that this cannot fail for what it holds.
    network: Callable[[], PreTrainedModel]
    #: The text of tokenizer.json.
    tokenizer: str
    more: Mapping[str, Any] = field(default_factory=dict)


def add(request: AddRequest, workspace: Workspace, progress: Progress) -> list[Checkpoint]:
    """Write the target checkpoints of a model that was trained elsewhere; equal ones that are there stay.

    Raises:
        UsageError: a name, an option or a label name is wrong.
        DataError: the file of `trained_on` is missing or malformed.
        CheckpointError: a checkpoint is not whole, of another head, or its tokenizer does not fit.
    """
    _check(request)
    declared = _trained_on(request.trained_on)
    heads = _heads(request)
    with progress.step(f"{request.name}: checking", 1 + len(heads), "checkpoints") as advance:
        made = _encoder(request, workspace, progress)
        advance(1)
        for name, place in heads.items():
            made.append(_head(name, place, request, declared))
            advance(1)
    made = [_with_exposure(target, declared) for target in made]
    _check_tokenizers(request.name, made)
    return _write(request, made, workspace, progress)


def _check(request: AddRequest) -> None:
    """Refuse what is wrong with the options alone."""
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


def _trained_on(path: Path | None) -> Mapping[str, Mapping[str, int]] | None:
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


_EXAMPLE = '{"inference": {"en": 392702}}'


def _exposure_problems(found: Any) -> Any:
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


# The encoder


def _encoder(request: AddRequest, workspace: Workspace, progress: Progress) -> list[_Target]:
    """Return the checkpoints that an encoder alone answers: the encoder, and the dual encoders' tasks."""
    if request.checkpoint is None and request.encoder is None:
        return []
    known, weights, own = _named(request, workspace)
    if weights.origin.source == "hub" and request.revision is None and known is not None and known.revision is None:
        progress.say(f"{request.name}: {known.hub} is not pinned; commit {weights.source.revision} is recorded")
    source = weights.source
    networks, config = read_config(source)
    if known is not None and known.model_type != networks.family.model_type:
        message = (
            f"{source.name!r} is of model_type {networks.family.model_type!r}, {known.name} is {known.model_type!r}; "
            f"give the encoder's own folder, or name this one with `--checkpoint`"
        )
        raise CheckpointError(message)
    pooling = _pooling(request, known, own, networks)
    layer = _layer(request, known, own, config, pooling)
    text = _tokenizer(source)
    head = SentenceEmbedding(layers={}, pooling=pooling)
    _check_tokenizer(text, config, networks, source)

    def network() -> PreTrainedModel:
        return load(networks.base, networks, config, source, pooler=pooling == "pooler")

    network()
    more = {
        "retrieval_layer": layer,
        "prompts": _prompts(request, known, own),
        "row_tokens": _row_tokens(own, networks, config),
        "exposure_declared": known is not None,
        "seen": known.seen() if known is not None else {},
    }
    own_vectors = [finetunes.load(ENCODER), *(finetunes.load(name) for name in finetunes.names() if _is_dual(name))]
    return [
        _Target(finetune=finetune, head=describe(head), weights=weights, network=network, tokenizer=text, more=more)
        for finetune in own_vectors
    ]


def _is_dual(name: str) -> bool:
    """Return whether a training set makes a dual encoder that answers a task."""
    head = finetunes.load(name).head
    return is_retrieval(head) and not isinstance(head, SentenceEmbedding) and bool(tasks.answered_by(name))


def _named(request: AddRequest, workspace: Workspace) -> tuple[Known | None, SourcedWeights, SentenceModel | None]:
    """Return the encoder that is named, its weights, and what sentence-transformers wrote beside them."""
    if request.encoder is not None:
        known = find(request.encoder)
        return known, weights_of(known, request.source, request.revision, workspace.checkpoints), None
    source = _source(str(request.checkpoint), request.revision, "--checkpoint")
    found = None if Path(source.name).is_dir() else of_hub(source.name)
    own = read_sentence_model(source)
    return found, of_source(source if own is None else own.source, found), own


def _source(name: str, revision: str | None, option: str) -> CheckpointSource:
    """Return a folder or a hub id, which needs a commit unless the catalogue has one."""
    if Path(name).is_dir():
        return CheckpointSource(name)
    known = of_hub(name)
    chosen = revision or (known.revision if known else None)
    if chosen is None:
        message = f"`{option} {name}` is no folder here, and a hub id needs its commit: add `--revision COMMIT`"
        raise UsageError(message)
    return CheckpointSource(name, chosen)


def _pooling(request: AddRequest, known: Known | None, own: SentenceModel | None, networks: Networks) -> Pooling:
    if request.pooling is not None:
        return cast(Pooling, request.pooling)
    if known is not None:
        return known.pooling
    if own is None:
        return cast(Pooling, networks.family.pooling)
    if own.pooling is None:
        message = f"{own.source.name!r}: {own.problem}; say with `--pooling` what makes a vector"
        raise CheckpointError(message)
    return own.pooling


def _layer(
    request: AddRequest, known: Known | None, own: SentenceModel | None, config: PretrainedConfig, pooling: Pooling
) -> int:
    """Return the hidden state that is pooled: the user's, the catalogue's, or the official one of this depth."""
    layers = int(config.num_hidden_layers)
    official = cast(SentenceEmbedding, finetunes.load(ENCODER).head).layers
    if request.layer is not None:
        layer = request.layer
    elif known is not None:
        layer = known.retrieval_layer
    elif own is not None or pooling == "pooler":
        layer = layers
    elif layers in official:
        layer = official[layers]
    else:
        message = (
            f"no hidden state is known for an encoder of {layers} layers; add `--layer {layers}` for the last one, "
            f"or another from 0 to {layers}"
        )
        raise UsageError(message)
    if not 0 <= layer <= layers:
        message = f"`--layer {layer}` is none of the hidden states 0 to {layers}; give one of them"
        raise UsageError(message)
    if pooling == "pooler" and layer != layers:
        message = f"pooling 'pooler' reads the last of {layers} layers; leave `--layer {layer}` out, or pool otherwise"
        raise UsageError(message)
    return layer


def _prompts(request: AddRequest, known: Known | None, own: SentenceModel | None) -> dict[str, str] | None:
    found: Any = known or own
    query = found.query_prompt if request.prompt is None and found is not None else request.prompt or ""
    if request.candidate_prompt is not None:
        candidate = request.candidate_prompt
    elif found is not None and request.prompt is None:
        candidate = found.candidate_prompt
    else:
        # A user who names one text means it for all.
        candidate = query
    return {"query": query, "candidate": candidate} if query or candidate else None


def _row_tokens(own: SentenceModel | None, networks: Networks, config: PretrainedConfig) -> int | None:
    """Return the longest row of one text where it is shorter than the tasks' own."""
    longest = networks.family.longest_row(config.to_dict())
    if own is not None and own.row_tokens is not None:
        longest = min(longest, own.row_tokens)
    return longest if longest < finetunes.load(ENCODER).featurizer.max_tokens else None


# Fine-tuned networks


def _heads(request: AddRequest) -> dict[str, tuple[str, str]]:
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


def _head(
    name: str, named: tuple[str, str], request: AddRequest, declared: Mapping[str, Mapping[str, int]] | None
) -> _Target:
    """Return the checkpoint of a fine-tuned network."""
    task, place = named
    finetune = finetunes.load(name)
    weights = of_source(_source(place, request.revision, f"--head {task}="))
    source = weights.source
    networks, config = read_config(source)
    kind = networks.kind(finetune.head)
    if config.architectures != [kind.__name__]:
        found = ", ".join(config.architectures or ["no architecture"])
        message = f"{source.name!r} holds {found}, task {task!r} needs {kind.__name__}; give a network that ends so"
        raise CheckpointError(message)
    head = finetune.head
    if isinstance(head, Labelled):
        order = _label_order(task, source, config, head.labels, _given_labels(request, task))
        head = replace(cast(Any, head), labels=order)
        config.id2label = dict(enumerate(order))
        config.label2id = {label: number for number, label in enumerate(order)}
    if isinstance(head, ChoiceScore):
        # One score for each choice, whatever config.json calls it.
        config.id2label, config.label2id = {0: "score"}, {"score": 0}
    text = _tokenizer(source)
    _check_tokenizer(text, config, networks, source)

    def network() -> PreTrainedModel:
        return load(kind, networks, config, source)

    network()
    more = {"exposure_declared": declared is not None, "seen": {}, "taught_by": name}
    return _Target(
        finetune=replace(finetune, head=head), head=describe(head), weights=weights, network=network, tokenizer=text,
        more=more,
    )  # fmt: skip


def _given_labels(request: AddRequest, task: str) -> tuple[str, ...] | None:
    """Return the label names that a user gives for a head, in the order of its outputs."""
    plain = [entry for entry in request.labels if "=" not in entry]
    named = {entry.partition("=")[0]: entry.partition("=")[2] for entry in request.labels if "=" in entry}
    for name in named:
        if name not in {entry.partition("=")[0] for entry in request.heads}:
            message = f"`--labels {name}=...` belongs to no `--head {name}=FOLDER`"
            raise UsageError(message)
    labelled = [entry.partition("=")[0] for entry in request.heads if _has_labels(entry.partition("=")[0])]
    if plain and (len(labelled) > 1 or len(plain) > 1):
        message = f"`--labels {plain[0]}` could be those of {', '.join(labelled)}; write `--labels {labelled[0]}=a,b,c`"
        raise UsageError(message)
    text = named.get(task, plain[0] if plain else None)
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _has_labels(task: str) -> bool:
    return isinstance(tasks.load(task).finetune.head, Labelled)


def _label_order(
    task: str,
    source: CheckpointSource,
    config: PretrainedConfig,
    wanted: tuple[str, ...],
    given: tuple[str, ...] | None,
) -> tuple[str, ...]:
    """Return the task's labels in the order of a network's outputs, which names alone decide.

    Raises:
        UsageError: the names are missing, or are not the task's.
    """
    own = tuple(str(config.id2label[number]) for number in sorted(config.id2label))
    unnamed = all(label.startswith(_UNNAMED) for label in own)
    if given is None and unnamed:
        message = (
            f"config.json of {source.name!r} names its labels {', '.join(own)}, which do not say what they mean; "
            f"add `--labels {','.join(wanted)}` in the order that it was trained with"
        )
        raise UsageError(message)
    if given is not None and not unnamed and _folded(given) != _folded(own):
        message = (
            f"config.json of {source.name!r} names its labels {', '.join(own)}, and `--labels` says "
            f"{', '.join(given)}; leave `--labels` out, or mend id2label"
        )
        raise UsageError(message)
    chosen = own if given is None else given
    by_name = {label.casefold(): label for label in wanted}
    strange = next((label for label in chosen if label.casefold() not in by_name), None)
    if strange is not None:
        message = (
            f"label {strange!r} of {source.name!r} is none of task {task!r}{nearest(strange, wanted)}; "
            f"its labels are {', '.join(wanted)}"
        )
        raise UsageError(message)
    if len(chosen) != len(wanted) or len(set(_folded(chosen))) != len(wanted) or len(own) != len(wanted):
        message = (
            f"{source.name!r} has {len(own)} labels, {', '.join(chosen)}; task {task!r} has {len(wanted)}, "
            f"{', '.join(wanted)}, each once"
        )
        raise UsageError(message)
    return tuple(by_name[label.casefold()] for label in chosen)


def _folded(labels: Sequence[str]) -> list[str]:
    return [label.casefold() for label in labels]


# What both have


def _tokenizer(source: CheckpointSource) -> str:
    """Return the tokenizer.json of a checkpoint without the padding and truncation that training left in it."""
    with tempfile.TemporaryDirectory(prefix="harness-tokenizer-") as folder:
        path = Path(folder) / "tokenizer.json"
        write_tokenizer(source, path)
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    text: str = tokenizer.to_str()
    return text


def _check_tokenizer(text: str, config: PretrainedConfig, networks: Networks, source: CheckpointSource) -> None:
    with tempfile.TemporaryDirectory(prefix="harness-tokenizer-") as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(text, encoding="utf-8")
        check_vocabulary(path, config.to_dict(), networks.family, source.name)


def _with_exposure(target: _Target, declared: Mapping[str, Mapping[str, int]] | None) -> _Target:
    """Return a target with what a user's file declares beside what is known."""
    if declared is None:
        return target
    seen = {family: dict(languages) for family, languages in target.more["seen"].items()}
    for family, languages in declared.items():
        seen[family] = {**seen.get(family, {}), **languages}
    return replace(target, more={**target.more, "seen": seen, "exposure_declared": True})


def _check_tokenizers(name: str, made: Sequence[_Target]) -> None:
    """Refuse parts with different tokenizers: a model's graphs share the rows of one."""
    first = made[0]
    for other in made[1:]:
        if other.tokenizer != first.tokenizer:
            message = (
                f"{other.weights.source.name!r} has another tokenizer than {first.weights.source.name!r}, and the "
                f"graphs of one model share one; add them under two names, {name} and {name}_{other.finetune.name}"
            )
            raise CheckpointError(message)


def _write(request: AddRequest, made: Sequence[_Target], workspace: Workspace, progress: Progress) -> list[Checkpoint]:
    """Write the checkpoints that are not there: all of them or none."""
    root = workspace.checkpoints / request.name
    keys = {target.finetune.name: _key(target) for target in made}
    there = _present(request.name, root, keys, made[0].tokenizer)
    workspace.checkpoints.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{request.name}-", dir=workspace.checkpoints))
    written: list[Path] = []
    try:
        files: dict[int, Path] = {}
        for target in made:
            name = target.finetune.name
            if name in there:
                progress.say(f"{request.name}: {name} is there")
                continue
            # Targets with one network share its files.
            save = _saving(target, files.get(id(target.network)))
            made_there = write_checkpoint(draft / name, _metadata(request, target, keys[name]), save)
            files.setdefault(id(target.network), made_there.directory)
            written.append(made_there.directory)
        (root / "target").mkdir(parents=True, exist_ok=True)
        for path in written:
            path.rename(root / "target" / path.name)
    except (OSError, SafetensorError) as error:
        message = f"checkpoints of {request.name!r} cannot be written ({error}); free space and add it again"
        raise CheckpointError(message) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [read_metadata(root / "target" / target.finetune.name) for target in made]


def _present(name: str, root: Path, keys: Mapping[str, str], tokenizer: str) -> set[str]:
    """Return the training sets whose equal checkpoints are there.

    Raises:
        UsageError: other checkpoints of this name are there.
    """
    there = set()
    for path in sorted(root.glob(f"**/{PHASE_FILE}")):
        found = read_metadata(path.parent)
        finetune = found.metadata.finetune
        if found.metadata.origin is None or found.metadata.parents or finetune is None:
            message = f"model {name!r} was trained here; add this one under another name"
            raise UsageError(message)
        if found.tokenizer.read_text(encoding="utf-8") != tokenizer:
            message = f"model {name!r} is there with another tokenizer; add this one under another name"
            raise UsageError(message)
        if finetune in keys and found.metadata.key != keys[finetune]:
            message = (
                f"model {name!r} is there with another {finetune}; add this one under another name, "
                f"or delete {path.parent} first"
            )
            raise UsageError(message)
        there |= {finetune} & keys.keys()
    return there


def _key(target: _Target) -> str:
    """Return the identity of a checkpoint; the data that it is checked on do not change it."""
    return identity_of(
        "added",
        target.finetune.name,
        target.head,
        to_json(target.weights.origin),
        target.tokenizer,
        dict(target.more),
    )


def _metadata(request: AddRequest, target: _Target, key: str) -> dict[str, Any]:
    origin: OriginRecord = target.weights.origin
    return {
        "phase": "target",
        "model": request.name,
        "key": key,
        "parents": {},
        "recipe": {"name": request.name, "data": request.data, "export": {"variants": list(request.variants)}},
        "finetune": target.finetune.name,
        "head": dict(target.head),
        "origin": to_json(origin),
        # Every tensor was compared just now.
        "loading": LOADING,
        "packages": packages(),
        "git": commit(),
        **{name: value for name, value in target.more.items() if value is not None},
    }


def _saving(target: _Target, other: Path | None) -> Callable[[Path], None]:
    """Return what fills a checkpoint's folder; `other` has the same network already."""

    def save(folder: Path) -> None:
        if other is not None:
            for path in other.iterdir():
                if path.name != PHASE_FILE:
                    link_or_copy(path, folder / path.name)
            return
        target.network().save_pretrained(folder)
        (folder / "tokenizer.json").write_text(target.tokenizer, encoding="utf-8")

    return save


def data_of(data: Path | None) -> str | None:
    """Return what a model that is added records as its data: a folder, or the sample where no data is named."""
    if data is not None:
        return str(data.resolve())
    return None if os.environ.get("HARNESS_DATA") else SAMPLE
