"""The script that repeats a model's answers with plain transformers decodes by the official rules."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from benchmarks.answer_reference import Compared, best_span, richest, sentences, spans, stored, tag_rows


class Words:
    """A tokenizer of one subword a letter, with a fake network whose best span is given."""

    first, last = 0, 2

    def __init__(self, start: int = 0, end: int = 0) -> None:
        self.start, self.end, self.rows = start, end, []
        self.tokenizer = self

    def pieces(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def convert_tokens_to_ids(self, name: str) -> int:
        return 3

    def __call__(self, given, **options):
        if isinstance(given, str):
            offsets = [(at, at + 1) for at in range(len(given))]
            return {"input_ids": self.pieces(given), "offset_mapping": offsets}
        self.rows.append(given)
        logits = np.zeros((2, len(given)), dtype=np.float32)
        logits[0, self.start], logits[1, self.end] = 5, 5
        return list(logits)


def test_answer_is_the_part_of_the_context_under_the_best_span() -> None:
    model = Words(start=4 + 3, end=4 + 5)
    assert best_span(model, "q", "abcdefgh") == ("def", pytest.approx(5))
    assert model.rows == [[0, ord("q"), 2, 2, *map(ord, "abcdefgh"), 2]]


def test_a_long_context_has_windows_every_128_tokens_and_a_long_question_is_cut() -> None:
    model = Words()
    best_span(model, "q" * 100, "x" * 700)
    # 384 - 64 - 4 = 316 tokens of the context in each window: they start at 0, 128, 256 and 384.
    assert [len(row) for row in model.rows] == [384, 384, 384, 384]
    assert model.rows[0][:66] == [0, *[ord("q")] * 64, 2]


def test_the_window_with_most_context_on_the_poorer_side_counts_and_the_first_of_equals() -> None:
    assert [richest([(0, 10), (4, 14)], at) for at in (0, 5, 6, 7, 13)] == [0, 0, 0, 1, 1]
    assert richest([(0, 10), (0, 10)], 3) == 0


def test_spans_start_where_the_window_is_richest_and_hold_30_tokens_at_most() -> None:
    opening, closing = np.zeros(60, dtype=np.float32), np.zeros(60, dtype=np.float32)
    opening[[10, 20]], closing[[9, 20, 39, 40]] = (3, 2), (9, 8, 7, 6)
    rich = [True] * 50
    found = spans(opening, closing, 5, 100, 150, rich)
    assert max(found) == (11.0, 105, 115)
    assert (10.0, 105, 134) in found
    assert not any(first == 105 and last == 135 for _, first, last in found)
    rich[5] = False
    assert not any(first == 105 for _, first, _ in spans(opening, closing, 5, 100, 150, rich))


def test_tags_rows_end_in_two_separators_and_are_cut_at_words() -> None:
    rows = list(tag_rows(Words(), ["ab", "c" * 122, "de", "", "f" * 126]))
    assert [places for places, _ in rows] == [[1, 3], [1, 3, 4]]
    assert rows[0][1] == [0, *map(ord, "ab" + "c" * 122), 2, 2]
    assert rows[1][1] == [0, *map(ord, "de"), 3, 3, 2, 2]


def test_sentences_are_read_by_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "test-ru.tsv"
    path.write_text("a\tX\nb\tX\n\n\nc\tX\n", encoding="utf-8")
    assert list(sentences(path)) == [["a", "b"], ["c"]]


def test_examples_of_a_run_come_from_its_languages_in_turn(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        connection.execute("CREATE TABLE prediction (task, language, example INTEGER, id, prediction)")
        connection.executemany(
            "INSERT INTO prediction VALUES ('xnli', ?, ?, ?, ?)",
            [(code, number, f"{code}{number}", json.dumps("neutral")) for code in ("ru", "zh") for number in range(3)],
        )
    assert [name for _, name, _ in stored(tmp_path, "xnli", 4)] == ["ru0", "zh0", "ru1", "zh1"]


def test_what_differs_is_a_tie_only_where_the_choices_are_close() -> None:
    compared = Compared("xnli")
    for own, margin in (("a", 1.0), ("b", 1e-5), ("b", 0.1)):
        compared.add("ru 1", own, "a", margin)
    assert (compared.equal, compared.ties, len(compared.different)) == (1, 1, 1)
