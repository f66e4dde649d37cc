"""The training rows of each arm and seed, written as files of the benchmark's own formats.

Rules, all of docs/answer.md: phases 2 and 3 see disjoint halves of MNLI (by premise) and SQuAD (by article); every arm
has as many source rows of each task; a row of another language takes the place of an English row of nearly the same
number of subwords; `shuffled` has the rows of `mixed_all` with labels that say nothing. A development set of SQuAD
without XQuAD's paragraphs goes beside them.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks.answer.declaration import ARMS, ENGLISH, FIXED_SEED, MIXES, TARGET_ROWS, Arm, LabelledSet, TaskMix
from harness.benchmark import finetunes
from harness.benchmark.sources.squad_json import SquadJson
from harness.core.errors import DataError
from harness.core.examples import QuestionExample
from harness.core.files import write_json
from harness.core.layout import DataFile, Layout
from harness.tokenization.tokenizer import FastTokenizer

#: Rows among which one is looked for that is as long as an English row.
_POOL = 8
#: Questions of SQuAD's dev set that learning rates are chosen on.
DEV_QUESTIONS = 400
ACCOUNT = "rows.json"
_NO_TEXT = frozenset(("id", "idx", "ind", "label", "answers", "is_impossible", "source_id", "topic"))
_XQUAD_IDS = "intermediate/squad/en/in_xquad.txt"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRow:
    """One training row, as it stands in its file."""

    #: The JSON line; of a question its `qas` entry.
    raw: Mapping[str, Any]
    #: Subwords of its rows, special tokens included.
    tokens: int
    #: What no two halves may share: premise, or article.
    group: str
    #: (article, paragraph) of a question; None of other tasks.
    place: tuple[str, str] | None = None

    @property
    def texts(self) -> str:
        """Return what makes two rows the same: all but ids and labels."""
        own = {key: value for key, value in self.raw.items() if key not in _NO_TEXT}
        return json.dumps([own, self.place], sort_keys=True)


def prepare(data: Path, output: Path, tokenizer: Path, seeds: Sequence[int]) -> list[str]:
    """Write `OUTPUT/seed-S`, a data folder for each seed, and return lines that say what is in them.

    Args:
        data: the whole data folder.
        output: written anew; what is already there for a seed is replaced.
        tokenizer: `tokenizer.json` of the encoder, by which rows are measured.
        seeds: of the units.

    Raises:
        DataError: a file is missing, or has too few rows.
    """
    whole = Layout.at(data)
    measured = _Measured(whole, FastTokenizer(tokenizer))
    halves = {task: _halves(measured.rows(mix.english), task) for task, mix in MIXES.items()}
    lines: list[str] = []
    for seed in seeds:
        folder = output / f"seed-{seed}"
        temporary = output / f".seed-{seed}"
        shutil.rmtree(temporary, ignore_errors=True)
        made = {
            "target": _write_target(whole, temporary, {task: second for task, (_, second) in halves.items()}),
            "arms": {
                name: _write_arm(
                    temporary, name, arm, {task: first for task, (first, _) in halves.items()}, measured, seed
                )
                for name, arm in ARMS.items()
                if arm.languages is not None
            },
        }
        for part in ("xtreme", "text", "tokenizers"):
            if (whole.section("intermediate").parent / part).is_dir():
                os.symlink((whole.section("intermediate").parent / part).resolve(), temporary / part)
        write_json(temporary / ACCOUNT, made)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        lines.extend(_lines(seed, made["arms"]))
    return lines


class _Measured:
    """Reads the rows of a set once, and counts their subwords as training does."""

    def __init__(self, layout: Layout, tokenizer: FastTokenizer) -> None:
        self._layout, self._tokenizer = layout, tokenizer
        self._known: dict[tuple[str, ...], list[TrainingRow]] = {}

    def rows(self, part: LabelledSet) -> list[TrainingRow]:
        """Return the rows of a set that fit one row of the encoder."""
        if part.files not in self._known:
            read = (row for name in part.files for row in self._read(part.finetune, name))
            self._known[part.files] = list({row.texts: row for row in read}.values())
        return self._known[part.files]

    def _read(self, name: str, file: str) -> Iterator[TrainingRow]:
        finetune = finetunes.bound(name, self._layout)
        section, _, pattern = file.partition("/")
        if finetune.train is None:
            message = f"{name} has no training set, a mix cannot have rows of it"
            raise DataError(message)
        source = replace(finetune.train, file=DataFile(section, pattern))  # type: ignore[arg-type, type-var]
        if isinstance(source, SquadJson):
            # PersianQA has questions without an answer; they are read, and left out below.
            source = replace(source, unanswerable=True)
        examples = source.read(self._layout, ENGLISH, "train")
        path = self._layout.section("intermediate").parent / file
        raw = list(_questions(path) if path.suffix == ".json" else _json_lines(path))
        if len(raw) != len(examples):
            message = f"{path} has {len(raw)} rows and {len(examples)} examples; it must not be read with gold errors"
            raise DataError(message)
        lengths: list[list[int]] = [[] for _ in examples]
        for feature in finetune.featurizer(examples, self._tokenizer):
            lengths[feature.example].append(len(feature.input_ids))
        for example, (entry, place), own in zip(examples, raw, lengths, strict=True):
            # A choice has one row for each of its endings; a question whose context needs several windows is left out.
            question = isinstance(example, QuestionExample)
            if not question or (len(own) == 1 and example.question.strip() and example.answers):
                group = place[0] if place is not None else str(entry.get("premise", entry.get("ctx_a", "")))
                yield TrainingRow(entry, sum(own), group, place)


def _json_lines(path: Path) -> Iterator[tuple[Mapping[str, Any], None]]:
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            yield json.loads(line), None


def _questions(path: Path) -> Iterator[tuple[Mapping[str, Any], tuple[str, str]]]:
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield question, (article.get("title", ""), paragraph["context"])


def _halves(rows: Sequence[TrainingRow], task: str) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """Return the rows of phase 2 and those of phase 3; a premise or an article is in one half only."""
    if task not in {finetune for finetune in MIXES if MIXES[finetune].english.finetune in TARGET_ROWS}:
        # Nothing of phase 3 is trained on it.
        return list(rows), []
    halves: tuple[list[TrainingRow], list[TrainingRow]] = ([], [])
    for row in rows:
        halves[sha256(row.group.encode()).digest()[0] % 2].append(row)
    return halves


def _drawn(rows: Sequence[TrainingRow], count: int, generator: np.random.Generator, what: str) -> list[TrainingRow]:
    if len(rows) < count:
        message = f"{what} has {len(rows):,} rows that fit, {count:,} are needed"
        raise DataError(message)
    return [rows[place] for place in generator.permutation(len(rows))[:count]]


def mixed_rows(
    arm: Arm, task: str, first: Sequence[TrainingRow], measured: "_Measured", seed: int
) -> dict[tuple[str, str], list[TrainingRow]]:
    """Return the rows of one arm and task, by training set and language.

    English rows are the same in all arms of a seed, as far as they are not replaced.
    """
    mix: TaskMix = MIXES[task]
    english = _drawn(first, mix.rows, np.random.default_rng([seed, len(task)]), f"the half of {task} for phase 2")
    codes = () if arm.languages is None else arm.languages[task]
    others = [part for part in mix.others if part.language in codes]
    kept = english[: mix.rows // 2] if others else english
    found = {(mix.english.finetune, ENGLISH): list(kept)}
    replaced = english[len(kept) :]
    for number, part in enumerate(others):
        wanted = replaced[number :: len(others)]
        # A language's own draw does not depend on which other languages are in the mix.
        generator = np.random.default_rng([seed, len(task), *part.language.encode()])
        pool = measured.rows(part)
        pool = _drawn(pool, min(len(pool), _POOL * len(wanted)), generator, f"{task} in {part.language}")
        rows = matched(wanted, pool, f"{task} in {part.language}")
        found[part.finetune, part.language] = shuffled(rows, generator) if arm.shuffled else rows
    return found


def matched(wanted: Sequence[TrainingRow], pool: Sequence[TrainingRow], what: str) -> list[TrainingRow]:
    """Return as many rows of a pool, each for another row of nearly the same length: the least sum of differences."""
    if len(pool) < len(wanted):
        message = f"{what} has {len(pool):,} rows that fit, {len(wanted):,} are needed"
        raise DataError(message)
    lengths: list[NDArray[np.int64]] = [np.array([row.tokens for row in side]) for side in (wanted, pool)]
    places, chosen = linear_sum_assignment(np.abs(lengths[0][:, None] - lengths[1][None, :]))
    return [pool[place] for _, place in sorted(zip(places, chosen, strict=True))]


def shuffled(rows: Sequence[TrainingRow], generator: np.random.Generator) -> list[TrainingRow]:
    """Return rows whose labels say nothing.

    Labels are exchanged between rows; the answer of a question becomes a span of the same length at a
    drawn place of its context.
    """
    if rows[0].place is None:
        order = generator.permutation(len(rows))
        return [
            TrainingRow({**row.raw, "label": rows[other].raw["label"]}, row.tokens, row.group)
            for row, other in zip(rows, order, strict=True)
        ]
    return [_moved(row, generator) for row in rows]


def _moved(row: TrainingRow, generator: np.random.Generator) -> TrainingRow:
    assert row.place is not None
    context = row.place[1]
    length = len(row.raw["answers"][0]["text"])
    starts = [
        start
        for start in range(len(context) - length + 1)
        if context[start : start + length].strip() == context[start : start + length]
    ]
    start = int(generator.choice(starts))
    answer = {"text": context[start : start + length], "answer_start": start}
    return TrainingRow({**row.raw, "answers": [answer]}, row.tokens, row.group, row.place)


def _write_arm(
    folder: Path, name: str, arm: Arm, first: Mapping[str, Sequence[TrainingRow]], measured: "_Measured", seed: int
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for task in MIXES:
        for (finetune, code), rows in mixed_rows(arm, task, first[task], measured, seed).items():
            path = folder / "intermediate" / "answer" / name / finetune / code
            digest = _write(path, rows)
            made[f"{task} {code}"] = {
                "rows": len(rows),
                "unique": len({row.texts for row in rows}),
                "tokens": sum(row.tokens for row in rows),
                "sha256": digest,
            }
    return made


def _write_target(whole: Layout, folder: Path, second: Mapping[str, Sequence[TrainingRow]]) -> dict[str, Any]:
    """Write what phase 3 learns from, and the English dev sets."""
    made = {}
    root = whole.section("intermediate").parent
    for task, rows in second.items():
        finetune = MIXES[task].english.finetune
        if not rows:
            continue
        chosen = _drawn(
            rows, TARGET_ROWS[finetune], np.random.default_rng(FIXED_SEED), f"the half of {task} for phase 3"
        )
        digest = _write(
            folder / "intermediate" / finetune / ENGLISH, chosen, "train-v1.1" if rows[0].place else "train"
        )
        made[finetune] = {"rows": len(chosen), "tokens": sum(row.tokens for row in chosen), "sha256": digest}
    shutil.copyfile(root / "intermediate/mnli/en/dev.jsonl", folder / "intermediate/mnli/en/dev.jsonl")
    in_xquad = set((root / _XQUAD_IDS).read_text(encoding="utf-8").split())
    questions = list(_questions(root / "intermediate/squad/en/dev-v1.1.json"))
    paragraphs = {place for raw, place in questions if raw["id"] in in_xquad}
    kept = [TrainingRow(raw, 0, place[0], place) for raw, place in questions if place not in paragraphs]
    _write(
        folder / "intermediate/squad/en",
        _drawn(kept, DEV_QUESTIONS, np.random.default_rng(FIXED_SEED), "SQuAD's dev set without XQuAD's paragraphs"),
        "dev-v1.1",
    )
    return made


def _write(folder: Path, rows: Sequence[TrainingRow], name: str = "train") -> str:
    """Write rows in their own format, and return the SHA-256 of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    if rows[0].place is None:
        path = folder / f"{name}.jsonl"
        text = "".join(json.dumps(row.raw, ensure_ascii=False) + "\n" for row in rows)
    else:
        path = folder / f"{name}.json"
        # Ids of several files may be the same; a row's own place in this file is unique.
        articles = [
            {
                "title": row.place[0] if row.place else "",
                "paragraphs": [{"context": row.place[1] if row.place else "", "qas": [{**row.raw, "id": str(number)}]}],
            }
            for number, row in enumerate(rows)
        ]
        text = json.dumps({"version": "answer", "data": articles}, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return sha256(text.encode()).hexdigest()


def _lines(seed: int, arms: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, parts in arms.items():
        for task in MIXES:
            own = [part for key, part in parts.items() if key.split()[0] == task]
            total, english = (
                sum(part["tokens"] for part in each)
                for each in (own, [part for key, part in arms["english"].items() if key.split()[0] == task])
            )
            unique = sum(part["unique"] for part in own)
            size = f"{unique:,} unique rows  {total:,} subwords  {total / english:.3f} of english"
            yield f"seed {seed}  {name:9}  {task:6}  {size}"
