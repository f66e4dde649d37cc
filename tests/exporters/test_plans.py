"""Whatever the plan, the predictions are the same: within a tolerance for answers, flips of labels counted."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_gate import SAMPLES, apply, graph, loaded, trained  # noqa: F401 - fixtures

from exporters.modules import Loaded
from harness.core.tensors import pad
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.planner import Batch, BatchPlanner

ROWS = [feature.input_ids for sample in SAMPLES for feature in sample.features]
LENGTHS = [len(row) for row in ROWS]
#: Largest difference of a logit, and share of the rows whose label may change, of each variant. Padding and
#: neighbours change the order of float32 sums alone, except where one scale serves a whole batch.
TOLERANCES = {"fp32": (1e-5, 0.0), "int8_block": (1e-5, 0.0), "int8": (0.5, 0.03)}


def shuffled(seed: int) -> list[Batch]:
    """Return batches of rows at random, which no planner would choose."""
    order = np.random.default_rng(seed).permutation(len(ROWS))
    parts = [tuple(int(row) for row in part) for part in np.array_split(order, len(ROWS) // 7)]
    return [Batch(part, max(LENGTHS[row] for row in part) + seed) for part in parts]


PLANS = {
    "the planner's": BatchPlanner().plan(LENGTHS),
    "a small budget": BatchPlanner(max_tokens=64).plan(LENGTHS),
    "widths of 16": BatchPlanner(multiple=16).plan(LENGTHS),
    "dear calls": BatchPlanner(overhead=500.0).plan(LENGTHS),
    "cheap calls": BatchPlanner(overhead=0.0).plan(LENGTHS),
    "at random": shuffled(0),
    "at random, wider than need be": shuffled(9),
}


def answers(endpoint: OnnxEndpoint, plan: list[Batch]) -> NDArray[np.float32]:
    logits = np.full((len(ROWS), 3), np.nan, dtype=np.float32)
    for batch in plan:
        logits[list(batch.rows)] = endpoint.infer(pad([ROWS[row] for row in batch.rows], 1, batch.width))["logits"]
    return logits


@pytest.mark.parametrize("variant", TOLERANCES)
def test_any_plan_gives_the_predictions_of_rows_asked_alone(
    variant: str,
    loaded: Loaded,  # noqa: F811
    graph: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    largest, share = TOLERANCES[variant]
    with OnnxEndpoint(apply(variant, graph, loaded)) as endpoint:
        alone = answers(endpoint, [Batch((row,), length) for row, length in enumerate(LENGTHS)])
        assert len(set(alone.argmax(axis=1))) == 3
        summaries = []
        for name, plan in PLANS.items():
            assert sorted(row for batch in plan for row in batch.rows) == list(range(len(ROWS)))
            given = answers(endpoint, plan)
            difference = float(np.abs(given - alone).max())
            flips = int((given.argmax(axis=1) != alone.argmax(axis=1)).sum())
            summaries.append(
                f"{variant}, {name}: {flips} of {len(ROWS)} labels flip, logits differ by {difference:.1e}"
            )
            assert difference <= largest, summaries[-1]
            assert flips <= share * len(ROWS), summaries[-1]
    with capsys.disabled():
        print("", *summaries, sep="\n  ")  # noqa: T201 - the counts are asked for


def test_rows_scaled_with_their_batch_are_seen_to_depend_on_it(
    loaded: Loaded,  # noqa: F811
    graph: Path,  # noqa: F811
) -> None:
    """The tolerances above can fail: int8 does not keep to those of fp32."""
    with OnnxEndpoint(apply("int8", graph, loaded)) as endpoint:
        first, second = (answers(endpoint, PLANS[name]) for name in ("the planner's", "at random"))
    assert np.abs(first - second).max() > TOLERANCES["fp32"][0]
