from pathlib import Path

import numpy as np

from benchmarks.speed.retrieval import search as module
from benchmarks.speed.retrieval.__main__ import main
from benchmarks.speed.retrieval.search import Search, measure_search, right, write_candidates
from harness.benchmark.postprocessors.neighbours import Neighbours
from harness.core.progress import Silent


def test_queries_lie_near_their_candidates(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 30)
    places = np.array([0, 29, 30, 70])
    queries = write_candidates(tmp_path / "file", 100, 64, places, np.random.default_rng(0))
    stored = np.fromfile(tmp_path / "file", np.float32).reshape(100, 64)
    assert queries.shape == (4, 64)
    assert ((queries * stored[places]).sum(axis=1) > (queries * stored[places - 1]).sum(axis=1)).all()


def test_blocks_of_the_file_are_the_candidates_in_order(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 30)
    queries = write_candidates(tmp_path / "file", 100, 8, np.array([5]), np.random.default_rng(0))
    blocks = list(Search(queries, tmp_path / "file", 100).blocks())
    assert [len(block) for block in blocks] == [30, 30, 30, 10]
    assert (np.concatenate(blocks) == np.fromfile(tmp_path / "file", np.float32).reshape(100, 8)).all()


def test_search_is_measured_against_its_product(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 300)
    found = measure_search(50, 1000, 64, 1, tmp_path, Silent())
    (row,) = (row.to_json() for row in found.rows)
    assert row["right"] is True
    assert row["score_ours"] > 50
    assert 0 < row["peak_gib"] < 64
    assert found.lines[-1].endswith("all their products: yes")


def test_wrong_neighbours_are_reported(tmp_path: Path) -> None:
    queries = write_candidates(tmp_path / "file", 100, 64, np.arange(20), np.random.default_rng(0))
    search = Search(queries, tmp_path / "file", 100)
    search.run()
    assert right(search)
    search.found = Neighbours(search.found.indices[:, ::-1], search.found.products)
    assert not right(search)


def test_search_is_chosen_on_the_command_line(tmp_path: Path, capsys) -> None:
    main(["--search", "--queries", "30", "--candidates", "200", "--dimension", "16", "--folder", str(tmp_path)])
    assert "peak resident memory" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
