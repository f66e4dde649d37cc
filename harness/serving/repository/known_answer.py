"""Known answers: what a graph gave in process for one real sentence, so that a server can be tested.

A model that reports ready may not answer (a dead stub is not restarted), or answer from another
graph. The file lies in the version's folder, where neither backend looks for anything but the graph.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import EndpointError

FILE = "known_answer.json"
#: What the message of a busy server has, in small letters: "Exceeds maximum queue size" where the queue is full,
#: "Request timeout expired" where a request waited in it too long. Neither shows whether the model is alive.
_BUSY = ("maximum queue size", "request timeout expired")
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

    def request(self) -> dict[str, Any]:
        """Return the body of the request for it, as the HTTP service takes it."""
        return {"inputs": [_tensor(name, rows) for name, rows in self.inputs.items()]}

    def difference(self, outputs: Mapping[str, list[Any]], tolerance: float = TOLERANCE) -> str:
        """Return what is wrong with a server's outputs, or nothing.

        Args:
            outputs: flat or nested lists, by tensor name.
            tolerance: relative and absolute.
        """
        for name, expected in self.outputs.items():
            if name not in outputs:
                return f"output {name!r} is missing"
            wanted, given = _leaves(expected), _leaves(outputs[name])
            if len(wanted) != len(given):
                return f"output {name!r} has {len(given)} values instead of {len(wanted)}"
            for one, other in zip(wanted, given, strict=True):
                if isinstance(one, str) or isinstance(other, str):
                    if one != other:
                        return f"output {name!r} has {other!r} where the answer in process has {one!r}"
                # Not the other way round: a comparison with NaN is never true.
                elif not abs(other - one) <= tolerance * (1 + abs(one)):
                    worst = abs(other - one)
                    return f"output {name!r} differs by {worst:.3g} from the answer in process, allowed {tolerance}"
        return ""

    def gap(self, outputs: Mapping[str, list[Any]]) -> str:
        """Return what is missing from a server's outputs, or nothing; which values they have does not matter.

        For a server in use: the outputs of a dynamic int8 graph depend on the other rows of the batch.
        """
        for name, expected in self.outputs.items():
            if name not in outputs:
                return f"output {name!r} is missing"
            if len(_flat(expected)) != len(_flat(outputs[name])):
                return f"output {name!r} has {len(_flat(outputs[name]))} values instead of {len(_flat(expected))}"
            if any(isinstance(value, float) and not math.isfinite(value) for value in _leaves(outputs[name])):
                return f"output {name!r} has values that are not finite"
        return ""


def is_busy(reason: str) -> bool:
    """Return whether a server refused a request only because others wait before it."""
    return any(part in reason.lower() for part in _BUSY)


def _tensor(name: str, rows: list[Any]) -> dict[str, Any]:
    datatype = "BYTES" if isinstance(rows[0][0], str) else "INT64"
    return {"name": name, "datatype": datatype, "shape": [len(rows), len(rows[0])], "data": rows}


def _flat(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in _flat(item)] if isinstance(value, list) else [value]


def _leaves(value: Any) -> list[Any]:
    """Return what lists and objects hold, in order; a text that is JSON counts as its value."""
    leaves: list[Any] = []
    for leaf in _flat(value):
        if isinstance(leaf, str):
            leaves += _told(leaf)
        else:
            leaves.append(leaf)
    return leaves


def _told(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return [text]
    return _unfolded(value)


def _unfolded(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in (key, *_unfolded(value[key]))]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _unfolded(item)]
    return [value]


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
