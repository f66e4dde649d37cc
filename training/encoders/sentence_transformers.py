"""The files that sentence-transformers writes beside a checkpoint: pooling, prompts, longest row; without that package.

Layout: modules.json names the modules in their order, `1_Pooling/config.json` how vectors are made,
`config_sentence_transformers.json` prompts and similarity, `sentence_bert_config.json` the longest row.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import CheckpointError
from harness.core.heads import Pooling
from training.encoders.hub import MODULES
from training.encoders.loading import CheckpointSource

#: Key of 1_Pooling/config.json -> the pooling; newer files have one key `pooling_mode` with the value.
_MODES: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
_NAMES: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_QUERIES, _CANDIDATES = ("query",), ("passage", "document", "corpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceModel:
    """How a sentence-transformers folder makes vectors."""

    #: Where the transformer's own files are.
    source: CheckpointSource
    #: None where a layer between pooling and vector decides, which `--pooling` has to name.
    pooling: Pooling | None
    #: Why `pooling` is None.
    problem: str = ""
    query_prompt: str = ""
    candidate_prompt: str = ""
    row_tokens: int | None = None


def read_sentence_model(source: CheckpointSource, *, needed: bool = True) -> SentenceModel | None:
    """Return how a folder or a hub id of sentence-transformers makes vectors; None where it is no such folder.

    Args:
        source: the folder or the hub id.
        needed: whether nothing else says how the vectors are made.

    Raises:
        CheckpointError: a file is damaged, or asks for what the harness's graphs do not compute; or only the hub could
            say whether there is such a file.
    """
    modules = _read(source, MODULES)
    if modules is None:
        if needed and not source.knows(MODULES):
            message = (
                f"the hub's cache has {source.name!r} without {MODULES}, and only the hub knows whether it has one, "
                f"which says how vectors are made; connect once, or say it with `--pooling`"
            )
            raise CheckpointError(message)
        return None
    kinds = {str(module["type"]).rpartition(".")[2]: str(module.get("path", "")) for module in modules}
    if "Transformer" not in kinds:
        message = f"modules.json of {source.name!r} has {', '.join(kinds)} and no Transformer; give an encoder's folder"
        raise CheckpointError(message)
    inner = kinds["Transformer"]
    if inner and not Path(source.name).is_dir():
        message = f"{source.name!r} keeps its transformer in {inner}; download it, and give the folder"
        raise CheckpointError(message)
    settings = _read(source, "config_sentence_transformers.json") or {}
    rows = _read(source, f"{inner}/sentence_bert_config.json" if inner else "sentence_bert_config.json") or {}
    pooling, problem = _pooling(source, kinds)
    _check_similarity(source, settings, "Normalize" in kinds)
    if rows.get("do_lower_case"):
        message = (
            f"sentence_bert_config.json of {source.name!r} lowers letters, which its tokenizer.json does not; "
            f"give a checkpoint whose tokenizer does all of it"
        )
        raise CheckpointError(message)
    prompts = settings.get("prompts") or {}
    default = prompts.get(settings.get("default_prompt_name") or "", "")
    return SentenceModel(
        source=CheckpointSource(f"{source.name}/{inner}", source.revision) if inner else source,
        pooling=pooling,
        problem=problem,
        query_prompt=next((prompts[name] for name in _QUERIES if name in prompts), default),
        candidate_prompt=next((prompts[name] for name in _CANDIDATES if name in prompts), default),
        row_tokens=rows.get("max_seq_length"),
    )


def _pooling(source: CheckpointSource, kinds: dict[str, str]) -> tuple[Pooling | None, str]:
    extra = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if extra:
        return None, f"modules.json has {', '.join(extra)}, which the harness's graphs do not compute"
    if "Pooling" not in kinds:
        return None, "modules.json has no Pooling"
    config = _read(source, f"{kinds['Pooling']}/config.json") or {}
    if config.get("include_prompt") is False:
        return None, "its pooling leaves the prompt out, which the harness's graphs do not"
    chosen = [mode for key, mode in _MODES.items() if config.get(key)]
    other = [key for key, value in config.items() if key.startswith("pooling_mode_") and value and key not in _MODES]
    if "pooling_mode" in config:
        named = str(config["pooling_mode"])
        return _NAMES.get(named), f"its pooling is {named!r}"
    if len(chosen) != 1 or other:
        return None, f"its pooling is {', '.join([*chosen, *other]) or 'none'}, one of mean, cls and last is expected"
    return chosen[0], ""


def _check_similarity(source: CheckpointSource, settings: dict[str, Any], normalized: bool) -> None:
    named = settings.get("similarity_fn_name")
    if named in (None, "cosine") or (named in ("dot", "dot_product") and normalized):
        return
    message = (
        f"{source.name!r} compares vectors by {named!r}, the harness compares them by cosine; "
        f"give an encoder whose similarity is cosine"
    )
    raise CheckpointError(message)


def _read(source: CheckpointSource, name: str) -> Any:
    path = source.file(name)
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{name} of {source.name!r} is not JSON ({error}); copy or download it again"
        raise CheckpointError(message) from error
