import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.retrieval.__main__ import main
from benchmarks.speed.retrieval.mining import (
    Arrays,
    Corpora,
    Loops,
    agreement,
    corpora,
    loop_pairs,
    measure_mining,
)
from benchmarks.speed.retrieval.vectors import units
from harness.benchmark.postprocessors.mining import Mined
from harness.benchmark.postprocessors.neighbours import search_both
from harness.core.progress import Silent


def pairs(*triples: tuple[int, int, float]) -> Mined:
    sources, targets, scores = zip(*triples, strict=True) if triples else ((), (), ())
    return Mined(np.array(sources, np.int64), np.array(targets, np.int64), np.array(scores, np.float64))


# Data


def test_every_second_sentence_has_a_translation_within_the_cosines() -> None:
    data = corpora(200, 64)
    translated = np.flatnonzero(data.gold >= 0)
    assert translated.tolist() == list(range(0, 200, 2))
    assert len(set(data.gold[translated])) == 100
    cosines = (data.sources[translated] * data.targets[data.gold[translated]]).sum(axis=1)
    # the noise is near to orthogonal, not exactly
    assert (cosines.min() > -0.3, cosines.max() < 1.0, 0.4 < cosines.mean() < 0.6) == (True, True, True)


def test_vectors_have_length_1() -> None:
    data = corpora(50, 16)
    for vectors in data[:2]:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_score_is_f1_at_the_best_threshold() -> None:
    nothing = np.zeros((3, 1), np.float32)
    data = Corpora(nothing, nothing, np.array([0, -1, 2]))
    # of the three pairs the first two are kept: one hit of two pairs, two gold pairs
    assert data.score(pairs((1, 1, 0.9), (0, 0, 0.8), (2, 1, 0.7))) == pytest.approx(50.0)
    assert data.score(pairs((0, 0, 0.9), (2, 2, 0.8), (1, 1, 0.7))) == pytest.approx(100.0)


# Mining against loops


@pytest.mark.parametrize("seed", range(10))
def test_loops_find_the_same_pairs_with_the_same_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sources, targets = (units(rng, count, 16) for count in (120, 90))
    data = Corpora(sources, targets, np.full(120, -1))
    neighbours = search_both(sources, targets, 4)
    loops, arrays = Loops(data, *neighbours), Arrays(*neighbours)
    loops.run()
    arrays.run()
    assert len(arrays.mined.scores) > 30
    assert arrays.mined.sources.tolist() == loops.mined.sources.tolist()
    assert arrays.mined.targets.tolist() == loops.mined.targets.tolist()
    np.testing.assert_allclose(arrays.mined.scores, loops.mined.scores, rtol=1e-5)


def test_loops_take_a_pair_whose_sides_are_free_and_whose_score_is_above_0() -> None:
    found = loop_pairs(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), np.array([0.5, 0.75, 0.25, 0.0]))
    assert list(zip(*(part.tolist() for part in found), strict=True)) == [(0, 1, 0.75)]


def test_agreement_is_the_share_of_common_pairs() -> None:
    one, other = pairs((0, 0, 1.0), (1, 1, 0.9)), pairs((1, 1, 0.7), (0, 2, 0.6))
    assert (agreement(one, one), agreement(one, other), agreement(pairs(), pairs())) == (1.0, pytest.approx(1 / 3), 1.0)


def test_mining_is_measured_against_products_and_loops() -> None:
    found = measure_mining(600, 32, 2, Silent())
    whole, given = (row.to_json() for row in found.rows)
    assert list(whole["steps"]) == ["k-NN both ways", "margin", "mining", "threshold"]
    assert whole["times_the_products"] == pytest.approx(1 / whole["ratio"], rel=1e-2)
    assert (len(whole["seconds"]["ours"]), len(given["seconds"]["baseline"])) == (2, 2)
    assert given["score_ours"] == given["score_baseline"] == whole["score_ours"] > 50
    assert given["equal_predictions"] == 1
    assert found.lines[-1].endswith("pairs: yes")


# Command line


def test_rows_are_printed_and_written(tmp_path: Path, capsys) -> None:
    main(["--sentences", "300", "--dimension", "16", "--json", str(tmp_path / "rows.json")])
    printed = capsys.readouterr().out
    assert "300 x 300 sentences, dimension 16" in printed
    assert "times its two products" in printed
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]
    assert [row["baseline"] for row in rows] == ["two matrix products alone", "Python loops over pairs"]
