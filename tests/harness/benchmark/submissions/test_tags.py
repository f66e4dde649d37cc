from pathlib import Path

import pytest

from harness.benchmark.metrics.chunks import ChunkF1
from harness.benchmark.submissions.tags import TagLines
from harness.core.errors import DataError
from harness.core.examples import WordsExample

UPOS = TagLines(("ADJ", "NOUN", "VERB", "X"))


def sentences(*tags: str) -> list[tuple[str, ...]]:
    return [tuple(text.split()) for text in tags]


@pytest.fixture
def read(tmp_path: Path):
    def read(labels: str, predictions: str):
        (tmp_path / "labels.tsv").write_text(labels, encoding="utf-8", newline="\n")
        (tmp_path / "predictions.tsv").write_text(predictions, encoding="utf-8", newline="\n")
        return UPOS.read(tmp_path / "labels.tsv", tmp_path / "predictions.tsv", None)

    return read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NOUN\nVERB\n\nADJ\n\n", sentences("NOUN VERB", "ADJ")),
        ("NOUN\nVERB\n\nADJ\n", sentences("NOUN VERB", "ADJ")),
        ("NOUN\nVERB\n\nADJ", sentences("NOUN VERB", "ADJ")),
        ("NOUN\n\n\nADJ\n", sentences("NOUN", "", "ADJ")),
        ("\nNOUN\n", sentences("", "NOUN")),
        ("NOUN\n\n\n", sentences("NOUN", "")),
        ("NOUN\n \t\nADJ\n", sentences("NOUN", "ADJ")),
        ("NOUN \n\r\n ADJ\n", sentences("NOUN", "ADJ")),
    ],
    ids=["ended", "last-open", "no-line-end", "two-blank", "leading-blank", "trailing-blank", "spaces", "stripped"],
)
def test_blank_line_closes_a_sentence(read, text: str, expected) -> None:
    examples, predictions = read(text, text)
    assert ([example.tags for example in examples], predictions) == (expected, expected)


def test_examples_have_as_many_words_as_tags(read) -> None:
    examples, _ = read("NOUN\nVERB\n\nADJ\n", "NOUN\nVERB\n\nADJ\n")
    assert [len(example.words) for example in examples] == [2, 1]


def test_what_is_read_is_scored(read) -> None:
    counts = ChunkF1().counts(*read("NOUN\nNOUN\nVERB\n\nADJ\n", "NOUN\nVERB\nVERB\n\nADJ\n"), "en")
    assert counts.sum(axis=0).tolist() == [1, 3, 3, 3, 4]


def test_each_sentence_is_written_with_a_blank_line_after_it() -> None:
    examples = [WordsExample(str(number), (), ()) for number in range(3)]
    assert UPOS.render(examples, sentences("NOUN VERB", "", "X")) == "NOUN\nVERB\n\n\nX\n\n"


def test_what_is_written_is_read_back_with_empty_sentences(read) -> None:
    tags = sentences("", "NOUN VERB", "", "X", "")
    text = UPOS.render([WordsExample("0", (), ())] * 5, tags)
    assert read(text, text)[1] == tags


@pytest.mark.parametrize(
    ("predictions", "problem"),
    [
        ("NOUN\nNOM\n\nADJ\n", "2: tag 'NOM' is not one of ADJ, NOUN, VERB, X"),
        ("NOUN\nword\tVERB\n\nADJ\n", r"2: tag 'word\\tVERB' is not one of"),
        ("NOUN\nverb\n\nADJ\n", "2: tag 'verb' is not one of"),
    ],
    ids=["unknown", "two-columns", "small"],
)
def test_unknown_tag_is_named_with_its_line(read, predictions: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"predictions\.tsv:{problem}"):
        read("NOUN\nVERB\n\nADJ\n", predictions)


@pytest.mark.parametrize(
    ("predictions", "problem"),
    [
        ("NOUN\nVERB\n\nADJ\nX\n", ":4: sentence 2 has 2 tags and in .*labels.tsv 1"),
        ("NOUN\n\nADJ\n", ":1: sentence 1 has 1 tags and in .*labels.tsv 2"),
        ("NOUN\nVERB\n\n\nADJ\n", ":4: sentence 2 has 0 tags and in .*labels.tsv 1"),
        ("NOUN\nVERB\n", " has 1 sentences and .*labels.tsv 2"),
        ("NOUN\nVERB\n\nADJ\n\nX\n", " has 3 sentences and .*labels.tsv 2"),
    ],
    ids=["longer", "shorter", "blank-line-too-many", "sentence-missing", "sentence-too-many"],
)
def test_sentences_that_do_not_match_are_refused(read, predictions: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"predictions\.tsv{problem}"):
        read("NOUN\nVERB\n\nADJ\n", predictions)


def test_forms_without_tags_are_called_stripped(read) -> None:
    with pytest.raises(DataError, match=r"labels\.tsv:1: tag 'The' is not .*: the labels were stripped"):
        read("The\nX\n\nruns\nfast\n", "NOUN\nX\n\nVERB\nX\n")


def test_one_tag_everywhere_is_called_stripped(read) -> None:
    with pytest.raises(DataError, match=r"labels\.tsv: 'X' is the label of all 20 rows: the labels were stripped"):
        read("X\nX\n\n" * 10, "NOUN\nX\n\n" * 10)


def test_line_ends_do_not_count_as_rows_with_that_tag(read) -> None:
    assert len(read("X\n\n" * 19, "NOUN\n\n" * 19)[0]) == 19
