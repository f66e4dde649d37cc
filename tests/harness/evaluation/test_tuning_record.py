"""The record of a search: written, read, and what an evaluation takes of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.artifacts.store import Artifact, ArtifactStore
from harness.core.errors import UsageError
from harness.evaluation.tuning import record as tuning
from harness.evaluation.tuning.applied import AppliedTuning, ModelTuning, fastest_engine, load_tuning
from harness.evaluation.tuning.record import Engine, FinetuneTuning, Setting, Trial, TunedGraph, TuningRecord
from harness.evaluation.tuning.search import pick

MACHINE = {"processor": "One", "cores": 2, "memory_gib": 8}
PACKAGES = {"onnxruntime": "1.31.1", "numpy": "1.26.4"}
DEFAULT = Setting(engine="triton", threads=2)
ONNX = Setting(engine="onnx", threads=2)


def trial(setting: Setting, *rates: float, variant: str = "fp32") -> Trial:
    return Trial(stage="winners", variant=variant, setting=setting, rates=rates, padding=1.01, memory=80)


def entry_of(graphs: dict[str, TunedGraph], variant: str = "fp32", tokens: int = 1_000) -> FinetuneTuning:
    metadata = {"created": "2026-11-22T10:00:00+00:00", "rows": 10}
    default = trial(DEFAULT, 100.0, 101.0, 102.0)
    return FinetuneTuning(
        variant=variant, default=default, graphs=graphs, useful_tokens=tokens, metadata=metadata, table=[default]
    )


def tuned(
    digest: str, engine: Engine = "onnx", *, onnx: float = 200.0, triton: float = 101.0, **change: Any
) -> TunedGraph:
    best: dict[Engine, Trial] = {
        "onnx": trial(replace(ONNX, **change), onnx - 1, onnx, onnx + 1),
        "triton": trial(DEFAULT, triton - 1, triton, triton + 1),
    }
    return TunedGraph(graph_sha256=digest, engine=engine, best=best)


def record_of(**entries: FinetuneTuning) -> TuningRecord:
    return TuningRecord(model="tiny", machine=MACHINE, packages=PACKAGES, entries=entries)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def mnli(graph_of: Callable[..., Artifact]) -> Artifact:
    return graph_of("mnli")


@pytest.fixture
def known(mnli: Artifact, store: ArtifactStore) -> ModelTuning:
    graph = tuned(mnli.graph_sha256, max_tokens=2_048)
    return ModelTuning(model="tiny", store=store, record=record_of(mnli=entry_of({"fp32": graph})))


# The file


def test_what_is_written_is_read(store: ArtifactStore) -> None:
    record = record_of(mnli=entry_of({"fp32": tuned("a"), "int8": tuned("b", "triton")}, "int8"))
    path = tuning.write(store, record)
    assert path == store.root / "tiny/tuning.json"
    assert tuning.read(store, "tiny") == record


def test_file_shows_median_spread_and_gain(store: ArtifactStore) -> None:
    path = tuning.write(store, record_of(mnli=entry_of({"fp32": tuned("a")})))
    reported = json.loads(path.read_text())["finetunes"]["mnli"]
    assert reported["winner"]["gain"] == round(200 / 101, 3)
    best = reported["graphs"]["fp32"]["best"]["onnx"]
    assert (best["useful_tokens_per_second"], best["spread"], best["memory_mib"]) == (200.0, 2.0, 80)


def test_model_that_was_never_tuned_has_no_record(store: ArtifactStore) -> None:
    assert tuning.read(store, "tiny") is None


def _cut(reported: dict[str, Any]) -> str:
    return json.dumps(reported)[:-20]


def _without_packages(reported: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in reported.items() if name != "packages"})


def _without_its_winner(reported: dict[str, Any]) -> str:
    del reported["finetunes"]["mnli"]["graphs"]["fp32"]["best"]["onnx"]
    return json.dumps(reported)


def _no_threads(reported: dict[str, Any]) -> str:
    reported["finetunes"]["mnli"]["graphs"]["fp32"]["best"]["onnx"]["threads"] = 0
    return json.dumps(reported)


@pytest.mark.parametrize("damage", [_cut, _without_packages, _without_its_winner, _no_threads, lambda _: "[]"])
def test_damaged_record_is_refused(store: ArtifactStore, damage: Callable[[dict[str, Any]], str]) -> None:
    path = tuning.write(store, record_of(mnli=entry_of({"fp32": tuned("a")})))
    path.write_text(damage(json.loads(path.read_text())))
    with pytest.raises(UsageError, match=r"tuning.json is damaged .*`harness tune --model tiny`, or .*`--no-tuning`"):
        tuning.read(store, "tiny")


def test_record_of_another_format_is_refused(store: ArtifactStore) -> None:
    path = tuning.write(store, record_of())
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UsageError, match=r"has format 2, this version reads 1; tune again with `harness tune"):
        tuning.read(store, "tiny")


# Ties


@pytest.mark.parametrize(
    ("rates", "others", "ties"),
    [
        ((100, 101, 102), (102, 103, 104), True),
        ((100, 101, 102), (103, 104, 105), False),
        ((100, 100, 100), (110, 120, 130), True),
        ((100, 100, 100), (100, 100, 100), True),
    ],
)
def test_trials_tie_where_repeats_differ_as_much_as_they(rates: Any, others: Any, ties: bool) -> None:
    assert trial(DEFAULT, *rates).ties(trial(ONNX, *others)) is ties
    assert trial(ONNX, *others).ties(trial(DEFAULT, *rates)) is ties


@pytest.mark.parametrize(
    ("simple", "other"),
    [
        (DEFAULT, ONNX),
        (DEFAULT, replace(DEFAULT, instances=2, threads=1)),
        (ONNX, replace(ONNX, threads=1)),
        (DEFAULT, replace(DEFAULT, max_tokens=8_192)),
        (replace(DEFAULT, max_tokens=2_048), replace(DEFAULT, max_tokens=1_024)),
        (replace(DEFAULT, max_tokens=1_024), replace(DEFAULT, instances=2, threads=1)),
    ],
)
def test_of_what_ties_the_simpler_is_picked(simple: Setting, other: Setting) -> None:
    trials = [trial(other, 101, 102, 103), trial(simple, 100, 101, 102)]
    assert pick(trials, DEFAULT).setting == simple
    assert pick(trials[::-1], DEFAULT).setting == simple


def test_of_what_does_not_tie_the_faster_is_picked() -> None:
    faster = replace(DEFAULT, instances=2, threads=1, max_tokens=1_024)
    assert pick([trial(DEFAULT, 100, 101, 102), trial(faster, 104, 105, 106)], DEFAULT).setting == faster


def test_exact_variant_is_picked_where_a_lossy_one_ties() -> None:
    trials = [trial(DEFAULT, 101, 102, 103, variant="int8"), trial(ONNX, 100, 101, 102)]
    assert pick(trials, DEFAULT).variant == "fp32"


# What an evaluation takes


@pytest.mark.parametrize(
    ("machine", "packages", "whose"),
    [
        ({**MACHINE, "processor": "Two"}, PACKAGES, "One with 2 cores"),
        ({**MACHINE, "cores": 4}, PACKAGES, "One with 2 cores"),
        (MACHINE, {"onnxruntime": "1.32.0"}, "onnxruntime 1.31.1"),
        (MACHINE, {}, "onnxruntime 1.31.1"),
    ],
)
def test_record_of_another_machine_does_not_count(
    store: ArtifactStore, mnli: Artifact, machine: dict[str, Any], packages: dict[str, str], whose: str
) -> None:
    tuning.write(store, record_of(mnli=entry_of({"fp32": tuned(mnli.graph_sha256)})))
    known = load_tuning(store, "tiny", machine, packages)
    assert known.applied([mnli], "onnx") is None
    line = known.untuned([mnli])
    assert line.startswith("not tuned: ")
    assert whose in line
    assert line.endswith("; `harness tune --model tiny`")
    with pytest.raises(UsageError, match=r"`--variant tuned` needs a search: \S+tuning.json is of One with 2 cores"):
        known.variant("mnli")


def test_record_of_this_machine_counts_whatever_else_changed(store: ArtifactStore, mnli: Artifact) -> None:
    tuning.write(store, record_of(mnli=entry_of({"fp32": tuned(mnli.graph_sha256)})))
    known = load_tuning(store, "tiny", {**MACHINE, "memory_gib": 4}, {**PACKAGES, "numpy": "2.0"})
    assert known.untuned([mnli]) == ""
    assert known.applied([mnli], "onnx") is not None


def test_nothing_is_said_of_a_model_that_was_never_tuned(store: ArtifactStore, mnli: Artifact) -> None:
    known = load_tuning(store, "tiny", MACHINE, PACKAGES)
    assert known.applied([mnli], "onnx") is None
    assert known.untuned([mnli]) == ""
    with pytest.raises(UsageError, match="model 'tiny' was never tuned; make it with `harness tune --model tiny`"):
        known.variant("mnli")


@pytest.mark.parametrize(("engine", "budget"), [("onnx", 2_048), ("triton", 4_096)])
def test_settings_are_those_of_the_engine(known: ModelTuning, mnli: Artifact, engine: Engine, budget: int) -> None:
    applied = known.applied([mnli], engine)
    assert applied is not None
    assert applied.settings["mnli"].max_tokens == budget
    assert applied.settings["mnli"].engine == engine


def test_graph_that_was_exported_again_is_not_tuned(known: ModelTuning, mnli: Artifact) -> None:
    again = replace(mnli, manifest=msgspec.structs.replace(mnli.manifest, graph_sha256="f" * 64))
    path = mnli.directory / "manifest.json"
    path.write_text(path.read_text().replace(mnli.graph_sha256, again.graph_sha256))
    assert known.applied([again], "onnx") is None
    line = "not tuned: mnli fp32 was exported again since; `harness tune --model tiny`"
    assert known.untuned([again]) == line


def test_graph_that_was_never_tuned_is_named(
    known: ModelTuning, mnli: Artifact, graph_of: Callable[..., Artifact]
) -> None:
    udpos = graph_of("udpos")
    applied = known.applied([mnli, udpos], "onnx")
    assert applied is not None
    assert list(applied.settings) == ["mnli"]
    assert known.untuned([mnli, udpos]) == "not tuned: udpos fp32 was never tuned; `harness tune --model tiny`"


def test_line_says_the_setting_of_all_graphs() -> None:
    setting = replace(ONNX, max_tokens=2_048)
    applied = AppliedTuning(
        engine="onnx", settings={"mnli": setting, "panx": setting}, created="2026-11-22T10:00:00+00:00"
    )
    assert applied.describe() == "tuned: onnx in process, 2 threads, budget 2048 (tuning.json of 2026-11-22)"


def test_line_says_whose_setting_is_whose() -> None:
    settings = {"mnli": replace(DEFAULT, instances=2, threads=1), "panx": DEFAULT, "squad": DEFAULT}
    applied = AppliedTuning(engine="triton", settings=settings, created="2026-11-22T10:00:00+00:00")
    assert applied.describe() == (
        "tuned: triton (local), 2 instances x 1 thread, budget 4096 for mnli; "
        "triton (local), 1 instance x 2 threads, budget 4096 for panx, squad (tuning.json of 2026-11-22)"
    )


def test_applied_is_read_from_a_run() -> None:
    applied = AppliedTuning(engine="onnx", settings={"mnli": ONNX}, created="2026-11-22T10:00:00+00:00")
    assert AppliedTuning.from_json(json.loads(json.dumps(applied.to_json()))) == applied
    assert "created" not in applied.answer_settings()


# Variants


@pytest.fixture
def with_int8(mnli: Artifact, store: ArtifactStore) -> ModelTuning:
    """The fp32 graph, and an int8 one that is faster."""
    folder = store.directory("tiny", "mnli", "int8")
    folder.mkdir()
    reported = json.loads((mnli.directory / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**reported, "variant": "int8", "graph_sha256": "8" * 64}))
    graphs = {"fp32": tuned(mnli.graph_sha256), "int8": tuned("8" * 64, onnx=400.0)}
    return ModelTuning(model="tiny", store=store, record=record_of(mnli=entry_of(graphs, "int8")))


def test_tuned_variant_is_the_fastest(with_int8: ModelTuning) -> None:
    assert with_int8.variant("mnli") == "int8"


def test_finetune_that_was_never_tuned_answers_in_fp32(with_int8: ModelTuning) -> None:
    assert with_int8.variant("udpos") == "fp32"


@pytest.mark.parametrize("gone", [True, False])
def test_fast_variant_that_was_exported_again_or_is_gone_is_not_taken(
    with_int8: ModelTuning, mnli: Artifact, gone: bool
) -> None:
    path = mnli.directory.parent / "int8/manifest.json"
    if gone:
        path.unlink()
    else:
        path.write_text(path.read_text().replace("8" * 64, "9" * 64))
    assert with_int8.variant("mnli") == "fp32"
    assert with_int8.untuned([mnli]).startswith("not tuned: mnli int8 was exported again since")


# The engine


def engine_of(store: ArtifactStore, artifacts: list[Artifact], **entries: FinetuneTuning) -> Engine:
    return fastest_engine([(ModelTuning(model="tiny", store=store, record=record_of(**entries)), artifacts)])


@pytest.mark.parametrize(("tokens", "engine"), [(100, "triton"), (100_000, "onnx")])
def test_engine_is_that_of_the_least_time_over_all_graphs(
    store: ArtifactStore, mnli: Artifact, graph_of: Callable[..., Artifact], tokens: int, engine: Engine
) -> None:
    """In process is twice as fast for one graph, half as fast for the other; their rows decide."""
    udpos = graph_of("udpos")
    faster = entry_of({"fp32": tuned(mnli.graph_sha256, onnx=200, triton=100)}, tokens=tokens)
    slower = entry_of({"fp32": tuned(udpos.graph_sha256, onnx=100, triton=200)}, tokens=10_000)
    assert engine_of(store, [mnli, udpos], mnli=faster, udpos=slower) == engine


def test_engines_that_tie_leave_the_default(store: ArtifactStore, mnli: Artifact) -> None:
    entry = entry_of({"fp32": tuned(mnli.graph_sha256, onnx=102, triton=101)})
    assert engine_of(store, [mnli], mnli=entry) == "triton"


def test_engine_that_was_not_measured_does_not_count(store: ArtifactStore, mnli: Artifact) -> None:
    only = TunedGraph(graph_sha256=mnli.graph_sha256, engine="onnx", best={"onnx": trial(ONNX, 50, 51, 52)})
    assert engine_of(store, [mnli], mnli=entry_of({"fp32": only})) == "onnx"


def test_engine_is_the_default_where_nothing_is_known(store: ArtifactStore, mnli: Artifact) -> None:
    assert engine_of(store, [mnli]) == "triton"
