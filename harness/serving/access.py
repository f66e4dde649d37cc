"""Who may do what with a served model: the key of the control API, TLS, and the size of a request.

Inference, metadata and health are for everybody who reaches the port. What changes or inspects the
server itself is for its owner: those API groups need a key that only the service knows.
"""

import ipaddress
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from harness.core.errors import UsageError
from harness.inference.endpoints.tls import readable_pem

_LOGGER = logging.getLogger(__name__)
#: API groups that are closed without the key. Triton 2.51 takes the same names for HTTP and gRPC
#: (`tritonserver --help`). Loading a model may replace its configuration, shared memory maps memory
#: of this machine, traces and logs write files.
RESTRICTED = ("model-repository", "shared-memory", "trace", "logging")
#: The HTTP header with the key; over gRPC it is ``triton-grpc-protocol-harness-key``.
HEADER = "harness-key"
#: Triton cuts the flag at ``,``, ``:`` and ``=``; sixteen characters of these 64 are 96 bits.
_KEY = re.compile(r"[A-Za-z0-9_-]{16,}")
_LOOPBACK = "127.0.0.1"

KEY_FILE = "HARNESS_SERVE_KEY_FILE"
CERTIFICATE = "HARNESS_SERVE_TLS_CERTIFICATE"
PRIVATE_KEY = "HARNESS_SERVE_TLS_KEY"
CLIENT_ROOT = "HARNESS_SERVE_TLS_CLIENT_ROOT"
MAX_BYTES = "HARNESS_SERVE_HTTP_MAX_BYTES"
HTTP = "HARNESS_SERVE_HTTP"
#: The value of `HTTP` that lets HTTP listen where gRPC does.
OPEN = "open"


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only; other names than localhost are not."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The files with which the server proves who it is, in PEM format."""

    certificate: Path
    key: Path
    #: Where given, a client must show a certificate that one of these roots signed.
    client_root: Path | None = None

    def check(self) -> None:
        """Look at every file.

        Raises:
            UsageError: a file cannot be read or is of another format.
        """
        readable_pem(self.certificate, "the server's certificate")
        readable_pem(self.key, "the server's private key")
        if self.client_root is not None:
            readable_pem(self.client_root, "the root certificate for clients")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may call what on a server. The default closes the control API with a key made for this object."""

    #: Whoever sends it may load models, map shared memory, trace and set the log. It is an argument of
    #: the server's process, so other users of the same machine can read it: see docs/security.md.
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    #: For gRPC. Triton has no TLS for HTTP, which then listens on this machine only.
    tls: ServerTls | None = None
    #: Whether HTTP listens beyond this machine where gRPC does. One small request of deeply nested JSON ends
    #: Triton 2.51, so it must be opened explicitly: see docs/security.md.
    http_open: bool = False
    #: Bytes of the largest HTTP request. Triton 2.51 has no such limit and refuses the flag; NVIDIA's
    #: images have it since 2025 (triton-inference-server/server#8174).
    http_max_bytes: int | None = None

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            message = "the key of the control API must be 16 or more letters, digits, '-' and '_'"
            raise UsageError(message)
        if self.http_max_bytes is not None and self.http_max_bytes < 1:
            message = f"the largest HTTP request is {self.http_max_bytes} bytes; give a positive number"
            raise UsageError(message)
        if self.http_open and self.tls is not None:
            message = (
                f"{HTTP} is {OPEN!r}, and Triton has no TLS for HTTP, which would carry in plain text what "
                f"{CERTIFICATE} is set for; unset one of the two"
            )
            raise UsageError(message)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str], *, limits_http: bool = False) -> Self:
        """Return what the variables ``HARNESS_SERVE_*`` set; without them, the default.

        Args:
            variables: the environment.
            limits_http: whether the server can limit the size of HTTP requests; Triton 2.51 cannot.

        Raises:
            UsageError: a variable names a file that cannot be read, half of a pair is missing, two of them
                exclude each other, or the server has no such limit.
        """
        tls = None
        if any(variables.get(name) for name in (CERTIFICATE, PRIVATE_KEY, CLIENT_ROOT)):
            for name in (CERTIFICATE, PRIVATE_KEY):
                if not variables.get(name):
                    message = f"{name} is not set; TLS needs {CERTIFICATE} and {PRIVATE_KEY}, two files in PEM format"
                    raise UsageError(message)
            root = variables.get(CLIENT_ROOT)
            tls = ServerTls(
                certificate=Path(variables[CERTIFICATE]),
                key=Path(variables[PRIVATE_KEY]),
                client_root=Path(root) if root else None,
            )
        text = variables.get(MAX_BYTES) or ""
        if text and not text.isdecimal():
            message = f"{MAX_BYTES} is {text!r}; give a number of bytes"
            raise UsageError(message)
        if text and not limits_http:
            message = (
                f"{MAX_BYTES} is {text}, and Triton 2.51, the local server, has no such option; unset it, and put a "
                "gateway that limits requests in front of HTTP, or serve in the container, see docs/security.md"
            )
            raise UsageError(message)
        path = variables.get(KEY_FILE)
        return cls(
            tls=tls,
            http_open=_is_open(variables),
            http_max_bytes=int(text) if text else None,
            key=_read_key(Path(path)) if path else secrets.token_urlsafe(32),
        )

    @property
    def scheme(self) -> str:
        """Return what starts the server's URI for clients."""
        return "triton://" if self.tls is None else "tritons://"

    def http_host(self, host: str) -> str:
        """Return the address that HTTP listens on where gRPC listens on `host`."""
        return host if self.http_open or is_loopback(host) else _LOOPBACK

    def options(self, host: str) -> list[str]:
        """Return the arguments of tritonserver; they must follow its own ``--http-address``.

        Logs a warning where others than this machine can read or send requests in plain text, or end the
        server over HTTP.

        Args:
            host: the address that gRPC listens on.

        Raises:
            UsageError: a file of TLS cannot be read.
        """
        restricted = f"{','.join(RESTRICTED)}:{HEADER}={self.key}"
        options = [f"--http-restricted-api={restricted}", f"--grpc-restricted-protocol={restricted}"]
        if self.tls is not None:
            self.tls.check()
            options += [f"--grpc-server-cert={self.tls.certificate}", f"--grpc-server-key={self.tls.key}"]
            if self.tls.client_root is None:
                options.append("--grpc-use-ssl=true")
            else:
                options += ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={self.tls.client_root}"]
        if not is_loopback(host):
            options += self._beyond_loopback(host)
        if self.http_max_bytes is not None:
            options.append(f"--http-max-input-size={self.http_max_bytes}")
        return options

    def _beyond_loopback(self, host: str) -> list[str]:
        if self.tls is None:
            _LOGGER.warning(
                "%s on %s: plain text, and everybody who reaches it may send requests; set %s and %s for TLS over gRPC",
                "HTTP and gRPC" if self.http_open else "gRPC",
                host,
                CERTIFICATE,
                PRIVATE_KEY,
            )
        if self.http_open:
            _LOGGER.warning(
                "HTTP on %s: one small request of deeply nested JSON ends Triton 2.51; see docs/security.md", host
            )
            return []
        _LOGGER.warning(
            "HTTP listens on %s only, gRPC%s and the metrics on %s; see docs/security.md",
            _LOOPBACK,
            "" if self.tls is None else " with TLS",
            host,
        )
        return [f"--http-address={self.http_host(host)}", f"--metrics-address={host}"]

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers of a control call."""
        return {HEADER: self.key}


def _is_open(variables: Mapping[str, str]) -> bool:
    value = variables.get(HTTP) or "loopback"
    if value not in (OPEN, "loopback"):
        message = f"{HTTP} is {value!r}; give {OPEN!r}, or 'loopback', which is so without it"
        raise UsageError(message)
    return value == OPEN


def _read_key(path: Path) -> str:
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        message = f"{KEY_FILE} names {path}, which cannot be read ({reason}); give a file with the key alone"
        raise UsageError(message) from error
    if not _KEY.fullmatch(key):
        message = (
            f"{KEY_FILE} names {path}, which holds no key of 16 or more letters, digits, '-' and '_' alone; "
            "write one as docs/security.md shows"
        )
        raise UsageError(message)
    return key
