"""Graphs into a model repository of Triton's layout, each change whole or not at all.

::

    <repository>/<model>-<finetune>-<variant>/
      config.pbtxt
      <version>/model.onnx            a hard link to the artifact's where the file system allows
      <version>/known_answer.json
      warmup/probe-<digest>-<input>   raw little-endian int64, one row
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.artifacts import GRAPH, Artifact, file_sha256
from harness.endpoints import check_signature
from harness.endpoints.onnx import OnnxEndpoint
from harness.errors import ArtifactError, UsageError, nearest
from harness.serving.config import Serving, WarmUp, check_name, render_config
from harness.serving.known_answer import FILE, KnownAnswer
from harness.tensors import pad

CONFIG = "config.pbtxt"


def versions(model: Path) -> list[int]:
    """Return the version numbers in a model's folder, ascending; none if there is no such folder."""
    if not model.is_dir():
        return []
    return sorted(int(path.name) for path in model.iterdir() if path.name.isdecimal() and path.is_dir())


def published(repository: Path, names: Sequence[str]) -> list[str]:
    """Return the served names: all of them, or those that names of models or of graphs stand for.

    Raises:
        UsageError: nothing is published, or a name stands for nothing; tells the nearest.
    """
    there = sorted(path.name for path in repository.glob("*") if (path / CONFIG).is_file())
    if not there:
        message = f"nothing is published in {repository}; publish a model with `harness export --model NAME`"
        raise UsageError(message)
    chosen: dict[str, None] = {}
    for name in names:
        found = [served for served in there if name in (served, served.split("-")[0])]
        if not found:
            known = sorted({*there, *(served.split("-")[0] for served in there)})
            message = f"nothing is published as {name!r}{nearest(name, known)}; {repository} has {', '.join(there)}"
            raise UsageError(message)
        chosen.update(dict.fromkeys(found))
    return list(chosen) if names else there


def serves(artifact: Artifact, repository: Path) -> bool:
    """Return whether the newest published version of an artifact's name is the artifact's graph."""
    model = repository / artifact.name
    numbers = versions(model)
    if not numbers:
        return False
    published = model / str(numbers[-1]) / GRAPH
    return published.is_file() and (
        published.samefile(artifact.graph) or file_sha256(published) == artifact.graph_sha256
    )


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


def _parameters(artifact: Artifact) -> dict[str, str]:
    parameters = {"graph_sha256": artifact.graph_sha256, "tokenizer_sha256": artifact.tokenizer_sha256}
    vocabulary = artifact.manifest.get("vocabulary")
    # With it, the Python backend names ids that are too large before the graph fails on them.
    return parameters if vocabulary is None else {**parameters, "vocabulary": str(vocabulary)}


@contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """Keep two processes from choosing the same next version."""
    descriptor = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _next_version(model: Path, artifact: Artifact) -> int:
    """Return the newest version if it already is this graph, else the number after it."""
    published = versions(model)
    if not published:
        return 1
    newest = model / str(published[-1]) / GRAPH
    if newest.is_file() and (newest.samefile(artifact.graph) or file_sha256(newest) == artifact.graph_sha256):
        return published[-1]
    return published[-1] + 1


def _is_current(model: Path, version: int, config: str, warm_up_files: Sequence[str]) -> bool:
    path = model / CONFIG
    needed = [model / str(version) / GRAPH, model / str(version) / FILE]
    needed += [model / "warmup" / name for name in warm_up_files]
    return path.is_file() and path.read_text(encoding="utf-8") == config and all(file.is_file() for file in needed)


def _link(source: Path, destination: Path) -> None:
    try:
        os.link(source.resolve(), destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)


def _stage(
    staged: Path, graph: Path, version: int, config: str, answer: KnownAnswer, warm_up: Mapping[str, bytes]
) -> None:
    (staged / str(version)).mkdir(parents=True)
    (staged / "warmup").mkdir()
    _link(graph, staged / str(version) / GRAPH)
    answer.write(staged / str(version) / FILE)
    for name, value in warm_up.items():
        (staged / "warmup" / name).write_bytes(value)
    (staged / CONFIG).write_text(config, encoding="utf-8")


def _move_into(model: Path, staged: Path, version: int) -> None:
    """Move a staged model into its place; the config last, since it is what selects the version."""
    if not model.is_dir():
        staged.rename(model)
        return
    if (model / str(version)).is_dir():
        os.replace(staged / str(version) / FILE, model / str(version) / FILE)
    else:
        (staged / str(version)).rename(model / str(version))
    (model / "warmup").mkdir(exist_ok=True)
    fresh = {path.name for path in (staged / "warmup").iterdir()}
    for name in fresh:
        os.replace(staged / "warmup" / name, model / "warmup" / name)
    os.replace(staged / CONFIG, model / CONFIG)
    for path in (model / "warmup").iterdir():
        if path.name not in fresh:
            path.unlink()


def publish(artifact: Artifact, repository: Path, serving: Serving, *, probe_ids: Sequence[int]) -> int:
    """Return the version under which Triton now finds a graph, writing only what changed.

    A changed graph gets a new version beside the old ones; changed settings replace the config only.
    The graph is hard-linked: a later export must replace the artifact's file, never write into it.

    Args:
        artifact: an exported graph.
        repository: Triton's model repository; made if missing.
        serving: batching, instances and threads.
        probe_ids: token ids of a real sentence, special tokens included, for the warm-up and the
            known answer.

    Raises:
        UsageError: the artifact's name cannot name a served model.
        ArtifactError: the graph gives values that are not finite.
        EndpointError: the graph does not load, or does not answer the probe, or has another signature.
    """
    check_name(artifact.name)
    if not probe_ids:
        message = "probe_ids is empty; a sentence has at least its special tokens"
        raise ValueError(message)
    inputs = pad([np.asarray(probe_ids, dtype="<i8")], pad_id=0)
    digest = sha256(inputs["input_ids"].tobytes()).hexdigest()[:8]
    warm_up = WarmUp(name=f"probe-{digest}", tokens=len(probe_ids))
    files = {warm_up.file(spec): inputs[spec.name].tobytes() for spec in artifact.signature.inputs}
    repository.mkdir(parents=True, exist_ok=True)
    model = repository / artifact.name
    with _locked(repository):
        version = _next_version(model, artifact)
        config = render_config(
            artifact.name,
            artifact.signature,
            serving,
            parameters=_parameters(artifact),
            version=version,
            warmup=warm_up,
        )
        if not _is_current(model, version, config, list(files)):
            answer = _known_answer(artifact, inputs)
            with tempfile.TemporaryDirectory(prefix=f".{artifact.name}-", dir=repository) as name:
                staged = Path(name) / artifact.name
                _stage(staged, artifact.graph, version, config, answer, files)
                _move_into(model, staged, version)
    return version
