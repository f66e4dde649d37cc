import importlib.util

import pytest

from harness.serving.server import doctor


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its checks start the server's program.
    monkeypatch.setattr(doctor, "_server", list)


def found(name: str) -> doctor.Check:
    (check,) = [check for check in doctor.checks() if check.name == name]
    return check


def test_client_of_triton_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    check = found("tritonclient")
    assert (check.ok, check.required, check.remedy) == (True, True, "")
    assert check.detail.startswith("tritonclient ")

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tritonclient" else find(name))
    check = found("tritonclient")
    assert (check.ok, check.remedy) == (False, "`pip install 'xtreme-harness[triton]'`")


def test_what_fails_says_what_to_do() -> None:
    assert [check.name for check in doctor.checks() if not check.ok and not check.remedy] == []
    assert len({check.name for check in doctor.checks()}) == len(doctor.checks())
