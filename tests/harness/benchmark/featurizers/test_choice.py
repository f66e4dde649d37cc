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


def test_long_premise_is_cut_at_its_end(tokenizer, spell) -> None:
    rows = ChoiceFeaturizer(max_tokens=12)(EXAMPLES[:1], tokenizer)
    assert spell(rows[0].input_ids) == "<s>itrai</s></s>wet</s>"
