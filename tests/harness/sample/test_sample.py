"""Tests of the sample data: reads the written files back with readers of its own."""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from harness.sample import LANGUAGES, write
from harness.sample.render import read_table
from harness.sample.world import PLACES, TIMES
from harness.sample.writers import MORE, SampleWriter

UPOS = set("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
XNLI = "en de es tr ru bg el ar hi th zh".split()
UDPOS = "en de es tr id ru bg el ar hi ta zh".split()
XQUAD = "en de es tr ru el ar hi th zh".split()
XCOPA = "id ta th tr zh".split()
#: Files of every task and text, mostly in a language that has its own script.
RAW = (
    "xtreme/xnli/test-ru.tsv",
    "xtreme/udpos/test-hi.tsv",
    "xtreme/xquad/xquad.el.json",
    "xtreme/copa/train.en.jsonl",
    "xtreme/xcopa/ta/test.ta.jsonl",
    "xtreme/siqa/socialIQa_v1.4_trn.jsonl",
    "xtreme/tatoeba/tatoeba.bul-eng.bul",
    "xtreme/pawsx/train-en.tsv",
    "xtreme/pawsx/test-de.tsv",
    "xtreme/panx/train-en.tsv",
    "xtreme/panx/test-bg.tsv",
    "xtreme/mlqa/MLQA_V1/dev/dev-context-es-question-es.json",
    "xtreme/mlqa/MLQA_V1/test/test-context-ar-question-ar.json",
    "xtreme/tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json",
    "xtreme/tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.id.dev.json",
    "xtreme/bucc2018/zh-en.test.zh",
    "xtreme/bucc2018/zh-en.test.en",
    "xtreme/bucc2018/zh-en.test.gold",
    "xtreme/lareqa/xquad-r/th.json",
    "xtreme/mewslix/candidate_set_entities.jsonl",
    "xtreme/mewslix/wikinews_mentions/test-tr.jsonl",
    "xtreme/mewslix/wikipedia_pairs-train.jsonl",
    "intermediate/mnli/ar/train.jsonl",
    "intermediate/squad/hi/train-v1.1.json",
    "intermediate/snli/ru/train.jsonl",
    "intermediate/anli/ru/train.jsonl",
    "intermediate/qqp/en/train.jsonl",
    "intermediate/qqp/ru/dev.jsonl",
    "intermediate/squad_v2/ru/train-v2.0.json",
    "intermediate/hellaswag/en/train.jsonl",
    "intermediate/hellaswag/ru/dev.jsonl",
    "intermediate/cosmos_qa/ru/train.jsonl",
    "intermediate/commonsense_qa/ru/train.jsonl",
    "intermediate/ccg/en/train.tsv",
    "text/lexicons/en-ta.tsv",
    "text/mono/th.txt",
    "text/mixed/en.txt",
    "text/parallel/zh.txt",
)


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
    """Yield the sentences of a JSON record: not its labels and ids, nor COPA's kind of question."""
    no_sentence = ("label", "correct", "id", "uid", "reason", "round", "question_concept", "answerKey")
    for key, value in record.items():
        if isinstance(value, str) and key not in no_sentence and value not in ("cause", "effect"):
            yield value


def plain(text: str) -> str:
    """Return the text without case and white space."""
    return "".join(text.replace("İ", "i").casefold().split())


def sentences_in(text: str, code: str) -> list[str]:
    """Return a text and its sentences, so that each of them is looked for in training."""
    if code == "th":
        return [text, *text.split(" ")]
    parts = text
    for mark in ".?؟;।。？":
        parts = parts.replace(mark, mark + "\n")
    return [text, *(part for part in parts.split("\n") if part.strip())]


def cells_in(path: Path, columns: slice, code: str) -> Iterator[str]:
    """Yield the sentences of some columns of a table."""
    for line in lines_of(path):
        for cell in line.split("\t")[columns]:
            yield from sentences_in(cell, code)


def tagged_in(path: Path) -> Iterator[str]:
    """Yield the sentences of a tagged file."""
    for sentence in tagged_of(path):
        yield "".join(word for word, _ in sentence)


def asked_in(path: Path, code: str) -> Iterator[str]:
    """Yield the sentences and the questions of a SQuAD file."""
    for paragraph in paragraphs_of(path):
        yield from sentences_in(paragraph["context"], code)
        yield from (asked["question"] for asked in paragraph["qas"])


def told_in(path: Path, code: str) -> Iterator[str]:
    """Yield the sentences of a file of records."""
    for record in records_of(path, "\r\n" if "xcopa" in path.parts else "\n"):
        for text in strings_of(record):
            yield from sentences_in(text, code)


def named_in(path: Path) -> Iterator[str]:
    """Yield the fragments of PAN-X, the events in them, and what stands in brackets with two names."""
    for pairs in tagged_of(path):
        words = [word for word, _ in pairs]
        yield "".join(words)
        for outside, group in itertools.groupby(pairs, key=lambda pair: pair[1] == "O"):
            run = "".join(word + " " for word, _ in group)
            event = run.strip(" .:,،।。：，(（)）")
            # After a closing bracket, the words lack the subject, which stands before it.
            if outside and len(event.split()) > 2 and run[0] not in ")）":
                yield event
        opened = max((place for place, word in enumerate(words) if word in ("(", "（")), default=len(words))
        if sum(tag.startswith("B") for _, tag in pairs[opened:]) > 1:
            yield "".join(words[opened:])


def linked_in(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the sentences of a Mewsli-X file with their languages."""
    for record in records_of(path):
        pair = record.get("contextual_mention", record)
        for part in (pair.get("context"), record.get("entity"), record if "description" in record else None):
            if part:
                text = part.get("text") or part["description"]
                code = part.get("language") or part["description_language"]
                yield from ((code, text[span["start"] : span["end"]]) for span in part["sentence_spans"])


def unfinished_in(path: Path, code: str) -> Iterator[str]:
    """Yield the sentences of a HellaSwag file, put together with their endings."""
    for record in records_of(path):
        yield from sentences_in(record["ctx_a"], code)
        yield from (f"{record['ctx_b']} {ending}" for ending in record["endings"])


#: The folder of a task, if any, and the suffix of a file -> the reader of its sentences.
READERS = {
    ("hellaswag", ".jsonl"): unfinished_in,
    ("", ".jsonl"): told_in,
    ("", ".json"): asked_in,
    ("panx", ".tsv"): lambda path, code: named_in(path),
    ("udpos", ".tsv"): lambda path, code: tagged_in(path),
    ("ccg", ".tsv"): lambda path, code: cells_in(path, slice(0, 1), code),
    ("lexicons", ".tsv"): lambda path, code: cells_in(path, slice(0, 2), code),
    ("", ".tsv"): lambda path, code: cells_in(path, slice(0, 2), code),
    ("bucc2018", ""): lambda path, code: cells_in(path, slice(1, 2), code),
    ("text", ""): lambda path, code: lines_of(path),
    ("tatoeba", ""): lambda path, code: lines_of(path),
}


def read_strings(path: Path, code: str) -> Iterable[str]:
    """Return every sentence of a file, and texts of several: contexts, questions, choices, lines."""
    return next(
        reader(path, code)
        for (folder, suffix), reader in READERS.items()
        if (not folder or folder in path.parts) and (not suffix or suffix == path.suffix)
    )


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
def strings(sample: Path) -> dict[bool, dict[str, set[str]]]:
    """Return the strings of all task files: by whether they are trained on, and by language."""
    found: dict[bool, dict[str, set[str]]] = {True: defaultdict(set), False: defaultdict(set)}
    for path in sorted(sample.rglob("*")):
        kind = found[is_training(path, sample)]
        if "mewslix" in path.parts and path.is_file():
            for code, text in linked_in(path):
                kind[code].add(plain(text))
        elif path.is_file() and path.parent != sample and path.name != "coverage.json" and path.suffix != ".gold":
            code = language_of(path, sample)
            kind[code].update(map(plain, read_strings(path, code)))
    return found


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_evaluation_string_occurs_in_a_training_line(strings, code):
    held = strings[False][code]
    assert len(held) > 500
    trained = "\n".join(strings[True][code])
    width = min(map(len, held))
    starts = {trained[i : i + width] for i in range(len(trained))}
    assert [text for text in held if text[:width] in starts and text in trained] == []


def test_the_leak_test_sees_a_sentence_inside_a_line():
    assert plain("Who buys it?") in plain("He does. who buys  it? He does.")


def test_the_leak_test_reads_events_and_brackets_of_fragments(tmp_path):
    words = "Rome : He buys it . ( Ann Lee , Rome )".split()
    tags = "B-LOC O O O O O O B-PER I-PER O B-LOC O".split()
    path = tmp_path / "panx" / "test-en.tsv"
    path.parent.mkdir()
    path.write_text("".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True)) + "\n", encoding="utf-8")
    assert list(named_in(path)) == ["Rome:Hebuysit.(AnnLee,Rome)", "He buys it", "(AnnLee,Rome)"]


def test_the_leak_test_does_not_take_a_predicate_for_a_sentence(tmp_path):
    path = tmp_path / "panx" / "test-en.tsv"
    path.parent.mkdir()
    words = ("Ann B-PER", "( O", "Rome B-LOC", ") O", "buys O", "the O", "key O", ". O")
    path.write_text("".join(line.replace(" ", "\t") + "\n" for line in words) + "\n", encoding="utf-8")
    assert list(named_in(path)) == ["Ann(Rome)buysthekey."]


def test_evaluation_files_do_not_depend_on_training_files(sample, tmp_path):
    again = SampleWriter(tmp_path)
    again.evaluation()
    written = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert len(written) > 200
    other = [name for name in written if (tmp_path / name).read_bytes() != (sample / name).read_bytes()]
    # To these, items are added that are kept clear of the training files.
    added = ("xtreme/xnli/dev-", "xtreme/udpos/dev-", "xtreme/panx/dev-", "xtreme/mlqa/MLQA_V1/dev/")
    assert [name for name in other if not name.as_posix().startswith(added)] == []
    for name in other:
        if name.suffix == ".tsv":
            assert (sample / name).read_bytes().startswith((tmp_path / name).read_bytes())


def test_the_generator_writes_the_same_bytes_as_ever(sample, golden):
    golden("sample_examples", hashlib.sha256((sample / "SHA256SUMS").read_bytes()).hexdigest(), "SHA256SUMS")


def rows_of(path: Path) -> list:
    """Return the rows of a file: paragraphs of SQuAD files, blocks of tagged files, otherwise lines."""
    if path.suffix == ".json":
        return paragraphs_of(path)
    if path.parent.name in ("udpos", "panx"):
        return path.read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n")
    return lines_of(path, "\r\n" if "xcopa" in path.parts else "\n")


def test_every_file_has_its_rows(sample, golden):
    files = [path for path in sorted(sample.glob("*/*/**/*")) if path.is_file()]
    golden("sample_examples", {path.relative_to(sample).as_posix(): len(rows_of(path)) for path in files}, "rows")


@pytest.mark.parametrize("name", RAW)
def test_first_tenth_and_last_row_are_the_same_as_ever(sample, golden, name):
    rows = rows_of(sample / name)
    golden("sample_examples", [rows[place] for place in (0, 9, -1)], "raw", name)


def test_write_refuses_an_existing_folder_and_leaves_it(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FileExistsError):
        write(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_write_leaves_nothing_when_it_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.sample.writers.SampleWriter.xnli", lambda self: 1 / 0)
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


@pytest.mark.parametrize(("split", "count"), [("dev", 90 + MORE["xnli"]), ("test", 180)])
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
        assert len(sentences) == count + (MORE["udpos"] if (split, code != "en") == ("dev", True) else 0)
        assert {tag for sentence in sentences for _, tag in sentence} <= UPOS
        assert all(word and " " not in word for sentence in sentences for word, _ in sentence)


def test_answers_stand_where_their_files_say(sample):
    files = [path for path in sorted(sample.rglob("*.json")) if path.name != "coverage.json"]
    assert len(files) == 10 + 12 + 5 + 10 + 10 + 4
    for path in files:
        for paragraph in paragraphs_of(path):
            assert len(paragraph["qas"]) == 3
            for asked in paragraph["qas"]:
                for answer in asked["answers"]:
                    end = answer["answer_start"] + len(answer["text"])
                    assert paragraph["context"][answer["answer_start"] : end] == answer["text"] != ""


def test_only_squad_2_has_questions_without_an_answer_and_only_tydiqa_dev_second_answers(sample):
    for path in sample.rglob("*.json"):
        if path.name != "coverage.json":
            counts = {len(asked["answers"]) for paragraph in paragraphs_of(path) for asked in paragraph["qas"]}
            others = (
                {0}
                if "squad_v2" in path.parts
                else {2}
                if path.name.startswith("tydiqa") and "dev" in path.name
                else set()
            )
            assert counts == {1} | others, path


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
