"""A tokenizer and an encoder that do not belong together, and how that is seen."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tiny_encoders import ROWS, tiny_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.processors import BertProcessing, Sequence, TemplateProcessing

from harness.core.errors import CheckpointError
from harness.encoders.families import families
from harness.encoders.vocabulary import check_vocabulary, without_token_types

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


def test_padding_id_of_another_model_in_the_config_is_harmless_where_the_vocabulary_is_proved(
    tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in multilingual-e5-small: a BERT encoder with XLM-R's vocabulary, and BERT's padding id in config.json."""
    bert, config = families()["bert"], {"vocab_size": ROWS, "pad_token_id": 0}
    with pytest.raises(CheckpointError, match="its padding has the id 1, pad_token_id in config"):
        check_vocabulary(tokenizer, config, bert, "encoder")
    monkeypatch.setitem(bert.known_ids, ROWS, {"w10 w20": (0, 10, 20, 2)})  # type: ignore[arg-type]
    check_vocabulary(tokenizer, config, bert, "encoder")
    monkeypatch.setitem(XLM_R.known_ids, ROWS, {"w10 w20": (0, 10, 20, 2)})  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="its padding has the id 1, pad_token_id in config"):
        check(tokenizer, pad_token_id=0)


def test_second_sequence_loses_its_token_type_whatever_frames_it() -> None:
    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"])}
    for processor in (
        BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
        Sequence([BertProcessing(("[SEP]", 3), ("[CLS]", 2))]),
        TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        ),
    ):
        tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
        tokenizer.post_processor = processor
        assert tokenizer.encode("a", "b").type_ids == [0, 0, 0, 1, 1]
        plain = Tokenizer.from_str(without_token_types(tokenizer.to_str())).encode("a", "b")
        assert (plain.ids, plain.type_ids) == ([2, 4, 3, 5, 3], [0] * 5)


@pytest.mark.real_data
class TestRealTokenizers:
    """The tokenizers of XLM-R and mBERT themselves, from the folder that HARNESS_DATA names."""

    @pytest.fixture
    def xlm_r(self) -> Path:
        path = Path(os.environ.get("HARNESS_DATA", "")) / "tokenizers/xlm-roberta/tokenizer.json"
        if not path.is_file():
            pytest.skip("HARNESS_DATA names no folder with tokenizers")
        return path

    @pytest.fixture
    def mbert(self, xlm_r: Path, tmp_path: Path) -> Path:
        from transformers import BertTokenizerFast

        vocabulary = str(xlm_r.parents[1] / "mbert/vocab.txt")
        for name, lower in (("cased", False), ("uncased", True)):
            BertTokenizerFast(vocabulary, do_lower_case=lower).backend_tokenizer.save(str(tmp_path / f"{name}.json"))
        return tmp_path / "cased.json"

    def test_own_tokenizers_are_accepted(self, xlm_r: Path, mbert: Path) -> None:
        check(xlm_r, vocab_size=250_002)
        check_vocabulary(xlm_r, {"vocab_size": 250_037, "pad_token_id": 0}, families()["bert"], "e5")
        check_vocabulary(mbert, {"vocab_size": 119_547, "pad_token_id": 0}, families()["bert"], "mBERT")

    def test_others_are_refused(self, xlm_r: Path, mbert: Path) -> None:
        with pytest.raises(CheckpointError, match="it has 119,547 subwords, the embedding has 250,002 rows"):
            check(mbert, vocab_size=250_002)
        with pytest.raises(CheckpointError, match=r"it has 250,002 subwords with ids up to 250,001, .* 119,547 rows"):
            check_vocabulary(xlm_r, {"vocab_size": 119_547, "pad_token_id": 0}, families()["bert"], "mBERT")
        uncased = mbert.with_name("uncased.json")
        with pytest.raises(CheckpointError, match="it reads 'Hello world!' as 101 61694 10133 11356 106 102"):
            check_vocabulary(uncased, {"vocab_size": 119_547, "pad_token_id": 0}, families()["bert"], "mBERT")
