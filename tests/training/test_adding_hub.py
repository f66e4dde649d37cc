"""`harness add` from the hub, as a user types it: from a stand-in, from the cache, and where there is neither."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import HubServer, hub_server
from tiny_encoders import tiny_encoder
from transformers import BertForSequenceClassification

from harness.artifacts.checkpoint import read_metadata
from harness.core.files import file_sha256
from training.encoders.loading import CheckpointSource, load_encoder, read_config

Harness = Callable[..., subprocess.CompletedProcess[str]]
LABELS = {"id2label": {0: "neutral", 1: "contradiction", 2: "entailment"}}


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with hub_server() as found:
        yield found


@pytest.fixture
def harness(tmp_path: Path, server: HubServer) -> Harness:
    """Run `harness ...` in a process of its own, with an empty cache of the hub and an empty workspace."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ, "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hf"), "no_proxy": "127.0.0.1",
            "HARNESS_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", **variables,
        }  # fmt: skip
        environment.pop("HF_TOKEN", None)
        return subprocess.run(
            [sys.executable, "-m", "harness.cli", *arguments],
            env=environment, capture_output=True, text=True, timeout=170, check=False,
        )  # fmt: skip

    return run


def is_sentence(ended: subprocess.CompletedProcess[str], words: str) -> None:
    """Whether a command was refused in one sentence; what it says before of its own work does not count."""
    lines = ended.stderr.splitlines()
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert [line for line in lines if line.startswith("harness: ")] == [lines[-1]]
    assert words in lines[-1]


@pytest.mark.slow
def test_encoder_of_the_hub_is_added_exported_and_added_again_offline(
    harness: Harness, server: HubServer, tmp_path: Path
) -> None:
    """`--checkpoint HUB_ID --revision R` end to end; a second time without any network."""
    folder = tiny_encoder(tmp_path / "encoder", "bert", layout="alone")
    commit = server.put("owner/tiny", folder)
    arguments = ("--checkpoint", "owner/tiny", "--revision", commit, "--pooling", "mean", "--layer", "2")
    ended = harness("add", "mine", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert "owner/tiny: fetching 4 files, " in ended.stderr
    assert "mine-encoder-fp32: version 1, written" in ended.stderr
    recorded = read_metadata(tmp_path / "home/checkpoints/mine/target/encoder").metadata
    assert recorded.origin is not None
    assert (recorded.origin.source, recorded.origin.name, recorded.origin.revision) == ("hub", "owner/tiny", commit)
    assert recorded.origin.sha256 == file_sha256(folder / "model.safetensors")
    ended = harness("add", "again", *arguments, "--no-export", HF_HUB_OFFLINE="1")
    assert ended.returncode == 0, ended.stderr
    assert f"owner/tiny: commit {commit} from the hub's cache (HF_HUB_OFFLINE forbids the hub)" in ended.stderr
    one, other = (tmp_path / f"home/checkpoints/{name}/target/encoder" for name in ("mine", "again"))
    assert file_sha256(one / "model.safetensors") == file_sha256(other / "model.safetensors")


@pytest.mark.slow
def test_known_encoder_and_a_head_of_the_hub(harness: Harness, server: HubServer, tmp_path: Path) -> None:
    """`--encoder NAME --source hub` fetches the catalogue's commit, `--head xnli=HUB_ID` a fine-tuned network."""
    encoder = tiny_encoder(tmp_path / "encoder", "bert", layout="pooler", num_hidden_layers=12)
    server.put("setu4993/LaBSE", encoder)
    head = tmp_path / "head"
    _, config = read_config(CheckpointSource(str(encoder)))
    for name, value in {**LABELS, "label2id": {label: number for number, label in LABELS["id2label"].items()}}.items():
        setattr(config, name, value)
    network = BertForSequenceClassification(config)
    network.bert.load_state_dict(load_encoder(encoder, pooler=True).state_dict(), strict=False)
    network.save_pretrained(head)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (head / name).write_bytes((encoder / name).read_bytes())
    commit = server.put("owner/nli", head)
    ended = harness(
        "add", "both", "--encoder", "labse", "--source", "hub", "--head", "xnli=owner/nli", "--revision", commit,
        "--no-export",
    )  # fmt: skip
    is_sentence(ended, f"'setu4993/LaBSE' has no commit or branch '{commit}'")
    ended = harness("add", "nli", "--head", f"xnli=owner/nli@{commit}", "--no-export")
    assert ended.returncode == 0, ended.stderr
    made = read_metadata(tmp_path / "home/checkpoints/nli/target/mnli").metadata
    assert made.head is not None
    assert made.head.labels == list(LABELS["id2label"].values())
    ended = harness("add", "labse", "--encoder", "labse", "--source", "hub", "--no-export")
    assert ended.returncode == 0, ended.stderr
    assert "setu4993/LaBSE is not pinned; commit " in ended.stderr


@pytest.mark.slow
def test_hub_that_gives_nothing_is_one_sentence_and_nothing_is_written(
    harness: Harness, server: HubServer, tmp_path: Path
) -> None:
    commit = "d" * 40
    server.put("owner/gated", tiny_encoder(tmp_path / "encoder", "bert"))
    server.gated.add("owner/gated")
    gated = harness("add", "mine", "--checkpoint", "owner/gated", "--revision", "main")
    is_sentence(gated, "'owner/gated' is gated: accept its terms at")
    down = harness("add", "mine", "--checkpoint", "owner/none", "--revision", commit, HF_ENDPOINT="http://127.0.0.1:9")
    is_sentence(down, f"'owner/none' at {commit} is not in the hub's cache, and http://127.0.0.1:9 cannot be reached")
    offline = harness("add", "mine", "--encoder", "multilingual-e5-small", "--source", "hub", HF_HUB_OFFLINE="1")
    is_sentence(offline, "is not in the hub's cache, and HF_HUB_OFFLINE forbids the hub")
    assert not (tmp_path / "home/checkpoints").exists()
