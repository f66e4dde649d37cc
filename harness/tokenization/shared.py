"""One tokenizer for everyone in a process: loading XLM-R's takes more than a second.

Each graph has a file of its own, and the files of one model are equal; so the content names the tokenizer.
"""

from pathlib import Path

from harness.core.errors import ArtifactError
from harness.core.files import content_sha256
from harness.tokenization.tokenizer import FastTokenizer

#: The last one that was loaded, by the digest of its file.
_LOADED: dict[str, FastTokenizer] = {}


def shared_tokenizer(path: Path) -> FastTokenizer:
    """Return the tokenizer of a `tokenizer.json`; equal files give the same one, as long as no other is loaded.

    Raises:
        ArtifactError: the file is missing or no tokenizer.
    """
    digest = tokenizer_digest(path)
    found = _LOADED.get(digest)
    if found is None:
        # As the official scripts do it: what they score has `</s>` in a text as the special token.
        found = FastTokenizer(path, control=True)
        _LOADED.clear()
        _LOADED[digest] = found
    return found


def tokenizer_digest(path: Path) -> str:
    """Return the digest of a `tokenizer.json`, computed once in a process as long as the file stays.

    Raises:
        ArtifactError: the file is missing.
    """
    try:
        return content_sha256(path)
    except OSError as error:
        message = f"tokenizer {path} cannot be read ({error}); export the model again with `harness export`"
        raise ArtifactError(message) from error
