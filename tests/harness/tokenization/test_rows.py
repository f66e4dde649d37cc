from pathlib import Path

import pytest

from harness.benchmark import tasks
from harness.core.errors import DataError
from harness.core.features import Feature
from harness.evaluation.workload import GraphWorkload, Job
from harness.tokenization.cache import TokenCache
from harness.tokenization.rows import Rows, Unread

XNLI = tasks.load("xnli")


def content(rows: list[Feature]) -> list[tuple[int, list[int], bytes]]:
    return [(row.example, row.input_ids.tolist(), row.key) for row in rows]


@pytest.fixture
def make(layout, tokenizer_file, tmp_path: Path):
    return lambda sha="0" * 64: Rows(layout, tokenizer_file, sha, TokenCache(tmp_path / "cache"))


def featurize(rows: Rows, layout, *languages: str, limit: int | None = None) -> GraphWorkload:
    workload = GraphWorkload(None, [Job(XNLI, code, "test", limit) for code in languages])
    workload.read(layout, rows, lambda _: None)
    workload.featurize(rows, lambda _: None)
    return workload


@pytest.fixture
def files(write):
    write("xnli/test-ru.tsv", "a b\tc\tneutral\nd\te\tentailment\n")
    write("xnli/test-de.tsv", "f\tg\tneutral\n")


def test_second_model_of_the_same_tokenizer_tokenizes_nothing(files, make, layout) -> None:
    first, second = make(), make()
    made = featurize(first, layout, "ru", "de")
    mapped = featurize(second, layout, "ru", "de")
    assert (first.tokenized, first.cached, second.tokenized, second.cached) == (3, 0, 0, 3)
    for one, other in zip(made.featurized, mapped.featurized, strict=True):
        assert content(list(one.features)) == content(list(other.features))
        assert list(one.examples) == list(other.examples)


def test_tokenizer_is_not_even_read_where_nothing_has_to_be_made(files, make, layout, tokenizer_file) -> None:
    featurize(make(), layout, "ru")
    tokenizer_file.rename(tokenizer_file.with_suffix(".gone"))
    try:
        assert featurize(make(), layout, "ru").featurized[0].features
    finally:
        tokenizer_file.with_suffix(".gone").rename(tokenizer_file)


@pytest.mark.parametrize("what", ["tokenizer", "data", "limit", "featurizer"])
def test_other_rows_are_made_anew(files, make, write, layout, what: str, monkeypatch) -> None:
    featurize(make(), layout, "ru")
    if what == "data":
        write("xnli/test-ru.tsv", "a b\tc\tneutral\nd\tx\tentailment\n")
    if what == "featurizer":
        monkeypatch.setattr("harness.tokenization.rows.describe", lambda value: "other")
    again = make("1" * 64) if what == "tokenizer" else make()
    featurize(again, layout, "ru", limit=1 if what == "limit" else None)
    assert again.cached == 0
    assert again.tokenized == (1 if what == "limit" else 2)


def test_malformed_file_shows_before_any_row_is_made(write, make, layout) -> None:
    write("xnli/test-ru.tsv", "a b\tc\tneutral\n")
    write("xnli/test-de.tsv", "only one column\n")
    rows = make()
    workload = GraphWorkload(None, [Job(XNLI, code, "test") for code in ("ru", "de")])
    with pytest.raises(DataError, match=r"test-de\.tsv"):
        workload.read(layout, rows, lambda _: None)
    assert rows.tokenized == 0


def test_examples_are_read_once_and_late() -> None:
    reads = []

    def read() -> list[str]:
        reads.append(1)
        return ["a", "b"]

    examples = Unread(read)
    assert reads == []
    assert (list(examples), len(examples), examples[1], examples[:1], reads) == (["a", "b"], 2, "b", ["a"], [1])
