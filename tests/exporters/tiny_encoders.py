"""Tiny encoders with random weights, as `benchmarks.families` makes them, and ways to spoil them."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from benchmarks.families import LAYERS, ROWS, tiny_encoder, tiny_tokenizer

__all__ = ["LAYERS", "ROWS", "change_config", "change_weights", "tiny_encoder", "tiny_tokenizer"]


def change_weights(folder: Path, change: Any) -> None:
    """Replace the tensors of a folder with one file of weights by what a function makes of them."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def change_config(folder: Path, **values: Any) -> None:
    """Set values of config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")
