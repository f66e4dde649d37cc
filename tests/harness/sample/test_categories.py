"""The categories of the English sentences, checked by a small parser of combinatory categorial grammar."""

import random
import re
from typing import TypeAlias

import pytest

from harness.sample.categories import categories
from harness.sample.tasks import reordered
from harness.sample.world import RULES, Sentence

#: An atom, or (result, slash, argument).
Category: TypeAlias = str | tuple["Category", str, "Category"]


def read(text: str) -> Category:
    """Return a category; slashes group to the left."""
    tokens = re.findall(r"[()/\\]|[^()/\\]+", text)

    def whole(place: int) -> tuple[Category, int]:
        left, place = part(place)
        while place < len(tokens) and tokens[place] in "/\\":
            right, after = part(place + 1)
            left, place = (left, tokens[place], right), after
        return left, place

    def part(place: int) -> tuple[Category, int]:
        if tokens[place] == "(":
            inner, place = whole(place + 1)
            return inner, place + 1
        return tokens[place], place + 1

    return whole(0)[0]


def match(pattern: Category, found: Category) -> str | None:
    """Return the feature that a bare S of the pattern takes to equal the category, "" for none; None if unequal."""
    if isinstance(pattern, tuple) and isinstance(found, tuple):
        if pattern[1] != found[1]:
            return None
        features = match(pattern[0], found[0]), match(pattern[2], found[2])
        taken = {feature for feature in features if feature}
        return None if None in features or len(taken) > 1 else next(iter(taken), "")
    if pattern == "S" and isinstance(found, str) and found.startswith("S["):
        return found[1:]
    return "" if pattern == found else None


def fill(category: Category, feature: str) -> Category:
    """Return the category with the feature at each bare S."""
    if isinstance(category, tuple):
        return fill(category[0], feature), category[1], fill(category[2], feature)
    return f"S{feature}" if category == "S" else category


def combined(left: Category, right: Category) -> set[Category]:
    """Return what two neighbours combine to: application, composition, and a mark at the end."""
    found: set[Category] = {left} if right == "." else set()
    if isinstance(left, tuple) and left[1] == "/":
        feature = match(left[2], right)
        if feature is not None:
            found.add(fill(left[0], feature))
        if isinstance(right, tuple) and right[1] == "/" and (feature := match(left[2], right[0])) is not None:
            found.add((fill(left[0], feature), "/", right[2]))
    if isinstance(right, tuple) and right[1] == "\\":
        feature = match(right[2], left)
        if feature is not None:
            found.add(fill(right[0], feature))
        # Crossed composition, as in "what does he buy in the park".
        if isinstance(left, tuple) and left[1] == "/" and (feature := match(right[2], left[0])) is not None:
            found.add((fill(right[0], feature), "/", left[2]))
    return found


def parses(tags: list[str]) -> set[Category]:
    """Return what the categories of a sentence combine to; a bare noun may be a noun phrase."""
    chart: dict[tuple[int, int], set[Category]] = {}
    for width in range(1, len(tags) + 1):
        for start in range(len(tags) - width + 1):
            cell = {read(tags[start])} if width == 1 else set()
            for middle in range(start + 1, start + width):
                for left in chart[start, middle]:
                    for right in chart[middle, start + width]:
                        cell |= combined(left, right)
            chart[start, start + width] = cell | ({"NP"} if "N" in cell else set())
    return chart[0, len(tags)]


def test_the_parser_joins_a_sentence_and_refuses_a_heap_of_words() -> None:
    assert parses(["NP/N", "N", r"(S[dcl]\NP)/NP", "N", "."]) == {"S[dcl]"}
    assert parses(["N", "NP/N", r"(S[dcl]\NP)/NP", "N", "."]) == set()


def test_the_parser_does_not_take_an_infinitive_for_a_statement() -> None:
    assert "S[dcl]" not in parses(["NP/N", "N", r"(S[b]\NP)/NP", "N", "."])


def test_words_have_the_categories_of_their_places(languages) -> None:
    sentence = Sentence("what", "cook", "buy", "", "park")
    assert categories(languages["en"], sentence) == [
        "S[wq]/(S[q]/NP)",
        r"(S[q]/(S[b]\NP))/NP",
        "NP/N",
        "N",
        r"(S[b]\NP)/NP",
        r"((S\NP)\(S\NP))/NP",
        "NP/N",
        "N",
        ".",
    ]


@pytest.mark.parametrize("kind", ["do", "front", "not", "where", "who", "what", "when"])
def test_categories_of_a_deed_combine_to_one_sentence(languages, kind: str) -> None:
    asked = {"where": {"place": ""}, "who": {"agent": ""}, "what": {"thing": ""}, "when": {"time": ""}}
    full = Sentence(kind, "cook", "buy", "apple", "park", "monday")
    found = parses(categories(languages["en"], full._replace(**asked.get(kind, {}))))
    assert ("S[wq]" if kind in asked else "S[dcl]") in found


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["state", "then"])
def test_categories_of_a_causal_rule_combine_to_one_sentence(languages, kind: str, rule: str) -> None:
    sentence = Sentence(kind, "cook", place="park", time="noon", rule=rule)
    assert "S[dcl]" in parses(categories(languages["en"], sentence))


def test_every_drawn_sentence_combines(languages) -> None:
    rng = random.Random(0)
    for number in range(40):
        (sentence,) = reordered(rng, "train", number).sentences
        assert parses(categories(languages["en"], sentence)) & {"S[dcl]", "S[wq]"}, sentence


def test_the_files_have_a_category_for_each_word(lines) -> None:
    for split, count in (("train", 400), ("dev", 60)):
        rows = [row.split("\t") for row in lines(f"intermediate/ccg/en/{split}.tsv")]
        assert len(rows) == count
        assert all(len(text.split(" ")) == len(tags.split(" ")) for text, tags in rows)


def test_training_has_every_category_of_dev(lines) -> None:
    train, dev = (
        {tag for row in lines(f"intermediate/ccg/en/{split}.tsv") for tag in row.split("\t")[1].split()}
        for split in ("train", "dev")
    )
    assert dev <= train
    assert len(train) > 15
