import sys
from pathlib import Path

import pytest

import harness
from harness.core.errors import EndpointError, MissingExtra
from harness.core.quiet import VARIABLES
from harness.serving.server import wheel as module
from harness.serving.server.wheel import Wheel, build_runtime, environment


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A wheel's files without their content, and a shared libpython beside them."""
    backend = tmp_path / "wheel" / "python"
    backend.mkdir(parents=True)
    for name in ("libtriton_python.so", "triton_python_backend_utils.py", "stub"):
        (backend / name).write_bytes(b"")
    library = tmp_path / "wheel" / "libpython3.so.1.0"
    library.write_bytes(b"")
    monkeypatch.setattr(module, "find_libpython", lambda: library)
    root = tmp_path / "wheel"
    return Wheel(
        version="0", server=root / "tritonserver", libraries=root, python_backend=backend, stub=backend / "stub"
    )


def test_runtime_holds_the_projects_backends_and_links_only_to_the_harness(wheel: Wheel, tmp_path: Path) -> None:
    build_runtime(wheel, tmp_path / "runtime")
    found = [path.relative_to(tmp_path / "runtime") for path in (tmp_path / "runtime").rglob("*") if path.is_file()]
    assert {str(path) for path in found if "harness" not in path.parts} == {
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        "backends/python/stub",
        "backends/onnxruntime/model.py",
        "backends/text/model.py",
        "lib/libpython3.so.1.0",
    }
    links = [path for path in (tmp_path / "runtime" / "backends").rglob("*") if path.is_symlink()]
    assert [path.name for path in links] == ["harness"]


def test_stub_answers_with_the_copy_of_the_harness_that_started_it(wheel: Wheel, tmp_path: Path) -> None:
    build_runtime(wheel, tmp_path / "runtime")
    assert (tmp_path / "runtime" / "backends" / "python" / "harness").resolve() == Path(harness.__file__).parent


def test_server_gets_the_switches_against_telemetry_and_the_packages_of_this_python(
    wheel: Wheel, tmp_path: Path
) -> None:
    variables = environment(wheel, tmp_path)
    assert VARIABLES.keys() <= variables.keys()
    assert variables["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_missing_package_of_a_backend_is_named(wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUB_PACKAGES", ("numpy", "no_such_package"))
    with pytest.raises(MissingExtra, match=r"'no_such_package' is not installed; .*\[serve\]"):
        environment(wheel, tmp_path)


def test_missing_stub_is_named(wheel: Wheel, tmp_path: Path) -> None:
    wheel.stub.unlink()
    with pytest.raises(EndpointError, match="has no stub in nvidia-pytriton 0; see `harness doctor`"):
        build_runtime(wheel, tmp_path / "runtime")
