"""A declaration as a graph answers it: labels in the graph's order, prompts, pooling, longest row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.artifacts.adapted import finetune_of, task_of
from harness.artifacts.store import Artifact, ArtifactStore, read_artifact
from harness.benchmark import finetunes, tasks
from harness.core.errors import ArtifactError
from harness.core.examples import PairExample, SentenceExample
from harness.core.features import Feature
from harness.evaluation.workload import Job, group
from harness.serving.repository.text_model import declaration
from harness.tokenization.tokenizer import FastTokenizer

ORDER = ["neutral", "contradiction", "entailment"]


@pytest.fixture
def changed(graph_of: Callable[..., Artifact]) -> Callable[..., Artifact]:
    """Write an artifact whose manifest says otherwise: ``changed("mnli", head={...}, prompts={...})``."""

    def make(finetune: str, head: dict[str, Any] | None = None, **account: Any) -> Artifact:
        path = graph_of(finetune).directory / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["checkpoint"]["account"] |= account
        path.write_text(json.dumps({**manifest, "head": head}), encoding="utf-8")
        return read_artifact(path.parent)

    return make


def test_labels_of_another_order_are_right_in_evaluation_and_serving(changed: Callable[..., Artifact]) -> None:
    artifact = changed("mnli", head={"kind": "SequenceClassification", "labels": ORDER})
    store = ArtifactStore(artifact.directory.parents[2])
    (workload,) = group([Job(tasks.load("xnli"), "ru", "test")], store, "tiny", "fp32")
    task = workload.jobs[0].task
    example, feature = PairExample("0", "a", "b", "neutral"), Feature(0, np.array([0, 4, 2]))
    outputs = [{"logits": np.array([3.0, 2.0, 1.0], dtype=np.float32)}]
    assert task.postprocess([example], [feature], outputs) == ["neutral"]
    served = declaration(artifact)
    assert served.postprocess is not None
    assert served.postprocess([example], [feature], outputs) == ["neutral"]
    assert task.finetune.featurizer.labels == served.featurizer.labels == tuple(ORDER)  # type: ignore[attr-defined]


def test_tags_of_another_order_too(changed: Callable[..., Artifact]) -> None:
    declared = finetunes.load("udpos").head.labels  # type: ignore[union-attr]
    artifact = changed("udpos", head={"kind": "TokenClassification", "labels": list(reversed(declared))})
    task = task_of(artifact, tasks.load("udpos"))
    assert task.postprocess.tags == task.finetune.featurizer.tags == tuple(reversed(declared))  # type: ignore[attr-defined]


def test_labels_that_are_not_the_tasks_are_refused(changed: Callable[..., Artifact]) -> None:
    artifact = changed("mnli", head={"kind": "SequenceClassification", "labels": ["yes", "no", "maybe"]})
    with pytest.raises(ArtifactError, match="has the labels yes, no, maybe, task 'xnli' has contradiction, entailment"):
        task_of(artifact, tasks.load("xnli"))


def test_declaration_is_the_benchmarks_where_a_graph_says_nothing(graph_of: Callable[..., Artifact]) -> None:
    for name in ("mnli", "encoder", "lareqa", "squad"):
        declared = finetunes.load(name)
        assert finetune_of(graph_of(name), declared) == declared


def test_prompts_stand_before_both_sides_of_translations(
    changed: Callable[..., Artifact], tokenizer: FastTokenizer, spell: Callable[..., str]
) -> None:
    artifact = changed("encoder", prompts={"query": "qu", "candidate": "pa"}, row_tokens=6)
    finetune = finetune_of(artifact, finetunes.load("encoder"))
    examples = [SentenceExample("0", "abcd", "query"), SentenceExample("1", "ef", "candidate")]
    assert [spell(row.input_ids) for row in finetune.featurizer(examples, tokenizer)] == ["<s>quab</s>", "<s>quef</s>"]
    text = declaration(artifact)
    assert text.featurizer == finetune.featurizer
    assert type(text).from_json(text.to_json()) == text


def test_an_encoders_own_vectors_answer_a_dual_encoders_task(
    changed: Callable[..., Artifact], tokenizer: FastTokenizer, spell: Callable[..., str]
) -> None:
    head = {"kind": "SentenceEmbedding", "pooling": "mean"}
    artifact = changed("lareqa", head=head, prompts={"query": "qu", "candidate": "pa"})
    finetune = finetune_of(artifact, finetunes.load("lareqa"))
    assert type(finetune.head).__name__ == "SentenceEmbedding"
    examples = [SentenceExample("0", "ab", "query"), SentenceExample("1", "ef", "candidate")]
    assert [spell(row.input_ids) for row in finetune.featurizer(examples, tokenizer)] == ["<s>quab</s>", "<s>paef</s>"]


def test_rows_with_another_prompt_are_other_rows(
    changed: Callable[..., Artifact], sample_data: Any, tmp_path: Path, tokenizer_file: Path
) -> None:
    from harness.tokenization.cache import TokenCache
    from harness.tokenization.rows import Rows

    task = tasks.load("tatoeba")
    rows = Rows(sample_data, tokenizer_file, "0" * 64, TokenCache(tmp_path / "tokens"))
    examples = task.source.read(sample_data, "ru", "test")
    rows.of_job(task, "ru", "test", {"limit": None}, examples)
    other = task_of(changed("encoder", prompts={"query": "q", "candidate": ""}), task)
    assert rows.has(task, "ru", "test", {"limit": None})
    assert not rows.has(other, "ru", "test", {"limit": None})
