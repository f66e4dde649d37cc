"""Which sentences a graph is checked on: enough of each script, and no more candidates than that needs."""

from pathlib import Path

import pytest
from tiny_checkpoints import write_tokenizer

from exporters.samples import GateSample, read_samples, spread
from harness.benchmark import finetunes
from harness.core.examples import scored
from harness.core.layout import Layout
from harness.sample.writers import MORE, SampleWriter
from harness.statistics.clusters import connected
from harness.tokenization.tokenizer import FastTokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's evaluation files."""
    sample = SampleWriter(tmp_path_factory.mktemp("data") / "sample")
    sample.evaluation()
    sample.more_dev()
    sample.coverage()
    return sample.folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FastTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return FastTokenizer(path)


@pytest.mark.parametrize(
    ("available", "total", "taken"),
    [
        ([100, 100, 100], 30, [10, 10, 10]),
        ([5, 100, 100], 45, [5, 20, 20]),
        ([5, 5], 100, [5, 5]),
        ([100, 100, 100], 2, [1, 1, 1]),
    ],
)
def test_examples_are_spread_evenly_and_every_part_gives_one(
    available: list[int], total: int, taken: list[int]
) -> None:
    assert spread(available, total) == taken


def read(name: str, folder: Path, tokenizer: FastTokenizer, count: int, *, each_task: bool = False) -> list[GateSample]:
    return read_samples(finetunes.load(name), Layout.at(folder), tokenizer, lambda scripts: count, each_task=each_task)


def test_a_script_has_as_many_as_are_wanted_of_all_its_languages_together(
    folder: Path, tokenizer: FastTokenizer
) -> None:
    samples = read("mnli", folder, tokenizer, 200)

    by_script: dict[str, int] = {}
    for sample in samples:
        by_script[sample.script] = by_script.get(sample.script, 0) + sample.scored
    assert by_script == {"Latn": 200, "Cyrl": 200, "Grek": 200, "Arab": 200, "Deva": 200, "Thai": 200, "Hani": 200}
    assert {sample.name for sample in samples if sample.script == "Latn"} == {"xnli", "mnli dev"}


def test_the_wanted_number_knows_how_many_scripts_there_are(folder: Path, tokenizer: FastTokenizer) -> None:
    asked: list[int] = []

    def wanted(scripts: int) -> int:
        asked.append(scripts)
        return 1

    read_samples(finetunes.load("mnli"), Layout.at(folder), tokenizer, wanted)
    assert asked == [7]


def test_retrieval_is_compared_among_few_candidates_that_hold_the_right_ones(
    folder: Path, tokenizer: FastTokenizer
) -> None:
    samples = read("encoder", folder, tokenizer, 2, each_task=True)

    for sample in samples:
        candidates = {example.id for example in sample.examples if example.side == "candidate"}
        queries = scored(sample.examples)
        right = {name for query in queries for name in query.gold}
        assert right <= candidates
        assert len(candidates) <= 10 + len(right) + 10, f"{sample.name} {sample.language}"
        assert 1 <= len(queries) <= 2
        assert {feature.example for feature in sample.features} == set(range(len(sample.examples)))


def test_a_part_of_a_sample_keeps_rows_with_their_examples(folder: Path, tokenizer: FastTokenizer) -> None:
    (whole,) = (
        sample for sample in read("squad", folder, tokenizer, 60) if (sample.name, sample.language) == ("xquad", "th")
    )

    part = whole.first(7)

    assert part.scored == 7
    assert list(part.examples) == list(whole.examples[:7])
    rows = {feature.key for feature in whole.features if feature.example < 7}
    assert {feature.key for feature in part.features} == rows
    assert {feature.example for feature in part.features} == set(range(7))


def test_translations_and_questions_on_one_paragraph_are_one_cluster(folder: Path, tokenizer: FastTokenizer) -> None:
    samples = [
        sample
        for sample in read("squad", folder, tokenizer, 30)
        if sample.name == "xquad" and sample.language in ("ru", "th")
    ]

    russian, thai = connected([sample.keys for sample in samples])

    assert list(russian[:3]) == [russian[0]] * 3, "three questions on one paragraph"
    assert russian[3] != russian[0]
    assert list(russian[:9]) == list(thai[:9]), "and the same paragraph in Thai"


def test_the_sample_has_dev_sets_that_can_show_a_loss(folder: Path) -> None:
    lines = (folder / "xtreme/xnli/dev-th.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 90 + MORE["xnli"]
    assert len(set(lines)) == len(lines)
    english = (folder / "xtreme/udpos/dev-en.tsv").read_text(encoding="utf-8")
    assert english.count("\n\n") == 60, "the file that a training chooses its steps by stays"
