"""TLS of a client: which servers it trusts, and how it proves who it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.core.errors import UsageError

ROOT = "HARNESS_TLS_ROOT"
CERTIFICATE = "HARNESS_TLS_CERTIFICATE"
PRIVATE_KEY = "HARNESS_TLS_KEY"


def readable_pem(path: Path, what: str) -> Path:
    """Return a path after a look at the file: gRPC would only log that it could not read one.

    Args:
        path: a file of PEM blocks.
        what: how the message names it.

    Raises:
        UsageError: the file cannot be read, or holds no PEM block.
    """
    try:
        found = b"-----BEGIN " in path.read_bytes()
    except OSError as error:
        message = f"{what} {path} cannot be read ({error.strerror}); give a file in PEM format"
        raise UsageError(message) from error
    if not found:
        message = f"{what} {path} holds no PEM block; give a file with lines such as -----BEGIN CERTIFICATE-----"
        raise UsageError(message)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """Files in PEM format. Without any, the roots are those that gRPC brings."""

    #: Who must have signed the servers' certificates.
    root: Path | None = None
    #: Shown to servers that require one; both or neither.
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Return what ``HARNESS_TLS_ROOT``, ``HARNESS_TLS_CERTIFICATE`` and ``HARNESS_TLS_KEY`` set.

        Raises:
            UsageError: a file cannot be read or is of another format, or a certificate has no key.
        """
        given = {
            name: readable_pem(Path(variables[name]), f"{name},")
            for name in (ROOT, CERTIFICATE, PRIVATE_KEY)
            if variables.get(name)
        }
        if (CERTIFICATE in given) != (PRIVATE_KEY in given):
            message = f"only one of {CERTIFICATE} and {PRIVATE_KEY} is set; a client's certificate needs its key"
            raise UsageError(message)
        return cls(root=given.get(ROOT), certificate=given.get(CERTIFICATE), key=given.get(PRIVATE_KEY))


def remedy(reason: str, tls: ClientTls | None) -> str:
    """Return what to do about a server that cannot be reached.

    Args:
        reason: the message of gRPC.
        tls: the client's files; None where it speaks plain text.
    """
    if tls is None:
        # The message of gRPC when a server with TLS ends a connection in plain text.
        fix = "write tritons:// if it speaks TLS, or " if "Socket closed" in reason else ""
        return f"{fix}start one with `harness serve`"
    if "CERTIFICATE_VERIFY_FAILED" in reason or "Hostname Verification" in reason:
        return f"set {ROOT} to the root that signed its certificate, which must name the host"
    return "write triton:// if it speaks plain text, or start one with TLS, see docs/security.md"
