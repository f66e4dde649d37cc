from collections import Counter

import pytest

from harness.benchmark import tasks
from harness.benchmark.suites import RULES, SUITES, TaskMeans, group_means, overall, rules


@pytest.mark.parametrize(("suite", "count"), [("xtreme", 9), ("xtreme-r", 10)])
def test_suite_has_its_tasks_each_once(suite: str, count: int) -> None:
    assert max(Counter(SUITES[suite].tasks).values()) == 1
    assert len(SUITES[suite].tasks) == count


@pytest.mark.parametrize("suite", SUITES)
def test_suite_is_keyed_by_its_name(suite: str) -> None:
    assert SUITES[suite].name == suite


@pytest.mark.parametrize("name", tasks.names())
def test_task_stands_in_the_suites_it_declares(name: str) -> None:
    assert {suite for suite in SUITES if name in SUITES[suite].tasks} == set(tasks.load(name).languages)


def test_group_mean_is_that_of_its_tasks() -> None:
    assert group_means(SUITES["xtreme"], {"xnli": 80.0, "pawsx": 90.0}) == {"classification": 85.0}


def test_group_without_all_tasks_has_no_mean() -> None:
    assert group_means(SUITES["xtreme"], {"xnli": 80.0, "xquad": 70.0}) == {}


def means(score: float, f1: float | None = None) -> TaskMeans:
    return TaskMeans(score, {"accuracy": score} if f1 is None else {"f1": f1, "exact_match": 2 * score - f1})


#: XLM-R base by mGTE (arXiv 2407.19669, Table 1), question answering as F1 and exact match.
MGTE = {
    **{name: means(score) for name, score in {
        "xnli": 74.50, "xcopa": 50.45, "udpos": 73.84, "panx": 61.23,
        "mewslix": 42.09, "lareqa": 63.43, "tatoeba": 67.20,
    }.items()},
    "xquad": means((72.83 + 58.01) / 2, 72.83),
    "mlqa": means((61.54 + 46.45) / 2, 61.54),
    "tydiqa": means((53.09 + 37.11) / 2, 53.09),
}  # fmt: skip
#: The first row of RemBERT (arXiv 2010.12821) Table 16; its two retrieval cells are the leaderboard's.
XSTILTS = {
    **{name: means(score) for name, score in {
        "xnli": 80.0, "pawsx": 87.9, "udpos": 74.9, "panx": 64.0, "bucc2018": 71.9, "tatoeba": 81.2,
    }.items()},
    "xquad": means((78.7 + 63.3) / 2, 78.7),
    "mlqa": means((72.4 + 53.7) / 2, 72.4),
    "tydiqa": means((76.0 + 59.5) / 2, 76.0),
}  # fmt: skip


def test_mgte_is_the_mean_of_ten_tasks_by_f1() -> None:
    assert overall(SUITES["xtreme-r"], MGTE)["mgte"] == pytest.approx(62.02, abs=1e-9)


@pytest.mark.parametrize(
    ("rule", "published"),
    [("tasks", 73.5), ("categories_no_retrieval", 73.5), ("tasks_no_retrieval", 72.7)],
)
def test_rule_gives_the_published_overall(rule: str, published: float) -> None:
    # Cells and overall are rounded to one digit each.
    assert overall(SUITES["xtreme"], XSTILTS)[rule] == pytest.approx(published, abs=0.1)


def test_rules_by_hand() -> None:
    # classification 83.95, structured 69.45, question answering (71 + 63.05 + 67.75) / 3, retrieval 76.55
    questions = (71 + 63.05 + 67.75) / 3
    assert overall(SUITES["xtreme"], XSTILTS) == pytest.approx(
        {
            "tasks": (80 + 87.9 + 74.9 + 64 + 3 * questions + 71.9 + 81.2) / 9,
            "categories": (83.95 + 69.45 + questions + 76.55) / 4,
            "categories_no_retrieval": (83.95 + 69.45 + questions) / 3,
            "tasks_no_retrieval": (80 + 87.9 + 74.9 + 64 + 3 * questions) / 7,
        }
    )


def test_rules_of_the_second_suite_by_hand() -> None:
    questions = [(72.83 + 58.01) / 2, (61.54 + 46.45) / 2, (53.09 + 37.11) / 2]
    no_retrieval = [74.50, 50.45, 73.84, 61.23, *questions]
    groups = [(74.50 + 50.45) / 2, (73.84 + 61.23) / 2, sum(questions) / 3]
    retrieval = [67.20, 42.09, 63.43]
    assert overall(SUITES["xtreme-r"], MGTE) == pytest.approx(
        {
            "tasks": (sum(no_retrieval) + sum(retrieval)) / 10,
            "categories": (sum(groups) + sum(retrieval) / 3) / 4,
            "categories_no_retrieval": sum(groups) / 3,
            "tasks_no_retrieval": sum(no_retrieval) / 7,
            "mgte": 62.02,
        }
    )


def test_mgte_is_of_the_second_suite_only() -> None:
    assert "mgte" not in overall(SUITES["xtreme"], XSTILTS)


@pytest.mark.parametrize("missing", SUITES["xtreme-r"].tasks)
def test_rule_without_one_of_its_tasks_is_absent(missing: str) -> None:
    found = overall(SUITES["xtreme-r"], {name: each for name, each in MGTE.items() if name != missing})
    assert set(found) == {rule.name for rule in RULES if missing not in rule.tasks(SUITES["xtreme-r"])}


def test_tasks_of_another_suite_do_not_count() -> None:
    scores = {**MGTE, "pawsx": means(0.0), "bucc2018": means(0.0)}
    assert overall(SUITES["xtreme-r"], scores) == overall(SUITES["xtreme-r"], MGTE)


@pytest.mark.parametrize("suite", SUITES)
def test_rules_have_names_of_their_own(suite: str) -> None:
    names = [rule.name for rule in rules(SUITES[suite])]
    assert len(names) == len(set(names))
