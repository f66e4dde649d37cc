"""Whether a file is in the script of its language; one of another language in its place scores near chance."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from harness.benchmark.sources.lines import FEW, MANY
from harness.core.errors import DataError
from harness.core.examples import Example
from harness.core.languages import table

#: Letters of each script of `languages.tsv`, as ranges of code points (Unicode 15, Blocks.txt).
_LETTERS = {
    "Arab": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "Beng": "\u0980-\u09ff",
    "Cyrl": "\u0400-\u052f",
    "Deva": "\u0900-\u097f",
    "Geor": "\u10a0-\u10ff\u1c90-\u1cbf\u2d00-\u2d2f",
    "Grek": "\u0370-\u03ff\u1f00-\u1fff",
    "Gujr": "\u0a80-\u0aff",
    "Guru": "\u0a00-\u0a7f",
    "Hang": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3",
    "Hani": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "Hebr": "\u0590-\u05ff\ufb1d-\ufb4f",
    "Jpan": "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f",
    "Latn": "A-Za-z\u00c0-\u024f\u1e00-\u1eff\uff21-\uff5a",
    "Mlym": "\u0d00-\u0d7f",
    "Mymr": "\u1000-\u109f",
    "Taml": "\u0b80-\u0bff",
    "Telu": "\u0c00-\u0c7f",
    "Thai": "\u0e00-\u0e7f",
}
#: A file of a language has so many items with a letter of its script at least.
LEAST = 0.5


@cache
def _letters(script: str) -> re.Pattern[str]:
    return re.compile(f"[{_LETTERS[script]}]")


@cache
def _not_latin() -> re.Pattern[str]:
    return re.compile("[" + "".join(letters for script, letters in _LETTERS.items() if script != "Latn") + "]")


def check_script(path: Path, language: str, examples: Sequence[Example]) -> None:
    """Refuse a file of which most items have no letter of the language's script.

    Languages of one script are not distinguished, nor are languages judged that the table lacks. Files made by hand for
    a trial are often in Latin letters whatever their language, so those are judged from `MANY` items on only.

    Raises:
        DataError: names the script and the share.
    """
    row = table().get(language)
    if row is None or row.script not in _LETTERS or len(examples) < FEW:
        return
    lacking = [
        example
        for example in examples
        if not _letters(row.script).search("\n".join(text for _, text in example.texts()))
    ]
    if len(lacking) <= (1 - LEAST) * len(examples):
        return
    others = sum(_not_latin().search("\n".join(text for _, text in example.texts())) is not None for example in lacking)
    if len(examples) >= MANY or 2 * others > len(lacking):
        message = (
            f"{path}: {len(lacking):,} of {len(examples):,} items have no letter of {row.name}'s script, "
            f"{row.script}; put the file of {language!r} there"
        )
        raise DataError(message)
