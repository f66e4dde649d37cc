import json
import re
from typing import Any

import pytest

from harness.benchmark import tasks
from harness.benchmark.sources.mewsli import description, marked
from harness.core.errors import DataError
from harness.core.examples import MatchExample, SentenceExample

TASK = tasks.load("mewslix")
TEXT = "One line. Smith { Co } met\nAnn here.  Last."
SPANS = [{"start": 0, "end": 9}, {"start": 10, "end": 36}, {"start": 38, "end": 43}]


def article(start: int = 27, end: int = 30, **changes: Any) -> dict[str, Any]:
    mention = {"example_id": "m-1", "entity_id": "Q7", "mention_span": {"start": start, "end": end, "text": "Ann"}}
    return {"context": {"text": TEXT, "sentence_spans": SPANS}, "mentions": [{**mention, **changes}]}


def test_query_shows_the_mention_in_its_sentence_with_other_braces_escaped() -> None:
    row = article()
    assert marked(row["context"], row["mentions"][0]["mention_span"]) == "Ann: Smith ( Co ) met { Ann } here."


def test_mention_that_crosses_sentences_is_refused() -> None:
    with pytest.raises(ValueError, match="no sentence of the article holds mention_span 7 to 15"):
        marked(article()["context"], {"start": 7, "end": 15})


def test_spans_may_be_pairs() -> None:
    assert description({"description": "A b. C d.", "sentence_spans": [[0, 4], [5, 9]]}) == "A b. C d."


def test_description_leaves_out_what_is_in_no_sentence() -> None:
    assert description({"description": "A b. (x) C\nd.", "sentence_spans": [[0, 4], [9, 13]]}) == "A b. C d."


def test_mentions_are_queries_for_their_entity(write, layout) -> None:
    write("mewslix/wikinews_mentions/test-de.jsonl", json.dumps(article()) + "\n")
    (example,) = TASK.source.read(layout, "de", "test")
    assert (example.id, example.side, example.gold) == ("m-1", "query", frozenset({"Q7"}))


def test_entities_are_candidates_in_file_order(write, layout) -> None:
    rows = [{"entity_id": f"Q{n}", "description": "D.", "sentence_spans": [[0, 2]]} for n in (5, 3)]
    write("mewslix/candidate_set_entities.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert list(TASK.pool.source.read(layout, "test")) == [
        SentenceExample("Q5", "D.", "candidate"),
        SentenceExample("Q3", "D.", "candidate"),
    ]


def test_training_pairs_are_matches(write, layout) -> None:
    row = {
        "contextual_mention": {"context": article()["context"], "mention": article()["mentions"][0]},
        "entity": {"entity_id": "Q7", "description": "A person.", "sentence_spans": [[0, 9]]},
    }
    write("mewslix/wikipedia_pairs-train.jsonl", json.dumps(row) + "\n")
    assert TASK.finetune.train.read(layout, "en", "train") == [
        MatchExample("m-1", "Ann: Smith ( Co ) met { Ann } here.", "A person.")
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (json.dumps(article(entity_id="")), r"labels were stripped.*--split dev"),
        (json.dumps({**article(), "context": {"text": "", "sentence_spans": []}}), r":1: .*empty"),
        ('{"context": {}}', r":1: the object lacks the key 'mentions'"),
        ("{", r":1: not JSON \(Expecting property name"),
        (f"{json.dumps(article())}\n{json.dumps(article())}", r":2: id 'm-1' occurs twice"),
    ],
    ids=["stripped", "no-text", "no-mentions", "no-json", "id-twice"],
)
def test_bad_files_are_named(write, layout, content: str, problem: str) -> None:
    path = write("mewslix/wikinews_mentions/test-de.jsonl", content + "\n")
    with pytest.raises(DataError, match=re.escape(str(path)) + ".*" + problem.removeprefix(r"")):
        TASK.source.read(layout, "de", "test")


@pytest.mark.parametrize("name", ["candidate_set_entities.jsonl", "wikinews_mentions/test-de.jsonl"])
def test_empty_file_is_refused(write, layout, name: str) -> None:
    write(f"mewslix/{name}", "")
    with pytest.raises(DataError, match="is empty"):
        list(TASK.pool.source.read(layout, "test") if "candidate" in name else TASK.source.read(layout, "de", "test"))
