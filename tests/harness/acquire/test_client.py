"""The module that reads the hub's packages, on local files and a cache made by hand: there is no network."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from harness.acquire import client
from harness.core.errors import DataError

COMMIT, OTHER = "a" * 40, "b" * 40


@pytest.fixture
def features():
    from datasets import ClassLabel, Sequence, Value

    return {
        "text": Value("string"),
        "label": ClassLabel(names=["yes", "no"]),
        "tags": Sequence(ClassLabel(names=["O", "B"])),
        "answers": Sequence({"text": Value("string"), "answer_start": Value("int32")}),
    }


ROWS = [
    {"text": "a", "label": 1, "tags": [1, 0], "answers": {"text": ["x"], "answer_start": [3]}},
    {"text": "b", "label": -1, "tags": [], "answers": {"text": [], "answer_start": []}},
]
NAMED = [
    {"text": "a", "label": "no", "tags": ["B", "O"], "answers": {"text": ["x"], "answer_start": [3]}},
    {"text": "b", "label": None, "tags": [], "answers": {"text": [], "answer_start": []}},
]


def test_parquet_rows_have_names_for_classes(tmp_path: Path, write_parquet, features) -> None:
    assert list(client.local_rows([write_parquet(tmp_path / "a.parquet", ROWS, features)])) == NAMED


def test_files_follow_each_other(tmp_path: Path, write_parquet, features) -> None:
    files = [write_parquet(tmp_path / f"{number}.parquet", ROWS[number:][:1], features) for number in (0, 1)]
    assert [row["text"] for row in client.local_rows(files)] == ["a", "b"]


def test_json_rows_keep_their_numbers(tmp_path: Path, hf_cache) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert [row["label"] for row in client.local_rows([path])] == [1, -1]


def test_broken_file_is_refused(tmp_path: Path, hf_cache) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"a.parquet cannot be read as parquet .*copy it from the hub again"):
        list(client.local_rows([path]))


@pytest.fixture
def cached(hf_cache: Path, features) -> None:
    """One configuration in the cache of `datasets`, as an earlier load at COMMIT left it."""
    import datasets
    from datasets.arrow_writer import ArrowWriter

    folder = hf_cache / "owner___name" / "en" / "0.0.0" / COMMIT
    folder.mkdir(parents=True)
    typed = datasets.Features(features)
    with ArrowWriter(path=str(folder / "name-test.arrow"), features=typed) as writer:
        for row in ROWS:
            writer.write(row)
        writer.finalize()
    splits = datasets.SplitDict({"test": datasets.SplitInfo(name="test", num_examples=2, dataset_name="name")})
    info = datasets.DatasetInfo(features=typed, dataset_name="name", config_name="en", version="0.0.0", splits=splits)
    info.write_to_directory(str(folder))


def test_cached_rows_are_given_offline_as_often_as_asked(cached) -> None:
    rows = client.load_rows("owner/name", "en", "test", COMMIT)
    assert list(rows) == list(rows) == NAMED


def test_cache_of_another_commit_is_refused(cached) -> None:
    with pytest.raises(DataError, match=f"holds owner/name en at commit {COMMIT}, not at {OTHER}.*--revision {COMMIT}"):
        client.load_rows("owner/name", "en", "test", OTHER)


@pytest.mark.parametrize(
    ("repository", "config", "split"),
    [("owner/other", "en", "test"), ("owner/name", "de", "test"), ("owner/name", "en", "dev")],
    ids=["repository", "configuration", "split"],
)
def test_what_the_cache_lacks_is_refused_offline(cached, repository: str, config: str, split: str) -> None:
    with pytest.raises(
        DataError, match=f"{repository} {config} {split} at {COMMIT} is not in the cache .*HF_HUB_OFFLINE"
    ):
        client.load_rows(repository, config, split, COMMIT)


def failing(error: Exception):
    def fail(*_args, **_options):
        raise error

    return fail


def test_hub_that_cannot_be_reached_is_one_sentence(hf_cache, monkeypatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets, "load_dataset_builder", failing(ConnectionError("Couldn't reach the hub\nand more")))
    with pytest.raises(
        DataError, match=r"cannot be loaded \(ConnectionError: Couldn't reach the hub\); .*`--from`"
    ) as refusal:
        client.load_rows("owner/name", "en", "test", COMMIT)
    assert "\n" not in str(refusal.value)


def test_loading_script_is_refused(hf_cache, monkeypatch) -> None:
    import datasets

    error = RuntimeError("Dataset scripts are no longer supported, but found name.py")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets, "load_dataset_builder", failing(error))
    with pytest.raises(DataError, match="Dataset scripts are no longer supported"):
        client.load_rows("owner/name", "en", "test", COMMIT)


def test_commit_cannot_be_resolved_offline(hf_cache) -> None:
    with pytest.raises(DataError, match=r"the commit of owner/name main is not in the cache .*HF_HUB_OFFLINE"):
        client.resolve_commit("owner/name", "main")


def test_commit_is_what_the_hub_says(hf_cache, monkeypatch) -> None:
    import datasets
    import huggingface_hub

    class Api:
        def dataset_info(self, repository: str, *, revision: str | None):
            assert (repository, revision) == ("owner/name", None)
            return type("Info", (), {"sha": OTHER})

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert client.resolve_commit("owner/name", None) == OTHER


@pytest.fixture
def download(hf_cache, monkeypatch, tmp_path: Path):
    """Let the hub's one file be a local one."""
    import huggingface_hub

    def serve(path: Path) -> None:
        def answer(repository: str, file: str, *, repo_type: str, revision: str, local_files_only: bool) -> str:
            assert (repository, file, repo_type, revision) == ("owner/name", "raw.tar.gz", "dataset", COMMIT)
            return str(path)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", answer)

    return serve


#: Debian 12's Python is 3.11.2, whose archives are not safe to unpack.
SAFE = pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="Python 3.11.4 or later unpacks archives safely")


def test_archive_is_refused_where_python_cannot_unpack_it_safely(
    download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    with pytest.raises(DataError, match=r"cannot unpack safely; use Python 3.11.4 or later, or give a local copy"):
        client.unpack("owner/name", "raw.tar.gz", COMMIT, tmp_path / "out")


@SAFE
def test_archive_is_unpacked(download, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("raw/a.jsonl")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"{}\n"))
    download(tmp_path / "a.tar.gz")
    client.unpack("owner/name", "raw.tar.gz", COMMIT, tmp_path / "out")
    assert (tmp_path / "out/raw/a.jsonl").read_text() == "{}\n"


@SAFE
def test_archive_cannot_leave_its_folder(download, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../escaped"))
    download(tmp_path / "a.tar.gz")
    with pytest.raises(DataError, match=r"raw.tar.gz at .* cannot be unpacked"):
        client.unpack("owner/name", "raw.tar.gz", COMMIT, tmp_path / "out")
    assert not (tmp_path / "escaped").exists()


@SAFE
def test_file_that_is_no_archive_is_refused(download, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_text("no archive")
    download(tmp_path / "a.tar.gz")
    with pytest.raises(DataError, match="cannot be unpacked"):
        client.unpack("owner/name", "raw.tar.gz", COMMIT, tmp_path / "out")
