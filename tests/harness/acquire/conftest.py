"""Folders of the hub's and the official download's shape, and small datasets of their own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.acquire.catalogue import Dataset
from harness.benchmark.origins.converters import PairFile
from harness.benchmark.origins.official import Columns
from harness.benchmark.sources.rows import Tsv, one_of
from harness.core.examples import PairExample
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part, Repository

COMMIT = "a" * 40
LABELS = ("contradiction", "entailment", "neutral")
#: The hub's order, which is not the benchmark's.
HUB_NAMES = ("entailment", "neutral", "contradiction")
REPOSITORY = Repository(name="owner/pairs", revision=COMMIT, seen="tests", licence="tests")
ODD = Repository(name="owner/odd", revision=COMMIT, seen="tests", licence="tests")


def pair(number: int, columns: list[str]) -> PairExample:
    first, second, label = columns
    return PairExample(str(number), first, second, one_of(label, LABELS, "label"))


SOURCE = Tsv(file=DataFile("xtreme", "pairs/{split}-{language}.tsv"), columns=3, parse=pair)
SPLITS = {"dev": "validation", "test": "test"}
HUB = Hub(
    convert=PairFile(first="premise", second="hypothesis", labels={label: label for label in LABELS}),
    parts=(
        Part(repository=REPOSITORY, config="{language}", splits=SPLITS, defect="rows get lost there"),
        Part(repository=ODD, config="odd.{language}", splits=SPLITS, unofficial="another conversion"),
    ),
    official=(Columns(patterns=("pairs/{split}-{language}.tsv",), columns=("premise", "hypothesis", "label")),),
    examples={"dev": 2},
)


def hub_rows(count: int = 2) -> list[dict[str, Any]]:
    """Rows with names, as the client gives them."""
    return [
        {"premise": f"p {number}", "hypothesis": f"h {number}", "label": HUB_NAMES[number % 3]}
        for number in range(count)
    ]


@pytest.fixture
def dataset() -> Callable[..., Dataset]:
    """Make a dataset of pairs: ``dataset(languages=("en",), hub=...)``; two dev and three test examples each."""

    def make(**changes: Any) -> Dataset:
        given: dict[str, Any] = {
            "name": "pairs",
            "kind": "task",
            "languages": ("en", "ru"),
            "splits": ("dev", "test"),
            "source": SOURCE,
            "hub": HUB,
            "official": {"en": 3, "ru": 3},
        }
        return Dataset(**(given | changes))

    return make


@pytest.fixture
def hub() -> Hub:
    return HUB


@dataclass
class Loads:
    """What the client was asked for, and what it answers."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(self, *asked: str) -> Iterable[Mapping[str, Any]]:
        self.asked.append(asked)
        return self.rows[asked[2]]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Replace the hub by rows for each split; nothing is loaded from anywhere."""
    from harness.acquire import client

    answers = Loads({"validation": hub_rows(2), "test": hub_rows(3)})
    monkeypatch.setattr(client, "load_rows", answers)
    return answers


@pytest.fixture
def hf_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of `datasets`, and no network."""
    import datasets

    cache = tmp_path / "hf"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture
def write_parquet(hf_cache: Path) -> Callable[..., Path]:
    """Write rows as `datasets` writes them for the hub, class names included."""
    import datasets

    datasets.disable_progress_bars()

    def write(path: Path, rows: Sequence[Mapping[str, Any]], features: Mapping[str, Any]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(list(rows), features=datasets.Features(features)).to_parquet(str(path))
        return path

    return write


@pytest.fixture
def pair_features() -> Mapping[str, Any]:
    from datasets import ClassLabel, Value

    return {"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=list(HUB_NAMES))}


@pytest.fixture
def clone(tmp_path: Path, write_parquet: Callable[..., Path], pair_features: Mapping[str, Any]) -> Path:
    """A copy of the pairs' repository: two languages, two dev and three test rows each."""
    folder = tmp_path / "clones"
    for code in ("en", "ru"):
        for split, count in (("validation", 2), ("test", 3)):
            rows = [row | {"label": HUB_NAMES.index(row["label"])} for row in hub_rows(count)]
            write_parquet(folder / f"owner/pairs/{code}/{split}-00000-of-00001.parquet", rows, pair_features)
    return folder
