"""Checkpoints of the hub, from a stand-in over HTTP and from caches of its layout: what comes, what is refused."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from hub_server import HubServer, hub_server
from huggingface_hub import constants
from tiny_encoders import tiny_encoder

from harness.core.errors import CheckpointError, UsageError
from harness.core.files import file_sha256
from harness.core.progress import Silent
from harness.encoders.catalogue import find
from training.adding_networks import fetch
from training.adding_request import AddRequest, read_heads
from training.encoders import hub
from training.encoders.known import of_source, weights_of
from training.encoders.loading import CheckpointSource, load_encoder, read_config
from training.encoders.sentence_transformers import read_sentence_model

NAME = "owner/tiny"


class Lines(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; nothing that was fetched before is remembered."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "no-tokens"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(hub, "_FETCHED", {})
    return folder


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.address)
        # Made of the endpoint when the client is imported.
        template = found.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield found


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """HF_HUB_OFFLINE=1, which the hub's client reads when it opens a session."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.utils.reset_sessions()
    yield
    monkeypatch.undo()
    huggingface_hub.utils.reset_sessions()


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if another process began."""
    monkeypatch.setattr(hub, "_FETCHED", {})


def by_hand(cache: Path, folder: Path, commit: str = "a" * 40, *, branch: str | None = "main") -> Path:
    """Write a cache as the hub's client lays it out; return the folder of the snapshot."""
    root = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            blob = root / "blobs" / file_sha256(path)
            blob.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, blob)
            link = snapshot / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
    if branch is not None:
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / branch).write_text(commit, encoding="ascii")
    return snapshot


@pytest.mark.parametrize("shard", ["5GB", "60KB"])
def test_checkpoint_is_fetched_whole_and_asked_for_once(
    server: HubServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: str
) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "bert", shard=shard)
    (folder / "README.md").write_text("not read")
    (folder / "onnx").mkdir()
    (folder / "onnx/config.json").write_text("{}")
    commit = server.put(NAME, folder)
    progress = Lines()
    found = hub.fetch(NAME, commit, progress)
    assert (found.commit, found.folder.name) == (commit, commit)
    assert progress.said[0].startswith(f"{NAME}: fetching ")
    assert {path.name for path in found.folder.rglob("*")} == {
        path.name for path in folder.iterdir() if path.name not in ("README.md", "onnx")
    }
    ids = torch.tensor([[2, 10, 20, 3]])
    with torch.no_grad():
        right = load_encoder(folder).eval()(ids).last_hidden_state
        before = len(server.asked)
        assert torch.equal(load_encoder(NAME, commit).eval()(ids).last_hidden_state, right)
        assert len(server.asked) == before, "what follows reads the folder"
        forget(monkeypatch)
        assert torch.equal(load_encoder(NAME, commit).eval()(ids).last_hidden_state, right)
    assert server.asked[before:] == [f"GET /api/models/{NAME}/revision/{commit}"], "the cache has every file"


def test_commit_and_digests_are_recorded(server: HubServer, cache: Path, tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "bert")
    commit = server.put("setu4993/LaBSE", folder)
    found = weights_of(find("labse"), "hub", None, tmp_path / "checkpoints")
    assert find("labse").revision is None
    assert (found.origin.source, found.origin.name, found.origin.revision) == ("hub", "setu4993/LaBSE", commit)
    assert found.origin.sha256 == file_sha256(folder / "model.safetensors")
    assert found.source == CheckpointSource("setu4993/LaBSE", commit)


def test_pinned_commit_is_that_commit_though_the_branch_went_on(server: HubServer, cache: Path, tmp_path: Path) -> None:
    old = server.put(NAME, tiny_encoder(tmp_path / "old", "bert", seed=1))
    new = server.put(NAME, tiny_encoder(tmp_path / "new", "bert", seed=2))
    assert old != new
    digests = {}
    for revision in (old, new, "main"):
        found = of_source(CheckpointSource(NAME, revision))
        digests[revision] = found.origin.sha256
        assert found.origin.revision == (old if revision == old else new)
    assert digests[old] == file_sha256(tmp_path / "old/model.safetensors")
    assert digests["main"] == digests[new] == file_sha256(tmp_path / "new/model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda server: server.repositories.clear(),
            "has no repository 'owner/tiny', or it is private; check the name",
        ),
        (lambda server: server.repositories[NAME].pop("c" * 40, None), "has no commit or branch 'cccccccccccc"),
        (lambda server: server.gated.add(NAME), r"is gated: accept its terms at http\S+/owner/tiny, then set HF_TOKEN"),
        (lambda server: setattr(server, "status", 503), "answers with HTTP status 503; try again later"),
        (lambda server: setattr(server, "status", 403), "refuses the token for 'owner/tiny' .HTTP status 403.; set HF"),
    ],
    ids=["no repository", "no commit", "gated", "down", "forbidden"],
)
def test_what_the_hub_refuses_is_one_sentence(
    server: HubServer, cache: Path, tmp_path: Path, spoil, words: str
) -> None:
    commit = server.put(NAME, tiny_encoder(tmp_path / "encoder", "bert"))
    spoil(server)
    with pytest.raises(CheckpointError, match=words) as caught:
        hub.fetch(NAME, "c" * 40 if "commit" in words else commit)
    assert "\n" not in str(caught.value)


def test_wrong_token_is_named(server: HubServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = server.put(NAME, tiny_encoder(tmp_path / "encoder", "bert"))
    server.gated.add(NAME)
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(CheckpointError, match=r"refuses the token for 'owner/tiny' \(HTTP status 401\); set HF_TOKEN"):
        hub.fetch(NAME, commit)
    monkeypatch.setenv("HF_TOKEN", server.token)
    assert hub.fetch(NAME, commit).commit == commit


def test_no_network_is_one_sentence_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    """It was silence for 25 seconds: five tries for each file."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    begin = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        read_config(CheckpointSource("owner/encoder", "0123abc"))
    assert time.monotonic() - begin < 5
    message = str(caught.value)
    assert message.startswith(
        "'owner/encoder' at 0123abc is not in the hub's cache, and http://127.0.0.1:9 cannot be reached ("
    )
    assert "Connection refused" in message
    assert message.endswith("let HF_HOME name the cache that has it, or give the checkpoint as a folder")
    assert len(message) < 400
    assert "\n" not in message
    assert "Retrying" not in "".join(capfd.readouterr())


def test_hub_that_never_answers_is_given_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(hub, "_TIMEOUT", 1.0)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        begin = time.monotonic()
        with pytest.raises(CheckpointError, match=r"cannot be reached \(.*[Tt]ime"):
            hub.fetch(NAME, "a" * 40)
        assert time.monotonic() - begin < 5


def test_cache_answers_where_the_hub_does_not(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pinned commit is the same wherever it comes from; it is said all the same."""
    folder = tiny_encoder(tmp_path / "encoder", "bert")
    snapshot = by_hand(cache, folder)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    progress = Lines()
    found = hub.fetch(NAME, "a" * 40, progress)
    assert (found.folder, found.listed) == (snapshot, None)
    assert progress.said[0].startswith(f"{NAME}: commit {'a' * 40} from the hub's cache (http://127.0.0.1:9 cannot be")
    origin = of_source(CheckpointSource(NAME, "a" * 40)).origin
    assert (origin.source, origin.revision, origin.sha256) == (
        "hub", "a" * 40, file_sha256(folder / "model.safetensors"),
    )  # fmt: skip


@pytest.mark.parametrize("revision", ["a" * 40, None], ids=["pinned", "branch"])
def test_offline_the_cache_is_enough(cache: Path, tmp_path: Path, offline: None, revision: str | None) -> None:
    by_hand(cache, tiny_encoder(tmp_path / "encoder", "bert"))
    assert load_encoder(NAME, revision) is not None
    assert CheckpointSource(NAME, revision).commit == "a" * 40


def test_offline_without_the_cache_is_refused(cache: Path, tmp_path: Path, offline: None) -> None:
    by_hand(cache, tiny_encoder(tmp_path / "encoder", "bert"))
    with pytest.raises(
        CheckpointError, match=r"'owner/tiny' at b+ is not in the hub's cache, and HF_HUB_OFFLINE forbids"
    ):
        hub.fetch(NAME, "b" * 40)


def test_offline_nobody_guesses_how_vectors_are_made(cache: Path, tmp_path: Path, offline: None) -> None:
    """transformers alone never asks for modules.json, so a cache of its making says nothing of pooling."""
    snapshot = by_hand(cache, tiny_encoder(tmp_path / "encoder", "bert"))
    source = CheckpointSource(NAME, "a" * 40)
    with pytest.raises(CheckpointError, match=r"has 'owner/tiny' without modules.json.*`--pooling`"):
        read_sentence_model(source)
    assert read_sentence_model(source, needed=False) is None
    absent = snapshot.parents[1] / ".no_exist" / snapshot.name / "modules.json"
    absent.parent.mkdir(parents=True)
    absent.touch()
    assert read_sentence_model(source) is None


def test_absence_that_the_hub_told_is_known_offline(
    server: HubServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.put(NAME, tiny_encoder(tmp_path / "encoder", "bert"))
    assert read_sentence_model(CheckpointSource(NAME, commit)) is None
    forget(monkeypatch)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert read_sentence_model(CheckpointSource(NAME, commit)) is None


def test_sentence_transformers_files_come_too(server: HubServer, cache: Path, tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "bert")
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true}')
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: "}}')
    commit = server.put(NAME, folder)
    found = read_sentence_model(CheckpointSource(NAME, commit))
    assert found is not None
    assert (found.pooling, found.query_prompt) == ("cls", "q: ")


def test_interrupted_download_goes_on_where_it_stopped(
    server: HubServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "bert")
    commit = server.put(NAME, folder)
    server.cut_after = 1_000
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)
    with pytest.raises(CheckpointError, match=r"fetching 'owner/tiny' .*broke off.*; run the same command again, it"):
        hub.fetch(NAME, commit)
    with pytest.raises(CheckpointError, match="broke off"):
        hub.fetch(NAME, commit)
    server.cut_after = None
    found = hub.fetch(NAME, commit)
    assert file_sha256(found.folder / "model.safetensors") == file_sha256(folder / "model.safetensors")


def test_file_that_is_not_the_hubs_is_refused(server: HubServer, cache: Path, tmp_path: Path) -> None:
    commit = server.put(NAME, tiny_encoder(tmp_path / "encoder", "bert"))
    server.altered = True
    with pytest.raises(CheckpointError, match=r"model.safetensors is not the file that the hub has .*; delete "):
        hub.fetch(NAME, commit)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "has no file of a checkpoint among its 1 file"),
        ({"config.json": "{}"}, "config.json of 'owner/tiny' .*model_type"),
        ({"config.json": '{"model_type": "gpt2"}'}, "gpt2"),
        ({"config.json": "not JSON"}, "'owner/tiny' cannot be loaded"),
        ({"tokenizer.json": "{}"}, "'owner/tiny' has no config.json; name a repository with config.json, weights and"),
    ],
    ids=["nothing", "empty config", "another family", "no JSON", "no config"],
)
def test_repository_with_the_wrong_files_is_refused(
    server: HubServer, cache: Path, tmp_path: Path, files: dict[str, str], words: str
) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "README.md").write_text("x")
    for name, text in files.items():
        (folder / name).write_text(text)
    commit = server.put(NAME, folder)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_config(CheckpointSource(NAME, commit))
    assert "\n" not in str(caught.value)


def test_repository_without_weights_is_refused(server: HubServer, cache: Path, tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "bert")
    (folder / "model.safetensors").rename(folder / "model.gguf")
    commit = server.put(NAME, folder)
    with pytest.raises(
        CheckpointError, match=r"'owner/tiny' has no weights; a checkpoint has one of model\.safetensors"
    ):
        load_encoder(NAME, commit)


@pytest.mark.parametrize("name", ["no/such/name", "/absent/folder", "a b", "../x"])
def test_name_that_is_neither_folder_nor_hub_id_is_refused(cache: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="is no folder here and no name of a repository, which is OWNER/NAME"):
        load_encoder(name, "a" * 40)


def test_each_hub_id_may_have_a_commit_of_its_own(server: HubServer, cache: Path, tmp_path: Path) -> None:
    encoder, head = (server.put(name, tiny_encoder(tmp_path / name, "bert")) for name in ("owner/encoder", "owner/nli"))
    request = AddRequest(name="m", checkpoint=f"owner/encoder@{encoder}", heads=[f"xnli=owner/nli@{head}"])
    fetch(request, read_heads(request), Silent())
    assert set(hub._FETCHED) == {("owner/encoder", encoder), ("owner/nli", head)}
    with pytest.raises(UsageError, match="`--head xnli=owner/nli` is no folder here, and a hub id needs its commit"):
        fetch(AddRequest(name="m"), {"mnli": ("xnli", "owner/nli")}, Silent())
