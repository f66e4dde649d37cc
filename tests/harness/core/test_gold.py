from pathlib import Path

from harness.core.gold import GoldError, GoldErrors


def test_each_error_counts_once_in_the_order_of_its_file() -> None:
    errors = GoldErrors()
    found = [
        GoldError(Path("a.json"), "2", "has one"),
        GoldError(Path("b.json"), "1", "has one"),
        GoldError(Path("a.json"), "1", "has two"),
    ]
    for error in (*found, *found):
        errors.add(error)
    assert len(errors) == 3
    assert errors.of(Path("a.json")) == [found[0], found[2]]
    assert errors.of(Path("c.json")) == []
    assert set(errors) == set(found)


def test_an_error_is_one_sentence_with_file_and_id() -> None:
    assert GoldError(Path("a.json"), "m-1", "has none", "mention").describe() == "a.json: mention 'm-1' has none"
