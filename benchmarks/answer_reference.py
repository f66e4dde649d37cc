"""One trained model with plain transformers: logits and predictions compared with the graphs' and a run's.

::

    harness bench answer_reference --checkpoints FOLDER --graphs FOLDER --data DEST --runs RUN,RUN,RUN

This file shares no code with the harness: it reads the data, makes rows, computes with transformers' own classes on
the same weights, and decodes by the rules of XTREME's scripts. FOLDER is `checkpoints/NAME/target`, which has the
checkpoints `mnli`, `squad` and `udpos`, and `artifacts/NAME`, which has their graphs. The runs are of XNLI, XQuAD and
UDPOS; of each, examples are taken from all languages in turn. A prediction that differs counts as a tie where the
two best choices differ by less than `TIE`.
"""

import argparse
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
)

#: Logits of two engines in fp32.
ALLOWED = 1e-4
#: Two choices that are closer than this may change places.
TIE = 2e-4
#: XTREME's scripts: tokens of a row, of a question, between two windows; best positions, and tokens of an answer.
PAIR, SPAN, QUESTION, STRIDE, BEST, ANSWER = 128, 384, 64, 128, 20, 30
Logits = NDArray[np.float32]


@dataclass
class Compared:
    """What came of one task."""

    task: str
    examples: int = 0
    equal: int = 0
    ties: int = 0
    different: list[str] = field(default_factory=list)
    largest: float = 0.0
    seconds: float = 0.0

    def add(self, name: str, own: object, given: object, margin: float) -> None:
        """Count one example, whose two best choices differ by `margin`."""
        self.examples += 1
        if own == given:
            self.equal += 1
        elif margin < TIE:
            self.ties += 1
        else:
            self.different.append(f"{name}: {own!r} here, {given!r} in the run, margin {margin:.1e}")


class Model:
    """A checkpoint in transformers beside its graph in ONNX Runtime."""

    def __init__(self, kind: Any, checkpoint: Path, graph: Path, compared: Compared) -> None:
        import onnxruntime

        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(checkpoint / "tokenizer.json"))
        self.network = kind.from_pretrained(checkpoint).eval()
        self.session = onnxruntime.InferenceSession(str(graph / "model.onnx"), providers=["CPUExecutionProvider"])
        self.compared = compared
        self.first, self.last = self.network.config.bos_token_id, self.network.config.eos_token_id
        if self.first is None or self.last is None:
            self.first, self.last = (self.tokenizer.convert_tokens_to_ids(name) for name in ("<s>", "</s>"))

    @property
    def labels(self) -> list[str]:
        """Return the labels by the number of their logit."""
        named = self.network.config.id2label
        return [named[number] for number in range(len(named))]

    def pieces(self, text: str) -> list[int]:
        """Return the subwords of a text, without special tokens."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def __call__(self, ids: Sequence[int]) -> list[Logits]:
        """Return transformers' logits for one row, compared with the graph's on the way."""
        row = np.asarray([ids], dtype=np.int64)
        begin = time.perf_counter()
        with torch.no_grad():
            found = self.network(input_ids=torch.from_numpy(row), attention_mask=torch.ones_like(torch.from_numpy(row)))
        self.compared.seconds += time.perf_counter() - begin
        own = [found[name][0].numpy() for name in ("logits", "start_logits", "end_logits") if name in found]
        feeds = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        wanted = {each.name: each.type for each in self.session.get_inputs()}
        types = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
        answers = self.session.run(None, {name: feeds[name].astype(types[kind]) for name, kind in wanted.items()})
        for one, other in zip(own, answers, strict=True):
            # Not max(): it would pass over NaN.
            self.compared.largest = float(np.maximum(self.compared.largest, np.abs(one - other[0]).max()))
        return own


def stored(run: Path, task: str, count: int) -> list[tuple[str, str, Any]]:
    """Return (language, id, prediction) of so many examples of a run, from its languages in turn."""
    connection = sqlite3.connect(f"file:{run / 'journal.sqlite'}?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT language, id, prediction FROM prediction WHERE task = ? ORDER BY example, language", (task,)
    ).fetchmany(count)
    connection.close()
    return [(language, name, json.loads(prediction)) for language, name, prediction in rows]


def margin(logits: Logits) -> float:
    """Return by how much the best choice is ahead of the second."""
    second, first = np.sort(logits)[-2:]
    return float(first - second)


def xnli(model: Model, data: Path, rows: Sequence[tuple[str, str, Any]], labels: Sequence[str]) -> None:
    """Compare pairs: `<s> premise </s></s> hypothesis </s>`, the longer side cut at its end until 128 tokens are left.

    Args:
        model: of MNLI.
        data: with `xtreme/xnli/test-LANGUAGE.tsv`.
        rows: of the run.
        labels: of the model, in the order of its logits.
    """
    files: dict[str, list[list[str]]] = {}
    for language, name, given in rows:
        if language not in files:
            text = (data / "xtreme/xnli" / f"test-{language}.tsv").read_text(encoding="utf-8")
            files[language] = [line.split("\t") for line in text.split("\n") if line.strip()]
        premise, hypothesis, _ = files[language][int(name)]
        first, second = model.pieces(premise), model.pieces(hypothesis)
        while len(first) + len(second) > PAIR - 4:
            (first if len(first) > len(second) else second).pop()
        ids = [model.first, *first, model.last, model.last, *second, model.last]
        (logits,) = model(ids)
        model.compared.add(f"{language} {name}", labels[int(logits.argmax())], given, margin(logits))


def udpos(model: Model, data: Path, rows: Sequence[tuple[str, str, Any]], tags: Sequence[str]) -> None:
    """Compare tags: rows `<s> words </s></s>` of at most 128 tokens, cut at words; a word's tag is its first subword's.

    Args:
        model: of UDPOS.
        data: with `xtreme/udpos/test-LANGUAGE.tsv`: a word, a tab and its tag on each line, blank lines between
            sentences.
        rows: of the run; an id is the number of a sentence in its file.
        tags: of the model, in the order of its logits.
    """
    files: dict[str, list[list[str]]] = {}
    for language, name, given in rows:
        if language not in files:
            files[language] = list(sentences(data / "xtreme/udpos" / f"test-{language}.tsv"))
        own, closest = [], np.inf
        for positions, ids in tag_rows(model, files[language][int(name)]):
            (logits,) = model(ids)
            own += [tags[int(logits[place].argmax())] for place in positions]
            closest = min(closest, *(margin(logits[place]) for place in positions))
        model.compared.add(f"{language} {name}", own, given, float(closest))


def sentences(path: Path) -> Iterator[list[str]]:
    """Yield the words of each sentence."""
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            words.append(line.split("\t")[0])
        elif words:
            yield words
            words = []
    if words:
        yield words


def tag_rows(model: Model, words: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield for each row the places of its words' first subwords, and its ids; two separators stand at its end."""
    places: list[int] = []
    ids: list[int] = []
    for word in words:
        pieces = model.pieces(word)
        if not pieces or len(pieces) > PAIR - 3:
            pieces = [model.tokenizer.convert_tokens_to_ids("<unk>")]
        if len(ids) + len(pieces) > PAIR - 3:
            yield places, [model.first, *ids, model.last, model.last]
            places, ids = [], []
        places.append(len(ids) + 1)
        ids += pieces
    yield places, [model.first, *ids, model.last, model.last]


def xquad(model: Model, data: Path, rows: Sequence[tuple[str, str, Any]]) -> None:
    """Compare answers: windows of 384 tokens every 128, and the rules of `compute_predictions_logits`.

    The context is tokenised whole, and an answer is the part of it between the ends; the official script tokenises word
    by word and looks for the answer in the words again, which differs where spaces are odd.

    Args:
        model: of SQuAD.
        data: with `xtreme/xquad/xquad.LANGUAGE.json`.
        rows: of the run; an id is a question's.
    """
    files: dict[str, dict[str, tuple[str, str]]] = {}
    for language, name, given in rows:
        if language not in files:
            document = json.loads((data / "xtreme/xquad" / f"xquad.{language}.json").read_text(encoding="utf-8"))
            files[language] = {
                question["id"]: (question["question"], paragraph["context"])
                for article in document["data"]
                for paragraph in article["paragraphs"]
                for question in paragraph["qas"]
            }
        answer, ahead = best_span(model, *files[language][name])
        model.compared.add(f"{language} {name}", answer, given, ahead)


def best_span(model: Model, question: str, context: str) -> tuple[str, float]:
    """Return the answer, and by how much its score is ahead of the next one's."""
    asked = model.pieces(question)[:QUESTION]
    encoded = model.tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
    tokens, offsets = encoded["input_ids"], encoded["offset_mapping"]
    room, lead = SPAN - len(asked) - 4, len(asked) + 3
    starts = [0]
    while starts[-1] + room < len(tokens):
        starts.append(starts[-1] + min(STRIDE, room))
    windows = [(start, min(len(tokens), start + room)) for start in starts]
    found: list[tuple[float, int, int]] = []
    for number, (begin, end) in enumerate(windows):
        ids = [model.first, *asked, model.last, model.last, *tokens[begin:end], model.last]
        opening, closing = model(ids)
        found += spans(opening, closing, lead, begin, end, [richest(windows, at) == number for at in range(begin, end)])
    if not found:
        return "", np.inf
    # The first of equals wins, as Python's sort keeps their order.
    found.sort(key=lambda each: -each[0])
    texts = [context[offsets[first][0] : offsets[last][1]].strip() for _, first, last in found]
    other = next((score for (score, _, _), text in zip(found, texts, strict=True) if text != texts[0]), -np.inf)
    return texts[0], found[0][0] - other


def spans(
    opening: Logits, closing: Logits, lead: int, begin: int, end: int, rich: Sequence[bool]
) -> list[tuple[float, int, int]]:
    """Return (score, first token, last token) of each valid span of a window, by the best 20 starts and ends."""
    found = []
    best = [sorted(range(len(logits)), key=lambda at, of=logits: -of[at])[:BEST] for logits in (opening, closing)]  # type: ignore[misc]
    for first in best[0]:
        for last in best[1]:
            inside = all(lead <= at < lead + end - begin for at in (first, last))
            if inside and rich[first - lead] and first <= last < first + ANSWER:
                score = float(opening[first] + closing[last])
                found.append((score, begin + first - lead, begin + last - lead))
    return found


def richest(windows: Sequence[tuple[int, int]], at: int) -> int:
    """Return the window in which a token has most context on its poorer side, as `_check_is_max_context` has it."""
    scores = {
        number: min(at - begin, end - 1 - at) + 0.01 * (end - begin)
        for number, (begin, end) in enumerate(windows)
        if begin <= at < end
    }
    return max(scores, key=lambda number: (scores[number], -number))


def compare(checkpoints: Path, graphs: Path, data: Path, runs: Sequence[Path], count: int) -> list[Compared]:
    """Return what came of each task that the runs have."""
    found = []
    kinds: Mapping[str, tuple[str, Any]] = {
        "xnli": ("mnli", AutoModelForSequenceClassification),
        "xquad": ("squad", AutoModelForQuestionAnswering),
        "udpos": ("udpos", AutoModelForTokenClassification),
    }
    for task, (name, kind) in kinds.items():
        rows = [row for run in runs for row in stored(run, task, count)][:count]
        if len(rows) < count:
            message = (
                f"the runs have {len(rows)} of the {count} examples of {task}; name a run of it, or give `--examples`"
            )
            raise SystemExit(message)
        compared = Compared(task)
        model = Model(kind, checkpoints / name, graphs / name / "fp32", compared)
        if task == "xnli":
            xnli(model, data, rows, model.labels)
        elif task == "udpos":
            udpos(model, data, rows, model.labels)
        else:
            xquad(model, data, rows)
        found.append(compared)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each task; exit with 1 where a logit or a prediction differs by more than is allowed."""
    parser = argparse.ArgumentParser(prog="harness bench answer_reference", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, required=True, help="checkpoints/NAME/target")
    parser.add_argument("--graphs", type=Path, required=True, help="artifacts/NAME")
    parser.add_argument("--data", type=Path, required=True, help="the data folder of the runs")
    parser.add_argument("--runs", required=True, help="folders of runs, comma-separated")
    parser.add_argument("--examples", type=int, default=500, help="of each task; default: 500")
    parser.add_argument("--json", type=Path, help="writes the figures there")
    options = parser.parse_args(arguments)
    runs = [Path(name) for name in options.runs.split(",")]
    found = compare(options.checkpoints, options.graphs, options.data, runs, options.examples)
    for each in found:
        print(
            f"{each.task}: {each.examples} examples, {each.equal} predictions equal, {each.ties} ties, "
            f"{len(each.different)} different; largest difference of a logit {each.largest:.1e}; "
            f"{each.seconds:.0f} s in transformers"
        )
        for line in each.different[:5]:
            print(f"  {line}")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n", encoding="utf-8")
    # Not `largest > ALLOWED`: NaN is above nothing.
    if any(each.different or not each.largest <= ALLOWED for each in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
