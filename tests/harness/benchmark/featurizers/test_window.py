import random

import pytest

from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.core.examples import Answer, QuestionExample
from harness.core.features import Feature

SMALL = WindowFeaturizer(max_tokens=16, stride=4, max_question=3)


def question(context: str, *, asked: str = "why", answer: str | None = None) -> QuestionExample:
    found = answer or context[:1]
    return QuestionExample("0", asked, context, (Answer(found, context.index(found)),))


def letters(seed: int, size: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice("abcdefgh ") for _ in range(size)).strip() or "a"


def spans(rows: list[Feature]) -> list[list[int]]:
    """Return for each row the character at which each of its context tokens starts."""
    return [[int(start) for start in row.alignment[:, 0] if start >= 0] for row in rows]


def test_question_comes_first_in_the_frame_of_a_pair(tokenizer, spell) -> None:
    (row,) = SMALL([question("ab c")], tokenizer)
    assert spell(row.input_ids) == "<s>why</s></s>abc</s>"


def test_alignment_gives_characters_of_the_context_only(tokenizer) -> None:
    (row,) = SMALL([question("ab c")], tokenizer)
    outside = [-1, -1, -1]
    assert row.alignment.tolist() == [*[outside] * 6, [0, 1, 1], [1, 2, 1], [3, 4, 1], outside]


def test_question_is_cut_to_64_pieces_by_default(tokenizer, spell) -> None:
    (row,) = WindowFeaturizer()([question("xyz", asked="a" * 70)], tokenizer)
    assert spell(row.input_ids) == f"<s>{'a' * 64}</s></s>xyz</s>"


def test_windows_start_128_pieces_apart_by_default(tokenizer) -> None:
    rows = WindowFeaturizer()([question("a" * 900)], tokenizer)
    assert [row[0] for row in spans(rows)] == [0, 128, 256, 384, 512, 640]


def test_last_window_is_the_first_that_reaches_the_end(tokenizer) -> None:
    room = 384 - len("<s> w h y </s> </s> </s>".split())
    assert [len(WindowFeaturizer()([question("a" * size)], tokenizer)) for size in (room, room + 1)] == [1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_every_context_token_is_in_some_window(tokenizer, seed: int) -> None:
    context = letters(seed, 60)
    covered = {start for row in spans(SMALL([question(context)], tokenizer)) for start in row}
    assert covered == {place for place, letter in enumerate(context) if letter != " "}


@pytest.mark.parametrize("seed", range(20))
def test_every_context_token_has_its_maximal_context_once(tokenizer, seed: int) -> None:
    context = letters(seed, 60)
    rows = SMALL([question(context)], tokenizer)
    flagged = [int(start) for row in rows for start, _, best in row.alignment if best == 1]
    assert sorted(flagged) == [place for place, letter in enumerate(context) if letter != " "]


def test_maximal_context_is_that_of_squads_rule(tokenizer) -> None:
    rows = SMALL([question("a" * 13)], tokenizer)
    room = 16 - 7
    windows = [(start, min(13, start + room)) for start in (0, 4)]
    expected = [
        max(range(2), key=lambda w: (
            min(place - windows[w][0], windows[w][1] - 1 - place) + 0.01 * (windows[w][1] - windows[w][0])
            if windows[w][0] <= place < windows[w][1] else -1.0
        ))
        for place in range(13)
    ]  # fmt: skip
    found = {int(start): number for number, row in enumerate(rows) for start, _, best in row.alignment if best == 1}
    assert [found[place] for place in range(13)] == expected


@pytest.mark.parametrize("seed", range(20))
def test_target_maps_back_to_the_answers_text(tokenizer, seed: int) -> None:
    rng = random.Random(seed)
    words = [letters(seed * 100 + number, 3).replace(" ", "") or "a" for number in range(15)]
    before = " ".join(words[:5]) + " "
    answer = " ".join(words[5 : 5 + rng.randint(1, 2)])
    context = before + " ".join(words[5:])
    example = QuestionExample("0", "why", context, (Answer(answer, len(before)),))
    found = [
        context[row.alignment[row.target[0], 0] : row.alignment[row.target[1], 1]]
        for row in SMALL([example], tokenizer)
        if row.target.any()
    ]
    assert set(found) == {answer}


def test_target_of_a_window_without_the_answer_is_the_first_token(tokenizer) -> None:
    rows = SMALL([question("a" * 20 + "z", answer="z")], tokenizer)
    assert [row.target.tolist() for row in rows[:-1]] == [[0, 0]] * (len(rows) - 1)


def test_target_of_a_window_that_cuts_the_answer_is_the_first_token(tokenizer) -> None:
    rows = SMALL([question("a" * 7 + "xyz" + "b" * 8, answer="xyz")], tokenizer)
    assert rows[0].target.tolist() == [0, 0]


def test_target_covers_a_piece_that_holds_more_than_the_answer(tokenizer) -> None:
    from harness.benchmark.featurizers.window import _target
    from harness.core.features import Subwords

    context = Subwords([5, 6], [(0, 4), (4, 8)])
    assert _target(Answer("bc", 1), context, 0, 2, 3).tolist() == [3, 3]


@pytest.mark.parametrize("answer", [Answer("e\u0301", 0), Answer("e\u0301 ", 0), Answer("e", 0)])
def test_target_needs_no_subword_for_each_character_of_the_answer(tokenizer, answer: Answer) -> None:
    from harness.benchmark.featurizers.window import _target
    from harness.core.features import Subwords

    assert _target(answer, Subwords([5, 6], [(0, 1), (3, 4)]), 0, 2, 3).tolist() == [3, 3]


@pytest.mark.parametrize(("start", "end", "target"), [(0, 2, [0, 0]), (1, 3, [3, 4]), (2, 4, [0, 0]), (0, 4, [4, 5])])
def test_target_of_a_window_is_the_whole_answer_or_nothing(start: int, end: int, target: list[int]) -> None:
    from harness.benchmark.featurizers.window import _target
    from harness.core.features import Subwords

    # A bare mark, whose offsets are those of the letter after it, is no part of the answer.
    context = Subwords([4, 5, 6, 7], [(0, 1), (0, 2), (2, 3), (3, 4)], frozenset({0}))
    assert _target(Answer("abc", 0), context, start, end, 3).tolist() == target


def test_empty_context_is_one_window(tokenizer, spell) -> None:
    example = QuestionExample("0", "why", "", (Answer("", 0),))
    assert [spell(row.input_ids) for row in SMALL([example], tokenizer)] == ["<s>why</s></s></s>"]


def test_rows_of_several_questions_name_their_example(tokenizer) -> None:
    rows = SMALL([question("ab"), question("a" * 12), question("ab")], tokenizer)
    assert [row.example for row in rows] == [0, 1, 1, 2]


@pytest.mark.parametrize("size", [1, 8, 9, 10, 60])
def test_no_row_is_longer_than_max_tokens(tokenizer, size: int) -> None:
    assert max(len(row.input_ids) for row in SMALL([question("a" * size)], tokenizer)) <= 16
