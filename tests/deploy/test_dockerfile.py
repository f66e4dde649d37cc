import importlib
import json
import re
import tomllib
from pathlib import Path

import pytest

from harness.core import quiet

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def instructions() -> list[tuple[str, str]]:
    """The file's instructions in order, lines that go on joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for word, rest in instructions():
        if word == "FROM":
            name = rest.rsplit(" AS ", 1)[1]
            found[name] = list(found.get(rest.split()[0], []))
        elif found:
            found[name].append((word, rest))
    return found


STAGES = stages()
TARGETS = ("eval", "export", "serve")


def last(stage: str, word: str) -> str:
    return [rest for each, rest in STAGES[stage] if each == word][-1]


def test_targets_are_there() -> None:
    assert set(TARGETS) <= STAGES.keys()


@pytest.mark.parametrize("stage", TARGETS)
def test_what_is_copied_exists_and_is_not_kept_from_the_build(stage: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    sources = [source for word, rest in STAGES[stage] if word == "COPY" for source in rest.split()[:-1]]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if source.split("/")[0] in ignored] == []


@pytest.mark.parametrize("stage", TARGETS)
def test_process_is_not_root(stage: str) -> None:
    words = [word for word, _ in STAGES[stage]]
    assert last(stage, "USER") == "1000"
    assert "RUN" not in words[len(words) - words[::-1].index("USER") :]


@pytest.mark.parametrize("stage", TARGETS)
def test_every_switch_against_telemetry_is_set(stage: str) -> None:
    values = dict(re.findall(r"(\w+)=(\S+)", " ".join(rest for word, rest in STAGES[stage] if word == "ENV")))
    assert quiet.VARIABLES.items() <= values.items()


@pytest.mark.parametrize("stage", ["eval", "export"])
def test_extras_that_are_installed_exist(stage: str) -> None:
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", last(stage, "RUN"))
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
    assert "--constraint constraints.txt" in last(stage, "RUN")


def test_evaluation_client_has_no_torch() -> None:
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", last("eval", "RUN"))
    needed = [each for extra in extras.split(",") for each in PROJECT["optional-dependencies"][extra]]
    assert [each for each in [*needed, *PROJECT["dependencies"]] if each.startswith(("torch", "xtreme-harness"))] == []


@pytest.mark.parametrize("stage", ["eval", "export"])
def test_entry_point_is_a_script_of_the_project(stage: str) -> None:
    (program,) = json.loads(last(stage, "ENTRYPOINT"))
    module, _, function = PROJECT["scripts"][program].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_servers_entry_point_and_health_check_can_be_run_as_modules() -> None:
    check = json.loads(re.search(r"\[.*\]", last("serve", "HEALTHCHECK"))[0])
    for python, flag, module in (json.loads(last("serve", "ENTRYPOINT")), check[:3]):
        assert (python, flag) == ("python3", "-m")
        path = ROOT / (module.replace(".", "/") + ".py")
        assert 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")


def test_servers_settings_are_those_that_it_reads() -> None:
    from harness.serving import access
    from harness.serving.container import launch as container

    known = [value for module in (access, container) for value in vars(module).values() if isinstance(value, str)]
    names = re.findall(r"(HARNESS_SERVE_\w+)=", " ".join(rest for word, rest in STAGES["serve"] if word == "ENV"))
    assert names
    assert set(names) <= set(known)


def test_text_backend_goes_where_triton_looks() -> None:
    assert ("COPY", "harness/serving/backends/text /opt/tritonserver/backends/text") in STAGES["serve"]
    assert (ROOT / "harness" / "serving" / "backends" / "text" / "model.py").is_file()
    assert "PYTHONPATH=/opt/harness/packages" in " ".join(rest for word, rest in STAGES["serve"] if word == "ENV")
    assert "--target packages" in last("serve", "RUN")
    assert ("WORKDIR", "/opt/harness") in STAGES["serve"]


def test_graphs_can_be_exported_for_the_servers_release() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (release,) = re.findall(r"(?m)^ARG TRITON=(\S+)$", text)
    servers = (ROOT / "exporters" / "servers.py").read_text(encoding="utf-8")
    assert f'"{release}": ' in servers
    # Python 3.12 came with 24.11; the project needs 3.11.
    assert tuple(map(int, release.split("."))) >= (24, 11)
