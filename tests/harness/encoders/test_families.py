"""A family is two files: every part of the project finds it by its `model_type`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import harness.encoders
import training.encoders
from benchmarks.families import CASES, SHAPES, cells
from harness.encoders.families import families, module_of
from training.encoders.networks import networks_of

VALUES = '''"""ELECTRA."""

from harness.encoders.families import Family

FAMILY = Family(
    model_type="electra",
    examples=("ELECTRA",),
    prefix="electra",
    layers="encoder.layer",
    architectures={
        "SequenceClassification": "ElectraForSequenceClassification",
        "TokenClassification": "ElectraForTokenClassification",
        "ChoiceScore": "ElectraForMultipleChoice",
        "SpanExtraction": "ElectraForQuestionAnswering",
        "SentenceEmbedding": "ElectraModel",
    },
    heads=(r"generator_(predictions|lm_head)\\..+", r"(classifier|qa_outputs|sequence_summary)\\..+"),
    token_types=True,
)
'''
CLASSES = '''"""The classes of ELECTRA."""

from transformers import (
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForMultipleChoice,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraModel,
)

from harness.core.heads import ChoiceScore, SequenceClassification, SpanExtraction, TokenClassification
from harness.encoders.electra import FAMILY
from training.encoders.networks import Networks


class _Networks(Networks):
    family = FAMILY
    config = ElectraConfig
    base = ElectraModel
    heads = {
        SequenceClassification: ElectraForSequenceClassification,
        TokenClassification: ElectraForTokenClassification,
        ChoiceScore: ElectraForMultipleChoice,
        SpanExtraction: ElectraForQuestionAnswering,
    }
    masked = ElectraForMaskedLM

    def choice_logits(self, network, **inputs):
        return network(**{name: value.unsqueeze(1) for name, value in inputs.items()}).logits

    def masked_logits(self, network, states):
        return network.generator_lm_head(network.generator_predictions(states))


NETWORKS = _Networks()
'''


@pytest.fixture
def fifth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Add a family, as a user would, by its two files."""
    for package, text in ((harness.encoders, VALUES), (training.encoders, CLASSES)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "electra.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    # As wide as the states: a projection between the two would be one product more than quantisation counts.
    monkeypatch.setitem(SHAPES, "electra", {"type_vocab_size": 2, "embedding_size": 32})  # type: ignore[arg-type]
    families.cache_clear()
    yield "electra"
    families.cache_clear()
    networks_of.cache_clear()


def test_the_known_families() -> None:
    assert list(families()) == ["bert", "deberta-v2", "modernbert", "xlm-roberta"]


@pytest.mark.parametrize("name", families())
def test_both_files_of_a_family_name_the_same_classes(name: str) -> None:
    family, networks = families()[name], networks_of(name)
    assert networks.family is family
    assert networks.config.model_type == name
    assert networks.base.base_model_prefix == family.prefix
    named = {head.__name__: kind.__name__ for head, kind in networks.heads.items()}
    assert {**named, "SentenceEmbedding": networks.base.__name__} == family.architectures
    assert {case.head.__class__.__name__ for case in CASES.values()} == set(family.architectures)
    assert all(hasattr(networks.config(), key) for key in family.dropout)
    for package in ("harness", "training"):
        assert (Path(__file__).parents[3] / package / "encoders" / f"{module_of(family)}.py").is_file()


def test_longest_row_counts_from_the_padding_id_where_positions_do() -> None:
    config = {"max_position_embeddings": 514, "pad_token_id": 1}
    longest = {name: family.longest_row(config) for name, family in families().items()}
    assert longest == {"bert": 514, "deberta-v2": 514, "modernbert": 514, "xlm-roberta": 512}


def test_a_fifth_family_is_two_files(fifth: str, tmp_path: Path) -> None:
    found = list(cells([fifth], ["label", "choice", "tags", "span", "vector"], ["fp32", "int8"], tmp_path / "graphs"))
    assert [(cell.head, cell.variant, cell.reason) for cell in found if not cell.passed] == []
    assert len(found) == 10


def test_a_head_that_a_family_lacks_is_refused(fifth: str, tmp_path: Path) -> None:
    (cell,) = cells([fifth], ["dual"], ["fp32"], tmp_path / "graphs")
    assert cell.reason == "encoders of electra have no head DualEncoder"
