"""How sequences share a row that is too short for them."""

from collections.abc import Sequence


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the subwords that are kept of two sequences, cutting the longer one subword by subword.

    Equal lengths lose from the second, as in transformers' `truncate_sequences`.
    """
    excess = first + second - room
    if excess <= 0:
        return first, second
    gap = min(excess, abs(first - second))
    if first > second:
        first -= gap
    else:
        second -= gap
    excess -= gap
    return first - excess // 2, second - (excess + 1) // 2


def shared_first(prompt: list[int], choices: Sequence[list[int]], room: int) -> tuple[list[int], list[list[int]]]:
    """Return a prompt and its choices, cut so that each choice fits into a row with the prompt.

    What all rows share is cut first, and in all of them alike: the prompt from its beginning, the subwords that all
    choices begin with, then those that all end with. Only then the choices are cut, each at its end.

    Args:
        prompt: subword ids that stand before every choice.
        choices: subword ids of each choice.
        room: subwords that a row holds beside its frame.
    """
    longest = max(map(len, choices))
    prompt = prompt[len(prompt) - max(0, min(len(prompt), room - longest)) :]
    excess = max(0, longest - room)
    shortest = min(map(len, choices))
    begins = min(excess, _common(choices, shortest))
    ends = min(excess - begins, _common([choice[::-1] for choice in choices], shortest - begins))
    return prompt, [choice[begins : len(choice) - ends][:room] for choice in choices]


def _common(sequences: Sequence[Sequence[int]], most: int) -> int:
    """Return how many items all sequences begin with, at most so many."""
    for place, items in enumerate(zip(*sequences, strict=False)):
        if place == most or len(set(items)) > 1:
            return place
    return most
