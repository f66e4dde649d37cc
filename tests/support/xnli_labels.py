"""Labels of XNLI for tests of comparisons."""

from collections.abc import Sequence

LABELS = ("contradiction", "entailment", "neutral")


def wrong(gold: Sequence[str], *places: int) -> list[str]:
    """Return labels that are wrong at some places."""
    return [LABELS[(LABELS.index(label) + 1) % 3] if at in places else label for at, label in enumerate(gold)]
