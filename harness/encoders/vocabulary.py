"""Whether a tokenizer and an encoder belong together: sizes, special ids, and ids that are known."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from harness.core.errors import CheckpointError
from harness.encoders.families import Family

#: Part of the embedding's rows that no subword may use: mDeBERTa has 0.36 % of them, multilingual-e5-small 0.01 %.
SPARE = 0.01
_PADS = ("<pad>", "[PAD]")


def check_vocabulary(tokenizer: Path, config: Mapping[str, Any], family: Family, source: object) -> None:
    """Refuse a tokenizer that is not the encoder's.

    Args:
        tokenizer: its tokenizer.json.
        config: the values of the encoder's config.json.
        family: the encoder's.
        source: the encoder's folder or hub id, for messages.

    Raises:
        CheckpointError: names what differs, with both values.
    """
    try:
        read = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # tokenizers raises a bare Exception for every failure
        message = f"tokenizer {tokenizer} of {str(source)!r} cannot be read ({error}); give the checkpoint's own one"
        raise CheckpointError(message) from error
    problem = next(vocabulary_problems(read, config, family), None)
    if problem is not None:
        message = (
            f"the tokenizer of {str(source)!r} is not its encoder's: {problem}; give the checkpoint's own tokenizer"
        )
        raise CheckpointError(message)


def vocabulary_problems(tokenizer: Tokenizer, config: Mapping[str, Any], family: Family) -> Iterator[str]:
    """Yield what shows that a tokenizer is not an encoder's, as parts of sentences."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = tokenizer.get_vocab(with_added_tokens=True).values()
    size, rows = len(set(ids)), int(config["vocab_size"])
    largest = max(ids, default=0)
    if size > rows or largest >= rows:
        yield f"it has {size:,} subwords with ids up to {largest:,}, the embedding has {rows:,} rows"
    elif rows - size > rows * SPARE:
        yield f"it has {size:,} subwords, the embedding has {rows:,} rows"
    known = family.known_ids.get(rows, {})
    read = {text: tuple(tokenizer.encode(text).ids) for text in known}
    # Some config.json have another model's padding id, as multilingual-e5-small's, and nothing reads it there.
    if read != known or not known or family.positions_from_pad:
        yield from _special_problems(tokenizer, config, family)
    for text, ids in known.items():
        if read[text] != ids:
            yield (
                f"it reads {text!r} as {_ids(read[text])}, and the tokenizer of {family.model_type} encoders with "
                f"{rows:,} rows reads {_ids(ids)}"
            )


def _special_problems(tokenizer: Tokenizer, config: Mapping[str, Any], family: Family) -> Iterator[str]:
    frame = tokenizer.encode("a").ids
    pads = [found for name in _PADS if (found := tokenizer.token_to_id(name)) is not None]
    own = {"pad": pads[0] if pads else None, "first": frame[0] if frame else None, "last": frame[-1] if frame else None}
    for key, role in family.special_ids.items():
        wanted = config.get(key)
        if wanted is not None and own[role] != wanted:
            yield f"its {_ROLES[role]} has the id {own[role]}, {key} in config.json is {wanted}"


_ROLES = {"pad": "padding", "first": "first token of a sentence", "last": "last token of a sentence"}


def _ids(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids[:8])) + (" ..." if len(ids) > 8 else "")


def without_token_types(tokenizer: str) -> str:
    """Return the text of a tokenizer.json whose pairs have the token type 0 throughout.

    The tokenizers of DeBERTa and mmBERT mark the second sequence, and their encoders do not read it. The frame of
    a checkpoint's tokenizer says which token types rows have, so that nothing else has to know.
    """
    content = json.loads(tokenizer)
    content["post_processor"] = _without_types(content["post_processor"])
    return json.dumps(content, ensure_ascii=False)


def _without_types(processor: Any) -> Any:
    kind = processor["type"] if isinstance(processor, dict) else None
    if kind == "Sequence":
        return {**processor, "processors": [_without_types(part) for part in processor["processors"]]}
    if kind == "TemplateProcessing":
        return {**processor, "pair": [_without_type(part) for part in processor["pair"]]}
    if kind == "BertProcessing":
        (first, first_id), (last, last_id) = processor["cls"], processor["sep"]
        template = TemplateProcessing(
            single=f"{first} $A {last}",
            pair=f"{first} $A {last} $B {last}",
            special_tokens=[(first, first_id), (last, last_id)],
        )
        return json.loads(template.__getstate__())
    return processor


def _without_type(part: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {**value, "type_id": 0} for name, value in part.items()}
