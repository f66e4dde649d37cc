"""Graphs behind Triton, over gRPC, on one host or several.

Only gRPC: threads may share its client, but not the HTTP one. ``triton://`` is plain text,
``tritons://`` is TLS.
"""

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, MissingExtra, UsageError
from harness.core.tensors import NOT_FINITE, Axis, GraphSignature, Tensors, TensorSpec, row_problem
from harness.inference.endpoints import Closing, NotFiniteAnswer
from harness.inference.endpoints.model_config import dtype_name
from harness.inference.endpoints.numerics import MERGED, SERVER
from harness.inference.endpoints.tls import ClientTls, remedy

try:
    import tritonclient.grpc as client
    from tritonclient.utils import InferenceServerException
except ImportError as error:
    raise MissingExtra(package="tritonclient", extra="triton") from error

_LOGGER = logging.getLogger(__name__)
#: What `--endpoint` starts with; the second is TLS.
SCHEMES = ("triton://", "tritons://")
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
_LOOPBACK = re.compile(r"(localhost|127\.[\d.]+|\[::1\]):")
_WIRE = {"int64": "INT64", "float32": "FP32"}
#: gRPC's own limit; its default for replies, 4 MB, is less than one batch of token logits.
_MESSAGE_BYTES = 2**31 - 1
#: Seconds for metadata. A server that is up answers at once, unless it computes on all cores.
_OPEN_TIMEOUT = 30.0
#: Answers after which the time for a batch is known.
_ENOUGH = 3
#: Times the slowest answer that a batch may take, and the seconds that it may always take: who is busy is not dead.
_PATIENCE, _LEAST = 30.0, 60.0
#: The status of a wrong request: another host would refuse it too.
_REFUSED = "StatusCode.INVALID_ARGUMENT"


def parse_hosts(uri: str) -> list[str]:
    """Return the hosts of ``triton://a:8001,b:8001`` or ``tritons://a:8001``.

    Raises:
        UsageError: another scheme, a missing or impossible port, a path, or a host given twice.
    """
    right = "write triton://host:port, triton://host:port,host:port, or tritons:// for TLS"
    scheme = next((scheme for scheme in SCHEMES if uri.startswith(scheme)), None)
    if scheme is None:
        message = f"{uri!r} is no Triton endpoint; {right}"
        raise UsageError(message)
    hosts = uri.removeprefix(scheme).split(",")
    for host in hosts:
        match = _HOST.fullmatch(host)
        if not match or not 0 < int(match[2]) < 65536:
            message = f"{host!r} in {uri!r} is no host with a port; {right}"
            raise UsageError(message)
    if len(set(hosts)) < len(hosts):
        message = f"{uri!r} names a host twice; {right}"
        raise UsageError(message)
    return hosts


def parse_tls(uri: str, variables: Mapping[str, str]) -> ClientTls | None:
    """Return how to prove and trust over ``tritons://``; None for the plain text of ``triton://``.

    Args:
        uri: what `parse_hosts` takes.
        variables: the environment, of which `ClientTls.from_environment` reads three.

    Raises:
        UsageError: a file that a variable names cannot be used.
    """
    return ClientTls.from_environment(variables) if uri.startswith("tritons://") else None


def open_client(address: str, tls: ClientTls | None = None) -> client.InferenceServerClient:
    """Return a connection to one server; nothing is sent yet.

    Args:
        address: ``host:port`` of its gRPC service.
        tls: None for plain text.
    """
    options = [
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        # A name with several addresses, as a headless service of Kubernetes has: all of them get work.
        ("grpc.lb_policy_name", "round_robin"),
    ]
    if _LOOPBACK.match(address):
        # Without this, gRPC sends even loopback traffic to the proxy of $http_proxy.
        options.append(("grpc.enable_http_proxy", 0))
    if tls is None:
        return client.InferenceServerClient(address, channel_args=options)
    return client.InferenceServerClient(
        address,
        ssl=True,
        root_certificates=None if tls.root is None else str(tls.root),
        private_key=None if tls.key is None else str(tls.key),
        certificate_chain=None if tls.certificate is None else str(tls.certificate),
        channel_args=options,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """The metadata of the model on one host."""

    signature: GraphSignature
    version: str
    graph_sha256: str
    max_batch_size: int
    backend: str
    #: What the server says that computes, or else its backend; see `harness.inference.endpoints.numerics`.
    numerics: str


def _reason(error: InferenceServerException) -> str:
    return " ".join(str(error.message() or error).split())


def _spec(entry: Any, batched: bool) -> TensorSpec:
    dims: list[Axis] = ["tokens" if size == -1 else int(size) for size in entry.dims]
    return TensorSpec(entry.name, dtype_name(entry.data_type), ("rows", *dims) if batched else tuple(dims))


def _backend(config: Any, server: Any) -> str:
    # Both backends call the platform onnxruntime_onnx; only the runtime differs.
    kind = "python" if config.runtime.endswith(".py") else "c++" if config.runtime else "unknown"
    return f"{config.backend or config.platform} ({kind} backend) in Triton {server.version}"


def _numerics(config: Any, server: Any, artifact: Artifact) -> str:
    """Return what computes; where an answer depends on its batch and requests are merged, that is said too."""
    named = server.name.removeprefix(SERVER) if server.name.startswith(SERVER) else _backend(config, server)
    return f"{named}{MERGED}" if artifact.batch_dependent and config.HasField("dynamic_batching") else named


class _Host:
    """One server: a connection, and what it serves under the artifact's name."""

    def __init__(self, address: str, artifact: Artifact, tls: ClientTls | None) -> None:
        self.address = address
        self.tls = tls
        self.client = open_client(address, tls)
        try:
            self.served = self._metadata(artifact)
        except BaseException:
            self.client.close()
            raise

    def _metadata(self, artifact: Artifact) -> _Served:
        """Return what the host serves under the artifact's name."""
        try:
            server = self.client.get_server_metadata(client_timeout=_OPEN_TIMEOUT)
        except InferenceServerException as error:
            message = f"no Triton answers at {self.address} ({_reason(error)}); {remedy(_reason(error), self.tls)}"
            raise EndpointError(message) from error
        name = artifact.name
        try:
            metadata = self.client.get_model_metadata(name, client_timeout=_OPEN_TIMEOUT)
            config = self.client.get_model_config(name, client_timeout=_OPEN_TIMEOUT).config
            version = self._newest(name, metadata.versions)
            ready = self.client.is_model_ready(name, version, client_timeout=_OPEN_TIMEOUT)
        except InferenceServerException as error:
            message = (
                f"Triton at {self.address} has no model {name!r} ({_reason(error)}); it serves {self._models()}; "
                f"publish the model with `harness export --model {artifact.model}` and load it with `harness serve`"
            )
            raise EndpointError(message) from error
        if not ready:
            message = f"Triton at {self.address} has {name!r} version {version}, but not ready; restart `harness serve`"
            raise EndpointError(message)
        batched = config.max_batch_size > 0
        return _Served(
            signature=GraphSignature(
                tuple(_spec(entry, batched) for entry in config.input),
                tuple(_spec(entry, batched) for entry in config.output),
            ),
            version=version,
            graph_sha256=config.parameters["graph_sha256"].string_value if "graph_sha256" in config.parameters else "",
            max_batch_size=config.max_batch_size,
            backend=_backend(config, server),
            numerics=_numerics(config, server, artifact),
        )

    def _newest(self, name: str, versions: Sequence[str]) -> str:
        """Return the highest version that a server reports.

        Raises:
            EndpointError: it reports none, or one that is no number.
        """
        if not versions or not all(version.isdecimal() for version in versions):
            message = f"Triton at {self.address} reports versions {list(versions)} of {name!r}; restart `harness serve`"
            raise EndpointError(message)
        return max(versions, key=int)

    def _models(self) -> str:
        try:
            # Not the repository's index, which needs the key of the control API.
            statistics = self.client.get_inference_statistics(client_timeout=_OPEN_TIMEOUT)
        except InferenceServerException as error:
            return f"models that it does not list ({_reason(error)})"
        return ", ".join(sorted({model.name for model in statistics.model_stats})) or "none"

    def check_graph(self, artifact: Artifact) -> None:
        """Refuse a server that answers from another graph under the same name.

        Raises:
            EndpointError: names both digests.
        """
        if self.served.graph_sha256 != artifact.graph_sha256:
            served = self.served.graph_sha256[:12] or "none"
            message = (
                f"Triton at {self.address} serves {artifact.name!r} from another graph (sha256 {served}, "
                f"the artifact has {artifact.graph_sha256[:12]}); publish it with "
                f"`harness export --model {artifact.model}` and restart `harness serve`"
            )
            raise EndpointError(message)


class Deadline:
    """How long a batch may take: a limit at first, then so many times the slowest of those that were answered."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._answered = 0
        #: Seconds for a token of a padded batch, its time in the queue included.
        self._slowest = 0.0

    def of(self, tokens: int) -> float:
        """Return the seconds for a batch of so many padded tokens."""
        with self._lock:
            if self._answered < _ENOUGH:
                return self._limit
            return min(self._limit, max(_LEAST, _PATIENCE * self._slowest * tokens))

    def answered(self, tokens: int, seconds: float) -> None:
        """Note a batch that was answered."""
        with self._lock:
            self._answered += 1
            self._slowest = max(self._slowest, seconds / max(1, tokens))


class TritonEndpoint(Closing):
    """A graph served by one Triton or by several that all serve the same graph.

    Batches go to the hosts in turn. A host that fails is named in the log, gets no more batches,
    and its batch goes to the next one.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        artifact: Artifact,
        *,
        tls: ClientTls | None = None,
        timeout: float = 900.0,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        """Connect to every host and check that each serves the artifact's graph.

        Args:
            hosts: ``host:port`` of each server's gRPC service.
            artifact: the graph that each host must serve.
            tls: None for plain text.
            timeout: seconds for one batch, its time in the server's queue included; once some were answered, a batch
                may take 30 times as long for a token as the slowest of them, and a minute at least.
            closed: called once the connections are closed, also where one of them failed to open.

        Raises:
            EndpointError: a server is down, lacks the model, or serves another graph.
        """
        self._name = artifact.name
        self._max_tokens = artifact.manifest.max_tokens
        self._deadline = Deadline(timeout)
        self._closed = closed
        self._lock = threading.Lock()
        self._turn = 0
        #: Host -> why it gets no more batches.
        self.failures: dict[str, str] = {}
        self._hosts: list[_Host] = []
        try:
            for address in hosts:
                self._hosts.append(_Host(address, artifact, tls))
                self._hosts[-1].check_graph(artifact)
            self._check_agreement()
        except BaseException:
            self.close()
            raise
        self.signature = self._hosts[0].served.signature
        self._inputs = {spec.name: spec for spec in self.signature.inputs}
        self._outputs = [spec.name for spec in self.signature.outputs]
        self.concurrency = 2 * len(self._hosts)
        self.backend = " and ".join(sorted({host.served.backend for host in self._hosts}))
        self.numerics = " and ".join(sorted({host.served.numerics for host in self._hosts}))

    @property
    def where(self) -> str:
        """See `harness.inference.endpoints.Endpoint`."""
        return f"Triton at {', '.join(host.address for host in self._hosts)}"

    def _check_agreement(self) -> None:
        first = self._hosts[0]
        for host in self._hosts[1:]:
            if (host.served.signature, host.served.version) != (first.served.signature, first.served.version):
                message = (
                    f"{first.address} and {host.address} serve {self._name!r} differently: "
                    f"version {first.served.version} with {first.served.signature.describe()}, "
                    f"version {host.served.version} with {host.served.signature.describe()}; "
                    "restart `harness serve` on both from the same repository"
                )
                raise EndpointError(message)

    def infer(self, inputs: Tensors) -> Tensors:
        """See `Endpoint.infer`. More rows than the server takes at once go in several requests."""
        feed = self._checked(inputs)
        rows = len(next(iter(feed.values())))
        size = min(host.served.max_batch_size for host in self._hosts) or rows
        parts = [
            self._infer({name: value[start : start + size] for name, value in feed.items()})
            for start in range(0, rows, size)
        ]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def _checked(self, inputs: Tensors) -> dict[str, np.ndarray[Any, Any]]:
        if inputs.keys() != self._inputs.keys():
            message = f"model {self._name!r} takes {', '.join(self._inputs)}, it was given {', '.join(inputs)}"
            raise EndpointError(message)
        feed: dict[str, np.ndarray[Any, Any]] = {}
        for name, value in inputs.items():
            wanted = self._inputs[name].dtype
            if not np.can_cast(value.dtype, wanted, "safe"):
                message = f"input {name!r} of model {self._name!r} takes {wanted}, it was given {value.dtype}"
                raise EndpointError(message)
            feed[name] = np.ascontiguousarray(value, dtype=wanted)
        if len({value.shape for value in feed.values()}) != 1:
            shapes = {name: value.shape for name, value in feed.items()}
            message = f"inputs of model {self._name!r} have shapes {shapes}; they must be equal"
            raise EndpointError(message)
        # Triton's Python backend drops a request without rows, and its client would wait for the answer.
        if problem := row_problem(next(iter(feed.values())).shape, self._max_tokens):
            message = f"model {self._name!r} was given {problem}"
            raise EndpointError(message)
        return feed

    def _infer(self, feed: dict[str, np.ndarray[Any, Any]]) -> Tensors:
        inputs = []
        for name, value in feed.items():
            inputs.append(client.InferInput(name, value.shape, _WIRE[self._inputs[name].dtype]))
            inputs[-1].set_data_from_numpy(value)
        outputs = [client.InferRequestedOutput(name) for name in self._outputs]
        shape = next(iter(feed.values())).shape
        while True:
            host, begin = self._next_host(), time.monotonic()
            try:
                result = host.client.infer(
                    self._name,
                    inputs,
                    host.served.version,
                    outputs,
                    client_timeout=self._deadline.of(math.prod(shape)),
                )
            except InferenceServerException as error:
                self._fail(host, error, shape)
                continue
            answer = self._read(result, shape)
            if isinstance(answer, str):
                self._leave_out(host, answer)
                continue
            self._deadline.answered(math.prod(shape), time.monotonic() - begin)
            return answer

    def _read(self, result: Any, shape: tuple[int, ...]) -> Tensors | str:
        """Return the outputs of an answer; what is wrong with its form where it is none."""
        sizes = {"rows": shape[0], "tokens": shape[1]}
        found = {}
        for spec in self.signature.outputs:
            try:
                value = result.as_numpy(spec.name)
            except Exception as error:  # tritonclient gives whatever numpy says of bytes that are no tensor
                return f"its output {spec.name!r} cannot be read: {error}"
            wanted = tuple(axis if isinstance(axis, int) else sizes[axis] for axis in spec.axes)
            if value is None or value.shape != wanted:
                there = "missing" if value is None else f"of shape {value.shape}"
                return f"its output {spec.name!r} is {there}, {wanted} is expected"
            found[spec.name] = value
        return found

    def _next_host(self) -> _Host:
        with self._lock:
            for _ in self._hosts:
                host = self._hosts[self._turn % len(self._hosts)]
                self._turn += 1
                if host.address not in self.failures:
                    return host
            reasons = "; ".join(f"{address}: {reason}" for address, reason in self.failures.items())
        message = f"no host is left that answers for {self._name!r} ({reasons}); start one with `harness serve`"
        raise EndpointError(message)

    def _fail(self, host: _Host, error: InferenceServerException, shape: tuple[int, ...]) -> None:
        """Send no more batches to a host, unless it refused what every host would refuse.

        Raises:
            EndpointError: the request itself is wrong.
            NotFiniteAnswer: the graph computed NaN or infinity, as it would on every host.
        """
        if NOT_FINITE in str(error.message()):
            message = f"Triton at {host.address}: {_reason(error)}"
            raise NotFiniteAnswer(message) from error
        if error.status() == _REFUSED:
            message = f"Triton at {host.address} refuses a batch of {shape} for {self._name!r}: {_reason(error)}"
            raise EndpointError(message) from error
        self._leave_out(host, _reason(error))

    def _leave_out(self, host: _Host, reason: str) -> None:
        """Send no more batches to a host."""
        with self._lock:
            first = host.address not in self.failures
            self.failures[host.address] = reason
        if first:
            _LOGGER.warning("Triton at %s fails and gets no more batches: %s", host.address, reason)

    def close(self) -> None:
        """Close the connections."""
        for host in self._hosts:
            host.client.close()
        self._closed()
