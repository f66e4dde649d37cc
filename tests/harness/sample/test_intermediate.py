"""The intermediate tasks: keys, counts, and labels that nothing but the text says."""

import json
import random
from collections import Counter

import pytest

from harness.sample.tasks import ROUNDS, adversarial
from harness.sample.world import Sentence

PIVOTS = ["en", "ru"]
LABELS = ("contradiction", "entailment", "neutral")
COUNTS = {
    "snli": {"train": 420, "dev": 60},
    "anli": {"train": 360, "dev": 60},
    "qqp": {"train": 400, "dev": 60},
    "hellaswag": {"train": 300, "dev": 60},
    "cosmos_qa": {"train": 300, "dev": 60},
    "commonsense_qa": {"train": 300, "dev": 60},
}
KEYS = {
    "snli": "premise hypothesis label",
    "anli": "uid premise hypothesis label reason round",
    "qqp": "question1 question2 label idx",
    "hellaswag": "ind activity_label ctx_a ctx_b ctx endings source_id label",
    "cosmos_qa": "id context question answer0 answer1 answer2 answer3 label",
    "commonsense_qa": "id question question_concept choices answerKey",
}
CASES = [(task, code, split) for task in COUNTS for code in PIVOTS for split in ("train", "dev")]


@pytest.fixture
def records(lines):
    """Records of a task's file: ``records("qqp", "en", "dev")``."""
    return lambda task, code, split: [json.loads(line) for line in lines(f"intermediate/{task}/{code}/{split}.jsonl")]


@pytest.mark.parametrize(("task", "code", "split"), CASES)
def test_files_have_their_records_and_keys(records, task: str, code: str, split: str) -> None:
    found = records(task, code, split)
    assert len(found) == COUNTS[task][split]
    assert {" ".join(record) for record in found} == {KEYS[task]}


@pytest.mark.parametrize(("task", "split"), [(task, split) for task in COUNTS for split in ("train", "dev")])
def test_languages_have_the_same_answers(records, task: str, split: str) -> None:
    answers = [
        [record.get("label", record.get("answerKey")) for record in records(task, code, split)] for code in PIVOTS
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("snli", LABELS),
        ("anli", LABELS),
        ("qqp", ("duplicate", "not_duplicate")),
        ("hellaswag", ("0", "1", "2", "3")),
        ("cosmos_qa", (0, 1, 2, 3)),
        ("commonsense_qa", ("A", "B", "C", "D", "E")),
    ],
)
@pytest.mark.parametrize("split", ["train", "dev"])
def test_labels_are_balanced(records, task: str, labels: tuple, split: str) -> None:
    found = Counter(record.get("label", record.get("answerKey")) for record in records(task, "en", split))
    assert found == dict.fromkeys(labels, COUNTS[task][split] // len(labels))


def test_anli_rounds_follow_each_other_and_do_not_tell_the_label(records) -> None:
    found = records("anli", "en", "train")
    assert [record["round"] for record in found] == sorted(record["round"] for record in found)
    by_round = Counter((record["round"], record["label"]) for record in found)
    assert by_round == {(one, label): by_round[one, "neutral"] for one in ROUNDS for label in LABELS}
    assert min(by_round.values()) >= 36


def test_an_adversarial_premise_adds_other_agents_by_its_round() -> None:
    rng = random.Random(0)
    for number in range(108):
        item = adversarial(rng, "train", number)
        about = [sentence for sentence in item.premise if sentence.agent == item.hypothesis.agent]
        assert len(about) == 1
        assert len(item.premise) == 2 + ROUNDS.index(item.round)


def test_hellaswag_contexts_join_their_parts(records) -> None:
    for code in PIVOTS:
        found = records("hellaswag", code, "train")
        assert all(record["ctx"] == f"{record['ctx_a']} {record['ctx_b']}".strip() for record in found)
        assert sum(record["ctx_b"] == "" for record in found) == 75
        assert all(len(set(record["endings"])) == 4 for record in found)


def test_hellaswag_endings_end_what_the_context_begins(records) -> None:
    first = records("hellaswag", "ru", "train")[0]
    assert first["ctx_b"] in first["ctx_a"].lower()
    assert first["endings"][int(first["label"])].endswith(".")
    whole = records("hellaswag", "ru", "train")[3]
    assert whole["ctx_b"] == ""
    assert len({ending.split()[0] for ending in whole["endings"]}) == 1


@pytest.mark.parametrize("code", PIVOTS)
def test_commonsense_choices_are_five_predicates(records, code: str) -> None:
    for record in records("commonsense_qa", code, "train"):
        assert record["choices"]["label"] == list("ABCDE")
        texts = record["choices"]["text"]
        assert len(set(texts)) == 5
        assert all(text and text[-1] != "." and text[0].islower() for text in texts)
        assert record["question_concept"] in record["question"].lower()


@pytest.mark.parametrize("code", ["ru", "ar", "hi", "zh"])
@pytest.mark.parametrize("split", ["train", "dev"])
def test_translations_of_mnli_keep_number_and_label(records, code: str, split: str) -> None:
    english = {record["idx"]: record["label"] for record in records("mnli", "en", split)}
    translated = {record["idx"]: record["label"] for record in records("mnli", code, split)}
    assert len(translated) == (len(english) if code == "ru" else {"train": 750, "dev": 60}[split])
    assert translated.items() <= english.items()
    assert min(Counter(translated.values()).values()) > 0.25 * len(translated)


def test_questions_about_what_follows_and_why_read_as_the_language_asks(languages) -> None:
    why, after = Sentence("why", "cook", place="market"), Sentence("next", "cook", place="market")
    assert languages["en"].render(why).text == "Why does the cook do that in the market?"
    assert languages["ru"].render(why).text == "Почему повар делает это на рынке?"
    assert languages["ru"].render(after).text == "Что повар делает потом на рынке?"
