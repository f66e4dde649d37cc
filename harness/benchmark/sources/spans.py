"""Gold answers as spans: each must stand in its context where the file says."""

from pathlib import Path

from harness.core.errors import DataError
from harness.core.gold import GoldError, GoldErrors


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


def span_problem(context: str, text: str, start: int) -> str | None:
    """Return what is wrong with a gold answer and how it is mended, or None where nothing is.

    Some public files count bytes or UTF-16 units where SQuAD's format counts characters
    (google-research-datasets/tydiqa#9); such a start is named as what it is.

    Args:
        context: the paragraph.
        text: the answer.
        start: its first character, counted in code points of the context.
    """
    if not text.strip():
        return f"has an empty answer ({text!r}) at answer_start {start}; leave the answer out"
    if context.startswith(text, start) and 0 <= start <= len(context):
        return None
    given = f"answer {shortened(text)!r} at answer_start {start}"
    if text not in context:
        return f"has {given}, and its context does not contain it; correct the answer, or leave the question out"
    for unit, encoding, width in (("bytes", "utf-8", 1), ("UTF-16 units", "utf-16-le", 2)):
        encoded = context.encode(encoding)
        if start >= 0 and encoded.startswith(text.encode(encoding), start * width):
            right = len(encoded[: start * width].decode(encoding, errors="ignore"))
            return f"has {given}, which counts {unit}; count characters: {right}"
    found = shortened(context[start : start + len(text)]) if 0 <= start < len(context) else ""
    there = f"where its context has {found!r}" if found else f"outside its context of {len(context)} characters"
    return f"has {given}, {there}; the first such answer is at {context.index(text)}"


def shortened(text: str, most: int = 40) -> str:
    """Return a text as an error message shows it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
