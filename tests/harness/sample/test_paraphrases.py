"""PAWS-X and QQP: what the pairs say, and that nothing but what they say says the label."""

import random
from collections import Counter, defaultdict

import pytest

from harness.sample import paraphrases
from harness.sample.paraphrases import Wording, changed, paraphrase, questions, swapped
from harness.sample.world import DEEDS, Sentence, event_split

PAWSX = "en de es zh".split()
SPLITS = ["train", "dev", "test"]


def facts(sentences) -> set[Sentence]:
    return {sentence._replace(kind="") for sentence in sentences}


def drawn(make, split: str, count: int) -> list:
    rng = random.Random(0)
    return [make(rng, split, number) for number in range(count)]


def bag(text: str) -> Counter:
    """The words of an English text without marks."""
    return Counter(text.lower().replace(".", " ").replace("?", " ").replace(",", " ").split())


@pytest.mark.parametrize("split", SPLITS)
def test_a_paraphrase_says_the_same_in_other_words_or_order(split: str) -> None:
    for item in drawn(paraphrase, split, 80):
        assert item.first != item.second
        assert (facts(item.first) == facts(item.second)) == item.same


@pytest.mark.parametrize("split", SPLITS)
def test_all_events_belong_to_the_split(split: str) -> None:
    for item in drawn(paraphrase, split, 80):
        assert {event_split(sentence) for sentence in item.said()} == {split}


def test_a_wording_orders_and_fronts_events() -> None:
    one, other = Sentence("do", "cook", time="noon"), Sentence("do", "guard", time="monday")
    assert Wording((1, 0), ("front", "do")).of([one, other]) == (other, one._replace(kind="front"))


def test_swapped_events_have_the_same_words() -> None:
    one = Sentence("do", "cook", "buy", "apple", "park", "monday")
    other = Sentence("do", "guard", "buy", "apple", "market", "noon")
    for seed in range(20):
        found = swapped(random.Random(seed), [one, other])
        assert facts(found) != {one._replace(kind=""), other._replace(kind="")}
        assert Counter(word for fact in found for word in fact) == Counter([*one, *other])


def test_a_changed_event_has_one_slot_that_no_event_had() -> None:
    rng = random.Random(0)
    for event in DEEDS["dev"][:40]:
        base = event._replace(place="park", time="monday")
        (found,) = changed(rng, "dev", [base])
        differing = [(new, old) for new, old in zip(found, base, strict=True) if new != old]
        assert len(differing) == 1
        assert event_split(found) == "dev"


def test_wording_and_place_do_not_tell_the_label() -> None:
    seen: dict[tuple, Counter] = defaultdict(Counter)
    for item in drawn(paraphrase, "train", 800):
        kinds = [tuple(sentence.kind for sentence in text) for text in (item.first, item.second)]
        seen[kinds[0], kinds[1]][item.same] += 1
    assert sum(max(counts.values()) for counts in seen.values()) < 0.58 * 800


@pytest.mark.parametrize(("split", "count"), [("train", 600), ("dev", 60), ("test", 120)])
def test_pawsx_is_balanced_and_parallel(lines, split: str, count: int) -> None:
    codes = ["en"] if split == "train" else PAWSX
    labels = {tuple(row.split("\t")[2] for row in lines(f"xtreme/pawsx/{split}-{code}.tsv")) for code in codes}
    assert len(labels) == 1
    assert Counter(labels.pop()) == {"0": count // 2, "1": count // 2}


@pytest.mark.parametrize("code", PAWSX)
def test_pawsx_has_no_pair_of_equal_texts(lines, code: str) -> None:
    rows = [row.split("\t") for row in lines(f"xtreme/pawsx/test-{code}.tsv")]
    assert all(len(row) == 3 and row[0] != row[1] for row in rows)


def test_pawsx_has_easy_and_hard_pairs_that_do_not_agree(lines) -> None:
    rows = [row.split("\t") for row in lines("xtreme/pawsx/train-en.tsv")]
    same_words = Counter(label for first, second, label in rows if bag(first) == bag(second))
    # Half of the negatives of two events are swapped, a quarter of the negatives.
    assert same_words == {"1": 300, "0": 75}
    for first, second, _ in rows:
        assert (bag(first) & bag(second)).total() >= 0.7 * bag(first).total()


def test_pawsx_lengths_do_not_tell_the_label(lines) -> None:
    lengths: dict[int, Counter] = defaultdict(Counter)
    for row in lines("xtreme/pawsx/train-en.tsv"):
        first, second, label = row.split("\t")
        lengths[len(first.split()) - len(second.split())][label] += 1
    assert lengths[0].total() > 450
    assert max(lengths[0].values()) < 0.6 * lengths[0].total()


@pytest.mark.parametrize("split", SPLITS)
def test_questions_ask_the_same_or_not(split: str) -> None:
    for item in drawn(questions, split, 60):
        plain = [asked._replace(kind=asked.kind.removesuffix(".front")) for asked in item.said()]
        assert (plain[0] == plain[1]) == item.same
        assert sum(asked.kind.endswith(".front") for asked in item.said()) == 1


def test_questions_that_differ_ask_after_another_slot_or_another_event() -> None:
    different = [item for item in drawn(questions, "train", 80) if not item.same]
    kinds = Counter(len({asked.kind.removesuffix(".front") for asked in item.said()}) for item in different)
    assert kinds == {1: 20, 2: 20}


def test_a_question_with_its_time_first_reads_as_one(languages) -> None:
    asked = Sentence("where.front", "cook", "buy", "apple", "", "monday")
    assert languages["en"].render(asked).text == "On Monday, where does the cook buy the apple?"
    assert languages["ru"].render(asked).text == "Где в понедельник повар покупает яблоко?"


def test_two_events_differ_in_place_and_time() -> None:
    rng = random.Random(0)
    for _ in range(30):
        one, other = paraphrases.events(rng, "test", 2)
        assert one.place != other.place
        assert one.time != other.time
        assert sum(getattr(one, slot) != getattr(other, slot) for slot in paraphrases.CORE) == 1
