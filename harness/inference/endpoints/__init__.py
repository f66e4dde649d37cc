"""Endpoints: one small protocol for whatever computes a graph's outputs, in this process or behind Triton.

Imports core and artifacts.
"""

from types import TracebackType
from typing import Protocol, Self

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError
from harness.core.tensors import GraphSignature, Tensors


class NotFiniteAnswer(EndpointError):
    """A graph computed NaN or infinity for one of the rows that it was asked; another host would do the same."""


class Endpoint(Protocol):
    """A loaded graph. `infer` may be called from `concurrency` threads at once."""

    @property
    def signature(self) -> GraphSignature:
        """The inputs and outputs of the loaded graph itself."""
        ...

    @property
    def concurrency(self) -> int:
        """How many calls of `infer` at once give the highest rate."""
        ...

    @property
    def backend(self) -> str:
        """What computes the outputs, as results print it: ``onnxruntime (python backend)``."""
        ...

    @property
    def numerics(self) -> str:
        """What the answers are kept under; see `harness.inference.endpoints.numerics`."""
        ...

    @property
    def where(self) -> str:
        """What answers, as errors name it: with the hosts where servers do."""
        ...

    def infer(self, inputs: Tensors) -> Tensors:
        """Return every output of the graph for one padded batch.

        Raises:
            EndpointError: the graph or its server gave no outputs; names the model and the host.
            NotFiniteAnswer: a server refused to answer with NaN or infinity.
        """
        ...

    def close(self) -> None:
        """Release the graph or the connection."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing:
    """The context manager part of an endpoint: leaving closes."""

    backend: str
    numerics: str

    @property
    def where(self) -> str:
        """See `Endpoint.where`."""
        return self.backend

    def close(self) -> None:
        """Release the graph or the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_signature(endpoint: Endpoint, artifact: Artifact) -> None:
    """Refuse an endpoint whose graph is not of the artifact's kind.

    Raises:
        EndpointError: names both signatures.
    """
    if endpoint.signature != artifact.signature:
        message = (
            f"{endpoint.backend} serves {artifact.name!r} with {endpoint.signature.describe()}, "
            f"the artifact has {artifact.signature.describe()}; "
            f"publish it again with `harness export --model {artifact.model}` and restart the server"
        )
        raise EndpointError(message)
