"""The networks that `harness add` takes: an encoder alone or fine-tuned heads, each checked whole, none written yet."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer
from transformers import PretrainedConfig, PreTrainedModel

from harness.artifacts.adapted import Labelled
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes, tasks
from harness.core.errors import CheckpointError, UsageError, nearest
from harness.core.heads import ChoiceScore, Pooling, SentenceEmbedding, describe, is_retrieval
from harness.core.progress import Progress
from harness.core.task import AnyFinetune
from harness.encoders.catalogue import HUB, Known, find, of_hub
from harness.encoders.vocabulary import check_vocabulary
from training.adding_request import AddRequest
from training.encoders.known import SourcedWeights, of_source, on_hub, weights_of
from training.encoders.loading import CheckpointSource, load, read_config, write_tokenizer
from training.encoders.networks import Networks
from training.encoders.sentence_transformers import SentenceModel, read_sentence_model

#: Training sets whose graphs may be the encoder itself.
ENCODER = "encoder"
#: What transformers calls a label that nobody named.
_UNNAMED = "LABEL_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One checkpoint that will be written."""

    finetune: AnyFinetune
    head: Mapping[str, Any]
    weights: SourcedWeights
    #: Loads the network; it has been loaded once, so that this cannot fail for what it holds.
    network: Callable[[], PreTrainedModel]
    #: The text of tokenizer.json.
    tokenizer: str
    more: Mapping[str, Any] = field(default_factory=dict)


def fetch(request: AddRequest, heads: Mapping[str, tuple[str, str]], progress: Progress) -> None:
    """Fetch what is named on the hub, with progress, before anything is checked.

    Args:
        request: names the encoder.
        heads: as `read_heads` gives them.
        progress: shows what comes.

    Raises:
        UsageError: a hub id has no commit.
        CheckpointError: the hub does not give it.
    """
    named = [_source(place, request.revision, f"--head {task}=") for task, place in heads.values()]
    if request.checkpoint is not None:
        named.append(_source(request.checkpoint, request.revision, "--checkpoint "))
    if request.encoder is not None and request.source == HUB:
        named.append(on_hub(find(request.encoder), request.revision))
    for source in named:
        source.fetch(progress)


# The encoder


def encoder_targets(request: AddRequest, workspace: Workspace, progress: Progress) -> list[Target]:
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
        Target(finetune=finetune, head=describe(head), weights=weights, network=network, tokenizer=text, more=more)
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
    source = _source(str(request.checkpoint), request.revision, "--checkpoint ")
    found = None if source.is_folder else of_hub(source.name)
    own = read_sentence_model(source, needed=found is None and request.pooling is None)
    return found, of_source(source if own is None else own.source, found), own


def _source(name: str, revision: str | None, option: str) -> CheckpointSource:
    """Return a folder or a hub id, which needs a commit unless the catalogue has one: its own, ``owner/name@commit``.

    A revision that is given for all of them counts where a hub id has none of its own.

    Raises:
        UsageError: a hub id has no commit.
    """
    if Path(name).is_dir():
        return CheckpointSource(name)
    repository, _, own = name.partition("@")
    known = of_hub(repository)
    chosen = own or revision or (known.revision if known else None)
    if chosen is None:
        message = f"`{option}{name}` is no folder here, and a hub id needs its commit: add `--revision COMMIT`"
        raise UsageError(message)
    return CheckpointSource(repository, chosen)


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


def head_target(
    name: str, named: tuple[str, str], request: AddRequest, declared: Mapping[str, Mapping[str, int]] | None
) -> Target:
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
    return Target(
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


def with_exposure(target: Target, declared: Mapping[str, Mapping[str, int]] | None) -> Target:
    """Return a target with what a user's file declares beside what is known."""
    if declared is None:
        return target
    seen = {family: dict(languages) for family, languages in target.more["seen"].items()}
    for family, languages in declared.items():
        seen[family] = {**seen.get(family, {}), **languages}
    return replace(target, more={**target.more, "seen": seen, "exposure_declared": True})


def check_tokenizers(name: str, made: Sequence[Target]) -> None:
    """Refuse parts with different tokenizers: a model's graphs share the rows of one."""
    first = made[0]
    for other in made[1:]:
        if other.tokenizer != first.tokenizer:
            message = (
                f"{other.weights.source.name!r} has another tokenizer than {first.weights.source.name!r}, and the "
                f"graphs of one model share one; add them under two names, {name} and {name}_{other.finetune.name}"
            )
            raise CheckpointError(message)
