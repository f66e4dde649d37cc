import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.acquire import client
from harness.acquire.get import POOL, destination, get, summary
from harness.acquire.manifest import load
from harness.acquire.supply import FromFolder, FromHub
from harness.benchmark.origins.converters import Verbatim
from harness.benchmark.origins.official import Lines
from harness.benchmark.sources.lines import read_lines
from harness.core.errors import DataError, UsageError
from harness.core.examples import SentenceExample
from harness.core.layout import DataFile, Layout
from harness.core.origins import Hub
from harness.core.progress import Silent
from harness.core.task import Pool

COMMIT, OTHER = "a" * 40, "b" * 40


def fetch(datasets, dest: Path, **options):
    with FromHub(Silent(), **options) as supplier:
        return get(datasets, destination(dest), supplier, Silent())


def states(outcomes) -> list[tuple[str, str, str]]:
    return [(outcome.split, outcome.language, outcome.state) for outcome in outcomes]


def files(dest: Path) -> list[str]:
    return sorted(path.relative_to(dest).as_posix() for path in dest.rglob("*") if path.is_file())


WRITTEN = [("dev", "en", "written"), ("dev", "ru", "written"), ("test", "en", "written"), ("test", "ru", "written")]
FILES = [
    "manifests/pairs.json",
    *(f"xtreme/pairs/{split}-{code}.tsv" for split in ("dev", "test") for code in ("en", "ru")),
]


def test_files_are_written_and_read_back_by_the_source(dataset, loads, tmp_path: Path) -> None:
    assert states(fetch([dataset()], tmp_path)) == WRITTEN
    assert files(tmp_path) == FILES
    examples = dataset().source.read(Layout.at(tmp_path), "ru", "test")
    assert [(example.first, example.label) for example in examples] == [
        ("p 0", "entailment"),
        ("p 1", "neutral"),
        ("p 2", "contradiction"),
    ]


def test_manifest_tells_checksum_count_and_origin(dataset, loads, tmp_path: Path) -> None:
    fetch([dataset()], tmp_path)
    entry = load(tmp_path)["xtreme/pairs/test-ru.tsv"]
    assert entry.fits(tmp_path / "xtreme/pairs/test-ru.tsv")
    assert (entry.examples, entry.origin["revision"], entry.unofficial) == (3, COMMIT, "")


def test_local_copy_of_the_hub_goes_through_the_same_conversion(dataset, loads, clone: Path, tmp_path: Path) -> None:
    fetch([dataset()], tmp_path / "a")
    assert states(get([dataset()], destination(tmp_path / "b"), FromFolder(clone), Silent())) == WRITTEN
    for name in FILES[1:]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_is_there_and_whole_is_not_fetched_again(dataset, loads, tmp_path: Path) -> None:
    fetch([dataset()], tmp_path)
    loads.asked.clear()
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in FILES}
    assert {state for _, _, state in states(fetch([dataset()], tmp_path))} == {"kept"}
    assert loads.asked == []
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in FILES} == before


def test_one_missing_file_is_all_that_is_fetched(dataset, loads, tmp_path: Path) -> None:
    fetch([dataset()], tmp_path)
    loads.asked.clear()
    (tmp_path / "xtreme/pairs/dev-ru.tsv").unlink()
    outcomes = fetch([dataset()], tmp_path)
    assert [outcome.language for outcome in outcomes if outcome.state == "written"] == ["ru"]
    assert [asked[1:3] for asked in loads.asked] == [("ru", "validation")]


def test_another_commit_replaces_the_files(dataset, loads, tmp_path: Path) -> None:
    fetch([dataset()], tmp_path)
    assert states(fetch([dataset()], tmp_path, revision=OTHER)) == WRITTEN
    assert load(tmp_path)["xtreme/pairs/dev-en.tsv"].origin["revision"] == OTHER


def test_file_that_was_changed_is_never_replaced(dataset, loads, tmp_path: Path) -> None:
    fetch([dataset()], tmp_path)
    path = tmp_path / "xtreme/pairs/dev-en.tsv"
    path.write_text("mine\tmine\tneutral\n")
    outcome = fetch([dataset()], tmp_path, revision=OTHER)[0]
    assert (outcome.state, outcome.reason) == ("refused", f"{path} was changed after it was written; remove it")
    assert path.read_text() == "mine\tmine\tneutral\n"


def test_users_own_whole_file_is_kept(dataset, loads, tmp_path: Path) -> None:
    path = tmp_path / "xtreme/pairs/dev-en.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("a\tb\tneutral\nc\td\tentailment\n")
    assert fetch([dataset()], tmp_path)[0].state == "kept"
    assert "xtreme/pairs/dev-en.tsv" not in load(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("a\tb\tneutral\n", "has 1 examples where 2 are official"), ("a\tb\n", "labels were stripped")],
    ids=["short", "stripped"],
)
def test_users_own_other_file_is_refused_and_stays(dataset, loads, tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "xtreme/pairs/dev-en.tsv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    outcome = fetch([dataset()], tmp_path)[0]
    assert outcome.state == "refused"
    assert problem in outcome.reason
    assert "to have it written" in outcome.reason
    assert path.read_text() == text


def test_other_number_than_the_official_one_is_refused(dataset, loads, tmp_path: Path) -> None:
    outcomes = fetch([dataset(official={"en": 4, "ru": 3})], tmp_path)
    assert states(outcomes)[2] == ("test", "en", "refused")
    assert outcomes[2].reason == "3 examples where 4 are official; rows get lost there"
    assert not (tmp_path / "xtreme/pairs/test-en.tsv").exists()


def test_rows_that_cannot_be_converted_leave_nothing(dataset, loads, tmp_path: Path) -> None:
    loads.rows["test"] = [{"premise": "p", "hypothesis": "h", "label": "neutral"}, {"premise": "q"}]
    outcomes = fetch([dataset()], tmp_path)
    assert states(outcomes)[2:] == [("test", "en", "refused"), ("test", "ru", "refused")]
    assert "row 2 has no column 'hypothesis'" in outcomes[2].reason
    assert files(tmp_path) == [name for name in FILES if "test" not in name]


def test_refusal_names_the_place_and_not_the_folder_it_was_tried_in(dataset, loads, tmp_path: Path) -> None:
    loads.rows["test"] = [{"premise": "p", "hypothesis": "h", "label": None}] * 3
    (reason,) = {outcome.reason for outcome in fetch([dataset(languages=("en",))], tmp_path) if outcome.split == "test"}
    assert reason.startswith(f"{tmp_path.resolve()}/xtreme/pairs/test-en.tsv has no label in any of its 3 rows")


def test_hub_that_fails_leaves_what_was_written(dataset, loads, tmp_path: Path, monkeypatch) -> None:
    def fail(*asked: str):
        if asked[2] == "test":
            message = "the hub is gone"
            raise DataError(message)
        return loads(*asked)

    monkeypatch.setattr(client, "load_rows", fail)
    with pytest.raises(DataError, match="the hub is gone"):
        fetch([dataset()], tmp_path)
    assert files(tmp_path) == [name for name in FILES if "test" not in name]


def test_nothing_is_left_of_the_folder_it_was_tried_in(dataset, loads, tmp_path: Path) -> None:
    fetch([dataset()], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifests", "xtreme"]


def test_rows_that_are_not_official_are_recorded_as_such(dataset, loads, tmp_path: Path) -> None:
    # Their number is their own.
    outcomes = fetch([dataset(official={"en": 9, "ru": 9})], tmp_path, repository="owner/odd")
    assert {outcome.state for outcome in outcomes} == {"written"}
    assert load(tmp_path)["xtreme/pairs/test-en.tsv"].unofficial == "another conversion"
    assert summary(outcomes)[0] == "pairs dev: written [en ru], 4 examples, not official: another conversion"


def test_dataset_that_the_hub_cannot_give_says_why(dataset, hub, loads, tmp_path: Path) -> None:
    refused = dataset(hub=replace(hub, parts=(), refusal="gold pairs only; take the corpora"))
    outcomes = fetch([refused], tmp_path)
    assert {(outcome.state, outcome.reason) for outcome in outcomes} == {
        ("absent", "gold pairs only; take the corpora")
    }
    assert summary(outcomes)[0] == "pairs dev: not written [en ru]: gold pairs only; take the corpora"


def test_remarks_are_counted_over_languages(dataset, loads, tmp_path: Path) -> None:
    outcomes = [replace(outcome, remarks={"answers moved": 3}) for outcome in fetch([dataset()], tmp_path)]
    assert summary(outcomes)[1] == "pairs test: written [en ru], 6 examples, 6 answers moved"


class Together:
    """Each language's lines; reading one needs the files of all, as LAReQA's candidates do."""

    splits = ("test",)

    def paths(self, layout: Layout, language: str, split: str) -> tuple[Path, ...]:
        folder = layout.xtreme / "together"
        return tuple(folder / f"{code}.txt" for code in sorted(("en", "ru"), key=lambda code: code != language))

    def read(self, layout: Layout, language: str, split: str) -> list[SentenceExample]:
        first, *_ = [read_lines(path) for path in self.paths(layout, language, split)]
        return [SentenceExample(line, line, "query") for line in first]


TOGETHER = Hub(
    convert=Verbatim(),
    files=(DataFile("xtreme", "together/{language}.txt"),),
    official=(Lines(patterns=("{language}.txt",)),),
)


def together(dataset, tmp_path: Path, *codes: str):
    (tmp_path / "from").mkdir(exist_ok=True)
    for code in codes:
        (tmp_path / f"from/{code}.txt").write_text("a\nb\n")
    needed = dataset(name="together", source=Together(), splits=("test",), hub=TOGETHER, official={"en": 2, "ru": 2})
    return get([needed], destination(tmp_path / "to"), FromFolder(tmp_path / "from"), Silent())


def test_files_that_are_read_together_are_written_when_all_are_there(dataset, tmp_path: Path) -> None:
    assert states(together(dataset, tmp_path, "en", "ru")) == [("test", "en", "written"), ("test", "ru", "written")]


def test_file_that_cannot_be_read_alone_is_not_written(dataset, tmp_path: Path) -> None:
    outcomes = together(dataset, tmp_path, "en")
    assert states(outcomes) == [("test", "en", "refused"), ("test", "ru", "absent")]
    assert outcomes[0].reason.startswith(f"it cannot be read without {tmp_path}/to/xtreme/together/ru.txt;")
    assert files(tmp_path / "to") == []


def test_file_in_place_is_read_beside_a_new_one(dataset, tmp_path: Path) -> None:
    together(dataset, tmp_path, "en", "ru")
    (tmp_path / "to/xtreme/together/ru.txt").unlink()
    assert states(together(dataset, tmp_path, "ru")) == [("test", "en", "kept"), ("test", "ru", "written")]
    assert not (tmp_path / "to/xtreme/together/en.txt").is_symlink()


class Shared:
    """Candidates of all languages."""

    def paths(self, layout: Layout, split: str) -> tuple[Path, ...]:
        return (layout.xtreme / "pairs/pool.txt",)

    def read(self, layout: Layout, split: str):
        for line in read_lines(*self.paths(layout, split)):
            yield SentenceExample(line, line, "candidate")


@pytest.mark.parametrize(("official", "state"), [(2, "written"), (3, "refused")])
def test_candidates_of_all_languages_are_copied_and_counted(
    dataset, hub, clone: Path, tmp_path: Path, official: int, state: str
) -> None:
    (clone / "pool.txt").write_text("a\nb\n")
    pooled = dataset(
        languages=("en",),
        pool=Pool(source=Shared(), search=None, official=official),
        hub=replace(hub, pool=(Lines(patterns=("pool.txt",)),)),
    )
    outcomes = get([pooled], destination(tmp_path / "to"), FromFolder(clone), Silent())
    assert states(outcomes)[-1] == ("test", POOL, state)
    assert (tmp_path / "to/xtreme/pairs/pool.txt").is_file() is (state == "written")


def test_folder_is_made(tmp_path: Path) -> None:
    assert destination(tmp_path / "a/b") == tmp_path / "a/b"
    assert (tmp_path / "a/b").is_dir()


def test_folder_xtreme_stands_for_the_one_above(tmp_path: Path) -> None:
    assert destination(tmp_path / "dest/xtreme") == tmp_path / "dest"


def test_folder_of_task_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine/xnli").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"mine holds task folders itself \(xnli\); rename it to xtreme"):
        destination(tmp_path / "mine")


def test_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file cannot be made a folder"):
        destination(tmp_path / "file")


def test_manifest_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/x.json").write_text(json.dumps({"files": {"a": {"sha": 1}}}))
    with pytest.raises(DataError, match=r"x.json is not a manifest of `harness data get`"):
        load(tmp_path)
