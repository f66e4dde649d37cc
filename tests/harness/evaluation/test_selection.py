import pytest

from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.evaluation.selection import check_suite, choose_jobs, choose_tasks, parse_splits

XNLI, XCOPA, TATOEBA = (tasks.load(name) for name in ("xnli", "xcopa", "tatoeba"))


def chosen(*args: str, **options: object) -> list[tuple[str, str]]:
    named = [tasks.load(name) for name in args]
    splits = {task.name: "test" for task in named}
    return [(job.task.name, job.language) for job in choose_jobs(named, splits=splits, **options)]


def test_tasks_come_in_the_order_of_the_names_each_once() -> None:
    assert choose_tasks(["xquad", "xnli", "xquad"], None) == [tasks.load("xquad"), XNLI]


def test_all_is_every_declared_task() -> None:
    assert [task.name for task in choose_tasks(["all"], None)] == list(tasks.names())


@pytest.mark.parametrize("suite", ["xtreme", "xtreme-r"])
def test_all_of_a_suite_is_every_task_it_has(suite) -> None:
    declared = [name for name in tasks.names() if suite in tasks.load(name).languages]
    assert [task.name for task in choose_tasks(["all"], suite)] == declared


def test_task_outside_the_suite_is_refused() -> None:
    with pytest.raises(UsageError, match="'xcopa' is not part of xtreme; it belongs to xtreme-r"):
        choose_tasks(["xcopa"], "xtreme")


def test_unknown_task_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'xnli'"):
        choose_tasks(["xnlii"], None)


def test_unknown_task_beside_all_is_refused_too() -> None:
    with pytest.raises(UsageError, match="did you mean 'xnli'"):
        choose_tasks(["all", "xnlii"], None)


def test_unknown_suite_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no suite 'xtreme_r', did you mean 'xtreme-r'"):
        check_suite("xtreme_r")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test", {"xnli": "test", "xcopa": "test"}),
        ("dev", {"xnli": "dev", "xcopa": "dev"}),
        ("xcopa=dev", {"xnli": "test", "xcopa": "dev"}),
        ("xcopa=dev,xnli=test", {"xnli": "test", "xcopa": "dev"}),
    ],
)
def test_split_is_for_all_tasks_or_for_one(text: str, expected: dict[str, str]) -> None:
    assert parse_splits(text, [XNLI, XCOPA]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tset", "no split 'tset', did you mean 'test'"),
        ("xnli=", "no split ''"),
        ("xnl=dev", "names no task of this evaluation, did you mean 'xnli'"),
        ("tatoeba=dev", "names no task of this evaluation"),
        ("=dev", "names no task of this evaluation"),
    ],
)
def test_wrong_split_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_splits(text, [XNLI, XCOPA])


def test_job_carries_its_tasks_split_and_the_limit() -> None:
    (job,) = choose_jobs([XNLI], languages=["ru"], splits={"xnli": "dev"}, limit=7)
    assert (job.split, job.limit) == ("dev", 7)


def test_languages_come_in_official_order() -> None:
    assert chosen("xcopa", "xquad", languages=["zh", "en", "et"]) == [
        ("xcopa", "et"), ("xcopa", "zh"), ("xquad", "en"), ("xquad", "zh"),
    ]  # fmt: skip


def test_no_suite_is_the_union_of_both() -> None:
    assert ("xquad", "ro") in chosen("xquad")


def test_suite_leaves_out_the_others_languages() -> None:
    assert ("xquad", "ro") not in chosen("xquad", suite="xtreme")


def test_script_keeps_its_languages() -> None:
    assert chosen("xnli", scripts=["Cyrl", "Grek"]) == [("xnli", "bg"), ("xnli", "el"), ("xnli", "ru")]


def test_script_and_language_must_both_hold() -> None:
    assert chosen("xnli", scripts=["Cyrl"], languages=["ru", "el"]) == [("xnli", "ru")]


def test_coverage_leaves_out_what_the_data_lacks() -> None:
    assert chosen("xnli", "xcopa", coverage={"xnli": ["ru"]}) == [("xnli", "ru")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ["qu"]}, "no language is left of xnli by these filters; they cover ar bg de"),
        ({"languages": ["rus"]}, "no language 'rus', did you mean 'ru'"),
        ({"scripts": ["cyrl"]}, "no script 'cyrl', did you mean 'Cyrl'"),
        ({"coverage": {}}, "no language is left"),
    ],
    ids=["other-task's", "unknown", "script", "nothing-covered"],
)
def test_filters_that_leave_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        chosen("xnli", **options)
