import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scores import simulation
from benchmarks.scores.simulation import binomial_interval, judged, main, rated


def test_interval_of_a_rate_is_binomial() -> None:
    assert binomial_interval(1_000) == pytest.approx((0.037, 0.064))


@pytest.mark.parametrize(
    ("hits", "bound", "verdict"),
    [(50, "inside", "inside"), (90, "inside", "above"), (10, "inside", "below"), (10, "at most", "kept")],
)
def test_a_rate_is_judged(hits: int, bound: str, verdict: str) -> None:
    assert judged("data", "method", [True] * hits + [False] * (1_000 - hits), bound).verdict == verdict


def test_the_data_has_the_difference_that_it_claims() -> None:
    rng = np.random.default_rng(0)
    for data, make, _ in simulation.PAIRED:
        found = [np.mean([cell.difference for cell in make(rng, 1.0)]) for _ in range(150)]
        assert np.mean(found) == pytest.approx(1.0, abs=4 * np.std(found) / 150**0.5), data


def test_no_loss_is_mostly_published_and_a_loss_at_the_margin_rarely() -> None:
    rows = {row.data: row for row in simulation.gate_rates(np.random.default_rng(1), 40)}
    lossless = [row.rate for name, row in rows.items() if name.endswith("nothing lost")]
    at_margin = [row.rate for name, row in rows.items() if "all lose 0.5" in name or "one loses 2" in name]
    assert len(lossless) == 6
    assert np.mean(lossless) > 0.88
    assert len(at_margin) == 15
    assert np.mean(at_margin) < 0.05


def test_an_exact_count_is_rated_without_a_verdict() -> None:
    assert rated("data", "method", [True, False]).verdict == ""


@pytest.mark.slow
def test_quick_writes_every_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--quick", "--json", str(tmp_path / "rows.json")])
    document = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    printed = capsys.readouterr().out
    for title, *_ in simulation.SECTIONS:
        assert document[title]
        assert title in printed
