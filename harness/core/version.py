"""The version of the package, and of the packages that a score depends on; imports nothing at start."""

__version__ = "0.1.0"

_PACKAGES = (
    "numpy", "tokenizers", "onnxruntime", "onnxruntime-gpu", "tritonclient", "nvidia-pytriton", "faiss-cpu",
    "faiss-gpu-cu12", "torch", "transformers", "optimum", "optimum-onnx", "onnx", "datasets",
)  # fmt: skip


def packages() -> dict[str, str]:
    """Return the versions of the packages that a score depends on, as far as they are installed."""
    from importlib import metadata

    found = {"xtreme-harness": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
