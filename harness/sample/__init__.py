"""The sample data: a small world of events, in sentences of 13 languages, as files of several tasks.

It lets a user try the whole harness without the real data sets. Its numbers mean nothing beyond
that.
"""

import shutil
from hashlib import sha256
from pathlib import Path

from harness.core.errors import DataError
from harness.sample.render import LANGUAGES
from harness.sample.writers import write

__all__ = ["LANGUAGES", "ensure", "generator_digest", "write"]

#: Names, in the folder of the data, the generator that wrote it.
STAMP = ".generated-by"


def generator_digest() -> str:
    """Return the identity of the generator: a hash over its code and its tables."""
    digest = sha256()
    folder = Path(__file__).parent
    for path in sorted([*folder.glob("*.py"), *folder.glob("languages/*.tsv")]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure(destination: Path) -> bool:
    """Write the sample data there unless this very generator already has; return whether it wrote.

    Data of an older generator is replaced, so that a change of a table is never scored as before.
    """
    stamp = destination / STAMP
    current = generator_digest()
    if stamp.is_file() and stamp.read_text(encoding="ascii").strip() == current:
        return False
    if destination.exists() and not stamp.is_file():
        message = f"{destination} is not sample data of this project; move it away, the sample is written there"
        raise DataError(message)
    # The stamp goes last and comes off first, so that a folder with a stamp is whole.
    if destination.exists():
        shutil.rmtree(destination)
    write(destination)
    stamp.write_text(current + "\n", encoding="ascii")
    return True
