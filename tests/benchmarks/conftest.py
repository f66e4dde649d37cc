import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark import tasks
from harness.core.layout import Layout
from harness.evaluation.provenance import data_sha256
from harness.evaluation.workload import Job
from harness.tokenization.tokenizer import FastTokenizer


@pytest.fixture
def run_folder(tmp_path: Path, layout: Layout) -> Callable[..., Path]:
    """Write a finished run: ``run_folder("seed1", {"xnli": {"en": 70.0}}, examples=4)``."""

    def make(name: str, headlines: dict[str, dict[str, float]], *, examples: int) -> Path:
        entries: dict[str, Any] = {}
        jobs: list[Job] = []
        for task_name, by_language in headlines.items():
            task = tasks.load(task_name)
            jobs += [Job(task, code, "test") for code in by_language]
            rows = {
                code: {**dict.fromkeys(task.headline, value), "examples": examples, "split": "test"}
                for code, value in by_language.items()
            }
            entries[task_name] = {"languages": rows}
        provenance = {"data": str(layout.xtreme), "data_sha256": data_sha256(jobs, layout)}
        document = {"model": "tiny", "tasks": entries, "provenance": provenance}
        folder = tmp_path / name
        folder.mkdir()
        (folder / "scores.json").write_text(json.dumps(document), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def xnli(write: Callable[..., Path]) -> Callable[[Sequence[str]], None]:
    """Write four XNLI rows for each language."""

    def make(languages: Sequence[str]) -> None:
        for code in languages:
            write(f"xnli/test-{code}.tsv", "a\tb\tneutral\n" * 4)

    return make


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "data" / "xtreme").mkdir(parents=True, exist_ok=True)
    return Layout.at(tmp_path / "data")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file below tmp_path/data/xtreme: ``write("xnli/test-ru.tsv", "...")``."""

    def make(name: str, content: str) -> Path:
        path = tmp_path / "data" / "xtreme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")
        return path

    return make


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer in which each letter is a piece, with XLM-R's special ids and frame."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
    toy = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"))
    toy.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    toy.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    toy.save(str(path))
    return path


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> FastTokenizer:
    return FastTokenizer(tokenizer_file)
