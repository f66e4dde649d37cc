"""Graphs into a model repository of Triton's layout, each change whole or not at all.

::

    <repository>/<model>-<finetune>-<variant>/
      config.pbtxt                      profile evaluation, of the version that is served
      configs/online.pbtxt              profile online, of the same version
      <version>/model.onnx              a copy of the artifact's, by reflink where the file system has it
      <version>/model.onnx.data         the same, only for a graph whose weights one file cannot hold
      <version>/known_answer.json
      <version>/manifest.json           the artifact's, and its gate.json where it has one
      <version>/configs/<profile>.pbtxt the content of the two files above while this version is served
      <version>/files.json              the digest of each file above, and of the warm-up that it names
      warmup/probe-<digest>-<input>     raw little-endian int64, one row
    <repository>/<model>-<finetune>-<variant>_text/
      config.pbtxt                      the text model, profile online only
      <version>/...                     what its backend reads, known_answer.json, configs/online.pbtxt, files.json

The files outside of the version folders select what is served. A server that runs may still read
what an older selection named, so warm-ups and versions are only ever added.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from harness.artifacts.gate import GATE
from harness.artifacts.manifest import MANIFEST
from harness.artifacts.store import Artifact
from harness.core.errors import ArtifactError
from harness.core.features import Feature, pad_features
from harness.core.files import copy_apart, file_sha256
from harness.inference.endpoints import check_signature
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.planner import BatchPlanner
from harness.serving.repository.check import FILES, digests_of, holds
from harness.serving.repository.config import Serving, WarmUp, check_name, render_config
from harness.serving.repository.known_answer import FILE, KnownAnswer
from harness.serving.repository.layout import CONFIG, CONFIGS, Profile, config_path, text_name, versions
from harness.serving.repository.text_model import DECLARATION, TextModel
from harness.text.declaration import TextDeclaration
from harness.text.pipeline import TextPipeline
from harness.tokenization.tokenizer import FastTokenizer

#: Makes the text model of one version of an artifact's graph, see `text_model`.
MakeText = Callable[[Artifact, int, Serving], TextModel]


def _known_answer(artifact: Artifact, inputs: dict[str, NDArray[np.int64]]) -> KnownAnswer:
    with OnnxEndpoint.of(artifact) as endpoint:
        check_signature(endpoint, artifact)
        outputs = endpoint.infer(inputs)
    for name, value in outputs.items():
        if not np.isfinite(value).all():
            message = (
                f"graph {artifact.graph} gives values in {name!r} that are not finite; "
                f"export it again with `harness export --model {artifact.model} --force`"
            )
            raise ArtifactError(message)
    return KnownAnswer(
        inputs={name: value.tolist() for name, value in inputs.items()},
        outputs={name: value.tolist() for name, value in outputs.items()},
    )


def _known_text(artifact: Artifact, text: TextModel) -> KnownAnswer:
    """Return what a text model must answer to its question, from the same graph in this process."""
    pipeline = TextPipeline(
        TextDeclaration.from_json(json.loads(text.files[DECLARATION])), FastTokenizer(artifact.tokenizer)
    )
    with OnnxEndpoint.of(artifact) as endpoint:
        (answer,) = pipeline.ask([pipeline.read(text.question)], endpoint, BatchPlanner())
    outputs = answer if pipeline.form.vector else {"answer": json.dumps(answer, ensure_ascii=False)}
    return KnownAnswer(
        inputs={name: [row] for name, row in text.question.items()},
        outputs={name: [value if isinstance(value, list) else [value]] for name, value in outputs.items()},
    )


def _parameters(artifact: Artifact) -> dict[str, str]:
    parameters = {"graph_sha256": artifact.graph_sha256, "tokenizer_sha256": artifact.tokenizer_sha256}
    # With them, the Python backend names ids that are too large and rows that are too long before the graph fails.
    limits = {"vocabulary": artifact.manifest.vocabulary, "max_tokens": artifact.manifest.max_tokens}
    return {**parameters, **{name: str(value) for name, value in limits.items() if value is not None}}


@contextmanager
def locked(repository: Path) -> Iterator[None]:
    """Keep two processes from choosing the same next version, or from selecting two at once."""
    descriptor = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _version_for(model: Path, artifact: Artifact) -> int:
    """Return the newest version that already is this graph, else the number after the newest."""
    numbers = versions(model)
    same = (number for number in reversed(numbers) if holds(model / str(number), artifact))
    return next(same, numbers[-1] + 1 if numbers else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """One version of one served model, ready to be written."""

    name: str
    number: int
    #: The files of the version folder that are rendered or copied, by their path in it.
    files: Mapping[str, bytes]
    #: Copied into the version folder, without a shared inode: the graph's files.
    copied: Sequence[Path] = ()
    #: Files of the model's folder that are the same for all versions.
    shared: Mapping[str, bytes] = field(default_factory=dict)

    def is_whole(self, repository: Path) -> bool:
        """Return whether all of it is there, and the known answer the one that was published."""
        model = repository / self.name
        folder = model / str(self.number)
        wanted = {folder / name: value for name, value in self.files.items()}
        wanted |= {model / name: value for name, value in self.shared.items()}
        recorded, answer = digests_of(folder) or {}, folder / FILE
        there = answer.is_file() and all((folder / path.name).is_file() for path in self.copied)
        # The other digests follow from the files themselves, which are compared below.
        if not there or recorded.keys() != self._paths() or recorded[FILE] != file_sha256(answer):
            return False
        return all(path.is_file() and path.read_bytes() == value for path, value in wanted.items())

    def _paths(self) -> set[str]:
        """Return the paths of its files from the version's folder."""
        shared = {f"../{name}" for name in self.shared}
        return {*self.files, FILE, *shared, *(path.name for path in self.copied)}

    def write(self, repository: Path, staged: Path, answer: KnownAnswer) -> None:
        """Write the version folder, at once where it is new; nothing is selected by that."""
        model, draft = repository / self.name, staged / self.name / str(self.number)
        for name, value in self.files.items():
            _write(draft / name, value)
        for path in self.copied:
            copy_apart(path, draft / path.name)
        answer.write(draft / FILE)
        for name, value in self.shared.items():
            _write(staged / self.name / name, value)
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / self.name / name, model / name)
        model.mkdir(exist_ok=True)
        folder = model / str(self.number)
        digests = {name: file_sha256(model / name[3:] if name[:3] == "../" else draft / name) for name in self._paths()}
        _write(draft / FILES, (json.dumps(digests, indent=1, sort_keys=True) + "\n").encode())
        if not folder.exists():
            draft.rename(folder)
            return
        # The digests last: a change that was cut short is seen by them.
        for path in sorted((path for path in draft.rglob("*") if path.is_file()), key=lambda path: path.name == FILES):
            target = folder / path.relative_to(draft)
            target.parent.mkdir(exist_ok=True)
            os.replace(path, target)


def _write(path: Path, value: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value)


def select(repository: Path, chosen: Mapping[str, int]) -> None:
    """Make versions of graphs the served ones, in all profiles and with their text models: all of them or none.

    The caller holds the repository's lock, and has checked that the versions are whole.

    Args:
        repository: the model repository.
        chosen: the version of each graph, by served name.
    """
    moves: list[tuple[Path, Path]] = []
    for name, version in chosen.items():
        kept = repository / name / str(version) / CONFIGS
        text = repository / text_name(name)
        if (text / str(version)).is_dir():
            moves.append((text / str(version) / CONFIGS / "online.pbtxt", text / CONFIG))
        # Evaluation last: what it selects is what the harness calls published.
        for profile in sorted(get_args(Profile), reverse=True):
            moves.append((kept / f"{profile}.pbtxt", config_path(repository, name, profile)))
    before = {path: path.read_bytes() if path.is_file() else None for _, path in moves}
    with tempfile.TemporaryDirectory(prefix=".select-", dir=repository) as scratch:
        drafts = [(Path(scratch) / str(index), path) for index, (_, path) in enumerate(moves)]
        for (kept, path), (draft, _) in zip(moves, drafts, strict=True):
            draft.write_bytes(kept.read_bytes())
            path.parent.mkdir(exist_ok=True)
        try:
            for draft, path in drafts:
                if before[path] != draft.read_bytes():
                    os.replace(draft, path)
        except BaseException:
            for path, value in before.items():
                _restore(Path(scratch) / "back", path, value)
            raise


def _restore(draft: Path, path: Path, value: bytes | None) -> None:
    if value is None:
        path.unlink(missing_ok=True)
    elif path.read_bytes() != value:
        draft.write_bytes(value)
        os.replace(draft, path)


def _graph_version(
    artifact: Artifact, number: int, serving: Serving, inputs: Mapping[str, NDArray[np.int64]]
) -> _Version:
    ids = inputs["input_ids"]
    warm_up = WarmUp(name=f"probe-{sha256(ids.tobytes()).hexdigest()[:8]}", tokens=ids.shape[1])
    files = {
        f"{CONFIGS}/{profile}.pbtxt": render_config(
            artifact.name,
            artifact.signature,
            serving,
            parameters=_parameters(artifact),
            version=number,
            warmup=warm_up,
            profile=profile,
            pad_id=artifact.pad_id,
        ).encode()
        for profile in get_args(Profile)
    }
    for name in (MANIFEST, GATE):
        if (artifact.directory / name).is_file():
            files[name] = (artifact.directory / name).read_bytes()
    return _Version(
        name=artifact.name,
        number=number,
        files=files,
        copied=artifact.graph_files,
        shared={f"warmup/{warm_up.file(spec)}": inputs[spec.name].tobytes() for spec in artifact.signature.inputs},
    )


def _text_version(text: TextModel, number: int) -> _Version:
    return _Version(
        name=text.name, number=number, files={**text.files, f"{CONFIGS}/online.pbtxt": text.config.encode()}
    )


def publish(
    artifact: Artifact,
    repository: Path,
    serving: Serving,
    *,
    probe_ids: Sequence[int],
    text: MakeText | None = None,
) -> int:
    """Return the version under which Triton now finds a graph, writing only what changed.

    A graph that was never published gets a new version beside the old ones; one that was is
    selected again; changed settings replace the configs only. The graph is hard-linked: a later
    export must replace the artifact's file, never write into it.

    Args:
        artifact: an exported graph.
        repository: Triton's model repository; made if missing.
        serving: batching, instances and threads.
        probe_ids: token ids of a real sentence, special tokens included, for the warm-up and the
            known answer.
        text: makes the text model that is published with the graph; none is where None.

    Raises:
        UsageError: the artifact's name cannot name a served model.
        ArtifactError: the graph gives values that are not finite.
        EndpointError: the graph does not load, or does not answer the probe, or has another signature.
    """
    check_name(artifact.name)
    if not probe_ids:
        message = "probe_ids is empty; a sentence has at least its special tokens"
        raise ValueError(message)
    row = Feature(0, np.asarray(probe_ids, dtype="<i8"))
    inputs = pad_features([row], 0, artifact.signature.inputs)
    repository.mkdir(parents=True, exist_ok=True)
    with locked(repository):
        number = _version_for(repository / artifact.name, artifact)
        graph = _graph_version(artifact, number, serving, inputs)
        due = [] if graph.is_whole(repository) else [(graph, _known_answer(artifact, inputs))]
        if text is not None:
            model = text(artifact, number, serving)
            answering = _text_version(model, number)
            due += [] if answering.is_whole(repository) else [(answering, _known_text(artifact, model))]
        with tempfile.TemporaryDirectory(prefix=f".{artifact.name}-", dir=repository) as scratch:
            for each, answer in due:
                each.write(repository, Path(scratch), answer)
        select(repository, {artifact.name: number})
    return number
