import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "numpy", "rich", "torch", "transformers", "onnxruntime", "tritonclient", "faiss", "tokenizers", "datasets",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[1]

HELP = """
import sys
sys.argv = ["harness", "--help"]
from harness.cli import main
try:
    main()
except SystemExit as stop:
    status = stop.code or 0
else:
    status = 0
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def help_run() -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_help_ends_well(help_run) -> None:
    assert help_run.returncode == 0, help_run.stderr


def test_help_names_the_program(help_run) -> None:
    assert "harness" in help_run.stdout


@pytest.mark.parametrize("package", HEAVY)
def test_help_does_not_import(help_run, package: str) -> None:
    assert "harness.cli" in help_run.stderr.split()
    assert package not in help_run.stderr.split()
