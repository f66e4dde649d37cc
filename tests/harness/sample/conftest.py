from collections.abc import Callable
from pathlib import Path

import pytest

from harness.sample import write
from harness.sample.render import LANGUAGES, LanguageTable


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the whole sample data."""
    folder = tmp_path_factory.mktemp("sample") / "data"
    write(folder)
    return folder


@pytest.fixture(scope="session")
def languages() -> dict[str, LanguageTable]:
    return {code: LanguageTable(code) for code in LANGUAGES}


@pytest.fixture(scope="session")
def lines(sample: Path) -> Callable[..., list[str]]:
    """Lines of a file of the sample, each of which must end in `end`: ``lines("xtreme/xnli/dev-en.tsv")``."""

    def read(name: str, end: str = "\n") -> list[str]:
        text = (sample / name).read_bytes().decode("utf-8")
        assert text.endswith(end)
        return text.removesuffix(end).split(end)

    return read
