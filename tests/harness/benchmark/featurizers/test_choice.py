import pytest

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.core.examples import ChoiceExample

EXAMPLES = [
    ChoiceExample("0", "it rains.", "why?", ("wet", "dry"), 1),
    ChoiceExample("1", "sun.", "so?", ("x", "y", "z"), 0),
]


def test_each_choice_is_a_row_behind_premise_and_question(tokenizer, spell) -> None:
    rows = ChoiceFeaturizer()(EXAMPLES[:1], tokenizer)
    assert [spell(row.input_ids) for row in rows] == [
        "<s>itrains.why?</s></s>wet</s>",
        "<s>itrains.why?</s></s>dry</s>",
    ]


def test_choices_of_one_example_stay_together(tokenizer) -> None:
    assert [row.example for row in ChoiceFeaturizer()(EXAMPLES, tokenizer)] == [0, 0, 1, 1, 1]


def test_target_of_every_row_is_the_right_choice(tokenizer) -> None:
    assert [int(row.target) for row in ChoiceFeaturizer()(EXAMPLES, tokenizer)] == [1, 1, 0, 0, 0]


def test_official_rule_cuts_a_long_premise_at_its_end(tokenizer, spell) -> None:
    rows = ChoiceFeaturizer(max_tokens=12, official=True)(EXAMPLES[:1], tokenizer)
    assert spell(rows[0].input_ids) == "<s>itrai</s></s>wet</s>"


def test_long_premise_is_cut_at_its_beginning_so_that_the_question_stays(tokenizer, spell) -> None:
    rows = ChoiceFeaturizer(max_tokens=12)(EXAMPLES[:1], tokenizer)
    assert [spell(row.input_ids) for row in rows] == ["<s>.why?</s></s>wet</s>", "<s>.why?</s></s>dry</s>"]


@pytest.mark.parametrize("official", [False, True])
def test_rows_that_fit_are_the_same_by_both_rules(tokenizer, official: bool) -> None:
    rows = ChoiceFeaturizer(max_tokens=20, official=official)(EXAMPLES, tokenizer)
    wide = ChoiceFeaturizer(max_tokens=128, official=True)(EXAMPLES, tokenizer)
    assert [row.key for row in rows] == [row.key for row in wide]


def test_faults_truncation_choices_of_1_and_32_words_have_the_premise_cut_alike(tokenizer, spell) -> None:
    example = ChoiceExample("0", "abc" * 40, "so?", ("x", " ".join("abcdefgh" * 4)), 0)
    official, own = ChoiceFeaturizer(max_tokens=64, official=True), ChoiceFeaturizer(max_tokens=64)
    unequal, equal = (
        [spell(row.input_ids).split("</s></s>")[0] for row in rule([example], tokenizer)] for rule in (official, own)
    )
    assert len(set(unequal)) == 2
    assert len(set(equal)) == 1
    assert equal[0].endswith("so?")


@pytest.mark.parametrize("max_tokens", [16, 48, 65])
def test_faults_truncation_two_61_word_choices_that_differ_in_the_last_stay_different(
    tokenizer, spell, max_tokens: int
) -> None:
    words = " ".join("abcdefgh"[place % 8] for place in range(60))
    example = ChoiceExample("0", "it rains. " * 3, "so?", (f"{words} x", f"{words} y"), 0)
    first, second = ChoiceFeaturizer(max_tokens=max_tokens, official=True)([example], tokenizer)
    assert first.key == second.key
    own = ChoiceFeaturizer(max_tokens=max_tokens)
    rows = own([example], tokenizer)
    assert [spell(row.input_ids)[-5:] for row in rows] == ["x</s>", "y</s>"]
    assert {len(row.input_ids) for row in rows} == {max_tokens}
    assert own.counted(rows) == {"examples with identical choices": 0}


@pytest.mark.parametrize(("first", "second"), [("x" + "a" * 60, "y" + "a" * 60), ("a" * 40 + "x" + "a" * 20, "a" * 61)])
def test_choices_keep_what_tells_them_apart_wherever_it_stands(tokenizer, first: str, second: str) -> None:
    example = ChoiceExample("0", "it rains.", "so?", (first, second), 0)
    for max_tokens in range(8, 70):
        rows = ChoiceFeaturizer(max_tokens=max_tokens)([example], tokenizer)
        assert rows[0].key != rows[1].key
        assert max(len(row.input_ids) for row in rows) <= max_tokens


def test_choices_that_differ_by_more_than_a_row_are_counted_as_identical(tokenizer) -> None:
    # Nothing that both share is left to cut: they differ in length alone.
    example = ChoiceExample("0", "a", "so?", ("a" * 61, "a" * 61), 0)
    featurizer = ChoiceFeaturizer(max_tokens=16)
    assert featurizer.counted(featurizer([example, *EXAMPLES], tokenizer)) == {"examples with identical choices": 1}
