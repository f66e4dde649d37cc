import multiprocessing
import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.core.features import Feature
from harness.core.heads import SequenceClassification
from harness.evaluation.answers import AnswerOrigin, AnswerStore, DamagedAnswers, batch_keys
from harness.evaluation.journal import BatchRecord, Journal
from harness.inference.planner import Batch

LABELS = SequenceClassification(("a", "b", "c")).signature(4)
ORIGIN = AnswerOrigin(graph="g" * 64, numerics="onnxruntime 1.31.1 cpu")


def key(number: int) -> bytes:
    return sha256(str(number).encode()).digest()[:16]


def text(number: int) -> bytes:
    return f"answer {number} ".encode() * 40


def fill(store: AnswerStore, numbers: Sequence[int], width: int = 9) -> None:
    store.add([key(each) for each in numbers], [each % 9 for each in numbers], [text(each) for each in numbers], width)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers" / ORIGIN.file


@pytest.fixture
def store(path: Path) -> Iterator[AnswerStore]:
    with AnswerStore(path, ORIGIN) as opened:
        yield opened


def test_answers_come_back_in_the_order_of_the_keys(store: AnswerStore) -> None:
    fill(store, range(5))
    fill(store, range(5, 8))
    assert store.read([key(6), key(0), key(6)]) == [(6, text(6)), (0, text(0)), (6, text(6))]


def test_nothing_is_asked_and_nothing_comes_back(store: AnswerStore) -> None:
    assert store.read([]) == []
    store.add([], [], [], 9)
    assert store.keys() == set()


def test_answers_are_there_for_the_next_process(store: AnswerStore, path: Path) -> None:
    fill(store, range(5))
    with AnswerStore(path, ORIGIN) as again:
        assert again.keys() == {key(each) for each in range(5)}
        assert again.read([key(3)]) == [(3, text(3))]


def test_first_of_two_answers_counts(store: AnswerStore, path: Path) -> None:
    with AnswerStore(path, ORIGIN) as beside:
        assert not beside.keys()
        fill(store, [1])
        beside.add([key(1), key(2)], [5, 5], [b"later", b"new"], 9)
    with AnswerStore(path, ORIGIN) as again:
        assert again.read([key(1), key(2)]) == [(1, text(1)), (5, b"new")]


@pytest.mark.parametrize(
    "other",
    [
        AnswerOrigin(graph="h" * 64, numerics=ORIGIN.numerics),
        AnswerOrigin(graph=ORIGIN.graph, numerics="openvino 2026.4 cpu bf16"),
        AnswerOrigin(graph=ORIGIN.graph, numerics=ORIGIN.numerics, by_batch=True),
    ],
    ids=["graph", "numerics", "by_batch"],
)
def test_answers_of_another_origin_have_another_file(other: AnswerOrigin) -> None:
    assert other.file != ORIGIN.file


def flip(path: Path, needle: bytes) -> None:
    """Change one bit of a file where some bytes stand, as a failing disk would."""
    content = bytearray(path.read_bytes())
    at = content.index(needle)
    content[at + 3] ^= 0x10
    path.write_bytes(content)


def test_flipped_bit_drops_its_block_and_nothing_else(path: Path) -> None:
    with AnswerStore(path, ORIGIN) as store:
        for first in range(0, 30, 10):
            fill(store, range(first, first + 10))
    flip(path, text(14))

    with AnswerStore(path, ORIGIN) as store:
        with pytest.raises(DamagedAnswers, match=r"had 10 damaged answers \(block 2: the checksum differs\)"):
            store.read([key(each) for each in range(30)])
        assert store.keys() == {key(each) for each in (*range(10), *range(20, 30))}
        fill(store, range(10, 20))
        assert store.read([key(14)]) == [(5, text(14))]


def test_flipped_bit_in_a_key_is_found(path: Path) -> None:
    with AnswerStore(path, ORIGIN) as store:
        fill(store, range(3))
    flip(path, key(1))
    with AnswerStore(path, ORIGIN) as store, pytest.raises(DamagedAnswers):
        store.read([key(0)])


def test_verify_names_each_damaged_block(path: Path) -> None:
    with AnswerStore(path, ORIGIN) as store:
        for first in range(0, 30, 10):
            fill(store, range(first, first + 10))
    flip(path, text(3))
    flip(path, text(23))
    with AnswerStore(path, ORIGIN) as store:
        assert [line.partition("; ")[0].partition("(")[2] for line in store.verify()] == [
            "block 1: the checksum differs)", "block 3: the checksum differs)",
        ]  # fmt: skip
        assert list(store.verify()) == []


@pytest.mark.parametrize("page", [1, 2, 5, 9])
def test_damaged_page_leaves_what_can_be_read(path: Path, page: int) -> None:
    with AnswerStore(path, ORIGIN) as store:
        for first in range(0, 200, 10):
            fill(store, range(first, first + 10))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xa5" * size
    path.write_bytes(content)

    with AnswerStore(path, ORIGIN) as store:
        wanted = range(200)
        for _ in range(2):
            there = store.keys()
            fill(store, [each for each in wanted if key(each) not in there])
            try:
                answers = store.read([key(each) for each in wanted])
            except DamagedAnswers:
                continue
        assert answers == [(each % 9, text(each)) for each in wanted]


def test_file_that_is_no_database_is_made_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be read as one" * 50)
    with AnswerStore(path, ORIGIN) as store:
        fill(store, [1])
        assert store.read([key(1)]) == [(1, text(1))]


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("a file where the folder should be")
    with pytest.raises(UsageError, match=r"answers cannot be kept in .*; make the folder writable"):
        AnswerStore(tmp_path / "answers" / ORIGIN.file, ORIGIN)


def write_many(path: Path, first: int) -> None:
    with AnswerStore(path, ORIGIN) as store:
        for start in range(first, first + 400, 20):
            fill(store, range(start, start + 20))


def test_two_processes_write_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(path, first)) for first in (0, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    with AnswerStore(path, ORIGIN) as store:
        assert store.read([key(each) for each in range(600)]) == [(each % 9, text(each)) for each in range(600)]


def row(*ids: int) -> Feature:
    return Feature(0, np.array(ids))


def blob(value: float) -> bytes:
    return np.full(3, value, dtype="<f4").tobytes()


def first_logit(journal: Journal, feature: Feature) -> float:
    (found,) = journal.outputs("g", [feature.key], LABELS)
    return float(found["logits"][0])


def test_answer_that_depends_on_its_batch_belongs_to_the_batch(tmp_path: Path) -> None:
    rows, origin = [row(1), row(2), row(3)], AnswerOrigin(graph="g", by_batch=True)
    together, alone = Batch((0, 1), 1), Batch((0,), 1)
    with Journal(tmp_path / "one" / "journal.sqlite", tmp_path / "answers") as journal:
        journal.attach(origin)
        journal.see("g", rows, [together])
        journal.record("g", rows[:2], [blob(1), blob(2)], BatchRecord(2, 1, 2, 0.0))
        assert first_logit(journal, rows[0]) == 1
    with Journal(tmp_path / "two" / "journal.sqlite", tmp_path / "answers") as journal:
        journal.attach(origin)
        journal.see("g", rows, [alone])
        assert journal.answered("g") == set()
        journal.record("g", rows[:1], [blob(7)], BatchRecord(1, 1, 1, 0.0))
        assert first_logit(journal, rows[0]) == 7
    # The first run reads what it saw, whatever was asked since.
    with Journal(tmp_path / "one" / "journal.sqlite", tmp_path / "answers") as journal:
        assert first_logit(journal, rows[0]) == 1
        assert journal.answered("g") == {rows[0].key, rows[1].key}


def test_width_of_a_batch_is_in_its_keys() -> None:
    assert not set(batch_keys([key(1)], 8)) & set(batch_keys([key(1)], 16))


def test_runs_share_answers_of_one_origin_only(tmp_path: Path) -> None:
    origin = AnswerOrigin(graph="g", numerics="onnxruntime 1.31.1 cpu")
    with Journal(tmp_path / "one" / "journal.sqlite", tmp_path / "answers") as journal:
        journal.attach(origin)
        journal.record("g", [row(1)], [blob(1)], BatchRecord(1, 1, 1, 0.0))
    with Journal(tmp_path / "two" / "journal.sqlite", tmp_path / "answers") as journal:
        journal.attach(origin)
        assert first_logit(journal, row(1)) == 1
        assert journal.padding()["rows"] == 0
        journal.attach(AnswerOrigin(graph="g", numerics="onnxruntime 1.31.1 cuda"))
        assert journal.answered("g") == set()
