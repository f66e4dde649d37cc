import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core import quiet

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
#: Folders of a workspace, which git does not have: a user's own products.
PRODUCTS = {"artifacts", "data", "model_repository", "runs"}


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


SERVICES = compose()["services"]
MOUNTS = [
    pytest.param(mount, id=f"{name}:{mount['target']}")
    for name, service in SERVICES.items()
    for mount in service.get("volumes", [])
]


def with_defaults(text: str) -> str:
    """Fill in ``${NAME:-default}``."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.parametrize("mount", MOUNTS)
def test_what_is_mounted_exists(mount: dict[str, Any]) -> None:
    if mount["type"] == "volume":
        assert mount["source"] in compose()["volumes"]
        return
    path = (DEPLOY / with_defaults(mount["source"])).resolve()
    assert path.is_relative_to(ROOT)
    assert path.exists() or path.name in PRODUCTS


@pytest.mark.parametrize("mount", [mount for mount in MOUNTS if mount.values[0]["type"] == "bind"])
def test_all_but_the_runs_are_mounted_read_only(mount: dict[str, Any]) -> None:
    assert mount.get("read_only", False) is not mount["source"].endswith("/runs")


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_listens_beyond_this_machine(name: str) -> None:
    published = SERVICES[name].get("ports", [])
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" in service])
def test_image_is_a_target_of_the_dockerfile(name: str) -> None:
    build = SERVICES[name]["build"]
    folder = (DEPLOY / build["context"]).resolve()
    assert f"AS {build['target']}\n" in (folder / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" not in service])
def test_image_of_others_has_a_version(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_services_that_are_waited_for_exist() -> None:
    waited = {other for service in SERVICES.values() for other in service.get("depends_on", [])}
    assert waited
    assert waited <= SERVICES.keys()


def test_server_has_room_for_its_processes_and_no_more_rights_than_it_needs() -> None:
    triton = SERVICES["triton"]
    assert (triton["shm_size"], triton["read_only"], triton["cap_drop"]) == ("1gb", True, ["ALL"])
    assert set(triton["environment"]) <= settings() | quiet.VARIABLES.keys()


@pytest.mark.parametrize("name", ["triton", "harness"])
def test_every_switch_against_telemetry_is_set(name: str) -> None:
    assert quiet.VARIABLES.items() <= SERVICES[name]["environment"].items()


def test_open_http_is_published_on_this_machine_only() -> None:
    # HTTP stays on the container's loopback otherwise, where no published port leads to.
    assert SERVICES["triton"]["environment"]["HARNESS_SERVE_HTTP"] == "open"
    assert "127.0.0.1:8000:8000" in SERVICES["triton"]["ports"]


def settings() -> set[str]:
    """Every variable that the container's command reads."""
    from harness.serving import access
    from harness.serving.container import launch as container

    return {
        value
        for module in (access, container)
        for value in vars(module).values()
        if isinstance(value, str) and value.startswith("HARNESS_SERVE_")
    }
