from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from harness.errors import UsageError
from harness.heads import (
    ChoiceScore,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
)
from harness.serving.config import Serving, WarmUp, render_config

GOLDEN = Path(__file__).parents[2] / "golden" / "serving"
SHA = "5f" * 32
HEADS = {
    "sequence": SequenceClassification(("entailment", "neutral", "contradiction")),
    "choice": ChoiceScore(),
    "token": TokenClassification(tuple(f"tag{index}" for index in range(17))),
    "span": SpanExtraction(),
    "embedding": SentenceEmbedding(layers={12: 8}),
}
OUTPUTS = {
    "sequence": [("logits", [3])],
    "choice": [("logits", [1])],
    "token": [("logits", [-1, 17])],
    "span": [("start_logits", [-1]), ("end_logits", [-1])],
    "embedding": [("embedding", [768])],
}


def rendered(kind: str, name: str = "", **serving: int) -> str:
    return render_config(
        name or f"base-{kind}-fp32",
        HEADS[kind].signature(768),
        Serving(**{"threads": 2, **serving}),
        parameters={"graph_sha256": SHA},
        version=3,
        warmup=WarmUp(name="probe-0a1b2c3d", tokens=12),
    )


def parsed(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("kind", HEADS)
def test_config_is_the_golden_one(kind: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / f"{kind}.pbtxt"
    if request.config.getoption("--update-golden", default=False):
        path.write_text(rendered(kind), encoding="utf-8")
    assert rendered(kind) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", HEADS)
def test_tritons_own_proto_reads_inputs_and_outputs_back(kind: str) -> None:
    config = parsed(rendered(kind))
    assert [(entry.name, entry.data_type, list(entry.dims)) for entry in config.input] == [
        ("input_ids", model_config_pb2.TYPE_INT64, [-1]),
        ("attention_mask", model_config_pb2.TYPE_INT64, [-1]),
    ]
    assert [(entry.name, list(entry.dims)) for entry in config.output] == OUTPUTS[kind]
    assert {entry.data_type for entry in config.output} == {model_config_pb2.TYPE_FP32}


def test_config_leaves_nothing_for_triton_to_guess() -> None:
    config = parsed(rendered("sequence", instances=2, queue_delay_us=2000, max_queue_size=9, timeout_us=7))
    assert (config.backend, config.max_batch_size, list(config.version_policy.specific.versions)) == (
        "onnxruntime",
        256,
        [3],
    )
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, model_config_pb2.ModelInstanceGroup.KIND_CPU)
    policy = config.dynamic_batching.default_queue_policy
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    assert (policy.max_queue_size, policy.default_timeout_microseconds) == (9, 7)
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT


def test_parameters_carry_threads_and_the_graph() -> None:
    parameters = {key: value.string_value for key, value in parsed(rendered("span")).parameters.items()}
    assert parameters == {
        "intra_op_thread_count": "2",
        "inter_op_thread_count": "1",
        "enable_mem_pattern": "0",
        "graph_sha256": SHA,
    }


def test_warm_up_reads_real_ids_from_files() -> None:
    (warm_up,) = parsed(rendered("token")).model_warmup
    assert {name: (list(entry.dims), entry.input_data_file) for name, entry in warm_up.inputs.items()} == {
        "input_ids": ([12], "probe-0a1b2c3d-input_ids"),
        "attention_mask": ([12], "probe-0a1b2c3d-attention_mask"),
    }


@pytest.mark.parametrize("name", ["a/b", "", "..", "two words", 'quo"te', "новая"])
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a served model"):
        render_config(
            name,
            HEADS["choice"].signature(8),
            Serving(threads=1),
            parameters={},
            version=1,
            warmup=WarmUp(name="w", tokens=1),
        )
