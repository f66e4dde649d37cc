import pytest

from harness.benchmark import tasks
from harness.core.errors import DataError
from harness.core.examples import SentenceExample

SOURCE = tasks.load("tatoeba").source


@pytest.fixture
def pairs(write):
    def make(foreign: str, english: str, code: str = "rus") -> None:
        write(f"tatoeba/tatoeba.{code}-eng.{code}", foreign)
        write(f"tatoeba/tatoeba.{code}-eng.eng", english)

    return make


def test_candidates_are_the_foreign_lines_in_file_order(pairs, layout) -> None:
    pairs("б\nа\n", "y\nx\n")
    assert SOURCE.read(layout, "ru", "test")[:2] == [
        SentenceExample("ru-0", "б", "candidate"),
        SentenceExample("ru-1", "а", "candidate"),
    ]


def test_queries_are_the_english_lines_by_code_point(pairs, layout) -> None:
    pairs("1\n2\n3\n4\n5\n", "b\nZ\n'a\ná\na\n")
    queries = SOURCE.read(layout, "ru", "test")[5:]
    assert [query.text for query in queries] == ["'a", "Z", "a", "b", "á"]


def test_gold_of_a_query_is_the_row_of_its_translation(pairs, layout) -> None:
    pairs("1\n2\n3\n", "b\nc\na\n")
    queries = SOURCE.read(layout, "ru", "test")[3:]
    assert [sorted(query.gold) for query in queries] == [["ru-2"], ["ru-0"], ["ru-1"]]


def test_english_lines_are_stripped_before_sorting(pairs, layout) -> None:
    pairs("1\n2\n", "b\n  c \n")
    assert [query.text for query in SOURCE.read(layout, "ru", "test")[2:]] == ["b", "c"]


def test_foreign_lines_are_left_as_they_are(pairs, layout) -> None:
    pairs(" 1\x1d \n", "a\n")
    assert SOURCE.read(layout, "ru", "test")[0].text == " 1\x1d "


def test_ids_are_unique_where_a_line_occurs_twice(pairs, layout) -> None:
    pairs("1\n2\n", "a\na\n")
    assert len({example.id for example in SOURCE.read(layout, "ru", "test")}) == 4


@pytest.mark.parametrize(
    ("language", "code"), [("fa", "pes"), ("sw", "swh"), ("zh", "cmn"), ("et", "est"), ("ar", "ara"), ("el", "ell")]
)
def test_files_carry_tatoebas_own_codes(layout, language: str, code: str) -> None:
    names = [path.name for path in SOURCE.paths(layout, language, "test")]
    assert names == [f"tatoeba.{code}-eng.{code}", f"tatoeba.{code}-eng.eng"]


def test_files_of_unequal_length_are_refused(pairs, layout) -> None:
    pairs("1\n2\n", "a\n")
    with pytest.raises(DataError, match=r"tatoeba\.rus-eng\.eng has 1 lines and tatoeba\.rus-eng\.rus 2"):
        SOURCE.read(layout, "ru", "test")


def test_language_without_sentences_is_refused(layout) -> None:
    with pytest.raises(DataError, match="Tatoeba has no sentences in 'qu'"):
        SOURCE.read(layout, "qu", "test")


def test_missing_file_is_named(layout) -> None:
    with pytest.raises(DataError, match=r"tatoeba\.rus-eng\.rus is missing"):
        SOURCE.read(layout, "ru", "test")


def test_byte_order_mark_is_refused(pairs, layout) -> None:
    pairs("\ufeff1\n", "a\n")
    with pytest.raises(DataError, match="byte order mark"):
        SOURCE.read(layout, "ru", "test")
