"""Retrieval with plain transformers on the same weights as an added encoder: rankings compared with a run's.

::

    harness bench encoder_reference --checkpoint FOLDER --data DEST --run RUN [--json FILE]

This file shares no code with the harness: it reads the data, makes rows and vectors (AutoTokenizer, AutoModel, mean
of the last layer, unit length) and ranks by itself. Of the run it reads the predictions and the seconds in graphs.
A ranking is equal but for ties where, at every rank that differs, the two candidates' cosines differ by less than
`TIE`. FOLDER is a checkpoint in the hub's layout, as `checkpoints/NAME/target/encoder`.
"""

import argparse
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

#: Cosines closer than this are a tie: fp32 in two engines.
TIE = 1e-5
#: XTREME's code of a language -> the one in Tatoeba's file names.
TATOEBA = dict(
    pair.split(":")
    for pair in (
        "ar:ara he:heb vi:vie id:ind jv:jav tl:tgl eu:eus ml:mal ta:tam te:tel af:afr nl:nld de:deu el:ell bn:ben "
        "hi:hin mr:mar ur:urd fa:pes fr:fra it:ita pt:por es:spa bg:bul ru:rus ja:jpn ka:kat ko:kor th:tha sw:swh "
        "zh:cmn kk:kaz tr:tur et:est fi:fin hu:hun az:aze lt:lit pl:pol uk:ukr ro:ron"
    ).split()
)
LAREQA = "ar de el en es hi ru th tr vi zh".split()
#: Rows that are computed together.
BATCH = 32


@dataclass(frozen=True)
class LanguageResult:
    """One task and language: the reference's score, and how its rankings compare with the run's."""

    task: str
    language: str
    queries: int
    score: float
    run_score: float
    #: Queries whose ranking is the run's.
    equal: int
    #: Queries whose ranking differs by ties only.
    ties: int
    #: Queries whose ranking differs by more.
    different: int
    largest_gap: float


class Encoder:
    """Plain transformers: text to unit vectors."""

    def __init__(self, folder: Path, device: str) -> None:
        # transformers takes large vocabularies in a folder for Mistral's, and says that they are wrong.
        self.tokenizer = AutoTokenizer.from_pretrained(folder, fix_mistral_regex=False)
        self.network = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval().to(device)
        self.device = device
        self.seconds = 0.0
        self.tokens = 0
        self.cache: dict[tuple[str, int], NDArray[np.float32]] = {}

    def vectors(self, texts: Sequence[str], longest: int) -> NDArray[np.float32]:
        """Return one vector for each text (texts, hidden)."""
        todo = sorted({text for text in texts if (text, longest) not in self.cache}, key=len)
        begin = time.perf_counter()
        for start in range(0, len(todo), BATCH):
            part = todo[start : start + BATCH]
            batch = self.tokenizer(
                part, padding=True, truncation=True, max_length=longest, return_tensors="pt", return_token_type_ids=True
            ).to(self.device)
            with torch.inference_mode():
                states = self.network(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].to(states.dtype)
            pooled = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
            self.tokens += int(batch["attention_mask"].sum())
            for text, vector in zip(part, pooled.cpu().numpy(), strict=True):
                self.cache[text, longest] = vector
        self.seconds += time.perf_counter() - begin
        return np.stack([self.cache[text, longest] for text in texts])


def lines(path: Path) -> list[str]:
    """Return a file's lines without their ends."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def tatoeba(encoder: Encoder, data: Path, language: str, prompts: tuple[str, str]) -> Iterator[tuple[Any, ...]]:
    """Yield (query id, gold ids, candidate ids, cosines (candidates,), depth) of one language."""
    stem = data / "xtreme" / "tatoeba" / f"tatoeba.{TATOEBA[language]}-eng"
    foreign, english = lines(Path(f"{stem}.{TATOEBA[language]}")), lines(Path(f"{stem}.eng"))
    # Both sides are sentences, so both have the prompt of a query.
    candidates = encoder.vectors([prompts[0] + text for text in foreign], 512)
    queries = encoder.vectors([prompts[0] + text.strip() for text in english], 512)
    names = [f"{language}-{row}" for row in range(len(foreign))]
    for row, vector in enumerate(queries):
        yield f"en-{row}", {f"{language}-{row}"}, names, candidates @ vector, 1


class XquadR:
    """LAReQA's files: questions and candidates of all languages."""

    def __init__(self, data: Path) -> None:
        self.questions: dict[str, list[tuple[str, str]]] = {}
        self.gold: dict[str, set[str]] = {}
        self.names: list[str] = []
        self.texts: list[str] = []
        for code in LAREQA:
            document = json.loads((data / "xtreme" / "lareqa" / "xquad-r" / f"{code}.json").read_text("utf-8"))
            paragraphs = [paragraph for article in document["data"] for paragraph in article["paragraphs"]]
            self.questions[code] = []
            for number, paragraph in enumerate(paragraphs):
                for place, sentence in enumerate(paragraph["sentences"]):
                    self.names.append(f"{code}_{number}_{place}")
                    self.texts.append((sentence + paragraph["context"]).replace("\n", ""))
                for question in paragraph["qas"]:
                    start = question["answers"][0]["answer_start"]
                    inside = [
                        place for place, (a, b) in enumerate(paragraph["sentence_breaks"]) if int(a) <= start < int(b)
                    ]
                    if inside:
                        self.questions[code].append((question["id"], question["question"]))
                        self.gold.setdefault(question["id"], set()).add(f"{code}_{number}_{inside[0]}")

    def rows(self, encoder: Encoder, code: str, prompts: tuple[str, str]) -> Iterator[tuple[Any, ...]]:
        """Yield what `tatoeba` yields, for the questions of one language."""
        candidates = encoder.vectors([prompts[1] + text for text in self.texts], 256)
        queries = encoder.vectors([prompts[0] + text for _, text in self.questions[code]], 96)
        for (name, _), vector in zip(self.questions[code], queries, strict=True):
            yield f"{code}_{name}", self.gold[name], self.names, candidates @ vector, 20


def compare(
    task: str, language: str, rows: Iterator[tuple[Any, ...]], run: dict[str, Any], run_score: float
) -> LanguageResult:
    """Return how the reference's rankings compare with a run's predictions."""
    equal = ties = different = count = 0
    largest, total = 0.0, 0.0
    for name, gold, names, cosines, depth in rows:
        order = np.argsort(-cosines, kind="stable")[: depth + 8]
        ranking = [names[place] for place in order[:depth]]
        found = [run[name]] if isinstance(run[name], str) else list(run[name])[:depth]
        place = {candidate: cosines[index] for index, candidate in enumerate(names)} if found != ranking else {}
        gaps = [abs(float(place[a] - place[b])) for a, b in zip(ranking, found, strict=True) if a != b]
        gap = max(gaps, default=0.0)
        largest = max(largest, gap)
        equal += not gaps
        ties += bool(gaps) and gap < TIE
        different += gap >= TIE
        hits, precision = 0, 0.0
        for rank, candidate in enumerate(ranking, 1):
            if candidate in gold:
                hits += 1
                precision += hits / rank
        total += precision / min(len(gold), depth)
        count += 1
    return LanguageResult(task, language, count, 100 * total / count, run_score, equal, ties, different, largest)


def mined(encoder: Encoder, data: Path, language: str, prompts: tuple[str, str]) -> tuple[set[tuple[str, str]], float]:
    """Return BUCC's pairs of dev above the best threshold, and their F1: ratio margin over 4 neighbours."""
    stem = data / "xtreme" / "bucc2018" / f"{language}-en.dev"
    sides = []
    for suffix in (language, "en"):
        pairs = [line.split("\t", 1) for line in lines(Path(f"{stem}.{suffix}"))]
        unique = {text: name for name, text in pairs}
        counted = Counter(text.strip() for _, text in pairs)
        vectors = encoder.vectors([prompts[0] + text for text in unique], 512)
        sides.append((list(unique.values()), [counted[text.strip()] == 1 for text in unique], vectors))
    (sources, single, first), (targets, other_single, second) = sides
    forward, backward = nearest(first, second), nearest(second, first)
    means, other_means = forward[1].mean(1), backward[1].mean(1)
    margins = forward[1] / ((means[:, None] + other_means[forward[0]]) / 2)
    other_margins = backward[1] / ((other_means[:, None] + means[backward[0]]) / 2)
    proposals = [(row[best], source, int(forward[0][source, best]))
                 for source, row in enumerate(margins) for best in [int(row.argmax())]]  # fmt: skip
    proposals += [(row[best], int(backward[0][target, best]), target)
                  for target, row in enumerate(other_margins) for best in [int(row.argmax())]]  # fmt: skip
    gold = {tuple(line.split("\t")) for line in lines(Path(f"{stem}.gold"))}
    used: tuple[set[int], set[int]] = (set(), set())
    kept = []
    for score, source, target in sorted(proposals, key=lambda proposal: -proposal[0]):
        if score > 0 and source not in used[0] and target not in used[1]:
            used[0].add(source)
            used[1].add(target)
            if single[source] and other_single[target]:
                kept.append((sources[source], targets[target]))
    hits = np.cumsum([pair in gold for pair in kept])
    f1 = 2 * hits / (np.arange(1, len(kept) + 1) + len(gold))
    best = int(f1.argmax())
    # The threshold is the mean of the last kept score and the next one.
    return set(kept[: best + 1]), 100 * float(f1[best])


def nearest(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the 4 nearest of each row and their cosines, best first: both (rows, 4)."""
    found = []
    for start in range(0, len(first), 512):
        cosines = first[start : start + 512] @ second.T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :4]
        found.append((order, np.take_along_axis(cosines, order, axis=1)))
    return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])


def predictions(run: Path, task: str, language: str) -> dict[str, Any]:
    """Return a run's predictions by the id of the example."""
    with sqlite3.connect(f"file:{run / 'journal.sqlite'}?mode=ro", uri=True) as journal:
        rows = journal.execute("SELECT id, prediction FROM prediction WHERE task=? AND language=?", (task, language))
        return {name: json.loads(text) for name, text in rows}


Prompts = tuple[str, str]
Cells = dict[str, Any]


def _tatoeba(
    encoder: Encoder, data: Path, language: str, prompts: Prompts, found: dict[str, Any], cells: Cells
) -> LanguageResult:
    return compare("tatoeba", language, tatoeba(encoder, data, language, prompts), found, cells["accuracy"])


@cache
def _xquad(data: Path) -> XquadR:
    return XquadR(data)


def _lareqa(
    encoder: Encoder, data: Path, language: str, prompts: Prompts, found: dict[str, Any], cells: Cells
) -> LanguageResult:
    return compare("lareqa", language, _xquad(data).rows(encoder, language, prompts), found, cells["map@20"])


def _bucc(
    encoder: Encoder, data: Path, language: str, prompts: Prompts, found: dict[str, Any], cells: Cells
) -> LanguageResult:
    if cells["split"] != "dev":
        message = f"bucc2018 {language} of the run is {cells['split']}; evaluate it with `--split dev`"
        raise SystemExit(message)
    pairs, f1 = mined(encoder, data, language, prompts)
    own = {(name, value[0]) for name, value in found.items() if value}
    return LanguageResult(
        "bucc2018", language, len(own | pairs), f1, cells["f1"], len(own & pairs), 0, len(own ^ pairs), 0.0
    )


#: Task -> its reference.
REFERENCES = {"tatoeba": _tatoeba, "lareqa": _lareqa, "bucc2018": _bucc}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each task and language of the run, and the seconds of both sides."""
    parser = argparse.ArgumentParser(prog="harness bench encoder_reference", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a folder in the hub's layout")
    parser.add_argument("--data", type=Path, required=True, help="the data folder of the run")
    parser.add_argument("--run", type=Path, required=True, help="a run of `harness eval` with the same weights")
    parser.add_argument("--query-prompt", default="query: ", help="default: that of e5")
    parser.add_argument("--candidate-prompt", default="passage: ", help="default: that of e5")
    parser.add_argument("--tasks", default="", help="only these; default: all of the run")
    parser.add_argument("--languages", default="", help="only these; default: all of the run")
    parser.add_argument("--device", default="cpu", help="a device of torch")
    parser.add_argument("--json", type=Path, help="writes the rows there")
    options = parser.parse_args(arguments)
    scores = json.loads((options.run / "scores.json").read_text(encoding="utf-8"))
    prompts = (options.query_prompt, options.candidate_prompt)
    encoder, rows = Encoder(options.checkpoint, options.device), []
    chosen, tasks = (set(filter(None, listed.split(","))) for listed in (options.languages, options.tasks))
    begin = time.perf_counter()
    for task, record in scores["tasks"].items():
        if tasks and task not in tasks:
            continue
        for language, cells in record["languages"].items():
            if chosen and language not in chosen:
                continue
            if task not in REFERENCES:
                print(f"{task} {language}: not among what this compares ({', '.join(REFERENCES)})")
                continue
            found = predictions(options.run, task, language)
            row = REFERENCES[task](encoder, options.data, language, prompts, found, cells)
            rows.append(row)
            print(
                f"{row.task:9} {row.language}  {row.queries:6,} rankings  reference {row.score:6.2f}  run "
                f"{row.run_score:6.2f}  equal {row.equal:,}, ties {row.ties}, different {row.different}, "
                f"largest gap {row.largest_gap:.1e}",
                flush=True,
            )
    summary = {
        "reference_seconds": time.perf_counter() - begin,
        "reference_seconds_in_network": encoder.seconds,
        "reference_tokens": encoder.tokens,
        "run_seconds_in_graphs": scores["padding"]["graph_seconds"],
        "run_tokens": scores["padding"]["useful_tokens"],
        "run_stages": scores["stages"],
    }
    for name, value in summary.items():
        print(f"{name}: {value if isinstance(value, dict) else f'{value:,.1f}'}")
    if options.json is not None:
        text = json.dumps({**summary, "rows": [asdict(row) for row in rows]}, indent=1, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
