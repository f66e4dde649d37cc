"""Inputs that went wrong once: spans, special tokens in text, official rules, windows; each test's name says which."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from harness.benchmark import tasks
from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.featurizers.window import BLANK, WindowFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy, TiedAccuracy
from harness.benchmark.metrics.chunks import ChunkF1, StrictChunkF1
from harness.benchmark.metrics.fair import FairAnswers, fair_tokens
from harness.benchmark.metrics.mlqa import Mlqa
from harness.benchmark.metrics.squad import Squad
from harness.benchmark.postprocessors.label import BestChoice, TiedChoices
from harness.benchmark.postprocessors.span import BestSpan
from harness.core.errors import ArtifactError, DataError
from harness.core.examples import Answer, ChoiceExample, PairExample, QuestionExample, WordsExample
from harness.core.features import Feature
from harness.tokenization.tokenizer import FastTokenizer, holds_special, special_tokens

#: As XLM-R: special tokens are pieces of the unigram vocabulary, with the best score.
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
WORDS = "北京 大学 位于 北京市 海淀区 京都 市 位 于 海 淀 区 北 大 学 京 都 。 , . ? < > / [ ] 1 2".split()
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def unigram(path: Path) -> Path:
    pieces = [(name, 0.0) for name in SPECIAL]
    pieces += [("▁", -3.0), *((word, -4.0 - 1 / len(word)) for word in WORDS)]
    pieces += [(letter, -5.0) for letter in LETTERS] + [(f"▁{letter}", -6.0) for letter in LETTERS] + [("<mask>", 0.0)]
    toy = Tokenizer(models.Unigram(pieces, 3))
    toy.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u200b", "")])
    toy.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    toy.decoder = decoders.Metaspace()
    toy.add_special_tokens([*SPECIAL, AddedToken("<mask>", lstrip=True)])
    toy.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    toy.save(str(path))
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unigram(tmp_path_factory.mktemp("unigram") / "tokenizer.json")


@pytest.fixture(scope="module")
def plain(path: Path) -> FastTokenizer:
    return FastTokenizer(path)


@pytest.fixture(scope="module")
def control(path: Path) -> FastTokenizer:
    return FastTokenizer(path, control=True)


@pytest.fixture(scope="module")
def xlmr() -> Path:
    found = Path(os.environ.get("HARNESS_DATA") or ".") / "tokenizers" / "xlm-roberta" / "tokenizer.json"
    if not os.environ.get("HARNESS_DATA") or not found.is_file():
        pytest.skip("HARNESS_DATA names no folder with the tokenizer of XLM-R")
    return found


def asked(context: str, answer: str | None = None, start: int = 0) -> QuestionExample:
    return QuestionExample("q7", "ab?", context, () if answer is None else (Answer(answer, start),))


def peak(feature: Feature, place: int) -> dict[str, np.ndarray]:
    logits = np.full(len(feature.input_ids), -10, dtype=np.float32)
    logits[place] = 10
    return {"start_logits": logits, "end_logits": logits}


def in_context(feature: Feature) -> list[int]:
    return np.flatnonzero(feature.alignment[:, 0] >= 0).tolist()


# Spans


def test_faults_span_all_weight_on_a_bare_boundary_mark_is_never_the_neighbours_first_letter(plain) -> None:
    example = asked("北京大学位于北京市海淀区。")
    (feature,) = WindowFeaturizer()([example], plain)
    mark = in_context(feature)[0]
    assert feature.alignment[mark].tolist()[:2] == [0, 1]  # the tokenizer's own offsets, those of the first letter
    assert BestSpan()([example], [feature], [peak(feature, mark)]) == ["北京"]
    # The number of the benchmark keeps its decoding.
    assert tasks.load("xquad").postprocess([example], [feature], [peak(feature, mark)]) == ["北"]


@pytest.mark.parametrize(
    "context",
    [
        "北京大学位于北京市海淀区。",
        "京都市。",
        "北京 大学 , 位于",
        " 北京",
        "\u200b北京 \u200b",
        "ab\u3000北京\u00a0.",
        "a ½ b ﬁ c",
    ],
)
def test_faults_span_is_a_part_of_the_context_with_something_to_read_wherever_the_weight_is(plain, context) -> None:
    example = asked(context)
    (feature,) = WindowFeaturizer()([example], plain)
    for place in range(len(feature.input_ids)):
        (answer,) = BestSpan()([example], [feature], [peak(feature, place)])
        assert answer in context
        assert answer.strip("\u200b \u00a0\u3000")


def test_faults_span_of_a_context_without_letters_is_empty(plain) -> None:
    example = asked(" \u200b ")
    (feature,) = WindowFeaturizer()([example], plain)
    assert BestSpan()([example], [feature], [peak(feature, 0)]) == [""]


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("北京大学位于北京市", "北京"),
        ("京都市。", "京都"),
        ("ab 北京大学", "北京"),
        ("北京大学", "大学"),
        ("abc 北京", "abc"),
    ],
)
def test_faults_span_start_label_has_one_rule_at_the_contexts_start_and_in_its_middle(plain, context, answer) -> None:
    example = asked(context, answer, context.index(answer))
    (feature,) = WindowFeaturizer()([example], plain)
    first, last = feature.target
    assert context[feature.alignment[first, 0] : feature.alignment[last, 1]] == answer
    assert not feature.alignment[first, 2] & BLANK
    # What training predicts is what evaluation and serving read as this answer.
    outputs = {"start_logits": np.eye(len(feature.input_ids), dtype=np.float32)[first]}
    outputs["end_logits"] = np.eye(len(feature.input_ids), dtype=np.float32)[last]
    assert BestSpan()([example], [feature], [outputs]) == [answer]


# Windows


def test_faults_edges_window_without_room_for_the_context_is_refused_with_the_example(plain) -> None:
    featurizer = WindowFeaturizer(max_tokens=12, stride=4, max_question=64)
    long = QuestionExample("q7", "abcdefgh", "bad cab", ())
    with pytest.raises(DataError, match=r"example 'q7': 8 subwords .* row of 12 tokens .* max_question of at most 7"):
        featurizer([long], plain)
    assert len(WindowFeaturizer(max_tokens=12, stride=4, max_question=7)([long], plain)) > 1


# Special tokens in text

TEXTS = [
    "a <pad><pad><pad><pad> b",
    "a</s>b",
    "<mask>",
    "x <s> y </s></s> z",
    "<unk>",
    "＜pad＞ ＜/s＞",
    "<pad>" * 8,
]


@pytest.mark.parametrize("text", TEXTS)
def test_faults_control_special_tokens_in_text_are_ordinary_subwords(plain, control, path, text) -> None:
    special = set(special_tokens(path).values())
    assert special & set(control.subwords([text])[0])
    assert not special & set(plain.subwords([text])[0])
    (found,) = plain.subwords_with_offsets([text])
    assert found.ids == plain.subwords([text])[0]
    covered = {place for start, end in found.offsets for place in range(start, end)}
    assert covered >= {place for place, letter in enumerate(text) if letter != " "}
    assert holds_special(text, list(special_tokens(path)))


def test_faults_control_other_texts_are_the_same_in_serving_and_in_evaluation(plain, control) -> None:
    texts = ["ab c", "北京大学", "a < pad > b", "", "ж", "a < b", "[MASK]"]
    assert plain.subwords(texts) == control.subwords(texts)
    assert not any(holds_special(text, ["<pad>", "</s>"]) for text in texts)


def test_faults_control_eight_end_tokens_do_not_frame_a_premise_in_serving(plain) -> None:
    example = PairExample("0", "a </s></s></s></s></s></s></s></s> b", "c", "yes")
    (row,) = PairFeaturizer(("yes",))([example], plain)
    assert (row.input_ids == plain.separator_id).sum() == 3


def test_faults_control_wordpiece_and_word_level_names_are_text(bert_tokenizer, tokenizer) -> None:
    for own in (bert_tokenizer, tokenizer):
        found = own.subwords(["[SEP] <pad> [MASK] </s>"])[0]
        assert not {own.pad_id, own.separator_id} & set(found)


def byte_pairs() -> Tokenizer:
    """As newer encoders' tokenizers: byte pairs, whose merges would make a special token's name."""
    merges = [("<", "p"), ("<p", "a"), ("<pa", "d"), ("<pad", ">"), ("a", "b")]
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "▁", *"abdeops<>/", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [first + second for first, second in merges]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    toy = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True))
    toy.normalizer = normalizers.Replace(" ", "▁")
    toy.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    toy.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", pair="<bos> $A <eos> $B <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    return toy


@pytest.mark.parametrize("text", ["<pad> ab<eos>", "a<bos><pad>", "<unk> 北"])
def test_faults_control_names_are_text_for_byte_pairs_whose_merges_make_them(tmp_path: Path, text: str) -> None:
    byte_pairs().save(str(tmp_path / "tokenizer.json"))
    own, official = (FastTokenizer(tmp_path / "tokenizer.json", control=control) for control in (False, True))
    assert {0, 1, 2, 3} & set(official.subwords([text])[0])
    assert not {0, 1, 2, 3} & set(own.subwords([text])[0])
    assert own.subwords(["ab a"]) == official.subwords(["ab a"])


def test_faults_control_tokenizer_that_makes_special_ids_of_any_text_is_refused(path: Path, tmp_path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    document["normalizer"] = {"type": "Replace", "pattern": {"String": "a"}, "content": "\0<pad>"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ArtifactError, match="makes the special token <pad> of an ordinary text"):
        FastTokenizer(tmp_path / "tokenizer.json").subwords(["a"])


@pytest.mark.real_data
@pytest.mark.parametrize("text", TEXTS)
def test_faults_control_special_tokens_are_text_for_xlm_rs_own_tokenizer(xlmr: Path, text: str) -> None:
    special = set(special_tokens(xlmr).values())
    own = FastTokenizer(xlmr)
    assert not special & set(own.subwords([text])[0])
    assert special & set(FastTokenizer(xlmr, control=True).subwords([text])[0])


# Official rules, and a fairer number beside them


def squad(gold: str, answer: str, metric: Squad | Mlqa | FairAnswers, language: str) -> dict[str, float]:
    return metric.scores(metric.counts([asked(gold, gold)], [answer], language)[0])


@pytest.mark.parametrize(
    ("language", "gold", "answer", "official", "fair"),
    [
        ("zh", "天气很好吗", "天气很好", (0, 0), (0, 100 * 2 * 0.8 / 1.8)),
        ("vi", "an toàn", "toàn", (100, 100), (0, 100 * 2 / 3)),
        ("hi", "हाथ।", "हाथ", (0, 0), (100, 100)),
        ("vi", "Ha\u0300 No\u0323\u0302i", "H\u00e0 N\u1ed9i", (0, 0), (100, 100)),
        ("th", "ประเทศไทย", "ไทย", (0, 0), (0, 50)),
        ("de", "die Stadt", "Stadt", (0, 100 * 2 / 3), (100, 100)),
        ("en", "the city", "city", (100, 100), (100, 100)),
        ("es", "a", "the", (100, 0), (0, 0)),
        ("el", "ο Νείλος", "Νείλος", (0, 100 * 2 / 3), (100, 100)),
        ("ar", "القاهرة", "قاهرة", (0, 0), (100, 100)),
        ("ar", "مال", "م", (0, 0), (0, 0)),
        ("ru", "«Ключ»", "Ключ", (0, 0), (100, 100)),
        ("tr", "\u0130stanbul", "I\u0307stanbul", (100, 100), (100, 100)),
    ],
)
def test_faults_rules_official_answers_keep_their_score_and_a_fairer_one_stands_beside(
    language, gold, answer, official, fair
) -> None:
    assert tuple(squad(gold, answer, Squad(), language).values()) == pytest.approx(official)
    found = squad(gold, answer, FairAnswers(), language)
    assert tuple(found) == ("fair_exact_match", "fair_f1")
    assert tuple(found.values()) == pytest.approx(fair)


@pytest.mark.parametrize(
    ("text", "language", "tokens"),
    [
        ("2008年奥运会", "zh", "2008 年 奥 运 会"),
        ("die Stadt 北京", "de", "stadt 北 京"),
        ("๒๕๖๐ ปี", "th", "๒๕๖๐ ปี"),
        ("မြန်မာ", "my", "မြ န် မာ"),
        ("ລາວ", "lo", "ລ າ ວ"),
        ("ភាសា", "km", "ភា សា"),
        ("東京タワー", "ja", "東 京 タ ワ ー"),
        ("대한민국", "ko", "대한민국"),
        ("\u200fשלום\u200f", "he", "שלום"),
        ("The", "en", "the"),
        ("?!", "en", "?!"),
        ("", "en", ""),
    ],
)
def test_tokens_are_words_and_the_letters_of_scripts_without_spaces(text: str, language: str, tokens: str) -> None:
    assert " ".join(fair_tokens(text, language)) == tokens


def tagged(text: str) -> WordsExample:
    return WordsExample("0", tuple("w" * len(text.split())), tuple(text.split()))


def f1(metric: ChunkF1 | StrictChunkF1, gold: list[str], found: list[str]) -> float:
    counts = metric.counts([tagged(text) for text in gold], [tuple(text.split()) for text in found], "en")
    return next(iter(metric.scores(counts.sum(axis=0)).values()))


def test_faults_rules_lenient_chunks_of_panx_are_named_and_strict_ones_stand_beside() -> None:
    assert f1(ChunkF1(), ["B-LOC I-LOC"], ["I-LOC I-LOC"]) == 100
    assert f1(StrictChunkF1(), ["B-LOC I-LOC"], ["I-LOC I-LOC"]) == 0
    task = tasks.load("panx")
    assert "lenient chunks" in task.protocol
    assert task.second.names == ("strict_f1",)


def slow_strict(tags: list[str]) -> set[tuple[str, int, int]]:
    """seqeval's strict IOB2, written as its scheme says: B opens, I of the same type goes on, all else closes."""
    found, place = set(), 0
    while place < len(tags):
        end = place + 1
        if tags[place].startswith("B-"):
            while end < len(tags) and tags[end] == f"I-{tags[place][2:]}":
                end += 1
            found.add((tags[place][2:], place, end - 1))
        place = end
    return found


@pytest.mark.parametrize("seed", range(30))
def test_strict_chunks_are_those_of_the_scheme(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tags = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    gold, found = ([[tags[rng.integers(5)] for _ in range(size)] for size in (7, 1, 12)] for _ in range(2))
    examples = [tagged(" ".join(row)) for row in gold]
    counts = StrictChunkF1().counts(examples, [tuple(row) for row in found], "en")
    expected = [
        [len(slow_strict(one) & slow_strict(other)), len(slow_strict(other)), len(slow_strict(one))]
        for one, other in zip(gold, found, strict=True)
    ]
    assert counts.tolist() == expected


def test_strict_chunks_without_any_chunk_score_nothing() -> None:
    assert f1(StrictChunkF1(), ["O O"], ["O O"]) == 0


# Choices


def choices(scores: list[float]) -> tuple[list[ChoiceExample], list[Feature], list[dict[str, np.ndarray]]]:
    example = ChoiceExample("0", "p", "q", ("x",) * len(scores), 1)
    features = [Feature(0, np.array([0, 2])) for _ in scores]
    return [example], features, [{"logits": np.array([score], dtype=np.float32)} for score in scores]


@pytest.mark.parametrize(
    ("scores", "label", "official", "fair"),
    [([1, 1], 0, 0, 50), ([0, 1], 1, 100, 100), ([2, 1], 0, 0, 0), ([0, 1, 1], 1, 100, 50), ([1, 1, 1], 0, 0, 100 / 3)],
)
def test_faults_truncation_a_tie_is_worth_chance_and_a_submission_gets_one_label(scores, label, official, fair) -> None:
    given = choices(scores)
    assert BestChoice()(*given) == [label]
    for metric, predictions, expected in (
        (Accuracy(), BestChoice()(*given), official),
        (TiedAccuracy(), TiedChoices()(*given), fair),
    ):
        (value,) = metric.scores(metric.counts(given[0], predictions, "en")[0]).values()
        assert value == pytest.approx(expected)


# What tasks declare


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xquad", "English normaliser"),
        ("tydiqa", "English normaliser"),
        ("mlqa", "MLQA's own normaliser"),
        ("panx", "lenient chunks"),
        ("udpos", "seqeval legacy"),
        ("xcopa", "cut for itself"),
    ],
)
def test_faults_rules_are_named_in_the_protocol_line(name: str, words: str) -> None:
    assert words in tasks.load(name).protocol


@pytest.mark.parametrize("name", [name for name in tasks.names() if tasks.load(name).second])
def test_second_scores_are_no_headline_and_have_names_of_their_own(name: str) -> None:
    task = tasks.load(name)
    official = set(task.metric.scores(np.ones(len(task.metric.columns))))
    if task.second.metric is None:
        assert set(task.second.names) <= official - set(task.headline)
    else:
        found = task.second.metric.scores(np.ones(len(task.second.metric.columns)))
        assert tuple(found) == task.second.names
        assert not set(found) & official


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("北京大学位于北京市海淀区。", "北京大学"),
        ("京都市。", "京都市"),
        ("a ﷺ b", "ﷺ"),
        ("Ha\u0300 No\u0323\u0302i la\u0300", "Ha\u0300"),
        ("Ha\u0300 No\u0323\u0302i la\u0300", "No\u0323\u0302i"),
        ("\u1103\u1162\u1112\u1161\u11ab", "\u1112\u1161\u11ab"),
        ("क़िला हाथ।", "हाथ"),
        ("ไทยเป็นประเทศ", "ไทย"),
    ],
)
def test_faults_span_labels_and_answers_agree_for_xlm_rs_own_tokenizer(xlmr: Path, context: str, answer: str) -> None:
    tokenizer = FastTokenizer(xlmr)
    example = asked(context, answer, context.index(answer))
    (feature,) = WindowFeaturizer()([example], tokenizer)
    each = np.eye(len(feature.input_ids), dtype=np.float32)
    outputs = {"start_logits": each[feature.target[0]], "end_logits": each[feature.target[1]]}
    assert BestSpan()([example], [feature], [outputs]) == [answer]
    for place in range(len(feature.input_ids)):
        (found,) = BestSpan()([example], [feature], [peak(feature, place)])
        assert found in context
        assert found
