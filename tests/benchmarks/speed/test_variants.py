from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders.baseshape import Shape, write_random
from benchmarks.contenders.workload import read
from benchmarks.speed import variants
from exporters.modules import load_module
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes, tasks
from harness.core.layout import Layout
from harness.evaluation.workload import Job
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.tokenization.tokenizer import FastTokenizer

TINY = Shape(name="tiny", layers=2, width=64, heads=2, feed_forward=128, positions=130)
OPTIONS = Namespace(model="tiny", finetune="mnli", examples=4, repeats=1)
NAMES = ["fp32", "int8", "int8_block", "int8, static scales (not a variant)"]


@pytest.fixture
def data(write, layout: Layout) -> Layout:
    for code in ("en", "ru"):
        for split in ("dev", "test"):
            write(f"xnli/{split}-{code}.tsv", "".join(f"{a} b\tc {a}\tneutral\n" for a in "defghijk"))
    return layout


def test_every_variant_of_a_cpu_answers(tmp_path: Path, tokenizer_file: Path) -> None:
    finetune = finetunes.load("mnli")
    loaded = load_module(write_random(tmp_path, TINY, finetune, tokenizer_file, seed=0), finetune.head)
    row = np.array([0, 5, 6, 2], dtype=np.int64)
    found = {}
    for name, path in variants.graphs(tmp_path, loaded, finetune.head, [row]):
        with OnnxEndpoint(path) as endpoint:
            found[name] = endpoint.infer({"input_ids": row[None], "attention_mask": np.ones((1, 4), dtype=np.int64)})
    assert list(found) == NAMES
    for answers in found.values():
        np.testing.assert_allclose(answers["logits"], found["fp32"]["logits"], atol=0.05)


def test_losses_are_those_of_each_variant_on_each_script(tmp_path: Path, data: Layout, tokenizer_file: Path) -> None:
    write_random(tmp_path, TINY, finetunes.load("mnli"), tokenizer_file, seed=0)
    found = variants.losses(tmp_path, OPTIONS, data, Workspace(tmp_path))
    assert [row[:2] for row in found.rows] == [[name, script] for name in NAMES for script in ("all", "Latn", "Cyrl")]
    assert [row[3] for row in found.rows[:2]] == ["0.0", "0.0"]


def test_speeds_are_those_of_each_variant_and_of_the_cut(
    tmp_path: Path, data: Layout, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As deep as XLM-R base, and narrow.
    monkeypatch.setattr(variants, "Shape", lambda **changes: replace(TINY, layers=12, **changes))
    tokenizer = FastTokenizer(tokenizer_file)
    rows = read([Job(tasks.load("xnli"), code, "test") for code in ("en", "ru")], data, tokenizer, 4)
    found = variants.speed(tmp_path, rows, tokenizer_file, OPTIONS)
    assert [row.work.rpartition("shape, ")[2] for row in found] == [*NAMES[1:], "cut at layer 8"]
    assert [row.baseline for row in found] == ["fp32"] * 3 + ["all 12 layers"]
