"""What is sent: the questions that the data files of a graph's tasks hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.benchmark import tasks
from harness.core.errors import DataError, UsageError
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.evaluation.selection import choose_jobs
from harness.evaluation.workload import available
from harness.text.fields import Field, Question, read_fields
from harness.text.forms import Form

#: Of the order in which texts are sent.
SEED = 0

#: Example -> what a user would send for it, by the fields that some form has.
GIVEN: Mapping[type, Callable[[Any], Mapping[str, list[str]]]] = {
    PairExample: lambda example: {"text": [example.first], "text_pair": [example.second]},
    ChoiceExample: lambda example: {
        "text": [example.premise],
        "question": [example.question],
        "choices": list(example.choices),
    },
    WordsExample: lambda example: {"text": [" ".join(example.words)]},
    QuestionExample: lambda example: {"question": [example.question], "context": [example.context]},
    SentenceExample: lambda example: {"text": [example.text], "side": [example.side]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The questions that a task's data files hold."""

    questions: Sequence[Question]
    #: Examples whose texts the service refuses, such as those without any letter.
    left_out: int
    #: Of each task.
    languages: Mapping[str, Sequence[str]]

    def order(self, requests: int) -> NDArray[np.int64]:
        """Return the question of each request: all in one shuffled order, and again from its start."""
        shuffled = np.random.default_rng(SEED).permutation(len(self.questions))
        return np.resize(shuffled, requests)


def as_questions(examples: Sequence[Any], fields: Sequence[Field]) -> list[Question | None]:
    """Return the question of each example; None where the service would refuse its texts.

    Args:
        examples: of any of the shapes that `GIVEN` knows.
        fields: what the text model takes; what an example has beyond them is not sent.
    """
    names = {entry.name for entry in fields}
    found: list[Question | None] = []
    for example in examples:
        given = {name: texts for name, texts in GIVEN[type(example)](example).items() if name in names}
        try:
            found.append(read_fields(fields, given))
        except DataError:
            found.append(None)
    return found


def read_texts(finetune: str, form: Form, layout: Layout, progress: Progress) -> Texts:
    """Return the questions of every task that a graph answers, in all languages that the data folder has.

    Raises:
        UsageError: the graph answers for no task.
        DataError: a file is malformed, or the folder has none of them.
    """
    answered = tasks.answered_by(finetune)
    if not answered:
        message = f"no task is answered by {finetune!r}, so there are no texts for it; `harness tasks` names them"
        raise UsageError(message)
    wanted = choose_jobs(answered, splits={task.name: "test" for task in answered}, coverage=layout.coverage())
    jobs, _ = available(wanted, layout)
    found: list[Question | None] = []
    languages: dict[str, list[str]] = {}
    with progress.step("reading texts", len(jobs), "files") as advance:
        for job in jobs:
            found += as_questions(job.read(layout), form.fields)
            languages.setdefault(job.task.name, []).append(job.language)
            advance(1)
    questions = [question for question in found if question is not None]
    if not questions:
        names = " and ".join(task.name for task in answered)
        message = f"{layout.xtreme} holds no text of {names}; name another folder with `--data`"
        raise DataError(message)
    return Texts(questions=questions, left_out=len(found) - len(questions), languages=languages)
