"""SQuAD's JSON: articles of paragraphs of questions, answers as spans of the paragraph."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.benchmark.sources.lines import invisible_field, is_visible, stripped
from harness.benchmark.sources.rows import id_of, text_of, whole_number
from harness.benchmark.sources.scripts import check_script
from harness.benchmark.sources.spans import check_span
from harness.benchmark.sources.strict_json import read_file
from harness.core.errors import DataError
from harness.core.examples import Answer, QuestionExample
from harness.core.gold import GoldErrors
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
    #: Whether public files have a question that is blank (CMRC 2018); a blank context is always refused.
    has_blanks: bool = False

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=self.names.get(split, split)),)

    def read(self, layout: Layout, language: str, split: Split) -> list[QuestionExample]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        examples = read_questions(
            path,
            unanswerable=self.unanswerable,
            has_blanks=self.has_blanks,
            allowed=layout.gold_errors,
            training=split == "train",
        )
        check_script(path, language, examples)
        return examples


def read_questions(
    path: Path,
    *,
    unanswerable: bool = False,
    has_blanks: bool = False,
    allowed: GoldErrors | None = None,
    training: bool = False,
) -> list[QuestionExample]:
    """Return the questions of a file in its order.

    Args:
        path: the file.
        unanswerable: let questions that `is_impossible` marks have no answer.
        has_blanks: let a question be blank.
        allowed: collects gold answers that contradict their context; None refuses them.
        training: leave such answers out, and a question that has no other one, since they would be wrong labels.

    Raises:
        DataError: the file is missing or malformed, an id occurs twice, answers were stripped, or an answer does
            not stand in its context where the file says.
    """
    try:
        rows = [
            (paragraph["context"], question)
            for article in read_json(path)["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
        if rows and not any(_has_answer(row) or (unanswerable and row.get("is_impossible")) for _, row in rows):
            raise stripped(path, f"no answer to any of its {len(rows)} questions")
        examples = [
            example
            for context, row in rows
            for example in _question(path, context, row, unanswerable, has_blanks, allowed, training)
        ]
    except ValueError as error:
        message = f"{path}: {error}"
        raise DataError(message) from error
    except (KeyError, TypeError, AttributeError) as error:
        message = f"{path}: not SQuAD's format, {error!r} while reading data/paragraphs/qas"
        raise DataError(message) from error
    if not rows:
        message = f"{path} holds no question; it must hold at least one"
        raise DataError(message)
    seen: dict[str, QuestionExample] = {}
    for example in examples:
        before = seen.setdefault(example.id, example)
        if before is not example:
            gold = "" if before.right() == example.right() else ", with different answers"
            message = f"{path}: question id {example.id!r} occurs twice{gold}; ids must be unique"
            raise DataError(message)
    return examples


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        DataError: see `harness.benchmark.sources.strict_json.read_file`.
    """
    return read_file(
        path,
        "SQuAD's format is expected",
        missing=lambda: DataError(f"{path} is missing; `--data` must name a folder that holds it"),
    )


def _has_answer(row: Mapping[str, Any]) -> bool:
    # XTREME's remove_qa_test_annotations leaves one empty answer at 0.
    answers = row["answers"]
    if not isinstance(answers, list):
        # The hub's tables have one object of two lists.
        message = f"question {row.get('id')!r} has answers {str(answers)[:40]!r}; a list of objects is expected"
        raise ValueError(message)
    return any(text_of(answer, "text") for answer in answers)


def _question(
    path: Path,
    context: str,
    row: Mapping[str, Any],
    unanswerable: bool,
    has_blanks: bool,
    allowed: GoldErrors | None,
    training: bool,
) -> list[QuestionExample]:
    """Return the question; nothing where it is for training and all of its answers are wrong."""
    name = id_of(row, "id")
    question = QuestionExample(name, text_of(row, "question"), text_of({"context": context}, "context"), ())
    problem = invisible_field(question)
    if problem is not None and not (has_blanks and is_visible(context)):
        message = f"{path}: question {name!r}: its {problem}"
        raise DataError(message)
    if unanswerable and row.get("is_impossible"):
        return [question]
    if not _has_answer(row):
        message = f"{path}: question {name!r} has no answer, while others have; correct it, or leave the question out"
        raise DataError(message)
    try:
        answers = [Answer(text_of(answer, "text"), whole_number(answer["answer_start"])) for answer in row["answers"]]
    except ValueError as error:
        message = f"{path}: question {name!r}: {error}; each answer has text and answer_start, in characters"
        raise DataError(message) from error
    right = [answer for answer in answers if check_span(path, name, context, answer.text, answer.start, allowed)]
    kept = right if training else answers
    return [replace(question, answers=tuple(kept))] if kept else []
