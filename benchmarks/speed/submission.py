"""Seconds of `harness score` on prediction files of the official size, by a seeded random model.

::

    harness bench submission --output DIR
    harness bench submission --output DIR --suite xtreme-r --repeats 5
"""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.core.options import bench_parser
from benchmarks.core.report import guarded, machine_line
from harness.benchmark import tasks
from harness.benchmark.submissions.answers import Answers
from harness.benchmark.submissions.choices import ChoiceLines
from harness.benchmark.submissions.labels import LabelLines
from harness.benchmark.submissions.pairs import PairLines
from harness.benchmark.submissions.ranked import RankedIds
from harness.benchmark.submissions.rows import RowNumbers
from harness.benchmark.submissions.tags import TagLines
from harness.benchmark.suites import SUITES
from harness.core.examples import Answer, ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.core.files import write_text
from harness.core.languages import language as language_row
from harness.core.task import AnyTask, SuiteName

SEED = 0
#: How often the random model is right.
RIGHT = 0.8
#: Examples where the official number is not known: German UDPOS has about 22,000 sentences.
UNKNOWN = 22_000
#: Mean tokens of a sentence, by the number of tags: UDPOS has about 16, PAN-X about 10.
TOKENS = {17: 16, 7: 10}
#: Words of a paragraph, about what SQuAD's have.
PARAGRAPH = 130
#: Candidates of a ranking, one of which is right.
DEPTH = 20
#: First and last letter of words, for each script in which XTREME asks questions.
LETTERS = {
    "Latn": "az",
    "Cyrl": "ая",
    "Arab": "بي",
    "Deva": "कह",
    "Beng": "কহ",
    "Grek": "αω",
    "Hani": "一龥",
    "Hang": "가힣",
    "Telu": "కహ",
    "Thai": "กฮ",
}


@dataclass(frozen=True, slots=True)
class Made:
    """One task in one language: examples with right predictions and with a model's."""

    examples: Sequence[Any]
    right: Sequence[Any]
    predictions: Sequence[Any]


@singledispatch
def make(submission: object, random: np.random.Generator, language: str, count: int) -> Made:
    """Return random examples of the kind that a submission format holds.

    Args:
        submission: the format.
        random: where choices come from.
        language: XTREME's code.
        count: examples, or pairs.
    """
    message = f"no random model writes {type(submission).__name__}; add one here"
    raise TypeError(message)


@make.register
def _(submission: LabelLines, random: np.random.Generator, language: str, count: int) -> Made:
    if submission.labels is None:
        message = "a format without labels has nothing to choose from"
        raise ValueError(message)
    right = random.choice(submission.labels, count)
    other = random.choice(submission.labels, count)
    examples = [PairExample(str(number), "", "", str(label)) for number, label in enumerate(right)]
    return Made(examples, right.tolist(), _mixed(random, right, other).tolist())


@make.register
def _(submission: ChoiceLines, random: np.random.Generator, language: str, count: int) -> Made:
    right, other = random.integers(2, size=(2, count))
    examples = [ChoiceExample(str(number), "", "", ("", ""), int(label)) for number, label in enumerate(right)]
    return Made(examples, right.tolist(), _mixed(random, right, other).tolist())


@make.register
def _(submission: TagLines, random: np.random.Generator, language: str, count: int) -> Made:
    lengths = random.integers(1, 2 * TOKENS[len(submission.tags)], count)
    right, other = (random.choice(submission.tags, lengths.sum()) for _ in range(2))
    edges = [0, *np.cumsum(lengths).tolist()]
    gold, found = (
        [tuple(tags[first:last]) for first, last in itertools.pairwise(edges)]
        for tags in (right.tolist(), _mixed(random, right, other).tolist())
    )
    return Made([WordsExample(str(number), tags, tags) for number, tags in enumerate(gold)], gold, found)


@make.register
def _(submission: Answers, random: np.random.Generator, language: str, count: int) -> Made:
    first, last = (ord(letter) for letter in LETTERS[language_row(language).script])
    letters = random.integers(first, last + 1, size=(5_000, 8))
    lengths = random.integers(2, 9, 5_000)
    words = np.array(["".join(map(chr, row[:size])) for row, size in zip(letters, lengths, strict=True)])
    examples, right, predictions = [], [], []
    for number in range(count):
        paragraph = random.choice(words, PARAGRAPH).tolist()
        start, other = random.integers(PARAGRAPH - 6, size=2)
        size, found = random.integers(1, 6, size=2)
        text = " ".join(paragraph[start : start + size])
        answer = Answer(text, len(" ".join([*paragraph[:start], ""])))
        name = f"{language}-{number}-{random.integers(10**12)}"
        examples.append(QuestionExample(name, " ".join(paragraph[:10]), " ".join(paragraph), (answer,)))
        right.append(text)
        kind = random.random()
        begin = start if kind < RIGHT else other
        predictions.append(" ".join(paragraph[begin : begin + (size if kind < RIGHT / 2 else found)]))
    return Made(examples, right, predictions)


@make.register
def _(submission: PairLines, random: np.random.Generator, language: str, count: int) -> Made:
    numbers = random.permutation(2 * count)[:count].tolist()
    names = [f"en-{number:09}" for number in numbers]
    examples = [
        SentenceExample(f"{language}-{number:09}", "", "query", frozenset({name})) for number, name in enumerate(names)
    ]
    right = [(name,) for name in names]
    return Made(examples, right, _found(random, right, [*right[1:], ()]))


@make.register
def _(submission: RowNumbers, random: np.random.Generator, language: str, count: int) -> Made:
    names = [f"{language}-{number}" for number in range(count)]
    candidates = [SentenceExample(name, "", "candidate") for name in names]
    right = [(names[row],) for row in random.permutation(count)]
    queries = [SentenceExample(f"en-{row}", "", "query", frozenset(gold)) for row, gold in enumerate(right)]
    blank: list[tuple[str, ...]] = [()] * count
    return Made([*candidates, *queries], [*blank, *right], [*blank, *_found(random, right, [*right[1:], right[0]])])


@make.register
def _(submission: RankedIds, random: np.random.Generator, language: str, count: int) -> Made:
    names = [f"Q{number}" for number in range(20 * DEPTH)]
    rankings = [tuple(random.choice(names, DEPTH, replace=False).tolist()) for _ in range(count)]
    gold = [
        ranking[rank : rank + 1] for ranking, rank in zip(rankings, random.integers(DEPTH, size=count), strict=True)
    ]
    examples = [SentenceExample(f"{language}-{number}", "", "query", frozenset(ids)) for number, ids in enumerate(gold)]
    return Made(examples, gold, _found(random, rankings, [*rankings[1:], rankings[0]]))


def _mixed(random: np.random.Generator, right: Any, other: Any) -> Any:
    """Return mostly the right array's values."""
    return np.where(random.random(len(right)) < RIGHT, right, other)


def _found(
    random: np.random.Generator, right: Sequence[tuple[str, ...]], other: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Return mostly the right list's values."""
    kept = random.random(len(right)) < RIGHT
    return [one if keep else two for keep, one, two in zip(kept, right, other, strict=True)]


def labels_text(task: AnyTask, made: Made) -> str:
    """Return the content of a label file: SQuAD's JSON for answers, right predictions for everything else."""
    if not isinstance(task.submission, Answers):
        return str(task.submission.render(made.examples, made.right))
    paragraphs = [
        {
            "context": example.context,
            "qas": [
                {
                    "id": example.id,
                    "question": example.question,
                    "answers": [{"text": answer.text, "answer_start": answer.start} for answer in example.answers],
                }
            ],
        }
        for example in made.examples
    ]
    return json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}, ensure_ascii=False)


def write(folder: Path, suite: SuiteName, limit: int | None = None) -> dict[str, int]:
    """Write predictions and labels of every task of a suite; return the files' lines or examples by task.

    Args:
        folder: gets the folders `predictions` and `labels`.
        suite: its tasks and languages.
        limit: examples of each language at most; the official number without one.
    """
    random = np.random.default_rng(SEED)
    sizes: dict[str, int] = {}
    for name in SUITES[suite].tasks:
        task = tasks.load(name)
        for language in task.languages[suite]:
            count = task.official_count(language) or UNKNOWN
            made = make(task.submission, random, language, count if limit is None else min(limit, count))
            file = f"{name}/test-{language}.{task.submission.suffix}"
            write_text(folder / "predictions" / file, task.submission.render(made.examples, made.predictions))
            write_text(folder / "labels" / file, labels_text(task, made))
            sizes[name] = sizes.get(name, 0) + len(made.predictions)
    return sizes


def seconds(folder: Path, suite: SuiteName) -> float:
    """Return how long one `harness score` of the folder takes, start of the process included."""
    command = [
        *(sys.executable, "-c", "from harness.cli import main; main()", "score", "--suite", suite),
        *("--predictions", str(folder / "predictions"), "--labels", str(folder / "labels")),
        *("--output", str(folder / "scores.json")),
    ]
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder, time the command on it, and print what it took."""
    parser = bench_parser("submission", __doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write the files to")
    parser.add_argument("--suite", choices=SUITES, default="xtreme", help="its tasks and languages; xtreme")
    parser.add_argument("--limit", type=int, help="examples of each language at most; the official number")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs; 3")
    options = parser.parse_args(arguments)
    sizes = write(options.output, options.suite, options.limit)
    print(", ".join(f"{name} {count:,}" for name, count in sizes.items()))
    taken = [seconds(options.output, options.suite) for _ in range(options.repeats)]
    print(f"harness score: {median(taken):.2f} s, median of {', '.join(f'{one:.2f}' for one in taken)}")
    print(machine_line())


if __name__ == "__main__":
    sys.exit(guarded(main))
