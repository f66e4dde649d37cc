"""What this machine lacks for evaluating and serving, and what to do about it."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from harness.core.errors import HarnessError
from harness.core.machine import cores, describe
from harness.serving.server.wheel import Wheel, build_runtime, environment, find_libpython, find_wheel

#: The wheel is tagged manylinux_2_35.
_GLIBC = (2, 35)
#: One XLM-R-base in fp32 takes 1.3 GB in the server, one in the parity check of an export as much again.
_MEMORY_GIB = 3.0
#: What Docker gives by default; each stub needs 1 MB and the tensors of two requests, 7 MB for token logits.
_SHARED_MEMORY_MIB = 64
_TIMEOUT = 20.0
_PYTHONS = "make the environment with Python 3.11, 3.12 or 3.13"
_SERVE = "`pip install 'xtreme-harness[serve]'`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    #: What to do where it is not ok; empty where it is.
    remedy: str = ""
    #: False: the harness works without it, only slower or in part.
    required: bool = True


def _check(name: str, ok: bool, detail: str, remedy: str, *, required: bool = True) -> Check:
    return Check(name=name, ok=ok, detail=detail, remedy="" if ok else remedy, required=required)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _python() -> Check:
    running = sys.version_info[:2]
    # Up to the newest stub in the wheel.
    return _check("python", (3, 11) <= running <= (3, 13), platform.python_version(), _PYTHONS)


def _processor() -> Check:
    machine = platform.machine()
    remedy = "the wheel with tritonserver is for x86-64 only; use `--endpoint onnx`, or a Triton on another machine"
    return _check("x86-64", machine == "x86_64", machine, remedy)


def _glibc() -> Check:
    name, _, text = (os.confstr("CS_GNU_LIBC_VERSION") or "unknown").partition(" ")
    numbers = tuple(int(part) for part in text.split(".") if part.isdecimal())
    remedy = "use Debian 12, Ubuntu 22.04 or newer, or `--endpoint onnx`"
    return _check(f"glibc >= {_GLIBC[0]}.{_GLIBC[1]}", name == "glibc" and numbers >= _GLIBC, f"{name} {text}", remedy)


def _run(command: list[str], variables: dict[str, str]) -> tuple[int, str]:
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, (done.stderr or done.stdout).strip()


def _server() -> list[Check]:
    """Look at the wheel: is it there, does its server run, does the stub find its libraries."""
    try:
        wheel = find_wheel()
    except HarnessError as error:
        return [_check("tritonserver", False, str(error), f"{_SERVE} brings it")]
    with tempfile.TemporaryDirectory() as folder:
        return _runnable(wheel, Path(folder))


def _runnable(wheel: Wheel, folder: Path) -> list[Check]:
    short = f"{sys.version_info.major}.{sys.version_info.minor}"
    libpython = find_libpython()
    checks = [
        _check(
            f"stub for Python {short}",
            wheel.stub.is_file(),
            str(wheel.stub) if wheel.stub.is_file() else f"not in nvidia-pytriton {wheel.version}",
            _PYTHONS,
        ),
        _check(
            "shared libpython",
            libpython is not None,
            str(libpython) if libpython else f"no libpython{short}.so.1.0 beside {sys.base_prefix}",
            f"`apt-get install libpython{short}`, or a Python built with --enable-shared (uv's and conda's are)",
        ),
    ]
    try:
        build_runtime(wheel, folder)
        variables = environment(wheel, folder)
    except HarnessError as error:
        return [*checks, _check("tritonserver", False, str(error), "fix the entries above first")]
    status, output = _run([str(wheel.server), "--help"], variables)
    # 127 is the loader's: a shared library is missing.
    stub_status, stub_printed = _run([str(folder / "backends" / "python" / wheel.stub.name)], variables)
    checks += [
        _check(
            "tritonserver",
            "--model-repository" in output,
            f"nvidia-pytriton {wheel.version}" if "--model-repository" in output else f"exit {status}: {output[:200]}",
            f"{_SERVE} again, in a fresh environment",
        ),
        _check(
            "stub finds its libraries",
            stub_status != 127,
            "it starts" if stub_status != 127 else stub_printed[:200],
            f"`apt-get install libpython{short}`",
        ),
    ]
    return checks


def _onnxruntime() -> Check:
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    detail = ", ".join(f"{name} {_installed(name)}" for name in found) or "neither onnxruntime nor onnxruntime-gpu"
    remedy = (
        "`pip uninstall onnxruntime onnxruntime-gpu`, then install one: they overwrite each other"
        if found
        else "`pip install 'xtreme-harness[cpu]'`"
    )
    return _check("onnxruntime, one of two", len(found) == 1, detail, remedy)


def _numpy() -> Check:
    found = _installed("numpy") or "missing"
    bound = _installed("nvidia-pytriton") is not None
    ok = found.split(".")[0].isdecimal() and (not bound or int(found.split(".")[0]) < 2)
    return _check("numpy < 2 with pytriton", ok, found, "`pip install 'numpy<2'`: pytriton 0.7.0 needs it")


def _importable(module: str, packages: tuple[str, ...], extra: str) -> Check:
    found = next((f"{name} {_installed(name)}" for name in packages if _installed(name)), "missing")
    remedy = f"`pip install 'xtreme-harness{extra}'`"
    return _check(module, importlib.util.find_spec(module) is not None, found, remedy)


def _memory() -> Check:
    available = psutil.virtual_memory().available
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and limit.read_text(encoding="ascii").strip() != "max":
        available = min(available, int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
    gib = available / 2**30
    remedy = "end other programs; one XLM-R-base takes 1.3 GB, in a server as in process"
    detail = f"{gib:.1f} GiB, {_MEMORY_GIB:.0f} are comfortable"
    return _check("free memory", gib >= _MEMORY_GIB, detail, remedy, required=False)


def _shared_memory() -> Check:
    path = Path("/dev/shm")
    mib = shutil.disk_usage(path).free / 2**20 if path.is_dir() else 0.0
    remedy = f"Triton needs {_SHARED_MEMORY_MIB} MiB there; in Docker start the container with `--shm-size=1g`"
    return _check("/dev/shm", mib >= _SHARED_MEMORY_MIB, f"{mib:.0f} MiB free", remedy)


def _cores() -> list[Check]:
    machine = describe()
    count = cores()
    has_vnni = "avx512_vnni" in str(machine["instructions"]).split()
    return [
        _check("cores", count >= 2, f"{count} of {machine['processor']}", "use two or more cores", required=False),
        _check(
            "AVX512-VNNI",
            has_vnni,
            "yes" if has_vnni else str(machine["instructions"]) or "no vector instructions known",
            "int8 graphs gain little here and may answer differently; use `--variant fp32`",
            required=False,
        ),
    ]


def checks() -> list[Check]:
    """Return every check, those that the others need first. Takes about a second."""
    return [
        _python(),
        _processor(),
        _glibc(),
        *_server(),
        _onnxruntime(),
        _numpy(),
        _importable("faiss", ("faiss-cpu", "faiss-gpu-cu12"), "[cpu]"),
        _importable("tokenizers", ("tokenizers",), ""),
        _importable("tritonclient", ("tritonclient",), "[triton]"),
        _memory(),
        _shared_memory(),
        *_cores(),
    ]
