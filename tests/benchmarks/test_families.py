"""What each family answers is what plain transformers answers: a subset of the table, each two of its sides met."""

from pathlib import Path

import pytest
from tiny_encoders import tiny_encoder

from benchmarks.families import CASES, TOLERANCES, FamilyCell, Graphs, main, notes, table
from harness.encoders.families import families

LAYOUTS = ("masked", "alone", "pooler")
#: Each family meets each head and each variant, and each head each variant, once at least.
SUBSET = [
    (family, head, list(TOLERANCES)[(row + column) % len(TOLERANCES)], LAYOUTS[(row + column) % len(LAYOUTS)])
    for row, family in enumerate(families())
    for column, head in enumerate(CASES)
]


@pytest.mark.parametrize(("family", "head", "variant", "layout"), SUBSET)
def test_served_answers_are_those_of_plain_transformers(
    tmp_path: Path, family: str, head: str, variant: str, layout: str
) -> None:
    encoder = tiny_encoder(tmp_path / "encoder", family, layout=layout, shard="60KB")
    graphs = Graphs(tmp_path / "graphs", encoder, head)
    assert graphs.largest() == graphs.loaded.max_tokens
    exact, lossy = graphs.compare("fp32"), graphs.compare(variant)
    assert exact.reason == ""
    assert lossy.passed, lossy.reason
    assert lossy.refused == (variant in families()[family].refused)


def test_pairs_are_told_apart_by_token_types_in_bert_alone(tmp_path: Path) -> None:
    taken = {}
    for family in families():
        graphs = Graphs(tmp_path / family, tiny_encoder(tmp_path / f"{family}-encoder", family), "label")
        taken[family] = [spec.name for spec in graphs.loaded.signature.inputs]
    both = ["input_ids", "attention_mask"]
    assert taken == {
        "bert": [*both, "token_type_ids"], "deberta-v2": both, "modernbert": both, "xlm-roberta": both,
    }  # fmt: skip


def test_an_answer_beyond_its_tolerance_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(tmp_path / "graphs", tiny_encoder(tmp_path / "encoder", "bert"), "label")
    monkeypatch.setitem(TOLERANCES, "int8", 1e-9)  # type: ignore[arg-type]
    cell = graphs.compare("int8")
    assert not cell.passed
    assert cell.reason.startswith("differs by ")
    assert cell.text().endswith("FAILED")


def test_token_types_reach_the_graph(tmp_path: Path) -> None:
    """Without them, an answer is another one: that they are compared is no accident."""
    graphs = Graphs(tmp_path / "graphs", tiny_encoder(tmp_path / "encoder", "bert"), "label")
    for feature in graphs.features:
        object.__setattr__(feature, "token_types", None)
    assert not graphs.compare("fp32").passed


def test_table_and_its_notes() -> None:
    found = [
        FamilyCell(family="a", head="label", variant="fp32", difference=1.5e-6),
        FamilyCell(family="a", head="label", variant="fp16", difference=None, reason="it overflows", refused=True),
        FamilyCell(family="a", head="tags", variant="fp32", difference=None, reason="no trace"),
        FamilyCell(family="a", head="tags", variant="fp16", difference=None, reason="it overflows", refused=True),
    ]
    assert table(found).rows == [["a, label", "1.5e-06", "refused"], ["a, tags", "FAILED", "refused"]]
    assert notes(found) == ["a, fp16: refused: it overflows", "a, tags, fp32: FAILED: no trace"]


def test_command_prints_the_table_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--families", "deberta-v2", "--heads", "vector", "--markdown", str(tmp_path / "table.md")])
    assert "deberta-v2, vector" in capsys.readouterr().out
    written = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| deberta-v2, vector |" in written
    assert "* deberta-v2, fp16: refused: attention scores of DeBERTa exceed" in written
