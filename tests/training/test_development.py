"""What the best step is chosen by."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_encoders import tiny_encoder

from benchmarks.families import CASES
from harness.benchmark import finetunes
from harness.core.examples import PairExample, QuestionExample
from harness.core.features import Feature
from harness.core.heads import Head, SentenceEmbedding
from harness.core.layout import Layout
from harness.core.task import Finetune
from training.development import _answers, evaluated_texts, has_development, is_held_out
from training.encoders.loading import load_encoder
from training.modules import build


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "data/xtreme").mkdir(parents=True)
    return Layout.at(tmp_path / "data")


def squad(*contexts: str, **more: Any) -> str:
    paragraphs = [
        {
            "context": context,
            "qas": [{"id": context, "question": f"{context}?", "answers": [{"text": "a", "answer_start": 0}]}],
            **{key: value(context) for key, value in more.items()},
        }
        for context in contexts
    ]
    return json.dumps({"data": [{"paragraphs": paragraphs}]})


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def test_paragraphs_of_xquad_choose_no_step_of_squad(layout: Layout) -> None:
    write(layout.xtreme / "xquad/xquad.en.json", squad("a one.", "a two."))
    assert evaluated_texts(finetunes.load("squad"), layout, "en") == {"a one.", "a two."}


def test_questions_of_lareqa_choose_no_step_of_its_dual_encoder(layout: Layout) -> None:
    lareqa = finetunes.load("lareqa")
    write(layout.xtreme / "coverage.json", json.dumps({"lareqa": ["en"]}))
    whole = {"sentences": lambda context: [context], "sentence_breaks": lambda context: [[0, len(context)]]}
    write(layout.xtreme / "lareqa/xquad-r/en.json", squad("a one.", **whole))
    assert evaluated_texts(lareqa, layout, "en") == {"a one.?"}


def test_language_without_evaluation_files_holds_nothing_back(layout: Layout) -> None:
    assert evaluated_texts(finetunes.load("squad"), layout, "en") == set()


def test_tydiqa_has_no_dev_set_to_choose_by(layout: Layout) -> None:
    write(layout.xtreme / "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.en.dev.json", squad("a"))
    assert not has_development(finetunes.load("tydiqa"), layout, "en")


def test_dev_file_that_is_there_is_one(layout: Layout) -> None:
    assert layout.root is not None
    assert not has_development(finetunes.load("squad"), layout, "en")
    write(layout.root / "intermediate/squad/en/dev-v1.1.json", squad("a"))
    assert has_development(finetunes.load("squad"), layout, "en")


def test_a_twentieth_is_held_out() -> None:
    held = sum(is_held_out(PairExample(str(number), "a", "b", "x")) for number in range(4000))
    # 4,000 draws at 1 in 20: four standard deviations are 55.
    assert abs(held - 200) < 55


def test_questions_of_one_paragraph_are_held_out_together() -> None:
    for context in map(str, range(100)):
        held = {is_held_out(QuestionExample(str(number), "q", context, ())) for number in range(5)}
        assert len(held) == 1


@pytest.mark.parametrize("head", [case.head for case in CASES.values()], ids=list(CASES))
def test_only_answers_for_each_token_lose_their_padding(tmp_path: Path, head: Head) -> None:
    """A batch may be as wide as a vector: here both are 32."""
    model = build(head, load_encoder(tiny_encoder(tmp_path / "encoder", "bert"))).eval()
    features = [Feature(number, np.arange(length) + 10) for number, length in enumerate((32, 9))]
    if isinstance(head, SentenceEmbedding):
        pytest.skip("nothing is trained, so nothing is chosen")
    finetune = Finetune(name="tiny", family="tiny", head=head, featurizer=lambda examples, tokenizer: [])  # type: ignore[arg-type]
    wide, narrow = _answers(finetune, model, features, 0)
    for spec in head.signature(32).outputs:
        sizes = [32, 9] if spec.per_token else [spec.axes[1], spec.axes[1]]
        assert [len(answer[spec.name]) for answer in (wide, narrow)] == sizes
