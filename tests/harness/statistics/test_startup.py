import subprocess
import sys
from pathlib import Path

import harness.statistics


def test_no_module_loads_scipy() -> None:
    names = [f"harness.statistics.{path.stem}" for path in Path(harness.statistics.__path__[0]).glob("[a-z]*.py")]
    assert "harness.statistics.paired" in names
    code = f"import sys, {', '.join(names)}; print(sorted(set(sys.modules) & {{'scipy', 'statsmodels', 'torch'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
