"""The comparison on tiny networks: each baseline answers as ours does, in the order that it promises."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from benchmarks.compare import gated, handtuned, mixed, peak, sides, works
from benchmarks.compare.__main__ import SECTIONS, parse
from benchmarks.compare.gated import Choice, fastest
from benchmarks.compare.networks import EXACT, TABLE, Network, RandomNetworks, peer_folder
from benchmarks.compare.peers.texts import Text, batches, decide, tokenize
from benchmarks.compare.session import FULL, HALF, QUICK, SampleSize, Session
from benchmarks.contenders.baseshape import Shape, cost
from benchmarks.contenders.eager import EagerTorch, answering
from benchmarks.contenders.ours import Harness
from benchmarks.contenders.workload import Workload, files, predictions, read, sample, scores_by
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import Timing
from harness.artifacts.store import ArtifactStore
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes, tasks
from harness.core.errors import ArtifactError, MissingExtra, UsageError
from harness.core.examples import SentenceExample
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.evaluation.workload import Job
from harness.inference.endpoints.onnx import OnnxEndpoint

TINY = Shape(name="tiny", layers=2, width=32, heads=2, feed_forward=64)
NOTHING = Choice(None, ("never exported",))
SENTENCES = ["abc", "abcdefgh", "xyzxyzxyzxyz", "hello", "a", "qrs tuv", "ijk", "mnop"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """XNLI, Tatoeba and XQuAD in two languages, a few rows each."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "xtreme"
    for name in ("xnli", "tatoeba", "xquad"):
        (folder / name).mkdir(parents=True)
    for code, three in (("ru", "rus"), ("de", "deu")):
        pairs = [f"{first}\t{second}\tneutral\n" for first, second in zip(SENTENCES, SENTENCES[::-1], strict=True)]
        (folder / "xnli" / f"test-{code}.tsv").write_text("".join(pairs * 5), encoding="utf-8")
        foreign = [f"{sentence} {code}" for sentence in SENTENCES]
        (folder / "tatoeba" / f"tatoeba.{three}-eng.{three}").write_text("\n".join(foreign) + "\n", encoding="utf-8")
        (folder / "tatoeba" / f"tatoeba.{three}-eng.eng").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
        questions = [
            {"id": f"{code}{number}", "question": sentence, "answers": [{"text": "abc", "answer_start": 0}]}
            for number, sentence in enumerate(SENTENCES)
        ]
        paragraph = {"context": "abc def ghi " * 20, "qas": questions}
        document = {"data": [{"title": "t", "paragraphs": [paragraph]}], "version": "1.1"}
        (folder / "xquad" / f"xquad.{code}.json").write_text(json.dumps(document), encoding="utf-8")
    coverage = {"xnli": ["ru", "de"], "tatoeba": ["ru", "de"], "xquad": ["ru", "de"]}
    (folder / "coverage.json").write_text(json.dumps(coverage), encoding="utf-8")
    return Layout.at(root)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> RandomNetworks:
    return RandomNetworks(TINY, tokenizer_file, tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def network(networks: RandomNetworks) -> Callable[[str], Network]:
    made: dict[str, Network] = {}

    def make(finetune: str) -> Network:
        if finetune not in made:
            made[finetune] = networks.network(finetunes.load(finetune), NOTHING)
        return made[finetune]

    return make


@pytest.fixture
def session(tmp_path: Path, data: Layout, tokenizer_file: Path, networks: RandomNetworks) -> Session:
    made = Session(
        model="tiny",
        workspace=Workspace(tmp_path),
        layout=data,
        sample=SampleSize(8, 4),
        folder=tmp_path,
        progress=Silent(),
        tokenizer_file=tokenizer_file,
        shape=TINY,
    )
    made._random = networks
    return made


@pytest.fixture
def rows(data: Layout, tokenizer) -> Callable[[str], Workload]:
    def make(task: str) -> Workload:
        return read([Job(tasks.load(task), code, "test") for code in ("ru", "de")], data, tokenizer, None)

    return make


def work_of(task: str) -> works.ComparedWork:
    return next(work for work in works.WORKS if task in work.tasks)


def eager(task: str, network: Network, workload: Workload) -> EagerTorch:
    answer = answering(network.finetune.head, network.layer)
    return EagerTorch(network.torch, workload, answer=answer, width=work_of(task).width)


# The baseline of the scripts


@pytest.mark.parametrize("task", ["xnli", "tatoeba", "xquad"])
def test_baseline_answers_as_ours_does(task: str, network, rows, tmp_path: Path) -> None:
    given, workload = network(work_of(task).finetune), rows(task)
    theirs = eager(task, given, workload)
    with OnnxEndpoint.of(given.exact) as endpoint:
        ours = Harness("ours", endpoint, given.exact, workload, tmp_path)
        for side in (ours, theirs):
            side.run()
        for mine, others in zip(ours.outputs(), theirs.outputs(), strict=True):
            for left, right in zip(mine, others, strict=True):
                assert left.keys() == right.keys()
                for name in left:
                    np.testing.assert_allclose(left[name], right[name], atol=1e-4)
        assert predictions(workload, ours.outputs()) == predictions(workload, theirs.outputs())


def test_baseline_reads_file_after_file(network, rows) -> None:
    workload = rows("tatoeba")
    side = eager("tatoeba", network("encoder"), workload)
    # Foreign sentences, then the English ones: a batch never crosses a file.
    assert [count for count, _ in side.shapes] == [8, 8] * 2
    sent = [
        ids[mask == 1].tolist()
        for _, _, tensors in side._batches
        for ids, mask in zip(tensors["input_ids"].numpy(), tensors["attention_mask"].numpy(), strict=True)
    ]
    assert sent == [feature.input_ids.tolist() for item in workload.featurized for feature in item.features]


@pytest.mark.parametrize(("task", "width"), [("xnli", {128}), ("xquad", {384})])
def test_baseline_pads_to_the_maximum(task: str, width: set[int], network, rows) -> None:
    side = eager(task, network(work_of(task).finetune), rows(task))
    assert {columns for _, columns in side.shapes} == width


def test_retrieval_baseline_pads_to_the_longest_and_computes_all_layers(network, rows) -> None:
    workload, given = rows("tatoeba"), network("encoder")
    side = eager("tatoeba", given, workload)
    longest = max(len(feature.input_ids) for feature in workload.featurized[0].features[:8])
    assert side.shapes[0] == (8, longest)
    called: list[int] = []
    hooks = [
        layer.register_forward_hook(lambda *_, place=place: called.append(place))
        for place, layer in enumerate(given.torch.encoder.layer)
    ]
    side.run()
    for hook in hooks:
        hook.remove()
    assert set(called) == set(range(TINY.layers))


def test_a_head_without_a_procedure_is_refused() -> None:
    with pytest.raises(UsageError, match="no baseline for a head of type TokenClassification"):
        answering(finetunes.load("udpos").head, None)


# The sample


def test_sampled_queries_bring_their_translations(data: Layout) -> None:
    examples: list[SentenceExample] = sample(Job(tasks.load("tatoeba"), "ru", "test").read(data), 3)
    queries = [example for example in examples if example.side == "query"]
    candidates = {example.id for example in examples if example.side == "candidate"}
    assert len(queries) == 3
    assert candidates == {name for example in queries for name in example.gold}


def test_files_of_a_retrieval_job_are_its_two_sides(rows) -> None:
    (item, _) = rows("tatoeba").featurized
    assert files(item) == [list(range(8)), list(range(8, 16))]


def test_scores_by_script_and_task_are_means_over_languages(rows) -> None:
    workload = rows("xnli")
    predicted = [["neutral"] * 40, ["neutral"] * 20 + ["entailment"] * 20]
    assert scores_by(workload, predicted, "script") == {"Cyrl": 100.0, "Latn": 50.0}
    assert scores_by(workload, predicted, "task") == {"xnli": 75.0}


# The random networks


def test_all_graphs_share_one_table(network, networks: RandomNetworks) -> None:
    tables = [network(name).exact.graph.with_name(TABLE) for name in ("mnli", "squad")]
    assert tables[0].samefile(tables[1])
    assert tables[0].stat().st_size == 4 * TINY.width * networks._vocabulary


def test_words_beyond_the_traced_ones_are_looked_up(networks: RandomNetworks, network) -> None:
    given = network("mnli")
    last = networks._vocabulary - 1
    inputs = {"input_ids": np.array([[0, last, 2]]), "attention_mask": np.ones((1, 3), dtype=np.int64)}
    with OnnxEndpoint.of(given.exact) as endpoint, torch.inference_mode():
        ours = endpoint.infer(inputs)["logits"]
        theirs = given.torch(**{name: torch.from_numpy(value) for name, value in inputs.items()}).logits.numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_lossy_graphs_are_made_from_the_same_trace(networks: RandomNetworks, network, tmp_path: Path) -> None:
    exact = network("mnli").exact
    lossy = networks._artifact(finetunes.load("mnli"), "int8_block")
    assert (lossy.variant, lossy.batch_dependent) == ("int8_block", False)
    inputs = {"input_ids": np.array([[0, 5, 9, 2]]), "attention_mask": np.ones((1, 4), dtype=np.int64)}
    with OnnxEndpoint.of(exact) as left, OnnxEndpoint.of(lossy) as right:
        difference = np.abs(left.infer(inputs)["logits"] - right.infer(inputs)["logits"]).max()
    assert 0 < difference < 0.1


# Which variant


def published(root: Path, variant: str, digest: str = "d", **gate: object) -> None:
    folder = root / "m" / "mnli" / variant
    folder.mkdir(parents=True)
    (folder / "gate.json").write_text(json.dumps(gate), encoding="utf-8")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network) -> ArtifactStore:
    exact = network("mnli").exact
    monkeypatch.setattr(
        ArtifactStore,
        "find",
        lambda self, model, finetune, variant: replace(
            exact, manifest=msgspec.structs.replace(exact.manifest, variant=variant)
        ),
    )
    return ArtifactStore(tmp_path)


def test_fastest_gated_variant_is_taken(store: ArtifactStore, network) -> None:
    for variant in ("int8", "int8_block"):
        published(store.root, variant, passed=True)
    choice = fastest(store, "m", network("mnli").exact)
    assert choice.artifact is not None
    assert (choice.artifact.variant, choice.reasons) == ("int8", ())


def test_refused_variant_is_named_and_the_next_taken(store: ArtifactStore, network) -> None:
    published(store.root, "int8.refused", passed=False, problems=["Latn: fell"])
    published(store.root, "int8_block", passed=True)
    choice = fastest(store, "m", network("mnli").exact)
    assert choice.artifact is not None
    assert choice.artifact.variant == "int8_block"
    assert choice.reasons == ("m/mnli in int8 is refused by the gate: Latn: fell",)


def test_published_against_the_gate_is_never_measured(store: ArtifactStore, network) -> None:
    published(store.root, "int8", passed=False, accepted="hurry")
    choice = fastest(store, "m", network("mnli").exact)
    assert choice.artifact is None
    assert "although the gate did not pass it" in choice.reasons[0]
    assert "harness export --model m --variant int8_block --finetune mnli" in choice.reasons[1]


def test_variants_are_tried_fastest_first() -> None:
    assert gated.LOSSY == ("int8", "int8_block")


# Rankings


def test_rankings_are_equal_up_to_ties() -> None:
    ours = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]], dtype=np.float32)
    theirs = np.array([[0.8, 0.4, 0.2], [0.5, 0.5 + 1e-6, 0.1], [0.4, 0.5, 0.1]], dtype=np.float32)
    assert works.same_ranking(ours, theirs).tolist() == [True, True, False]


# Rows


@pytest.mark.parametrize(("name", "targets"), [("tatoeba", (3.3, 7.0)), ("xnli", (2.7, 6.0)), ("qa", (1.6, 3.2))])
def test_targets_are_those_of_the_table(name: str, targets: tuple[float, float]) -> None:
    assert next(work for work in works.WORKS if work.name == name).targets == targets


def test_speed_rows_have_a_target_and_no_score(session: Session, network) -> None:
    given, rows = network("encoder"), session.rows(("tatoeba",), 8)
    (row,) = works.compare(works.TATOEBA, given, rows, "title", session)
    assert (row.target, row.score_ours, row.repeats) == (3.3, None, 2)
    assert row.details["equal_predictions"] == 100.0
    assert row.details["equal_rankings"] == 100.0
    assert row.details["not_measured"] == ["never exported"]
    assert row.details["layers"] == given.layer


def test_scored_rows_have_the_metric_of_both_sides(session: Session, network) -> None:
    given, rows = replace(network("mnli"), scored=True), session.rows(("xnli",), 8)
    (row,) = works.compare(works.XNLI, given, rows, "title", session)
    assert row.target is None
    assert row.score_ours == row.score_baseline
    assert row.details["loss_by_script"] == {"Cyrl": 0.0, "Latn": 0.0}
    assert row.details["score_by_task"] == {"xnli": row.score_ours}


def test_sample_data_is_named_as_such(session: Session) -> None:
    assert session.title("XNLI", session.rows(("xnli",), 8), 8).startswith("sample data, not XNLI, 2 languages")


# Mixed lengths


def texts() -> list[Text]:
    pairs = [Text(first, second, "neutral") for first, second in pairwise(SENTENCES)]
    return [*pairs, *(Text(sentence * 3) for sentence in SENTENCES), Text("abcdefghij" * 20)]


def test_batches_hold_32_texts_in_file_order_and_never_mix_pairs() -> None:
    asked = [Text(str(number), "b") for number in range(40)] + [Text("c")]
    first, second, third = batches(asked)
    assert first[0] == [str(number) for number in range(32)]
    assert (second[0], second[1]) == ([str(number) for number in range(32, 40)], ["b"] * 8)
    assert third == (["c"], None)


def test_every_classifying_peer_decides_as_ours_does(session: Session, network, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from transformers import AutoTokenizer

    from benchmarks.compare.peers.openvino_runtime import OpenVino
    from benchmarks.compare.peers.ort_model import OrtModel
    from benchmarks.compare.peers.pipeline import Pipeline

    given, asked = network("mnli"), texts()
    config = session.random.config(given.finetune.head)
    folder = peer_folder(tmp_path / "peer", given.exact.graph, config, session.tokenizer_file)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    mixed.check_tokens(tokenizer, asked, session.tokenizer)
    with OnnxEndpoint.of(given.exact) as endpoint:
        ours = mixed.FromText("ours", endpoint, given, asked, session.tokenizer_file, tmp_path)
        ours.run()
        wanted = decide(np.stack([answer["logits"] for answer in ours.outputs()]))
    for peer in (
        Pipeline(given.torch, tokenizer, asked),
        OrtModel(folder, tokenizer, asked),
        OpenVino(given.exact.graph, tokenizer, asked),
    ):
        peer.run()
        assert [found.label for found in peer.decisions] == [found.label for found in wanted], peer.name
        chances = [[found.probability for found in side] for side in (peer.decisions, wanted)]
        np.testing.assert_allclose(*chances, atol=1e-4, err_msg=peer.name)


def test_sentence_transformers_makes_the_vectors_of_ours(session: Session, network, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from benchmarks.compare.peers.sentence_encoder import SentenceEncoder

    given = network("encoder")
    asked = [Text(text.first) for text in texts()]
    config = session.random.config(given.finetune.head, given.depth)
    folder = peer_folder(tmp_path / "peer", mixed.token_graph(session, given), config, session.tokenizer_file)
    peer = SentenceEncoder(folder, TINY.width, asked)
    peer.run()
    with OnnxEndpoint.of(given.exact) as endpoint:
        ours = mixed.FromText("ours", endpoint, given, asked, session.tokenizer_file, tmp_path)
        ours.run()
        np.testing.assert_allclose(
            np.stack([answer["embedding"] for answer in ours.outputs()]), peer.vectors, atol=1e-4
        )


def test_a_peer_that_tokenizes_otherwise_is_refused(session: Session) -> None:
    def peer(first: str, second: str | None) -> dict[str, Sequence[int]]:
        return {"input_ids": [0, 2]}

    with pytest.raises(ArtifactError, match="tokens of 'abc'"):
        mixed.check_tokens(peer, texts(), session.tokenizer)


def test_translations_are_searched_within_their_language() -> None:
    asked = [
        Text("x", group="ru", name="ru-0"),
        Text("y", group="ru", name="ru-1"),
        Text("q", group="ru", name="en-0", gold=frozenset({"ru-0"})),
        Text("r", group="ru", name="en-1", gold=frozenset({"ru-0"})),
        Text("not one of a pair"),
    ]
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9], [1, 1]], dtype=np.float32)
    assert mixed.translations(asked, vectors) == 50.0


# Tuned by hand


def test_sorted_cuts_hold_every_row_once_and_keep_to_their_budget() -> None:
    lengths = [5, 9, 3, 7, 128, 2, 4]
    for size in handtuned.BATCH_SIZES:
        plan = size.cut(lengths)
        assert sorted(row for batch in plan for row in batch.rows) == list(range(7))
        assert all(batch.width == max(lengths[row] for row in batch.rows) for batch in plan)
    assert [len(batch.rows) for batch in handtuned.BatchSize("tokens", 128).cut(lengths)] == [1, 6]
    assert [len(batch.rows) for batch in handtuned.BatchSize("rows", 3).cut(lengths)] == [3, 3, 1]


@pytest.mark.parametrize("task", ["xnli", "tatoeba"])
def test_every_engine_answers_as_ours_does(task: str, network, rows, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    given, workload = network(work_of(task).finetune), rows(task)
    features = [feature.input_ids for item in workload.featurized for feature in item.features]
    with (
        OnnxEndpoint.of(given.exact) as endpoint,
        handtuned.shallow(given.torch, given.layer) as cut,
    ):
        ours = Harness("ours", endpoint, given.exact, workload, tmp_path)
        ours.run()
        wanted = ours.outputs()
        for engine in handtuned.engines(given, cut):
            loop = handtuned.SortedLoop(engine, handtuned.BatchSize("rows", 8), features, workload.pad_id)
            loop.run()
            for mine, others in zip(wanted, handtuned.grouped(workload, loop), strict=True):
                for left, right in zip(mine, others, strict=True):
                    for name in left:
                        np.testing.assert_allclose(left[name], right[name], atol=1e-4, err_msg=engine.name)


def test_layers_that_a_loop_leaves_out_come_back(network) -> None:
    given = network("encoder")
    with handtuned.shallow(given.torch, 1) as cut:
        assert len(cut.encoder.layer) == 1
    assert len(given.torch.encoder.layer) == TINY.layers


@pytest.mark.usefixtures("random_only")
def test_the_best_loop_is_what_ours_is_held_against(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    # One engine under two names and two settings show it as well as all of them.
    def engines(given: Network, cut: torch.nn.Module) -> list[handtuned.Engine]:
        layer = None if given.layer is None else -1
        loop = handtuned.TorchLoop(cut, answering(given.finetune.head, layer))
        return [handtuned.NamedEngine(name, loop.answer) for name in ("one", "another")]

    monkeypatch.setattr(handtuned, "engines", engines)
    monkeypatch.setattr(handtuned, "BATCH_SIZES", handtuned.BATCH_SIZES[:2])
    found = handtuned.measure(session)
    assert [row.target for row in found] == [0.97, 1.1]
    for row in found:
        best = min(row.details["others"], key=row.details["others"].get)
        assert row.details["others"][row.baseline] == row.details["others"][best]
        assert row.details["equal_predictions"] == 100.0


# Peak


def test_operations_of_a_plan_are_those_of_its_products() -> None:
    shape = Shape(width=4, feed_forward=8)
    # One layer, one row of 3 tokens: 2 * 3 * (4 * 16 + 2 * 32) for the weights, 2 * 2 * 3 * 3 * 4 for attention.
    assert cost(shape, 1, [(1, 3)]).operations == 768 + 144
    assert cost(shape, 2, [(1, 3), (2, 3)]).operations == 2 * 3 * (768 + 144)
    assert cost(shape, 1, [(2, 3), (1, 4)]).padded_tokens == 10


@pytest.mark.parametrize(
    ("precision", "way"), [(precision, way) for precision, ways in peak.PRODUCTS.items() for way in ways]
)
def test_products_give_a_result_of_the_right_shape(precision: str, way: str) -> None:
    found = peak.PRODUCTS[precision][way](64, 32, 16)()
    assert tuple((found[0] if isinstance(found, list) else found).shape) == (64, 16)


def test_shares_of_the_peak_follow_the_precision(session: Session, monkeypatch) -> None:
    monkeypatch.setattr(peak, "peaks", lambda _: {"fp32": (100e9, "sgemm"), "int8": (400e9, "igemm")})

    def row(work: str, variant: str, weights: str) -> Row:
        sides = [Side(name, Timing((1.0,)), None) for name in ("ours", "theirs")]
        return rate_row(work, 1.0, "x", *sides, variant=variant, weights=weights, operations_per_second=50e9)

    given = [row("a", "fp32", "random"), row("b", "int8", "random"), row("c", "fp32", "trained")]
    found = peak.measure(session, given)
    assert [round(each.ratio, 4) for each in found] == [0.5, 0.125]
    assert [each.ours for each in found] == [50.0, 50.0]


# The harness itself


@pytest.fixture
def random_only(monkeypatch: pytest.MonkeyPatch, network) -> None:
    """Let a session have the networks of random weights alone: there is no trained model."""
    monkeypatch.setattr(Session, "network", lambda self, finetune, scored: network(finetune))


@pytest.mark.usefixtures("random_only")
def test_a_whole_evaluation_says_its_graphs_share(session: Session) -> None:
    (row,) = sides.overhead(session)
    assert row.target == 0.95
    assert 0 < row.ours < row.baseline_value
    assert row.ratio == pytest.approx(row.ours / row.baseline_value)
    assert row.details["not_the_graphs_share"] == pytest.approx(1 - row.ratio, abs=1e-4)
    assert row.details["useful_tokens"] > 0


@pytest.mark.usefixtures("random_only")
def test_padding_is_reported_for_every_task_that_is_there(session: Session) -> None:
    found = " ".join(row.work for row in sides.padding(session))
    assert all(name in found for name in ("xnli", "tatoeba", "xquad"))


@pytest.mark.triton
@pytest.mark.usefixtures("random_only")
def test_local_triton_is_held_against_this_process(session: Session) -> None:
    (row,) = sides.triton(session)
    assert (row.baseline, row.target, row.repeats) == ("in process", 0.9, 2)


# The command


def test_all_sections_run_unless_some_are_named() -> None:
    assert parse(["--model", "m"]).only == tuple(SECTIONS)
    assert parse(["--model", "m", "--only", "xnli, peak"]).only == ("xnli", "peak")


def test_an_unknown_section_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'tatoeba'"):
        parse(["--model", "m", "--only", "tatoba"])


def test_a_missing_peer_is_reported_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.compare import __main__ as command

    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "openvino" else object())
    with pytest.raises(MissingExtra, match=r"'openvino' is not installed; `pip install 'xtreme-harness\[bench\]'`"):
        parse(["--model", "m", "--only", "mixed"])
    assert parse(["--model", "m", "--only", "xnli"]).only == ("xnli",)


def test_quick_is_a_small_part_of_the_sample_on_half_the_layers() -> None:
    base = Shape()
    assert (QUICK.rows, QUICK.questions) < (FULL.rows / 10, FULL.questions / 10)
    assert (2 * HALF.layers, HALF.width, HALF.heads, HALF.feed_forward) == (
        base.layers, base.width, base.heads, base.feed_forward,
    )  # fmt: skip


def test_frontier_has_the_baseline_and_every_variant_on_each_script(session: Session, network) -> None:
    given = network("mnli")
    scored = replace(given, scored=True)
    rows = session.rows(works.XNLI.tasks, 2)
    found = works.points(works.compare(works.XNLI, scored, rows, "title", session))
    assert list(found) == ["xnli"]
    scripts = {point.script for point in found["xnli"] if point.variant == "baseline"}
    assert len(scripts) > 1
    for variant in given.graphs:
        assert {point.script for point in found["xnli"] if point.variant == variant} == scripts
    assert works.points(works.compare(works.XNLI, given, rows, "title", session)) == {}


def test_texts_are_tokenized_as_features_are(tokenizer) -> None:
    single, pair = tokenize([Text("abc"), Text("ab", "c")], tokenizer)
    assert single.input_ids.tolist() == tokenizer.single(tokenizer.subwords(["abc"])[0])
    assert pair.input_ids.tolist() == tokenizer.pair(*tokenizer.subwords(["ab", "c"]))


def test_only_fp32_is_exact(network) -> None:
    assert set(network("mnli").graphs) == {EXACT}
