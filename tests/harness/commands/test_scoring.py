import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.submission import write
from harness.benchmark import tasks
from harness.benchmark.suites import SUITES
from harness.commands import scoring
from harness.commands.scoring import ScoringRequest
from harness.core.errors import DataError, UsageError
from harness.core.languages import language

#: Rows of each language in the small folders.
ROWS = 6


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A few random examples of every task and language, for each suite."""
    folders = {}
    for suite in SUITES:
        folders[suite] = tmp_path_factory.mktemp(suite)
        write(folders[suite], suite, ROWS)
    return folders


@pytest.fixture
def folder(written, tmp_path: Path) -> Path:
    """XTREME's folder, to be changed."""
    shutil.copytree(written["xtreme"], tmp_path / "folder")
    return tmp_path / "folder"


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[..., ScoringRequest]:
    """Ask for the scores of a folder with `predictions` and `labels` in it."""

    def make(folder: Path, **changes: Any) -> ScoringRequest:
        return ScoringRequest(
            **{
                "predictions": folder / "predictions",
                "labels": folder / "labels",
                "suite": "xtreme",
                "output": tmp_path / "scores.json",
                **changes,
            }
        )

    return make


@pytest.fixture
def run(request_of) -> Callable[..., tuple[dict[str, Any], str]]:
    """Score a folder; return what was written and what was printed."""

    def run(folder: Path, **changes: Any) -> tuple[dict[str, Any], str]:
        request = request_of(folder, **changes)
        printed = "\n".join(scoring.report(scoring.run(request)))
        return json.loads(request.output.read_text(encoding="utf-8")), printed

    return run


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Official numbers of examples are not known, so that small folders are complete."""
    load = tasks.load
    monkeypatch.setattr(tasks, "load", lambda name: replace(load(name), official={}))


# An implementation of its own, by the specification: plain loops over the files, with nothing of the project.


def naive_chunks(tags: list[str], variant: str) -> set[tuple[str, int, int]]:
    found, begin = set(), 0
    previous, previous_type = "O", ""
    for place, tag in enumerate(tags):
        kind = tag.split("-")[-1] if variant == "legacy" else (tag[1:].split("-", 1)[-1] or "_")
        new = kind != previous_type
        if previous in "ES" or (previous in "BI" and tag[0] in "BSO") or (previous not in "O." and new):
            found.add((previous_type, begin, place - 1))
        if tag[0] in "BS" or (previous in "ESO" and tag[0] in "EI") or (tag[0] not in "O." and new):
            begin = place
        previous, previous_type = tag[0], kind
    return found


def naive_sets(gold: set[Any], found: set[Any]) -> dict[str, float]:
    hits = len(gold & found)
    return {
        "precision": 100 * hits / len(found) if found else 0.0,
        "recall": 100 * hits / len(gold) if gold else 0.0,
        "f1": 200 * hits / (len(gold) + len(found)) if hits else 0.0,
    }


def naive_tags(labels: str, predictions: str, variant: str) -> dict[str, float]:
    tags = [[line or "O" for line in [*text.strip("\n").split("\n"), ""]] for text in (labels, predictions)]
    return naive_sets(*(naive_chunks(each, variant) for each in tags))


def naive_lines(labels: str, predictions: str) -> dict[str, float]:
    pairs = list(zip(labels.split(), predictions.split(), strict=True))
    return {"accuracy": 100 * sum(one == other for one, other in pairs) / len(pairs)}


def naive_answers(labels: str, predictions: str) -> dict[str, float]:
    # The random answers have neither capitals nor punctuation.
    answers = json.loads(predictions)
    exact = shared = 0.0
    questions = [
        question
        for article in json.loads(labels)["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    for question in questions:
        gold, found = (
            [token for token in text.split() if token not in ("a", "an", "the")]
            for text in (question["answers"][0]["text"], answers[question["id"]])
        )
        exact += gold == found
        hits = sum(min(gold.count(token), found.count(token)) for token in set(gold))
        shared += 2 * hits / (len(gold) + len(found)) if hits else 0.0
    return {"exact_match": 100 * exact / len(questions), "f1": 100 * shared / len(questions)}


def naive_pairs(labels: str, predictions: str) -> dict[str, float]:
    return naive_sets(*(set(text.strip("\n").split("\n")) for text in (labels, predictions)))


def naive_ranks(labels: str, predictions: str) -> dict[str, float]:
    rankings = json.loads(predictions)
    total = sum(
        1 / (1 + rankings[name].index(gold)) for name, (gold,) in json.loads(labels).items() if gold in rankings[name]
    )
    return {"map@20": 100 * total / len(rankings)}


NAIVE: dict[str, Callable[[str, str], dict[str, float]]] = {
    **dict.fromkeys(("xnli", "pawsx", "tatoeba"), naive_lines),
    "xcopa": lambda labels, predictions: naive_lines(labels.replace(" ", ""), predictions.replace(" ", "")),
    **dict.fromkeys(("xquad", "tydiqa"), naive_answers),
    "bucc2018": naive_pairs,
    **dict.fromkeys(("mewslix", "lareqa"), naive_ranks),
}


def content(folder: Path, part: str, task: str, code: str) -> str:
    (path,) = (folder / part / task).glob(f"test-{code}.*")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("seqeval", ["legacy", "current"])
@pytest.mark.parametrize("suite", SUITES)
def test_every_language_scores_as_an_implementation_of_its_own(run, written, suite: str, seqeval: str) -> None:
    naive = {
        **NAIVE,
        **{name: lambda labels, predictions: naive_tags(labels, predictions, seqeval) for name in ("udpos", "panx")},
    }
    found, _ = run(written[suite], suite=suite, seqeval=seqeval)
    expected = {
        (task, code, metric): value
        for task in set(found["tasks"]) & set(naive)
        for code in found["tasks"][task]["languages"]
        for metric, value in naive[task](
            content(written[suite], "labels", task, code), content(written[suite], "predictions", task, code)
        ).items()
    }
    assert {key: found["tasks"][key[0]]["languages"][key[1]][key[2]] for key in expected} == pytest.approx(
        expected, abs=1e-9
    )
    assert set(found["tasks"]) - set(naive) == {"mlqa"}


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("suite", SUITES)
def test_means_are_those_of_the_languages(run, written, suite: str) -> None:
    found, _ = run(written[suite], suite=suite)
    assert list(found["tasks"]) == list(SUITES[suite].tasks)
    numbers = {}
    for name, each in found["tasks"].items():
        metrics = tasks.load(name).headline
        rows = {code: sum(row[metric] for metric in metrics) / len(metrics) for code, row in each["languages"].items()}
        assert list(rows) == list(tasks.load(name).languages[suite])
        numbers[name] = sum(rows.values()) / len(rows)
        scripts: dict[str, list[float]] = {}
        for code, value in rows.items():
            scripts.setdefault(language(code).script, []).append(value)
        assert each["scripts"] == pytest.approx({script: sum(v) / len(v) for script, v in scripts.items()}, abs=1e-9)
    assert {name: each["score"] for name, each in found["tasks"].items()} == pytest.approx(numbers, abs=1e-9)
    groups = {group: sum(numbers[name] for name in names) / len(names) for group, names in SUITES[suite].groups.items()}
    assert found["groups"] == pytest.approx(groups, abs=1e-9)
    assert found["overall"]["tasks"] == pytest.approx(sum(numbers.values()) / len(numbers), abs=1e-9)
    assert found["overall"]["categories"] == pytest.approx(sum(groups.values()) / 4, abs=1e-9)


# A folder small enough to be computed by hand: two tasks of XTREME, every language the same but for one.

GOLD_TAGS = "NOUN\nNOUN\nSYM\nSYM\n\nX\nNOUN\n"
#: The first chunk is cut, so legacy has gold (NOUN 0-1) SYM SYM X NOUN and predicted NOUN VERB SYM SYM X NOUN.
PREDICTED_TAGS = "NOUN\nVERB\nSYM\nSYM\n\nX\nNOUN\n"


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    root = tmp_path / "by_hand"
    for part, de, other in (("labels", "0\n1\n1\n1\n", "1\n0\n"), ("predictions", "0\n0\n0\n1\n", "1\n0\n")):
        for code in tasks.load("pawsx").languages["xtreme"]:
            put(root, part, f"pawsx/test-{code}.tsv", de if code == "de" else other)
        for code in tasks.load("udpos").languages["xtreme"]:
            tags = PREDICTED_TAGS if part == "predictions" and code in ("ar", "de") else GOLD_TAGS
            put(root, part, f"udpos/test-{code}.tsv", tags)
    return root


def put(root: Path, part: str, name: str, text: str) -> Path:
    path = root / part / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def test_scores_by_hand(run, by_hand: Path) -> None:
    found, _ = run(by_hand)
    # 4 of 5 gold chunks among 6 predicted ones; 5 of 6 tokens
    tags = {"f1": 800 / 11, "precision": 400 / 6, "recall": 80.0, "accuracy": 500 / 6}
    assert found["tasks"]["udpos"]["languages"]["ar"] == pytest.approx(tags, abs=1e-9)
    assert found["tasks"]["udpos"]["languages"]["bg"] == dict.fromkeys(tags, 100.0)
    assert found["tasks"]["udpos"]["score"] == pytest.approx((31 * 100 + 2 * 800 / 11) / 33, abs=1e-9)
    assert found["tasks"]["udpos"]["scripts"]["Arab"] == pytest.approx((800 / 11 + 200) / 3, abs=1e-9)
    assert found["tasks"]["pawsx"] == {
        "score": pytest.approx(650 / 7, abs=1e-9),
        "languages": {code: {"accuracy": 50.0 if code == "de" else 100.0} for code in "de en es fr ja ko zh".split()},
        "scripts": {"Latn": 87.5, "Hang": 100.0, "Hani": 100.0, "Jpan": 100.0},
    }


def test_current_variant_by_hand(run, by_hand: Path) -> None:
    found, _ = run(by_hand, seqeval="current")
    # After the artificial O, whose type is X's, X opens nothing and ends what began last: gold OUN 0-1, YM 2,
    # YM 3, _ 3-5, OUN 6; predicted OUN 0, ERB 1 and the same last four.
    scores = found["tasks"]["udpos"]["languages"]["ar"]
    assert (scores["precision"], scores["recall"]) == pytest.approx((400 / 6, 80.0), abs=1e-9)
    assert found["seqeval"] == "current"


def test_variants_of_seqeval_differ_on_bare_tags(run, by_hand: Path) -> None:
    put(by_hand, "labels", "udpos/test-ar.tsv", "NOUN\nX\n\nX\nNOUN\n")
    put(by_hand, "predictions", "udpos/test-ar.tsv", "VERB\nX\n\nX\nNOUN\n")
    scores = {
        variant: run(by_hand, seqeval=variant)[0]["tasks"]["udpos"]["languages"]["ar"]["f1"]
        for variant in ("legacy", "current")
    }
    # legacy has X, X and NOUN of four right; current one chunk of X over both sentences and the last NOUN, of three
    assert scores == pytest.approx({"legacy": 75.0, "current": 200 / 3}, abs=1e-9)


def test_variant_is_printed_with_the_tasks_that_have_it(run, by_hand: Path) -> None:
    _, printed = run(by_hand, seqeval="current")
    lines = {line.split(":")[0]: line for line in printed.split("\n")}
    assert "; seqeval current" in lines["udpos"]
    assert "seqeval" not in lines["pawsx"]


def test_legacy_is_the_default(run, by_hand: Path) -> None:
    found, printed = run(by_hand)
    assert found["seqeval"] == "legacy"
    assert "seqeval legacy" in printed


def test_folder_of_another_size_is_partial_and_makes_no_mean(run, by_hand: Path) -> None:
    found, printed = run(by_hand)
    assert (found["complete"], found["groups"], found["overall"]) == ([], {}, {})
    assert found["examples"]["pawsx"]["de"] == {"scored": 4, "official": 2_000}
    assert "partial, examples are not the official ones: de 4 of 2,000, en 2 of 2,000" in printed
    assert "xtreme structured prediction: - (not complete: udpos, panx)" in printed


def test_folder_of_the_official_size_is_complete(run, by_hand: Path) -> None:
    for code in tasks.load("pawsx").languages["xtreme"]:
        for part in ("labels", "predictions"):
            put(by_hand, part, f"pawsx/test-{code}.tsv", "0\n1\n" * 1_000)
    found, printed = run(by_hand)
    assert found["complete"] == ["pawsx"]
    assert "\npawsx: mean of accuracy, 7 languages\n" in printed


def test_one_language_of_another_size_makes_a_task_partial(run, by_hand: Path) -> None:
    for code in tasks.load("pawsx").languages["xtreme"]:
        for part in ("labels", "predictions"):
            put(by_hand, part, f"pawsx/test-{code}.tsv", "0\n1\n" * (999 if code == "ko" else 1_000))
    found, printed = run(by_hand)
    assert found["complete"] == []
    assert "partial, examples are not the official ones: ko 1,998 of 2,000\n" in printed


def test_size_of_bucc_is_its_gold_pairs(run, folder: Path) -> None:
    put(folder, "predictions", "bucc2018/test-de.tsv", "de-x\ten-x\n")
    found, _ = run(folder, tasks=("bucc2018",))
    assert found["examples"]["bucc2018"]["de"] == {"scored": ROWS, "official": 9_580}


@pytest.mark.usefixtures("any_size")
def test_size_that_is_not_known_is_said(run, by_hand: Path) -> None:
    found, printed = run(by_hand)
    assert found["complete"] == ["pawsx", "udpos"]
    assert "official number of examples not known: de 4, en 2, es 2, fr 2, and 3 more languages" in printed


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("suite", SUITES)
def test_report_names_every_group_and_rule(run, written, suite: str) -> None:
    found, printed = run(written[suite], suite=suite)
    for group, value in found["groups"].items():
        assert f"{suite} {group}: {value:.1f}" in printed
    for rule, value in found["overall"].items():
        assert f"{suite} overall, rule {rule}: {value:.1f}" in printed
    assert len(found["overall"]) == (5 if suite == "xtreme-r" else 4)
    assert f"{suite} per language, percent" in printed
    assert f"{suite} per script, percent" in printed


# Which tasks and files.


def test_tasks_without_predictions_are_told(run, by_hand: Path) -> None:
    found, printed = run(by_hand)
    assert list(found["tasks"]) == ["pawsx", "udpos"]
    assert found["not_scored"] == ["xnli", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"]
    assert "not scored: xnli, panx, " in printed


def test_folders_that_are_no_task_are_told(run, by_hand: Path) -> None:
    (by_hand / "predictions" / "xnil").mkdir()
    assert "not looked at, since xtreme has no such task: xnil" in run(by_hand)[1]


def test_languages_are_those_of_the_suite(run, by_hand: Path) -> None:
    with pytest.raises(DataError, match=r"udpos/test-lt\.tsv"):
        run(by_hand, suite="xtreme-r")


def test_named_tasks_only(run, folder: Path) -> None:
    assert list(run(folder, tasks=("tatoeba", "xnli"))[0]["tasks"]) == ["xnli", "tatoeba"]


@pytest.mark.parametrize("absent", ["predictions", "labels"])
@pytest.mark.parametrize("official_missing", [False, True])
def test_missing_file_of_a_language_is_named(
    run, request_of, folder: Path, absent: str, official_missing: bool
) -> None:
    path = folder / absent / "xnli" / "test-sw.tsv"
    path.unlink()
    with pytest.raises(DataError, match=f"^{absent} lack xnli: 1 of 15 languages .sw., such as {path}; "):
        run(folder, official_missing=official_missing)
    assert not request_of(folder).output.exists()


def test_every_missing_file_is_named(run, folder: Path) -> None:
    shutil.rmtree(folder / "labels" / "bucc2018")
    words = r"^labels lack bucc2018: 4 of 4 languages \(de fr ru zh\).*`harness data labels`$"
    with pytest.raises(DataError, match=words):
        run(folder)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"suite": "xtrem"}, UsageError, "no suite 'xtrem', did you mean 'xtreme'"),
        ({"seqeval": "legcy"}, UsageError, "no variant 'legcy' of seqeval, did you mean 'legacy'; `--seqeval` is one"),
        ({"tasks": ("xnil",)}, UsageError, "no task named 'xnil', did you mean 'xnli'"),
        ({"tasks": ()}, UsageError, "`--tasks` names no task"),
        ({"tasks": ("xcopa",)}, UsageError, "task 'xcopa' is not part of xtreme"),
        ({"tasks": ("xnli",)}, DataError, "predictions has no folder 'xnli'; leave the task out of `--tasks`"),
        ({"tasks": ("all",)}, DataError, "predictions has no folder"),
        ({"predictions": Path("nowhere")}, DataError, "folder nowhere does not exist; `--predictions` must name one"),
        ({"labels": Path("nowhere")}, DataError, "folder nowhere does not exist; `--labels` must name one"),
    ],
    ids=["suite", "variant", "task", "no-task", "other-suite", "absent", "all", "predictions", "labels"],
)
def test_wrong_request_is_refused(run, by_hand: Path, changes: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        run(by_hand, **changes)


def test_folder_without_a_task_is_refused(run, tmp_path: Path) -> None:
    (tmp_path / "predictions" / "other").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match=r"predictions has no folder of a task of xtreme; .* pawsx, xnli, udpos"):
        run(tmp_path)


def test_output_that_is_a_folder_is_refused(run, by_hand: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; `--output` must name a file"):
        run(by_hand, output=tmp_path)


# Bad input reaches the user from any task, and nothing is written.

STRIPPED_SQUAD = {"data": [{"paragraphs": [{"context": "c", "qas": [
    {"id": "1", "question": "q", "answers": [{"text": "", "answer_start": 0}]}
]}]}]}  # fmt: skip


@pytest.mark.parametrize(
    ("part", "name", "text", "message"),
    [
        ("predictions", "xnli/test-sw.tsv", "neutral\nneutal\n" * 3, "test-sw.tsv:2: label 'neutal' is not one of"),
        ("predictions", "xnli/test-sw.tsv", "neutral\n" * 5, "test-sw.tsv has 5 rows and .*/xnli/test-sw.tsv 6"),
        ("predictions", "xnli/test-sw.tsv", "", "test-sw.tsv is empty"),
        ("predictions", "xnli/test-sw.tsv", "\ufeffneutral\n" * 6, "test-sw.tsv starts with a byte order mark"),
        ("predictions", "xnli/test-sw.tsv", "neu\rtral\n" * 6, "test-sw.tsv:1: a carriage return"),
        ("predictions", "panx/test-my.tsv", "O\nB-PERS\n\n", "test-my.tsv:2: tag 'B-PERS' is not one of"),
        ("predictions", "panx/test-my.tsv", "O\n\nO\n", "test-my.tsv.* sentence"),
        ("predictions", "xquad/test-hi.json", "{}", "test-hi.json lacks 6 ids"),
        ("predictions", "mlqa/test-hi.json", '{"1": "a", "1": "b"}', "test-hi.json: an object has the key '1' twice"),
        ("predictions", "bucc2018/test-fr.tsv", "fr-1\n", "test-fr.tsv:1: 'fr-1' is no pair"),
        ("predictions", "tatoeba/test-af.tsv", "af-1\n" * 6, "test-af.tsv:1: 'af-1' is no row"),
        ("labels", "udpos/test-th.tsv", "form\nform\n\nform\n", "test-th.tsv:1: tag 'form' .* labels were stripped"),
        ("labels", "pawsx/test-ja.tsv", "one\ttwo\n" * 6, r"test-ja.tsv:1: label .* labels were stripped"),
        ("labels", "pawsx/test-ja.tsv", "0\n" * 2_000, "test-ja.tsv: '0' is the label of all .* labels were stripped"),
        ("labels", "tydiqa/test-fi.json", json.dumps(STRIPPED_SQUAD), "test-fi.json has no answer to any .* stripped"),
    ],
    ids=["label", "rows", "empty", "bom", "carriage-return", "tag", "sentences", "ids", "twice", "pair", "row",
         "forms", "columns", "zeros", "answers"],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_nothing_is_written(
    run, request_of, folder: Path, part: str, name: str, text: str, message: str
) -> None:
    put(folder, part, name, text)
    with pytest.raises(DataError, match=message):
        run(folder)
    assert not request_of(folder).output.exists()


def test_failure_leaves_earlier_scores_alone(run, request_of, folder: Path) -> None:
    request_of(folder).output.write_text("earlier", encoding="utf-8")
    put(folder, "predictions", "xnli/test-sw.tsv", "x\n")
    with pytest.raises(DataError):
        run(folder)
    assert request_of(folder).output.read_text(encoding="utf-8") == "earlier"


# What the official scorer counts without a word.


@pytest.fixture
def incomplete(folder: Path) -> Path:
    """One answer missing and two added in Hindi, a blank line among the French pairs."""
    path = folder / "predictions" / "xquad" / "test-hi.json"
    answers = json.loads(path.read_text(encoding="utf-8"))
    del answers[next(iter(answers))]
    put(folder, "predictions", "xquad/test-hi.json", json.dumps({**answers, "x": "1", "y": "2"}))
    path = folder / "predictions" / "bucc2018" / "test-fr.tsv"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("task", ["xquad", "bucc2018"])
def test_missing_and_extra_predictions_are_refused(run, incomplete: Path, task: str) -> None:
    with pytest.raises(DataError, match="`--official-missing`"):
        run(incomplete, tasks=(task,))


def test_missing_and_extra_predictions_are_counted_as_officially(run, incomplete: Path, written) -> None:
    whole, _ = run(written["xtreme"])
    found, printed = run(incomplete, official_missing=True)
    assert found["official_missing"] is True
    assert found["missing"] == {
        "xquad": {"hi": {"missing": 1, "extra": 2}},
        "bucc2018": {"fr": {"missing": 0, "extra": 1}},
    }
    assert "counted as the official scorer does: hi 1 missing and 2 extra" in printed
    before, after = (each["tasks"]["xquad"]["languages"] for each in (whole, found))
    assert {code: row for code, row in after.items() if code != "hi"} == {
        code: row for code, row in before.items() if code != "hi"
    }
    pairs = content(written["xtreme"], "predictions", "bucc2018", "fr").count("\n")
    before, after = (each["tasks"]["bucc2018"]["languages"]["fr"] for each in (whole, found))
    assert after["recall"] == before["recall"]
    assert after["precision"] == pytest.approx(before["precision"] * pairs / (pairs + 1), abs=1e-9)


def test_missing_answer_is_wrong(run, folder: Path) -> None:
    gold = json.loads(content(folder, "labels", "xquad", "el"))["data"][0]["paragraphs"]
    right = {each["qas"][0]["id"]: each["qas"][0]["answers"][0]["text"] for each in gold}
    right.popitem()
    put(folder, "predictions", "xquad/test-el.json", json.dumps(right))
    found, _ = run(folder, tasks=("xquad",), official_missing=True)
    share = 100 * (ROWS - 1) / ROWS
    names = ("exact_match", "f1", "fair_exact_match", "fair_f1")
    expected = dict.fromkeys(names, share)
    assert found["tasks"]["xquad"]["languages"]["el"] == pytest.approx(expected, abs=1e-9)


def test_complete_folder_counts_nothing_as_missing(run, written) -> None:
    found, printed = run(written["xtreme"], official_missing=True)
    assert found["missing"] == {}
    assert "counted as the official scorer does" not in printed


def test_both_ways_give_the_same_numbers_for_a_complete_folder(run, written) -> None:
    assert (
        run(written["xtreme-r"], suite="xtreme-r")[0]["tasks"]
        == (run(written["xtreme-r"], suite="xtreme-r", official_missing=True)[0]["tasks"])
    )


def test_order_of_pairs_and_ids_does_not_matter(run, folder: Path) -> None:
    before, _ = run(folder, tasks=("bucc2018", "mlqa"))
    rng = random.Random(0)
    for code in tasks.load("bucc2018").languages["xtreme"]:
        lines = content(folder, "predictions", "bucc2018", code).splitlines()
        put(folder, "predictions", f"bucc2018/test-{code}.tsv", "\n".join(rng.sample(lines, len(lines))))
    for code in tasks.load("mlqa").languages["xtreme"]:
        answers = list(json.loads(content(folder, "predictions", "mlqa", code)).items())
        put(folder, "predictions", f"mlqa/test-{code}.json", json.dumps(dict(rng.sample(answers, len(answers)))))
    assert run(folder, tasks=("bucc2018", "mlqa"))[0] == before


def test_command_writes_the_file_and_prints_the_report(written, tmp_path: Path) -> None:
    folder = written["xtreme"]
    command = [
        *(sys.executable, "-c", "from harness.cli import main; main()", "score", "--suite", "xtreme"),
        *("--predictions", str(folder / "predictions"), "--labels", str(folder / "labels")),
        *("--output", str(tmp_path / "new" / "scores.json"), "--tasks", "udpos,bucc2018", "--seqeval", "current"),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads((tmp_path / "new" / "scores.json").read_text(encoding="utf-8"))
    assert list(found["tasks"]) == ["udpos", "bucc2018"]
    assert f"{found['tasks']['udpos']['score']:.1f}" in finished.stdout
    assert "xtreme overall, rule tasks: - (not complete: " in finished.stdout


def test_command_exits_2_with_one_sentence(written, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-c", "from harness.cli import main; main()", "score", "--suite", "xtreme"),
        *("--predictions", str(tmp_path / "nowhere"), "--labels", str(tmp_path)),
        *("--output", str(tmp_path / "scores.json")),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 2
    assert finished.stderr == (
        f"harness: folder {tmp_path / 'nowhere'} does not exist; "
        f"`--predictions` must name one that holds xnli/, udpos/, ...\n"
    )
