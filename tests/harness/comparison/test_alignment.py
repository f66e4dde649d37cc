"""Which runs compare, on which items, and which items belong together."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xnli_labels import wrong

from harness.artifacts.workspace import Workspace
from harness.benchmark import tasks
from harness.comparison.alignment import Aligned, align, linked
from harness.comparison.runs import find
from harness.core.errors import DataError, HarnessError, UsageError
from harness.core.examples import PairExample, QuestionExample, SentenceExample, WordsExample, cluster_of
from harness.core.layout import Layout
from harness.core.progress import Silent


@pytest.fixture
def aligned(workspace: Workspace) -> Callable[..., Aligned]:
    def make(*runs: Path, **options) -> Aligned:
        found, _ = find([str(run) for run in runs], workspace)
        return align(found, workspace, Silent(), **options)

    return make


@pytest.fixture
def two(make_run, xnli) -> tuple[Path, Path]:
    """Two runs of XNLI in Russian and English; the second is wrong at three more places of the Russian one."""
    ru, en = xnli("ru"), xnli("en")
    left = make_run("english", {"xnli": {"ru": wrong(ru, 1, 2), "en": en}})
    return left, make_run("mixed", {"xnli": {"ru": wrong(ru, 1, 2, 30, 31, 40), "en": en}})


def test_second_scores_of_a_record_do_not_hinder(workspace: Workspace, make_run, write) -> None:
    write("udpos/test-ru.tsv", "a\tNOUN\nb\tVERB\n\n" * 10)
    folder = make_run("one", {"udpos": {"ru": [["NOUN", "VERB"]] * 10}})
    path = folder / "scores.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["tasks"]["udpos"]["languages"]["ru"]["accuracy"] = 12.5
    path.write_text(json.dumps(document), encoding="utf-8")
    found, _ = find([str(folder)], workspace)
    (task,) = align(found, workspace, Silent()).tasks
    assert task.cells[0].scores() == (100.0,)
    # A number that is neither the task's own nor its second is another version's.
    document["tasks"]["udpos"]["languages"]["ru"]["other"] = 12.5
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UsageError, match="do not give the scores of its record"):
        align(find([str(folder)], workspace)[0], workspace, Silent())


def test_both_have_the_same_examples(aligned, two) -> None:
    (task,) = aligned(*two).tasks
    assert [(cell.language, [len(counts) for counts in cell.counts]) for cell in task.cells] == [
        ("en", [60, 60]),
        ("ru", [60, 60]),
    ]


def test_scores_are_those_of_the_records(aligned, two) -> None:
    (task,) = aligned(*two).tasks
    recorded = [json.loads((run / "scores.json").read_text())["tasks"]["xnli"]["languages"]["ru"] for run in two]
    assert list(task.cells[1].scores()) == [each["accuracy"] for each in recorded]


def test_hypotheses_of_a_premise_and_their_translations_are_one_cluster(aligned, two) -> None:
    (task,) = aligned(*two).tasks
    english, russian = (cell.clusters for cell in task.cells)
    assert np.array_equal(english, russian)
    assert np.array_equal(np.unique(english, return_inverse=True)[1], np.arange(60) // 3)


def test_clusters_link_over_languages_however_long_the_chain() -> None:
    labels = linked([["a", "a", "b"], ["x", "y", "y"]], [["0", "1", "2"], ["0", "1", "2"]])
    # 0 and 1 share "a" in the first language, 1 and 2 share "y" in the second one.
    assert len(np.unique(np.concatenate(labels))) == 1
    apart = linked([["a", "b"], ["c", "d"]], [["0", "1"], ["2", "3"]])
    assert len(np.unique(np.concatenate(apart))) == 4


def test_many_equal_links_count_as_one() -> None:
    labels = linked([["a"] * 256 + ["b"]], [["0"] * 256 + ["0"]])
    assert len(np.unique(labels[0])) == 1


@pytest.mark.parametrize(
    ("example", "key"),
    [
        (PairExample("0", "premise", "hypothesis", "neutral"), "premise"),
        (QuestionExample("0", "who", "paragraph", ()), "paragraph"),
        (SentenceExample("0", "text", "query", frozenset({"Q42"})), frozenset({"Q42"})),
        (SentenceExample("0", "text", "candidate"), None),
        (WordsExample("0", ("a",), ("NOUN",)), None),
        (object(), None),
    ],
)
def test_example_says_what_it_shares(example, key) -> None:
    assert cluster_of(example) == key


@pytest.mark.parametrize("name", ["xnli", "xcopa", "pawsx", "xquad", "mlqa"])
def test_translations_are_declared(name: str) -> None:
    assert tasks.load(name).parallel


@pytest.mark.parametrize("name", ["udpos", "panx", "tydiqa", "tatoeba", "bucc2018", "mewslix"])
def test_test_sets_of_their_own_are_not_parallel(name: str) -> None:
    assert not tasks.load(name).parallel


def test_sentences_of_different_languages_are_apart(aligned, make_run, write) -> None:
    write("udpos/test-ru.tsv", "a\tNOUN\n\nb\tVERB\n")
    write("udpos/test-en.tsv", "a\tNOUN\n\nb\tVERB\n")
    answers = {"udpos": {code: [["NOUN"], ["VERB"]] for code in ("ru", "en")}}
    (task,) = aligned(make_run("one", answers), make_run("two", answers)).tasks
    assert len(np.unique(np.concatenate([cell.clusters for cell in task.cells]))) == 4


def refused(aligned, *runs: Path, **options) -> str:
    with pytest.raises(HarnessError) as caught:
        aligned(*runs, **options)
    return str(caught.value)


def test_nothing_in_common(aligned, make_run, xnli, write) -> None:
    write("udpos/test-ru.tsv", "a\tNOUN\n")
    one = make_run("one", {"xnli": {"ru": xnli("ru")}})
    two = make_run("two", {"udpos": {"ru": [["NOUN"]]}})
    assert "no task in common: one@fp32 has xnli; two@fp32 has udpos" in refused(aligned, one, two)


def test_no_language_in_common(aligned, make_run, xnli) -> None:
    one, two = make_run("one", {"xnli": {"ru": xnli("ru")}}), make_run("two", {"xnli": {"en": xnli("en")}})
    assert "no language in common: one@fp32 has ru; two@fp32 has en" in refused(aligned, one, two)


def test_languages_of_one_run_only_are_left_out_and_named(aligned, make_run, xnli) -> None:
    ru, en = xnli("ru"), xnli("en")
    one = make_run("one", {"xnli": {"ru": ru, "en": en}})
    found = aligned(one, make_run("two", {"xnli": {"ru": ru}}))
    assert [cell.language for cell in found.cells] == ["ru"]
    assert any("xnli in en" in line and "one@fp32" in line for line in found.remarks)


def test_different_limits_are_refused_unless_forced(aligned, make_run, xnli) -> None:
    ru = xnli("ru")
    one = make_run("one", {"xnli": {"ru": ru}})
    two = make_run("two", {"xnli": {"ru": ru[:30]}}, limit=30)
    assert "different limit, None and 30" in refused(aligned, one, two)
    found = aligned(one, two, force=True)
    assert [len(counts) for counts in found.cells[0].counts] == [30, 30]
    assert any(line.startswith("FORCED: ") for line in found.remarks)


def test_different_data_are_refused_unless_forced(aligned, make_run, xnli, tmp_path: Path) -> None:
    ru = xnli("ru")
    one = make_run("one", {"xnli": {"ru": ru}})
    other = tmp_path / "other/xtreme/xnli/test-ru.tsv"
    other.parent.mkdir(parents=True)
    text = (tmp_path / "data/xtreme/xnli/test-ru.tsv").read_text(encoding="utf-8")
    other.write_text(text.replace("hypothesis 0", "hypothesis zero"), encoding="utf-8")
    two = make_run("two", {"xnli": {"ru": ru}}, data=Layout.at(tmp_path / "other"))
    assert "different data (files of ru)" in refused(aligned, one, two)
    assert any("different data" in line for line in aligned(one, two, force=True).remarks)


def test_data_that_changed_since_the_run_are_refused(aligned, two, tmp_path: Path) -> None:
    path = tmp_path / "data/xtreme/xnli/test-ru.tsv"
    path.write_text(path.read_text().replace("hypothesis 0", "hypothesis null"))
    assert "are not those that" in refused(aligned, *two)


def test_data_folder_that_is_gone_is_asked_for(aligned, two, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "moved")
    assert "`--data DIR`" in refused(aligned, *two)
    assert aligned(*two, data=tmp_path / "moved").cells


def test_different_protocols_are_refused(aligned, make_run, write) -> None:
    write("udpos/test-ru.tsv", "a\tNOUN\n")
    answers = {"udpos": {"ru": [["NOUN"]]}}
    other = make_run("two", answers, protocols=["udpos=seqeval-current"])
    assert "different protocol" in refused(aligned, make_run("one", answers), other)


def test_layer_exposure_and_encoder_are_marks(aligned, make_run, xnli) -> None:
    ru = xnli("ru")
    one = make_run("one", {"xnli": {"ru": ru}}, representation="hidden state 7 of 12")
    two = make_run(
        "two",
        {"xnli": {"ru": ru}},
        representation="hidden state 8 of 12",
        exposure="language seen",
        tokenizer="b" * 64,
    )
    assert aligned(one, two).cells[0].marks == ((), ("layer", "exposure", "encoder"))


def test_answers_that_are_not_those_of_the_record_are_refused(aligned, two) -> None:
    document = json.loads((two[1] / "scores.json").read_text())
    document["tasks"]["xnli"]["languages"]["ru"]["accuracy"] = 99.0
    (two[1] / "scores.json").write_text(json.dumps(document))
    assert f"harness rescore {two[1]}" in refused(aligned, *two)


def test_run_without_its_journal_is_refused(aligned, two) -> None:
    (two[1] / "journal.sqlite").unlink()
    assert "has no journal.sqlite" in refused(aligned, *two)


def test_journal_of_an_older_version_is_refused(aligned, two) -> None:
    with sqlite3.connect(two[1] / "journal.sqlite") as connection:
        connection.execute("PRAGMA user_version = 1")
    assert "version 1, this is 3" in refused(aligned, *two)


def test_journal_that_is_no_database_is_refused(aligned, two) -> None:
    (two[1] / "journal.sqlite").write_bytes(b"no database, and long enough to be read as one" * 9)
    assert "is not a journal that this version reads" in refused(aligned, *two)


def test_record_of_an_older_version_is_read(aligned, two) -> None:
    document = json.loads((two[0] / "scores.json").read_text())
    del document["format"]
    (two[0] / "scores.json").write_text(json.dumps(document))
    assert aligned(*two).cells


def test_nothing_is_written_into_the_folders(aligned, two) -> None:
    before = {path: path.stat().st_mtime_ns for run in two for path in run.iterdir()}
    aligned(*two)
    assert {path: path.stat().st_mtime_ns for run in two for path in run.iterdir()} == before


def test_damaged_data_folder_is_a_data_error(aligned, two, tmp_path: Path) -> None:
    (tmp_path / "data/xtreme/xnli/test-ru.tsv").unlink()
    with pytest.raises(DataError):
        aligned(*two)


def test_stopped_run_is_named(workspace: Workspace, two) -> None:
    (two[1] / "scores.json").unlink()
    for name in (str(two[1]), two[1].name, "mixed"):
        with pytest.raises(UsageError, match=r"is not finished.*harness eval --output"):
            find([name], workspace)


def test_newest_run_of_a_model_is_found_and_said(workspace: Workspace, make_run, xnli) -> None:
    answers = {"xnli": {"ru": xnli("ru")}}
    make_run("english", answers, name="old")
    make_run("english", answers, name="new", created="2026-02-01T00:00:00+00:00")
    make_run("english", answers, name="int8", variant="int8")
    (run,), (line,) = find(["english"], workspace)
    assert (run.path.name, run.name) == ("new", "english@fp32")
    assert "new" in line
    assert "2026-02-01" in line
    assert find(["english@int8"], workspace)[0][0].path.name == "int8"


def test_phase_of_a_model_is_found(workspace: Workspace, make_run, xnli) -> None:
    answers = {"xnli": {"ru": xnli("ru")}}
    for name in ("english", "english.pretrained", "english.seed2", "english.pretrained.seed2"):
        make_run(name, answers, name=name)
    for name, run in {
        "english@pretrained": "english.pretrained",
        "english@intermediate": "english",
        "english.seed2@pretrained": "english.pretrained.seed2",
        "english.seed2@intermediate": "english.seed2",
    }.items():
        assert [found.path.name for found in find([name], workspace)[0]] == [run]
    with pytest.raises(UsageError, match=r"`harness eval --model mixed\.pretrained --tasks tatoeba,bucc2018` its run"):
        find(["mixed@pretrained"], workspace)
