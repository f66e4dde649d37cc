r"""Standard output in any encoding: what it cannot hold is written as escapes, and said once.

Python stops with a traceback at the first letter that the encoding of standard output lacks, as with
`PYTHONIOENCODING=latin-1`. Answers are in any script, so the harness writes such a letter as ``\u0c24``, which JSON
reads as that letter.

Control characters are written so too, wherever they come from: an example's id, a file's name, a server's error. A
terminal would obey them: move the cursor, colour, rename the window, turn the direction of a line.
"""

import codecs
import io
import re
import sys
from typing import Any, TextIO, cast

#: The name under which Python's codecs find `escape`.
HANDLER = "harness.escape"


#: C0 but tab and newline, DEL, C1, and what overrides the direction of text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Return a text in which control characters are seen and not obeyed: ``\\u001b[31m``."""
    return _CONTROL.sub(lambda found: escaped(found[0]), text)


class Visible:
    """A stream of text in which control characters are seen; all else is the stream's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text; see `visible`."""
        self._stream.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


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


def show_control_characters() -> None:
    """Let standard output show control characters instead of passing them on to a terminal that obeys them."""
    if not isinstance(sys.stdout, Visible):
        sys.stdout = cast(TextIO, Visible(sys.stdout))


def accept_all_letters(stream: TextIO | None = None) -> None:
    """Let a stream write any text, whatever its encoding is.

    Args:
        stream: standard output where None; one that has no encoding to set (as tests have) stays as it is.
    """
    chosen = sys.stdout if stream is None else stream
    if isinstance(chosen, io.TextIOWrapper):
        codecs.register_error(HANDLER, _Escapes())
        chosen.reconfigure(errors=HANDLER)
