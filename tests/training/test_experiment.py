"""What a checkpoint tells of its training."""

from training.experiment import add_seen


def test_examples_of_a_family_and_language_add_up() -> None:
    before = {"inference": {"en": 5, "ru": 1}}
    assert add_seen(before, {"inference": {"ru": 2}, "reading": {"en": 3}}) == {
        "inference": {"en": 5, "ru": 3},
        "reading": {"en": 3},
    }


def test_the_parents_account_stays_as_it_was() -> None:
    before = {"inference": {"en": 5}}
    add_seen(before, {"inference": {"en": 1}})
    assert before == {"inference": {"en": 5}}
