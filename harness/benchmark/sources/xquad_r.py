"""LAReQA's XQuAD-R (Roy et al. 2020): questions whose answers are sentences of any of 11 languages.

A candidate is every sentence of every paragraph, with the paragraph as its context; its id is
``<language>_<paragraph>_<sentence>``, paragraphs counted through the file
(google-research/xtreme@838c13b third_party/processors/lareqa.py).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.benchmark.sources.lines import is_visible, stripped
from harness.benchmark.sources.rows import id_of, shown_text, text_of, whole_number
from harness.benchmark.sources.scripts import check_script
from harness.benchmark.sources.sentences import sentence_breaks
from harness.benchmark.sources.spans import check_span, refuse_or_count, sentence_problem
from harness.benchmark.sources.squad_json import SquadJson, read_json
from harness.core.errors import DataError
from harness.core.examples import MatchExample, SentenceExample
from harness.core.gold import GoldError, GoldErrors
from harness.core.layout import DataFile, Layout, Split


def answer_text(sentence: str, context: str) -> str:
    """Return what a candidate is encoded from: sentence and paragraph without anything between them."""
    return (sentence + context).replace("\n", "")


@dataclass(frozen=True, slots=True)
class _File:
    """One language: questions as (question id, text, candidate id), candidates as (id, text)."""

    questions: tuple[tuple[str, str, str], ...]
    candidates: tuple[tuple[str, str], ...]
    #: Gold answers that contradict their paragraph.
    errors: tuple[GoldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _XquadR:
    file: DataFile
    languages: tuple[str, ...]
    #: The name under which a partial data folder lists what it covers.
    task: str
    splits: tuple[Split, ...] = ("test",)

    def _languages(self, layout: Layout) -> tuple[str, ...]:
        """Return the languages of the pool: all of them, or those that a partial data folder names."""
        covered = layout.coverage()
        return self.languages if covered is None else covered.get(self.task, ())

    def _paths(self, layout: Layout) -> dict[str, Path]:
        return {code: self.file.at(layout, language=code) for code in self._languages(layout)}

    def _files(self, layout: Layout) -> dict[str, _File]:
        paths = self._paths(layout)
        missing = [path for path in paths.values() if not path.is_file()]
        if missing:
            message = (
                f"{self.task} needs the files of all its {len(paths)} languages, since each has answers "
                f"to the questions of the others; missing: {', '.join(str(path) for path in missing)}"
            )
            raise DataError(message)
        files = {code: _parse(path, code, path.stat().st_mtime_ns) for code, path in paths.items()}
        for error in (error for file in files.values() for error in file.errors):
            refuse_or_count(error, layout.gold_errors)
        return files


class XquadRQuestions(_XquadR):
    """The questions of a language; gold are the answer sentences of the same question in all languages."""

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """Return the language's file, then every other one, which holds some of its answers."""
        paths = self._paths(layout)
        own = self.file.at(layout, language=language)
        return (own, *(path for path in paths.values() if path != own))

    def read(self, layout: Layout, language: str, split: Split) -> list[SentenceExample]:
        """See `harness.core.task.Source`."""
        files = self._files(layout)
        gold: dict[str, set[str]] = {}
        for file in files.values():
            for name, _, candidate in file.questions:
                gold.setdefault(name, set()).add(candidate)
        queries = [
            SentenceExample(f"{language}_{name}", text, "query", frozenset(gold[name]))
            for name, text, _ in files[language].questions
        ]
        check_script(self.file.at(layout, language=language), language, queries)
        return queries


class XquadRSentences(_XquadR):
    """The sentences of all languages."""

    def paths(self, layout: Layout, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.PoolSource`."""
        return tuple(self._paths(layout).values())

    def read(self, layout: Layout, split: Split) -> Iterator[SentenceExample]:
        """See `harness.core.task.PoolSource`."""
        for file in self._files(layout).values():
            for name, text in file.candidates:
                yield SentenceExample(name, text, "candidate")


@lru_cache(maxsize=16)
def _parse(path: Path, language: str, _changed: int) -> _File:
    """Return a file's questions and candidates; kept, since every language needs every file."""
    try:
        paragraphs = [paragraph for article in read_json(path)["data"] for paragraph in article["paragraphs"]]
        rows = [row for paragraph in paragraphs for row in paragraph["qas"]]
        if rows and not any(answer["text"] for row in rows for answer in row["answers"]):
            raise stripped(path, f"no answer to any of its {len(rows)} questions")
        parsed = [_paragraph(path, f"{language}_{number}", each) for number, each in enumerate(paragraphs)]
    except ValueError as error:
        message = f"{path}: {error}"
        raise DataError(message) from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        message = f"{path}: not XQuAD-R's format, {error!r} while reading data/paragraphs/qas"
        raise DataError(message) from error
    if not any(each.questions for each in parsed):
        message = f"{path}: the answers to its {len(rows)} questions lie in no sentence; correct `sentence_breaks`"
        raise DataError(message)
    twice = [name for name, count in Counter(id_of(row, "id") for row in rows).items() if count > 1]
    if twice:
        message = f"{path}: question id {twice[0]!r} occurs twice, as do {len(twice) - 1} others; ids must be unique"
        raise DataError(message)
    return _File(
        questions=tuple(question for each in parsed for question in each.questions),
        candidates=tuple(candidate for each in parsed for candidate in each.candidates),
        errors=tuple(error for each in parsed for error in each.errors),
    )


def _paragraph(path: Path, name: str, paragraph: dict[str, Any]) -> _File:
    """Return what one paragraph adds; `name` begins the ids of its sentences."""
    breaks, context = _breaks(path, paragraph), shown_text(paragraph, "context")
    candidates = [
        (f"{name}_{place}", answer_text(sentence, context)) for place, sentence in enumerate(paragraph["sentences"])
    ]
    questions, errors = [], GoldErrors()
    for place, (sentence, (first, end)) in enumerate(zip(paragraph["sentences"], breaks, strict=True)):
        problem = sentence_problem(context, sentence, first, end)
        if problem is not None:
            errors.add(GoldError(path, f"{name}_{place}", problem, "sentence"))
        if not is_visible(text_of({"sentence": sentence}, "sentence")):
            message = f"{path}: sentence '{name}_{place}' shows nothing; it would be a candidate; leave it out"
            raise DataError(message)
    for question in paragraph["qas"]:
        asked = id_of(question, "id")
        if not is_visible(text_of(question, "question")):
            message = f"{path}: question {asked!r}: its text shows nothing; correct it, or leave it out"
            raise DataError(message)
        answer = question["answers"][0]
        start = whole_number(answer["answer_start"])
        check_span(path, asked, context, text_of(answer, "text"), start, errors)
        inside = [place for place, (first, end) in enumerate(breaks) if first <= start < end]
        # A question whose answer lies in no sentence is skipped, as in the official code.
        if inside:
            questions.append((asked, question["question"], f"{name}_{inside[0]}"))
    return _File(tuple(questions), tuple(candidates), tuple(errors))


def _breaks(path: Path, paragraph: dict[str, Any]) -> list[tuple[int, int]]:
    try:
        breaks = [(whole_number(first), whole_number(end)) for first, end in paragraph["sentence_breaks"]]
        whole = len(breaks) == len(paragraph["sentences"])
    except (KeyError, TypeError) as error:
        message = f"{path}: a paragraph lacks `sentence_breaks` or `sentences`; XQuAD-R is expected, not XQuAD"
        raise DataError(message) from error
    if not whole:
        message = f"{path}: a paragraph has {len(paragraph['sentences'])} sentences and {len(breaks)} sentence_breaks"
        raise DataError(message)
    return breaks


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadSentences:
    """SQuAD as retrieval: a question and the sentence that holds its first answer.

    SQuAD has no sentence breaks, so they are inferred; an answer that crosses one is skipped, both as
    in the official code (processors/sb_sed.py there, a rule of our own here).
    """

    squad: SquadJson

    @property
    def splits(self) -> tuple[Split, ...]:
        """See `harness.core.task.Source`."""
        return self.squad.splits

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return self.squad.paths(layout, language, split)

    def read(self, layout: Layout, language: str, split: Split) -> list[MatchExample]:
        """See `harness.core.task.Source`."""
        breaks: dict[str, list[tuple[int, int]]] = {}
        matches = []
        for example in self.squad.read(layout, language, split):
            context, answer = example.context, example.answers[0]
            if context not in breaks:
                breaks[context] = sentence_breaks(context)
            stop = answer.start + len(answer.text)
            for first, end in breaks[context]:
                if first <= answer.start and stop <= end:
                    matches.append(MatchExample(example.id, example.question, answer_text(context[first:end], context)))
                    break
        return matches
