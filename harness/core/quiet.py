"""Switches off what the libraries report about their users: the only module that knows these switches.

`import harness` calls `disable_telemetry`, so every process of the project has the switches before it imports
a library that reads them. Processes that it starts inherit the variables.
"""

import os
import sys
from collections.abc import MutableMapping
from types import ModuleType

#: Environment variables that switch telemetry off, each with the library and where the switch is defined.
VARIABLES = {
    # onnxruntime since 1.29 (microsoft/onnxruntime#27379): the official Linux wheel writes a device id and a queue of
    # events below ~/.cache/Microsoft and sends them to its vendor. Read once, when the library is loaded.
    "ORT_DISABLE_TELEMETRY": "1",
    # huggingface_hub/constants.py: also what transformers, datasets and optimum add to their requests.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # datasets/config.py: a request for each data set that is loaded, counted on the hub.
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    # ray/_private/usage/usage_constants.py: no dependency today, but a tracker or a tuner may bring it.
    "RAY_USAGE_STATS_ENABLED": "0",
    # wandb/env.py: crash reports, where a recipe names it in report_to. What the recipe asked for is still logged.
    "WANDB_ERROR_REPORTING": "false",
    # The switch that many tools share: huggingface_hub, mlflow and vllm among them.
    "DO_NOT_TRACK": "1",
}
#: Packages that only report, and have no variable. openvino_telemetry decides by a file in the user's home, and its
#: own `opt_in_out --opt_out` sends an event. OpenVINO (tools/ovc/telemetry_utils.py) and NNCF (telemetry/wrapper.py)
#: take a class that does nothing where the package cannot be imported.
MODULES = ("openvino_telemetry",)


def disable_telemetry(
    variables: MutableMapping[str, str] = os.environ, modules: MutableMapping[str, ModuleType] = sys.modules
) -> None:
    """Set every switch that the user has not set.

    A value that is already there stays, whatever it is: who sets one of these variables has decided for
    themselves. An empty one counts as none, since compose files and Kubernetes pass unset variables as empty.
    In the same way, a module that was imported before stays.

    Args:
        variables: the environment, which child processes inherit.
        modules: the table of imported modules; None in it makes an import fail with ImportError.
    """
    for name, value in VARIABLES.items():
        if not variables.get(name):
            variables[name] = value
    for name in MODULES:
        modules.setdefault(name, None)  # type: ignore[arg-type]
