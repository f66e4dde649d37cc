"""How two sequences share a row that is too short for both."""


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
