"""The page of `harness report`: what it says, that nothing of the data is markup, and its limits."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from outside_tools import need_module
from xnli_labels import wrong

from harness.artifacts.checkpoint import read_metadata
from harness.artifacts.workspace import Workspace
from harness.commands import comparison
from harness.comparison.differences import GroupDifference
from harness.comparison.page import charts, shown
from harness.comparison.page.content import why_unclear
from harness.comparison.page.examples import BUDGET
from harness.comparison.page.training import training
from harness.comparison.page.writing import script_json
from harness.comparison.runs import find
from harness.core.errors import UsageError
from harness.core.examples import (
    Answer,
    ChoiceExample,
    PairExample,
    QuestionExample,
    SentenceExample,
    WordsExample,
)
from harness.core.progress import Silent
from harness.statistics.estimates import Interval

need_module("jinja2")
need_module("matplotlib")

#: Elements without an end tag.
VOID = {"meta", "link", "input", "br", "use"}


class Reader(HTMLParser):
    """Reads a page: its elements by name, ids, texts, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def page(workspace: Workspace, tmp_path: Path) -> Callable[..., str]:
    """Write the page of runs and return it: ``page("english", "mixed_ru")``."""

    def write(*names: str, **options) -> str:
        output = tmp_path / "report.html"
        list(comparison.report(comparison.ReportRequest(runs=names, output=output, **options), workspace, Silent()))
        return output.read_text(encoding="utf-8")

    return write


def data_of(text: str) -> dict:
    (found,) = re.findall(r'<script type="application/json" id="example-data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


@pytest.fixture
def two(make_run, xnli) -> tuple[Path, Path]:
    ru, en = xnli("ru", premises=60), xnli("en", premises=60)
    return (
        make_run("english", {"xnli": {"ru": wrong(ru, *range(0, 90, 2)), "en": en}}),
        make_run("mixed_ru", {"xnli": {"ru": wrong(ru, 3, 4), "en": wrong(en, 7)}}),
    )


def test_headline_says_which_is_better_where_and_how_sure_it_is(page, two) -> None:
    text = page("english", "mixed_ru")
    (sentence,) = re.findall(r'<p class="sentence">(.*?)</p>', text)
    assert re.fullmatch(
        r"mixed_ru@fp32 is 11\.7 points better than english@fp32 over xnli \(95 % interval \+\d+\.\d to \+\d+\.\d, "
        r"p &lt;0\.001\)\.",
        sentence,
    )
    assert '<dt>better in</dt><dd class="good">Cyrl (+23.9)</dd>' in text
    assert "<dt>worse in</dt><dd>no script</dd>" in text
    assert "<dt>not shown either way in</dt><dd>Latn (-0.6)</dd>" in text


def test_interval_without_0_that_is_not_called_better_is_explained() -> None:
    row = GroupDifference(
        left="a", right="b", task="xnli", group="Latn", languages=("en",), examples=9, clusters=9, left_score=50,
        right_score=52, value=2, interval=Interval(0.1, 3.9), interval_method="Tango", p_value=0.04,
        test="exact McNemar", family="xnli", family_size=8, corrected=0.2,
    )  # fmt: skip
    grek = replace(row, group="Grek", value=-2, interval=Interval(-3.9, -0.1))
    shown_ = replace(row, group="Cyrl", p_value=0.001, corrected=0.008)
    with_0 = replace(row, group="Thai", interval=Interval(-0.1, 3.9))
    other = replace(row, group="Hani", p_value=0.06, corrected=0.3)
    assert list(why_unclear([row, shown_, with_0])) == [
        "The interval of Latn does not contain 0, and yet no difference is shown: an interval is for one comparison, "
        "while the p-values are corrected by Holm's method over all 8 comparisons."
    ]
    assert list(why_unclear([row, grek, other])) == [
        "The intervals of Latn and Grek do not contain 0, and yet no difference is shown: an interval is for one "
        "comparison, while the p-values are corrected by Holm's method over all 8 comparisons.",
        "The interval of Hani does not contain 0, and yet no difference is shown: its test (exact McNemar, p = 0.060 "
        "before any correction) is another method than its interval (Tango).",
    ]
    assert list(why_unclear([shown_, with_0, replace(row, interval=None)])) == []


def test_headline_explains_an_interval_without_0(page, make_run, xnli) -> None:
    """The p-value of one is below 0.05 alone, and above it after Holm's correction."""
    gold = {code: xnli(code, premises=60) for code in ("ru", "en", "ar", "el", "th", "zh")}
    make_run("one", {"xnli": {**gold, "ru": wrong(gold["ru"], *range(0, 21, 3))}})
    make_run("two", {"xnli": gold})
    text = page("one", "two")
    assert (
        "The interval of Cyrl does not contain 0, and yet no difference is shown: an interval is for one comparison"
        in text
    )
    assert "corrected by Holm&#39;s method over all 6 comparisons." in text


def test_equal_runs_are_not_called_better(page, make_run, xnli) -> None:
    answers = {"xnli": {"ru": wrong(xnli("ru"), 1)}}
    make_run("a", answers)
    make_run("b", answers)
    assert "b@fp32 is not shown to differ from a@fp32 over xnli (+0.0 points; 95 % interval" in page("a", "b")


def test_page_is_whole_and_its_ids_are_unique(page, two) -> None:
    read = Reader(page("english", "mixed_ru"))
    assert read.open == []
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for name, value in read.attributes if name in ("href", "xlink:href") and value[:1] == "#"}
    assert targets <= set(ids)


def test_page_loads_nothing(page, two) -> None:
    text = page("english", "mixed_ru")
    read = Reader(text)
    links = [value for name, value in read.attributes if name in ("src", "href", "xlink:href", "action", "data")]
    assert [link for link in links if not link.startswith(("#", "data:,"))] == []
    assert "@import" not in text
    assert "url(http" not in text
    assert "default-src 'none'" in text


HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>&amp;\u202e'


def test_names_and_texts_are_never_markup(page, make_run, write) -> None:
    """A model, a folder, a text and a label that look like HTML."""
    write("xnli/test-ru.tsv", f"{HOSTILE}\t<b>{HOSTILE}\tneutral\nb\tx\tneutral\nc\tx\tneutral\n")
    one = make_run(f"<i>{HOSTILE}", {"xnli": {"ru": ["neutral"] * 3}}, name="one")
    two = make_run(f"<u>{HOSTILE}", {"xnli": {"ru": ["<s>", "neutral", "neutral"]}}, name="two", representation=HOSTILE)
    text = page(str(one), str(two))
    read = Reader(text)
    assert read.open == []
    assert {"img", "i", "u", "s", "b"} & set(read.names) == set()
    assert read.names.count("script") == 2
    assert [name for name, _ in read.attributes if name.startswith("on")] == []
    (item,) = [item for item in data_of(text)["items"] if item["k"] == "disagree"]
    assert item["x"] == [["first", HOSTILE], ["second", f"<b>{HOSTILE}"]]
    assert item["p"] == [["neutral", 100.0], ["<s>", 0.0]]
    assert data_of(text)["runs"][0] == f"<i>{HOSTILE}@fp32"


def test_script_is_written_without_markup_from_data() -> None:
    source = Path(charts.__file__).with_name("page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", source)


def test_examples_have_disagreements_first_and_are_counted(page, two) -> None:
    text = page("english", "mixed_ru")
    kinds = [item["k"] for item in data_of(text)["items"]]
    assert kinds == sorted(kinds, key=["disagree", "missed", "right"].index)
    # Of 45 and 2 wrong Russian answers one is shared, and one English answer is wrong in one run.
    assert (kinds.count("disagree"), kinds.count("missed")) == (45 + 2 - 2 * 1 + 1, 1)
    assert "46 of 46 disagreements" in " ".join(text.split())


def test_sentence_without_a_chunk_is_right_where_none_was_found(page, make_run, write) -> None:
    write("panx/test-ru.tsv", "a\tO\n\nb\tB-PER\n\nc\tB-PER\n")
    one = make_run("one", {"panx": {"ru": [["O"], ["B-PER"], ["O"]]}})
    two = make_run("two", {"panx": {"ru": [["O"], ["B-PER"], ["O"]]}})
    items = data_of(page(str(one), str(two)))["items"]
    assert {item["i"]: (item["k"], item["p"][0][1]) for item in items} == {
        "0": ("right", 100.0),
        "1": ("right", 100.0),
        "2": ("missed", 0.0),
    }


def test_budget_keeps_examples_of_every_cell(page, two, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.comparison.page import writing

    whole = writing.view
    monkeypatch.setattr(writing, "view", lambda aligned, progress: whole(aligned, progress, budget=2_000))
    items = data_of(page("english", "mixed_ru"))["items"]
    assert {item["l"] for item in items} == {"en", "ru"}
    assert len(json.dumps(items, ensure_ascii=False, separators=(",", ":")).encode()) <= 2_000


def test_budget_is_half_of_the_page() -> None:
    assert BUDGET == 1_500_000


def test_all_examples_have_pages_beside(page, two, tmp_path: Path) -> None:
    text = page("english", "mixed_ru", examples="all")
    assert 'href="report_examples/xnli-ru.html"' in text
    beside = (tmp_path / "report_examples/xnli-ru.html").read_text(encoding="utf-8")
    assert len(data_of(beside)["items"]) == 180
    assert Reader(beside).open == []


def test_page_without_examples(page, two) -> None:
    assert "example-data" not in page("english", "mixed_ru", examples="none").replace(
        'getElementById("example-data")', ""
    )


ANSI = "\x1b[31mred\x1b[0m\x9b1m"


def test_name_with_colours_of_ansi_has_no_control_character(page, make_run, xnli) -> None:
    ru = xnli("ru")
    one = make_run("english", {"xnli": {"ru": ru}})
    two = make_run(ANSI, {"xnli": {"ru": wrong(ru, 1)}}, name="two", representation=ANSI, endpoint=ANSI)
    text = page(str(one), str(two))
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) == []
    assert "�[31mred�[0m�1m@fp32" in text
    assert data_of(text)["runs"][1] == "�[31mred�[0m�1m@fp32"
    assert Reader(text).open == []


def test_control_characters_of_the_data_stay_in_the_examples(page, make_run, write) -> None:
    write("xnli/test-ru.tsv", "a\x1b[1m\x9b\tb\tneutral\n")
    text = page(str(make_run("one", {"xnli": {"ru": ["neutral"]}})))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert data_of(text)["items"][0]["x"][0] == ["first", "a\x1b[1m\x9b"]


@pytest.mark.parametrize("code", ["en", "ru"])
def test_runs_of_one_language(page, make_run, xnli, code: str) -> None:
    gold = xnli(code)
    make_run("one", {"xnli": {code: gold}})
    make_run("two", {"xnli": {code: wrong(gold, *range(30))}})
    text = page("one", "two")
    assert re.findall(r'<p class="sentence">(.*?)<', text)[0].startswith("two@fp32 is 50.0 points worse than one@fp32")
    # Without English, or without another language, there is no transfer gap.
    rows = re.findall(r'<tr><th scope="row">xnli</th><td class="name">\w+@fp32</td>(.*?)</tr>', text)
    assert [row.endswith("<td>-</td>") for row in rows[:2]] == [True, True]
    assert not re.search(
        r"\bnan\b", re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL).lower()
    )


def test_run_that_is_not_finished_is_named_and_not_shown(page, make_run, xnli, workspace: Workspace) -> None:
    answers = {"xnli": {"ru": xnli("ru")}}
    make_run("whole", answers)
    stopped, damaged = make_run("stopped", answers), make_run("damaged", answers)
    (stopped / "scores.json").unlink()
    (damaged / "scores.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"stopped-fp32 is not finished, .* finish it with `harness eval --output"):
        page("whole", "stopped")
    with pytest.raises(UsageError, match=r"damaged-fp32/scores\.json is damaged"):
        page("whole", str(damaged))
    text = page()
    assert f"<li>not shown: {stopped} is not finished, it has answers and no scores</li>" in text
    assert f"<li>not shown: {damaged / 'scores.json'} is damaged" in text
    assert "stopped@fp32" not in text
    assert '<p class="soft">whole@fp32. Scores' in text


def test_runs_that_do_not_compare_are_shown_beside_each_other(page, make_run, xnli) -> None:
    ru = xnli("ru")
    make_run("one", {"xnli": {"ru": ru}})
    make_run("two", {"xnli": {"ru": ru[:30]}}, limit=30)
    text = page("one", "two")
    assert (
        "The runs are shown beside each other and not compared: xnli: one@fp32 and two@fp32 have different limit"
        in text
    )
    assert "two@fp32" in text


def test_tasks_of_one_run_are_missing_in_the_other_and_never_0(page, make_run, xnli, write) -> None:
    ru = xnli("ru")
    write("udpos/test-ru.tsv", "\n\n".join(["a\tNOUN"] * 5) + "\n")
    make_run("one", {"xnli": {"ru": ru}, "udpos": {"ru": [["NOUN"]] * 5}})
    make_run("two", {"xnli": {"ru": ru}})
    text = page("one", "two")
    (row,) = re.findall(r'<tr><th scope="row">udpos</th>(.*?)</tr>', text)[:1]
    assert row.endswith("<td>-</td>")
    assert "not compared: udpos is only in one@fp32" in text


def test_warnings_of_records_are_shown(page, make_run, xnli) -> None:
    run = make_run("one", {"xnli": {"ru": xnli("ru")}})
    document = json.loads((run / "scores.json").read_text())
    document["tasks"]["xnli"].update(leak="to see how much it helps", stand_in="anli", exposure_declared=False)
    (run / "scores.json").write_text(json.dumps(document))
    text = page("one")
    assert "LEAK, the model was trained on evaluation sentences: to see how much it helps" in text
    assert "trained on anli, a stand-in" in text
    assert "is not declared" in text


def test_provenance_has_every_digest(page, two) -> None:
    text = page("english", "mixed_ru")
    record = json.loads((two[0] / "scores.json").read_text())["provenance"]
    for digest in (record["tokenizer_sha256"], *record["graph_sha256"].values(), *record["data_sha256"].values()):
        assert digest in text


def test_single_run_is_not_compared(page, two) -> None:
    assert "Name two or more runs" in page("english")


def test_newest_run_of_each_model_is_shown_without_names(page, two) -> None:
    text = page()
    assert "english@fp32, mixed_ru@fp32" in text or "mixed_ru@fp32, english@fp32" in text


def test_too_many_runs_are_refused(page, make_run, xnli) -> None:
    answers = {"xnli": {"ru": xnli("ru")}}
    for number in range(charts.SERIES.__len__() + 1):
        make_run(f"m{number}", answers)
    with pytest.raises(UsageError, match="9 runs are too many for one page"):
        page()


@pytest.mark.parametrize(("options", "sentence"), [({"examples": "some"}, "no choice"), ({"form": "htm"}, "no format")])
def test_wrong_option_is_one_sentence(page, two, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        page("english", **options)


def test_chart_has_the_pages_colours_and_escapes_names() -> None:
    bars = [charts.Bar(value=1.0, interval=Interval(0, 2)), None]
    svg = charts.dots("c", ["<b>", "$x$"], [charts.Series(name="s", bars=bars)], "a&b", zero=True)
    assert "var(--series-0)" in svg
    assert "&lt;b&gt;" in svg
    assert "a&amp;b" in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert len(svg) < 15_000


def test_chart_is_the_same_again() -> None:
    series = [charts.Series(name="s", bars=[charts.Bar(value=1.0, interval=None)])]
    assert charts.dots("c", ["a"], series, "x", zero=False) == charts.dots("c", ["a"], series, "x", zero=False)


def test_json_ends_no_element() -> None:
    text = script_json({"runs": ["</script>"], "items": []}, ['{"x":"<!--"}'])
    assert "<" not in text
    assert json.loads(text) == {"runs": ["</script>"], "items": [{"x": "<!--"}]}


LONG = "x" * 1000


@pytest.mark.parametrize(
    ("example", "texts", "gold"),
    [
        (PairExample("0", "p", "h", "neutral"), [("first", "p"), ("second", "h")], "neutral"),
        (
            ChoiceExample("0", "p", "cause", ("a", "b"), 1),
            [("premise", "p"), ("question", "cause"), ("choice 0", "a"), ("choice 1", "b")],
            "choice 1",
        ),
        (WordsExample("0", ("a", "b"), ("NOUN", "VERB")), [("words", "a b")], "NOUN VERB"),
        (
            QuestionExample("0", "q", f"{LONG}here{LONG}", (Answer("here", 1000), Answer("here", 1000))),
            [("question", "q"), ("context", f"…{'x' * 160}here{'x' * 160}…")],
            "here",
        ),
        (QuestionExample("0", "q", "short", ()), [("question", "q"), ("context", "short")], "(no answer)"),
        (SentenceExample("0", "s", "query", frozenset({"b", "a"})), [("query", "s")], "a, b"),
        (object, [("example", str(object))], ""),
    ],
)
def test_example_is_shown_by_its_type(example, texts: list[tuple[str, str]], gold: str) -> None:
    assert (shown.texts(example), shown.gold(example)) == (texts, gold)


def test_wrong_tags_are_named() -> None:
    example = WordsExample("0", ("a", "b"), ("NOUN", "VERB"))
    assert shown.answer(example, ["NOUN", "X"]) == "1 of 2 tags wrong: b: VERB → X"
    assert shown.answer(example, ["NOUN", "VERB"]) == "all tags right"


def test_answer_without_text_is_said() -> None:
    assert shown.answer(QuestionExample("0", "q", "c", ()), "") == "(nothing)"
    assert shown.answer(SentenceExample("0", "s", "query"), list("abcd")) == "a, b, c, … (4)"


def test_training_is_drawn_from_the_checkpoints_of_the_run(
    make_run, xnli, tmp_path: Path, workspace: Workspace
) -> None:
    folder = make_run("english", {"xnli": {"ru": xnli("ru")}})
    checkpoint = tmp_path / "checkpoints" / "english"
    phase_2 = written(checkpoint / "intermediate", "intermediate", {}, [(10, 2.0), (20, 1.5)], [])
    target = written(
        checkpoint / "target" / "mnli", "target", {"intermediate": phase_2}, [(5, 1.1), (10, 0.7)], [(10, 61.5)]
    )
    named(folder, target)
    (run,) = find([str(folder)], workspace)[0]
    found = training(["english@fp32"], [run], workspace, Silent())
    assert [each.name for each in found.charts] == ["phase 2", "mnli"]
    assert all(each.loss.startswith("<svg") for each in found.charts)
    assert [each.score[:4] for each in found.charts] == ["", "<svg"]
    assert "English dev score" in found.charts[1].score
    assert found.absent == []
    assert found.rows == [
        ["phase 2", "english@fp32", "20", "2.000", "1.500", "-", "-"],
        ["mnli", "english@fp32", "10", "1.100", "0.700", "61.5", "10"],
    ]
    # Phase 2 alone is gone.
    (checkpoint / "intermediate" / "phase.json").unlink()
    found = training(["english@fp32"], [run], workspace, Silent())
    assert [row[0] for row in found.rows] == ["mnli"]
    assert found.absent == [
        f"english@fp32: no training curves of phase 2: {checkpoint / 'intermediate'} has no such checkpoint"
    ]
    # Trained again, it is another network than the one that was scored.
    written(checkpoint / "target" / "mnli", "target", {}, [(5, 0.1)], [])
    found = training(["english@fp32"], [run], workspace, Silent())
    assert found.rows == []
    assert found.absent == [
        f"english@fp32: no training curves of mnli: what {checkpoint / 'target'} has was trained again after this run"
    ]


def test_training_of_a_checkpoint_that_is_gone_is_said_with_the_path(page, make_run, xnli, tmp_path: Path) -> None:
    make_run("english", {"xnli": {"ru": xnli("ru")}})
    folder = tmp_path / "checkpoints" / "english" / "target"
    assert f"english@fp32: no training curves of mnli: {folder} has no such checkpoint." in page("english")


def test_training_of_a_damaged_checkpoint_is_said(make_run, xnli, tmp_path: Path, workspace: Workspace) -> None:
    folder = make_run("english", {"xnli": {"ru": xnli("ru")}})
    target = tmp_path / "checkpoints" / "english" / "target" / "mnli"
    digest = written(target, "target", {}, [(5, "low")], [])
    named(folder, digest)
    (run,) = find([str(folder)], workspace)[0]
    (line,) = training(["english@fp32"], [run], workspace, Silent()).absent
    assert line.startswith(f"english@fp32: no training curves of mnli: {target / 'phase.json'} is damaged (")
    assert "losses" in line
    (target / "phase.json").write_text("{", encoding="utf-8")
    (line,) = training(["english@fp32"], [run], workspace, Silent()).absent
    assert f"{target / 'phase.json'} is damaged (not JSON" in line
    named(folder, None)
    (run,) = find([str(folder)], workspace)[0]
    assert training(["english@fp32"], [run], workspace, Silent()).absent == [
        "english@fp32: no training curves: its record names no checkpoint"
    ]


def named(folder: Path, digest: str | None) -> None:
    """Let a run's record name the checkpoint of MNLI, or none."""
    path = folder / "scores.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["provenance"]["checkpoint_sha256"] = {} if digest is None else {"mnli": digest}
    path.write_text(json.dumps(document), encoding="utf-8")


def written(folder: Path, phase: str, parents: dict[str, str], losses: list, scores: list) -> str:
    """Write the metadata of a checkpoint, and return its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "format": 1, "phase": phase, "model": "english", "files": {}, "parents": parents, "seen": {},
        "steps": losses[-1][0], "losses": [{"step": step, "loss": loss} for step, loss in losses],
        "evaluations": [{"step": step, "score": score} for step, score in scores],
        "chosen_step": scores[-1][0] if scores else None,
    }  # fmt: skip
    (folder / "phase.json").write_text(json.dumps(document), encoding="utf-8")
    return read_metadata(folder).digest


def test_language_with_zero_examples_is_refused_with_its_name(page, make_run, xnli, write) -> None:
    """No reader gives an empty file, so its answers were lost, or the file was emptied after the run."""
    en, ru = xnli("en"), xnli("ru")
    make_run("whole", {"xnli": {"en": en, "ru": ru}})
    folder = make_run("lost", {"xnli": {"en": en, "ru": ru}})
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        journal.execute("DELETE FROM prediction WHERE language = 'ru'")
    record = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    record["tasks"]["xnli"]["languages"]["ru"]["examples"] = 0
    (folder / "scores.json").write_text(json.dumps(record), encoding="utf-8")
    for names in (("lost",), ("whole", "lost")):
        with pytest.raises(UsageError, match=r"lost-fp32 has no prediction of xnli in 'ru'"):
            page(*names)
    write("xnli/test-ru.tsv", "")
    with pytest.raises(UsageError, match=r"xnli: the files in .* are not those that .*whole-fp32 was scored on"):
        page("whole")
