"""Where sentences end, for training sets that do not say."""

import re

#: A full stop of some script, what may close after it, and white space; CJK needs no white space.
_END = re.compile(
    r"[.!?\u0964\u06d4\u061f]+[\"'\u201d\u2019)\]\u00bb]*\s+|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019)\]]*\s*"
)


def sentence_breaks(text: str) -> list[tuple[int, int]]:
    """Return start and end of each sentence in characters, white space between them left out.

    A rule, not a model: a sentence ends at a full stop, exclamation or question mark that white space
    follows, unless the next letter is small or what stands before is one capital letter ("J. Smith").
    Errors make a training example's candidate sentence longer or shorter, nothing else.
    """
    breaks = []
    start = 0
    for match in _END.finditer(text):
        after = text[match.end() : match.end() + 1]
        initial = re.search(r"(?:^|[\s.])[A-Z]$", text[: match.start()])
        if after.islower() or (initial and match.group().startswith(".")):
            continue
        end = match.start() + len(match.group().rstrip())
        if text[start:end].strip():
            breaks.append((start, end))
        start = match.end()
    if text[start:].strip():
        breaks.append((start, len(text.rstrip())))
    return breaks
