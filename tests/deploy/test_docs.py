import re
from pathlib import Path

import pytest

from harness.inference.endpoints import tls
from harness.serving import access
from harness.serving.container import launch as container

ROOT = Path(__file__).parents[2]
PAGES = ["docs/deploy.md", "docs/security.md"]
#: What Python reads elsewhere: the data folder.
OTHERS = {"HARNESS_DATA"}


def variables() -> set[str]:
    values = [value for module in (access, container, tls) for value in vars(module).values()]
    return {value for value in values if isinstance(value, str) and value.startswith("HARNESS_")}


@pytest.mark.parametrize("page", PAGES)
def test_variables_are_those_that_are_read(page: str) -> None:
    reported = set(re.findall(r"\bHARNESS_[A-Z_]*[A-Z]\b(?!_)", (ROOT / page).read_text(encoding="utf-8")))
    assert reported
    assert reported - OTHERS <= variables()


def test_every_variable_of_the_server_and_the_client_is_reported() -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in sorted(variables()) if name not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(r"\b(?:deploy|docs)/[\w./-]*\w", (ROOT / page).read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
