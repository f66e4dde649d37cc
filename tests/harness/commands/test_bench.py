import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from harness import cli
from harness.commands import bench as benches
from harness.core.errors import MissingExtra, UsageError

OPTIONS = """
import argparse
def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int)
    print("limit", parser.parse_args(arguments).limit)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty package of benchmarks."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    monkeypatch.setattr(benchmarks, "__path__", [str(folder)])
    monkeypatch.setattr(benchmarks.__spec__, "submodule_search_locations", [str(folder)])
    for name in [name for name in sys.modules if name.startswith("benchmarks.")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.startswith("benchmarks.")]:
        del sys.modules[name]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch):
    """Run `harness bench ARGUMENTS` in this process; return its exit code."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["harness", "bench", *arguments])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return run


def test_the_benchmarks_of_the_project_are_found() -> None:
    found = benches.benches()
    assert {"throughput", "latency", "padding", "startup", "retrieval", "variants", "submission"} <= found.keys()
    assert found["throughput"].module == "benchmarks.speed.throughput"
    assert found["retrieval"].module == "benchmarks.speed.retrieval.__main__"
    assert found["latency"].module == "benchmarks.load.__main__"


def test_what_is_no_command_is_not_listed() -> None:
    assert not {"report", "workload", "plots", "baseshape", "mining", "core", "speed"} & benches.benches().keys()


@pytest.mark.parametrize("name", sorted(benches.benches()))
def test_each_says_what_it_is(name: str) -> None:
    assert benches.benches()[name].summary


def test_list_has_a_line_for_each(call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: lines.index("")]] == list(benches.benches())


def test_a_package_is_run_by_its_main(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "wide").mkdir()
    (package / "wide" / "__init__.py").write_text('"""A package.\n\nMore."""\n')
    (package / "wide" / "command.py").write_text(OPTIONS)
    (package / "wide" / "__main__.py").write_text("from benchmarks.wide.command import main\n")
    assert benches.benches() == {"wide": benches.Bench("benchmarks.wide.__main__", "A package.")}
    benches.run("wide", ["--limit", "3"])
    assert capsys.readouterr().out == "limit 3\n"


def test_options_are_the_benchmarks_own(package: Path, call, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "narrow.py").write_text(OPTIONS)
    assert call("narrow", "--limit", "3") == 0
    assert capsys.readouterr().out == "limit 3\n"


def test_help_is_the_benchmarks_own(package: Path, call, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "narrow.py").write_text(OPTIONS)
    assert call("narrow", "--help") == 0
    assert "--limit LIMIT" in capsys.readouterr().out


def test_a_wrong_option_is_the_benchmarks_to_refuse(package: Path, call, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "narrow.py").write_text(OPTIONS)
    assert call("narrow", "--nosuch") == 2
    assert "unrecognized arguments: --nosuch" in capsys.readouterr().err


def test_a_wrong_name_is_refused_with_the_nearest(call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("paddding") == 2
    assert capsys.readouterr().err == (
        "harness: no benchmark 'paddding', did you mean 'padding'; `harness bench` lists them\n"
    )


def test_help_of_the_command_names_the_list(call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    assert "all are listed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        ("harness.core.errors.DataError('no rows; write some')", 2, "harness: no rows; write some\n"),
        ("KeyboardInterrupt", 130, "harness: stopped\n"),
        ("SystemExit(1)", 1, ""),
    ],
    ids=["error", "Ctrl-C", "a promise broken"],
)
def test_failures_end_as_those_of_other_commands(
    package: Path, call, capsys: pytest.CaptureFixture[str], raised: str, status: int, said: str
) -> None:
    (package / "failing.py").write_text(f"import harness.core.errors\ndef main(arguments=None):\n    raise {raised}\n")
    assert call("failing") == status
    assert capsys.readouterr().err == said


def test_a_missing_package_is_told(package: Path) -> None:
    (package / "hungry.py").write_text("import nosuchpackage.inner\ndef main(arguments=None): ...\n")
    with pytest.raises(MissingExtra, match=r"'nosuchpackage' is not installed; .*\[bench\]"):
        benches.run("hungry", [])


def test_a_module_of_the_project_that_is_missing_is_a_bug(package: Path) -> None:
    (package / "broken.py").write_text("import harness.nosuch\ndef main(arguments=None): ...\n")
    with pytest.raises(ModuleNotFoundError, match=r"harness\.nosuch"):
        benches.run("broken", [])


def test_an_installation_without_benchmarks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "benchmarks", None)
    with pytest.raises(UsageError, match="the benchmarks are not installed"):
        benches.benches()


def test_listing_imports_no_benchmark() -> None:
    code = "import sys; from harness.commands import bench; list(bench.listing()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"numpy", "benchmarks.core.report", "benchmarks.speed.padding"} & set(done.stdout.split())
