"""The guard that keeps evaluation sentences out of training, text and parallel files.

Splitting events is not enough: a question leaves out what it asks after, so two events of
different splits can share one. The guard sees the sentences themselves.
"""

from collections import defaultdict
from collections.abc import Iterable

from harness.sample.render import LanguageTable
from harness.sample.world import Sentence


def plain(text: str) -> str:
    """Return the text without case and white space; Turkish dotted capitals become plain."""
    return "".join(text.casefold().replace("\u0307", "").split())


class Guard:
    """Knows the evaluation sentences of every language, and finds them in other text."""

    def __init__(self, languages: dict[str, LanguageTable]):
        """Start with no evaluation sentence for any of the languages."""
        self.languages = languages
        self.held: dict[str, set[str]] = {code: set() for code in languages}
        self.starts: dict[str, dict[str, list[str]]] = {}

    def hold(self, code: str, sentences: Iterable[Sentence]) -> None:
        """Keep these evaluation sentences out of whatever is written later in the language."""
        language = self.languages[code]
        self.held[code].update(plain(language.render(sentence).text) for sentence in sentences)
        self.starts.pop(code, None)

    def passes(self, code: str, sentences: Iterable[Sentence]) -> bool:
        """Return whether no evaluation sentence occurs in the text of these sentences."""
        starts = self._starts(code)
        width = len(next(iter(starts), ""))
        render = self.languages[code].render
        text = "".join(plain(render(sentence).text) for sentence in sentences)
        for i in range(len(text) - width + 1):
            for whole in starts.get(text[i : i + width], ()):
                if text.startswith(whole, i):
                    return False
        return True

    def _starts(self, code: str) -> dict[str, list[str]]:
        """Return the language's evaluation sentences by their first letters, for fast search."""
        if code not in self.starts:
            width = min((len(text) for text in self.held[code]), default=1)
            found: dict[str, list[str]] = defaultdict(list)
            for text in self.held[code]:
                found[text[:width]].append(text)
            self.starts[code] = found
        return self.starts[code]
