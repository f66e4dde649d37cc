import pytest

from harness.core.errors import UsageError
from harness.core.languages import check_script, language, scripts, table

#: Counts of the table in tasks.md, section 8.
SCRIPTS = {
    "Latn": 27, "Cyrl": 4, "Arab": 3, "Deva": 2, "Beng": 1, "Grek": 1, "Gujr": 1, "Hebr": 1, "Jpan": 1, "Geor": 1,
    "Hang": 1, "Mlym": 1, "Mymr": 1, "Guru": 1, "Taml": 1, "Telu": 1, "Thai": 1, "Hani": 1,
}  # fmt: skip
NON_LATIN = "ar bg bn el fa gu he hi ja ka kk ko ml mr my pa ru ta te th uk ur zh".split()


def test_table_has_the_50_languages() -> None:
    assert len(table()) == 50


def test_codes_stand_in_alphabetical_order() -> None:
    assert list(table()) == sorted(table())


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_has_its_languages(script: str) -> None:
    assert sum(row.script == script for row in table().values()) == SCRIPTS[script]


def test_there_is_no_other_script() -> None:
    assert set(scripts()) == set(SCRIPTS)


def test_scripts_with_most_languages_come_first() -> None:
    assert scripts()[:5] == ("Latn", "Cyrl", "Arab", "Deva", "Beng")


def test_languages_of_other_scripts_are_those_23() -> None:
    assert [code for code, row in table().items() if row.script != "Latn"] == NON_LATIN


@pytest.mark.parametrize(
    ("code", "tatoeba"),
    [("ar", "ara"), ("fa", "pes"), ("sw", "swh"), ("zh", "cmn"), ("el", "ell"), ("tl", "tgl"), ("et", "est"),
     ("eu", "eus"), ("ka", "kat"), ("ro", "ron"), ("nl", "nld"), ("de", "deu"), ("fr", "fra"), ("ms", None)],
)  # fmt: skip
def test_tatoeba_has_its_own_code(code: str, tatoeba: str | None) -> None:
    assert language(code).tatoeba == tatoeba


@pytest.mark.parametrize("field", ["iso639_3", "tatoeba", "name"])
def test_no_two_languages_share_a_name(field: str) -> None:
    values = [getattr(row, field) for row in table().values() if getattr(row, field) is not None]
    assert len(values) == len(set(values))


@pytest.mark.parametrize(("code", "nearest"), [("rus", "ru"), ("xx", None)])
def test_unknown_language_is_refused_with_the_nearest(code: str, nearest: str | None) -> None:
    with pytest.raises(UsageError) as error:
        language(code)
    assert str(error.value).startswith(f"no language {code!r}")
    assert ("did you mean" in str(error.value)) == (nearest is not None)
    assert nearest is None or f"did you mean {nearest!r}" in str(error.value)


@pytest.mark.parametrize("script", ["cyrl", "CYRL", "Cyr"])
def test_unknown_script_is_refused_with_the_nearest(script: str) -> None:
    with pytest.raises(UsageError, match=f"no script {script!r}, did you mean 'Cyrl'"):
        check_script(script)
