from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from harness.artifacts.store import Artifact
from harness.core.errors import UsageError
from harness.core.heads import (
    ChoiceScore,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
)
from harness.serving.repository.config import Device, Serving, WarmUp, render_config, render_text_config
from harness.serving.repository.layout import Profile
from harness.serving.repository.text_model import declaration

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


def rendered(kind: str, name: str = "", profile: Profile = "evaluation", device: Device = "cpu", **serving: int) -> str:
    return render_config(
        name or f"base-{kind}-fp32",
        HEADS[kind].signature(768),
        Serving(**{"threads": 2, **serving}, device=device),
        parameters={"graph_sha256": SHA},
        version=3,
        warmup=WarmUp(name="probe-0a1b2c3d", tokens=12),
        profile=profile,
    )


def text_config(artifact: Artifact, **serving: int) -> str:
    return render_text_config(
        f"{artifact.name}_text",
        declaration(artifact),
        Serving(**{"threads": 2, **serving}),
        parameters={"graph_sha256": SHA},
        version=3,
    )


def compare(path: Path, text: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden", default=False):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def parsed(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("profile", ["evaluation", "online"])
@pytest.mark.parametrize("kind", HEADS)
def test_config_is_the_golden_one(kind: str, profile: Profile, request: pytest.FixtureRequest) -> None:
    name = f"{kind}.pbtxt" if profile == "evaluation" else f"{kind}.{profile}.pbtxt"
    compare(GOLDEN / name, rendered(kind, profile=profile), request)


@pytest.mark.parametrize("finetune", ["mnli", "copa", "squad", "udpos", "encoder", "lareqa"])
def test_text_config_is_the_golden_one(
    finetune: str, graph_of: Callable[..., Artifact], request: pytest.FixtureRequest
) -> None:
    compare(GOLDEN / f"text_{finetune}.pbtxt", text_config(graph_of(finetune)), request)


@pytest.mark.parametrize("kind", HEADS)
def test_tritons_own_proto_reads_inputs_and_outputs_back(kind: str) -> None:
    config = parsed(rendered(kind))
    assert [(entry.name, entry.data_type, list(entry.dims)) for entry in config.input] == [
        ("input_ids", model_config_pb2.TYPE_INT64, [-1]),
        ("attention_mask", model_config_pb2.TYPE_INT64, [-1]),
    ]
    assert [(entry.name, list(entry.dims)) for entry in config.output] == OUTPUTS[kind]
    assert {entry.data_type for entry in config.output} == {model_config_pb2.TYPE_FP32}


def test_evaluation_merges_nothing() -> None:
    config = parsed(rendered("sequence", instances=2, max_batch_size=99))
    assert (config.backend, config.max_batch_size, list(config.version_policy.specific.versions)) == (
        "onnxruntime",
        99,
        [3],
    )
    assert config.WhichOneof("scheduling_choice") is None
    assert not any(entry.allow_ragged_batch for entry in config.input)
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, model_config_pb2.ModelInstanceGroup.KIND_CPU)


def test_online_merges_requests_of_any_length_and_refuses_when_full() -> None:
    serving = {"instances": 2, "online_batch_size": 48, "queue_delay_us": 2500, "max_queue_size": 9, "timeout_us": 7}
    config = parsed(rendered("token", profile="online", **serving))
    assert (config.backend, config.max_batch_size, config.instance_group[0].count) == ("onnxruntime", 48, 2)
    assert [entry.allow_ragged_batch for entry in config.input] == [True, True]
    policy = config.dynamic_batching.default_queue_policy
    assert config.dynamic_batching.max_queue_delay_microseconds == 2500
    assert (policy.max_queue_size, policy.default_timeout_microseconds) == (9, 7)
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert config.parameters["pad_id"].string_value == "1"


@pytest.mark.parametrize("profile", ["evaluation", "online"])
@pytest.mark.parametrize("kind", ["sequence", "token"])
def test_config_for_a_gpu_is_the_golden_one(kind: str, profile: Profile, request: pytest.FixtureRequest) -> None:
    compare(GOLDEN / f"{kind}.{profile}.gpu.pbtxt", rendered(kind, profile=profile, device="gpu"), request)


@pytest.mark.parametrize("profile", ["evaluation", "online"])
@pytest.mark.parametrize("kind", HEADS)
def test_gpu_config_puts_each_option_where_the_backend_heeds_it(kind: str, profile: Profile) -> None:
    config = parsed(rendered(kind, profile=profile, device="gpu", instances=2))
    (group,) = config.instance_group
    assert (group.count, group.kind, list(group.gpus)) == (2, model_config_pb2.ModelInstanceGroup.KIND_GPU, [])
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    # What stands in the accelerator's block of these is overwritten by their defaults (onnxruntime.cc).
    overwritten = {"gpu_mem_limit", "arena_extend_strategy", "cudnn_conv_algo_search", "do_copy_in_default_stream"}
    assert (accelerator.name, dict(accelerator.parameters)) == ("cuda", {"use_tf32": "0"})
    assert overwritten & set(config.parameters) == {"arena_extend_strategy"}
    assert config.parameters["arena_extend_strategy"].string_value == "1"
    # The C++ backend refuses to load a graph of rank 2 with the flag.
    assert not any(entry.allow_ragged_batch for entry in config.input)
    assert config.HasField("dynamic_batching") == (profile == "online")


def test_gpu_changes_nothing_else() -> None:
    config, other = parsed(rendered("span", device="gpu")), parsed(rendered("span"))
    for each in (config, other):
        each.ClearField("instance_group")
        each.ClearField("optimization")
    del config.parameters["arena_extend_strategy"]
    assert config == other


def test_online_takes_less_at_once_by_default() -> None:
    assert parsed(rendered("span", profile="online")).max_batch_size < parsed(rendered("span")).max_batch_size


@pytest.mark.parametrize(
    ("finetune", "inputs", "outputs"),
    [
        ("mnli", {"text": [1], "text_pair": [1]}, {"answer": [1]}),
        ("copa", {"text": [1], "question": [1], "choices": [-1]}, {"answer": [1]}),
        ("panx", {"text": [1]}, {"answer": [1]}),
        ("encoder", {"text": [1]}, {"embedding": [4], "truncated": [1]}),
        ("mewslix", {"text": [1], "side": [1]}, {"embedding": [4], "truncated": [1]}),
    ],
)
def test_text_config_takes_strings(
    finetune: str, inputs: dict[str, list[int]], outputs: dict[str, list[int]], graph_of: Callable[..., Artifact]
) -> None:
    config = parsed(text_config(graph_of(finetune), max_queue_size=9, online_batch_size=48, text_instances=3))
    assert {entry.name: list(entry.dims) for entry in config.input} == inputs
    assert {entry.name: list(entry.dims) for entry in config.output} == outputs
    assert {entry.data_type for entry in config.input} == {model_config_pb2.TYPE_STRING}
    # Unequal numbers of choices are merged like everything else.
    assert [entry.allow_ragged_batch for entry in config.input] == [dims == [-1] for dims in inputs.values()]
    assert (config.backend, config.max_batch_size, config.instance_group[0].count) == ("text", 48, 3)
    assert list(config.version_policy.specific.versions) == [3]
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 9
    assert not config.model_warmup


def test_text_model_sends_its_graph_no_more_than_that_takes(graph_of: Callable[..., Artifact]) -> None:
    parameters = parsed(text_config(graph_of("mnli"), online_batch_size=48)).parameters
    assert {name: value.string_value for name, value in parameters.items()} == {
        "graph": "tiny-mnli-fp32",
        "graph_batch_size": "48",
        "graph_sha256": SHA,
        "profile": "online",
    }


def test_parameters_carry_profile_threads_and_the_graph() -> None:
    parameters = {key: value.string_value for key, value in parsed(rendered("span")).parameters.items()}
    assert parameters == {
        "profile": "evaluation",
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
