from dataclasses import replace
from pathlib import Path

import pytest

from harness.acquire import client
from harness.acquire.supply import FromFolder, FromHub, check_repository
from harness.benchmark.origins.converters import Verbatim
from harness.benchmark.origins.official import Lines
from harness.core.errors import UsageError
from harness.core.origins import Archive, Hub, Part, Repository
from harness.core.progress import Silent

COMMIT, OTHER = "a" * 40, "b" * 40
PINNED = Repository(name="owner/pairs", revision=COMMIT, seen="tests", licence="tests")
UNPINNED = Repository(name="owner/unpinned", revision=None, seen="nowhere", licence="tests")


class KeptLines(Silent):
    """Progress that keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_hub_is_asked_for_the_pinned_commit(dataset, loads) -> None:
    with FromHub(Silent()) as hub:
        supply = hub.find(dataset(), "ru", "dev")
    assert loads.asked == [("owner/pairs", "ru", "validation", COMMIT)]
    assert supply.origin == {
        "repository": "owner/pairs",
        "config": "ru",
        "split": "validation",
        "revision": COMMIT,
    }


def test_commit_on_the_command_line_goes_before_the_pin(dataset, loads) -> None:
    with FromHub(Silent(), revision=OTHER) as hub:
        hub.find(dataset(), "ru", "dev")
    assert loads.asked[0][3] == OTHER


@pytest.mark.parametrize("revision", [None, "main"])
def test_anything_but_a_commit_is_resolved_and_told(dataset, hub, loads, monkeypatch, revision) -> None:
    asked = []
    monkeypatch.setattr(client, "resolve_commit", lambda *given: asked.append(given) or OTHER)
    parts = (Part(repository=UNPINNED, config="{language}", splits={"dev": "validation"}),)
    kept_lines = KeptLines()
    with FromHub(kept_lines, revision=revision) as supplier:
        for code in ("en", "ru"):
            supply = supplier.find(dataset(hub=replace(hub, parts=parts)), code, "dev")
    assert asked == [("owner/unpinned", revision)]
    assert kept_lines.lines == [f"owner/unpinned: {revision or 'not pinned'}, now at commit {OTHER}"]
    assert supply.origin["revision"] == OTHER


def test_rows_of_many_languages_are_loaded_once(dataset, hub, loads) -> None:
    parts = (Part(repository=PINNED, config="all", splits={"test": "test"}, id_prefix="{name}"),)
    loads.rows["test"] = [{"id": "english-1"}, {"id": "russian-1"}, {"id": "english-2"}]
    with FromHub(Silent()) as supplier:
        found = [
            list(supplier.find(dataset(hub=replace(hub, parts=parts)), code, "test").rows) for code in ("en", "ru")
        ]
    assert found == [[{"id": "english-1"}, {"id": "english-2"}], [{"id": "russian-1"}]]
    assert len(loads.asked) == 1


def test_columns_get_the_names_that_the_converter_expects(dataset, hub, loads) -> None:
    part = Part(repository=PINNED, config="x", splits={"test": "test"}, rename={"sentence1": "premise"})
    loads.rows["test"] = [{"sentence1": "a"}]
    with FromHub(Silent()) as supplier:
        assert list(supplier.find(dataset(hub=replace(hub, parts=(part,))), "en", "test").rows) == [{"premise": "a"}]


def test_first_part_that_has_the_language_serves(dataset, hub, loads) -> None:
    parts = (
        Part(repository=PINNED, config="few.{language}", splits={"test": "test"}, languages=("en",)),
        Part(repository=PINNED, config="many.{code}", splits={"test": "test"}),
    )
    with FromHub(Silent()) as supplier:
        for code in ("en", "ru"):
            supplier.find(dataset(hub=replace(hub, parts=parts)), code, "test")
    assert [asked[1] for asked in loads.asked] == ["few.en", "many.rus"]


def test_part_that_is_not_official_needs_its_name(dataset, hub, loads) -> None:
    only_odd = dataset(hub=replace(hub, parts=hub.parts[1:], refusal="other data; take the official files"))
    with FromHub(Silent()) as supplier:
        assert supplier.find(only_odd, "en", "test") is None
        assert supplier.explain(only_odd, "test") == "other data; take the official files"
    with FromHub(Silent(), repository="owner/odd") as supplier:
        assert supplier.find(only_odd, "en", "test").unofficial == "another conversion"


def test_named_repository_is_used_instead_of_the_first(dataset, loads) -> None:
    with FromHub(Silent(), repository="owner/odd") as supplier:
        supplier.find(dataset(), "en", "test")
    assert loads.asked == [("owner/odd", "odd.en", "test", COMMIT)]


def test_dataset_without_declared_origin_is_explained(dataset) -> None:
    with FromHub(Silent()) as supplier:
        assert supplier.find(dataset(hub=None), "en", "test") is None
        assert "put its files there by hand" in supplier.explain(dataset(hub=None), "test")


def test_archive_is_unpacked_once_and_read_as_official_files(dataset, monkeypatch) -> None:
    unpacked = []

    def unpack(repository: str, file: str, revision: str, folder: Path) -> None:
        unpacked.append((repository, file, revision))
        (folder / "raw").mkdir()
        (folder / "raw/test-en.jsonl").write_text("x\n")
        (folder / "raw/pool.jsonl").write_text("y\n")

    monkeypatch.setattr(client, "unpack", unpack)
    hub = Hub(
        convert=Verbatim(),
        archive=Archive(repository=PINNED, file="raw.tar.gz"),
        official=(Lines(patterns=("raw/{split}-{language}.jsonl",)),),
        pool=(Lines(patterns=("raw/pool.jsonl",)),),
    )
    packed = dataset(hub=hub)
    with FromHub(Silent()) as supplier:
        found = supplier.find(packed, "en", "test")
        assert list(found.rows) == [{"file": 0, "line": "x"}]
        assert list(supplier.pool(packed, "test").rows) == [{"file": 0, "line": "y"}]
        assert supplier.find(packed, "ru", "test") is None
    assert unpacked == [("owner/pairs", "raw.tar.gz", COMMIT)]
    assert found.origin == {"repository": "owner/pairs", "file": "raw.tar.gz", "revision": COMMIT}


@pytest.mark.parametrize(
    ("origin", "revision", "differs"),
    [
        ({"repository": "owner/pairs", "revision": COMMIT}, None, False),
        ({"repository": "owner/pairs", "revision": OTHER}, None, True),
        ({"repository": "owner/pairs", "revision": OTHER}, OTHER, False),
        ({"repository": "owner/odd", "revision": COMMIT}, None, True),
        ({"folder": "somewhere"}, None, False),
    ],
    ids=["pin", "other commit", "asked for", "other repository", "local files"],
)
def test_files_of_another_origin_are_replaced(dataset, origin, revision, differs: bool) -> None:
    with FromHub(Silent(), revision=revision) as supplier:
        assert supplier.differs(dataset(), "en", "test", origin) is differs


def test_any_commit_will_do_where_none_is_pinned(dataset, hub) -> None:
    parts = (Part(repository=UNPINNED, config="x", splits={"test": "test"}),)
    with FromHub(Silent()) as supplier:
        origin = {"repository": "owner/unpinned", "revision": OTHER}
        assert not supplier.differs(dataset(hub=replace(hub, parts=parts)), "en", "test", origin)


def test_folder_of_the_hubs_shape_gives_names(dataset, clone: Path) -> None:
    supply = FromFolder(clone).find(dataset(), "ru", "test")
    assert [row["label"] for row in supply.rows] == ["entailment", "neutral", "contradiction"]
    assert supply.origin == {"folder": str(clone), "layout": "owner/pairs"}
    assert supply.defect == "rows get lost there"


@pytest.mark.parametrize("base", ["", "owner", "owner/pairs"], ids=["above", "owner", "repository"])
def test_copy_of_a_repository_may_lie_at_three_places(dataset, clone: Path, base: str) -> None:
    assert len(list(FromFolder(clone / base).find(dataset(), "en", "dev").rows)) == 2


@pytest.mark.parametrize(
    "shape", ["en/test/0000.parquet", "en/test.parquet", "data/test-00000-of-00001.parquet"], ids=str
)
def test_shapes_of_parquet_exports_are_found(dataset, tmp_path: Path, write_parquet, pair_features, shape: str) -> None:
    write_parquet(tmp_path / shape, [{"premise": "p", "hypothesis": "h", "label": 0}], pair_features)
    assert [row["label"] for row in FromFolder(tmp_path).find(dataset(), "en", "test").rows] == ["entailment"]


@pytest.mark.parametrize("base", ["", "download/"], ids=["itself", "above"])
def test_official_files_are_found(dataset, tmp_path: Path, base: str) -> None:
    path = tmp_path / f"{base}pairs/test-en.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("p\th\tneutral\n")
    supply = FromFolder(tmp_path).find(dataset(), "en", "test")
    assert list(supply.rows) == [{"premise": "p", "hypothesis": "h", "label": "neutral"}]
    assert supply.origin["layout"] == "official"


def test_what_a_folder_lacks_is_explained(dataset, hub, tmp_path: Path) -> None:
    folder = FromFolder(tmp_path)
    assert folder.find(dataset(), "en", "test") is None
    noted = dataset(hub=replace(hub, note="its lines are sorted"))
    assert folder.explain(noted, "test").endswith("; its lines are sorted")


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone does not exist; `--from`"):
        FromFolder(tmp_path / "gone")


def test_repository_that_nobody_names_is_refused(dataset) -> None:
    with pytest.raises(UsageError, match=r"no repository 'owner/x' .* there are owner/pairs, owner/odd"):
        check_repository([dataset()], "owner/x", None)


def test_revision_for_two_repositories_is_refused(dataset, hub) -> None:
    other = dataset(hub=replace(hub, parts=(replace(hub.parts[0], repository=UNPINNED),)))
    with pytest.raises(
        UsageError, match="these take rows from owner/pairs, owner/unpinned; say which with `--repository`"
    ):
        check_repository([dataset(), other], None, OTHER)


def test_revision_for_the_one_that_is_used_is_fine(dataset) -> None:
    check_repository([dataset()], None, OTHER)
