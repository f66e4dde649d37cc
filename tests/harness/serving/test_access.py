import http.client
import json
import logging
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, UsageError
from harness.core.tensors import pad
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.endpoints.tls import ROOT, ClientTls
from harness.inference.endpoints.triton import TritonEndpoint, open_client
from harness.serving import access
from harness.serving.access import HEADER, RESTRICTED, Access, ServerTls, is_loopback
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from harness.serving.server.local import LocalTriton

KEY = "a-key_of-20-letters-"


def test_default_closes_the_control_api_with_a_key_of_its_own() -> None:
    first, second = Access(), Access()
    assert first.key != second.key
    restricted = f"model-repository,shared-memory,trace,logging:{HEADER}={first.key}"
    assert first.options("127.0.0.1") == [
        f"--http-restricted-api={restricted}",
        f"--grpc-restricted-protocol={restricted}",
    ]
    assert first.headers() == {HEADER: first.key}


def test_key_is_not_in_what_is_printed() -> None:
    assert KEY not in repr(Access(key=KEY))


@pytest.mark.parametrize("key", ["", "short", "a key with blanks in it", "a=key,with:marks-of-triton", KEY + "\n"])
def test_key_that_is_weak_or_would_split_the_flag_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="16 or more letters, digits"):
        Access(key=key)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.5", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_beyond_loopback_http_stays_on_this_machine_and_plain_text_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        Access().options("127.0.0.1")
        assert caplog.text == ""
        options = Access().options("0.0.0.0")
    assert options[2:] == ["--http-address=127.0.0.1", "--metrics-address=0.0.0.0"]
    assert [Access().http_host(host) for host in ("0.0.0.0", "::1", "10.0.0.5")] == ["127.0.0.1", "::1", "127.0.0.1"]
    assert "gRPC on 0.0.0.0: plain text" in caplog.text
    assert "HTTP listens on 127.0.0.1 only" in caplog.text


def test_http_beyond_loopback_must_be_asked_for_and_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    opened = Access.from_environment({access.HTTP: "open"})
    assert opened.http_host("0.0.0.0") == "0.0.0.0"
    with caplog.at_level(logging.WARNING):
        assert not [option for option in opened.options("0.0.0.0") if "-address" in option]
    assert "HTTP and gRPC on 0.0.0.0: plain text" in caplog.text
    assert "deeply nested JSON ends Triton 2.51" in caplog.text
    for value in ("", "loopback"):
        assert Access.from_environment({access.HTTP: value}).http_open is False


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "file.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n")
    return path


def test_with_tls_http_stays_on_this_machine(pem: Path, caplog: pytest.LogCaptureFixture) -> None:
    tls = Access(tls=ServerTls(certificate=pem, key=pem))
    assert (tls.http_host("0.0.0.0"), tls.http_host("127.0.0.2")) == ("127.0.0.1", "127.0.0.2")
    assert (tls.scheme, Access().scheme) == ("tritons://", "triton://")
    with caplog.at_level(logging.WARNING):
        options = tls.options("0.0.0.0")[2:]
    assert options == [
        f"--grpc-server-cert={pem}",
        f"--grpc-server-key={pem}",
        "--grpc-use-ssl=true",
        "--http-address=127.0.0.1",
        "--metrics-address=0.0.0.0",
    ]
    assert "HTTP listens on 127.0.0.1 only, gRPC with TLS and the metrics on 0.0.0.0" in caplog.text
    assert "plain text" not in caplog.text


def test_root_for_clients_makes_tls_mutual(pem: Path) -> None:
    options = Access(tls=ServerTls(certificate=pem, key=pem, client_root=pem)).options("127.0.0.1")
    assert options[-2:] == ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={pem}"]


def test_tls_file_that_cannot_be_read_is_named(pem: Path, tmp_path: Path) -> None:
    tls = ServerTls(certificate=pem, key=tmp_path / "none.key")
    with pytest.raises(UsageError, match=r"the server's private key \S+none.key cannot be read .No such file"):
        Access(tls=tls).options("127.0.0.1")


def test_size_of_http_requests_is_only_limited_where_asked() -> None:
    assert Access(http_max_bytes=1024).options("127.0.0.1")[-1] == "--http-max-input-size=1024"
    assert not [option for option in Access().options("0.0.0.0") if "max-input-size" in option]
    with pytest.raises(UsageError, match="0 bytes; give a positive number"):
        Access(http_max_bytes=0)


def test_environment_says_the_same(pem: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    variables = {
        access.KEY_FILE: str(tmp_path / "key"),
        access.CERTIFICATE: str(pem),
        access.PRIVATE_KEY: str(pem),
        access.CLIENT_ROOT: str(pem),
        access.MAX_BYTES: "4096",
    }
    tls = ServerTls(certificate=pem, key=pem, client_root=pem)
    assert Access.from_environment(variables, limits_http=True) == Access(key=KEY, tls=tls, http_max_bytes=4096)
    assert Access.from_environment({}).tls is None
    assert Access.from_environment({}).key != Access.from_environment({}).key


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({access.CERTIFICATE: "a.pem"}, f"{access.PRIVATE_KEY} is not set; TLS needs"),
        ({access.CLIENT_ROOT: "a.pem"}, f"{access.CERTIFICATE} is not set; TLS needs"),
        ({access.MAX_BYTES: "16 MB"}, "is '16 MB'; give a number of bytes"),
        ({access.MAX_BYTES: "4096"}, f"{access.MAX_BYTES} is 4096, and Triton 2.51, .*has no such option; unset it"),
        ({access.HTTP: "opne"}, f"{access.HTTP} is 'opne'; give 'open', or 'loopback'"),
        (
            {access.HTTP: "open", access.CERTIFICATE: "a.pem", access.PRIVATE_KEY: "a.key"},
            f"{access.HTTP} is 'open', and Triton has no TLS for HTTP.*unset one of the two",
        ),
        ({access.KEY_FILE: "/no/such/key"}, "/no/such/key, which cannot be read .No such file"),
    ],
)
def test_environment_that_makes_no_sense_is_refused(variables: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Access.from_environment(variables)


@pytest.mark.parametrize("content", ["", "short", "two keys-of_20-letters\n"])
def test_file_without_a_key_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(UsageError, match=rf"^{access.KEY_FILE} names {tmp_path}/key, which holds no key of 16 or more"):
        Access.from_environment({access.KEY_FILE: str(tmp_path / "key")})


CONTROL = [
    ("POST", "/v2/repository/index", {}),
    ("POST", "/v2/repository/models/tiny-choice-fp32/load", {}),
    ("POST", "/v2/repository/models/tiny-choice-fp32/unload", {}),
    ("POST", "/v2/systemsharedmemory/region/x/register", {"key": "/x", "offset": 0, "byte_size": 8}),
    ("GET", "/v2/systemsharedmemory/status", None),
    ("GET", "/v2/cudasharedmemory/status", None),
    ("POST", "/v2/trace/setting", {"trace_file": "/tmp/trace"}),
    ("GET", "/v2/models/tiny-choice-fp32/trace/setting", None),
    ("POST", "/v2/logging", {"log_verbose_level": 9}),
]


def asked(port: int, method: str, path: str, body: object, headers: dict[str, str]) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.triton
@pytest.mark.parametrize("headers", [{}, {HEADER: KEY}], ids=["without a key", "with a wrong key"])
@pytest.mark.parametrize(("method", "path", "body"), CONTROL)
def test_control_calls_without_the_key_are_refused(served, method: str, path: str, body, headers) -> None:
    status, said = asked(served.server.http_port, method, path, body, headers)
    assert (status, "This API is restricted" in said) == (403, True)


@pytest.mark.triton
def test_control_calls_over_grpc_need_the_key_too(served) -> None:
    from tritonclient.utils import InferenceServerException

    with open_client(served.hosts[0]) as client:
        for call in ("get_model_repository_index", "get_system_shared_memory_status", "get_log_settings"):
            with pytest.raises(InferenceServerException, match="This protocol is restricted"):
                getattr(client, call)()
        key = {f"triton-grpc-protocol-{HEADER}": served.server.access.key}
        names = {model.name for model in client.get_model_repository_index(headers=key).models}
    assert served.artifacts["choice"].name in names


@pytest.mark.triton
def test_control_calls_with_the_key_work_and_inference_needs_none(served) -> None:
    port, headers = served.server.http_port, served.server.access.headers()
    name = served.artifacts["choice"].name
    assert asked(port, "POST", f"/v2/repository/models/{name}/unload", {}, headers)[0] == 200
    assert asked(port, "POST", f"/v2/repository/models/{name}/load", {}, headers)[0] == 200
    row = {"datatype": "INT64", "shape": [1, 2]}
    inputs = [{"name": "input_ids", "data": [0, 2], **row}, {"name": "attention_mask", "data": [1, 1], **row}]
    assert asked(port, "POST", f"/v2/models/{name}/infer", {"inputs": inputs}, {})[0] == 200


@pytest.mark.triton
def test_every_restricted_group_is_one_that_the_server_knows(tmp_path: Path, artifact, probe) -> None:
    # It refuses to start with an unknown group, so that a typing error in the list cannot leave one open.
    assert set(RESTRICTED) == {"model-repository", "shared-memory", "trace", "logging"}
    publish(artifact(), tmp_path / "repository", Serving(threads=1), probe_ids=probe)

    class Misspelt(Access):
        def options(self, host: str) -> list[str]:
            return [option.replace("shared-memory", "shared-memories") for option in Access.options(self, host)]

    server = LocalTriton(tmp_path / "repository", [artifact().name], access=Misspelt(), log=tmp_path / "log")
    with pytest.raises(EndpointError, match="shared-memories"), server:
        pytest.fail("the server started")


@pytest.mark.triton
def test_all_addresses_leave_http_on_this_machine(
    artifact: Callable[..., Artifact], probe: list[int], tmp_path: Path
) -> None:
    graph = artifact()
    publish(graph, tmp_path / "repository", Serving(threads=1), probe_ids=probe)
    with LocalTriton(tmp_path / "repository", [graph.name], host="0.0.0.0", log=tmp_path / "log") as server:
        # 127.0.0.2 is another address of this machine: who listens on 127.0.0.1 alone is not there.
        socket.create_connection(("127.0.0.2", server.grpc_port), timeout=10).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.http_port), timeout=10)
        assert server.http_host == "127.0.0.1"


class Certificates(NamedTuple):
    """Files of one authority: its root, a server's pair, a client's pair."""

    root: Path
    server: ServerTls
    client: ClientTls
    unknown: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the test's certificates")
    folder = tmp_path_factory.mktemp("tls")

    def make(name: str, *options: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        new = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]
        command = [*new, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate), *options]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return certificate, key

    root, root_key = make("root")
    signed = ["-CA", str(root), "-CAkey", str(root_key), "-addext", "basicConstraints=critical,CA:FALSE"]
    certificate, key = make("server", *signed, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    shown, shown_key = make("client", *signed)
    return Certificates(
        root=root,
        server=ServerTls(certificate=certificate, key=key, client_root=root),
        client=ClientTls(root=root, certificate=shown, key=shown_key),
        unknown=make("unknown")[0],
    )


def batch() -> dict[str, np.ndarray]:
    return dict(pad([np.array([3, 4, 5]), np.array([6, 7])], pad_id=1))


@pytest.mark.triton
def test_mutual_tls_round_trip(
    certificates: Certificates, artifact: Callable[..., Artifact], probe: list[int], tmp_path: Path
) -> None:
    graph = artifact()
    publish(graph, tmp_path / "repository", Serving(threads=1), probe_ids=probe)
    rules = Access(tls=certificates.server)
    with LocalTriton(tmp_path / "repository", [graph.name], access=rules, log=tmp_path / "log") as server:
        hosts = [f"127.0.0.1:{server.grpc_port}"]
        with TritonEndpoint(hosts, graph, tls=certificates.client) as remote, OnnxEndpoint.of(graph) as here:
            np.testing.assert_allclose(
                remote.infer(batch())["embedding"], here.infer(batch())["embedding"], rtol=1e-5, atol=1e-5
            )
        with pytest.raises(EndpointError, match=f"no Triton answers at {hosts[0]} .*write tritons:// if it speaks TLS"):
            TritonEndpoint(hosts, graph)
        with pytest.raises(EndpointError, match=f"no Triton answers at {hosts[0]} "):
            TritonEndpoint(hosts, graph, tls=ClientTls(root=certificates.root))  # shows no certificate
        with pytest.raises(EndpointError, match=f"no Triton answers at {hosts[0]} .*set {ROOT} to the root"):
            TritonEndpoint(hosts, graph, tls=ClientTls(root=certificates.unknown))


@pytest.mark.triton
def test_tls_on_all_addresses_leaves_http_on_this_machine(
    certificates: Certificates, artifact: Callable[..., Artifact], probe: list[int], tmp_path: Path
) -> None:
    graph = artifact()
    publish(graph, tmp_path / "repository", Serving(threads=1), probe_ids=probe)
    rules = Access(tls=ServerTls(certificate=certificates.server.certificate, key=certificates.server.key))
    with LocalTriton(
        tmp_path / "repository", [graph.name], host="0.0.0.0", access=rules, log=tmp_path / "log"
    ) as server:
        # 127.0.0.2 is another address of this machine: who listens on 127.0.0.1 alone is not there.
        socket.create_connection(("127.0.0.2", server.grpc_port), timeout=10).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.http_port), timeout=10)
        tls = ClientTls(root=certificates.root)
        with TritonEndpoint([f"127.0.0.1:{server.grpc_port}"], graph, tls=tls) as remote:
            assert remote.infer(batch())["embedding"].shape[0] == 2
        with pytest.raises(EndpointError, match=r"no Triton answers at 127\.0\.0\.2:\d+ .*which must name the host"):
            TritonEndpoint([f"127.0.0.2:{server.grpc_port}"], graph, tls=tls)
