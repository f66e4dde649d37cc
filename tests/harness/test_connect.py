from pathlib import Path

import pytest

from harness.connect import connection
from harness.endpoints.tls import ROOT
from harness.errors import UsageError
from harness.terminal import Quiet


@pytest.mark.parametrize(
    ("endpoint", "hint"),
    [("onx", ", did you mean 'onnx'"), ("http://a:8000", ""), ("triton:/localhost:8001", ", did you mean 'triton://")],
)
def test_endpoint_of_another_kind_is_refused(endpoint: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no endpoint '{endpoint}'{hint}.*it is `onnx`, `triton.s.://host:port"):
        connection(endpoint, [], tmp_path, Quiet()).__enter__()


@pytest.mark.parametrize("endpoint", ["triton://a:8001,b:8001", "tritons://a:8001"])
def test_running_server_is_named_as_it_was_given(endpoint: str, tmp_path: Path) -> None:
    with connection(endpoint, [], tmp_path, Quiet()) as found:
        assert (found.name, found.remote) == (endpoint, True)


def test_root_that_cannot_be_read_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ROOT, str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match=r"HARNESS_TLS_ROOT, \S+none.pem cannot be read"):
        connection("tritons://a:8001", [], tmp_path, Quiet()).__enter__()
    with connection("triton://a:8001", [], tmp_path, Quiet()) as found:
        assert found.remote
