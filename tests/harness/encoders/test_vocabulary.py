"""A tokenizer and an encoder that do not belong together, and how that is seen."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_encoders import ROWS, tiny_tokenizer

from harness.core.errors import CheckpointError
from harness.encoders.families import families
from harness.encoders.vocabulary import check_vocabulary

XLM_R = families()["xlm-roberta"]
CONFIG = {"vocab_size": ROWS, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def check(path: Path, **config: Any) -> None:
    check_vocabulary(path, {**CONFIG, **config}, XLM_R, "encoder")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    tiny_tokenizer(path, "xlm-roberta")
    return path


def test_own_tokenizer_is_accepted_with_a_few_rows_to_spare(tokenizer: Path) -> None:
    check(tokenizer)
    check(tokenizer, vocab_size=ROWS + 4)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"vocab_size": 250_002}, "it has 400 subwords, the embedding has 250,002 rows"),
        ({"vocab_size": ROWS - 1}, "it has 400 subwords with ids up to 399, the embedding has 399 rows"),
        ({"pad_token_id": 0}, "its padding has the id 1, pad_token_id in config.json is 0"),
        ({"bos_token_id": 5}, "its first token of a sentence has the id 0, bos_token_id in config.json is 5"),
        ({"eos_token_id": 3}, "its last token of a sentence has the id 2, eos_token_id in config.json is 3"),
    ],
)
def test_mismatch_is_refused_with_both_values(tokenizer: Path, config: dict[str, int], said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        check(tokenizer, **config)
    assert said in str(caught.value)
    assert str(caught.value).endswith("give the checkpoint's own tokenizer")


def test_ids_shifted_by_one_reach_beyond_the_table(tokenizer: Path) -> None:
    tiny_tokenizer(tokenizer, "xlm-roberta", shift=1)
    with pytest.raises(CheckpointError, match="it has 400 subwords with ids up to 400, the embedding has 400 rows"):
        check(tokenizer)


def test_ids_shifted_within_the_table_are_seen_by_known_sequences(
    tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(XLM_R.known_ids, ROWS, {"w10 w20": (0, 10, 20, 2)})  # type: ignore[arg-type]
    check(tokenizer)
    words = json.loads(tokenizer.read_text(encoding="utf-8"))
    vocabulary = words["model"]["vocab"]
    vocabulary |= {"w10": 11, "w11": 10}
    tokenizer.write_text(json.dumps(words), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"reads 'w10 w20' as 0 11 20 2, .* with 400 rows reads 0 10 20 2"):
        check(tokenizer)


def test_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="ascii")
    with pytest.raises(CheckpointError, match="cannot be read"):
        check(tmp_path / "tokenizer.json")
