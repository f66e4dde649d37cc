from functools import partial
from pathlib import Path

import pytest

from benchmarks.speed import answer_store
from benchmarks.speed.answer_store import MadeAnswers


@pytest.fixture
def answers() -> MadeAnswers:
    return MadeAnswers([bytes([number]) * 16 for number in range(200)], b"answer" * 50)


@pytest.mark.parametrize("way", [answer_store.blocks, answer_store.parts, partial(answer_store.rows, indexed=True)])
def test_every_way_gives_every_answer_back(way, answers: MadeAnswers, tmp_path: Path) -> None:
    assert way(tmp_path / "file", answers)() == 200


def test_table_has_every_way(tmp_path: Path) -> None:
    table = answer_store.measure(300, 100, 1, tmp_path)
    assert [row[0] for row in table.rows] == [
        "blocks with checksums (ours)", "SQLite, a row for each answer", "SQLite, rows under their key",
        "Arrow, one stream",
    ]  # fmt: skip
    assert all(int(row[-1]) >= 100 for row in table.rows)
