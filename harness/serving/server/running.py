"""Requests to a running Triton over HTTP: what it serves, whether a model answers, load and unload.

Whoever started the server is not known here; `harness.serving.server.local` starts one.
"""

import http.client
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import EndpointError
from harness.serving.access import Access
from harness.serving.repository.config import PROFILE
from harness.serving.repository.known_answer import FILE, KnownAnswer, is_busy, read_known_answer
from harness.serving.repository.layout import Profile, is_text

#: Triton's lines look like `E1122 13:30:11.123456 4242 model_lifecycle.cc:641] "text"`.
_ERROR = re.compile(r"^E\d{4} \S+ +\d+ [\w.]+:\d+\] \"?(.*?)\"?$", re.MULTILINE)

#: Every start on a machine without a GPU logs it as an error.
_HARMLESS = "CudaDriverHelper has not been initialized"


class Ended(EndpointError):
    """The server's process ended by itself."""


class Busy(EndpointError):
    """A model refuses or delays a known question because others wait before it; it may be alive or dead."""


class RunningTriton:
    """A server that is reached over HTTP; its repository and its log are on this machine."""

    #: The port of the HTTP service.
    http_port: int

    def __init__(
        self, repository: Path, *, host: str, profile: Profile, access: Access, log: Path, timeout: float
    ) -> None:
        """Note where the server is; nothing is sent yet.

        Args:
            repository: the model repository that it serves.
            host: the address that its gRPC service listens on.
            profile: which of a graph's configs it loads.
            access: the key of the control API.
            log: the server's output.
            timeout: seconds for an answer.
        """
        self.repository = repository.absolute()
        self.host = host
        self.profile = profile
        self.access = access
        self.log = log
        self._timeout = timeout

    @property
    def http_host(self) -> str:
        """Return the address of the HTTP service, which has no TLS and therefore may be another one than gRPC's."""
        return self.access.http_host(self.host)

    def is_ready(self) -> bool:
        """Return whether the server reports that it is ready, which it does once its models are loaded."""
        connection = http.client.HTTPConnection(self.http_host, self.http_port, timeout=1)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def check(self, name: str) -> None:
        """Send a model its known question: Triton may report a model ready while its stub is dead.

        Raises:
            EndpointError: it does not answer, or wrongly.
        """
        for version in self.served_versions(name):
            answer = read_known_answer(self.repository / name / str(version) / FILE)
            if wrong := answer.difference(self._infer(name, version, answer, self._timeout)):
                message = (
                    f"model {name!r} version {version} is loaded but answers wrongly: {wrong}; "
                    "publish it again with `harness export`"
                )
                raise EndpointError(message)

    def check_answer(self, name: str, timeout: float) -> None:
        """Send a model that was loaded again its known question: it must give the known answer.

        Args:
            name: a served model.
            timeout: seconds for each answer.

        Raises:
            Busy: it refuses since its queue is full, or does not answer in time.
            EndpointError: it fails, or answers otherwise.
        """
        for version in self.served_versions(name):
            answer = read_known_answer(self.repository / name / str(version) / FILE)
            if wrong := answer.difference(self._infer(name, version, answer, timeout)):
                message = f"model {name!r} version {version} answers wrongly: {wrong}"
                raise EndpointError(message)

    def check_alive(self, name: str, timeout: float) -> None:
        """Send a model in use its known question: it must give an answer, whatever the values.

        Args:
            name: a served model.
            timeout: seconds for each answer, the time in the queue included.

        Raises:
            Busy: it refuses since its queue is full, or does not answer in time.
            EndpointError: it fails.
        """
        for version in self.served_versions(name):
            answer = read_known_answer(self.repository / name / str(version) / FILE)
            if wrong := answer.gap(self._infer(name, version, answer, timeout)):
                message = f"model {name!r} version {version} gives an incomplete answer: {wrong}"
                raise EndpointError(message)

    def _infer(self, name: str, version: int, answer: KnownAnswer, timeout: float) -> dict[str, list[Any]]:
        path = f"/v2/models/{name}/versions/{version}/infer"
        reply = self._request("POST", path, name, answer.request(), timeout)
        return {output["name"]: output["data"] for output in reply["outputs"]}

    def check_profile(self, name: str) -> None:
        """Refuse a model that was loaded in another profile: Triton takes config.pbtxt where the profile's is missing.

        Raises:
            EndpointError: names both profiles.
        """
        parameters = self.config(name).get("parameters", {})
        loaded = parameters.get(PROFILE, {}).get("string_value", "none")
        wanted = "online" if is_text(name) else self.profile
        if loaded != wanted:
            message = (
                f"model {name!r} was loaded in the profile {loaded!r}, and not in {wanted!r}; "
                "publish it again with `harness export`"
            )
            raise EndpointError(message)

    def config(self, name: str) -> dict[str, Any]:
        """Return a model's configuration as it was loaded, in the JSON form that `load` takes."""
        loaded: dict[str, Any] = self._request("GET", f"/v2/models/{name}/config", name)
        return loaded

    def answered(self, name: str) -> tuple[int, int]:
        """Return how many requests a model has answered since it was loaded, in how many calls of its backend."""
        entries = self._request("GET", f"/v2/models/{name}/stats", name)["model_stats"]
        return (
            sum(int(entry["inference_stats"]["success"]["count"]) for entry in entries),
            sum(int(entry["execution_count"]) for entry in entries),
        )

    def served_versions(self, name: str) -> list[int]:
        """Return the versions that answer."""
        return [int(version) for version in self._request("GET", f"/v2/models/{name}", name)["versions"]]

    def states(self, name: str) -> dict[int, str]:
        """Return the state of each version that the server knows: LOADING, READY, UNLOADING or UNAVAILABLE."""
        index = self._request("POST", "/v2/repository/index", name, {})
        return {
            int(entry["version"]): entry["state"] for entry in index if entry["name"] == name and entry.get("version")
        }

    def load(self, name: str, config: Mapping[str, Any]) -> None:
        """Load a model, or load it again beside what it serves, with this configuration; return when it is ready.

        Always with a configuration: having once been given one, Triton does not read the file again.

        Raises:
            EndpointError: it did not load; what was served before is still served.
        """
        body = {"parameters": {"config": json.dumps(config)}}
        self._request("POST", f"/v2/repository/models/{name}/load", name, body)
        missing = set(config["version_policy"]["specific"]["versions"]) - set(self.served_versions(name))
        if missing:  # of several versions, Triton silently leaves out those without a folder
            message = f"model {name!r} has no version {', '.join(map(str, sorted(missing)))} in {self.repository}"
            raise EndpointError(message)

    def unload(self, name: str) -> None:
        """Unload a model; running requests complete, new ones are refused.

        Raises:
            EndpointError: the server refuses.
        """
        self._request("POST", f"/v2/repository/models/{name}/unload", name, {})

    def _request(
        self, method: str, path: str, name: str, body: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        connection = http.client.HTTPConnection(self.http_host, self.http_port, timeout=timeout or self._timeout)
        text = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, text, self.access.headers())
            response = connection.getresponse()
            content = response.read()
            value = json.loads(content) if content else {}
        except TimeoutError as error:
            message = f"model {name!r} gave no answer in {timeout or self._timeout:.0f} s"
            raise Busy(message) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = self._failure(f"model {name!r} gives no answer ({error!r})")
            raise EndpointError(message) from error
        finally:
            connection.close()
        if response.status != 200:
            # The reason why a model does not load has several lines.
            reason = " ".join(str(value.get("error", value)).split()).rstrip("; ")
            if is_busy(reason):
                message = f"model {name!r} is busy: {reason}"
                raise Busy(message)
            what = f"model {name!r} is loaded but fails its known question: {reason}"
            what = what if path.endswith("/infer") else f"model {name!r}: {reason}"
            message = f"{what}; the whole log is {self.log}"
            raise EndpointError(message)
        return value

    def _log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""

    def _failure(self, what: str) -> str:
        text = self._log_text()
        lines = [line for line in dict.fromkeys(_ERROR.findall(text)) if not line.startswith(_HARMLESS)]
        lines = lines or text.strip().splitlines()
        return f"{what}: {' | '.join(lines[-4:]) or 'it wrote nothing'}; the whole log is {self.log}"
