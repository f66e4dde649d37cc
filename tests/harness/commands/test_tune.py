"""The search, with a function where the clock would be; and evaluations that use what it found."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.artifacts.store import Artifact, read_artifact
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes
from harness.commands import evaluate, tune
from harness.core import machine
from harness.core.errors import ArtifactError, DataError, UsageError
from harness.core.files import file_sha256, read_json
from harness.core.progress import Silent
from harness.core.tensors import pad
from harness.core.version import packages
from harness.evaluation import measure
from harness.evaluation.connection import connection
from harness.evaluation.measure import SettingTimer, fitting, rows_for, rows_to_time
from harness.evaluation.request import EvaluationRequest
from harness.evaluation.tuning import record as tuning
from harness.evaluation.tuning.choice import MachineTuning
from harness.evaluation.tuning.record import FinetuneTuning, Setting, Trial, TunedGraph, TuningRecord
from harness.evaluation.tuning.search import BUDGETS, Comparison, Measurement, SearchResult, placements, search
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish

Rates = Callable[[str, Setting], float]
DEFAULT, TWICE, ALL, ONE = placements(("triton", "onnx"), 2)

# The search


class Meter:
    """Measures by a function, and remembers what it was asked."""

    def __init__(self, rates: Rates) -> None:
        self.asked: list[tuple[str, Setting]] = []
        self._rates = rates

    def __call__(self, variant: str, setting: Setting) -> Measurement:
        self.asked.append((variant, setting))
        return Measurement(rate=self._rates(variant, setting), padding=1.0, memory=len(self.asked))


def found_by(rates: Rates, variants: tuple[str, ...] = ("fp32",), **options: Any) -> tuple[SearchResult, Meter]:
    meter = Meter(rates)
    there = options.get("there", [DEFAULT, TWICE, ALL, ONE])
    return search(dict.fromkeys(variants, there), Comparison(meter, Silent(), "tiny mnli")), meter


def settings_of(found: SearchResult, variant: str = "fp32") -> Setting:
    engine, best = found.graphs[variant]
    return best[engine].setting


def test_places_never_take_more_threads_than_cores() -> None:
    found = placements(("onnx", "triton"), 4)
    assert [(place.engine, place.instances, place.threads) for place in found] == [
        ("triton", 1, 4), ("triton", 4, 1), ("onnx", 1, 4), ("onnx", 4, 1),
    ]  # fmt: skip
    assert all(place.max_tokens == 4_096 for place in found)


def test_places_of_one_core_are_one_for_each_engine() -> None:
    assert [(place.engine, place.instances, place.threads) for place in placements(("triton", "onnx"), 1)] == [
        ("triton", 1, 1), ("onnx", 1, 1),
    ]  # fmt: skip


def test_candidates_are_measured_in_turn() -> None:
    meter = Meter(lambda *_: 100.0)
    trials = Comparison(meter, Silent(), "tiny").of("place", [("fp32", DEFAULT), ("fp32", ALL), ("fp32", DEFAULT)])
    assert meter.asked == [("fp32", DEFAULT), ("fp32", ALL)] * 3
    assert [trial.setting for trial in trials] == [DEFAULT, ALL]


def test_trial_keeps_every_rate_and_the_most_memory() -> None:
    rates = iter([100.0, 130.0, 110.0])
    (trial,) = Comparison(Meter(lambda *_: next(rates)), Silent(), "tiny").of("place", [("fp32", ALL)])
    assert trial.rates == (100.0, 130.0, 110.0)
    assert (trial.rate, trial.spread, trial.memory) == (110.0, 30.0, 3)


def test_where_nothing_differs_the_default_wins() -> None:
    found, _ = found_by(lambda *_: 100.0)
    assert settings_of(found) == DEFAULT
    assert found.default.setting == DEFAULT


def test_search_finds_place_and_budget() -> None:
    def rates(_: str, setting: Setting) -> float:
        return 100.0 + 50 * (setting.engine == "onnx") + 20 * (setting.threads == 1) - setting.max_tokens / 1_000

    found, _ = found_by(rates)
    assert settings_of(found) == replace(ONE, max_tokens=1_024)
    assert set(found.graphs["fp32"][1]) == {"onnx", "triton"}


def test_place_is_searched_again_where_the_budget_changed_it() -> None:
    def rates(_: str, setting: Setting) -> float:
        """The default place wins until batches are small, where one thread in process does."""
        small = setting.max_tokens < 4_096
        return {DEFAULT: 150.0, ONE: 120.0}.get(replace(setting, max_tokens=4_096), 90.0) + (
            100.0 * small if setting.engine == "onnx" else 10.0 * small
        )

    found, meter = found_by(rates)
    engine, best = found.graphs["fp32"]
    assert engine == "onnx"
    assert best["onnx"].setting.placement == ONE.placement
    assert best["onnx"].setting.max_tokens < 4_096
    assert [trial.stage for trial in found.table if "placement" in trial.stage].count("fp32 placement 2") == 4
    # Never all combinations: four placements and four budgets, in three rounds at most, and the winners.
    assert len(set(meter.asked)) < len(BUDGETS) * 4


def test_search_ends_where_places_and_budgets_chase_each_other() -> None:
    calls = iter(range(10_000))

    def rates(_: str, setting: Setting) -> float:
        return 100.0 + next(calls) * 37 % 101

    found, meter = found_by(rates)
    assert found.graphs["fp32"][1]
    assert len(meter.asked) <= 3 * (3 * 4 + 2 * 4 + 3)


def test_winner_that_the_last_comparison_does_not_confirm_is_not_taken() -> None:
    """In process was faster while the placements were compared, and is no longer."""
    calls = iter(range(10_000))

    def rates(_: str, setting: Setting) -> float:
        return 150.0 if setting.engine == "onnx" and next(calls) < 18 else 100.0

    found, _ = found_by(rates)
    assert settings_of(found) == DEFAULT


def test_every_measurement_of_the_last_comparison_is_of_the_same_turns() -> None:
    found, meter = found_by(lambda variant, _: 100.0 + 50 * (variant == "int8"), ("fp32", "int8"))
    last = [(trial.variant, trial.setting) for trial in found.table if trial.stage == "winners"]
    assert meter.asked[-len(last) * 3 :] == last * 3
    kept = [trial for _, best in found.graphs.values() for trial in best.values()]
    assert {trial.stage for trial in kept} == {"winners"}
    assert {trial.setting.engine for trial in kept} == {"onnx", "triton"}


@pytest.mark.parametrize(("int8", "variant"), [(150.0, "int8"), (100.0, "fp32"), (80.0, "fp32")])
def test_lossy_variant_wins_only_where_it_is_faster(int8: float, variant: str) -> None:
    found, _ = found_by(lambda name, _: int8 if name == "int8" else 100.0, ("fp32", "int8"))
    assert found.variant == variant


def test_one_engine_alone_is_searched() -> None:
    found, meter = found_by(lambda _, setting: 100.0 + 50 * (setting.threads == 1), there=[ALL, ONE])
    assert settings_of(found) == ONE
    assert found.default.setting == ALL
    assert {setting.engine for _, setting in meter.asked} == {"onnx"}


@pytest.mark.parametrize(
    ("seconds", "tokens", "rows"),
    [
        (2.0, 100_000, 8),  # as they are
        (1.0, 100_000, 16),
        (0.01, 100_000, 1_000),  # never more
        (16.0, 100_000, 1),
        (2.0, 4_096, 16),  # the largest budget is filled once
    ],
)
def test_rows_take_two_seconds_and_fill_a_batch(seconds: float, tokens: int, rows: int) -> None:
    assert rows_for(seconds, tokens) == rows


# On graphs


RUSSIAN = "n a\tx\tneutral\ne b\tx\tentailment\nc c\tx\tcontradiction\nc d\tx\tneutral\nc e f\tx\tneutral\n"


@pytest.fixture
def workspace(tmp_path: Path, write: Callable[..., Path], mnli: Artifact) -> Workspace:
    """A model with one real graph, and two languages of XNLI."""
    write("xnli/test-ru.tsv", RUSSIAN)
    write("xnli/test-en.tsv", "n a\tx\tneutral\ne e\tlonger than all\tneutral\n")
    write("coverage.json", json.dumps({"xnli": ["en", "ru"]}))
    return Workspace(tmp_path)


@pytest.fixture
def mnli(graph_of: Callable[..., Artifact], tmp_path: Path, tiny_graph: Callable[..., bytes]) -> Artifact:
    return graph_of("mnli", hidden=8, graph=tiny_graph(finetunes.load("mnli").head.signature(8)))


def add_variant(exact: Artifact, variant: str, *, gate: str | None = '{"passed": true}', **reported: Any) -> Artifact:
    """Put the same graph beside the fp32 one, with another name."""
    folder = exact.directory.parent / variant
    shutil.copytree(exact.directory, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "variant": variant, **reported}))
    if gate is not None:
        (folder / "gate.json").write_text(gate)
    return read_artifact(folder)


def request(**options: Any) -> tune.TuneRequest:
    return tune.TuneRequest(
        **{"model": "tiny", "tasks": ("xnli",), "engines": ("onnx",), "data": None, "limit": 2, **options}
    )


def tuned_lines(workspace: Workspace, **options: Any) -> list[str]:
    return list(tune.run(request(data=workspace.root / "data", **options), workspace, Silent()))


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)


def test_model_is_tuned_in_process(workspace: Workspace, mnli: Artifact, two_cores: None) -> None:
    lines = tuned_lines(workspace)
    reported = json.loads((workspace.root / "artifacts/tiny/tuning.json").read_text())
    entry = reported["finetunes"]["mnli"]
    assert reported["machine"] == machine.describe()
    assert reported["packages"] == packages()
    assert entry["graphs"]["fp32"]["graph_sha256"] == mnli.graph_sha256
    assert entry["account"]["rows_per_language"] == 2
    assert entry["account"]["rows"] == 3  # "n a | x" stands in both files
    assert entry["account"]["tasks"] == ["xnli"]
    assert set(entry["account"]["data_sha256"]) == {"xnli"}
    assert {row["engine"] for row in entry["table"]} == {"onnx"}
    assert {row["threads"] for row in entry["table"]} == {1, 2}
    assert {row["max_tokens"] for row in entry["table"]} == set(BUDGETS)
    assert all(len(row["rates"]) == 3 and min(row["rates"]) > 0 for row in entry["table"])
    assert all(row["padding"] >= 1 and row["memory_mib"] > 10 for row in entry["table"])
    assert lines[0].startswith("tiny mnli: 33 tokens each, median of 3\n")
    assert any("times the default in fp32" in line for line in lines)
    assert lines[-1] == f"table of all measurements: {workspace.root / 'artifacts/tiny/tuning.json'}"
    assert list((workspace.root / "runs").iterdir()) == []


def test_rows_are_as_many_as_time_allows_where_no_limit_is_given(
    workspace: Workspace, mnli: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "answer_seconds", lambda *_: 8.0)
    monkeypatch.setattr(measure, "BUDGETS", (8,))
    tuned_lines(workspace, limit=None)
    reported = json.loads((workspace.root / "artifacts/tiny/tuning.json").read_text())
    assert reported["finetunes"]["mnli"]["account"]["rows_per_language"] == 2


def test_second_search_keeps_what_the_first_found(workspace: Workspace, mnli: Artifact) -> None:
    store = workspace.artifacts
    kept = entry_with(mnli, Setting(engine="onnx", threads=1))
    tuning.write(store, record_of({"udpos": kept}))
    tuned_lines(workspace)
    record = tuning.read(store, "tiny")
    assert record is not None
    assert list(record.entries) == ["udpos", "mnli"]
    assert record.entries["udpos"] == kept


def test_what_was_found_on_another_machine_is_replaced(workspace: Workspace, mnli: Artifact) -> None:
    other = replace(record_of({"udpos": entry_with(mnli, ONE)}), machine={"processor": "another", "cores": 1})
    tuning.write(workspace.artifacts, other)
    tuned_lines(workspace)
    record = tuning.read(workspace.artifacts, "tiny")
    assert record is not None
    assert list(record.entries) == ["mnli"]


def test_damaged_record_is_replaced(workspace: Workspace, mnli: Artifact) -> None:
    (workspace.root / "artifacts/tiny/tuning.json").write_text("{")
    tuned_lines(workspace)
    record = tuning.read(workspace.artifacts, "tiny")
    assert record is not None
    assert list(record.entries) == ["mnli"]


def test_clock_decides_the_rate(workspace: Workspace, mnli: Artifact) -> None:
    ticks = iter([10.0, 14.0])
    rows = rows_of(workspace, mnli)[0]
    with SettingTimer({"fp32": mnli}, rows, workspace, clock=lambda: next(ticks)) as bench:
        sample = bench.measure("fp32", ALL)
    assert sample.rate == sum(len(row.input_ids) for row in rows) / 4


def rows_of(workspace: Workspace, mnli: Artifact) -> Any:
    jobs = subject_of(workspace, mnli).jobs
    return rows_to_time(mnli, jobs, 2, workspace.layout(workspace.root / "data", None))


def subject_of(workspace: Workspace, artifact: Artifact) -> tune._Subject:
    layout = workspace.layout(workspace.root / "data", None)
    (subject,) = tune._subjects(request(), ["onnx"], workspace, layout)
    assert subject.artifacts["fp32"] == artifact
    return subject


def test_one_graph_is_open_at_a_time_with_the_threads_that_are_measured(
    workspace: Workspace, mnli: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Any] = []
    start, close = OnnxEndpoint.__init__, OnnxEndpoint.close

    def opened(self: OnnxEndpoint, graph: Path, **options: Any) -> None:
        events.append(options["threads"])
        start(self, graph, **options)

    def closed(self: OnnxEndpoint) -> None:
        events.append("close")
        close(self)

    monkeypatch.setattr(OnnxEndpoint, "__init__", opened)
    monkeypatch.setattr(OnnxEndpoint, "close", closed)
    rows = rows_of(workspace, mnli)[0]
    with SettingTimer({"fp32": mnli}, rows, workspace) as bench:
        for setting in (ALL, replace(ALL, max_tokens=1_024), ONE):
            bench.measure("fp32", setting)
    assert events == [2, "close", 1, "close"]


def test_what_a_call_costs_is_measured_for_each_place(workspace: Workspace, mnli: Artifact) -> None:
    rows = rows_of(workspace, mnli)[0]
    with SettingTimer({"fp32": mnli}, rows, workspace) as bench:
        for setting in (ALL, replace(ALL, max_tokens=1_024), ONE):
            bench.measure("fp32", setting)
    known = json.loads((workspace.cache / "costs.json").read_text())
    assert [name.rpartition(") ")[2] for name in known] == [ALL.placement, ONE.placement]


# Which variants


@pytest.mark.parametrize("gate", ['{"passed": false, "accepted": "why not"}', None])
def test_variant_whose_gate_did_not_pass_is_left_out(
    workspace: Workspace, mnli: Artifact, probe: list[int], gate: str | None
) -> None:
    lossy = add_variant(mnli, "int8", gate=gate)
    publish(lossy, workspace.model_repository, Serving(threads=1), probe_ids=probe)
    assert "mnli int8 is left out: its gate did not pass" in tuned_lines(workspace)


def test_variant_that_is_not_published_is_left_out(workspace: Workspace, mnli: Artifact) -> None:
    add_variant(mnli, "int8")
    line = f"mnli int8 is left out: it is not published in {workspace.model_repository}"
    assert line in tuned_lines(workspace)


def test_variant_whose_gate_passed_is_measured(workspace: Workspace, mnli: Artifact, probe: list[int]) -> None:
    for variant in ("int8", "fp16"):
        publish(add_variant(mnli, variant), workspace.model_repository, Serving(threads=1), probe_ids=probe)
    tuned_lines(workspace, variants=("int8",))
    record = tuning.read(workspace.artifacts, "tiny")
    assert record is not None
    assert set(record.entries["mnli"].graphs) == {"fp32", "int8"}


def test_gate_that_cannot_be_read_is_refused(workspace: Workspace, mnli: Artifact) -> None:
    add_variant(mnli, "int8", gate="{")
    with pytest.raises(ArtifactError, match=r"gate.json is damaged .*; export again with `harness export --model tiny"):
        tuned_lines(workspace)


def test_place_without_memory_is_left_out(mnli: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitting(mnli, [DEFAULT, TWICE]) == ([DEFAULT, TWICE], [])
    room = 1.5 * mnli.graph.stat().st_size
    monkeypatch.setattr(measure.psutil, "virtual_memory", lambda: SimpleNamespace(available=room))
    kept, lines = fitting(mnli, [DEFAULT, TWICE, ALL])
    assert kept == [DEFAULT, ALL]
    assert len(lines) == 1
    assert lines[0].startswith("tiny-mnli-fp32 by triton (local), 2 instances x 1 thread is left out: it needs about")


# What is refused


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"model": "tiny2"}, UsageError, "no exported model 'tiny2' .*, did you mean 'tiny'"),
        ({"tasks": ("xnl",)}, UsageError, "'xnl', did you mean 'xnli'"),
        ({"variants": ("int8",)}, UsageError, "model 'tiny' has no variant 'int8'; it has fp32"),
        ({"engines": ("onx",)}, UsageError, "no engine 'onx', did you mean 'onnx'; `--engine` takes triton, onnx"),
        ({"engines": ()}, UsageError, "`--engine` names no engine; it takes triton, onnx"),
        ({"engines": ("triton", "onnx")}, UsageError, "'tiny-mnli-fp32' is not published .*`harness export --model"),
        ({"tasks": ("udpos",)}, UsageError, "no language is left of udpos"),
    ],
)
def test_wrong_request_is_refused(
    workspace: Workspace, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        tuned_lines(workspace, **options)
    assert not (workspace.root / "artifacts/tiny/tuning.json").exists()


@pytest.mark.parametrize("tasks", [("xnli",), ("all",)])
def test_data_folder_without_the_tasks_is_refused(workspace: Workspace, tasks: tuple[str, ...]) -> None:
    for path in (workspace.root / "data/xtreme/xnli").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"has no rows for the graphs of mnli; `harness data check --tasks xnli` lists"):
        tuned_lines(workspace, tasks=tasks)


def test_damaged_graph_is_refused(workspace: Workspace, mnli: Artifact) -> None:
    mnli.graph.write_bytes(b"no graph")
    with pytest.raises(ArtifactError, match="is not the file its manifest describes"):
        tuned_lines(workspace)


# Evaluations


def entry_with(
    artifact: Artifact, setting: Setting, *, variant: str = "fp32", others: Mapping[str, Artifact] | None = None
) -> FinetuneTuning:
    """What a search would have found: each graph is fastest by the setting, on either engine."""

    def trial(name: str, rate: float, **change: Any) -> Trial:
        return Trial(
            stage="winners",
            variant=name,
            setting=replace(setting, **change),
            rates=(rate - 1, rate, rate + 1),
            padding=1.0,
            memory=80,
        )

    def graph(each: Artifact, name: str, rate: float) -> TunedGraph:
        slower = "triton" if setting.engine == "onnx" else "onnx"
        best = {setting.engine: trial(name, rate), slower: trial(name, rate / 2, engine=slower)}
        return TunedGraph(graph_sha256=each.graph_sha256, engine=setting.engine, best=best)

    graphs = {"fp32": graph(artifact, "fp32", 200.0)}
    graphs |= {name: graph(other, name, 400.0) for name, other in (others or {}).items()}
    metadata = {"created": "2026-11-22T10:00:00+00:00"}
    default = trial("fp32", 100.0)
    return FinetuneTuning(
        variant=variant, default=default, graphs=graphs, useful_tokens=100, metadata=metadata, table=[default]
    )


def record_of(entries: Mapping[str, FinetuneTuning]) -> TuningRecord:
    return TuningRecord(model="tiny", machine=machine.describe(), packages=packages(), entries=entries)


@pytest.fixture
def small(workspace: Workspace, mnli: Artifact) -> Setting:
    """The record says: in process, one thread, at most 16 tokens a batch."""
    setting = Setting(engine="onnx", threads=1, max_tokens=16)
    tuning.write(workspace.artifacts, record_of({"mnli": entry_with(mnli, setting)}))
    return setting


def evaluated(workspace: Workspace, **options: Any) -> tuple[list[str], dict[str, Any], list[tuple[int, int]]]:
    """Evaluate XNLI; return the report, scores.json, and (rows, width) of each batch."""
    chosen: dict[str, Any] = {
        "models": ("tiny",), "tasks": ("xnli",), "suite": None, "languages": (), "scripts": (), "split": "test",
        "data": workspace.root / "data", "endpoint": None, "variant": "fp32", "limit": None,
        "output": workspace.root / "run",
    }  # fmt: skip
    wanted = EvaluationRequest(**{**chosen, **options})
    lines = list(evaluate.report(evaluate.evaluate(wanted, workspace, Silent()), workspace, Silent()))
    folder = wanted.output or Path(lines[-1].split(": ")[1].split(" (")[0])
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        batches = journal.execute("SELECT rows, width FROM batch ORDER BY id").fetchall()
    return lines, read_json(folder / "scores.json"), batches


def test_evaluation_uses_the_winner(workspace: Workspace, small: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    start = OnnxEndpoint.__init__

    def opened(self: OnnxEndpoint, graph: Path, **options: Any) -> None:
        threads.append(options["threads"])
        start(self, graph, **options)

    monkeypatch.setattr(OnnxEndpoint, "__init__", opened)
    lines, scores, batches = evaluated(workspace)
    assert "tuned: onnx in process, 1 thread, budget 16 (tuning.json of 2026-11-22)" in lines
    assert scores["endpoint"] == "onnx"
    assert scores["provenance"]["tuning"]["settings"] == {
        "mnli": {"engine": "onnx", "threads": 1, "instances": 1, "max_tokens": 16}
    }
    assert threads == [1]
    # Five rows of seven or eight tokens, and a longer one that goes alone.
    assert max(rows * width for rows, width in batches if rows > 1) <= small.max_tokens
    assert sum(rows for rows, _ in batches) == 6


def test_untuned_evaluation_has_larger_batches(workspace: Workspace, small: Setting) -> None:
    lines, scores, batches = evaluated(workspace, tuning=False, endpoint="onnx")
    assert not any(line.startswith(("tuned", "not tuned")) for line in lines)
    assert scores["provenance"]["tuning"] is None
    assert max(rows * width for rows, width in batches) > small.max_tokens


def test_no_tuning_leaves_the_default_engine(workspace: Workspace, small: Setting) -> None:
    with pytest.raises(UsageError, match="'tiny-mnli-fp32' is not published"):  # as a local Triton needs it
        evaluated(workspace, tuning=False)


def test_scores_are_those_without_tuning(workspace: Workspace, small: Setting) -> None:
    _, tuned, _ = evaluated(workspace)
    _, plain, _ = evaluated(workspace, tuning=False, endpoint="onnx", output=workspace.root / "plain")
    assert tuned["tasks"] == plain["tasks"]


def test_tuning_is_part_of_what_an_evaluation_is(workspace: Workspace, mnli: Artifact, small: Setting) -> None:
    """By default each goes into a folder of its own; the same one is found again."""
    lines, _, _ = evaluated(workspace, output=None)
    again, _, _ = evaluated(workspace, output=None)
    assert again[-1] == f"{lines[-1].partition(' (')[0]} (finished before, no graph was queried again)"
    tuning.write(workspace.artifacts, record_of({"mnli": entry_with(mnli, replace(small, max_tokens=32))}))
    other, _, batches = evaluated(workspace, output=None, fresh=True)
    assert other[-1].partition(" (")[0] != lines[-1].partition(" (")[0]
    assert max(rows * width for rows, width in batches) > 16


def test_given_endpoint_is_kept(workspace: Workspace, mnli: Artifact) -> None:
    setting = Setting(engine="triton", instances=2, threads=1, max_tokens=16)
    tuning.write(workspace.artifacts, record_of({"mnli": entry_with(mnli, setting)}))
    lines, scores, batches = evaluated(workspace, endpoint="onnx")
    assert scores["endpoint"] == "onnx"
    assert scores["provenance"]["tuning"]["engine"] == "onnx"
    assert any(line.startswith("tuned: onnx in process") for line in lines)
    assert max(rows * width for rows, width in batches if rows > 1) <= 16


def test_somebody_elses_server_is_asked_by_the_defaults(workspace: Workspace, mnli: Artifact, small: Setting) -> None:
    choice = MachineTuning.load(["tiny"], workspace.artifacts, use=True, variant="fp32")
    chosen = choice.settings({"tiny": [mnli]}, "triton://a:8001")
    assert (chosen.endpoint, dict(chosen.applied), chosen.remarks) == ("triton://a:8001", {}, ())


def test_evaluation_says_that_a_graph_was_exported_again(
    workspace: Workspace, mnli: Artifact, small: Setting, tiny_graph: Callable[..., bytes]
) -> None:
    mnli.graph.write_bytes(tiny_graph(mnli.signature, seed=1))
    path = mnli.directory / "manifest.json"
    path.write_text(path.read_text().replace(mnli.graph_sha256, file_sha256(mnli.graph)))
    lines, scores, _ = evaluated(workspace, endpoint="onnx")
    assert "not tuned: mnli fp32 was exported again since; `harness tune --model tiny`" in lines
    assert scores["provenance"]["tuning"] is None


def test_evaluation_says_that_the_record_is_of_another_machine(workspace: Workspace, mnli: Artifact) -> None:
    record = replace(record_of({"mnli": entry_with(mnli, ONE)}), machine={"processor": "another", "cores": 64})
    tuning.write(workspace.artifacts, record)
    lines, scores, _ = evaluated(workspace, endpoint="onnx")
    (line,) = [line for line in lines if line.startswith("not tuned")]
    assert "tuning.json is of another with 64 cores" in line
    assert scores["provenance"]["tuning"] is None


def test_damaged_record_stops_an_evaluation(workspace: Workspace, small: Setting) -> None:
    (workspace.root / "artifacts/tiny/tuning.json").write_text("{")
    with pytest.raises(UsageError, match=r"tuning.json is damaged .* tune again with `harness tune --model tiny`"):
        evaluated(workspace, endpoint="onnx")
    evaluated(workspace, endpoint="onnx", tuning=False)


def test_dry_run_plans_with_the_winner(workspace: Workspace, small: Setting) -> None:
    wanted = EvaluationRequest(
        models=("tiny",), tasks=("xnli",), suite=None, languages=(), scripts=(), split="test",
        data=workspace.root / "data", endpoint=None, variant="fp32", limit=None, output=None,
    )  # fmt: skip
    lines = list(evaluate.dry_run(wanted, workspace, Silent()))
    (count,) = [line for line in lines if "batches" in line]
    assert int(count.split(" batches")[0].split()[-1]) >= 3
    assert any(line.startswith("tuned: onnx in process, 1 thread, budget 16") for line in lines)


# Tuned variants


@pytest.fixture
def lossy(workspace: Workspace, mnli: Artifact) -> Artifact:
    """An int8 graph that is the fastest, and depends on its batches."""
    found = add_variant(mnli, "int8", batch_dependent=True)
    setting = Setting(engine="onnx", threads=1, max_tokens=16)
    entry = entry_with(mnli, setting, variant="int8", others={"int8": found})
    tuning.write(workspace.artifacts, record_of({"mnli": entry}))
    return found


def test_variant_is_never_changed_unless_asked(workspace: Workspace, lossy: Artifact) -> None:
    _, scores, _ = evaluated(workspace)
    assert scores["provenance"]["variant"] == {"mnli": "fp32"}


def test_tuned_variant_answers_and_is_named(workspace: Workspace, lossy: Artifact) -> None:
    lines, scores, _ = evaluated(workspace, variant="tuned")
    assert scores["variant"] == "tuned"
    assert scores["provenance"]["variant"] == {"mnli": "int8"}
    assert "variant of each graph: mnli int8" in lines
    assert scores["tasks"]["xnli"]["representation"] == "answered in int8"


def test_tuned_variant_without_a_search_is_refused(workspace: Workspace, mnli: Artifact) -> None:
    with pytest.raises(UsageError, match="needs a search: model 'tiny' was never tuned"):
        evaluated(workspace, variant="tuned")


def test_tuned_variant_without_tuning_is_refused(workspace: Workspace, lossy: Artifact) -> None:
    with pytest.raises(UsageError, match="`--no-tuning` leaves them out; drop one of the two"):
        evaluated(workspace, variant="tuned", tuning=False)


def test_run_is_scored_again_as_it_was_tuned_then(workspace: Workspace, lossy: Artifact) -> None:
    _, scores, _ = evaluated(workspace, variant="tuned")
    (workspace.root / "artifacts/tiny/tuning.json").write_text("{")
    rescored = evaluate.rescore(workspace.root / "run", None, workspace, Silent())
    lines = list(evaluate.report_rescored(rescored, workspace, Silent()))
    assert "variant of each graph: mnli int8" in lines
    again = read_json(workspace.root / "run/scores.json")
    assert again["tasks"] == scores["tasks"]
    assert again["provenance"]["tuning"] == scores["provenance"]["tuning"]


def test_batches_that_answers_depend_on_are_not_mixed(workspace: Workspace, mnli: Artifact, lossy: Artifact) -> None:
    """A run with its answers, then another search: every row is asked again in the batches of the new plan."""
    _, _, first = evaluated(workspace, variant="int8", languages=("ru",), output=workspace.root / "first")
    setting = Setting(engine="onnx", threads=1, max_tokens=32)
    entry = entry_with(mnli, setting, variant="int8", others={"int8": lossy})
    tuning.write(workspace.artifacts, record_of({"mnli": entry}))
    _, scores, second = evaluated(workspace, variant="int8")
    rows = sum(rows for rows, _ in second)
    # The longest row goes alone in both plans: that batch is the same one.
    assert scores["answers"] == {"asked": rows, "kept": 1}
    assert rows == sum(rows for rows, _ in first) == 5
    _, scores, _ = evaluated(workspace, variant="int8", output=workspace.root / "third")
    assert scores["answers"] == {"asked": 0, "kept": rows + 1}


# A local Triton


@pytest.mark.triton
def test_local_server_takes_instances_and_threads(
    workspace: Workspace, mnli: Artifact, probe: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.serving.server import local

    loaded: list[Any] = []
    add = local.LocalTriton.add

    def noted(self: local.LocalTriton, name: str, config: Any = None) -> None:
        add(self, name, config)
        now = self.config(name)
        loaded.append((now["instance_group"][0]["count"], now["parameters"]["intra_op_thread_count"]["string_value"]))

    monkeypatch.setattr(local.LocalTriton, "add", noted)
    publish(mnli, workspace.model_repository, Serving(threads=3), probe_ids=probe)
    batch = pad([np.asarray(probe), np.asarray(probe[:3])], pad_id=1)
    settings: dict[str, Setting] = {}
    answers, processes, in_flight = [], [], []
    with connection(None, [mnli], workspace.model_repository, Silent(), settings) as opened:
        for setting in (TWICE, DEFAULT):
            settings[mnli.name] = setting
            with opened.open(mnli) as endpoint:
                answers.append(endpoint.infer(batch)["logits"])
                processes.append(len(opened.processes(mnli)))
                in_flight.append(endpoint.concurrency)
    assert loaded == [(2, "1"), (1, "2")]
    assert processes == [2, 1]
    assert in_flight == [4, 2]
    assert all(np.allclose(answer, answers[0], atol=1e-6) for answer in answers)


@pytest.mark.triton
def test_model_is_tuned_on_a_local_server(
    workspace: Workspace, mnli: Artifact, probe: list[int], two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(mnli, workspace.model_repository, Serving(threads=1), probe_ids=probe)
    monkeypatch.setattr(tune, "Comparison", partial(Comparison, repeats=1))
    tuned_lines(workspace, engines=("triton",))
    record = tuning.read(workspace.artifacts, "tiny")
    assert record is not None
    entry = record.entries["mnli"]
    there = {(trial.setting.instances, trial.setting.threads) for trial in entry.table}
    assert there == {(1, 2), (2, 1)}
    assert all(trial.memory > 10 for trial in entry.table)
    assert list((workspace.root / "runs").iterdir()) == []
