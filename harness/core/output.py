r"""Standard output in any encoding: what it cannot hold is written as escapes, and said once.

Python stops with a traceback at the first letter that the encoding of standard output lacks, as with
`PYTHONIOENCODING=latin-1`. Answers are in any script, so the harness writes such a letter as ``\u0c24``, which JSON
reads as that letter.
"""

import codecs
import io
import sys
from typing import TextIO

#: The name under which Python's codecs find `escape`.
HANDLER = "harness.escape"


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
