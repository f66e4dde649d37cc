"""Differences against independent implementations, and the families of their tests."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from xnli_labels import wrong

from harness.artifacts.workspace import Workspace
from harness.comparison.alignment import Aligned, align
from harness.comparison.differences import FEW, GroupDifference, differences, judged
from harness.comparison.runs import find
from harness.comparison.scores import GroupScore, measured_scores
from harness.core.progress import Silent
from harness.statistics.paired import Cell


@pytest.fixture
def aligned(workspace: Workspace) -> Callable[..., Aligned]:
    return lambda *runs: align(find([str(run) for run in runs], workspace)[0], workspace, Silent())


@pytest.fixture
def rows(aligned) -> Callable[..., dict[tuple[str, str], GroupDifference]]:
    """Return the rows of two runs by task and group: ``rows(a, b, by="script")``."""

    def make(*runs: Path, by: str = "script") -> dict[tuple[str, str], GroupDifference]:
        return {(row.task, row.group): row for row in differences(aligned(*runs), by, Silent())}

    return make


@pytest.fixture
def plain(make_run, write) -> tuple[Path, Path]:
    """XCOPA with a premise of its own for each of 60 examples: independent examples, right or wrong."""
    lines = [
        json.dumps(
            {"premise": f"p{at}", "choice1": "a", "choice2": "b", "question": "cause", "label": at % 2, "idx": at}
        )
        for at in range(60)
    ]
    for code in ("et", "sw"):
        write(f"xcopa/{code}/test.{code}.jsonl", "\n".join(lines) + "\n")
    left = [at % 2 if at >= 30 else 1 - at % 2 for at in range(60)]
    right = [1 - at % 2 if 22 <= at < 33 else at % 2 for at in range(60)]
    runs = [make_run(name, {"xcopa": {"et": side, "sw": left}}) for name, side in (("a", left), ("b", right))]
    return runs[0], runs[1]


def test_right_or_wrong_examples_get_the_exact_test_of_statsmodels(rows, plain) -> None:
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    row = rows(*plain, by="language")["xcopa", "et"]
    # The left is wrong at 0 to 29, the right at 22 to 32.
    table = [[27, 3], [22, 8]]
    assert row.test == "exact McNemar"
    assert row.p_value == pytest.approx(contingency.mcnemar(table, exact=True).pvalue)
    assert row.value == pytest.approx(100 * (22 - 3) / 60)


def test_holm_is_that_of_statsmodels(rows, plain) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    found = [row for (_, group), row in rows(*plain, by="language").items() if group != "mean"]
    expected = multitest.multipletests([row.p_value for row in found], method="holm")[1]
    assert [row.corrected for row in found] == pytest.approx(list(expected))
    assert {(row.family, row.family_size) for row in found} == {("xcopa by language", 2)}


def test_few_clusters_are_exchanged_exactly(rows, make_run, xnli) -> None:
    """A premise's three answers change together: 2^5 exchanges by hand."""
    ru = xnli("ru")
    changed = [places for premise in (1, 4, 7, 9, 12) for places in range(3 * premise, 3 * premise + 3)]
    left = make_run("a", {"xnli": {"ru": wrong(ru, *changed[:-4])}})
    right = make_run("b", {"xnli": {"ru": wrong(ru, *changed[-4:])}})
    row = rows(left, right)["xnli", "Cyrl"]
    gained = [3, 3, 3, 3 - 1 - 1, -3]
    observed = abs(sum(gained))
    extreme = [abs(np.dot(signs, gained)) >= observed for signs in product((-1, 1), repeat=5)]
    assert row.test == "cluster sign flip, exact"
    assert row.p_value == pytest.approx(np.mean(extreme))
    assert row.value == pytest.approx(100 * sum(gained) / 60)
    assert (row.examples, row.clusters) == (60, 20)


def test_many_clusters_get_the_robust_error_of_statsmodels(rows, make_run, xnli) -> None:
    """The mean of the differences by ordinary least squares with clustered errors is the same estimate."""
    regression = pytest.importorskip("statsmodels.regression.linear_model")
    ru = xnli("ru", premises=200)
    rng = np.random.default_rng(3)
    sides = [wrong(ru, *np.flatnonzero(rng.random(600) < share)) for share in (0.3, 0.4)]
    row = rows(*(make_run(name, {"xnli": {"ru": side}}) for name, side in zip("ab", sides, strict=True)))[
        "xnli", "Cyrl"
    ]
    change = np.array(
        [float(right == gold) - float(left == gold) for left, right, gold in zip(*sides, ru, strict=True)]
    )
    fit = regression.OLS(100 * change, np.ones((600, 1))).fit(
        cov_type="cluster",
        cov_kwds={"groups": np.arange(600) // 3, "use_correction": True, "df_correction": True},
        use_t=True,
    )
    assert row.test == "cluster-robust, Student's t"
    assert row.value == pytest.approx(fit.params[0])
    # statsmodels multiplies by (n - 1) / (n - k) too, which is 1 with one coefficient.
    assert row.p_value == pytest.approx(fit.pvalues[0], rel=1e-6)
    assert row.interval is not None
    assert [row.interval.low, row.interval.high] == pytest.approx(list(fit.conf_int()[0]), rel=1e-6)


def test_translations_are_not_independent_evidence(rows, make_run, xnli) -> None:
    """Four languages whose answers are the same say no more than one of them."""
    codes = ("ru", "en", "de", "fr")
    gold = {code: xnli(code, premises=200) for code in codes}
    rng = np.random.default_rng(4)
    places = [np.flatnonzero(rng.random(600) < 0.3) for _ in range(2)]
    left, right = (
        make_run(name, {"xnli": {code: wrong(gold[code], *own) for code in codes}})
        for name, own in zip("ab", places, strict=True)
    )
    found = rows(left, right, by="language")
    one, mean = found["xnli", "ru"], found["xnli", "mean"]
    assert one.interval is not None
    assert mean.interval is not None
    assert mean.interval.half == pytest.approx(one.interval.half)
    assert (mean.examples, mean.clusters) == (2400, 200)


def test_identical_predictions_have_p_1_and_an_interval(rows, make_run, xnli) -> None:
    answers = {"xnli": {"ru": wrong(xnli("ru"), 5)}}
    row = rows(make_run("a", answers), make_run("b", answers))["xnli", "Cyrl"]
    assert (row.p_value, row.corrected, row.value) == (1.0, 1.0, 0.0)
    assert row.interval is not None
    assert row.interval.high > 1


def test_one_premise_has_no_interval_and_says_why(rows, make_run, xnli) -> None:
    ru = xnli("ru", premises=1)
    row = rows(make_run("a", {"xnli": {"ru": ru}}), make_run("b", {"xnli": {"ru": wrong(ru, 0)}}))["xnli", "Cyrl"]
    assert (row.interval, row.corrected, row.family_size) == (None, None, 0)
    assert row.problem.startswith("one cluster of examples")


def test_equal_changes_everywhere_are_tested_by_exchanges(rows, make_run, xnli) -> None:
    """One answer of each of 40 premises is lost: no variance, and no doubt."""
    ru = xnli("ru", premises=40)
    runs = make_run("a", {"xnli": {"ru": ru}}), make_run("b", {"xnli": {"ru": wrong(ru, *range(0, 120, 3))}})
    row = rows(*runs)["xnli", "Cyrl"]
    assert row.test == "cluster sign flip, 10,000 draws"
    assert row.p_value == pytest.approx(1 / 10_001)
    assert row.problem.startswith("all 40 clusters differ by the same amount")
    assert row.significant


def test_groups_are_means_of_languages_and_of_tasks(rows, make_run, xnli, write) -> None:
    ru, bg, en = xnli("ru"), xnli("bg"), xnli("en")
    write("udpos/test-ru.tsv", "\n\n".join("a\tNOUN" for _ in range(10)) + "\n")
    tags = [["NOUN"]] * 10
    left = make_run("a", {"xnli": {"ru": ru, "bg": bg, "en": en}, "udpos": {"ru": tags}})
    right = make_run(
        "b",
        {
            "xnli": {"ru": wrong(ru, *range(6)), "bg": bg, "en": wrong(en, *range(12))},
            "udpos": {"ru": [["VERB"], *tags[1:]]},
        },
    )
    found = rows(left, right)
    assert found["xnli", "Cyrl"].value == pytest.approx((-10 + 0) / 2)
    assert found["xnli", "mean"].value == pytest.approx((-10 + 0 - 20) / 3)
    udpos = found["udpos", "Cyrl"].value
    assert found["all tasks", "Cyrl"].value == pytest.approx((-5 + udpos) / 2)
    assert found["all tasks", "mean"].value == pytest.approx((-10 + udpos) / 2)
    assert found["all tasks", "mean"].languages == ("bg", "en", "ru")
    assert found["xnli", "mean"].family == "means of tasks"
    assert list(found) == [
        *(("xnli", name) for name in ("Latn", "Cyrl", "mean")),
        *(("udpos", name) for name in ("Cyrl", "mean")),
        *(("all tasks", name) for name in ("Latn", "Cyrl", "mean")),
    ]


def test_three_runs_are_one_family(aligned, make_run, xnli) -> None:
    ru = xnli("ru")
    runs = [
        make_run(name, {"xnli": {"ru": wrong(ru, *range(count))}}) for name, count in (("a", 0), ("b", 9), ("c", 30))
    ]
    found = differences(aligned(*runs), "script", Silent())
    assert [(row.right, row.family_size) for row in found if row.group == "Cyrl"] == [("b@fp32", 2), ("c@fp32", 2)]


def test_few_is_above_what_is_enumerated() -> None:
    from harness.statistics.significance import ENUMERATED

    assert FEW > ENUMERATED


def test_scores_have_wilson_intervals_where_examples_are_independent(aligned, plain) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    found: dict[tuple[str, str], GroupScore] = {
        (row.run, row.group): row for row in measured_scores(aligned(*plain), "language")
    }
    row = found["b@fp32", "et"]
    low, high = proportion.proportion_confint(49, 60, method="wilson")
    assert row.measured is not None
    assert [row.measured.interval.low, row.measured.interval.high] == pytest.approx([100 * low, 100 * high])
    assert row.text() == f"{100 * 49 / 60:.1f} ±{50 * (high - low):.1f}, n 60"


def test_score_of_one_premise_has_no_interval(aligned, make_run, xnli) -> None:
    run = make_run("a", {"xnli": {"ru": xnli("ru", premises=1)}})
    row = next(measured_scores(aligned(run), "language"))
    assert (row.measured, row.text()) == (None, "100.0, n 3")


@pytest.mark.parametrize("flips", [0.03, 0.08, 0.3])
def test_false_positives_stay_within_their_binomial_interval(flips: float) -> None:
    """No true difference, 100 premises with three hypotheses in two languages; few and many clusters differ."""
    stats = pytest.importorskip("scipy.stats")
    rng, runs = np.random.default_rng(7), 120
    clusters = np.repeat(np.arange(100), 3)

    def side() -> np.ndarray:
        right = np.repeat(rng.random(100) < 0.7, 3) ^ (rng.random(300) < 0.1)
        return np.stack([right.astype(np.float64), np.ones(300)], axis=1)

    def other(counts: np.ndarray) -> np.ndarray:
        changed = np.repeat(rng.random(100) < flips, 3) & (rng.random(300) < 0.8)
        moved = counts.copy()
        moved[changed, 0] = 1 - moved[changed, 0]
        return moved

    found = 0
    for _ in range(runs):
        # Which side is called left is a coin's choice for each premise and its translations, so nothing truly differs.
        swapped = np.repeat(rng.random(100) < 0.5, 3)[:, None]
        cells = []
        for name in ("ru", "en"):
            one = side()
            two = other(one)
            sides = np.where(swapped, two, one), np.where(swapped, one, two)
            cells.append(Cell(name=name, score=accuracy, left=sides[0], right=sides[1], clusters=clusters))
        found += judged(cells, [0.5, 0.5]).p_value <= 0.05
    # An exact test of a handful of clusters is conservative: its smallest p-value is far from 0.
    assert found <= stats.binom.ppf(0.999, runs, 0.05)
    assert found >= 1 or flips < 0.05


def accuracy(totals: np.ndarray) -> float:
    return 100 * float(totals[0] / totals[1])
