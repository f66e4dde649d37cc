"""What holds for the origins that tasks and training sets declare."""

import re
from pathlib import Path

import pytest

from harness.acquire.catalogue import Dataset, catalogue, choose
from harness.acquire.get import units
from harness.acquire.listing import data_table, notes
from harness.benchmark import finetunes, tasks
from harness.benchmark.origins import repositories
from harness.core.errors import UsageError
from harness.core.layout import Layout
from harness.core.origins import Repository, fill

DATASETS = [dataset for dataset in catalogue() if dataset.hub]
REPOSITORIES = [value for value in vars(repositories).values() if isinstance(value, Repository)]
NOWHERE = Layout(Path("xtreme"), Path())


@pytest.fixture(params=DATASETS, ids=lambda dataset: dataset.label)
def declared(request: pytest.FixtureRequest) -> Dataset:
    return request.param


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_says_where_its_files_come_from(name: str) -> None:
    assert tasks.load(name).hub is not None


@pytest.mark.parametrize("repository", REPOSITORIES, ids=lambda repository: repository.name)
def test_pin_is_a_commit_and_tells_where_it_was_seen(repository: Repository) -> None:
    assert repository.revision is None or re.fullmatch("[0-9a-f]{40}", repository.revision)
    assert repository.seen
    assert repository.licence


def test_every_language_and_split_comes_from_somewhere_or_says_why_not(declared: Dataset) -> None:
    hub = declared.hub
    unserved = [
        (language, split)
        for split in declared.splits
        for language in declared.languages_of(split)
        if not any(part.serves(language, split) and not part.unofficial for part in hub.parts)
    ]
    assert not unserved or hub.refusal or hub.archive


def test_config_patterns_can_be_filled(declared: Dataset) -> None:
    for part in declared.hub.parts:
        for language in part.languages or declared.languages:
            assert "None" not in fill(part.config, language)
            assert fill(part.id_prefix, language) == fill(part.id_prefix, language).lower()


def test_official_patterns_can_be_filled(declared: Dataset) -> None:
    for official in declared.hub.official:
        for split in declared.splits:
            for language in declared.languages_of(split):
                assert all("None" not in path.name for path in official.paths(Path("x"), language, split))


def test_files_that_are_written_are_files_that_are_read(declared: Dataset) -> None:
    for unit in units(declared):
        assert set(unit.files(NOWHERE)) <= set(unit.needed(NOWHERE))


def test_no_two_languages_write_the_same_file(declared: Dataset) -> None:
    written = [path for unit in units(declared) for path in unit.files(NOWHERE)]
    assert len(written) == len(set(written))


def test_declared_numbers_are_of_its_languages(declared: Dataset) -> None:
    for counts in declared.hub.examples.values():
        assert isinstance(counts, int) or set(counts) <= set(declared.languages)


def test_only_unofficial_rows_are_offered_for_part_of_speech_tags() -> None:
    # google/xtreme's udpos.* is other data, and UD 2.7 for all languages is not the benchmark's.
    assert all(part.unofficial for part in tasks.load("udpos").hub.parts)
    assert "udpos.*" in tasks.load("udpos").hub.refusal


@pytest.mark.parametrize("name", ["bucc2018", "lareqa"])
def test_what_the_hub_lacks_is_refused(name: str) -> None:
    hub = tasks.load(name).hub
    assert hub.parts == ()
    assert hub.refusal


def test_table_has_a_row_for_each_task_and_training_set() -> None:
    table = data_table()
    trained = [name for name in finetunes.names() if finetunes.load(name).train is not None]
    assert [row[:2] for row in table.rows] == [
        *([name, "task"] for name in tasks.names()),
        *([name, "training set"] for name in trained),
    ]


def test_table_counts_files_and_names_pins() -> None:
    rows = {(row[0], row[1]): row for row in data_table().rows}
    assert rows["xnli", "task"][2:6] == ["30", "15", "dev/test", "facebook/xnli@b8dd5d7"]
    assert rows["tatoeba", "task"][2:6] == [
        "82",
        "41",
        "test",
        "google/xtreme@ec5f1f4 mteb/tatoeba-bitext-mining@69e8f12",
    ]
    assert rows["udpos", "task"][2:6] == ["72", "38", "dev/test", "not on the hub"]


def test_notes_hold_every_refusal() -> None:
    all_notes = notes()
    assert [line for line in all_notes if line.startswith("bucc2018: google/xtreme's bucc18.*")]
    assert len(all_notes) == len(set(all_notes))


def test_name_of_a_task_and_its_training_set_means_both() -> None:
    assert [(dataset.name, dataset.kind) for dataset in choose(["pawsx"])] == [
        ("pawsx", "task"),
        ("pawsx", "training set"),
    ]


def test_all_means_every_one() -> None:
    assert [dataset.label for dataset in choose(["all"])] == [dataset.label for dataset in catalogue()]


def test_languages_and_splits_narrow() -> None:
    (chosen,) = choose(["xnli"], ["ru", "de"], ["test"])
    assert (chosen.languages, chosen.splits) == (("de", "ru"), ("test",))


@pytest.mark.parametrize(
    ("names", "languages", "splits", "message"),
    [
        (["xnil"], [], [], "no task or training set 'xnil', did you mean 'xnli'; `harness data list`"),
        (["xnli"], ["xx"], [], "no language 'xx'"),
        (["xnli"], [], ["tset"], "no split 'tset', did you mean 'test'"),
        (["xnli"], ["fi"], [], "nothing is left of xnli"),
    ],
    ids=["name", "language", "split", "nothing"],
)
def test_what_is_unknown_is_refused(names, languages, splits, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        choose(names, languages, splits)


def test_partial_data_folder_is_asked_for_its_languages_only(sample_data) -> None:
    (chosen,) = [d for d in choose(["xnli"], layout=sample_data) if d.kind == "task"]
    assert set(chosen.languages) == set(sample_data.coverage()["xnli"])


@pytest.mark.parametrize("repository", REPOSITORIES, ids=lambda repository: repository.name)
def test_page_lists_the_pin(repository: Repository) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/data.md").read_text(encoding="utf-8")
    assert f"| {repository.name} | `{repository.revision}` |" in page
