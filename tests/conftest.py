import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness  # noqa: F401 - switches telemetry off before any test imports onnxruntime

TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is found into tests/golden/, for review")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare with an entry of a golden file: ``golden("real_counts", found, "xnli", "ar")``."""

    def check(name: str, found: Any, *keys: str) -> None:
        path = TESTS / "golden" / f"{name}.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        entry = document["cases"]
        if request.config.getoption("--update-golden"):
            for key in keys[:-1]:
                entry = entry.setdefault(key, {})
            entry[keys[-1]] = found
            path.write_text(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
            return
        for key in keys:
            assert key in entry, f"{path.name} has no {'/'.join(keys)}; write it with `pytest --update-golden`"
            entry = entry[key]
        assert found == entry

    return check
