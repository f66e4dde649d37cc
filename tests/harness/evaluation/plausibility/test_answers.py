"""Chance, errors and equal answers, from made examples and predictions."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.benchmark import tasks
from harness.core.examples import Answer, ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.evaluation.plausibility.answers import (
    PoolFacts,
    below_p,
    binomial_below,
    bounds,
    clusters_of,
    is_same,
    plausibility,
    standard_error,
    unrelated_share,
)

LABELS = ("contradiction", "entailment", "neutral")


def found(name: str, examples, predictions, language: str = "ru", **more):
    task = tasks.load(name)
    counts = task.metric.counts(examples, predictions, language)
    return plausibility(task, examples, predictions, counts, language, **more)


def pairs(count: int) -> list[PairExample]:
    return [PairExample(str(number), f"p{number // 3}", "h", LABELS[number % 3]) for number in range(count)]


def test_chance_of_labels_is_the_most_frequent_one() -> None:
    examples = [*pairs(6), PairExample("6", "p", "h", "neutral")]
    assert found("xnli", examples, ["neutral"] * 7).chance == pytest.approx(300 / 7)


def test_chance_of_labels_is_never_below_one_of_them() -> None:
    assert found("xnli", pairs(6), ["neutral"] * 6).chance == pytest.approx(100 / 3)


def test_pairs_of_one_premise_belong_together() -> None:
    assert found("xnli", pairs(60), ["neutral"] * 60).independent == 20


def test_labels_without_texts_stand_alone() -> None:
    assert clusters_of([PairExample(str(number), "", "", "neutral") for number in range(4)]).tolist() == [0, 1, 2, 3]


def test_gold_that_was_rotated_by_one_label_is_below_chance() -> None:
    examples = pairs(300)
    rotated = [LABELS[(LABELS.index(example.label) + 1) % 3] for example in examples]
    rotated[:45] = [example.label for example in examples[:45]]
    assert found("xnli", examples, rotated).below_chance_p < 1e-6


@pytest.mark.parametrize("label", LABELS)
def test_a_model_that_gives_one_label_is_not_below_chance(label: str) -> None:
    # PAWS-X has more of one label: who gives the other one is below a half, and no label is permuted.
    examples = [PairExample(str(number), f"p{number}", "h", "0" if number % 10 < 6 else "1") for number in range(2_000)]
    record = found("pawsx", examples, ["1"] * 2_000)
    assert (record.unrelated, record.below_chance_p) == (40.0, 1.0)
    assert record.chance == pytest.approx(60.0)
    assert found("xnli", pairs(3_000), [label] * 3_000).below_chance_p == 1.0


def test_random_labels_are_below_chance_as_rarely_as_stated() -> None:
    rng, examples = np.random.default_rng(0), pairs(90)
    values = [
        found("xnli", examples, [LABELS[label] for label in rng.integers(0, 3, 90)]).below_chance_p for _ in range(400)
    ]
    assert np.mean(np.array(values) < 0.05) <= 0.08


@pytest.mark.parametrize(
    ("hits", "tries", "probability"), [(7, 50, 1 / 3), (0, 20, 0.5), (750, 5_010, 1 / 3), (3, 3, 0.5)]
)
def test_binomial_tail_is_exact(hits: int, tries: int, probability: float) -> None:
    assert binomial_below(hits, tries, probability) == pytest.approx(
        stats.binom.cdf(hits, tries, probability), rel=1e-9
    )


def test_examples_that_belong_together_weigh_less() -> None:
    right = np.stack([np.repeat([1.0, 0, 0, 0, 0], 20), np.ones(100)], axis=1)
    alone, together = np.arange(100), np.repeat(np.arange(5), 20)
    assert below_p(right, alone, 100 / 3) < 0.005 < below_p(right, together, 100 / 3)


def test_permuted_tags_are_below_chance() -> None:
    examples = [WordsExample(str(number), ("a", "b"), ("NOUN", "VERB")) for number in range(100)]
    assert found("udpos", examples, [("VERB", "NOUN")] * 100).below_chance_p < 1e-10
    assert found("udpos", examples, [("NOUN", "NOUN")] * 100).below_chance_p == 1.0


# All the same


@pytest.mark.parametrize(
    ("share", "count", "same"),
    [(33, 20, True), (33, 19, False), (0, 19, False), (90, 65, False), (90, 66, True), (100, 10_000, False)],
)
def test_equal_answers_are_too_equal_where_the_gold_is_more_varied(share: int, count: int, same: bool) -> None:
    assert is_same({"neutral": share, "entailment": 100 - share}, {"neutral": count}) is same


def test_equal_predictions_are_found_in_every_form() -> None:
    assert found("xnli", pairs(30), ["neutral"] * 30).same_answer
    assert not found("xnli", pairs(30), [example.label for example in pairs(30)]).same_answer
    choices = [ChoiceExample(str(number), "p", "q", ("a", "b"), number % 2) for number in range(30)]
    assert found("xcopa", choices, [0] * 30, "it").same_answer
    words = [WordsExample(str(number), ("a", "b"), ("NOUN", "VERB")) for number in range(30)]
    assert found("udpos", words, [("NOUN", "NOUN")] * 30).same_answer
    assert not found("udpos", words, [("NOUN", "NOUN")] * 29 + [("NOUN", "X")]).same_answer
    questions = [QuestionExample(str(n), "q", f"word{n} b", (Answer(f"word{n}", 0),)) for n in range(30)]
    assert found("xquad", questions, [""] * 30).same_answer
    sentences = [SentenceExample(str(n), "t", "query", frozenset({f"c{n}"})) for n in range(30)]
    assert found("tatoeba", sentences, [("c1",)] * 30).same_answer


def test_gold_of_one_label_is_answered_with_one_label() -> None:
    examples = [PairExample(str(number), f"p{number}", "h", "neutral") for number in range(1_000)]
    assert not found("xnli", examples, ["neutral"] * 1_000).same_answer


def test_all_predictions_are_looked_at() -> None:
    # One sentence in three thousand differs, and lies between those whose tags are counted.
    examples = [WordsExample(str(number), ("a",), ("NOUN" if number % 2 else "VERB",)) for number in range(3_001)]
    predictions = [("NOUN",)] * 3_001
    assert found("udpos", examples, predictions).same_answer
    assert not found("udpos", examples, [*predictions[:1], ("X",), *predictions[2:]]).same_answer


# Retrieval


def retrieval() -> tuple[list[SentenceExample], list[tuple[str, ...]]]:
    queries = [SentenceExample(f"q{n}", "t", "query", frozenset({f"c{n}"})) for n in range(4)]
    candidates = [SentenceExample(f"c{n}", f"text {n}", "candidate") for n in range(8)]
    return [*queries, *candidates], [*[(f"c{n}",) for n in range(4)], *[()] * 8]


def test_chance_of_retrieval_is_one_of_the_candidates() -> None:
    record = found("tatoeba", *retrieval())
    assert (record.chance, record.duplicate_texts, record.duplicate_ids) == (12.5, 0, 0)


def test_candidates_with_one_text_or_one_id_are_counted() -> None:
    examples, predictions = retrieval()
    examples += [SentenceExample("c1", "another", "candidate"), SentenceExample("c99", "text 2", "candidate")]
    record = found("tatoeba", examples, [*predictions, (), ()])
    assert (record.duplicate_texts, record.duplicate_ids) == (1, 1)


def test_candidates_of_a_pool_are_counted_once() -> None:
    facts = PoolFacts.of(["a", "b", "b", "c"], [b"1", b"1", b"2", b"3"])
    assert facts == PoolFacts(candidates=4, duplicate_texts=1, duplicate_ids=1)
    queries = [SentenceExample("q", "t", "query", frozenset({"a"}))]
    record = found("mewslix", queries, [("a",)], pool=facts)
    assert record.chance == pytest.approx(100 * (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert (record.duplicate_texts, record.duplicate_ids) == (1, 1)


def test_chance_is_not_known_without_candidates() -> None:
    queries = [SentenceExample(str(n), "", "query", frozenset({str(n)})) for n in range(4)]
    assert found("tatoeba", queries, [("0",)] * 4).chance is None


def test_queries_without_gold_and_without_prediction_are_counted() -> None:
    examples, predictions = retrieval()
    examples[0] = SentenceExample("q0", "t", "query")
    record = found("bucc2018", examples, [(), (), *predictions[2:]], "de")
    assert (record.without_gold, record.unanswered) == (1, 2)


def test_questions_without_an_answer_are_counted() -> None:
    questions = [QuestionExample("1", "q", "a b", (Answer("a", 0),)), QuestionExample("2", "q", "c", (Answer("", 0),))]
    record = found("xquad", questions, ["a", ""])
    assert (record.without_gold, record.unanswered) == (1, 1)


def test_equal_choices_of_one_example_are_duplicates() -> None:
    examples = [ChoiceExample("1", "p", "q", ("a", "a"), 0), ChoiceExample("2", "p", "q", ("a", "b"), 1)]
    assert found("xcopa", examples, [0, 1], "it").duplicate_texts == 1
    labels_only = [ChoiceExample("1", "", "", ("", ""), 0)]
    assert found("xcopa", labels_only, [0], "it").duplicate_texts == 0


# Errors and intervals


def test_error_of_right_or_wrong_answers_is_the_binomial_one() -> None:
    counts = np.stack([np.repeat([1.0, 0.0], [30, 70]), np.ones(100)], axis=1)
    error = standard_error(lambda totals: 100 * float(totals[0] / totals[1]), counts, np.arange(100))
    assert error == pytest.approx(100 * math.sqrt(0.3 * 0.7 / 99), rel=1e-6)


def test_one_example_has_no_error() -> None:
    assert standard_error(lambda totals: 100.0, np.ones((1, 2)), np.zeros(1, dtype=np.int64)) is None
    assert bounds(50.0, None, 1) == (0.0, 100.0)


def test_answers_in_another_order_have_the_share_of_both_margins() -> None:
    assert unrelated_share({"a": 6, "b": 4}, {"a": 5, "b": 5}) == pytest.approx(50.0)
    assert unrelated_share({"a": 6, "b": 4}, {"b": 10}) == pytest.approx(40.0)
