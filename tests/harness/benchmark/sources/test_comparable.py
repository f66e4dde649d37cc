import pytest

from harness.benchmark import tasks
from harness.core.errors import DataError
from harness.core.examples import SentenceExample, is_scored

SOURCE = tasks.load("bucc2018").source


@pytest.fixture
def corpora(write):
    def make(split: str, foreign: str, english: str, gold: str, code: str = "ru") -> None:
        for end, content in ((code, foreign), ("en", english), ("gold", gold)):
            write(f"bucc2018/{code}-en.{split}.{end}", content)

    return make


def test_english_sentences_are_candidates_and_foreign_ones_queries(corpora, layout) -> None:
    corpora("dev", "ru-1\tа\nru-2\tб\n", "en-1\ta\n", "ru-2\ten-1\n")
    assert SOURCE.read(layout, "ru", "dev") == [
        SentenceExample("en-1", "a", "candidate"),
        SentenceExample("ru-1", "а", "query"),
        SentenceExample("ru-2", "б", "query", frozenset({"en-1"})),
    ]


def test_test_split_brings_dev_along_to_tune_on(corpora, layout) -> None:
    corpora("dev", "ru-1\tа\n", "en-1\ta\n", "ru-1\ten-1\n")
    corpora("test", "ru-1\tв\n", "en-1\tc\n", "ru-1\ten-1\n")
    examples = SOURCE.read(layout, "ru", "test")
    assert [(example.text, example.tuning) for example in examples] == [
        ("a", True), ("а", True), ("c", False), ("в", False),
    ]  # fmt: skip
    assert [example.text for example in examples if is_scored(example)] == ["в"]


def test_test_split_needs_the_files_of_dev(layout) -> None:
    names = [path.name for path in SOURCE.paths(layout, "ru", "test")]
    assert names == [f"ru-en.{split}.{end}" for split in ("dev", "test") for end in ("ru", "en", "gold")]


@pytest.mark.parametrize(
    ("foreign", "english", "gold", "problem"),
    [
        ("ru-1\tа\nru-1\tб\n", "en-1\ta\n", "ru-1\ten-1\n", r"ru-en.dev.ru:2: id 'ru-1' occurs twice"),
        ("ru-1 а\n", "en-1\ta\n", "ru-1\ten-1\n", r"ru-en.dev.ru:1: no tab between id and sentence"),
        ("ru-1\tа\n", "en-1\ta\n", "ru-1\ten-1\nru-9\ten-1\n", r"gold:2: 'ru-9' is no id of ru-en.dev.ru"),
        ("ru-1\tа\n", "en-1\ta\n", "ru-1\ten-9\n", r"gold:1: 'en-9' is no id of ru-en.dev.en"),
        ("ru-1\tа\n", "en-1\ta\n", "ru-1\n", r"gold:1: .*`id TAB id` is expected"),
    ],
    ids=["id-twice", "no-tab", "unknown-foreign-id", "unknown-english-id", "gold-without-tab"],
)
def test_malformed_files_are_named_with_their_line(
    corpora, layout, foreign: str, english: str, gold: str, problem: str
) -> None:
    corpora("dev", foreign, english, gold)
    with pytest.raises(DataError, match=problem):
        SOURCE.read(layout, "ru", "dev")
