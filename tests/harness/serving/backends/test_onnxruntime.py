import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from harness.artifacts.store import Artifact
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.serving.padding import PADDED, USEFUL
from harness.serving.repository.config import Serving, WarmUp, render_config

Backend = Callable[[str], ModuleType]
Make = Callable[..., Artifact]


def opened(
    module: ModuleType, artifact: Artifact, profile: str, change: Callable[[dict], None] = lambda _: None
) -> Any:
    """The backend's model of an artifact, and what its session was given."""
    config = render_config(
        artifact.name,
        artifact.signature,
        Serving(threads=1),
        parameters={"vocabulary": "50", "max_tokens": "512"},
        version=1,
        warmup=WarmUp(name="w", tokens=1),
        profile=profile,
    )
    message = text_format.Parse(config, model_config_pb2.ModelConfig())
    value = json.loads(json_format.MessageToJson(message, preserving_proto_field_name=True))
    change(value)
    version = artifact.directory / "1"
    version.mkdir()
    (version / "model.onnx").symlink_to(artifact.graph)
    model = module.TritonPythonModel()
    model.initialize(
        {
            "model_config": json.dumps(value),
            "model_name": artifact.name,
            "model_instance_kind": "CPU",
            "model_repository": str(artifact.directory),
            "model_version": "1",
        }
    )
    session, model.fed = model._session, []

    class Watched:
        def run(self, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            model.fed.append(feed)
            return session.run(outputs, feed)

    model._session = Watched()
    return model


def feed(rows: int, width: int, seed: int = 0, highest: int = 50) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(seed).integers(3, highest, (rows, width))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@pytest.mark.parametrize("kind", ["sequence", "token", "span", "embedding"])
def test_unequal_requests_are_packed_and_cut_back(
    kind: str, backend: Backend, artifact: Make, request_of: type
) -> None:
    graph = artifact(kind)
    model = opened(backend("onnxruntime"), graph, "online")
    shapes = [(1, 5), (2, 17), (1, 6), (3, 5), (1, 40)]
    feeds = [feed(*shape, seed) for seed, shape in enumerate(shapes)]
    names = [spec.name for spec in graph.signature.outputs]
    answers = model.execute([request_of(each, names) for each in feeds])
    with OnnxEndpoint.of(graph) as here:
        for each, answer in zip(feeds, answers, strict=True):
            for name, expected in here.infer(each).items():
                assert answer.outputs[name].shape == expected.shape
                np.testing.assert_allclose(answer.outputs[name], expected, rtol=1e-5, atol=1e-6)
    assert 1 < len(model.fed) < len(feeds)
    assert sum(len(fed["input_ids"]) for fed in model.fed) == sum(rows for rows, _ in shapes)
    padded = sum(fed["input_ids"].size for fed in model.fed)
    useful = sum(rows * width for rows, width in shapes)
    assert useful <= padded < 1.2 * useful
    for fed in model.fed:
        assert (fed["input_ids"][fed["attention_mask"] == 0] == 1).all()


def counted(stub: Any) -> dict[str, float]:
    return {name: metric.value for name, (metric,) in stub.metrics.items()}


def test_tokens_of_every_batch_are_counted_with_and_without_padding(
    backend: Backend, artifact: Make, request_of: type, stub: Any
) -> None:
    model = opened(backend("onnxruntime"), artifact("sequence"), "online")
    own = feed(2, 5)
    own["attention_mask"][1, 3:] = 0  # padding that the client sent counts as padding
    feeds = [own, feed(1, 7), feed(3, 6)]
    model.execute([request_of(each, ["logits"]) for each in feeds])
    useful = sum(int(each["attention_mask"].sum()) for each in feeds)
    computed = sum(each["input_ids"].size for each in model.fed)
    assert counted(stub) == {USEFUL: useful, PADDED: computed}
    assert computed > useful
    (metric,) = stub.metrics[USEFUL]
    assert metric.labels == {"model": "tiny-sequence-fp32", "version": "1"}


def test_refused_request_counts_no_tokens(backend: Backend, artifact: Make, request_of: type, stub: Any) -> None:
    model = opened(backend("onnxruntime"), artifact("sequence"), "online")
    model.execute([request_of(feed(1, 5) | {"input_ids": np.array([[99] * 5])}, ["logits"])])
    assert counted(stub) == {USEFUL: 0, PADDED: 0}


def test_nothing_is_merged_in_evaluation(backend: Backend, artifact: Make, request_of: type) -> None:
    model = opened(backend("onnxruntime"), artifact("sequence"), "evaluation")
    feeds = [feed(2, 7, seed) for seed in range(3)]
    model.execute([request_of(each, ["logits"]) for each in feeds])
    assert [fed["input_ids"].tolist() for fed in model.fed] == [each["input_ids"].tolist() for each in feeds]


def test_one_request_is_one_batch_whatever_its_size(backend: Backend, artifact: Make, request_of: type) -> None:
    model = opened(backend("onnxruntime"), artifact("sequence"), "online")
    model.execute([request_of(feed(64, 512), ["logits"])])
    assert [fed["input_ids"].shape for fed in model.fed] == [(64, 512)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (
            feed(1, 5, highest=51) | {"input_ids": np.array([[3, 4, 50, 5, 6]])},
            "input_ids from 3 to 50, its vocabulary has 0",
        ),
        (
            feed(1, 5) | {"attention_mask": np.ones((1, 4), np.int64)},
            r"shapes .*all must have the same \(rows, tokens\)",
        ),
        (
            feed(1, 5) | {"attention_mask": np.array([[1, 1, 10**18, 1, 0]])},
            f"attention_mask with values from 0 to {10**18}; give 1 for a token and 0",
        ),
        (feed(1, 5) | {"attention_mask": np.array([[1, 1, -1, 1, 1]])}, "attention_mask with values from -1 to 1"),
        (feed(1, 0), r"inputs of shape \(1, 0\); give at least one row of at least one token"),
        (feed(0, 0), r"inputs of shape \(0, 0\); give at least one row of at least one token"),
        (feed(2, 700), "rows of 700 tokens, and this graph takes at most 512 tokens; give shorter rows"),
    ],
    ids=["vocabulary", "shape", "large mask", "negative mask", "no token", "faults: no row", "faults: too long"],
)
def test_bad_request_fails_alone(
    bad: dict[str, np.ndarray], reason: str, backend: Backend, artifact: Make, request_of: type
) -> None:
    model = opened(backend("onnxruntime"), artifact("sequence"), "online")
    good, failed, other = model.execute([request_of(each, ["logits"]) for each in (feed(1, 5), bad, feed(1, 9))])
    assert not good.has_error()
    assert not other.has_error()
    assert failed.error().code() == "INVALID_ARG"
    with pytest.raises(Exception, match=f"'tiny-sequence-fp32' was sent .*{reason}"):
        raise failed.error()


def test_request_that_only_the_graph_refuses_fails_alone(backend: Backend, artifact: Make, request_of: type) -> None:
    graph = artifact("sequence")
    model = opened(backend("onnxruntime"), graph, "online", lambda config: config["parameters"].pop("vocabulary"))
    bad = feed(1, 5) | {"input_ids": np.array([[3, 999, 4, 5, 6]])}
    feeds = [feed(1, 5, 1), bad, feed(2, 6, 2)]
    answers = model.execute([request_of(each, ["logits"]) for each in feeds])
    assert [answer.has_error() for answer in answers] == [False, True, False]
    with OnnxEndpoint.of(graph) as here:
        for place in (0, 2):
            np.testing.assert_allclose(answers[place].outputs["logits"], here.infer(feeds[place])["logits"], rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answer_that_is_not_finite_is_an_error_of_its_request(
    value: float, backend: Backend, artifact: Make, request_of: type
) -> None:
    model = opened(backend("onnxruntime"), artifact("sequence"), "online")
    run = model._session.run

    def overflowing(outputs: list[str], fed: dict[str, np.ndarray]) -> list[np.ndarray]:
        (logits,) = run(outputs, fed)
        logits[(fed["input_ids"] == 7).any(axis=1)] = value
        return [logits]

    model._session.run = overflowing
    bad = feed(1, 5, highest=6) | {"input_ids": np.array([[3, 4, 7, 5, 4]])}
    answers = model.execute(
        [request_of(each, ["logits"]) for each in (feed(1, 5, highest=6), bad, feed(2, 6, highest=6))]
    )
    assert [answer.has_error() for answer in answers] == [False, True, False]
    assert answers[1].error().code() == "INTERNAL"
    assert str(answers[1].error()) == (
        "model 'tiny-sequence-fp32' answers with NaN or infinity in 'logits'; export it again with `harness export`"
    )


def test_only_the_wanted_outputs_are_computed(backend: Backend, artifact: Make, request_of: type) -> None:
    model = opened(backend("onnxruntime"), artifact("span"), "online")
    first, second = model.execute([request_of(feed(1, 5), ["end_logits"]), request_of(feed(1, 6), ["start_logits"])])
    assert (list(first.outputs), list(second.outputs)) == (["end_logits"], ["start_logits"])


def test_config_that_merges_needs_the_pad_id(backend: Backend, artifact: Make) -> None:
    with pytest.raises(
        Exception, match="'tiny-sequence-fp32' merges requests and lacks pad_id; publish the model again"
    ):
        opened(
            backend("onnxruntime"), artifact("sequence"), "online", lambda config: config["parameters"].pop("pad_id")
        )


def test_config_without_threads_is_refused(backend: Backend, artifact: Make, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="lacks intra_op_thread_count; publish the model again"):
        opened(
            backend("onnxruntime"),
            artifact("sequence"),
            "evaluation",
            lambda config: config["parameters"].pop("intra_op_thread_count"),
        )


def typed_feed(rows: int, width: int, seed: int) -> dict[str, np.ndarray]:
    types = (np.arange(width) >= width // 2).astype(np.int64)
    return feed(rows, width, seed) | {"token_type_ids": np.tile(types, (rows, 1))}


def test_token_types_are_packed_with_their_rows(backend: Backend, artifact: Make, request_of: type) -> None:
    graph = artifact("sequence", token_types=True)
    model = opened(backend("onnxruntime"), graph, "online")
    feeds = [typed_feed(*shape, seed) for seed, shape in enumerate([(1, 5), (2, 6), (1, 7)])]
    answers = model.execute([request_of(each, ["logits"]) for each in feeds])
    with OnnxEndpoint.of(graph) as here:
        for each, answer in zip(feeds, answers, strict=True):
            np.testing.assert_allclose(answer.outputs["logits"], here.infer(each)["logits"], rtol=1e-5, atol=1e-6)
    assert len(model.fed) == 1
    assert (model.fed[0]["token_type_ids"][model.fed[0]["attention_mask"] == 0] == 0).all()


def test_token_type_beyond_the_second_sequence_is_refused(backend: Backend, artifact: Make, request_of: type) -> None:
    model = opened(backend("onnxruntime"), artifact("sequence", token_types=True), "online")
    wrong = typed_feed(1, 5, 0) | {"token_type_ids": np.array([[0, 0, 2, 1, 1]])}
    bad, good = model.execute([request_of(each, ["logits"]) for each in (wrong, typed_feed(1, 5, 1))])
    assert good.outputs["logits"].shape == (1, 3)
    assert bad.error().code() == "INVALID_ARG"
    with pytest.raises(Exception, match="token_type_ids with values from 0 to 2; give 0 for the first sequence"):
        raise bad.error()
