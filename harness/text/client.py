"""The client of a text model behind Triton, over gRPC: it sends texts and returns answers."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.core.errors import EndpointError, MissingExtra
from harness.inference.endpoints import Closing
from harness.inference.endpoints.tls import ClientTls, remedy
from harness.inference.endpoints.triton import open_client
from harness.text.fields import Question
from harness.text.forms import Answer, Form

try:
    import tritonclient.grpc as client
    from tritonclient.utils import InferenceServerException
except ImportError as error:
    raise MissingExtra(package="tritonclient", extra="triton") from error

#: Seconds for metadata.
_OPEN_TIMEOUT = 30.0


def _reason(error: InferenceServerException) -> str:
    return " ".join(str(error.message() or error).split())


class TextEndpoint(Closing):
    """One text model of one server; `ask` may be called from several threads at once."""

    def __init__(
        self, address: str, name: str, form: Form, *, tls: ClientTls | None = None, timeout: float = 300.0
    ) -> None:
        """Connect, and check that the server has the model with the fields of the form.

        Args:
            address: ``host:port`` of the server's gRPC service.
            name: the text model's served name.
            form: the fields, and the kind of answer.
            tls: None for plain text.
            timeout: seconds for one answer, the time in the server's queues included.

        Raises:
            EndpointError: the server is down, lacks the model, or the model takes other fields.
        """
        self._address, self._name, self._form, self._timeout = address, name, form, timeout
        self._tls = tls
        self._client = open_client(address, tls)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        try:
            self._client.get_server_metadata(client_timeout=_OPEN_TIMEOUT)
        except InferenceServerException as error:
            reason = _reason(error)
            message = f"Triton at {self._address} cannot be reached ({reason}); {remedy(reason, self._tls)}"
            raise EndpointError(message) from error
        try:
            inputs = self._client.get_model_metadata(self._name, client_timeout=_OPEN_TIMEOUT).inputs
        except InferenceServerException as error:
            message = (
                f"Triton at {self._address} does not serve {self._name!r} ({_reason(error)}); "
                "`harness serve` serves text models in its profile online, `harness models` lists what is published"
            )
            raise EndpointError(message) from error
        served, wanted = [entry.name for entry in inputs], [field.name for field in self._form.fields]
        if served != wanted:
            message = (
                f"{self._name!r} at {self._address} takes {', '.join(served)} and not {', '.join(wanted)}; "
                "publish the model again with `harness export` and restart `harness serve`"
            )
            raise EndpointError(message)

    def ask(self, question: Question) -> Answer:
        """Return the answer to one question.

        Raises:
            EndpointError: there is none; repeats the server's reason.
        """
        inputs = []
        for field in self._form.fields:
            texts = question[field.name] if field.several else (question[field.name],)
            value = np.array([[text.encode() for text in texts]], dtype=np.object_)
            inputs.append(client.InferInput(field.name, value.shape, "BYTES"))
            inputs[-1].set_data_from_numpy(value)
        try:
            result = self._client.infer(self._name, inputs, client_timeout=self._timeout)
        except InferenceServerException as error:
            message = f"Triton at {self._address} gives no answer: {_reason(error)}"
            raise EndpointError(message) from error
        return _vector(result) if self._form.vector else _from_json(result)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _vector(result: Any) -> Answer:
    return {
        "embedding": result.as_numpy("embedding")[0].tolist(),
        "truncated": bool(result.as_numpy("truncated")[0, 0]),
    }


def _from_json(result: Any) -> Answer:
    answer: Mapping[str, Any] = json.loads(result.as_numpy("answer")[0, 0])
    return dict(answer)
