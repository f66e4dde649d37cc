"""Rows as the hub has them, through each declaration's own converter, read back by its own source."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.acquire.catalogue import Dataset, catalogue
from harness.acquire.get import POOL, destination, get
from harness.acquire.supply import FromFolder
from harness.core.errors import DataError
from harness.core.examples import Answer, ChoiceExample, PairExample, QuestionExample, WordsExample
from harness.core.layout import Layout
from harness.core.progress import Silent

ASKED = {"id": "english-7-0", "title": "t", "context": "in Bonn", "question": "where?"} | {
    "answers": {"text": ["Bonn"], "answer_start": [3]}
}
QUESTION = QuestionExample("english-7-0", "where?", "in Bonn", (Answer("Bonn", 3),))
CAUSE = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "idx": 0}
SOCIAL = {"context": "c", "question": "q", "answerA": "x", "answerB": "y", "answerC": "z", "label": "2\n"}

#: Dataset, language, split, one row of the hub's repository, what the source makes of it.
CASES = [
    (
        "xnli",
        "sw",
        "test",
        {"premise": "a", "hypothesis": "b", "label": "contradiction"},
        PairExample("0", "a", "b", "contradiction"),
    ),
    (
        "pawsx",
        "ja",
        "dev",
        {"id": 9, "sentence1": '"a"', "sentence2": "b", "label": "1"},
        PairExample("0", '"a"', "b", "1"),
    ),
    (
        "xcopa",
        "qu",
        "dev",
        CAUSE | {"label": 1, "changed": True},
        ChoiceExample("0", "p", "What was the cause?", ("a", "b"), 1),
    ),
    (
        "udpos",
        "el",
        "test",
        {"tokens": ["a", "b"], "pos_tags": ["NOUN", "X"]},
        WordsExample("0", ("a", "b"), ("NOUN", "X")),
    ),
    (
        "panx",
        "qu",
        "test",
        {"tokens": ["a", "b"], "ner_tags": ["B-LOC", "O"], "langs": ["qu", "qu"], "spans": ["LOC: a"]},
        WordsExample("0", ("a", "b"), ("B-LOC", "O")),
    ),
    ("xquad", "ro", "test", {key: ASKED[key] for key in ASKED if key != "title"}, QUESTION),
    ("mlqa", "de", "dev", ASKED, QUESTION),
    ("tydiqa", "en", "test", ASKED, QUESTION),
    ("tydiqa (training set)", "en", "train", ASKED, QUESTION),
    ("squad (training set)", "en", "dev", ASKED, QUESTION),
    (
        "mnli (training set)",
        "en",
        "train",
        {"premise": "a", "hypothesis": "b", "label": "neutral", "idx": 5},
        PairExample("0", "a", "b", "neutral"),
    ),
    (
        "qqp (training set)",
        "en",
        "dev",
        {"question1": "a", "question2": "b", "label": "duplicate", "idx": 5},
        PairExample("0", "a", "b", "duplicate"),
    ),
    (
        "copa (training set)",
        "en",
        "train",
        CAUSE | {"label": "choice2"},
        ChoiceExample("0", "p", "What was the cause?", ("a", "b"), 1),
    ),
    (
        "hellaswag (training set)",
        "en",
        "train",
        {"ind": 1, "ctx_a": "a", "ctx_b": "b", "endings": ["1", "2", "3", "4"], "label": "3"},
        ChoiceExample("0", "a", "", ("b 1", "b 2", "b 3", "b 4"), 3),
    ),
    (
        "commonsense_qa (training set)",
        "en",
        "dev",
        {"id": "x", "question": "q", "choices": {"label": ["A", "B"], "text": ["a", "b"]}, "answerKey": "B"},
        ChoiceExample("0", "q", "", ("a", "b"), 1),
    ),
    (
        "cosmos_qa (training set)",
        "en",
        "dev",
        {"id": "x", "context": "c", "question": "q", "answer0": "a", "answer1": "b", "answer2": "c", "answer3": "d"}
        | {"label": 2},
        ChoiceExample("x", "c", "q", ("a", "b", "c", "d"), 2),
    ),
    ("siqa (training set)", "en", "dev", SOCIAL, ChoiceExample("0", "c", "q", ("x", "y", "z"), 1)),
]


def named(label: str) -> Dataset:
    (found,) = [dataset for dataset in catalogue() if dataset.label == label]
    return found


@pytest.mark.parametrize(("label", "language", "split", "row", "example"), CASES, ids=[case[0] for case in CASES])
def test_row_becomes_the_example(layout: Layout, label, language, split, row, example) -> None:
    dataset = named(label)
    paths = dataset.files(layout, language, split)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    dataset.hub.convert.write([row], paths)
    assert dataset.source.read(layout, language, split) == [example]


def test_sentences_of_two_repositories_become_the_same_files(layout: Layout) -> None:
    dataset = named("tatoeba")
    found = []
    for language, row in (("sw", ("source_sentence", "target_sentence")), ("ro", ("sentence1", "sentence2"))):
        part = next(part for part in dataset.hub.parts if part.serves(language, "test"))
        written_row = dict(zip([part.rename.get(column, column) for column in row], ("ja\n", "yes\n"), strict=True))
        paths = dataset.files(layout, language, "test")
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        dataset.hub.convert.write([written_row], paths)
        found.append([(path.name, path.read_text()) for path in paths])
    assert found == [
        [("tatoeba.swh-eng.swh", "ja\n"), ("tatoeba.swh-eng.eng", "yes\n")],
        [("tatoeba.ron-eng.ron", "ja\n"), ("tatoeba.ron-eng.eng", "yes\n")],
    ]


def test_tags_are_mapped_by_name_whatever_the_hubs_order(tmp_path: Path, write_parquet, layout: Layout) -> None:
    from datasets import ClassLabel, Sequence, Value

    # unimelb-nlp/wikiann numbers O 0, where the benchmark's order begins with B-LOC.
    names = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
    features = {"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=names))}
    rows = [{"tokens": ["a", "b", "c"], "ner_tags": [0, 5, 6]}] * 3
    write_parquet(tmp_path / "clones/unimelb-nlp/wikiann/gu/test-00000-of-00001.parquet", rows, features)
    dataset = replace(named("panx"), languages=("gu",), splits=("test",), official={"gu": 3})
    get([dataset], destination(tmp_path / "to"), FromFolder(tmp_path / "clones"), Silent())
    examples = dataset.source.read(Layout.at(tmp_path / "to"), "gu", "test")
    assert [example.tags for example in examples] == [("O", "B-LOC", "I-LOC")] * 3


def test_numbers_without_names_are_refused(tmp_path: Path, write_parquet) -> None:
    from datasets import Sequence, Value

    features = {"tokens": Sequence(Value("string")), "ner_tags": Sequence(Value("int64"))}
    write_parquet(tmp_path / "gu/test-0.parquet", [{"tokens": ["a"], "ner_tags": [5]}], features)
    dataset = replace(named("panx"), languages=("gu",), splits=("test",), official={"gu": 1})
    (outcome,) = get([dataset], destination(tmp_path / "to"), FromFolder(tmp_path), Silent())
    assert outcome.state == "refused"
    assert "has the tag 5, which is not one of B-LOC" in outcome.reason


def test_pawsx_with_lost_rows_is_refused_and_says_why(tmp_path: Path, write_parquet) -> None:
    from datasets import Value

    features = dict.fromkeys(("sentence1", "sentence2", "label"), Value("string"))
    rows = [{"sentence1": "a", "sentence2": "b", "label": str(number % 2)} for number in range(1_961)]
    write_parquet(tmp_path / "google/xtreme/PAWS-X.es/validation-0.parquet", rows, features)
    dataset = replace(named("pawsx"), languages=("es",), splits=("dev",))
    (outcome,) = get([dataset], destination(tmp_path / "to"), FromFolder(tmp_path), Silent())
    assert outcome.state == "refused"
    assert outcome.reason.startswith(
        "1,961 examples where 2,000 are official; google/xtreme's PAWS-X.* was parsed as CSV"
    )


@pytest.fixture
def download(tmp_path: Path):
    """Write a file of the official download."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / "official/download" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return tmp_path / "official"

    return write


def outcomes(dataset: Dataset, folder: Path, dest: Path):
    found = get([dataset], destination(dest), FromFolder(folder), Silent())
    return [(outcome.split, outcome.language, outcome.state) for outcome in found]


def test_bucc_without_test_gold_has_dev(tmp_path: Path, download) -> None:
    for split in ("dev", "test"):
        download(f"bucc2018/de-en.{split}.de", "de-1\tja\nde-2\tnein\n")
        folder = download(f"bucc2018/de-en.{split}.en", "en-1\tyes\n")
    download("bucc2018/de-en.dev.gold", "de-1\ten-1\n")
    dataset = named("bucc2018")
    dataset = replace(dataset, languages=("de",), official={"de": 1}, hub=replace(dataset.hub, examples={}))
    assert outcomes(dataset, folder, tmp_path / "to") == [("dev", "de", "written"), ("test", "de", "absent")]
    download("bucc2018/de-en.test.gold", "de-2\ten-1\n")
    assert outcomes(dataset, folder, tmp_path / "to") == [("dev", "de", "kept"), ("test", "de", "written")]


def test_sorted_tatoeba_is_not_taken_for_aligned(tmp_path: Path, download) -> None:
    download("tatoeba/ru-en.ru", "a\n")
    folder = download("tatoeba/ru-en.en", "b\n")
    dataset = replace(named("tatoeba"), languages=("ru",))
    (outcome,) = get([dataset], destination(tmp_path / "to"), FromFolder(folder), Silent())
    assert outcome.state == "absent"
    assert "files are sorted, so which line translates which is lost" in outcome.reason


def paragraph(name: str) -> str:
    qas = [{"id": name, "question": "where?", "answers": [{"text": "Bonn", "answer_start": 3}]}]
    written_row = {"context": "in Bonn", "sentences": ["in Bonn"], "sentence_breaks": [[0, 7]], "qas": qas}
    return json.dumps({"data": [{"paragraphs": [written_row]}]})


def test_lareqa_is_written_when_all_languages_are_there(tmp_path: Path, download) -> None:
    dataset = replace(named("lareqa"), official=dict.fromkeys(named("lareqa").languages, 1))
    for language in dataset.languages[:-1]:
        folder = download(f"lareqa/xquad-r/{language}.json", paragraph("q"))
    states = [state for _, _, state in outcomes(dataset, folder, tmp_path / "to")]
    assert states == ["refused"] * 10 + ["absent"]
    download(f"lareqa/xquad-r/{dataset.languages[-1]}.json", paragraph("q"))
    assert [state for _, _, state in outcomes(dataset, folder, tmp_path / "to")] == ["written"] * 11


def article(language: str, text: str = "in Bonn") -> str:
    span = {"start": 3, "end": 7, "text": "Bonn"}
    mention = {"example_id": f"{language}-1", "entity_id": "Q1", "mention_span": span}
    context = {"language": language, "text": text, "sentence_spans": [{"start": 0, "end": 7}]}
    return json.dumps({"context": context, "mentions": [mention]}) + "\n"


def test_mewslix_articles_are_parted_by_language(tmp_path: Path, download) -> None:
    folder = download("mewslix/wikinews_mentions-test.jsonl", article("de") + article("ta"))
    entity = {"entity_id": "Q1", "description": "a town", "sentence_spans": [{"start": 0, "end": 6}]}
    download("mewslix/candidate_set_entities.jsonl", json.dumps(entity) + "\n")
    dataset = named("mewslix")
    dataset = replace(
        dataset,
        languages=("de", "ta"),
        splits=("test",),
        official={"de": 1, "ta": 1},
        pool=replace(dataset.pool, official=1),
    )
    assert outcomes(dataset, folder, tmp_path / "to") == [
        ("test", "de", "written"),
        ("test", "ta", "written"),
        ("test", POOL, "written"),
    ]
    (example,) = dataset.source.read(Layout.at(tmp_path / "to"), "ta", "test")
    assert (example.id, example.text) == ("ta-1", "Bonn: in { Bonn }")


def test_mewslix_without_article_texts_is_refused(tmp_path: Path, download) -> None:
    folder = download("mewslix/wikinews_mentions-test.jsonl", article("de", text=""))
    dataset = replace(named("mewslix"), languages=("de",), splits=("test",), official={"de": 1})
    found = get([dataset], destination(tmp_path / "to"), FromFolder(folder), Silent())
    assert found[0].state == "refused"
    assert "get-mewsli-x.sh" in found[0].reason


def test_shortened_training_ids_are_refused(tmp_path: Path, download) -> None:
    rows = [{"id": "0", "question": "q", "answers": [{"text": "a", "answer_start": 0}]}] * 2
    folder = download(
        "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json",
        json.dumps({"data": [{"paragraphs": [{"context": "a", "qas": rows}]}]}),
    )
    (outcome,) = get([named("tydiqa (training set)")], destination(tmp_path / "to"), FromFolder(folder), Silent())
    assert outcome.state == "refused"
    assert "question id '0' occurs twice" in outcome.reason


def test_unknown_tag_never_becomes_a_label(layout: Layout) -> None:
    path = layout.xtreme / "file"
    path.parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match="has the tag 'B-MISC'"):
        named("panx").hub.convert.write([{"tokens": ["a"], "ner_tags": ["B-MISC"]}], [path])
