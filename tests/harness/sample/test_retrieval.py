"""BUCC, LAReQA and Mewsli-X: what a query should find is there, and nothing else is as good."""

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from harness.sample import names, retrieval
from harness.sample.folder import SampleFolder
from harness.sample.render import LANGUAGES
from harness.sample.tasks import answers, reading, single, unambiguous

BUCC = "de ru zh".split()
LAREQA = "en de es tr ru el ar hi th zh".split()
MEWSLIX = "en de es tr ar ta".split()
COUNTS = {"dev": (150, 60), "test": (250, 100)}


def pairs(rows: list[str]) -> dict[str, str]:
    return dict(tuple(row.split("\t")) for row in rows)


def as_records(rows: list[str]) -> list[dict]:
    return [json.loads(row) for row in rows]


@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("code", BUCC)
def test_bucc_ids_number_the_lines_of_each_side(lines, code: str, split: str) -> None:
    for side in (code, "en"):
        rows = lines(f"xtreme/bucc2018/{code}-en.{split}.{side}")
        numbers = [f"{side}-{number:09d}" for number in range(1, COUNTS[split][0] + 1)]
        assert [row.split("\t")[0] for row in rows] == numbers


@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("code", BUCC)
def test_bucc_gold_is_all_translations_and_nothing_else(sample, lines, code: str, split: str) -> None:
    sides = {side: pairs(lines(f"xtreme/bucc2018/{code}-en.{split}.{side}")) for side in (code, "en")}
    gold = [tuple(row.split("\t")) for row in lines(f"xtreme/bucc2018/{code}-en.{split}.gold")]
    folder = SampleFolder(sample)
    count = COUNTS[split][1] + 2 * (COUNTS[split][0] - COUNTS[split][1] - 4)
    items = folder.draw(single, split, f"bucc2018/{code}/{split}", count, (code, "en"))
    translations = {folder.paragraph(code, item.sentences): folder.paragraph("en", item.sentences) for item in items}
    assert len(translations) == len(set(translations.values())) == count
    here = set(sides["en"].values())
    found = {text for text in sides[code].values() if translations[text] in here}
    assert {sides[code][foreign] for foreign, _ in gold} == found
    assert all(translations[sides[code][foreign]] == sides["en"][english] for foreign, english in gold)
    assert len(gold) == len(set(gold)) == COUNTS[split][1]


@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("code", BUCC)
def test_bucc_repeats_four_sentences_that_are_not_gold(lines, code: str, split: str) -> None:
    gold = pairs(lines(f"xtreme/bucc2018/{code}-en.{split}.gold"))
    for side, ids in ((code, set(gold)), ("en", set(gold.values()))):
        rows = pairs(lines(f"xtreme/bucc2018/{code}-en.{split}.{side}"))
        repeated = {text for text, count in Counter(rows.values()).items() if count == 2}
        assert len(repeated) == 4
        assert len(set(rows.values())) == len(rows) - 4
        assert not repeated & {rows[key] for key in ids}


def load_lareqa(sample: Path, code: str) -> list[dict]:
    whole = json.loads((sample / f"xtreme/lareqa/xquad-r/{code}.json").read_text(encoding="utf-8"))
    return whole["data"][0]["paragraphs"]


@pytest.mark.parametrize("code", LAREQA)
def test_lareqa_sentences_stand_at_their_breaks(sample, code: str) -> None:
    for paragraph in load_lareqa(sample, code):
        context, spans = paragraph["context"], paragraph["sentence_breaks"]
        assert [context[start:end] for start, end in spans] == paragraph["sentences"]
        between = [context[end:start] for (_, end), (start, _) in itertools.pairwise(spans)]
        assert "".join(between).strip() == ""
        assert (spans[0][0], spans[-1][1]) == (0, len(context))


@pytest.mark.parametrize("code", LAREQA)
def test_lareqa_answers_lie_in_one_sentence_each(sample, code: str) -> None:
    for paragraph in load_lareqa(sample, code):
        for asked in paragraph["qas"]:
            (answer,) = asked["answers"]
            first, last = answer["answer_start"], answer["answer_start"] + len(answer["text"])
            assert sum(start <= first and last <= end for start, end in paragraph["sentence_breaks"]) == 1


@pytest.mark.parametrize("code", LAREQA)
def test_lareqa_is_part_of_xquad_in_the_same_order(sample, code: str) -> None:
    xquad = json.loads((sample / f"xtreme/xquad/xquad.{code}.json").read_text(encoding="utf-8"))
    known = [json.dumps({key: one[key] for key in ("context", "qas")}) for one in xquad["data"][0]["paragraphs"]]
    found = [json.dumps({key: one[key] for key in ("context", "qas")}) for one in load_lareqa(sample, code)]
    assert len(found) == 20
    assert found == [one for one in known if one in found]


def test_lareqa_has_no_sentence_twice(sample) -> None:
    for code in LAREQA:
        sentences = [sentence for paragraph in load_lareqa(sample, code) for sentence in paragraph["sentences"]]
        assert len(sentences) == len(set(sentences))


def test_readings_that_answer_anothers_question_are_left_out() -> None:
    rng = random.Random(0)
    items = [reading(rng, "test", number) for number in range(60)]
    _, place, _ = items[0].questions[0]
    spoilt = items[1]._replace(sentences=(*items[1].sentences, items[0].sentences[place]))
    kept = unambiguous([items[0], spoilt, *items[2:]])
    assert items[0] in kept
    assert spoilt not in kept
    for one, other in itertools.permutations(kept, 2):
        assert not any(answers(sentence, asked) for sentence in one.sentences for asked, _, _ in other.questions)


@pytest.fixture(scope="module")
def candidates(lines) -> list[dict]:
    return as_records(lines("xtreme/mewslix/candidate_set_entities.jsonl"))


def news(lines, split: str, code: str) -> list[dict]:
    return as_records(lines(f"xtreme/mewslix/wikinews_mentions/{split}-{code}.jsonl"))


def linked(lines, split: str) -> list[dict]:
    return as_records(lines(f"xtreme/mewslix/wikipedia_pairs-{split}.jsonl"))


def test_candidates_have_their_keys_and_ids(candidates) -> None:
    assert len({record["entity_id"] for record in candidates}) == len(candidates) == 150
    for record in candidates:
        assert set(record) == {
            "entity_id",
            "title",
            "description",
            "sentence_spans",
            "description_language",
            "description_url",
        }
        # Wikidata's ids end far below.
        assert int(record["entity_id"].removeprefix("Q")) > 900_000_000


def test_candidates_are_described_in_every_language(candidates) -> None:
    assert {record["description_language"] for record in candidates} == set(LANGUAGES)
    lengths = Counter(len(record["sentence_spans"]) for record in candidates)
    assert set(lengths) == {1, 2, 3}


def test_spans_cut_texts_into_sentences(candidates, lines) -> None:
    texts = [(record["description"], record["sentence_spans"]) for record in candidates]
    for code in MEWSLIX:
        texts += [(one["context"]["text"], one["context"]["sentence_spans"]) for one in news(lines, "test", code)]
    for text, spans in texts:
        edges = [edge for span in spans for edge in (span["start"], span["end"])]
        assert edges == sorted(edges)
        assert (edges[0], edges[-1]) == (0, len(text))
        assert all(text[end:start].strip() == "" for end, start in zip(edges[1:-1:2], edges[2::2], strict=True))


@pytest.mark.parametrize(("split", "articles", "mentions"), [("dev", 11, 15), ("test", 30, 40)])
@pytest.mark.parametrize("code", MEWSLIX)
def test_news_mentions_candidates_in_one_sentence(
    lines, candidates, code: str, split: str, articles: int, mentions: int
) -> None:
    known = {record["entity_id"] for record in candidates}
    records = news(lines, split, code)
    assert len({record["context"]["document_id"] for record in records}) == len(records) == articles
    assert sum(len(record["mentions"]) for record in records) == mentions
    assert len({mention["example_id"] for record in records for mention in record["mentions"]}) == mentions
    for record in records:
        context = record["context"]
        assert (context["language"], context["section_title"]) == (code, "")
        for mention in record["mentions"]:
            span = mention["mention_span"]
            assert context["text"][span["start"] : span["end"]] == span["text"] != ""
            inside = [one["start"] <= span["start"] and span["end"] <= one["end"] for one in context["sentence_spans"]]
            assert inside.count(True) == 1
            assert mention["entity_id"] in known


def test_news_of_both_splits_mentions_different_entities(lines) -> None:
    dev, test = (
        {mention["entity_id"] for code in MEWSLIX for one in news(lines, split, code) for mention in one["mentions"]}
        for split in ("dev", "test")
    )
    assert dev
    assert not dev & test
    assert len(test) > 60


def test_the_sentence_of_a_mention_says_which_entity_of_that_name_it_is(sample, candidates, lines) -> None:
    folder = SampleFolder(sample)
    profiles = {key: profile for profile, key in retrieval.entity_ids().items()}
    chosen = [profiles[record["entity_id"]] for record in candidates]
    assert max(Counter(profile.person for profile in chosen).values()) > 8
    for code in MEWSLIX:
        for record in news(lines, "test", code):
            text = record["context"]["text"]
            for mention in record["mentions"]:
                start = mention["mention_span"]["start"]
                (span,) = [s for s in record["context"]["sentence_spans"] if s["start"] <= start < s["end"]]
                sentence = text[span["start"] : span["end"]].lower()
                meant = profiles[mention["entity_id"]]
                for concept in (meant.agent, meant.city):
                    assert folder.languages[code].forms[concept][-1][0].lower() in sentence


@pytest.mark.parametrize(("split", "count"), [("train", 400), ("dev", 40)])
def test_pairs_join_a_mention_with_its_entity(lines, split: str, count: int) -> None:
    records = linked(lines, split)
    assert len(records) == count
    for record in records:
        mention, entity = record["contextual_mention"]["mention"], record["entity"]
        assert mention["entity_id"] == entity["entity_id"]
        assert mention["mention_span"]["text"] == entity["title"]
        assert (entity["description_language"], record["contextual_mention"]["context"]["language"]) == ("en", "en")


def test_an_entity_is_described_the_same_wherever_it_stands(candidates, lines) -> None:
    known = {record["entity_id"]: record for record in candidates}
    assert all(record["entity"] == known[record["entity"]["entity_id"]] for record in linked(lines, "dev"))
    seen: dict[str, dict] = {}
    for record in linked(lines, "train"):
        assert seen.setdefault(record["entity"]["entity_id"], record["entity"]) == record["entity"]


def test_no_entity_for_training_is_a_candidate(candidates, lines) -> None:
    trained = {record["entity"]["entity_id"] for record in linked(lines, "train")}
    assert len(trained) > 200
    assert not trained & {record["entity_id"] for record in candidates}


def test_every_combination_has_an_id_of_its_own() -> None:
    ids = retrieval.entity_ids()
    assert len(set(ids.values())) == len(ids) == sum(map(len, names.FRAGMENTS["profile"].values())) == 1440
