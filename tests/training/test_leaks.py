"""Evaluation sentences among what is trained on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import LeakError
from harness.core.layout import Layout
from training.leaks import EvaluationTexts, Overlap, check, fingerprint, normalise, sentences

LONG = "The {} fisherman sells the box in the garden."
WORDS = "red blue green young old tall small tired happy quiet".split()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(name: str, content: str) -> Path:
        path = tmp_path / "data/xtreme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    return make


@pytest.fixture
def evaluated(tmp_path: Path) -> Callable[[], EvaluationTexts]:
    return lambda: EvaluationTexts(Layout.at(tmp_path / "data"))


def squad(*contexts: str) -> str:
    paragraphs = [
        {
            "context": context,
            "qas": [{"id": f"{n}", "question": "q", "answers": [{"text": context[0], "answer_start": 0}]}],
        }
        for n, context in enumerate(contexts)
    ]
    return json.dumps({"data": [{"paragraphs": paragraphs}]})


def copa(*premises: str) -> str:
    rows = ({"premise": p, "choice1": "a", "choice2": "b", "question": "cause", "label": 1} for p in premises)
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("xquad/xquad.en.json", squad(*(LONG.format(word) for word in WORDS))),
        ("tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.en.dev.json", squad(*(LONG.format(word) for word in WORDS))),
        ("copa/test.en.jsonl", copa(*(LONG.format(word) for word in WORDS))),
        ("udpos/test-id.tsv", "".join(LONG.format(word).replace(" ", "\tX\n") + "\tX\n\n" for word in WORDS)),
        ("xnli/test-en.tsv", "".join(f"{LONG.format(word)}\tb\tneutral\n" for word in WORDS)),
        ("tatoeba/tatoeba.rus-eng.rus", "".join(LONG.format(word) + "\n" for word in WORDS)),
    ],
    ids=["xquad-in-squad-dev", "tydiqa-dev", "copa-behind-xcopa", "premises-in-udpos", "xnli", "tatoeba-in-text"],
)
def test_copied_evaluation_file_is_refused(write, evaluated, name: str, content: str) -> None:
    write(name, content)
    if name.startswith("tatoeba"):
        write("tatoeba/tatoeba.rus-eng.eng", "".join(f"{word}\n" for word in WORDS))
    trained = {"mine": [f"Something else. {LONG.format(word)}" for word in WORDS]}
    overlaps = evaluated().overlaps(trained, {})
    assert [overlap.sentences for overlap in overlaps] == [10]
    with pytest.raises(LeakError, match=r"mine holds 10 of 10 sentences of .*'The red fisherman sells"):
        check(overlaps, None)


def test_reason_lets_a_leak_pass() -> None:
    check([Overlap("mine", "xnli en test", 10, 10, "x")], "to show what a leak does")


def test_few_shared_sentences_of_many_are_told_and_stop_nothing(write, evaluated) -> None:
    lines = [LONG.format(f"{word} {number}") for word in WORDS for number in range(50)]
    labels = ("neutral", "entailment")
    write("xnli/test-en.tsv", "".join(f"{line}\tb\t{labels[place % 2]}\n" for place, line in enumerate(lines)))
    overlaps = evaluated().overlaps({"mine": lines[:5]}, {})
    assert [(overlap.sentences, overlap.of, overlap.is_leak) for overlap in overlaps] == [(5, 500, False)]
    check(overlaps, None)


def test_what_a_tasks_own_training_set_shares_is_its_own(write, evaluated) -> None:
    write("xnli/test-en.tsv", "".join(f"{LONG.format(word)}\tb\tneutral\n" for word in WORDS))
    trained = {"mnli": [LONG.format(word) for word in WORDS]}
    assert evaluated().overlaps(trained, {"mnli": frozenset({"xnli"})}) == []


def test_sentence_that_stands_twice_in_training_counts_once(write, evaluated) -> None:
    write("xnli/test-en.tsv", f"{LONG.format('red')}\tb\tneutral\n")
    (overlap,) = evaluated().overlaps({"mine": [LONG.format("red")] * 3}, {})
    assert overlap.sentences == 1


@pytest.mark.parametrize(
    ("text", "plain"),
    [("Ｗｅ don't, know!", "wedontknow"), ("Straße", "strasse"), ("А, б", "аб"), ("_", "")],
)
def test_case_punctuation_and_width_do_not_hide_a_sentence(text: str, plain: str) -> None:
    assert normalise(text) == plain


@pytest.mark.parametrize(("text", "long"), [("Thank you very much", False), ("谢谢你们今天来到这里的图书馆", True)])
def test_short_sentences_belong_to_nobody(text: str, long: bool) -> None:
    assert (fingerprint(text) is not None) == long


def test_paragraph_is_compared_as_a_whole_and_by_its_sentences() -> None:
    assert list(sentences("One is here. Two is there.")) == [
        "One is here. Two is there.",
        "One is here.",
        "Two is there.",
    ]
