"""Which ONNX Runtime a graph needs, and which one each Triton release carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import onnx

from harness.core.errors import ArtifactError, UsageError, nearest

#: Major and minor number.
Version: TypeAlias = tuple[int, int]

#: ONNX Runtime -> the newest operator set and file format it reads (its docs, "ONNX Runtime compatibility").
READS: Mapping[Version, tuple[int, int]] = {
    (1, 14): (18, 8),
    (1, 15): (19, 9),
    (1, 17): (20, 9),
    (1, 18): (21, 10),
    (1, 21): (22, 10),
}
#: Operators that came later: name and the attribute that makes the difference -> ONNX Runtime.
LATER: Mapping[tuple[str, str, int], Version] = {
    # The x86-64 kernel for 8 bits: onnxruntime#24491, released with 1.22.0.
    ("MatMulNBits", "bits", 8): (1, 22),
}
#: Release of NVIDIA's container -> its ONNX Runtime (unconfirmed: no container was at hand). 24.10 is
#: Triton 2.51, the release of the nvidia-pytriton 0.7.0 wheel, which answers with the installed one instead.
CONTAINERS: Mapping[str, Version] = {"24.10": (1, 19), "26.09": (1, 27)}


@dataclass(frozen=True, slots=True)
class Needs:
    """The oldest ONNX Runtime that answers a graph, and why."""

    onnxruntime: Version
    reason: str


def needs(graph: Path) -> Needs:
    """Return what a graph needs of the server.

    Raises:
        UsageError: the graph is newer than every entry of the table.
    """
    model = onnx.load(graph, load_external_data=False)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    able = [version for version, (opsets, formats) in READS.items() if opset <= opsets and model.ir_version <= formats]
    if not able:
        message = (
            f"graph {graph} has operator set {opset} and IR version {model.ir_version}, newer than "
            f"exporters/servers.py knows; the newest there is {max(opsets for opsets, _ in READS.values())}"
        )
        raise UsageError(message)
    found = Needs(min(able), f"operator set {opset}, IR version {model.ir_version}")
    for node in model.graph.node:
        for attribute in node.attribute:
            since = LATER.get((node.op_type, attribute.name, attribute.i))
            if since is not None and since > found.onnxruntime:
                found = Needs(since, f"{node.op_type} with {attribute.i} {attribute.name}")
    return found


class TooOld(ArtifactError):
    """A container cannot answer a graph."""


def find_container(name: str) -> Version:
    """Return the ONNX Runtime of a container.

    Raises:
        UsageError: no such container is known.
    """
    if name not in CONTAINERS:
        message = f"no container {name!r}{nearest(name, CONTAINERS)}; known are {', '.join(CONTAINERS)}"
        raise UsageError(message)
    return CONTAINERS[name]


def check_container(wanted: Needs, container: str) -> None:
    """Refuse a graph that a container's ONNX Runtime cannot answer.

    Raises:
        UsageError: no such container is known.
        TooOld: it is too old for the graph.
    """
    has = find_container(container)
    if has < wanted.onnxruntime:
        message = (
            f"the graph needs ONNX Runtime {text(wanted.onnxruntime)} ({wanted.reason}), Triton {container} has "
            f"{text(has)}"
        )
        raise TooOld(message)


def text(version: Version) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))
