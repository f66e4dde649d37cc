"""Tests of the sample's language tables, of the sentences made from them, and of the guard."""

from collections import Counter

import pytest

from harness.sample import LANGUAGES
from harness.sample.guard import Guard
from harness.sample.render import LanguageTable, read_table
from harness.sample.tasks import answers
from harness.sample.world import (
    AGENTS,
    CITIES,
    OPPOSITE,
    ORGANISATIONS,
    PEOPLE,
    PLACES,
    RULES,
    THINGS,
    TIMES,
    Sentence,
    event_split,
)

UPOS = set("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
SPACELESS = ("th", "zh")
KINDS = (AGENTS, tuple(OPPOSITE), THINGS, PLACES, TIMES, RULES, PEOPLE, CITIES, ORGANISATIONS)
TEMPLATES = (
    "do not front state then where who what when answer dateline speaker source byline agency member seat profile news"
).split()


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_concept_has_a_form_with_universal_tags(code):
    rows = read_table(code)
    concepts = [concept for kind in KINDS for concept in kind]
    concepts += [f"{rule}.then" for rule in RULES]
    assert [concept for concept in concepts if concept not in rows] == []
    fixed = [item for form in rows.values() for item in form.split() if "/" in item]
    assert {item.rpartition("/")[2] for item in fixed} <= UPOS


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_kind_of_sentence_has_a_template(code):
    assert set(TEMPLATES) <= set(LanguageTable(code).templates)


@pytest.mark.parametrize("code", LANGUAGES)
def test_people_have_two_names_and_capitals_where_the_script_has_them(code):
    language = LanguageTable(code)
    for concept in PEOPLE:
        names = [word for word, tag in language.forms[concept] if tag == "PROPN"]
        assert len(names) == 2
        assert all(name[0] == name[0].upper() for name in names)


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_time_first_leaves_the_other_words(code):
    language = LanguageTable(code)
    reported = Sentence("do", "cook", "buy", "key", "park", "monday")
    plain, front = language.render(reported), language.render(reported._replace(kind="front"))
    assert front.text != plain.text
    assert sorted(word.casefold() for word in front.words) == sorted(word.casefold() for word in plain.words)
    assert front.spans["time"][0] == 0


@pytest.mark.parametrize("code", LANGUAGES)
def test_ranges_show_the_slot_among_the_words(code):
    language = LanguageTable(code)
    said = language.render(Sentence("do", "cook", "find", "key", "park", "monday"))
    first, last = said.ranges["place"]
    assert [*zip(said.words, said.tags, strict=True)][first:last] == language.forms["park"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_concepts_of_one_kind_have_different_forms(code):
    rows = read_table(code)
    for kind in KINDS:
        forms = Counter(rows[key] + rows.get(f"{key}.tail", "") for key in kind)
        assert max(forms.values()) == 1


@pytest.mark.parametrize("code", LANGUAGES)
def test_spans_show_the_slot_in_the_text(code):
    language = LanguageTable(code)
    said = language.render(Sentence("do", "cook", "find", "key", "park", "monday"))
    assert set(said.spans) == {"agent", "act", "object", "place", "time"}
    gap = "" if code in SPACELESS else " "
    for slot, concept in (("agent", "cook"), ("place", "park"), ("time", "monday")):
        first, last = said.spans[slot]
        form = gap.join(word for word, _ in language.forms[concept])
        assert said.text[first:last].lower() == form.lower()


def test_spanish_questions_open_with_a_mark_and_a_capital():
    said = LanguageTable("es").render(Sentence("who", "", "buy", "apple", "market"))
    assert said.text == "¿Quién compra la manzana en el mercado?"


def test_a_turkish_dotted_i_keeps_its_dot_as_capital():
    assert LanguageTable("tr").render(Sentence("answer", answer="station")).text == "İstasyonda."


def test_a_tamil_accusative_doubles_the_next_hard_consonant():
    said = LanguageTable("ta").render(Sentence("do", "cook", "find", "key"))
    assert said.text == "சமையல்காரர் சாவியைக் கண்டுபிடிக்கிறார்."


def test_an_action_shares_its_split_with_its_antonym():
    for act, opposite in OPPOSITE.items():
        one = Sentence("do", "cook", act, "box", "park")
        assert event_split(one) == event_split(one._replace(act=opposite, place="school"))


def test_a_question_is_answered_only_by_events_with_its_slots():
    event = Sentence("do", "cook", "buy", "apple", "market", "monday")
    question = Sentence("where", "cook", "buy", "apple", "", "monday")
    assert answers(event, question)
    assert not answers(event._replace(agent="guard"), question)


def test_the_guard_stops_a_held_question_inside_other_sentences():
    guard = Guard({"en": LanguageTable("en")})
    event = Sentence("do", "cook", "buy", "apple", "market")
    question = Sentence("who", "", "buy", "apple", "market")
    assert guard.passes("en", [event, question])
    guard.hold("en", [question])
    assert not guard.passes("en", [event, question])
    assert guard.passes("en", [event])
