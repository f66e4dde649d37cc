import json
import random
from pathlib import Path

import numpy as np
import pytest

from harness.examples import WordsExample
from harness.metrics.chunks import ChunkF1, Variant, chunks

CASES = json.loads((Path(__file__).parents[2] / "golden/metrics/seqeval.json").read_text(encoding="utf-8"))["cases"]
TAGS = "ADJ ADP NOUN SCONJ CCONJ SYM VERB X".split()


def flat(sentences: list[list[str]]) -> list[str]:
    return [tag for sentence in sentences for tag in [*sentence, "O"]]


def sentences(*tags: str) -> list[WordsExample]:
    return [WordsExample(str(number), tuple(text.split()), tuple(text.split())) for number, text in enumerate(tags)]


@pytest.mark.parametrize("variant", ["legacy", "current"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_chunks_are_seqevals(case, variant: Variant) -> None:
    assert sorted(map(list, chunks(flat(case["sentences"]), variant))) == sorted(case[variant])


@pytest.mark.parametrize("variant", ["legacy", "current"])
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O", [("PER", 0, 1)]),
        ("B-PER B-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        ("O I-LOC I-LOC", [("LOC", 1, 2)]),
        ("B-PER I-LOC", [("PER", 0, 0), ("LOC", 1, 1)]),
        ("O O", []),
    ],
    ids=["one", "neighbours", "inside-without-begin", "type-changes", "none"],
)
def test_iob2_is_the_same_in_both_variants(tags: str, expected, variant: Variant) -> None:
    assert list(chunks(tags.split(), variant)) == expected


def test_whole_file_is_chunked_not_sentence_by_sentence() -> None:
    examples = sentences("X NOUN", "NOUN", "X NOUN X")
    assert ChunkF1("current").counts(examples, [example.tags for example in examples], "xx")[:, 2].tolist() == [2, 1, 2]


def test_last_sentence_alone_loses_its_chunks_in_the_current_variant() -> None:
    assert [tuple(chunk) for chunk in chunks(flat([["X", "NOUN", "X"]]), "current")] == [("_", 0, 0), ("OUN", 1, 1)]


def test_sentence_final_x_is_never_emitted_in_the_current_variant() -> None:
    assert "_" not in {chunk.type for chunk in chunks(flat([["NOUN", "X"]]), "current")}


def test_f1_is_over_chunks_of_the_whole_file() -> None:
    examples = sentences("NOUN NOUN VERB", "ADJ")
    counts = ChunkF1("legacy").counts(examples, [("NOUN", "VERB", "VERB"), ("ADJ",)], "xx")
    # gold NOUN(0,1) VERB(2,2) ADJ; predicted NOUN(0,0) VERB(1,2) ADJ; one in common
    assert ChunkF1("legacy").scores(counts.sum(axis=0)) == pytest.approx(
        {"f1": 100 / 3, "precision": 100 / 3, "recall": 100 / 3, "accuracy": 75.0}
    )


def test_no_chunk_at_all_scores_zero() -> None:
    examples = sentences("O O")
    counts = ChunkF1().counts(examples, [("O", "O")], "xx")
    assert ChunkF1().scores(counts.sum(axis=0))["f1"] == 0.0


def test_prediction_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        ChunkF1().counts(sentences("NOUN VERB"), [("NOUN",)], "xx")


@pytest.mark.parametrize("seed", range(20))
def test_legacy_variant_is_additive_over_sentences(seed: int) -> None:
    rng = random.Random(seed)
    gold = sentences(*(" ".join(rng.choices(TAGS, k=rng.randint(1, 6))) for _ in range(5)))
    predictions = [tuple(rng.choice([tag, rng.choice(TAGS)]) for tag in example.tags) for example in gold]
    metric = ChunkF1("legacy")
    alone = [metric.counts([one], [tags], "xx")[0] for one, tags in zip(gold, predictions, strict=True)]
    np.testing.assert_array_equal(metric.counts(gold, predictions, "xx"), np.stack(alone))
