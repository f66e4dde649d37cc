from collections import Counter

import pytest

from harness import tasks
from harness.suites import SUITES, group_means


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
