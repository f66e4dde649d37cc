from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.inference.endpoints.tls import CERTIFICATE, PRIVATE_KEY, ROOT, ClientTls
from harness.inference.endpoints.triton import parse_tls

PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "file.pem"
    path.write_text(PEM)
    return path


def test_plain_text_needs_no_files() -> None:
    assert parse_tls("triton://a:8001", {ROOT: "/no/such/file"}) is None


def test_without_variables_the_usual_roots_are_trusted() -> None:
    assert parse_tls("tritons://a:8001", {}) == ClientTls()


def test_variables_name_the_files(pem: Path) -> None:
    variables = {ROOT: str(pem), CERTIFICATE: str(pem), PRIVATE_KEY: str(pem)}
    assert parse_tls("tritons://a:8001", variables) == ClientTls(root=pem, certificate=pem, key=pem)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{ROOT}, {tmp_path}/none.pem cannot be read .No such file.*PEM"):
        parse_tls("tritons://a:8001", {ROOT: str(tmp_path / "none.pem")})


def test_file_of_another_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "root.der").write_bytes(b"\x30\x82")
    with pytest.raises(UsageError, match=r"root\.der holds no PEM block; give a file with"):
        parse_tls("tritons://a:8001", {ROOT: str(tmp_path / "root.der")})


@pytest.mark.parametrize("only", [CERTIFICATE, PRIVATE_KEY])
def test_half_of_a_clients_pair_is_refused(only: str, pem: Path) -> None:
    with pytest.raises(UsageError, match=f"only one of {CERTIFICATE} and {PRIVATE_KEY} is set"):
        parse_tls("tritons://a:8001", {only: str(pem)})
