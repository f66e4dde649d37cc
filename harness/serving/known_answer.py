"""Known answers: what a graph gave in process for one real sentence, so that a server can be tested.

A model that reports ready may not answer (a dead stub is not restarted), or answer from another
graph. The file lies in the version's folder, where neither backend looks for anything but the graph.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import EndpointError

FILE = "known_answer.json"
#: Relative and absolute. Two builds of ONNX Runtime differ by less in fp32; another graph by more.
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswer:
    """Inputs and outputs of one request with one row; nested lists, by tensor name."""

    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]

    def write(self, path: Path) -> None:
        """Write the file that `read_known_answer` reads."""
        path.write_text(json.dumps({"inputs": self.inputs, "outputs": self.outputs}) + "\n", encoding="utf-8")

    def difference(self, outputs: dict[str, list[Any]]) -> str:
        """Return what is wrong with a server's outputs (flat or nested lists), or nothing."""
        for name, expected in self.outputs.items():
            if name not in outputs:
                return f"output {name!r} is missing"
            wanted = np.asarray(expected, dtype=np.float32).ravel()
            given = np.asarray(outputs[name], dtype=np.float32).ravel()
            if wanted.shape != given.shape:
                return f"output {name!r} has {given.size} values instead of {wanted.size}"
            if not np.allclose(given, wanted, rtol=TOLERANCE, atol=TOLERANCE):
                worst = float(np.max(np.abs(given - wanted)))
                return f"output {name!r} differs by {worst:.3g} from the answer in process, allowed {TOLERANCE}"
        return ""


def read_known_answer(path: Path) -> KnownAnswer:
    """Return the known answer in a file.

    Raises:
        EndpointError: the file is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return KnownAnswer(inputs=value["inputs"], outputs=value["outputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path} holds no known answer ({error!r}); publish the model again with `harness export`"
        raise EndpointError(message) from error
