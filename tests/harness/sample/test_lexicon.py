import pytest

from harness.sample.lexicon import lexicon
from harness.sample.render import LANGUAGES


def test_words_pair_with_words_of_their_kind(languages) -> None:
    pairs = lexicon(languages["en"], languages["de"])
    expected = {("apple", "Apfel"), ("buys", "kauft"), ("buy", "kauft"), ("hungry", "hungrig"), ("Moscow", "Moskau")}
    assert expected <= set(pairs)
    assert pairs[0] == ("teacher", "Lehrer")


def test_forms_of_several_words_are_left_out(languages) -> None:
    english = dict(lexicon(languages["en"], languages["id"]))
    assert "hospital" not in english  # rumah sakit
    assert "York" not in english


def test_another_part_of_speech_is_left_out(languages) -> None:
    assert "afraid" not in dict(lexicon(languages["en"], languages["es"]))  # tiene miedo
    assert "hungry" not in dict(lexicon(languages["en"], languages["el"]))  # a verb


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_the_file_has_distinct_pairs_of_single_words(lines, code: str) -> None:
    rows = lines(f"text/lexicons/en-{code}.tsv")
    assert 60 <= len(rows) == len(set(rows))
    assert all(len(row.split("\t")) == 2 and " " not in row for row in rows)
