import numpy as np
import pytest

from harness.benchmark.postprocessors.span import BestSpan
from harness.core.examples import Answer, QuestionExample
from harness.core.features import Feature

CONTEXT = "abcdefghij"
#: Two tokens before the context, one letter each token, one token after.
LEAD = 2


def window(example: int = 0, *, best: str = "1" * 10, start: int = 0, end: int = 10) -> Feature:
    """A window of the context's letters; `best` flags those whose maximal context is here."""
    rows = [[letter, letter + 1, int(best[letter])] for letter in range(start, end)]
    alignment = np.array([*[[-1, -1, -1]] * LEAD, *rows, [-1, -1, -1]])
    return Feature(example, np.zeros(len(alignment), dtype=np.int64), None, alignment)


def outputs(feature: Feature, starts: dict[int, float], ends: dict[int, float]) -> dict[str, np.ndarray]:
    """Logits that are -10 but at the tokens that are named."""
    made = {"start_logits": starts, "end_logits": ends}
    found = {name: np.full(len(feature.input_ids), -10, dtype=np.float32) for name in made}
    for name, values in made.items():
        for token, value in values.items():
            found[name][token] = value
    return found


def example(context: str = CONTEXT) -> QuestionExample:
    return QuestionExample("0", "q", context, (Answer(context[:1], 0),))


def answer(starts: dict[int, float], ends: dict[int, float], **options: object) -> str:
    feature = window(**options)
    (text,) = BestSpan()([example()], [feature], [outputs(feature, starts, ends)])
    return text


def test_answer_is_the_contexts_text_between_start_and_end() -> None:
    assert answer({LEAD + 2: 5}, {LEAD + 4: 5}) == "cde"


def test_start_and_end_are_chosen_together() -> None:
    # the best end lies before the best start
    assert answer({LEAD + 5: 5, LEAD + 1: 4}, {LEAD + 3: 5, LEAD + 6: 1}) == "bcd"


@pytest.mark.parametrize("token", [0, 1, LEAD + 10], ids=["frame", "question", "separator"])
def test_token_outside_the_context_is_no_start(token: int) -> None:
    assert answer({token: 9, LEAD + 1: 1}, {LEAD + 1: 5}) == "b"


def test_token_outside_the_context_is_no_end() -> None:
    assert answer({LEAD + 1: 5}, {LEAD + 10: 9, LEAD + 1: 1}) == "b"


def test_start_without_maximal_context_is_left_out() -> None:
    assert answer({LEAD + 1: 9, LEAD + 3: 1}, {LEAD + 3: 5}, best="0001111111") == "d"


def test_end_needs_no_maximal_context() -> None:
    assert answer({LEAD + 1: 5}, {LEAD + 3: 5}, best="1110000000") == "bcd"


@pytest.mark.parametrize(("length", "expected"), [(4, "abcd"), (3, "abc")])
def test_answer_holds_at_most_max_answer_tokens(length: int, expected: str) -> None:
    feature = window()
    found = outputs(feature, {LEAD: 5}, {LEAD + 3: 5, LEAD + 2: 1})
    assert BestSpan(max_answer=length)([example()], [feature], [found]) == [expected]


@pytest.mark.parametrize(("official", "expected"), [(True, ""), (False, "b")])
def test_official_rule_combines_the_best_of_all_tokens_and_may_answer_nothing(official: bool, expected: str) -> None:
    feature = window()
    found = outputs(feature, {0: 9, LEAD + 1: 5}, {LEAD + 1: 9})
    assert BestSpan(n_best=1, official=official)([example()], [feature], [found]) == [expected]


def test_answer_is_looked_for_among_all_tokens_where_the_best_do_not_fit() -> None:
    # the best start lies behind the best end
    feature = window()
    found = outputs(feature, {LEAD + 5: 9, LEAD + 1: 5}, {LEAD + 1: 9})
    assert BestSpan(n_best=1)([example()], [feature], [found]) == ["b"]


def overlapping(rows: list[list[int]]) -> Feature:
    alignment = np.array([[-1, -1, -1], *rows, [-1, -1, -1]])
    return Feature(0, np.zeros(len(alignment), dtype=np.int64), None, alignment)


@pytest.mark.parametrize("places", [(1, 1), (2, 2), (3, 3), (1, 2), (2, 3), (1, 3)])
def test_overlapping_subwords_are_widened_to_whole_ones(places: tuple[int, int]) -> None:
    # three subwords that overlap, and one more beside them
    feature = overlapping([[0, 2, 1], [1, 3, 1], [2, 4, 1], [4, 6, 1]])
    found = outputs(feature, {places[0]: 5}, {places[1]: 5})
    assert BestSpan()([example()], [feature], [found]) == ["abcd"]


@pytest.mark.parametrize(
    ("context", "rows", "places", "expected"),
    [
        ("e\u0301 b", [[0, 1, 1], [3, 4, 1]], (1, 1), "e\u0301"),  # an accent without a subword
        ("\u0915\u093f b", [[0, 1, 1], [1, 2, 1], [2, 4, 1]], (2, 2), "\u0915\u093f"),  # a vowel sign alone
        ("\u1112\u1161\u11ab b", [[0, 1, 1], [1, 2, 1], [2, 3, 1]], (1, 1), "\u1112\u1161\u11ab"),  # a Korean syllable
        ("b\u0301", [[0, 1, 1]], (1, 1), "b\u0301"),
        ("\u0301b", [[0, 1, 1], [1, 2, 1]], (1, 1), "\u0301"),  # nothing before it
    ],
)
def test_answer_holds_whole_letters(context: str, rows: list, places: tuple[int, int], expected: str) -> None:
    feature = overlapping(rows)
    found = outputs(feature, {places[0]: 5}, {places[1]: 5})
    assert BestSpan()([example(context)], [feature], [found]) == [expected]


def test_subword_without_a_letter_of_its_own_is_neither_start_nor_end() -> None:
    feature = overlapping([[0, 1, 3], [0, 2, 1], [2, 3, 3], [3, 5, 1]])
    for place in range(1, 5):
        found = outputs(feature, {place: 5}, {place: 5})
        assert BestSpan()([example()], [feature], [found])[0] in ("ab", "de")
    found = outputs(feature, {1: 5}, {1: 5})
    assert BestSpan(official=True)([example()], [feature], [found]) == ["a"]


def test_no_valid_span_gives_the_empty_answer() -> None:
    assert answer({LEAD + 1: 5}, {LEAD + 1: 5}, best="0" * 10) == ""


def test_best_window_of_a_question_wins() -> None:
    features = [window(start=0, end=6), window(start=4, end=10)]
    found = [outputs(features[0], {LEAD: 1}, {LEAD: 1}), outputs(features[1], {LEAD + 1: 3}, {LEAD + 2: 3})]
    assert BestSpan()([example()], features, found) == ["fg"]


def test_first_of_equal_windows_wins() -> None:
    features = [window(start=0, end=6), window(start=4, end=10)]
    found = [outputs(feature, {LEAD: 1}, {LEAD: 1}) for feature in features]
    assert BestSpan()([example()], features, found) == ["a"]


def test_first_of_equal_starts_wins() -> None:
    assert answer({LEAD + 1: 5, LEAD + 2: 5}, {LEAD + 2: 5}) == "bc"


def test_windows_answer_their_own_question() -> None:
    features = [window(0), window(1)]
    found = [outputs(features[0], {LEAD: 5}, {LEAD: 5}), outputs(features[1], {LEAD + 9: 1}, {LEAD + 9: 1})]
    assert BestSpan()([example(), example()], features, found) == ["a", "j"]


def test_spaces_around_the_answer_are_cut() -> None:
    feature = window()
    found = outputs(feature, {LEAD + 2: 5}, {LEAD + 6: 5})
    assert BestSpan()([example("ab   ef  i")], [feature], [found]) == ["ef"]


@pytest.mark.parametrize(("silent", "answer"), [(-1.0, "b"), (9.0, "")], ids=["answered", "nothing"])
def test_first_token_stands_for_no_answer(silent: float, answer: str) -> None:
    alignment = np.array([[-1, -1, -1], [0, 1, 1], [2, 3, 1]])
    feature = Feature(0, np.array([0, 4, 5]), None, alignment)
    output = {
        "start_logits": np.array([silent, 0.0, 2.0], dtype=np.float32),
        "end_logits": np.array([silent, 0.0, 2.0], dtype=np.float32),
    }
    example = QuestionExample("1", "q", "a b", ())
    assert BestSpan(null=True)([example], [feature], [output]) == [answer]
    assert BestSpan()([example], [feature], [output]) == ["b"]
