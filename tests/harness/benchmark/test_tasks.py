"""What holds for every task that is declared."""

from dataclasses import replace

import pytest

from harness.benchmark import finetunes, tasks
from harness.core.errors import UsageError
from harness.core.languages import table
from harness.core.task import AnyTask, Finetune, Task


@pytest.fixture(params=tasks.names())
def task(request: pytest.FixtureRequest) -> AnyTask:
    return tasks.load(request.param)


@pytest.mark.parametrize("name", tasks.names())
def test_module_is_named_as_its_task(name: str) -> None:
    assert tasks.load(name).name == name


@pytest.mark.parametrize("name", finetunes.names())
def test_module_is_named_as_its_finetune(name: str) -> None:
    assert finetunes.load(name).name == name


@pytest.mark.parametrize("name", tasks.names())
def test_module_declares_a_task(name: str) -> None:
    assert isinstance(tasks.load(name), Task)


@pytest.mark.parametrize("name", finetunes.names())
def test_module_declares_a_finetune(name: str) -> None:
    assert isinstance(finetunes.load(name), Finetune)


def test_graph_is_a_declared_finetunes(task: AnyTask) -> None:
    assert finetunes.load(task.finetune.name) is task.finetune


def test_languages_are_in_the_table(task: AnyTask) -> None:
    assert set(task.all_languages(None)) <= set(table())


def test_no_language_is_listed_twice(task: AnyTask) -> None:
    assert all(len(codes) == len(set(codes)) for codes in task.languages.values())


def test_xtreme_r_has_every_language_of_xtreme_where_it_keeps_the_task(task: AnyTask) -> None:
    assert set(task.languages.get("xtreme", ())) <= set(task.languages.get("xtreme-r", task.languages.get("xtreme")))


def test_alternatives_are_whole_tasks_of_the_same_name(task: AnyTask) -> None:
    for name in task.alternatives:
        chosen = task.choose(name)
        assert (chosen.name, chosen.protocol != task.protocol) == (task.name, True)


def test_unknown_alternative_is_answered_with_those_there_are(task: AnyTask) -> None:
    with pytest.raises(UsageError, match=f"task '{task.name}' has no protocol 'nonesuch'"):
        task.choose("nonesuch")


def test_headline_scores_exist(task: AnyTask) -> None:
    from numpy import ones

    assert set(task.headline) <= set(task.metric.scores(ones(len(task.metric.columns))))


def test_every_language_has_files(task: AnyTask, layout) -> None:
    assert all(task.source.paths(layout, code, "test") for code in task.all_languages(None))


def test_no_two_languages_share_their_files(task: AnyTask, layout) -> None:
    paths = [task.source.paths(layout, code, "test") for code in task.all_languages(None)]
    assert len(paths) == len(set(paths))


def test_official_counts_are_of_its_languages(task: AnyTask) -> None:
    counted = {} if isinstance(task.official, int) else task.official
    assert set(counted) <= set(task.all_languages(None))


def test_finetune_that_trains_says_how(task: AnyTask) -> None:
    finetune = task.finetune
    assert finetune.train is None or None not in (finetune.hyperparameters, finetune.postprocess, finetune.metric)


def test_sample_has_examples(task: AnyTask, sample_data) -> None:
    codes = sample_data.coverage()[task.name]
    assert all(task.source.read(sample_data, code, "test") for code in codes)


@pytest.mark.parametrize("place", [0, 9, -1], ids=["first", "tenth", "last"])
def test_samples_example_parses_to_its_literal(task: AnyTask, sample_data, golden, place: int) -> None:
    code = next(code for code in sample_data.coverage()[task.name] if code != "en")
    examples = task.source.read(sample_data, code, "test")
    example = examples[place]
    # The order of a set changes from run to run.
    shown = repr(replace(example, gold=sorted(example.gold)) if hasattr(example, "gold") else example)
    golden("sample_examples", shown, task.name, f"{code} {place}")
