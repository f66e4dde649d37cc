"""Mewsli-X (mewsli-x_20220518_6): mentions of entities in news, and a million descriptions to link them to.

Formats: google-research/google-research dense_representations_for_entity_retrieval/mel/mewsli-x.md.
Released results of the paper used other data and do not compare.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.benchmark.sources.lines import iterate_lines, malformed, stripped
from harness.benchmark.sources.rows import id_of, text_of, whole_number
from harness.benchmark.sources.spans import refuse_or_count, shortened, span_problem
from harness.benchmark.sources.strict_json import parse_object
from harness.core.errors import DataError
from harness.core.examples import MatchExample, SentenceExample
from harness.core.gold import GoldError, GoldErrors
from harness.core.layout import DataFile, Layout, Split

T = TypeVar("T")

#: A pair of braces in the text, which would look like the mention's own.
_PAIR = re.compile(r"\{(.*?)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """One article a line; each of its mentions is a query for the entity it names."""

    file: DataFile
    splits: tuple[Split, ...] = ("dev", "test")

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=split),)

    def read(self, layout: Layout, language: str, split: Split) -> list[SentenceExample]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        seen: set[str] = set()
        allowed = layout.gold_errors
        articles = _rows(path, lambda row: _article(path, row, seen, allowed))
        examples = [example for article in articles for example in article]
        if not any(gold for example in examples for gold in example.gold):
            raise stripped(path, "no entity in any mention")
        return examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Entities:
    """One entity a line; its candidate text is its description, up to three sentences without the title."""

    file: DataFile

    def paths(self, layout: Layout, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.PoolSource`."""
        return (self.file.at(layout),)

    def read(self, layout: Layout, split: Split) -> Iterator[SentenceExample]:
        """See `harness.core.task.PoolSource`."""
        (path,) = self.paths(layout, split)
        seen: set[str] = set()
        yield from _rows(
            path,
            lambda row: SentenceExample(_new(id_of(row, "entity_id"), seen), description(row), "candidate"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionPairs:
    """Mentions of English Wikipedia with their entities, for training."""

    file: DataFile
    splits: tuple[Split, ...] = ("train", "dev")

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, split=split),)

    def read(self, layout: Layout, language: str, split: Split) -> list[MatchExample]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)

        def pair(row: Mapping[str, Any]) -> MatchExample | None:
            mention = row["contextual_mention"]
            name = id_of(mention["mention"], "example_id")
            span = mention["mention"]["mention_span"]
            right = check_mention(path, name, mention["context"], span, layout.gold_errors)
            if split == "train" and not right:
                return None
            query = marked(mention["context"], span)
            return MatchExample(name, query, description(row["entity"]))

        return [example for example in _rows(path, pair) if example is not None]


def _rows(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    """Yield what `parse` makes of each line's object; errors name file and line, and an empty file is one."""
    number = 0
    for number, line in enumerate(iterate_lines(path), start=1):
        try:
            yield parse(parse_object(line))
        except KeyError as error:
            raise malformed(path, number, f"the object lacks the key {error}") from error
        except (ValueError, TypeError, IndexError) as error:
            raise malformed(path, number, str(error)) from error
    if not number:
        message = f"{path} is empty; it must hold at least one row"
        raise DataError(message)


def _article(path: Path, row: Mapping[str, Any], seen: set[str], allowed: GoldErrors | None) -> list[SentenceExample]:
    """Return an article's mentions; `seen` holds the ids of the articles before."""
    examples = []
    for mention in row["mentions"]:
        name = _new(id_of(mention, "example_id"), seen)
        # A blank entity is what stripping leaves.
        gold = frozenset({id_of(mention, "entity_id")} if mention["entity_id"] != "" else ())
        check_mention(path, name, row["context"], mention["mention_span"], allowed)
        examples.append(SentenceExample(name, marked(row["context"], mention["mention_span"]), "query", gold))
    return examples


def check_mention(
    path: Path, name: str, context: Mapping[str, Any], span: Mapping[str, Any], allowed: GoldErrors | None
) -> bool:
    """Return whether a mention stands where its span says; one that does not is refused, or counted where allowed.

    Raises:
        DataError: it does not stand there, and that is not allowed.
    """
    # Without the article's text, which is put in afterwards, there is nothing to compare.
    if "text" not in span or not context["text"]:
        return True
    text, named = text_of(context, "text"), text_of(span, "text")
    start, end = whole_number(span["start"]), whole_number(span["end"])
    problem = span_problem(text, named, start, what="text", at="start", item="mention")
    if problem is None and end != start + len(named):
        problem = f"has text {shortened(named)!r} at start {start} and end {end}; the end must be {start + len(named)}"
    if problem is not None:
        refuse_or_count(GoldError(path, name, problem, "mention"), allowed)
    return problem is None


def _new(name: str, seen: set[str]) -> str:
    if name in seen:
        message = f"id {name!r} occurs twice; ids must be unique"
        raise ValueError(message)
    seen.add(name)
    return name


def marked(context: Mapping[str, Any], span: Mapping[str, Any]) -> str:
    """Return a mention as queries show it: ``m: left { m } right``, m's sentence alone.

    Pairs of braces around it become parentheses (google-research/xtreme@838c13b
    third_party/utils_mewslix.py, `preprocess_mention`).

    Raises:
        ValueError: the article has no text, or no sentence of it holds the mention.
    """
    text, start, end = text_of(context, "text"), whole_number(span["start"]), whole_number(span["end"])
    if not text:
        message = "the article's text is empty; Mewsli-X ships without it, `get-mewsli-x.sh` puts it in"
        raise ValueError(message)
    holding = [(first, last) for first, last in _spans(context, len(text)) if first <= start < end <= last]
    if not holding:
        message = f"no sentence of the article holds mention_span {start} to {end}"
        raise ValueError(message)
    first, last = holding[0]
    left, right = (_PAIR.sub(r"(\1)", part) for part in (text[first:start], text[end:last]))
    mention = text[start:end]
    return _one_line(f"{mention}: {left} {{ {mention} }} {right}")


def description(entity: Mapping[str, Any]) -> str:
    """Return an entity's description, its sentences joined by a space (`preprocess_entity_description` there)."""
    text = text_of(entity, "description")
    return _one_line(" ".join(text[first:last] for first, last in _spans(entity, len(text))))


def _one_line(text: str) -> str:
    # One pass only, as the official code does: four spaces become two.
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def _spans(holder: Mapping[str, Any], length: int) -> Sequence[tuple[int, int]]:
    """Return the sentence spans, which are pairs or objects with start and end.

    Raises:
        ValueError: one lies outside of the text, which has `length` characters.
    """
    spans = [
        (whole_number(span["start"]), whole_number(span["end"]))
        if isinstance(span, Mapping)
        else (whole_number(span[0]), whole_number(span[1]))
        for span in holder["sentence_spans"]
    ]
    wrong = next((span for span in spans if not 0 <= span[0] <= span[1] <= length), None)
    if wrong is not None:
        message = f"sentence_spans has {wrong[0]} to {wrong[1]}, and the text has {length} characters"
        raise ValueError(message)
    return spans
