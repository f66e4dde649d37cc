from dataclasses import replace
from pathlib import Path

import pytest

from harness.artifacts.checkpoint import MixRecord
from harness.artifacts.run import PlausibilityRecord, WarningRecord
from harness.benchmark import tasks
from harness.benchmark.suites import RULES, SUITES
from harness.core.tables import Table
from harness.evaluation.report import (
    Halves,
    equal_line,
    family_table,
    input_lines,
    language_table,
    padding_line,
    protocol_lines,
    script_table,
    suite_lines,
    warning_lines,
)
from harness.evaluation.results import LanguageScore, RunResult, TaskScore


def score(
    name: str, *, complete: bool = True, split: str = "test", exposure: str | None = None, **languages: float
) -> TaskScore:
    task = tasks.load(name)
    rows = [
        LanguageScore(
            language=code,
            split=split,
            examples=10,
            scores=dict.fromkeys(task.headline, value),
            official=complete,
            exposure=exposure,
        )
        for code, value in languages.items()
    ]
    return TaskScore(task=task, languages=rows, expected=tuple(languages))


XNLI, XQUAD = score("xnli", ru=70, en=80, bg=72), score("xquad", ru=50, en=60.04, zh=40)


def test_language_table_has_a_dash_where_a_task_lacks_the_language() -> None:
    table = language_table([XNLI, XQUAD], "t")
    assert table.rows == [
        ["bg Cyrl", "72.0", "-"],
        ["en Latn", "80.0", "60.0"],
        ["ru Cyrl", "70.0", "50.0"],
        ["zh Hani", "-", "40.0"],
        ["mean", "74.0", "50.0"],
    ]


def test_language_table_has_a_column_for_each_task() -> None:
    assert language_table([XNLI, XQUAD], "t").columns == ["language", "xnli", "xquad"]


def test_script_table_has_a_dash_where_a_task_lacks_the_script() -> None:
    table = script_table([XNLI, XQUAD], "t")
    assert (table.columns, table.rows) == (
        ["task", "Latn", "Cyrl", "Hani", "mean", "non-Latin", "en - others"],
        [
            ["xnli", "80.0", "71.0", "-", "74.0", "71.0", "+9.0"],
            ["xquad", "60.0", "50.0", "40.0", "50.0", "45.0", "+15.0"],
        ],
    )


def test_family_table_has_a_row_for_each_family() -> None:
    table = family_table([XNLI, XQUAD], "t")
    assert table.rows == [["Indo-European", "74.0", "55.0"], ["Sino-Tibetan", "-", "40.0"]]


def test_cells_are_marked_with_what_the_model_has_seen() -> None:
    seen = [score("xnli", exposure="task and language seen", en=80), score("xquad", exposure="language seen", en=60)]
    table = language_table(seen, "t")
    assert table.rows == [["en Latn", "80.0**", "60.0*"], ["mean", "80.0", "60.0"], ["mean unseen", "-", "-"]]
    assert protocol_lines(seen)[-1] == (
        "no mark: no labelled data of that language seen; * language seen, ** task and language seen"
    )


def test_mean_over_unseen_languages_has_its_row() -> None:
    assert language_table([score("xnli", exposure="unseen", ru=70)], "t").rows[-1] == ["mean unseen", "70.0"]


def test_scores_have_their_interval_beside_them() -> None:
    halves = Halves(
        of={("xnli", "ru"): 4.25, ("xnli", "Cyrl"): 3.0, ("xnli", "mean"): 2.0, ("xnli", "Indo-European"): 1.0}
    )
    rows = {row[0]: row[1:] for row in language_table([XNLI, XQUAD], "t", halves).rows}
    assert rows["ru Cyrl"] == ["70.0 ±4.2", "50.0"]
    assert rows["mean"] == ["74.0 ±2.0", "50.0"]
    assert rows["n of a language"] == ["10", "10"]
    assert script_table([XNLI], "t", halves).rows[0][1:4] == ["80.0", "71.0 ±3.0", "74.0 ±2.0"]
    assert family_table([XNLI], "t", halves).rows == [["Indo-European", "74.0 ±1.0"]]


def test_number_of_examples_stands_beside_each_score_where_languages_differ() -> None:
    other = replace(XNLI, languages=[replace(XNLI.languages[0], examples=1234), *XNLI.languages[1:]])
    rows = {row[0]: row[1] for row in language_table([other], "t", Halves(of={("xnli", "ru"): 4.25})).rows}
    assert rows["ru Cyrl"] == "70.0 ±4.2, n 1,234"
    assert rows["bg Cyrl"] == "72.0, n 10"
    assert rows["n of a language"] == "-"


def test_text_aligns_names_left_and_numbers_right() -> None:
    assert Table("t", ["task", "a"], [["xnli", "7.0"], ["x", "10.0"]]).text() == (
        "t\n  task     a\n  xnli   7.0\n  x     10.0"
    )


def test_markdown_aligns_numbers_right() -> None:
    assert Table("t", ["task", "a"], [["xnli", "7.0"]]).markdown() == (
        "**t**\n\n| task | a |\n| --- | --: |\n| xnli | 7.0 |"
    )


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (
            score("xquad", ru=1),
            "xquad: mean of exact_match and f1, 1 languages, test, SQuAD v1.1's English normaliser in every language, "
            "tokens between white space",
        ),
        (
            score("xnli", complete=False, ru=1, en=1),
            "xnli: mean of accuracy, 2 languages, partial: 2/2 languages, test, 10 of 5,010 examples per language",
        ),
        (
            score("udpos", complete=False, split="dev", ru=1),
            "udpos: mean of f1, 1 languages, partial: 1/1 languages, dev, seqeval legacy (up to 0.0.13) on bare tags",
        ),
    ],
    ids=["complete", "partial", "dev-with-protocol"],
)
def test_protocol_line_says_what_a_number_depends_on(task: TaskScore, line: str) -> None:
    assert protocol_lines([task]) == [line]


def test_group_with_a_partial_or_missing_task_has_no_mean() -> None:
    lines = suite_lines(SUITES["xtreme-r"], [XNLI, score("xcopa", complete=False, th=50)])
    assert lines[0] == "xtreme-r classification: - (not complete: xcopa)"


def test_group_of_complete_tasks_has_its_mean() -> None:
    lines = suite_lines(SUITES["xtreme-r"], [XNLI, score("xcopa", th=50)])
    assert lines[0] == "xtreme-r classification: 62.0"


def test_suite_has_a_line_for_each_group() -> None:
    titles = [line.partition(":")[0] for line in suite_lines(SUITES["xtreme"], [])]
    assert titles[: len(SUITES["xtreme"].groups)] == [f"xtreme {group}" for group in SUITES["xtreme"].groups]


def test_every_overall_names_its_rule() -> None:
    lines = suite_lines(SUITES["xtreme-r"], [XNLI])[len(SUITES["xtreme-r"].groups) :]
    assert [line.partition(":")[0] for line in lines] == [f"xtreme-r overall, rule {rule.name}" for rule in RULES]


def test_overall_of_complete_tasks_has_its_number() -> None:
    everything = [score(name, en=50) for name in SUITES["xtreme"].tasks]
    assert "xtreme overall, rule tasks: 50.0" in suite_lines(SUITES["xtreme"], everything)


def test_padding_line_gives_ratio_tokens_and_seconds() -> None:
    padding = {"ratio": 1.25, "padded_tokens": 12500, "useful_tokens": 10000, "batches": 3, "graph_seconds": 2.0}
    assert padding_line(RunResult("m", Path("run"), [], padding)) == (
        "padded/useful tokens 1.250 (12,500 / 10,000) in 3 batches, 2.0 s in graphs"
    )


def test_comparison_says_what_was_equal_in_phase_2() -> None:
    english = MixRecord(steps=400, text_steps=90, source_examples={"mnli": {"en": 1000}, "squad": {"en": 1400}})
    mixed = MixRecord(steps=400, text_steps=80, source_examples={"mnli": {"en": 1200, "ru": 1200}})
    assert equal_line(english, mixed) == (
        "phase 2: 400 optimiser steps in both, steps of text 90 and 80, 2,400 source examples in both"
    )
    assert equal_line(None, mixed).startswith("phase 2: optimiser steps 0 and 400")


def counted(**languages: PlausibilityRecord) -> TaskScore:
    task = tasks.load("xnli")
    rows = [
        LanguageScore(language=code, examples=10, scores={"accuracy": 50.0}, official=True, plausibility=record)
        for code, record in languages.items()
    ]
    return TaskScore(task=task, languages=rows, expected=tuple(languages))


def test_last_row_of_the_language_table_is_the_mean_level_of_chance() -> None:
    task = counted(en=PlausibilityRecord(chance=50.0), ru=PlausibilityRecord(chance=60.0))
    assert language_table([task, XQUAD], "t").rows[-1] == ["chance", "55.0", "-"]


def test_inputs_have_one_line_with_what_was_lost_and_where_most() -> None:
    task = counted(
        en=PlausibilityRecord(unknown_share=0.0, truncated_rows=1, equal_rows=0),
        ru=PlausibilityRecord(unknown_share=2.34, truncated_rows=1_200, equal_rows=2, duplicate_ids=1),
    )
    assert list(input_lines([task])) == [
        "xnli inputs: unknown subwords at most 2.3 % (ru), truncated rows 1,201 (ru 1,200), "
        "rows made equal by truncation 2 (ru 2), candidates with the id of another 1 (ru 1)"
    ]


def test_inputs_that_lost_nothing_have_no_line() -> None:
    assert list(input_lines([XNLI, counted(en=PlausibilityRecord(unknown_share=0.0, truncated_rows=0))])) == []


def test_each_warning_is_one_line() -> None:
    found = WarningRecord(kind="at chance", task="xnli", languages=["ru"], text="xnli ru: at chance")
    assert list(warning_lines([found])) == ["warning: xnli ru: at chance"]
