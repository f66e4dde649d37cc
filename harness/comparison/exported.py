"""A run's predictions, one row for each example, as Parquet or JSON lines."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.artifacts.workspace import Workspace
from harness.comparison.alignment import AlignedCell, align, headline
from harness.comparison.runs import FinishedRun
from harness.comparison.stored import StoredAnswers
from harness.core.progress import Progress
from harness.core.records import to_json
from harness.core.task import AnyTask

#: Columns of every file, with their types; `text` only where it is asked for.
SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("variant", pa.string()),
        ("task", pa.string()),
        ("language", pa.string()),
        ("script", pa.string()),
        ("split", pa.string()),
        ("id", pa.string()),
        # Of all texts of the example as a JSON list.
        ("text_sha256", pa.string()),
        # Field -> text, as JSON.
        ("text", pa.string()),
        # As JSON: a label, tags, answers, ids.
        ("gold", pa.string()),
        ("prediction", pa.string()),
        # The task's number for this example alone, in percent.
        ("score", pa.float64()),
        # The metric's statistics by their names; a task's score closes over their sums.
        ("counts", pa.map_(pa.string(), pa.float64())),
    ]
)
Row = dict[str, Any]
Write = Callable[[Path, Iterator[list[Row]], pa.Schema], None]


def write_predictions(
    run: FinishedRun, output: Path, workspace: Workspace, progress: Progress, *, texts: bool, data: Path | None = None
) -> int:
    """Write every scored example of a run, and return how many there are.

    A language is in memory at a time. The file is there whole, or not at all.

    Args:
        run: the run.
        output: ``.parquet`` or ``.jsonl``, by which the format is chosen.
        workspace: where data and graphs are.
        progress: shows the files that are read.
        texts: also write the examples' texts.
        data: the data folder, where it is not where the run found it.

    Raises:
        UsageError: the run has no journal, or its answers are not those of its scores.
        DataError: the data folder is missing.
    """
    aligned = align([run], workspace, progress, data=data)
    schema = SCHEMA if texts else SCHEMA.remove(SCHEMA.get_field_index("text"))
    count = 0

    def blocks() -> Iterator[list[Row]]:
        nonlocal count
        with StoredAnswers(run.path) as stored:
            for task in aligned.tasks:
                for cell in task.cells:
                    rows = list(_rows(run, task.task, cell, stored, texts=texts))
                    count += len(rows)
                    yield rows

    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as folder:
        draft = Path(folder) / output.name
        WRITERS[output.suffix](draft, blocks(), schema)
        draft.replace(output)
    return count


def _rows(run: FinishedRun, task: AnyTask, cell: AlignedCell, stored: StoredAnswers, *, texts: bool) -> Iterator[Row]:
    """Yield the rows of one task and language, in the order of its file."""
    examples, predictions = cell.read(), stored.predictions(cell.task, cell.language)
    score, columns = headline(task), task.metric.columns
    split = run.record.tasks[cell.task].rows[cell.language].split
    (counts,), (places,) = cell.counts, cell.places
    for place, standing, own in zip(places, cell.file_places, counts, strict=True):
        example = examples[standing]
        fields = list(example.texts())
        row: Row = {
            "model": run.record.model,
            "variant": run.record.variant,
            "task": cell.task,
            "language": cell.language,
            "script": cell.script,
            "split": split,
            "id": example.id,
            "text_sha256": sha256(_json([text for _, text in fields]).encode()).hexdigest(),
            "gold": _json(example.right()),
            "prediction": _json(predictions[place]),
            "score": float(score(own)),
            "counts": dict(zip(columns, map(float, own), strict=True)),
        }
        if texts:
            row["text"] = _json([list(field) for field in fields])
        yield row


def _json(value: Any) -> str:
    """Return a value as JSON; sets, which have no order, sorted."""
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    return json.dumps(to_json(value), ensure_ascii=False)


def _parquet(path: Path, blocks: Iterator[list[Row]], schema: pa.Schema) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in blocks:
            writer.write_table(
                pa.Table.from_pylist([{**row, "counts": list(row["counts"].items())} for row in rows], schema)
            )


def _lines(path: Path, blocks: Iterator[list[Row]], schema: pa.Schema) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for rows in blocks:
            stream.writelines(
                json.dumps({name: row[name] for name in schema.names}, ensure_ascii=False) + "\n" for row in rows
            )


#: Suffix -> what writes it.
WRITERS: Mapping[str, Write] = {".parquet": _parquet, ".jsonl": _lines}
SUFFIXES: Sequence[str] = tuple(WRITERS)
