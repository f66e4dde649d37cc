"""What computes a graph's numbers: engine, its version, and kind of device, as the answer store keys them.

Equal names give equal answers, whoever runs the engine: this process, a Triton of its own, or one that serves.
"""

from importlib import metadata
from pathlib import Path

from harness.core import machine

#: Distributions that bring the engine; they exclude each other.
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
#: Where NVIDIA's driver names its cards.
_CARDS = Path("/proc/driver/nvidia/gpus")
#: What the name of a server of the project's own begins with; the rest is what computes in it.
SERVER = "xtreme-harness: "
#: What stands behind the engine where the server merges requests and an answer depends on its batch: others' rows are
#: in it then.
MERGED = ", requests merged"


def onnxruntime(provider: str = "cpu") -> str:
    """Return the name of ONNX Runtime as it is installed here: ``onnxruntime 1.31.1 cpu avx2 avx512f``.

    Args:
        provider: ``cpu``, or what computes on a GPU: ``cuda``, ``tensorrt``.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    version = next((found for name in _DISTRIBUTIONS if (found := _version(name)) is not None), None)
    if version is None:
        raise metadata.PackageNotFoundError(_DISTRIBUTIONS[0])
    # Kernels are chosen by instruction set, and add up in another order on each.
    device = str(machine.describe()["instructions"]) if provider == "cpu" else _card()
    return f"onnxruntime {version} {provider} {device}".strip()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _card() -> str:
    for path in sorted(_CARDS.glob("*/information")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model":
                return value.strip()
    return "unknown card"
