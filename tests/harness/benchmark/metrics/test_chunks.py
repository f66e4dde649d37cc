import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.benchmark.metrics.chunks import ChunkF1, Variant, chunks
from harness.core.examples import WordsExample

CASES = json.loads((Path(__file__).parents[3] / "golden/metrics/seqeval.json").read_text(encoding="utf-8"))["cases"]
TAGS = "ADJ ADP NOUN SCONJ CCONJ SYM VERB X".split()
#: Bare tags, IOB2, every prefix with types that are missing or have a hyphen, and letters that are prefixes.
TAGSETS = [
    TAGS,
    "O B-PER I-PER B-LOC I-LOC".split(),
    "O B-A I-A E-A S-A B-B I-B E-B S-B . .-X B- I- O-A B-X-Y EX".split(),
    "X S O B E I".split(),
]


def flat(sentences: list[list[str]]) -> list[str]:
    return [tag for sentence in sentences for tag in [*sentence, "O"]]


def found(tags: Sequence[str], variant: Variant) -> list[tuple[str, int, int]]:
    """The chunks as (type, first, last); the last tag must be O."""
    vocabulary = sorted(set(tags))
    numbers = np.array([vocabulary.index(tag) for tag in tags], dtype=np.int64)
    result = chunks(numbers, vocabulary, variant)
    read = {"legacy": lambda tag: tag.rsplit("-", 1)[-1], "current": lambda tag: tag[1:].split("-", 1)[-1] or "_"}
    return [(read[variant](tags[last]), int(result.begins[last]), int(last)) for last in np.flatnonzero(result.ends)]


def one_by_one(tags: Sequence[str], variant: Variant) -> Iterator[tuple[str, int, int]]:
    """The rule as it is written down, tag by tag: what the arrays must reproduce."""
    previous, previous_type, begin = "O", "", 0
    for index, whole in enumerate(tags):
        tag = whole[0]
        kind = whole.rsplit("-", 1)[-1] if variant == "legacy" else whole[1:].split("-", 1)[-1] or "_"
        ended = previous in "ES"
        ended = ended or (previous in "BI" and tag in "BSO")
        ended = ended or (previous not in "O." and previous_type != kind)
        if ended:
            yield previous_type, begin, index - 1
        started = tag in "BS"
        started = started or (previous in "ESO" and tag in "EI")
        started = started or (tag not in "O." and previous_type != kind)
        if started:
            begin = index
        previous, previous_type = tag, kind


def sentences(*tags: str) -> list[WordsExample]:
    return [WordsExample(str(number), tuple(text.split()), tuple(text.split())) for number, text in enumerate(tags)]


@pytest.mark.parametrize("variant", ["legacy", "current"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_chunks_are_seqevals(case, variant: Variant) -> None:
    assert sorted(map(list, found(flat(case["sentences"]), variant))) == sorted(case[variant])


@pytest.mark.parametrize("variant", ["legacy", "current"])
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O", [("PER", 0, 1)]),
        ("B-PER B-PER O", [("PER", 0, 0), ("PER", 1, 1)]),
        ("O I-LOC I-LOC O", [("LOC", 1, 2)]),
        ("B-PER I-LOC O", [("PER", 0, 0), ("LOC", 1, 1)]),
        ("O O", []),
        ("O", []),
        ("", []),
    ],
    ids=["one", "neighbours", "inside-without-begin", "type-changes", "none", "one-tag", "no-tag"],
)
def test_iob2_is_the_same_in_both_variants(tags: str, expected, variant: Variant) -> None:
    assert found(tags.split(), variant) == expected


@pytest.mark.parametrize("variant", ["legacy", "current"])
@pytest.mark.parametrize("tags", TAGSETS, ids=["upos", "iob2", "prefixes", "letters"])
@pytest.mark.parametrize("seed", range(10))
def test_chunks_of_random_tags_are_those_of_the_rule_tag_by_tag(seed: int, tags: list[str], variant: Variant) -> None:
    rng = random.Random(seed)
    drawn = flat([rng.choices(tags, k=rng.randint(0, 7)) for _ in range(30)])
    assert found(drawn, variant) == list(one_by_one(drawn, variant))


@pytest.mark.parametrize("variant", ["legacy", "current"])
@pytest.mark.parametrize("tags", TAGSETS, ids=["upos", "iob2", "prefixes", "letters"])
@pytest.mark.parametrize("seed", range(5))
def test_counts_of_random_tags_are_those_of_sets_of_chunks(seed: int, tags: list[str], variant: Variant) -> None:
    rng = random.Random(seed)
    gold = [rng.choices(tags, k=rng.randint(0, 7)) for _ in range(20)]
    predictions = [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in row] for row in gold]
    examples = [WordsExample(str(number), ("",) * len(row), tuple(row)) for number, row in enumerate(gold)]
    own, predicted = set(one_by_one(flat(gold), variant)), set(one_by_one(flat(predictions), variant))
    equal = sum(
        tag == other
        for row, others in zip(gold, predictions, strict=True)
        for tag, other in zip(row, others, strict=True)
    )
    totals = ChunkF1(variant).counts(examples, predictions, "xx").sum(axis=0)
    assert totals.tolist() == [len(own & predicted), len(predicted), len(own), equal, sum(map(len, gold))]


def test_whole_file_is_chunked_not_sentence_by_sentence() -> None:
    examples = sentences("X NOUN", "NOUN", "X NOUN X")
    assert ChunkF1("current").counts(examples, [example.tags for example in examples], "xx")[:, 2].tolist() == [2, 1, 2]


def test_last_sentence_alone_loses_its_chunks_in_the_current_variant() -> None:
    assert found(flat([["X", "NOUN", "X"]]), "current") == [("_", 0, 0), ("OUN", 1, 1)]


def test_sentence_final_x_is_never_emitted_in_the_current_variant() -> None:
    assert "_" not in {kind for kind, _, _ in found(flat([["NOUN", "X"]]), "current")}


def test_f1_is_over_chunks_of_the_whole_file() -> None:
    examples = sentences("NOUN NOUN VERB", "ADJ")
    counts = ChunkF1("legacy").counts(examples, [("NOUN", "VERB", "VERB"), ("ADJ",)], "xx")
    # gold NOUN(0,1) VERB(2,2) ADJ; predicted NOUN(0,0) VERB(1,2) ADJ; one in common
    assert ChunkF1("legacy").scores(counts.sum(axis=0)) == pytest.approx(
        {"f1": 100 / 3, "precision": 100 / 3, "recall": 100 / 3, "accuracy": 75.0}
    )


def test_chunk_of_the_same_place_and_another_type_does_not_match() -> None:
    counts = ChunkF1().counts(sentences("B-PER"), [("B-LOC",)], "xx")
    assert counts.tolist() == [[0, 1, 1, 0, 1]]


def test_chunk_that_begins_elsewhere_does_not_match() -> None:
    counts = ChunkF1().counts(sentences("B-PER I-PER"), [("O", "B-PER")], "xx")
    assert counts.tolist() == [[0, 1, 1, 0, 2]]


def test_no_chunk_at_all_scores_zero() -> None:
    examples = sentences("O O")
    counts = ChunkF1().counts(examples, [("O", "O")], "xx")
    assert ChunkF1().scores(counts.sum(axis=0))["f1"] == 0.0


def test_no_sentence_has_no_counts() -> None:
    assert ChunkF1().counts([], [], "xx").shape == (0, 5)


def test_sentence_without_words_counts_nothing() -> None:
    assert ChunkF1().counts(sentences("NOUN", "", "VERB"), [("NOUN",), (), ("X",)], "xx").tolist() == [
        [1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0],
        [0, 1, 1, 0, 1],
    ]


@pytest.mark.parametrize(
    ("predictions", "message"),
    [([("NOUN",)], "1 tags for the 2 words of sentence 0"), ([], "0 predictions for 1 sentences")],
    ids=["tags", "sentences"],
)
def test_predictions_of_another_length_are_refused(predictions, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChunkF1().counts(sentences("NOUN VERB"), predictions, "xx")


@pytest.mark.parametrize("seed", range(20))
def test_legacy_variant_is_additive_over_sentences(seed: int) -> None:
    rng = random.Random(seed)
    gold = sentences(*(" ".join(rng.choices(TAGS, k=rng.randint(1, 6))) for _ in range(5)))
    predictions = [tuple(rng.choice([tag, rng.choice(TAGS)]) for tag in example.tags) for example in gold]
    metric = ChunkF1("legacy")
    alone = [metric.counts([one], [tags], "xx")[0] for one, tags in zip(gold, predictions, strict=True)]
    np.testing.assert_array_equal(metric.counts(gold, predictions, "xx"), np.stack(alone))
