r"""Standard output in any encoding: what it cannot hold is written as escapes, and said once.

Python stops with a traceback at the first letter that the encoding of standard output lacks, as with
`PYTHONIOENCODING=latin-1`. Answers are in any script, so the harness writes such a letter as ``\u0c24``, which JSON
reads as that letter.

Control characters of data, names and servers' errors are written as the same escapes, on standard error too: a
terminal would obey them.
"""

import codecs
import io
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

#: The name under which Python's codecs find `escape`.
HANDLER = "harness.escape"

#: What a terminal obeys: C0 without tab and line feed, DEL, C1 (as the CSI of eight bits), and the embeddings,
#: overrides and isolates of the Unicode bidirectional algorithm (UAX #9), which show text in another order.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class _Escapes:
    """Writes escapes, with one note before the first of them."""

    def __init__(self) -> None:
        self.noted = False

    def __call__(self, error: UnicodeError) -> tuple[str, int]:
        """Return the escapes of the letters that an encoding lacks, and where it goes on.

        Raises:
            UnicodeError: it was no letter that could not be written.
        """
        if not isinstance(error, UnicodeEncodeError):
            raise error
        if not self.noted:
            self.noted = True
            note = (
                f"harness: standard output is {error.encoding}, which lacks some letters of this text; they are "
                f"written as \\u and their number, `PYTHONIOENCODING=utf-8` writes them as they are"
            )
            print(note, file=sys.stderr)  # noqa: T201 - once, beside the output that it is about
        return escaped(error.object[error.start : error.end]), error.end


def escaped(text: str) -> str:
    r"""Return each letter as JSON escapes it: ``\\u0c24``, and two of them beyond the basic plane."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


def accept_all_letters(stream: TextIO | None = None) -> None:
    """Let a stream write any text, whatever its encoding is.

    Args:
        stream: standard output where None; one that has no encoding to set (as tests have) stays as it is.
    """
    chosen = sys.stdout if stream is None else stream
    if isinstance(chosen, io.TextIOWrapper):
        codecs.register_error(HANDLER, _Escapes())
        chosen.reconfigure(errors=HANDLER)


def shown(text: str) -> str:
    r"""Return a text that a terminal shows and does not obey: ESC is ``\\u001b``, as JSON escapes it."""
    return _OBEYED.sub(lambda found: escaped(found.group()), text)


class _Shown:
    """A text stream that writes `shown` texts; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: Any) -> int:
        """Write a text; return its length, as it was given.

        Raises:
            TypeError: it is no text. click finds out by that which streams are binary.
        """
        if not isinstance(text, str):
            message = f"a text is expected, not {type(text).__name__}"
            raise TypeError(message)
        self._stream.write(shown(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def only_shown() -> Iterator[None]:
    """Let nothing that a terminal obeys pass to standard output and error inside a `with` block.

    Bars of progress move the cursor: `harness.core.terminal` writes them to the stream below, see `unguarded`.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", _Shown(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream below one that `only_shown` guards, or the stream itself."""
    return stream._stream if isinstance(stream, _Shown) else stream
