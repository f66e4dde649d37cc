"""An endpoint made of a function, for tests of what uses endpoints."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.core.tensors import GraphSignature, Tensors
from harness.inference.endpoints import Closing


@dataclass
class CallableEndpoint(Closing):
    """Answers with what a function returns."""

    signature: GraphSignature
    function: Callable[[Tensors], Tensors]
    concurrency: int = 1
    backend: str = "function"
    numerics: str = "a function"

    def infer(self, inputs: Tensors) -> Tensors:
        """See `harness.inference.endpoints.Endpoint`."""
        return self.function(inputs)
