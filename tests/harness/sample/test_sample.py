"""Tests of the sample data: reads the written files back with readers of its own."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.sample import LANGUAGES, write
from harness.sample.render import read_table
from harness.sample.world import PLACES, TIMES

UPOS = set("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
XNLI = "en de es tr ru bg el ar hi th zh".split()
UDPOS = "en de es tr id ru bg el ar hi ta zh".split()
XQUAD = "en de es tr ru el ar hi th zh".split()
XCOPA = "id ta th tr zh".split()


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    """Return a folder that holds the sample data."""
    folder = tmp_path_factory.mktemp("sample") / "data"
    write(folder)
    return folder


def lines_of(path: Path, end: str = "\n") -> list[str]:
    """Return the lines of a file whose every line ends in `end`."""
    text = path.read_bytes().decode("utf-8")
    assert text.endswith(end)
    return text.removesuffix(end).split(end)


def records_of(path: Path, end: str = "\n") -> list[dict]:
    """Return the JSON records of a file, one a line."""
    return [json.loads(line) for line in lines_of(path, end)]


def paragraphs_of(path: Path) -> list[dict]:
    """Return the paragraphs of a SQuAD file."""
    return json.loads(path.read_text(encoding="utf-8"))["data"][0]["paragraphs"]


def tagged_of(path: Path) -> list[list[tuple[str, str]]]:
    """Return the sentences of a tagged file as (word, tag) pairs."""
    text = path.read_text(encoding="utf-8")
    return [
        [tuple(line.split("\t")) for line in block.split("\n")] for block in text.removesuffix("\n\n").split("\n\n")
    ]


def strings_of(record: dict) -> Iterator[str]:
    """Yield the sentences of a JSON record: not its labels, nor COPA's kind of question."""
    for key, value in record.items():
        is_label = key in ("label", "correct") or value in ("cause", "effect")
        if isinstance(value, str) and not is_label:
            yield value


def read_strings(path: Path) -> Iterator[str]:
    """Yield every sentence-like field of a task file: contexts, questions, choices, lines."""
    name = path.as_posix()
    if "/xnli/" in name:
        for line in lines_of(path):
            yield from line.split("\t")[:2]
    elif "/udpos/" in name:
        for sentence in tagged_of(path):
            yield " ".join(word for word, _ in sentence)
    elif path.suffix == ".json":
        for paragraph in paragraphs_of(path):
            yield paragraph["context"]
            yield from (asked["question"] for asked in paragraph["qas"])
    elif path.suffix == ".jsonl":
        for record in records_of(path, "\r\n" if "/xcopa/" in name else "\n"):
            yield from strings_of(record)
    else:
        yield from lines_of(path)


def plain(text: str) -> str:
    """Return the text without case and white space."""
    return "".join(text.replace("İ", "i").casefold().split())


def sentences_in(text: str, code: str) -> list[str]:
    """Return the sentences of a context, so that each of them is looked for in training."""
    if code == "th":
        return text.split(" ")
    for mark in ".?؟;।。？":
        text = text.replace(mark, mark + "\n")
    return [part for part in text.split("\n") if part.strip()]


def language_of(path: Path, root: Path) -> str:
    """Return the language of a file, by its name or its folder."""
    parts = path.relative_to(root).as_posix()
    if "siqa" in parts:
        return "en"
    if "tatoeba" in parts:
        return {iso: code for code, iso in LANGUAGES.items()}[path.suffix[1:]]
    pieces = parts.replace("/", " ").replace(".", " ").replace("-", " ").split()
    return next(piece for piece in reversed(pieces) if piece in LANGUAGES)


def is_training(path: Path, root: Path) -> bool:
    """Return whether a model is trained on the file."""
    name = path.relative_to(root).as_posix()
    return name.startswith("text/") or "train" in path.name or "trn" in path.name


@pytest.fixture(scope="module")
def strings(sample: Path) -> dict[bool, dict[str, list[str]]]:
    """Return the strings of all task files: by whether they are trained on, and by language."""
    found: dict[bool, dict[str, list[str]]] = {True: defaultdict(list), False: defaultdict(list)}
    for path in sorted(sample.rglob("*")):
        if path.is_file() and path.parent != sample and path.name != "coverage.json":
            kind = found[is_training(path, sample)]
            kind[language_of(path, sample)].extend(read_strings(path))
    return found


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_evaluation_string_occurs_in_a_training_line(strings, code):
    held = {plain(text) for text in strings[False][code]}
    for text in strings[False][code]:
        held.update(plain(part) for part in sentences_in(text, code))
    assert len(held) > 100
    trained = "\n".join({plain(text) for text in strings[True][code]})
    width = min(map(len, held))
    starts = {trained[i : i + width] for i in range(len(trained))}
    assert [text for text in held if text[:width] in starts and text in trained] == []


def test_the_leak_test_sees_a_sentence_inside_a_line():
    assert plain("Who buys it?") in plain("He does. who buys  it? He does.")


def test_write_gives_the_same_bytes_again(sample, tmp_path):
    write(tmp_path / "again")
    assert (tmp_path / "again/SHA256SUMS").read_bytes() == (sample / "SHA256SUMS").read_bytes()


def test_write_refuses_an_existing_folder_and_leaves_it(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FileExistsError):
        write(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_write_leaves_nothing_when_it_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.sample.writers.Sample.xnli", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_the_sums_cover_every_file(sample):
    listed = dict(line.split("  ")[::-1] for line in lines_of(sample / "SHA256SUMS"))
    files = [path for path in sample.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    assert listed == {
        path.relative_to(sample).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_the_readme_says_what_the_numbers_are_not(sample):
    text = (sample / "README.txt").read_text(encoding="utf-8")
    assert "generated sample data" in text
    assert "not XTREME numbers" in text


def test_only_xcopa_has_carriage_returns_and_no_file_has_a_mark_at_its_start(sample):
    for path in sample.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not content.startswith(b"\xef\xbb\xbf")
            assert (b"\r" in content) == ("xcopa" in path.as_posix())


@pytest.mark.parametrize(("split", "count"), [("dev", 90), ("test", 180)])
def test_xnli_is_balanced_and_parallel(sample, split, count):
    labels = {
        tuple(line.split("\t")[2] for line in lines_of(sample / f"xtreme/xnli/{split}-{code}.tsv")) for code in XNLI
    }
    assert len(labels) == 1
    third = count // 3
    expected = {"contradiction": third, "entailment": third, "neutral": third}
    assert Counter(labels.pop()) == expected


def test_an_xnli_hypothesis_alone_does_not_tell_the_label(sample):
    table = read_table("en")
    forms = {key: " ".join(i.split("/")[0] for i in table[key].split()) for key in PLACES + TIMES}
    seen: dict[tuple[bool, ...], Counter] = defaultdict(Counter)
    for line in lines_of(sample / "xtreme/xnli/test-en.tsv"):
        _, hypothesis, label = line.split("\t")
        pattern = (
            " not " in hypothesis,
            any(forms[place] in hypothesis for place in PLACES),
            any(forms[time] in hypothesis for time in TIMES),
        )
        seen[pattern][label] += 1
    assert len(seen) == 6
    assert sum(max(counts.values()) for counts in seen.values()) < 0.5 * 180


@pytest.mark.parametrize(("split", "count"), [("train", 1500), ("dev", 90)])
def test_mnli_is_parallel_in_its_languages(sample, split, count):
    english, russian = (records_of(sample / f"intermediate/mnli/{code}/{split}.jsonl") for code in ("en", "ru"))
    assert [r["label"] for r in english] == [r["label"] for r in russian]
    assert [r["idx"] for r in english] == list(range(count))
    assert set(english[0]) == {"premise", "hypothesis", "label", "idx"}


@pytest.mark.parametrize(("split", "count"), [("train", 600), ("dev", 60), ("test", 100)])
def test_udpos_has_a_universal_tag_for_every_word(sample, split, count):
    for code in ["en"] if split == "train" else UDPOS:
        sentences = tagged_of(sample / f"xtreme/udpos/{split}-{code}.tsv")
        assert len(sentences) == count
        assert {tag for sentence in sentences for _, tag in sentence} <= UPOS
        assert all(word and " " not in word for sentence in sentences for word, _ in sentence)


def test_answers_stand_where_their_files_say(sample):
    files = [sample / f"xtreme/xquad/xquad.{code}.json" for code in XQUAD]
    files += sorted(sample.glob("intermediate/squad/*/*.json"))
    for path in files:
        for paragraph in paragraphs_of(path):
            assert len(paragraph["qas"]) == 3
            for asked in paragraph["qas"]:
                (answer,) = asked["answers"]
                end = answer["answer_start"] + len(answer["text"])
                assert paragraph["context"][answer["answer_start"] : end] == answer["text"] != ""


def test_xquad_has_the_same_items_in_every_language(sample):
    ids = {
        tuple(asked["id"] for paragraph in paragraphs for asked in paragraph["qas"])
        for paragraphs in (paragraphs_of(sample / f"xtreme/xquad/xquad.{c}.json") for c in XQUAD)
    }
    assert len(ids) == 1
    assert len(set(next(iter(ids)))) == 120


@pytest.mark.parametrize(("split", "count"), [("train", 500), ("dev", 40)])
def test_squad_has_its_paragraphs(sample, split, count):
    for code in ("en", "ru"):
        path = sample / f"intermediate/squad/{code}/{split}-v1.1.json"
        assert len(paragraphs_of(path)) == count


@pytest.mark.parametrize(("part", "count"), [("val", 40), ("test", 100)])
def test_xcopa_is_balanced_and_parallel_to_copa(sample, part, count):
    english = records_of(sample / f"xtreme/copa/{part}.en.jsonl")
    assert Counter(record["label"] for record in english) == {0: count // 2, 1: count // 2}
    assert Counter(record["question"] for record in english).keys() == {"cause", "effect"}
    for code in XCOPA:
        records = records_of(sample / f"xtreme/xcopa/{code}/{part}.{code}.jsonl", "\r\n")
        assert all(record["changed"] is False for record in records)
        for key in ("label", "question", "idx"):
            assert [r[key] for r in records] == [r[key] for r in english]
        assert all(record["choice1"] != record["choice2"] for record in records)


def test_copa_train_has_its_records_without_changed(sample):
    records = records_of(sample / "xtreme/copa/train.en.jsonl")
    assert len(records) == 400
    assert set(records[0]) == {"premise", "choice1", "choice2", "question", "label", "idx"}


@pytest.mark.parametrize(("part", "count"), [("trn", 300), ("dev", 40)])
def test_siqa_has_three_different_answers_and_a_letter(sample, part, count):
    records = records_of(sample / f"xtreme/siqa/socialIQa_v1.4_{part}.jsonl")
    assert len(records) == count
    for record in records:
        assert len({record[f"answer{letter}"] for letter in "ABC"}) == 3
        assert record["correct"] in ("A", "B", "C")


def test_tatoeba_files_are_of_one_length_without_repeats(sample):
    for iso in set(LANGUAGES.values()) - {"eng"}:
        for side in (iso, "eng"):
            lines = lines_of(sample / f"xtreme/tatoeba/tatoeba.{iso}-eng.{side}")
            assert len(lines) == len(set(lines)) == 100


@pytest.mark.parametrize("code", LANGUAGES)
def test_text_files_have_their_lines(sample, code):
    assert len(lines_of(sample / f"text/mono/{code}.txt")) == 1500
    parallel = lines_of(sample / f"text/parallel/{code}.txt")
    assert len(parallel) == len(set(parallel)) == 2500
