"""Training sets: what one line of each format becomes, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark import finetunes
from harness.core.errors import DataError
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, WordsExample
from harness.core.heads import TokenClassification

ENDINGS = ["went.", "came.", "sat.", "ran."]
HELLASWAG = {"ctx_a": "A man is here.", "ctx_b": "He", "endings": ENDINGS, "label": "2"}
COSMOS = {"id": "c", "context": "C.", "question": "Q?", "label": 1, **{f"answer{n}": f"a{n}" for n in range(4)}}
CHOICES = {"label": list("ABCDE"), "text": ["a", "b", "c", "d", "e"]}


@pytest.fixture
def read(tmp_path: Path, layout):
    def make(name: str, path: str, rows: list[dict[str, Any]], language: str = "en") -> list[Any]:
        file = layout.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return finetunes.load(name).train.read(layout, language, "train")

    return make


@pytest.mark.parametrize(
    ("name", "path", "row", "example"),
    [
        (
            "hellaswag",
            "intermediate/hellaswag/en/train.jsonl",
            HELLASWAG,
            ChoiceExample("0", "A man is here.", "", ("He went.", "He came.", "He sat.", "He ran."), 2),
        ),
        (
            "hellaswag",
            "intermediate/hellaswag/en/train.jsonl",
            {**HELLASWAG, "ctx_b": ""},
            ChoiceExample("0", "A man is here.", "", tuple(ENDINGS), 2),
        ),
        (
            "cosmos_qa",
            "intermediate/cosmos_qa/en/train.jsonl",
            COSMOS,
            ChoiceExample("c", "C.", "Q?", ("a0", "a1", "a2", "a3"), 1),
        ),
        (
            "commonsense_qa",
            "intermediate/commonsense_qa/en/train.jsonl",
            {"question": "Q?", "choices": CHOICES, "answerKey": "C"},
            ChoiceExample("0", "Q?", "", ("a", "b", "c", "d", "e"), 2),
        ),
        (
            "commonsense_qa",
            "intermediate/commonsense_qa/en/train.jsonl",
            {"q_id": 0, "question": "Q?", "label": 4, **{f"choice{n}": str(n) for n in range(5)}},
            ChoiceExample("0", "Q?", "", ("0", "1", "2", "3", "4"), 4),
        ),
        (
            "qqp",
            "intermediate/qqp/en/train.jsonl",
            {"question1": "A?", "question2": "B?", "label": "duplicate", "idx": 7},
            PairExample("0", "A?", "B?", "duplicate"),
        ),
        (
            "entailment",
            "intermediate/nli/en/train.jsonl",
            {"premise": "A", "hypothesis": "B", "label": "not_entailment"},
            PairExample("0", "A", "B", "not_entailment"),
        ),
        (
            "mnli",
            "intermediate/mnli/en/train.jsonl",
            {"sentence1": "A", "sentence2": "B", "label": "neutral"},
            PairExample("0", "A", "B", "neutral"),
        ),
        (
            "siqa",
            "xtreme/siqa/socialIQa_v1.4_trn.jsonl",
            {"context": "C.", "question": "Q?", "answerA": "a", "answerB": "b", "answerC": "c", "correct": "B"},
            ChoiceExample("0", "C.", "Q?", ("a", "b", "c"), 1),
        ),
    ],
    ids=["hellaswag", "how-to", "cosmos", "csqa", "jcsqa", "qqp", "two-way", "ocnli", "siqa"],
)
def test_line_becomes_its_example(read, name: str, path: str, row: dict[str, Any], example: Any) -> None:
    assert read(name, path, [row]) == [example]


@pytest.mark.parametrize(
    ("name", "path", "row", "problem"),
    [
        ("hellaswag", "intermediate/hellaswag/en/train.jsonl", {**HELLASWAG, "label": "-"}, "label '-' is not one of"),
        ("hellaswag", "intermediate/hellaswag/en/train.jsonl", {**HELLASWAG, "endings": ["x"]}, "1 endings where 4"),
        ("qqp", "intermediate/qqp/en/train.jsonl", {"question1": "a", "question2": "b", "label": "1"}, "label '1' is"),
        (
            "mnli",
            "intermediate/mnli/en/train.jsonl",
            {"premise": "a", "label": "neutral"},
            "lacks the key 'hypothesis'",
        ),
        (
            "entailment",
            "intermediate/nli/en/train.jsonl",
            {"premise": "a", "hypothesis": "b", "label": "neutral"},
            "'neutral' is not one of not_entailment, entailment",
        ),
    ],
)
def test_bad_line_is_named(read, name: str, path: str, row: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=rf"train\.jsonl:1: .*{problem}"):
        read(name, path, [row])


def test_anli_plus_joins_the_sets_that_are_there(read, layout) -> None:
    row = {"premise": "a", "hypothesis": "b", "label": "neutral"}
    read("mnli", "intermediate/mnli/en/train.jsonl", [row])
    read("mnli", "intermediate/snli/en/train.jsonl", [row, row])
    assert len(finetunes.load("anli").train.read(layout, "en", "train")) == 3


def test_anli_plus_without_any_set_names_the_missing_file(layout) -> None:
    with pytest.raises(DataError, match=r"anli/en/train\.jsonl is missing"):
        finetunes.load("anli").train.read(layout, "en", "train")


def test_squad_v2_keeps_questions_without_an_answer(read, layout) -> None:
    question = {"id": "1", "question": "q", "answers": [], "is_impossible": True}
    document = {"data": [{"paragraphs": [{"context": "c", "qas": [question]}]}]}
    found = read("squad_v2", "intermediate/squad_v2/en/train-v2.0.json", [document])
    assert found == [QuestionExample("1", "q", "c", ())]


def ccg(layout, content: str, split: str = "train") -> None:
    path = layout.root / f"intermediate/ccg/en/{split}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def test_supertags_are_words_and_categories(layout) -> None:
    ccg(layout, "He runs\tNP S[dcl]\\NP\n")
    assert finetunes.load("ccg").train.read(layout, "en", "train") == [
        WordsExample("0", ("He", "runs"), ("NP", "S[dcl]\\NP"))
    ]


def test_categories_come_from_the_data_folder(layout) -> None:
    ccg(layout, "He runs\tNP S\n")
    ccg(layout, "She\tN\n", "dev")
    bound = finetunes.bound("ccg", layout)
    assert bound.head == TokenClassification(("N", "NP", "S"))
    assert bound.featurizer.tags == bound.postprocess.tags == ("N", "NP", "S")


def test_sentence_with_fewer_categories_than_words_is_named(layout) -> None:
    ccg(layout, "He runs\tNP\n")
    with pytest.raises(DataError, match=r"train\.tsv:1: 2 words and 1 tags"):
        finetunes.load("ccg").train.read(layout, "en", "train")


def test_other_finetunes_are_bound_as_they_are(layout) -> None:
    assert finetunes.bound("mnli", layout) is finetunes.load("mnli")


@pytest.mark.parametrize("name", finetunes.names())
def test_finetune_that_trains_says_how(name: str) -> None:
    finetune = finetunes.load(name)
    assert finetune.name == name
    assert finetune.train is None or None not in (finetune.hyperparameters, finetune.postprocess, finetune.metric)


@pytest.mark.parametrize("name", finetunes.names())
def test_body_is_a_finetune(name: str) -> None:
    body = finetunes.load(name).body
    assert body is None or body in finetunes.names()
