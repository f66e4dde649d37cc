import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from callable_endpoint import CallableEndpoint

from harness.artifacts.store import Artifact
from harness.benchmark import finetunes
from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.featurizers.dual import DualFeaturizer
from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.benchmark.postprocessors.label import BestChoice, BestLabel
from harness.benchmark.postprocessors.span import BestSpan
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.core.errors import ArtifactError, DataError, EndpointError
from harness.core.examples import PairExample, QuestionExample, WordsExample
from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
    describe,
)
from harness.core.tensors import Tensors
from harness.inference.planner import BatchPlanner
from harness.serving.repository.text_model import declaration
from harness.text.declaration import TextDeclaration
from harness.text.fields import MAX_BYTES, MAX_CHOICES, read_fields
from harness.text.forms import FORMS
from harness.text.pipeline import TextPipeline
from harness.tokenization.tokenizer import FastTokenizer

LABELS = ("no", "yes", "maybe")
TAGS = ("A", "B")
Spell = Callable[[Iterable[int]], str]


def pipeline(head: Head, featurizer: object, postprocess: object, tokenizer: FastTokenizer) -> TextPipeline:
    return TextPipeline(
        TextDeclaration(
            graph="tiny",
            finetune="any",
            head=describe(head),
            signature=head.signature(4),
            featurizer=featurizer,
            postprocess=postprocess,
        ),
        tokenizer,
    )


@pytest.fixture
def pairs(tokenizer: FastTokenizer) -> TextPipeline:
    return pipeline(SequenceClassification(LABELS), PairFeaturizer(LABELS, max_tokens=12), BestLabel(LABELS), tokenizer)


@pytest.fixture
def choices(tokenizer: FastTokenizer) -> TextPipeline:
    return pipeline(ChoiceScore(), ChoiceFeaturizer(max_tokens=16), BestChoice(), tokenizer)


@pytest.fixture
def words(tokenizer: FastTokenizer) -> TextPipeline:
    return pipeline(TokenClassification(TAGS), WordsFeaturizer(TAGS, max_tokens=8), FirstPieceTags(TAGS), tokenizer)


@pytest.fixture
def spans(tokenizer: FastTokenizer) -> TextPipeline:
    featurizer = WindowFeaturizer(max_tokens=16, stride=4, max_question=4)
    return pipeline(SpanExtraction(), featurizer, BestSpan(n_best=5, max_answer=6), tokenizer)


@pytest.fixture
def sentences(tokenizer: FastTokenizer) -> TextPipeline:
    return pipeline(SentenceEmbedding(layers={}), SentenceFeaturizer(max_tokens=8), None, tokenizer)


@pytest.fixture
def sides(tokenizer: FastTokenizer) -> TextPipeline:
    return pipeline(DualEncoder(), DualFeaturizer(query_tokens=6, candidate_tokens=10), None, tokenizer)


def hashed(ids: np.ndarray, size: int) -> np.ndarray:
    """Numbers (rows, tokens, size) that depend on each token alone."""
    table = np.random.default_rng(7).standard_normal((60, size)).astype(np.float32)
    return table[ids]


def graph(head: Head, seen: list[Tensors] | None = None) -> CallableEndpoint:
    """A graph that answers each token for itself, and each row by the mean over its attended tokens."""

    def answer(inputs: Tensors) -> Tensors:
        if seen is not None:
            seen.append(inputs)
        outputs = {}
        for number, spec in enumerate(head.signature(4).outputs):
            size = spec.axes[-1] if isinstance(spec.axes[-1], int) else 1
            values = hashed((inputs["input_ids"] + number) % 60, size)
            mask = inputs["attention_mask"][..., None]
            if not spec.per_token:
                values = (values * mask).sum(axis=1) / mask.sum(axis=1)
            outputs[spec.name] = (values[..., 0] if spec.axes[-1] == "tokens" else values).astype(np.float32)
        return outputs

    return CallableEndpoint(head.signature(4), answer)


def ask(pipe: TextPipeline, head: Head, *given: dict[str, list[str]], planner: BatchPlanner | None = None) -> list:
    return pipe.ask([pipe.read(each) for each in given], graph(head), planner or BatchPlanner())


# Which fields


@pytest.mark.parametrize(
    ("finetune", "fields"),
    [
        ("mnli", ["text", "text_pair"]),
        ("copa", ["text", "question", "choices"]),
        ("panx", ["text"]),
        ("squad", ["question", "context"]),
        ("encoder", ["text"]),
        ("lareqa", ["text", "side"]),
    ],
)
def test_fields_follow_from_the_featurizer(finetune: str, fields: list[str], graph_of: Callable[..., Artifact]) -> None:
    assert [field.name for field in declaration(graph_of(finetune)).form.fields] == fields


@pytest.mark.parametrize("finetune", finetunes.names())
def test_every_finetune_has_a_form_with_a_question_of_its_own(finetune: str, graph_of: Callable[..., Artifact]) -> None:
    form = declaration(graph_of(finetune)).form
    question = read_fields(form.fields, form.known)
    assert list(question) == [field.name for field in form.fields]


@pytest.mark.parametrize("finetune", finetunes.names())
def test_declaration_comes_back_from_json(finetune: str, graph_of: Callable[..., Artifact]) -> None:
    declared = declaration(graph_of(finetune))
    again = TextDeclaration.from_json(json.loads(json.dumps(declared.to_json())))
    assert again == replace(declared, head=again.head)
    assert dict(again.head) == json.loads(json.dumps(declared.head))


@pytest.mark.parametrize(
    "change",
    [
        {"featurizer": {"kind": "Popen", "args": ["true"]}},
        {"featurizer": {"kind": "PairFeaturizer", "max_tokens": 128}},
        {"signature": None},
        {"featurizer": None},
    ],
)
def test_declaration_of_another_kind_is_refused(change: dict, graph_of: Callable[..., Artifact]) -> None:
    value = {**declaration(graph_of("mnli")).to_json(), **change}
    if change.get("featurizer", 0) is None:
        del value["featurizer"]
    with pytest.raises(ArtifactError, match=r"declaration is damaged .*harness export"):
        TextDeclaration.from_json(value)


# Answers


def test_pair_gets_a_label_and_the_probability_of_each(pairs: TextPipeline) -> None:
    prepared = pairs.prepare([pairs.read({"text": ["ab"], "text_pair": ["cd"]})])
    answer = pairs.answer(prepared[0], [{"logits": np.log(np.array([0.2, 0.5, 0.3], dtype=np.float32))}])
    assert answer == {
        "label": "yes",
        "probabilities": pytest.approx({"no": 0.2, "yes": 0.5, "maybe": 0.3}),
        "truncated": False,
    }


def test_choice_is_a_number_among_the_choices(choices: TextPipeline) -> None:
    question = choices.read({"text": ["ab"], "question": ["c?"], "choices": ["d", "e", "f"]})
    (prepared,) = choices.prepare([question])
    outputs = [{"logits": np.array([value], dtype=np.float32)} for value in np.log([0.1, 0.7, 0.2])]
    assert choices.answer(prepared, outputs) == {
        "choice": 1,
        "probabilities": pytest.approx([0.1, 0.7, 0.2]),
        "truncated": False,
    }


def test_choice_without_a_question_reads_the_text_alone(choices: TextPipeline, spell: Spell) -> None:
    (prepared,) = choices.prepare([choices.read({"text": ["ab"], "choices": ["d", "e"]})])
    assert [spell(feature.input_ids) for feature in prepared.features] == [
        "<s>ab</s></s>d</s>",
        "<s>ab</s></s>e</s>",
    ]


def test_words_are_tagged_over_several_rows(words: TextPipeline) -> None:
    (answer,) = ask(words, TokenClassification(TAGS), {"text": [" ab cd\tef\ngh  i "]})
    assert answer["words"] == ["ab", "cd", "ef", "gh", "i"]
    expected = hashed(np.array([4, 6, 8, 10, 12]), 2)  # the first letters a, c, e, g, i
    assert answer["tags"] == [TAGS[place] for place in expected.argmax(axis=-1)]
    powers = np.exp(expected)
    assert answer["probabilities"] == pytest.approx((powers.max(axis=-1) / powers.sum(axis=-1)).tolist(), abs=1e-6)
    assert not answer["truncated"]


def test_words_are_those_of_evaluation(words: TextPipeline) -> None:
    given = "ab cd ef gh i"
    (answer,) = ask(words, TokenClassification(TAGS), {"text": [given]})
    declared = words.declaration
    example = WordsExample("", tuple(given.split()), ("A",) * 5)
    features = declared.featurizer([example], words._tokenizer)
    outputs = [{"logits": hashed(feature.input_ids, 2)} for feature in features]
    assert tuple(answer["tags"]) == declared.postprocess([example], features, outputs)[0]


@pytest.mark.parametrize("null", [False, True])
def test_answers_are_those_of_evaluation_with_their_places(spans: TextPipeline, null: bool) -> None:
    numbers = np.random.default_rng(3)
    search = replace(spans.declaration.postprocess, null=null)
    pipe = TextPipeline(replace(spans.declaration, postprocess=search), spans._tokenizer)
    empty = 0
    for place in range(60):
        context = "".join(numbers.choice(list("ab  c"), size=40)) + "d"
        example = QuestionExample("", "who", context, ())
        (prepared,) = pipe.prepare([pipe.read({"question": ["who"], "context": [context]})])
        outputs = [
            {
                name: numbers.standard_normal(len(each.input_ids)).astype(np.float32)
                for name in ("start_logits", "end_logits")
            }
            for each in prepared.features
        ]
        for output in outputs:
            output["start_logits"][0] += 20 * (place % 2)  # no answer, where that counts
        answer = pipe.answer(prepared, outputs)
        (expected,) = search([example], prepared.features, outputs)
        assert answer["answer"] == expected
        if not expected:
            empty += 1
            assert answer == {"answer": "", "start": None, "end": None, "score": None, "truncated": False}
            continue
        assert context[answer["start"] : answer["end"]] == expected
        sums = {
            round(float(start + end), 6)
            for output in outputs
            for start in output["start_logits"]
            for end in output["end_logits"]
        }
        assert answer["score"] in sums
    # Without it, only where no span is valid.
    assert 25 < empty < 60 if null else empty < 5


def test_place_is_the_one_that_scored_among_equal_texts(spans: TextPipeline) -> None:
    question = spans.read({"question": ["q"], "context": ["ab ab ab"]})
    (prepared,) = spans.prepare([question])
    (feature,) = prepared.features
    start = np.zeros(len(feature.input_ids), dtype=np.float32)
    end = start.copy()
    second = [row for row, opens in enumerate(feature.alignment[:, 0]) if opens in (3, 4)]
    start[second[0]], end[second[1]] = 3.0, 4.0
    answer = spans.answer(prepared, [{"start_logits": start, "end_logits": end}])
    assert answer == {"answer": "ab", "start": 3, "end": 5, "score": 7.0, "truncated": False}


def test_characters_beyond_the_basic_plane_count_as_one(spans: TextPipeline) -> None:
    (prepared,) = spans.prepare([spans.read({"question": ["q"], "context": ["\U0001f600\U0001f600 ab"]})])
    (feature,) = prepared.features
    start, end = ((feature.alignment[:, column] == place).astype(np.float32) for column, place in ((0, 3), (1, 5)))
    answer = spans.answer(prepared, [{"start_logits": start, "end_logits": end}])
    assert (answer["answer"], answer["start"], answer["end"], answer["score"]) == ("ab", 3, 5, 2.0)


def test_vector_is_the_graphs_own(sentences: TextPipeline) -> None:
    head = SentenceEmbedding(layers={})
    (answer,) = ask(sentences, head, {"text": ["abc"]})
    expected = hashed(np.array([[0, 4, 5, 6, 2]]), 4).mean(axis=1)[0]
    assert answer["embedding"] == pytest.approx(expected.tolist())


def test_answers_do_not_depend_on_the_plan(words: TextPipeline) -> None:
    given = [{"text": ["a " * count + "bc"]} for count in (1, 9, 3, 17, 2)]
    alone = [ask(words, TokenClassification(TAGS), each)[0] for each in given]
    for planner in (BatchPlanner(), BatchPlanner(max_rows=1), BatchPlanner(max_rows=3, overhead=0)):
        assert ask(words, TokenClassification(TAGS), *given, planner=planner) == alone


def test_rows_of_all_questions_are_packed_together(pairs: TextPipeline) -> None:
    seen: list[Tensors] = []
    head = SequenceClassification(LABELS)
    questions = [pairs.read({"text": ["a" * count], "text_pair": ["b"]}) for count in (1, 2, 3)]
    pairs.ask(questions, graph(head, seen), BatchPlanner())
    (inputs,) = seen
    assert inputs["attention_mask"].sum(axis=1).tolist() == [8, 7, 6]
    assert (inputs["input_ids"][inputs["attention_mask"] == 0] == 1).all()


def test_nan_is_an_error_of_its_own_question(pairs: TextPipeline) -> None:
    questions = [pairs.read({"text": ["a" * count], "text_pair": ["b"]}) for count in (1, 2)]
    rows = pairs.pack(pairs.prepare(questions), BatchPlanner())
    (batch,) = rows.batches
    logits = np.zeros((2, 3), dtype=np.float32)
    logits[batch.rows.index(0), 1] = np.nan
    rows.fill(batch, {"logits": logits})
    first, second = rows.outputs()
    assert isinstance(first, EndpointError)
    assert "NaN" in str(first)
    assert isinstance(second, list)
    nan = CallableEndpoint(SequenceClassification(LABELS).signature(4), lambda _: {"logits": logits * np.nan})
    with pytest.raises(EndpointError, match="NaN"):
        pairs.ask(questions, nan, BatchPlanner())


# What is cut


@pytest.mark.parametrize(
    ("first", "second", "cut"), [("abcd", "efgh", False), ("abcde", "efgh", True), ("a", "efghijkl", True)]
)
def test_pair_is_cut_only_beyond_its_row(pairs: TextPipeline, first: str, second: str, cut: bool) -> None:
    (prepared,) = pairs.prepare([pairs.read({"text": [first], "text_pair": [second]})])
    assert prepared.truncated is cut
    example = PairExample("", first, second, "no")
    (feature,) = pairs.declaration.featurizer([example], pairs._tokenizer)
    assert prepared.features[0].input_ids.tolist() == feature.input_ids.tolist()


def test_one_long_choice_is_a_cut(choices: TextPipeline) -> None:
    given = {"text": ["abc"], "question": ["d"], "choices": ["ef", "g" * 8]}
    assert not choices.prepare([choices.read(given)])[0].truncated
    assert choices.prepare([choices.read({**given, "choices": ["ef", "g" * 9]})])[0].truncated


@pytest.mark.parametrize(
    ("text", "cut"), [("ab cd ef gh ij kl", False), ("abcde f", False), ("f abcdef", True), ("F ab F", False)]
)
def test_words_are_cut_only_where_one_is_longer_than_a_row(words: TextPipeline, text: str, cut: bool) -> None:
    assert words.prepare([words.read({"text": [text]})])[0].truncated is cut


@pytest.mark.parametrize(("question", "cut"), [("abcd", False), ("abcde", True)])
def test_windows_are_no_cut_and_a_long_question_is(spans: TextPipeline, question: str, cut: bool) -> None:
    (prepared,) = spans.prepare([spans.read({"question": [question], "context": ["abc " * 30]})])
    assert len(prepared.features) > 5
    assert prepared.truncated is cut


@pytest.mark.parametrize(("text", "cut"), [("abcdef", False), ("abcdefg", True)])
def test_sentence_is_cut_beyond_its_row(sentences: TextPipeline, text: str, cut: bool) -> None:
    (answer,) = ask(sentences, SentenceEmbedding(layers={}), {"text": [text]})
    assert answer["truncated"] is cut


@pytest.mark.parametrize(
    ("side", "letters", "cut"),
    [("query", 4, False), ("query", 5, True), ("candidate", 8, False), ("candidate", 9, True)],
)
def test_each_side_has_its_own_row(sides: TextPipeline, side: str, letters: int, cut: bool) -> None:
    (prepared,) = sides.prepare([sides.read({"text": ["a" * letters], "side": [side]})])
    assert prepared.truncated is cut


# Bad input


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty; give a text with more than white space in it"),
        (" \t\n\u3000", "is empty"),
        (b"ab\xff", "is not valid UTF-8 at position 2; encode the text as UTF-8"),
        ("ab\udcff", "is not valid UTF-8 at position 2"),
        ("abc\0d", "has a NUL character at position 3; remove it"),
        ("a" * (MAX_BYTES + 1), "has 65,537 bytes; give at most 65,536 bytes of UTF-8"),
        ("ж" * 40_000, "has 80,000 bytes"),
        (b"\xff" * 1_000_000, "has 1,000,000 bytes"),
    ],
    ids=["empty", "space", "bytes", "surrogate", "nul", "long", "long cyrillic", "long bytes"],
)
def test_bad_text_is_named_with_what_would_be_right(pairs: TextPipeline, text: str | bytes, reason: str) -> None:
    with pytest.raises(DataError, match=f"^input 'text_pair' {reason}"):
        pairs.read({"text": ["fine"], "text_pair": [text]})


def test_bad_choice_is_numbered(choices: TextPipeline) -> None:
    with pytest.raises(DataError, match=r"^input 'choices', text 2, is empty"):
        choices.read({"text": ["a"], "question": [""], "choices": ["b", ""]})


@pytest.mark.parametrize("count", [0, 1, MAX_CHOICES + 1])
def test_number_of_choices_is_limited(choices: TextPipeline, count: int) -> None:
    with pytest.raises(DataError, match=f"'choices' holds {count} texts; give two to {MAX_CHOICES}"):
        choices.read({"text": ["a"], "choices": ["b"] * count})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"text": ["a"]}, "input 'text_pair' is missing; the inputs are text, text_pair"),
        (
            {"text": ["a"], "text_par": ["b"]},
            "no input 'text_par', did you mean 'text_pair'; the inputs are text, text",
        ),
        ({"text": ["a", "b"], "text_pair": ["b"]}, "input 'text' holds 2 texts; give one"),
    ],
)
def test_wrong_fields_are_named(pairs: TextPipeline, given: dict[str, list[str]], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        pairs.read(given)


def test_side_is_one_of_two(sides: TextPipeline) -> None:
    with pytest.raises(DataError, match="'side' is 'querry', did you mean 'query'; give query or candidate"):
        sides.read({"text": ["a"], "side": ["querry"]})


def test_longest_text_is_read(pairs: TextPipeline) -> None:
    question = pairs.read({"text": ["a" * MAX_BYTES], "text_pair": ["b"]})
    assert pairs.prepare([question])[0].truncated


def test_texts_of_one_request_are_limited_together(choices: TextPipeline) -> None:
    question = {"text": ["a" * 60_000], "question": ["é" * 30_000], "choices": ["b", "c" * 11_071]}
    assert choices.read_rows([question])
    reason = "the texts of the request have 131,073 bytes or more together; give at most 131,072 bytes of UTF-8"
    with pytest.raises(DataError, match=reason):
        choices.read(question | {"choices": ["b", "c" * 11_072]})
    with pytest.raises(DataError, match="131,075 bytes"):
        choices.read_rows(iter([question, {"text": ["a"], "question": [""], "choices": ["b", "c"]}, None]))


def test_server_side_needs_numpy_and_tokenizers_only() -> None:
    code = (
        "import sys, harness.text.pipeline, harness.tokenization.tokenizer, harness.inference.planner\n"
        "heavy = ('onnxruntime', 'tritonclient', 'faiss', 'torch', 'transformers', 'datasets', 'rich', 'typer')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_forms_cover_every_featurizer_that_finetunes_use() -> None:
    assert {type(finetunes.load(name).featurizer) for name in finetunes.names()} <= FORMS.keys()


# Text is text


def test_faults_words_without_subwords_have_a_tag_and_are_named(words: TextPipeline) -> None:
    (answer,) = ask(words, TokenClassification(TAGS), {"text": ["ab \u200b c abcdefghij"]})
    assert (len(answer["words"]), len(answer["tags"])) == (4, 4)
    assert (answer["without_subwords"], answer["truncated"]) == ([1], True)
    (answer,) = ask(words, TokenClassification(TAGS), {"text": ["ab c"]})
    assert "without_subwords" not in answer


@pytest.mark.parametrize("text", ["\u200b", " \u200f\u200b", "\ufeff \u200d", "\x01"])
def test_text_without_anything_to_read_is_refused(words: TextPipeline, text: str) -> None:
    with pytest.raises(DataError, match="'text' has nothing to read but zero-width and control characters; give"):
        words.read({"text": [text]})


def test_older_declaration_of_choices_and_spans_serves_by_the_projects_own_rules(
    choices: TextPipeline, spans: TextPipeline
) -> None:
    for pipe, part in ((choices, "featurizer"), (spans, "postprocess")):
        older = pipe.declaration.to_json()
        assert older[part].pop("official") is False
        assert TextDeclaration.from_json(older) == pipe.declaration


@pytest.mark.parametrize("name", finetunes.names())
def test_no_training_set_serves_by_an_official_rule_that_has_a_better_one(name: str) -> None:
    finetune = finetunes.load(name)
    assert not getattr(finetune.featurizer, "official", False)
    assert not getattr(finetune.postprocess, "official", False)
