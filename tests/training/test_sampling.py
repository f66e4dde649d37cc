"""Samplers with probabilities that are known beforehand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from harness.core.errors import RecipeError
from training.sampling import Sampler, evaluate

SIZES = {"anli": 1_104_934, "squad": 87_599, "csqa": 9_741}


def sampler(kind: str, **options: object) -> Sampler:
    return Sampler(kind, options.pop("sizes", SIZES), options.pop("weights", {}), **options)


def test_proportional_follows_the_sizes() -> None:
    total = 1_104_934 + 87_599 + 9_741
    assert_allclose(sampler("proportional").probabilities(0), [1_104_934 / total, 87_599 / total, 9_741 / total])


def test_capped_counts_no_task_above_the_cap() -> None:
    total = 131_072 + 87_599 + 9_741
    assert_allclose(sampler("capped").probabilities(0), [131_072 / total, 87_599 / total, 9_741 / total])


def test_the_nine_tasks_of_the_paper_sum_to_its_total() -> None:
    # ANLI+, MNLI, QQP, SQuAD v2.0, SQuAD v1.1, HellaSwag, CCG, Cosmos QA, CommonsenseQA
    sizes = [1_104_934, 392_702, 363_846, 130_319, 87_599, 39_905, 38_015, 25_262, 9_741]
    capped = sampler("capped", sizes={str(number): size for number, size in enumerate(sizes)})
    assert_allclose(capped.probabilities(0), np.minimum(sizes, 131_072) / 724_057)


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, [0.8, 0.2]), (2.0, [2 / 3, 1 / 3]), (1e9, [0.5, 0.5])])
def test_temperature_flattens(temperature: float, expected: list[float]) -> None:
    chosen = sampler("temperature", sizes={"a": 400, "b": 100}, temperature=temperature)
    assert_allclose(chosen.probabilities(0), expected, rtol=1e-6)


def test_temperature_is_taken_of_the_capped_size() -> None:
    chosen = sampler("temperature", sizes={"a": 10**9, "b": 100}, temperature=2.0, cap=400)
    assert_allclose(chosen.probabilities(0), [2 / 3, 1 / 3])


def test_explicit_weights_need_not_sum_to_one() -> None:
    chosen = sampler("weights", sizes={"a": 1, "b": 1}, weights={"a": "3", "b": "1"})
    assert_allclose(chosen.probabilities(7), [0.75, 0.25])


# nyu-mll/jiant@daa5a25 tests/proj/main/components/test_task_sampler.py
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (500, [0.31758924, 0.15879462, 0.52361614]),
        (999, [2.69065663e-01, 2.69065663e-04, 7.30665271e-01]),
    ],
)
def test_scheduled_weights_change_with_the_step(step: int, expected: list[float]) -> None:
    weights = {"a": "1", "b": "1 - t/1000", "c": "exp(t/1000)"}
    chosen = sampler("scheduled", sizes=dict.fromkeys(weights, 1), weights=weights)
    assert_allclose(chosen.probabilities(step), expected, rtol=1e-6)


def test_weight_that_becomes_negative_is_refused() -> None:
    chosen = sampler("scheduled", sizes={"a": 1, "b": 1}, weights={"a": "1", "b": "1 - t"})
    with pytest.raises(RecipeError, match="weights at step 2 are a 1, b -1"):
        chosen.probabilities(2)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("2 ** 3 - 1", 7), ("-(t - 5) / 2", 1), ("min(t, 2) + max(1, t)", 5), ("sqrt(16) * log(1)", 0)],
)
def test_expressions_are_arithmetic(expression: str, value: float) -> None:
    assert evaluate(expression, 3) == value


@pytest.mark.parametrize(
    "expression",
    ["__import__('os')", "t.real", "open('x')", "[1][0]", "lambda: 1", "x", "1 if t else 2", "True", "'a'"],
)
def test_anything_else_in_a_weight_is_refused(expression: str) -> None:
    with pytest.raises(RecipeError, match="is no part of a weight"):
        evaluate(expression, 1)


@pytest.mark.parametrize("expression", ["1 / t", "log(t)", "1 +", "exp(1, 2)"])
def test_weight_without_a_value_is_refused(expression: str) -> None:
    with pytest.raises(RecipeError, match=r"has no value at step 0|math domain"):
        evaluate(expression, 0)
