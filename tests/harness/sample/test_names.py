"""Names: fragments in the languages, PAN-X, and that pre-training sees every name."""

import itertools
import random
from collections import Counter

import pytest

from harness.sample.names import FRAGMENTS, OPTIONS, PREFIXES, entity, iob2, named, story
from harness.sample.render import LANGUAGES
from harness.sample.world import CITIES, ORGANISATIONS, PEOPLE, Sentence, event_split
from harness.sample.writers import MORE

TAGS = {"O", *(f"{place}-{label}" for place in "BI" for label in ("PER", "LOC", "ORG"))}
NEWS = Sentence("news", "doctor", "sell", "book", "park", "monday", person="mehta", city="cairo")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "The doctor Daniel Mehta (Cairo) sells the book in the park on Monday."),
        ("de", "Der Arzt Daniel Mehta (Kairo) verkauft am Montag das Buch im Park."),
        ("es", "El médico Daniel Mehta (El Cairo) vende el libro en el parque el lunes."),
        ("tr", "Doktor Daniel Mehta (Kahire) pazartesi günü parkta kitabı satıyor."),
        ("id", "Dokter Daniel Mehta (Kairo) menjual buku di taman pada hari Senin."),
        ("ru", "Врач Даниэль Мехта (Каир) в понедельник продаёт книгу в парке."),
        ("el", "Ο γιατρός Ντάνιελ Μέχτα (Κάιρο) πουλάει το βιβλίο στο πάρκο τη Δευτέρα."),
        ("ar", "الطبيب دانيال ميهتا (القاهرة) يبيع الكتاب في المتنزه يوم الاثنين."),
        ("th", "หมอดาเนียล เมห์ตา (ไคโร) ขายหนังสือในสวนสาธารณะในวันจันทร์"),
        ("zh", "医生丹尼尔·梅塔（开罗）星期一在公园卖书。"),
    ],
)
def test_news_names_who_and_where_from(languages, code: str, text: str) -> None:
    assert languages[code].render(NEWS).text == text


@pytest.mark.parametrize(
    ("sentence", "code", "text"),
    [
        (Sentence("dateline", city="rome"), "en", "Rome:"),
        (Sentence("byline", person="novak", city="delhi"), "ar", "(هوغو نوفاك، دلهي)"),
        (Sentence("agency", organisation="paris-opera", city="rome"), "zh", "（巴黎歌剧院，罗马）"),
        (Sentence("member", person="berg", organisation="moscow-circus"), "de", "Ravi Berg – Moskauer Zirkus"),
        (Sentence("member", person="berg", organisation="moscow-circus"), "zh", "拉维·贝格——莫斯科马戏团"),
        (Sentence("member", person="berg", organisation="moscow-circus"), "th", "ราวี เบิร์ก – ละครสัตว์มอสโก"),
        (Sentence("seat", organisation="bank-of-tokyo", city="new-york"), "bg", "Банка Токио (Ню Йорк)"),
        (Sentence("profile", "guard", person="silva", city="rome"), "hi", "विक्टर सिल्वा, पहरेदार (रोम)।"),
    ],
)
def test_fragments_read_as_the_language_writes_them(languages, sentence: Sentence, code: str, text: str) -> None:
    assert languages[code].render(sentence).text == text


def test_a_name_is_one_entity_and_its_words_are_inside(languages) -> None:
    assert iob2(languages["zh"], [NEWS]) == [
        ("医生", "O"),
        ("丹尼尔", "B-PER"),
        ("·", "I-PER"),
        ("梅塔", "I-PER"),
        ("（", "O"),
        ("开罗", "B-LOC"),
        ("）", "O"),
        ("星期一", "O"),
        ("在", "O"),
        ("公园", "O"),
        ("卖", "O"),
        ("书", "O"),
        ("。", "O"),
    ]


@pytest.mark.parametrize(
    ("kind", "slots"),
    [
        ("byline", ("person", "city")),
        ("agency", ("organisation", "city")),
        ("member", ("person", "organisation")),
        ("seat", ("organisation", "city")),
        ("profile", ("person", "agent", "city")),
    ],
)
def test_every_combination_of_names_belongs_to_one_split(kind: str, slots: tuple[str, ...]) -> None:
    found = [tuple(getattr(item, slot) for slot in slots) for some in FRAGMENTS[kind].values() for item in some]
    assert sorted(found) == sorted(itertools.product(*(OPTIONS[slot] for slot in slots)))
    assert all(FRAGMENTS[kind].values())


@pytest.mark.parametrize("split", ["text", "train", "dev", "test"])
def test_what_a_named_item_says_is_of_its_split(split: str) -> None:
    rng = random.Random(0)
    entities = {(item.person, item.agent, item.city) for item in FRAGMENTS["profile"][split]}
    for number in range(200):
        for sentence in named(rng, split, number).said():
            if sentence.kind in FRAGMENTS:
                assert sentence in FRAGMENTS[sentence.kind][split]
                continue
            assert event_split(sentence) == split
            assert not sentence.person or (sentence.person, sentence.agent, sentence.city) in entities


def test_a_single_name_is_not_held_out() -> None:
    rng = random.Random(0)
    items = [named(rng, "test", number) for number in range(100)]
    prefixes = [item for item in items if item.sentences[0].kind in PREFIXES]
    assert prefixes
    assert all(item.said() == [item.sentences[1]] for item in prefixes)


def test_a_story_mentions_entities_of_different_names() -> None:
    rng = random.Random(0)
    entities = FRAGMENTS["profile"]["test"]
    for _ in range(50):
        found = story(rng, "test", entities, 2)
        assert len({mention.entity.person for mention in found.mentions}) == 2
        for place, meant in found.mentions:
            reported = found.sentences[place]
            assert (reported.person, reported.agent, reported.city) == (meant.person, meant.agent, meant.city)


def test_a_description_begins_with_the_profile_and_says_of_its_agent() -> None:
    profile = FRAGMENTS["profile"]["dev"][0]
    lengths = set()
    for seed in range(20):
        found = entity(random.Random(seed), "dev", profile)
        assert found.profile == profile
        assert {sentence.agent for sentence in found.sentences} == {profile.agent}
        lengths.add(len(found.sentences))
    assert lengths == {1, 2, 3}


def read_panx(lines, split: str, code: str) -> list[list[tuple[str, str]]]:
    """Return the fragments of a file, each of which a blank line ends."""
    found: list[list[tuple[str, str]]] = [[]]
    for line in lines(f"xtreme/panx/{split}-{code}.tsv"):
        if line:
            word, tag = line.split("\t")
            found[-1].append((word, tag))
        else:
            found.append([])
    return found if found[-1] else found[:-1]


@pytest.mark.parametrize(("split", "count"), [("train", 500), ("dev", 60), ("test", 100)])
def test_panx_is_iob2(lines, split: str, count: int) -> None:
    for code in ["en"] if split == "train" else LANGUAGES:
        fragments = read_panx(lines, split, code)
        assert len(fragments) == count + (MORE["panx"] if split == "dev" and code != "en" else 0)
        for fragment in fragments:
            words, tags = zip(*fragment, strict=True)
            assert all(word and " " not in word for word in words)
            assert set(tags) <= TAGS
            for before, tag in itertools.pairwise(("O", *tags)):
                assert not tag.startswith("I-") or before[2:] == tag[2:]


@pytest.mark.parametrize("code", LANGUAGES)
def test_panx_has_the_same_entities_in_every_language(lines, code: str) -> None:
    def entities(of: str) -> list[Counter]:
        return [Counter(tag for _, tag in one if tag[0] == "B") for one in read_panx(lines, "test", of)]

    assert entities(code) == entities("en")
    total = sum(entities(code), Counter())
    assert min(total[f"B-{label}"] for label in ("PER", "LOC", "ORG")) >= 30


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_name_occurs_in_each_kind_of_text(lines, languages, code: str) -> None:
    language = languages[code]
    forms = {
        "speaker": [Sentence("speaker", person=name) for name in PEOPLE],
        "dateline": [Sentence("dateline", city=name) for name in CITIES],
        "source": [Sentence("source", organisation=name) for name in ORGANISATIONS],
    }
    spoken = [language.render(sentence) for some in forms.values() for sentence in some]
    names = {said.text[slice(*next(iter(said.spans.values())))] for said in spoken}
    assert len(names) == 28
    texts = ["\n".join(lines(f"text/{kind}/{code}.txt")) for kind in ("mono", "parallel")]
    # In code-switched text, a name's form is in the text of whichever language borrows it.
    texts.append("\n".join("\n".join(lines(f"text/mixed/{host}.txt")) for host in LANGUAGES))
    for text in texts:
        joined = text.replace(" ", "")
        assert [name for name in names if name.replace(" ", "") not in joined] == []
    mono = lines(f"text/mono/{code}.txt")
    assert sum(any(name in line for name in names) for line in mono) == pytest.approx(len(mono) / 8, rel=0.05)
