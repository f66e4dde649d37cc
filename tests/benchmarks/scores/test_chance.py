import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scores import chance
from benchmarks.scores.chance import Multiple, level, levels, read_run, rule, table, verdict, verdicts
from harness.benchmark import tasks
from harness.benchmark.chance import random_span
from harness.core.errors import DataError, UsageError

XNLI, XCOPA, TATOEBA = tasks.load("xnli"), tasks.load("xcopa"), tasks.load("tatoeba")
UDPOS, XQUAD = tasks.load("udpos"), tasks.load("xquad")


def test_classes_share_chance_equally(xnli, layout) -> None:
    xnli(["en"])
    found = rule(XNLI, layout)
    assert (found.text, level(found, XNLI, [], "en")) == ("1 of 3 classes", pytest.approx(100 / 3))


def test_choices_of_an_example_share_chance_equally(write, layout) -> None:
    line = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 0}
    write("xcopa/it/test.it.jsonl", json.dumps(line) + "\n")
    assert level(rule(XCOPA, layout), XCOPA, XCOPA.source.read(layout, "it", "test"), "it") == 50.0


def test_retrieval_chance_is_one_of_the_candidates(write, layout) -> None:
    write("tatoeba/tatoeba.rus-eng.rus", "1\n2\n3\n4\n5\n")
    write("tatoeba/tatoeba.rus-eng.eng", "a\nb\nc\nd\ne\n")
    examples = TATOEBA.source.read(layout, "ru", "test")
    assert level(rule(TATOEBA, layout), TATOEBA, examples, "ru") == pytest.approx(20.0)


def test_tags_are_drawn_as_the_training_set_has_them(write, layout) -> None:
    write("udpos/train-en.tsv", "a\tNOUN\nb\tNOUN\n")
    write("udpos/test-ru.tsv", "c\tNOUN\n\nd\tNOUN\n")
    examples = UDPOS.source.read(layout, "ru", "test")
    assert level(rule(UDPOS, layout), UDPOS, examples, "ru") == 100.0


def test_levels_of_drawn_answers_do_not_change(write, layout) -> None:
    write("udpos/train-en.tsv", "a\tNOUN\nb\tVERB\n")
    write("udpos/test-ru.tsv", "c\tNOUN\nd\tVERB\ne\tX\n")
    examples = UDPOS.source.read(layout, "ru", "test")
    first, second = (level(rule(UDPOS, layout), UDPOS, examples, "ru") for _ in range(2))
    assert first == second


def test_spans_of_a_one_word_context_are_right_by_chance(write, layout) -> None:
    question = {"id": "1", "question": "q", "answers": [{"text": "word", "answer_start": 0}]}
    write("xquad/xquad.ru.json", json.dumps({"data": [{"paragraphs": [{"context": "word", "qas": [question]}]}]}))
    examples = XQUAD.source.read(layout, "ru", "test")
    assert level(rule(XQUAD, layout), XQUAD, examples, "ru") == 100.0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_random_spans_have_1_to_3_words_of_the_context(language: str) -> None:
    rng, context = np.random.default_rng(0), "one two three four" if language == "en" else "一二三四"
    spans = {random_span(context, language, rng) for _ in range(200)}
    assert {len(span.split()) if language == "en" else len(span) for span in spans} == {1, 2, 3}
    assert all(span in context for span in spans)


def test_means_over_seeds_are_what_must_be_above_chance(xnli, run_folder) -> None:
    xnli(["en", "ru", "de"])
    scores = [{"en": 60.0, "ru": 40.0, "de": 50.0}, {"en": 80.0, "ru": 40.0, "de": 30.0}]
    runs = [read_run(run_folder(f"seed{number}", {"xnli": row}, examples=4)) for number, row in enumerate(scores)]
    found = verdict(XNLI, runs, ["en"])
    assert isinstance(found.english, Multiple)
    assert isinstance(found.unseen, Multiple)
    assert (found.english.scores, found.english.holds) == ([60.0, 80.0], True)
    assert (found.unseen.scores, found.unseen.holds) == ([45.0, 35.0], False)


def test_seen_languages_are_no_part_of_the_unseen_mean(xnli, run_folder) -> None:
    xnli(["en", "ru", "de"])
    run = read_run(run_folder("run", {"xnli": {"en": 60.0, "ru": 90.0, "de": 50.0}}, examples=4))
    found = verdict(XNLI, [run], ["en", "ru"])
    assert isinstance(found.unseen, Multiple)
    assert found.unseen.scores == [50.0]


def test_a_run_of_seen_languages_alone_has_no_unseen_mean(xnli, run_folder) -> None:
    xnli(["en"])
    run = read_run(run_folder("run", {"xnli": {"en": 60.0}}, examples=4))
    assert verdict(XNLI, [run], ["en"]).unseen == "every language of the run was seen in training"


def test_xcopa_says_why_english_does_not_apply(write, run_folder) -> None:
    line = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 0}
    write("xcopa/it/test.it.jsonl", json.dumps(line) + "\n")
    found = verdict(XCOPA, [read_run(run_folder("run", {"xcopa": {"it": 60.0}}, examples=1))], ["en"])
    assert found.english == "the task has no English test set; 2 times chance would be 100"


def test_tatoeba_says_why_english_does_not_apply(write, run_folder) -> None:
    write("tatoeba/tatoeba.rus-eng.rus", "1\n2\n3\n")
    write("tatoeba/tatoeba.rus-eng.eng", "a\nb\nc\n")
    found = verdict(TATOEBA, [read_run(run_folder("run", {"tatoeba": {"ru": 60.0}}, examples=3))], ["en"])
    assert found.english == "English is the query side"


def test_a_run_without_its_english_says_so(xnli, run_folder) -> None:
    xnli(["ru"])
    found = verdict(XNLI, [read_run(run_folder("run", {"xnli": {"ru": 60.0}}, examples=4))], ["en"])
    assert found.english == "the run leaves English out"


def test_limited_retrieval_chooses_from_every_candidate(write, run_folder) -> None:
    write("tatoeba/tatoeba.rus-eng.rus", "1\n2\n3\n4\n")
    write("tatoeba/tatoeba.rus-eng.eng", "a\nb\nc\nd\n")
    run = read_run(run_folder("run", {"tatoeba": {"ru": 60.0}}, examples=2))
    assert levels(run, TATOEBA)[1] == {"ru": 25.0}


def test_data_that_changed_since_the_run_is_refused(xnli, write, run_folder) -> None:
    xnli(["en"])
    run = read_run(run_folder("run", {"xnli": {"en": 60.0}}, examples=4))
    write("xnli/test-en.tsv", "c\td\tneutral\n" * 4)
    with pytest.raises(DataError, match="has changed since"):
        levels(run, XNLI)


def test_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"scores\.json is no finished run .*`harness eval --output"):
        read_run(tmp_path)


def test_runs_of_different_languages_are_refused(xnli, run_folder) -> None:
    xnli(["en", "ru"])
    one = read_run(run_folder("one", {"xnli": {"en": 60.0}}, examples=4))
    two = read_run(run_folder("two", {"xnli": {"en": 60.0, "ru": 60.0}}, examples=4))
    with pytest.raises(UsageError, match="scored xnli on different rows"):
        verdicts([one, two], ["en"])


def test_runs_of_different_tasks_are_refused(xnli, write, run_folder) -> None:
    xnli(["en"])
    write("tatoeba/tatoeba.rus-eng.rus", "1\n")
    write("tatoeba/tatoeba.rus-eng.eng", "a\n")
    one = read_run(run_folder("one", {"xnli": {"en": 60.0}}, examples=4))
    two = read_run(run_folder("two", {"tatoeba": {"ru": 60.0}}, examples=1))
    with pytest.raises(UsageError, match="different tasks"):
        verdicts([one, two], ["en"])


def test_a_run_that_is_named_twice_is_refused(xnli, run_folder) -> None:
    xnli(["en"])
    run = read_run(run_folder("run", {"xnli": {"en": 60.0}}, examples=4))
    with pytest.raises(UsageError, match="named twice"):
        verdicts([run, run], ["en"])


def test_table_shows_mean_and_range_of_the_seeds() -> None:
    found = chance.ChanceVerdict("xnli", "1 of 3 classes", Multiple(40.0, [60.0, 100.0], 2.0), "not at all")
    assert table([found], 2).rows[0][:5] == ["xnli", "40.0", "80.0 (60.0 to 100.0)", "2.00 x", "yes"]


def test_figures_are_written(xnli, run_folder, tmp_path: Path) -> None:
    xnli(["en", "ru"])
    run = run_folder("run", {"xnli": {"en": 100.0, "ru": 20.0}}, examples=4)
    chance.main([str(run), "--json", str(tmp_path / "chance.json")])
    found = json.loads((tmp_path / "chance.json").read_text(encoding="utf-8"))["tasks"]["xnli"]
    assert (found["english"]["holds"], found["unseen"]["holds"]) == (True, False)
