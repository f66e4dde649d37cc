"""`harness predictions`: one row for each example, as the run scored it."""

import json
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from xnli_labels import wrong

from harness.artifacts.workspace import Workspace
from harness.commands.comparison import predictions
from harness.core.errors import UsageError
from harness.core.progress import Silent


@pytest.fixture
def run(make_run, xnli) -> Path:
    return make_run("english", {"xnli": {"ru": wrong(xnli("ru"), 1, 2, 5), "en": xnli("en")}})


def written(run: Path, output: Path, workspace: Workspace, **options) -> list[str]:
    return list(predictions(str(run), output, workspace, Silent(), **options))


def test_parquet_has_the_run_example_by_example(run, workspace, tmp_path) -> None:
    output = tmp_path / "made" / "p.parquet"
    (line,) = written(run, output, workspace, texts=True)
    assert line == f"{output}: 120 examples of english@fp32"
    rows = pq.read_table(output).to_pylist()
    ru = [row for row in rows if row["language"] == "ru"]
    assert [row["id"] for row in ru] == [str(number) for number in range(60)]
    assert sum(row["score"] for row in ru) / len(ru) == pytest.approx(95)
    assert [number for number, row in enumerate(ru) if row["score"] == 0] == [1, 2, 5]
    assert {(row["task"], row["script"], row["split"], row["model"], row["variant"]) for row in ru} == {
        ("xnli", "Cyrl", "test", "english", "fp32")
    }
    assert all((row["gold"] == row["prediction"]) == (row["score"] == 100) for row in ru)
    texts = [text for _, text in json.loads(ru[3]["text"])]
    assert texts == ["ru premise 1 слово", "hypothesis 3"]
    assert ru[3]["text_sha256"] == sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()


def test_lines_have_the_same_rows_and_texts_only_where_asked_for(run, workspace, tmp_path) -> None:
    written(run, tmp_path / "p.jsonl", workspace)
    written(run, tmp_path / "p.parquet", workspace)
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    table = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert "text" not in rows[0]
    assert rows == [{**row, "counts": dict(row["counts"])} for row in table]
    assert [path.name for path in tmp_path.glob(".p.*")] == []


def test_another_suffix_is_refused(run, workspace, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"p.csv ends in '.csv', .parquet or .jsonl is expected"):
        written(run, tmp_path / "p.csv", workspace)


def test_a_run_whose_data_are_gone_writes_nothing(run, workspace, tmp_path, layout) -> None:
    (layout.xtreme / "xnli" / "test-ru.tsv").unlink()
    with pytest.raises(Exception, match=r"test-ru.tsv is missing"):
        written(run, tmp_path / "out" / "p.parquet", workspace)
    assert not (tmp_path / "out" / "p.parquet").exists()
