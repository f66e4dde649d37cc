import os
import subprocess
import sys
from types import ModuleType

import pytest

from harness.core.quiet import MODULES, VARIABLES, disable_telemetry


def test_unset_and_empty_variables_are_set() -> None:
    variables, modules = {"ORT_DISABLE_TELEMETRY": "", "PATH": "/bin"}, dict[str, ModuleType]()
    disable_telemetry(variables, modules)
    assert variables == {"PATH": "/bin", **VARIABLES}
    assert modules == dict.fromkeys(MODULES)


def test_what_the_user_set_stays() -> None:
    own = ModuleType("openvino_telemetry")
    variables, modules = {"ORT_DISABLE_TELEMETRY": "0"}, {"openvino_telemetry": own}
    disable_telemetry(variables, modules)
    assert variables["ORT_DISABLE_TELEMETRY"] == "0"
    assert modules == {"openvino_telemetry": own}


@pytest.mark.parametrize("package", ["harness", "training", "exporters", "benchmarks"])
def test_importing_a_package_sets_every_switch(package: str) -> None:
    code = (
        f"import os, sys\nimport {package}\nfrom harness.core.quiet import MODULES, VARIABLES\n"
        "assert {name: os.environ[name] for name in VARIABLES} == VARIABLES\n"
        "assert [sys.modules[name] for name in MODULES] == [None] * len(MODULES)\n"
        "assert not {'onnxruntime', 'torch', 'transformers', 'numpy'} & sys.modules.keys()\n"
    )
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
