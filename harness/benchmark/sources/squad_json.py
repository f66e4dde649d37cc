"""SQuAD's JSON: articles of paragraphs of questions, answers as spans of the paragraph."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.benchmark.sources.rows import text_of
from harness.benchmark.sources.spans import span_problem
from harness.core.errors import DataError
from harness.core.examples import Answer, QuestionExample
from harness.core.layout import DataFile, Layout, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadJson:
    """Questions in file order; ids must be unique, as predictions are keyed by them."""

    file: DataFile
    splits: tuple[Split, ...]
    #: What the files call a split, where that differs.
    names: Mapping[Split, str] = field(default_factory=dict)
    #: Whether a question may have no answer, which `is_impossible` then says (SQuAD v2.0).
    unanswerable: bool = False

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=self.names.get(split, split)),)

    def read(self, layout: Layout, language: str, split: Split) -> list[QuestionExample]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        return read_questions(path, unanswerable=self.unanswerable)


def read_questions(path: Path, *, unanswerable: bool = False) -> list[QuestionExample]:
    """Return the questions of a file in its order.

    Args:
        path: the file.
        unanswerable: let questions that `is_impossible` marks have no answer.

    Raises:
        DataError: the file is missing or malformed, an id occurs twice, answers were stripped, or an answer does
            not stand in its context where the file says.
    """
    try:
        examples = [
            _question(path, paragraph["context"], question, unanswerable=unanswerable)
            for article in read_json(path)["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{path}: not SQuAD's format, {error!r} while reading data/paragraphs/qas"
        raise DataError(message) from error
    if not examples:
        message = f"{path} holds no question; it must hold at least one"
        raise DataError(message)
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            message = f"{path}: question id {example.id!r} occurs twice; ids must be unique"
            raise DataError(message)
        seen.add(example.id)
    return examples


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        DataError: the file is missing, not UTF-8 or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{path} is missing; `--data` must name a folder that holds it"
        raise DataError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 at byte {error.start}; convert it to UTF-8"
        raise DataError(message) from error
    except json.JSONDecodeError as error:
        message = f"{path}:{error.lineno}: not JSON ({error.msg}); SQuAD's format is expected"
        raise DataError(message) from error


def _question(path: Path, context: str, row: Mapping[str, Any], *, unanswerable: bool) -> QuestionExample:
    if unanswerable and row.get("is_impossible"):
        return QuestionExample(str(row["id"]), text_of(row, "question"), context, ())
    answers = tuple(Answer(text_of(answer, "text"), int(answer["answer_start"])) for answer in row["answers"])
    # XTREME's remove_qa_test_annotations leaves one empty answer at 0.
    if not any(answer.text for answer in answers):
        message = (
            f"{path}: question {row['id']!r} has no answer, as in files whose labels were stripped; "
            f"use `--split dev` if the task has one, or put the labelled file there"
        )
        raise DataError(message)
    for answer in answers:
        problem = span_problem(context, answer.text, answer.start)
        if problem is not None:
            message = f"{path}: question {row['id']!r} {problem}"
            raise DataError(message)
    return QuestionExample(str(row["id"]), text_of(row, "question"), context, answers)
