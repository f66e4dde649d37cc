"""`harness leaderboard` and the tables of `harness report`."""

import csv
import io
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from outside_tools import need, need_module
from xnli_labels import wrong

from harness.artifacts.workspace import Workspace
from harness.commands import comparison
from harness.comparison.leaderboard import board
from harness.comparison.published import published
from harness.comparison.runs import all_runs
from harness.core.errors import UsageError
from harness.core.progress import Silent


@pytest.fixture
def runs(make_run, xnli, write) -> None:
    ru = xnli("ru")
    write("udpos/test-ru.tsv", "\n\n".join(["a\tNOUN"] * 5) + "\n")
    make_run("english", {"xnli": {"ru": wrong(ru, 1)}})
    make_run("english", {"xnli": {"ru": wrong(ru, *range(12))}}, variant="int8")
    make_run("mixed", {"xnli": {"ru": ru}, "udpos": {"ru": [["NOUN"]] * 5}}, created="2026-03-01T00:00:00+00:00")


def test_one_row_for_each_model_and_variant(workspace: Workspace, runs) -> None:
    sheet = board(all_runs(workspace))
    # Chunk F1 of five equal tags is 100.
    assert (sheet.columns, [list(row[:4]) for row in sheet.rows]) == (
        ["model", "udpos", "xnli", "mean", "run"],
        [
            ["english@fp32", "-", "98.3~", "98.3 (1)"],
            ["english@int8", "-", "80.0~", "80.0 (1)"],
            ["mixed@fp32", "100.0~", "100.0~", "100.0 (2)"],
        ],
    )


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("model", "english@fp32", "mixed@fp32"),
        ("xnli", "mixed@fp32", "english@int8"),
        ("udpos", "mixed@fp32", "english@int8"),
        ("mean", "mixed@fp32", "english@int8"),
        ("created", "mixed@fp32", "english@fp32"),
    ],
)
def test_rows_are_sorted_with_the_missing_last(workspace: Workspace, runs, sort: str, first: str, last: str) -> None:
    rows = board(all_runs(workspace), sort=sort).rows
    assert (rows[0][0], rows[-1][0]) == (first, last)


def test_wrong_column_is_refused(workspace: Workspace, runs) -> None:
    with pytest.raises(UsageError, match="no column 'xnly', did you mean 'xnli'"):
        board(all_runs(workspace), sort="xnly")


def test_missing_task_is_null_in_json(workspace: Workspace, runs) -> None:
    (text,) = comparison.leaderboard(workspace, form="json")
    rows = {(row["model"], row["variant"]): row for row in json.loads(text)["rows"]}
    assert rows["english", "fp32"]["udpos"] is None
    assert rows["mixed", "fp32"]["partial"] == ["xnli", "udpos"]


def test_older_runs_are_listed_on_request(workspace: Workspace, make_run, xnli) -> None:
    answers = {"xnli": {"ru": xnli("ru")}}
    make_run("a", answers, name="old")
    make_run("a", answers, name="new", created="2026-02-01T00:00:00+00:00")
    assert [row[-1] for row in board(all_runs(workspace)).rows] == ["new"]
    assert {row[-1] for row in board(all_runs(workspace), every=True).rows} == {"old", "new"}


def test_unfinished_and_damaged_runs_are_named_and_never_averaged(workspace: Workspace, make_run, xnli) -> None:
    answers = {"xnli": {"ru": xnli("ru")}}
    for name in ("whole", "stopped", "damaged"):
        make_run(name, answers)
    (workspace.runs / "stopped-fp32/scores.json").unlink()
    (workspace.runs / "damaged-fp32/scores.json").write_text('{"format": 2}')
    sheet = board(all_runs(workspace))
    assert [row[0] for row in sheet.rows] == ["whole@fp32"]
    assert any(note.startswith("not finished: ") and "stopped-fp32" in note for note in sheet.notes)
    assert any(note.startswith("damaged: ") and "damaged-fp32" in note for note in sheet.notes)


def test_empty_workspace_is_one_sentence(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="no finished run here; `harness eval"):
        board(all_runs(workspace))


def test_500_runs_take_seconds(workspace: Workspace, make_run, xnli) -> None:
    run = make_run("m0", {"xnli": {"ru": xnli("ru")}})
    text = (run / "scores.json").read_text()
    for number in range(1, 500):
        folder = workspace.runs / f"m{number}-fp32"
        folder.mkdir()
        (folder / "scores.json").write_text(text.replace('"m0"', f'"m{number}"'))
    begin = time.perf_counter()
    assert len(board(all_runs(workspace)).rows) == 500
    assert time.perf_counter() - begin < 5
    with pytest.raises(UsageError, match="500 runs are too many"):
        list(comparison.report(comparison.ReportRequest(output=workspace.root / "r.html"), workspace, Silent()))


def test_page_escapes_names(workspace: Workspace, make_run, xnli, tmp_path: Path) -> None:
    need_module("jinja2")
    make_run("<script>alert(1)</script>", {"xnli": {"ru": xnli("ru")}}, name="x")
    output = tmp_path / "board.html"
    assert list(comparison.leaderboard(workspace, output=output)) == [f"wrote {output}: 1 rows"]
    text = output.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;@fp32" in text


@pytest.fixture
def tables(workspace: Workspace, runs) -> Callable[..., str]:
    def make(*names: str, form: str, rows: str = "own") -> str:
        request = comparison.ReportRequest(runs=names, form=form, rows=rows)
        return "\n".join(list(comparison.report(request, workspace, Silent()))[len(names) :])

    return make


def test_tables_of_a_paper_have_intervals_and_the_best_in_bold(tables) -> None:
    text = tables("english@fp32", "english@int8", form="md")
    assert re.search(r"\| xnli \| 60 \| \*\*98\.3 ±\d\.\d\*\* \| 80\.0 ±1\d\.\d \|", text)
    assert "**xnli by language, percent**" in text
    assert "english@fp32: suite:none" in text


def test_tables_say_how_many_examples_each_run_has(tables, make_run, xnli) -> None:
    make_run("short", {"xnli": {"ru": xnli("ru")[:30]}}, limit=30)
    text = tables("mixed@fp32", "short@fp32", form="md")
    assert "| task | n | mixed@fp32 | short@fp32 |" in text
    assert "| xnli | 60 / 30 | " in text
    assert "| udpos | 5 | " in text


def test_latex_has_a_table_for_each_task(tables) -> None:
    text = tables("mixed@fp32", form="latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 3
    assert r"\caption{" in text


def test_latex_compiles(tables, tmp_path: Path) -> None:
    program = need("pdflatex", "texlive-latex-base texlive-latex-recommended")
    body = tables("english@fp32", "english@int8", form="latex")
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}" + body + "\\end{document}"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_csv_has_every_score_with_its_interval(tables) -> None:
    found = list(csv.DictReader(io.StringIO(tables("mixed@fp32", form="csv"))))
    assert {(row["table"], row["task"]) for row in found} == {
        ("Means over languages, percent", "xnli"),
        ("Means over languages, percent", "udpos"),
        ("xnli by language, percent", "xnli"),
        ("udpos by language, percent", "udpos"),
    }
    assert all(float(row["low"]) <= float(row["score"]) <= float(row["high"]) for row in found)


def test_published_numbers_stand_beside_and_are_never_the_best(tables) -> None:
    text = tables("english@fp32", form="md", rows="published")
    head, _, row = [line for line in text.splitlines() if line.startswith("|")][:3]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert [cell.strip() for cell in head.strip("|").split("|")][3:5] == ["mBERT (published)", "XLM-R base (published)"]
    assert cells[0] == "xnli"
    assert cells[3:7] == ["65.4", "74.6", "79.2", "80.0"]
    assert "**" not in row
    assert "RemBERT, arXiv 2010.12821 Table 16" in text


def test_published_numbers_have_their_sources_in_json(tables) -> None:
    means, *_ = json.loads(tables("mixed@fp32", form="json", rows="published"))
    found = {(row["run"], row["task"]): row for row in means["rows"]}
    assert (
        found["XLM-R base (published)", "udpos"]["source"] == "JHU-CLSP/mmBERT assets/xtreme.jpeg, read from the figure"
    )
    assert found["mBERT (published)", "udpos"]["method"] == "score, not confirmed"
    assert found["mixed@fp32", "xnli"]["source"] == ""


def test_published_numbers_are_the_tasks_own_or_marked() -> None:
    rows = [score for scores in published().values() for score in scores.values()]
    assert {score.metric for score in rows} == {"score", "f1"}
    assert {score.task for score in rows if score.metric == "f1"} == {"xquad", "mlqa", "tydiqa"}
    # The mean of F1 76.6 and exact match 60.8, and F1 alone.
    assert published()["XLM-R large"]["xquad"].text() == "68.7"
    assert published()["XLM-R base"]["xquad"].text() == "73.4f"
    assert published()["XLM-R large"]["tatoeba"].text() == "57.3?"


@pytest.mark.parametrize(
    ("rows", "form", "sentence"), [("all", "md", "no rows 'all'"), ("published", "html", "stand in")]
)
def test_wrong_rows_are_refused(workspace: Workspace, runs, rows: str, form: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        list(comparison.report(comparison.ReportRequest(form=form, rows=rows), workspace, Silent()))
