"""`harness compare` from names to lines and files."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from xnli_labels import wrong

from harness.artifacts.workspace import Workspace
from harness.commands import comparison
from harness.comparison.sheets import Sheet, check_format, format_of, in_latex, render
from harness.comparison.signature import signature
from harness.core.errors import UsageError
from harness.core.progress import Silent


@pytest.fixture
def compare(workspace: Workspace) -> Callable[..., str]:
    """Return what is printed: ``compare("a", "b", by="task", form="csv")``."""

    def run(*names: str, form: str | None = None, output: Path | None = None, **options) -> str:
        request = comparison.ComparisonRequest(runs=names, **options)
        return "\n".join(comparison.compare(request, workspace, Silent(), form, output))

    return run


@pytest.fixture
def two(make_run, xnli) -> None:
    ru, en = xnli("ru"), xnli("en")
    make_run("english", {"xnli": {"ru": ru, "en": en}})
    make_run("mixed_ru", {"xnli": {"ru": wrong(ru, *range(12)), "en": en}})


def test_table_says_what_is_compared_and_how_sure_it_is(compare, two) -> None:
    shown = compare("english", "mixed_ru")
    (line,) = [line for line in shown.splitlines() if line.startswith("  xnli   Cyrl")]
    assert line.split() == ["xnli", "Cyrl", "1", "60", "20", "100.0", "80.0", "-20.0", "[-39.2,", "-0.8]", "0.250"]
    assert shown.startswith("mixed_ru@fp32 minus english@fp32 by script, percentage points")
    assert "xnli by script 2, means of tasks 1" in shown
    assert "english@fp32: suite:none|tasks:xnli|split:test|protocol:default|layer:none|variant:fp32|" in shown
    assert "its newest finished run is" in shown
    assert "not the whole official test set: xnli (partial: 2/15 languages" in shown


def test_json_has_every_digit_and_the_methods(compare, two) -> None:
    document = json.loads(compare("english", "mixed_ru", form="json", by="language"))
    row = next(row for row in document["rows"] if row["group"] == "ru")
    assert (row["difference"], row["test"], row["p"]) == (-20.0, "cluster sign flip, exact", 0.125)
    assert document["left"]["name"] == "english@fp32"
    assert document["families"] == {"xnli by language": 2, "means of tasks": 1}


def test_csv_is_one_table(compare, two) -> None:
    found = list(csv.DictReader(io.StringIO(compare("english", "mixed_ru", form="csv"))))
    assert [(row["group"], row["difference"]) for row in found] == [
        ("Latn", "0.0"),
        ("Cyrl", "-20.0"),
        ("mean", "-10.0"),
    ]


def test_suffix_chooses_the_format(compare, two, tmp_path: Path) -> None:
    path = tmp_path / "out/table.tex"
    assert compare("english", "mixed_ru", output=path) == f"wrote {path}: 3 rows"
    assert path.read_text(encoding="utf-8").count(r"\begin{tabular}") == 1


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (("english",), {}, "one run has nothing to be compared with"),
        (("english", "english"), {}, "one and the same run"),
        (("english", "mixd_ru"), {}, "'mixd_ru' is no finished run.*did you mean 'mixed_ru@fp32'"),
        (("english", "mixed_ru"), {"by": "scripts"}, "no grouping 'scripts', did you mean 'script'"),
        (("english", "mixed_ru"), {"tasks": ("xquad",)}, "task 'xquad' is not in all of these runs"),
        (("english", "mixed_ru"), {"form": "cvs"}, "no format 'cvs', did you mean 'csv'"),
        (("english", "mixed_ru"), {"seeds": True}, "english@fp32, mixed_ru@fp32 have one seed each"),
    ],
)
def test_mistake_is_one_sentence(compare, two, names, options, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        compare(*names, **options)


def test_output_that_is_a_folder_is_refused(compare, two, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must name a file"):
        compare("english", "mixed_ru", output=tmp_path)


def test_seeds_of_a_recipe_are_grouped(compare, make_run, xnli) -> None:
    ru = xnli("ru")
    for model, counts in (("english", (6, 9, 12)), ("mixed_ru", (20, 25, 30))):
        for seed, count in enumerate(counts, start=1):
            name = model if seed == 1 else f"{model}.seed{seed}"
            make_run(name, {"xnli": {"ru": wrong(ru, *range(count))}})
    document = json.loads(compare("english", "mixed_ru", seeds=True, form="json"))
    row = document["rows"][0]
    assert row["left_scores"] == pytest.approx([90.0, 85.0, 80.0], rel=1e-9) or sorted(row["left_scores"]) == [
        80,
        85,
        90,
    ]
    assert row["value"] == pytest.approx(100 * (9 - 25) / 60)
    assert row["low"] < row["value"] < row["high"]
    shown = compare("english", "mixed_ru", seeds=True)
    assert "85.0 (sd 5.0, 3 seeds)" in shown
    alone = compare("english", seeds=True)
    assert alone.startswith("english@fp32 over seeds by script")
    assert "85.0 (sd 5.0, 3 seeds)" in alone


def test_models_name_moves_no_cursor(compare, make_run, xnli) -> None:
    answers = {"xnli": {"ru": xnli("ru")}}
    runs = [str(make_run(name, answers)) for name in ("\x1b[2Jevil", "plain")]
    assert "\x1b" not in compare(*runs)
    assert "�[2Jevil@fp32" in compare(*runs)


def hostile(**changed) -> Sheet:
    name = "a_b&c%$#{}~^\\|<script>"
    given = {
        "title": name,
        "columns": ["task", "x"],
        "rows": [[name, "-1.5 ±0.2"]],
        "records": [{"name": name, "x": -1.5}],
    }
    return Sheet(**{**given, **changed})


def test_latex_has_no_command_from_data() -> None:
    text = render([hostile()], "latex")
    row = next(line for line in text.splitlines() if r"$\pm$" in line)
    assert row.strip() == (
        r"a\_b\&c\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}\textbar\allowbreak{}\textless{}script\textgreater{}"
        r" & $-$1.5 $\pm$0.2 \\"
    )
    assert in_latex("fp32-int8") == "fp32-int8"


def test_markdown_has_no_markup_from_data() -> None:
    row = render([hostile()], "markdown").splitlines()[4]
    assert row.startswith(r"| a\_b&amp;c%$\#\{\}~^\\\|&lt;script&gt; |")


def test_best_is_bold() -> None:
    sheet = hostile(rows=[["a", "1"], ["b", "2"]], best=frozenset({(1, 1)}))
    assert r"b & \textbf{2} \\" in render([sheet], "latex")
    assert "| b | **2** |" in render([sheet], "markdown")


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd", "-1+cmd"])
def test_csv_starts_no_formula(text: str) -> None:
    assert render([hostile(records=[{"x": text}])], "csv").splitlines()[1] == f"'{text}"


def test_csv_keeps_numbers() -> None:
    assert render([hostile(records=[{"x": -1.5, "y": "-1.5", "z": None, "w": ["a", "b"]}])], "csv") == (
        "x,y,z,w\n-1.5,-1.5,,a b\n"
    )


@pytest.mark.parametrize(("name", "form"), [("md", "markdown"), ("tex", "latex"), ("JSON", "json")])
def test_formats_have_their_usual_names(name: str, form: str) -> None:
    assert check_format(name) == form


@pytest.mark.parametrize(("suffix", "form"), [(".md", "markdown"), (".csv", "csv"), ("", "table"), (".dat", "table")])
def test_format_follows_the_suffix(suffix: str, form: str) -> None:
    assert format_of(None, suffix) == form


def test_signature_names_what_the_numbers_depend_on(workspace: Workspace, make_run, xnli) -> None:
    from harness.comparison.runs import find

    run = make_run("english", {"xnli": {"ru": xnli("ru")[:30]}}, limit=30, representation="hidden state 7 of 12")
    line = signature(find([str(run)], workspace)[0][0], workspace.artifacts)
    assert re.fullmatch(
        r"suite:none\|tasks:xnli\|split:test\|protocol:default\|layer:7/12\|variant:fp32\|encoder:tokenizer a{12}"
        r"\|seed:unknown\|limit:30\|data:[0-9a-f]{12}\|graphs:[0-9a-f]{12}\|version:0\.1\.0",
        line,
    )
