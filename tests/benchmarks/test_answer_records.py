"""Records of units: exact, small, of one declaration; a planted difference is found, and none is not."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.answer import page, records, tables, units
from benchmarks.answer.declaration import COMPARISONS, SEEDS, TARGETS, Contrast
from harness.core.errors import DataError

DECLARATION = "d" * 64
#: Statistics of an accuracy task: right, and counted.
CELLS = (("xnli", "zh"), ("xnli", "ru"), ("xnli", "hi"))


def cell(task: str, language: str, right: np.ndarray, clusters: np.ndarray) -> records.CellRecord:
    counts = np.stack([right.astype(float), np.ones(len(right))], axis=1)
    return records.CellRecord(
        task=task,
        language=language,
        split="test",
        ids_sha256="i" * 64,
        counts=counts,
        clusters=clusters,
        scores={"accuracy": 100 * float(right.mean())},
        chance=100 / 3,
    )


def unit(arm: str, seed: int, cells: list[records.CellRecord], declaration: str = DECLARATION) -> records.UnitFile:
    cost = records.PhaseCost(steps=10, learning_rate=1e-4, precision="bf16", padding=1.1, loss=0.5)
    return records.UnitFile(
        arm=arm,
        seed=seed,
        declaration=declaration,
        created="2026-12-01T00:00:00+00:00",
        training={"mnli": cost},
        rows={} if arm == "none" else {"nli en": {"rows": 100, "tokens": 4000}},
        evaluated=1000,
        seconds={"train": 10.0, "export": 2.0, "eval-xnli": 3.0},
        machine="a machine",
        versions={"torch": "2.13.0"},
        commit="c" * 40,
        protocols={"xnli": ""},
        rows_sha256="r" * 64,
        warnings=[],
        tasks=records.packed(cells),
    )


def experiment(
    generator: np.random.Generator, gain: float, seeds: int, examples: int = 400, spread: float = 0.01
) -> list[records.UnitRecord]:
    """Return units of english and mixed_all whose accuracies differ by `gain`, with an SD of `spread` over seeds."""
    clusters = np.repeat(np.arange(examples // 2), 2)
    ease = {key: generator.normal(0, 1, examples) for key in CELLS}
    found = []
    for arm, level in (("english", 0.0), ("mixed_all", gain)):
        for seed in range(1, seeds + 1):
            shift = generator.normal(0, spread)
            cells = []
            for key in CELLS:
                chance = 1 / (1 + np.exp(-ease[key]))
                right = generator.random(examples) < np.clip(chance + level + shift, 0, 1)
                cells.append(cell(*key, right, clusters))
            found.append(records.UnitRecord(file=unit(arm, seed, cells), cells=tuple(cells)))
    return found


COMPARED = Contrast(name="NLI", left="english", right="mixed_all", cells=CELLS, family="primary", margin=2.0)


def outcome(found: list[records.UnitRecord]) -> tables.ContrastOutcome:
    (one,) = tables.outcomes(found, [COMPARED])
    return one


def test_arrays_are_kept_exactly() -> None:
    generator = np.random.default_rng(0)
    for array in (
        generator.random((500, 3)).round(2),
        np.arange(1000.0).reshape(500, 2) / 3,
        np.zeros((0, 2)),
        np.array([[1e-300, -0.1]]),
    ):
        assert np.array_equal(records.PackedArray.of(array).array(), array)


def test_a_record_of_the_declared_size_is_below_100_kb(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    cells = []
    for target in TARGETS:
        count = target.sample or 900
        clusters = np.arange(count) // 3
        for code in target.languages:
            # F1 of answers takes a few hundred values; exact match and the rest are 0 or 1.
            one = cell(target.task, code, generator.random(count) < 0.5, clusters)
            if target.task in ("xquad", "mlqa", "tydiqa"):
                f1 = generator.integers(0, 120, (count, 1)) / 119
                one = records.CellRecord(
                    **{name: getattr(one, name) for name in records.CellRecord.__slots__ if name != "counts"},
                    counts=np.concatenate([one.counts, f1], axis=1),
                )
            cells.append(one)
    path = records.write_record(tmp_path, unit("english", 1, cells))
    assert path.stat().st_size <= records.LARGEST
    again = records.read_record(path)
    assert all(np.array_equal(one.counts, other.counts) for one, other in zip(again.cells, cells, strict=True))
    assert all(np.array_equal(one.clusters, other.clusters) for one, other in zip(again.cells, cells, strict=True))


def test_a_larger_record_is_refused_and_not_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    noise = cell("xnli", "zh", np.ones(60_000, bool), np.arange(60_000))
    noisy = records.CellRecord(
        **{name: getattr(noise, name) for name in records.CellRecord.__slots__ if name != "counts"},
        counts=generator.integers(0, 60_000, (60_000, 2)).astype(float),
    )
    with pytest.raises(DataError, match=r"the record of english-1 has [\d,]+ bytes, 100,000 are the most"):
        records.write_record(tmp_path, unit("english", 1, [noisy]))
    assert list(tmp_path.iterdir()) == []


def test_another_declaration_is_refused(tmp_path: Path) -> None:
    records.write_record(tmp_path, unit("english", 1, [], declaration="e" * 64))
    with pytest.raises(
        DataError, match=r"english-1.json was made under declaration eeeeeeeeeeee, this is dddddddddddd"
    ):
        records.read_records(tmp_path, DECLARATION)


def test_answers_to_other_examples_are_refused(tmp_path: Path) -> None:
    right, clusters = np.ones(10, bool), np.arange(10)
    records.write_record(tmp_path, unit("english", 1, [cell("xnli", "zh", right, clusters)]))
    records.write_record(tmp_path, unit("english", 2, [cell("xnli", "zh", right, clusters // 2)]))
    with pytest.raises(DataError, match="answered different examples of xnli zh"):
        records.read_records(tmp_path, DECLARATION)


def test_a_copied_record_is_no_other_seed(tmp_path: Path) -> None:
    path = records.write_record(tmp_path, unit("english", 1, [cell("xnli", "zh", np.ones(3, bool), np.arange(3))]))
    (tmp_path / "english-2.json").write_bytes(path.read_bytes())
    with pytest.raises(
        DataError, match=r"english-2.json is the record of english-1, which is no declared unit of that"
    ):
        records.read_records(tmp_path, DECLARATION)


def test_a_comparison_that_was_not_run_counts_in_holms_family() -> None:
    found = experiment(np.random.default_rng(1), gain=0.05, seeds=3)
    missing = Contrast(name="other", left="none", right="mixed_all", cells=CELLS, family="primary", margin=2.0)
    alone, both = outcome(found), tables.outcomes(found, [COMPARED, missing])[0]
    assert alone.p_value is not None
    assert both.corrected == pytest.approx(2 * alone.p_value)
    assert both.size == 2


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = records.write_record(tmp_path, unit("english", 1, [cell("xnli", "zh", np.ones(3, bool), np.arange(3))]))
    path.write_text(path.read_text().replace('"seed":1', '"seed":"one"'))
    with pytest.raises(DataError, match=r"english-1.json is no record of a unit .*harness bench answer run"):
        records.read_records(tmp_path, DECLARATION)


def test_a_planted_difference_is_found() -> None:
    found = outcome(experiment(np.random.default_rng(1), gain=0.08, seeds=4))
    assert found.verdict == "yes"
    assert found.value == pytest.approx(7, abs=2)
    assert found.interval is not None
    assert found.interval.low < found.value < found.interval.high


def test_a_planted_loss_is_harm() -> None:
    assert outcome(experiment(np.random.default_rng(2), gain=-0.08, seeds=4)).verdict == "harm"


def test_equal_arms_are_called_different_in_about_one_of_twenty_experiments() -> None:
    generator = np.random.default_rng(3)
    wrong = sum(
        outcome(experiment(generator, 0.0, seeds=3, examples=120)).verdict in ("yes", "harm") for _ in range(200)
    )
    # 5 % of 200 is 10; 19 is the upper end of the binomial 99 % interval.
    assert wrong <= 19


def test_no_difference_is_said_only_with_more_than_three_seeds_and_a_small_interval() -> None:
    generator = np.random.default_rng(4)
    three, five = (experiment(generator, 0.0, seeds, examples=6000, spread=0.002) for seeds in (3, 5))
    assert outcome(three).verdict == "undecided"
    assert outcome(five).verdict == "no"


def test_one_seed_is_undecided_and_its_interval_is_over_examples() -> None:
    found = outcome(experiment(np.random.default_rng(5), gain=0.2, seeds=1))
    assert (found.verdict, found.p_value) == ("undecided", None)
    assert found.interval is not None
    assert found.interval.low > 0


def test_an_arm_without_records_is_not_run() -> None:
    english = [each for each in experiment(np.random.default_rng(6), 0.0, 2) if each.file.arm == "english"]
    assert outcome(english).verdict == "not run"


def test_tasks_weigh_alike_and_languages_within_them() -> None:
    assert tables.weights([("xquad", "ar"), ("xquad", "zh"), ("tydiqa", "ko")]) == [0.25, 0.25, 0.5]


def test_detectable_differences_are_those_of_the_declaration() -> None:
    assert tables.planned_difference(1.0, 3) == pytest.approx(3.0, abs=0.05)
    assert tables.planned_difference(1.0, 5) == pytest.approx(2.0, abs=0.05)


def readme(folder: Path) -> Path:
    """Write a README with a place for the answer."""
    path = folder / "README.md"
    path.write_text(f"# A project\n{page.LINE_START}{page.LINE_END}", encoding="utf-8")
    return path


def test_page_keeps_the_declaration_and_names_missing_units(tmp_path: Path) -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    own = tmp_path / "answer.md"
    own.write_text(text.partition(page.START)[0] + page.START, encoding="utf-8")
    page.write(tmp_path / "records", DECLARATION, own, readme(tmp_path))
    made = own.read_text(encoding="utf-8")
    assert made.startswith(text.partition(page.START)[0])
    assert f"Units without a record, of {5 * len(SEEDS)}" in made
    assert "No answer yet" in made


def test_page_without_a_place_for_results_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "answer.md"
    own.write_text("# The answer\n", encoding="utf-8")
    with pytest.raises(DataError, match="put it at its end"):
        page.write(tmp_path / "records", DECLARATION, own, readme(tmp_path))


def test_readme_without_a_place_for_the_answer_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "answer.md"
    own.write_text(page.START, encoding="utf-8")
    (tmp_path / "README.md").write_text("# A project\n", encoding="utf-8")
    with pytest.raises(DataError, match="put them where the answer is"):
        page.write(tmp_path / "records", DECLARATION, own, tmp_path / "README.md")
    assert own.read_text(encoding="utf-8") == page.START


def test_committed_page_is_what_the_committed_records_give(tmp_path: Path) -> None:
    own = tmp_path / "answer.md"
    own.write_text(page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    first = tmp_path / "README.md"
    first.write_text(page.README.read_text(encoding="utf-8"), encoding="utf-8")
    page.write(units.RECORDS, units.declared(), own, first)
    assert own.read_text(encoding="utf-8") == page.PAGE.read_text(encoding="utf-8")
    assert first.read_text(encoding="utf-8") == page.README.read_text(encoding="utf-8")


def test_families_of_comparisons_have_one_name_each() -> None:
    assert len({each.name for each in COMPARISONS}) == len(COMPARISONS)
