"""Gold answers as spans: each must stand in its context where the file says."""

import unicodedata
from difflib import SequenceMatcher
from pathlib import Path

from harness.benchmark.sources.lines import is_visible
from harness.core.errors import DataError
from harness.core.gold import GoldError, GoldErrors

#: How alike a sentence and its slice of the context must be where they are not equal. The official Turkish XQuAD-R
#: has two sentences that differ by a few characters (0.98 and 0.99); a slice of another sentence is far below.
ALIKE = 0.95


def check_span(path: Path, question: str, context: str, text: str, start: int, allowed: GoldErrors | None) -> bool:
    """Return whether a gold answer stands in its context; one that does not is refused, or counted where allowed.

    Args:
        path: the file.
        question: the question's id.
        context: the paragraph.
        text: the answer.
        start: its first character, counted in code points of the context.
        allowed: collects what does not stand there; None refuses it.

    Raises:
        DataError: the answer does not stand there, and that is not allowed.
    """
    problem = span_problem(context, text, start)
    if problem is not None:
        refuse_or_count(GoldError(path, question, problem), allowed)
    return problem is None


def refuse_or_count(error: GoldError, allowed: GoldErrors | None) -> None:
    """Count a gold error where that is allowed.

    Raises:
        DataError: it is not.
    """
    if allowed is None:
        message = f"{error.describe()}; or count such answers with `--allow-gold-errors`"
        raise DataError(message)
    allowed.add(error)


def span_problem(
    context: str, text: str, start: int, *, what: str = "answer", at: str = "answer_start", item: str = "question"
) -> str | None:
    """Return what is wrong with a gold answer and how it is mended, or None where nothing is.

    Some public files count bytes or UTF-16 units where SQuAD's format counts characters
    (google-research-datasets/tydiqa#9); such a start is named as what it is.

    Args:
        context: the paragraph.
        text: the answer.
        start: its first character, counted in code points of the context.
        what: what the text is called.
        at: what its start is called.
        item: what can be left out.
    """
    if not is_visible(text):
        return f"has an empty {what} ({text!r}) at {at} {start}; leave the {what} out"
    if context.startswith(text, start) and 0 <= start <= len(context):
        return None
    given = f"{what} {shortened(text)!r} at {at} {start}"
    if text not in context:
        form = unicodedata.normalize("NFC", text) in unicodedata.normalize("NFC", context)
        other = "contains it in another Unicode normal form only; bring both to NFC and count again"
        lacks = f"does not contain it; correct the {what}, or leave the {item} out"
        return f"has {given}, and its context {other if form else lacks}"
    for unit in _UNITS:
        right = _characters(context, start, unit)
        if right is not None and context.startswith(text, right):
            return f"has {given}, which counts {unit}; count characters: {right}"
    found = shortened(context[start : start + len(text)]) if 0 <= start < len(context) else ""
    there = f"where its context has {found!r}" if found else f"outside its context of {len(context)} characters"
    return f"has {given}, {there}; the first such {what} is at {context.index(text)}"


#: What some files count instead of characters: encoding, and bytes of it for one unit.
_UNITS = {"bytes": ("utf-8", 1), "UTF-16 units": ("utf-16-le", 2)}


def _characters(context: str, offset: int, unit: str) -> int | None:
    """Return the characters before an offset that counts another unit; None where it is inside of a character."""
    encoding, width = _UNITS[unit]
    encoded = context.encode(encoding)
    if not 0 <= offset * width <= len(encoded):
        return None
    try:
        return len(encoded[: offset * width].decode(encoding))
    except UnicodeDecodeError:
        return None


def sentence_problem(context: str, sentence: str, first: int, end: int) -> str | None:
    """Return what is wrong with the place of a sentence, or None where nothing is.

    Args:
        context: the paragraph.
        sentence: one of its sentences.
        first: its first character, counted in code points of the context.
        end: the character behind it.
    """
    held = context[first:end] if 0 <= first <= end else ""
    if held == sentence:
        return None
    given = f"has sentence_breaks {first} to {end}"
    for unit in _UNITS:
        right = [_characters(context, offset, unit) for offset in (first, end)]
        if None not in right and context[right[0] : right[1]] == sentence:
            return f"{given}, which count {unit}; count characters: {right[0]} to {right[1]}"
    if SequenceMatcher(None, sentence, held, autojunk=False).ratio() >= ALIKE:
        return None
    return f"{given}, where its context has {shortened(held)!r} and not {shortened(sentence)!r}"


def shortened(text: str, most: int = 40) -> str:
    """Return a text as an error message shows it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
