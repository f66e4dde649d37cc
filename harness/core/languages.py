"""The 50 languages of XTREME and XTREME-R with script and family, from `languages.tsv`.

Scripts are ISO 15924 and are the key by which scores are aggregated: Japanese is ``Jpan``, Korean
``Hang``, Chinese ``Hani`` whether simplified or traditional, Persian and Urdu ``Arab``.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from harness.core.errors import UsageError, nearest


@dataclass(frozen=True, slots=True)
class Language:
    """One row of the table."""

    #: ISO 639-1, as XTREME names its files.
    code: str
    iso639_3: str
    #: The code in Tatoeba's file names; None where Tatoeba lacks the language.
    tatoeba: str | None
    name: str
    script: str
    family: str

    @property
    def top_family(self) -> str:
        """Return the family without its branch; two isolates are two families."""
        name = self.family.partition(" (")[0]
        return f"isolate ({self.name})" if name == "isolate" else name


@cache
def table() -> dict[str, Language]:
    """Return the languages by code, in alphabetical order of the codes."""
    lines = files("harness.core").joinpath("languages.tsv").read_text(encoding="utf-8").strip().split("\n")[1:]
    rows = {}
    for line in lines:
        code, iso, tatoeba, name, script, family = line.split("\t")
        rows[code] = Language(code, iso, None if tatoeba == "-" else tatoeba, name, script, family)
    return rows


def language(code: str) -> Language:
    """Return one language.

    Raises:
        UsageError: the code is not one of the 50.
    """
    known = table()
    if code not in known:
        named = [row.code for row in known.values() if code.lower() in (row.name.lower(), row.iso639_3, row.tatoeba)]
        hint = f", did you mean {named[0]!r}" if named else nearest(code, known)
        message = f"no language {code!r}{hint}; the {len(known)} codes are {' '.join(known)}"
        raise UsageError(message)
    return known[code]


def scripts() -> tuple[str, ...]:
    """Return the scripts in the order in which tables print them: most languages first."""
    count: dict[str, int] = {}
    for row in table().values():
        count[row.script] = count.get(row.script, 0) + 1
    return tuple(sorted(count, key=lambda script: (-count[script], script)))


def check_script(script: str) -> str:
    """Return the script's name.

    Raises:
        UsageError: no language of the benchmarks is written in it.
    """
    known = scripts()
    if script not in known:
        message = f"no script {script!r}{nearest(script, known)}; the scripts are {' '.join(known)}"
        raise UsageError(message)
    return script
