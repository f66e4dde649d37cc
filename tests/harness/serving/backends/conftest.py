"""What Triton's stub gives a backend, in its smallest form: enough to run a backend's file here."""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.serving.server import wheel


class Tensor:
    def __init__(self, name: str, value: np.ndarray) -> None:
        assert value.flags.c_contiguous, f"{name} is not contiguous"
        self.name, self.value = name, value

    def as_numpy(self) -> np.ndarray:
        return self.value


class TritonError(Exception):
    INVALID_ARG, INTERNAL, UNAVAILABLE = "INVALID_ARG", "INTERNAL", "UNAVAILABLE"

    def __init__(self, message: str, code: str = "INTERNAL") -> None:
        super().__init__(message)
        self._code = code

    def message(self) -> str:
        return str(self)

    def code(self) -> str:
        return self._code


class Response:
    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self.outputs = {tensor.name: tensor.value for tensor in output_tensors}
        self._error = error

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


class Request:
    """What a backend is given: inputs by name, and the outputs that are wanted."""

    def __init__(self, inputs: Mapping[str, Any], wanted: Sequence[str]) -> None:
        self.inputs, self._wanted = inputs, wanted

    def requested_output_names(self) -> Sequence[str]:
        return self._wanted


class Metric:
    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels, self.value = labels, 0.0

    def increment(self, value: float) -> None:
        self.value += value


class Stub:
    """The server as a backend sees it: `answer` is the model behind BLS, `calls` what it was asked."""

    def __init__(self) -> None:
        self.calls: list[SimpleNamespace] = []
        self.answer: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray] | TritonError] = lambda _: {}
        self.running = self.most = 0
        #: Every metric that was made, by name.
        self.metrics: dict[str, list[Metric]] = {}

    async def exec(self, call: SimpleNamespace) -> Response:
        import asyncio

        self.calls.append(call)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        found = self.answer({tensor.name: tensor.value for tensor in call.inputs})
        if isinstance(found, TritonError):
            return Response(error=found)
        return Response([Tensor(name, np.ascontiguousarray(value)) for name, value in found.items()])

    def module(self) -> ModuleType:
        module = ModuleType("triton_python_backend_utils")
        module.Tensor, module.TritonError, module.InferenceResponse = Tensor, TritonError, Response
        module.get_input_tensor_by_name = lambda request, name: Tensor(name, request.inputs[name])
        module.get_output_tensor_by_name = lambda response, name: Tensor(name, response.outputs[name])

        def request(**call: Any) -> SimpleNamespace:
            asked = SimpleNamespace(**call)
            asked.async_exec = lambda: self.exec(asked)
            return asked

        class MetricFamily:
            COUNTER = "counter"

            def __init__(family, name: str, description: str, kind: str) -> None:
                assert (kind, bool(description)) == ("counter", True)
                family.made = self.metrics.setdefault(name, [])

            def Metric(family, labels: Mapping[str, str]) -> Metric:
                family.made.append(Metric(labels))
                return family.made[-1]

        module.InferenceRequest, module.MetricFamily = request, MetricFamily
        return module


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def request_of() -> type[Request]:
    return Request


@pytest.fixture
def refusal() -> type[TritonError]:
    return TritonError


@pytest.fixture
def backend(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Run a backend's file beside a stub: ``backend("text").TritonPythonModel()``."""

    def load(name: str) -> ModuleType:
        monkeypatch.setitem(sys.modules, "triton_python_backend_utils", stub.module())
        path = Path(wheel.__file__).parents[1] / "backends" / name / "model.py"
        spec = importlib.util.spec_from_file_location(f"backend_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
