"""What `harness train` takes: several seeds in one command."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

RECIPE = """
name = "try"

[pretrained.scratch]
layers = 1
width = 16
heads = 2
vocabulary = 120
texts = ["mono"]
languages = ["en"]
steps = 2
batch_tokens = 128

[target]
finetunes = ["encoder"]

[compute]
report_to = []
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "1,two"], "--seeds is '1,two'; whole numbers from 0 on are expected, such as --seeds 1,2,3"),
        (["--seeds", ","], "--seeds is ','; whole numbers"),
        (["--seed", "3", "--seeds", "1,2"], "--seed 3 and --seeds 1,2 cannot both be given"),
    ],
)
def test_wrong_seeds_are_answered_with_right_ones(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert call("train", "sample/none", *arguments) == 2
    assert words in capsys.readouterr().err


def test_each_seed_leaves_a_model_of_its_own(
    tmp_path: Path, call: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "data/text/mono/en.txt"
    text.parent.mkdir(parents=True)
    (tmp_path / "data/xtreme").mkdir()
    text.write_text("the old man sees the red box in the park\n" * 30, encoding="utf-8")
    (tmp_path / "try.toml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    options = ["--data", str(tmp_path / "data"), "--phase", "pretrained", "--fp32", "--quiet"]
    assert call("train", str(tmp_path / "try.toml"), "--seeds", "4,5,4", *options) == 0
    found = [json.loads(path.read_text("utf-8")) for path in (tmp_path / "home").glob("checkpoints/*/phase.json")]
    assert sorted(each["seed"] for each in found) == [4, 5]
    assert {each["computed"]["precision"] for each in found} == {"fp32"}
