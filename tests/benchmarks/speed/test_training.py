"""The benchmark of training: turns, rates, memory and whether losses are equal."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from benchmarks.contenders.trainers import SIDES, Job, Measured, run
from benchmarks.speed import training
from benchmarks.speed.training import jobs, notes, parse, same_loss, tail
from harness.benchmark.finetunes.mnli import LABELS
from harness.core.errors import UsageError
from harness.core.progress import Silent

ARGUMENTS = ["--data", "folder", "--tokenizer", "tokenizer.json"]


def measured(seconds: float, loss: float = 1.0, peak: int = 2**30, tokens: int = 100) -> Measured:
    return Measured(seconds=seconds, tokens=tokens, peak_bytes=peak, losses=[2.0, loss, loss, loss], padding=1.05)


def test_each_round_takes_each_side_once_with_one_seed() -> None:
    turns = [(job.seed, job.side) for job in jobs(parse([*ARGUMENTS, "--repeats", "2"]))]
    assert turns == [(seed, side) for seed in (1, 2) for side in SIDES]


def test_ours_is_compared_with_each_other_side(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"ours": 2.0, "defaults": 10.0, "best": 2.2}

    def answer(job: Job) -> Measured:
        return measured(seconds[job.side], peak=2**30 * (2 if job.side == "best" else 1))

    monkeypatch.setattr(training, "measured", answer)
    options = parse([*ARGUMENTS, "--sides", "ours,defaults,best", "--steps", "4"])
    made = training.run(options, Silent())
    rates = {row.baseline: row for row in made if row.unit == training.UNIT}
    defaults, best = rates[SIDES["defaults"].name], rates[SIDES["best"].name]
    assert (defaults.ratio, defaults.target, defaults.reached) == (5.0, 4.0, True)
    assert (best.ratio, best.target, best.reached) == (pytest.approx(1.1), 1.2, False)
    assert defaults.details["steps_per_second"] == {"ours": 2.0, "baseline": 0.4}
    memory = {row.baseline: row.ratio for row in made if "GiB" in row.unit}
    assert memory == {SIDES["defaults"].name: 1.0, SIDES["best"].name: 2.0}
    assert [line for line in notes(made) if "within the noise of seeds" in line]


def test_rate_is_by_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [measured(2.0, tokens=200), measured(1.0, tokens=100)]
    assert training.timing(runs, 100).seconds == (1.0, 1.0)


def test_losses_are_compared_with_the_noise_of_seeds() -> None:
    ours = [measured(1, loss) for loss in (1.00, 1.02, 0.98)]
    assert same_loss(ours, [measured(1, loss) for loss in (1.01, 0.99, 1.03)])
    assert same_loss(ours, [measured(1, loss) for loss in (1.30, 1.32, 1.28)]) is False
    assert same_loss(ours[:1], ours[:1]) is None
    assert tail(measured(1, 1.5)) == 1.5


@pytest.mark.parametrize("sides", ["best", "ours,fastest"])
def test_sides_are_ours_and_known_ones(sides: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([*ARGUMENTS, "--sides", sides])
    assert "'ours' and some of ours, embeddings, defaults, best are expected" in capsys.readouterr().err


def test_training_that_fails_is_named(tmp_path: Path) -> None:
    options: Any = parse(["--data", str(tmp_path / "none"), "--tokenizer", "none.json", "--repeats", "1"])
    with pytest.raises(UsageError, match=r"the training of 'ours' failed: .*none"):
        training.measured(jobs(options)[0])


@pytest.mark.parametrize("side", sorted(SIDES))
def test_every_side_trains(side: str, tmp_path: Path) -> None:
    rows = [
        {"premise": "word " * (3 + number % 9), "hypothesis": "word", "label": LABELS[number % 3]}
        for number in range(20)
    ]
    train = tmp_path / "intermediate/mnli/en/train.jsonl"
    train.parent.mkdir(parents=True)
    (tmp_path / "xtreme").mkdir()
    train.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tokenizer = Tokenizer(WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "word": 4}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = run(
        Job(
            side=side, data=str(tmp_path), finetune="mnli", tokenizer=str(tmp_path / "tokenizer.json"), layers=1,
            vocabulary=40, examples=20, rows=4, steps=2, warmup=1, learning_rate=5e-5, seed=1,
        )
    )  # fmt: skip
    assert (len(found.losses), found.seconds > 0, found.tokens > 0) == (3, True, True)
    assert found.peak_bytes > 2**20
    assert found.padding >= 1.0
