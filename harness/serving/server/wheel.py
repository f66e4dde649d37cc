"""Where the nvidia-pytriton wheel keeps its tritonserver, and what its Python stub needs to run.

The package itself is never imported: only its files are wanted.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from harness.core.errors import EndpointError, MissingExtra

#: What the stub's interpreter must find: the backends import these, of the harness only what needs no more.
STUB_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "harness")
_BACKENDS = Path(__file__).parents[1] / "backends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """Files of the wheel. The server is Triton 2.51 with the Python backend only."""

    version: str
    server: Path
    #: The shared libraries that the server and the stubs are linked against.
    libraries: Path
    python_backend: Path
    #: For the running Python version; the wheel has one for each of 3.8 to 3.13.
    stub: Path


def find_wheel() -> Wheel:
    """Return the installed wheel's files; that they exist is for the caller to check.

    Raises:
        MissingExtra: the wheel is not installed.
    """
    try:
        wheel = distribution("nvidia-pytriton")
    except PackageNotFoundError as error:
        raise MissingExtra(package="nvidia-pytriton", extra="serve") from error
    root = Path(str(wheel.locate_file("pytriton"))) / "tritonserver"
    stubs = root / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}"
    return Wheel(
        version=wheel.version,
        server=root / "bin" / "tritonserver",
        libraries=Path(str(wheel.locate_file("nvidia_pytriton.libs"))),
        python_backend=root / "backends" / "python",
        stub=stubs / "triton_python_backend_stub",
    )


def find_libpython() -> Path | None:
    """Return the shared library of this interpreter, which the stub is linked against.

    The interpreter's own first: a distribution's library of another patch version would run the
    stub with this interpreter's standard library.
    """
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    folders = [
        sysconfig.get_config_var("LIBDIR"),
        f"{sys.base_prefix}/lib",
        f"/usr/lib/{multiarch}",
        "/usr/lib64",
        "/usr/local/lib",
    ]
    for folder in folders:
        if folder and (Path(folder) / name).is_file():
            return Path(folder) / name
    return None


def build_runtime(wheel: Wheel, folder: Path) -> None:
    """Lay out in a folder what a server needs beside the wheel: ``backends/`` and ``lib/``.

    Copies (4 MB), since Triton refuses a backend whose own files are links out of its folder. ``lib/`` holds the one
    library that the stub lacks: the folder that it comes from may have others, which the server must not see.

    Raises:
        EndpointError: the wheel has no stub for this Python, or its shared library is missing.
    """
    libpython = find_libpython()
    if libpython is None or not wheel.stub.is_file():
        lacking = "shared libpython" if libpython is None else f"stub in nvidia-pytriton {wheel.version}"
        message = f"Python {sys.version_info.major}.{sys.version_info.minor} has no {lacking}; see `harness doctor`"
        raise EndpointError(message)
    python = folder / "backends" / "python"
    python.mkdir(parents=True)
    for source in (*wheel.python_backend.glob("*.so"), *wheel.python_backend.glob("*.py"), wheel.stub):
        shutil.copy(source, python)
    for model in _BACKENDS.glob("*/model.py"):
        own = folder / "backends" / model.parent.name
        own.mkdir()
        shutil.copy(model, own)
    # Of the harness, the copy that runs here: the stub ignores PYTHONPATH, but searches this folder.
    (python / "harness").symlink_to(Path(__file__).parents[2])
    (folder / "lib").mkdir()
    (folder / "lib" / libpython.name).symlink_to(libpython)


def environment(wheel: Wheel, folder: Path) -> dict[str, str]:
    """Return the variables for a server whose runtime `build_runtime` laid out in `folder`.

    Raises:
        MissingExtra: a package that the backend imports is not installed.
    """
    for name in STUB_PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(package=name, extra="serve")
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
    variables["LD_LIBRARY_PATH"] = f"{wheel.libraries}:{folder / 'lib'}"
    # The stub takes the standard library and the packages of the first python3 in PATH. It ignores PYTHONPATH: its
    # interpreter is isolated.
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables.get('PATH', os.defpath)}"
    return variables
