"""The `tokenizer.json` of a Unigram tokenizer of XLM-R's kind, from its pieces, scores and normalisation rules.

Pieces and scores are the model. The rest is what XLM-R's fast tokenizer has: a precompiled character map,
spaces stripped at the right and runs of them made one, Metaspace, and the frame `<s> A </s></s> B </s>`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.encoders.charsmap import compositions, write_charsmap

#: The mark of a space inside a piece, U+2581.
SPACE = "▁"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialIds:
    """The ids of the special tokens; their names are the pieces at these ids."""

    bos: int
    pad: int
    eos: int
    unk: int
    mask: int


def tokenizer_json(
    pieces: Sequence[str], scores: NDArray[np.float32], normalisation: Mapping[str, str], special: SpecialIds
) -> str:
    """Return the text of a `tokenizer.json`; equal arguments give equal text.

    The rules are applied as the tokenizers library does: per character, or to a whole grapheme below six bytes.
    Base characters with a combining mark (`e` + U+0301) are composed by Unicode 3.2 besides, as XLM-R's own map does;
    rules for single characters cannot say that.

    Args:
        pieces: Every piece, special tokens included; an id is a position.
        scores: (pieces,) float32, log probabilities. They are written exactly, as float64.
        normalisation: One character -> what stands for it.
        special: The ids of the special tokens.

    Raises:
        ValueError: The lengths differ, a score is not finite, a piece comes twice, an id is no position, or a rule
            cannot be written (see `harness.encoders.charsmap.write_charsmap`).
    """
    ids = _checked(pieces, scores, special)
    rules = {**normalisation, **compositions(normalisation)}
    charsmap = base64.b64encode(write_charsmap(rules)).decode("ascii")
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(index, pieces[index], is_mask=index == special.mask) for index in ids],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": charsmap},
                {"type": "Strip", "strip_left": False, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE},
            ],
        },
        "pre_tokenizer": metaspace,
        "post_processor": _frame(special, pieces),
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": special.unk,
            "vocab": list(zip(pieces, scores.astype(np.float64).tolist(), strict=True)),
            "byte_fallback": False,
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _checked(pieces: Sequence[str], scores: NDArray[np.float32], special: SpecialIds) -> list[int]:
    """Return the special ids in rising order."""
    if scores.shape != (len(pieces),) or not np.isfinite(scores).all():
        message = (
            f"scores of shape {scores.shape}; a tokenizer of {len(pieces):,} pieces needs one finite score for each"
        )
        raise ValueError(message)
    if len(set(pieces)) != len(pieces):
        message = f"{len(pieces) - len(set(pieces)):,} of {len(pieces):,} pieces come twice; each may come once"
        raise ValueError(message)
    ids = sorted({special.bos, special.pad, special.eos, special.unk, special.mask})
    if len(ids) < 5 or ids[0] < 0 or ids[-1] >= len(pieces):
        message = f"{special} are not five different ids below {len(pieces):,}"
        raise ValueError(message)
    return ids


def _added(index: int, content: str, *, is_mask: bool) -> dict[str, Any]:
    """Return one added token; a mask takes the space before it along, as transformers' XLM-R does."""
    flags = {"single_word": False, "lstrip": is_mask, "rstrip": False, "normalized": False, "special": True}
    return {"id": index, "content": content, **flags}


def _frame(special: SpecialIds, pieces: Sequence[str]) -> dict[str, Any]:
    """Return the template of special tokens; every type id is 0, in the second text of a pair too."""
    bos, eos = pieces[special.bos], pieces[special.eos]

    def token(name: str) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": 0}}

    def text(name: str) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": 0}}

    single = [token(bos), text("A"), token(eos)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, token(eos), text("B"), token(eos)],
        "special_tokens": {
            name: {"id": name, "ids": [index], "tokens": [name]}
            for name, index in ((bos, special.bos), (eos, special.eos))
        },
    }
