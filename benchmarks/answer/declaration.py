"""What was decided before the first result: arms, rows, seeds, targets, comparisons. docs/answer.md says it in words.

A record carries the SHA-256 of all of this, so a result of other rules is never mixed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec
import numpy as np

from harness.core.languages import language

ENGLISH = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """Training rows of one language in one task of phase 2, from one or more files of the data folder."""

    language: str
    #: Below the data folder; several are read as one.
    files: tuple[str, ...]
    #: The training set whose head these rows train: two-class sets have a head of their own.
    finetune: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMix:
    """One task of phase 2: its English rows, and what takes the place of half of them."""

    english: LabelledSet
    #: Rows of the task in every arm.
    rows: int
    #: Labelled sets of other languages, which share the replaced half equally.
    others: tuple[LabelledSet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What phase 2 is trained on."""

    description: str
    #: Task -> languages that take the place of half of the English rows; () is English alone.
    languages: Mapping[str, tuple[str, ...]] | None
    #: Whether the labels of the other languages say nothing.
    shuffled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTask:
    """One task that is scored."""

    task: str
    languages: tuple[str, ...]
    split: str
    #: Examples of each language, drawn at random; None is all of them.
    sample: int | None
    #: An alternative of the task, as `--protocol` takes it.
    protocol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Right arm minus left arm on some cells: equal weight to each task, within a task to each language."""

    name: str
    left: str
    right: str
    #: (task, language).
    cells: tuple[tuple[str, str], ...]
    #: What Holm corrects together.
    family: str
    #: Points within which two arms count as equal.
    margin: float


def _nli(code: str, finetune: str = "mnli") -> LabelledSet:
    return LabelledSet(language=code, files=(f"intermediate/nli/{code}/train.jsonl",), finetune=finetune)


def _qa(code: str, *files: str, folder: str = "") -> LabelledSet:
    return LabelledSet(
        language=code, files=tuple(f"intermediate/qa/{folder or code}/{name}.json" for name in files), finetune="squad"
    )


MIXES: Mapping[str, TaskMix] = {
    "nli": TaskMix(
        english=LabelledSet(language=ENGLISH, files=("intermediate/mnli/en/train.jsonl",), finetune="mnli"),
        rows=3840,
        others=(_nli("zh"), _nli("fa"), _nli("id"), _nli("ru", "entailment"), _nli("hi", "entailment")),
    ),
    "qa": TaskMix(
        english=LabelledSet(language=ENGLISH, files=("intermediate/squad/en/train-v1.1.json",), finetune="squad"),
        rows=1904,
        # CMRC 2018 (simplified) and DRCD (traditional characters) are both Chinese. Sets of which only dev or test is
        # at hand are trained on: nothing here is scored on them.
        others=(
            LabelledSet(
                language="zh",
                files=tuple(
                    f"intermediate/qa/{name}.json" for name in ("zh/dev", "zh/trial", "zh-Hant/dev", "zh-Hant/test")
                ),
                finetune="squad",
            ),
            _qa("ar", "train", "dev"),
            _qa("tr", "train", "dev"),
            _qa("th", "train", "dev"),
            _qa("ja", "dev", "test"),
            _qa("ko", "dev"),
            _qa("fa", "dev"),
        ),
    ),
    "choice": TaskMix(
        english=LabelledSet(language=ENGLISH, files=("intermediate/codah/en/train.jsonl",), finetune="hellaswag"),
        rows=816,
        others=(LabelledSet(language="zh", files=("intermediate/hellaswag/zh/train.jsonl",), finetune="hellaswag"),),
    ),
}
_ALL = {task: tuple(part.language for part in mix.others) for task, mix in MIXES.items()}
ARMS: Mapping[str, Arm] = {
    "none": Arm(description="no phase 2", languages=None),
    "english": Arm(description="English alone", languages=dict.fromkeys(MIXES, ())),
    "mixed_all": Arm(description="half English, half all languages with real labelled sets", languages=_ALL),
    "mixed_zh": Arm(description="half English, half Chinese", languages=dict.fromkeys(MIXES, ("zh",))),
    "shuffled": Arm(
        description="mixed_all, with labels of other languages that say nothing", languages=_ALL, shuffled=True
    ),
}
#: In this order of seeds; within a seed the order of arms is drawn (`units`).
SEEDS = (1, 2, 3, 4, 5)
#: Rows of phase 3, the same for every arm and seed: English rows that phase 2 does not see.
TARGET_ROWS: Mapping[str, int] = {"mnli": 5760, "squad": 2432}
#: Seed of the rows of phase 3 and of the order of arms.
FIXED_SEED = 20_261_201

_XNLI = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
_XQUAD = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
_MLQA = ("ar", "de", "en", "es", "hi", "vi", "zh")
_TYDIQA = ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")
_UDPOS = (
    "ar",
    "bg",
    "de",
    "el",
    "en",
    "es",
    "fi",
    "fr",
    "hi",
    "id",
    "ja",
    "ko",
    "ru",
    "ta",
    "te",
    "th",
    "tr",
    "ur",
    "vi",
    "zh",
)
_XCOPA = ("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh")
_TATOEBA = ("ar", "bn", "de", "el", "hi", "ka", "ko", "ru", "sw", "ta", "th", "tr", "zh")
TARGETS: tuple[ScoredTask, ...] = (
    ScoredTask(task="xnli", languages=_XNLI, split="test", sample=600),
    ScoredTask(task="xquad", languages=_XQUAD, split="test", sample=220),
    ScoredTask(task="mlqa", languages=_MLQA, split="dev", sample=220),
    ScoredTask(task="tydiqa", languages=_TYDIQA, split="test", sample=220, protocol="squad"),
    ScoredTask(task="udpos", languages=_UDPOS, split="test", sample=120),
    ScoredTask(task="xcopa", languages=_XCOPA, split="test", sample=250),
    ScoredTask(task="tatoeba", languages=_TATOEBA, split="test", sample=None),
)
SAMPLE_SEED = 1
#: Points: about what a change of encoder or of data is worth in the papers; below it no one would train a mix.
MARGIN = 2.0

#: ScoredTask task -> the task of phase 2 that teaches it.
TAUGHT: Mapping[str, str] = {"xnli": "nli", "xquad": "qa", "mlqa": "qa", "tydiqa": "qa", "xcopa": "choice"}
QA = ("xquad", "mlqa", "tydiqa")
NLI = ("xnli",)
#: Languages with any label in phase 2 of mixed_all.
LABELLED = frozenset(code for codes in _ALL.values() for code in codes) | {ENGLISH}


def _cells(tasks: tuple[str, ...], codes: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (each.task, code) for each in TARGETS if each.task in tasks for code in each.languages if code in codes
    )


def _in_mix(task: str) -> frozenset[str]:
    return frozenset(_ALL[TAUGHT[task]])


def _latin(code: str) -> bool:
    return language(code).script == "Latn"


def _every(task: str) -> frozenset[str]:
    return frozenset(next(each.languages for each in TARGETS if each.task == task))


def _where(task: str, *, mixed: bool = False, unlabelled: bool = False, other_only: bool = False) -> frozenset[str]:
    """Return the languages of a task that lie in one of the groups of docs/answer.md."""
    codes = _every(task) - {ENGLISH}
    if mixed:
        return frozenset(code for code in codes & _in_mix(task) if not _latin(code))
    if other_only:
        return (codes & LABELLED) - _in_mix(task)
    return codes - LABELLED if unlabelled else codes


def _grouped(tasks: tuple[str, ...], **where: bool) -> tuple[tuple[str, str], ...]:
    return tuple(cell for task in tasks for cell in _cells((task,), _where(task, **where)))


def _compared(left: str, right: str, family: str, named: Mapping[str, tuple[tuple[str, str], ...]]) -> list[Contrast]:
    return [
        Contrast(name=f"{right} - {left}: {name}", left=left, right=right, cells=cells, family=family, margin=MARGIN)
        for name, cells in named.items()
    ]


_OUTSIDE = frozenset(("el", "bn", "te"))
_PRIMARY = {
    "QA, non-Latin, labelled in its mix": _grouped(QA, mixed=True),
    "QA, no label in phase 2": _grouped(QA, unlabelled=True),
    "NLI, non-Latin, labelled in its mix": _grouped(NLI, mixed=True),
    "NLI, no label in phase 2": _grouped(NLI, unlabelled=True),
}
_SECONDARY = {
    "QA, labelled in another task only": _grouped(QA, other_only=True),
    "NLI, labelled in another task only": _grouped(NLI, other_only=True),
    "QA, scripts outside of the mix (Grek, Beng, Telu)": _cells(QA, _OUTSIDE),
    "NLI, Greek": _cells(NLI, _OUTSIDE),
    "QA, Latin": _cells(
        QA, frozenset(code for task in QA for code in _every(task) if _latin(code) and code != ENGLISH)
    ),
    "NLI, Latin": _cells(NLI, frozenset(code for code in _every("xnli") if _latin(code) and code != ENGLISH)),
    "QA, English": _cells(QA, frozenset((ENGLISH,))),
    "NLI, English": _cells(NLI, frozenset((ENGLISH,))),
    "tagging, all but English": _grouped(("udpos",)),
    "choice, all": _grouped(("xcopa",)),
    "retrieval, all": _grouped(("tatoeba",)),
}
_CHINESE = {
    "QA, Chinese": _cells(QA, frozenset(("zh",))),
    "NLI, Chinese": _cells(NLI, frozenset(("zh",))),
    "choice, Chinese": _cells(("xcopa",), frozenset(("zh",))),
}
COMPARISONS: tuple[Contrast, ...] = (
    *_compared("english", "mixed_all", "primary", _PRIMARY),
    *_compared("english", "mixed_all", "secondary", _SECONDARY),
    *_compared("shuffled", "mixed_all", "control", _PRIMARY),
    *_compared("english", "shuffled", "control", _PRIMARY),
    *_compared("english", "mixed_zh", "chinese", {**_CHINESE, **_PRIMARY}),
    *_compared("none", "english", "phase 2 at all", _PRIMARY),
)


def digest(recipes: Mapping[str, str]) -> str:
    """Return the SHA-256 of everything that units depend on; a test pins the comparisons, which records do not.

    Args:
        recipes: arm -> the text of its recipe, which has learning rates and steps.
    """
    whole = {
        "arms": ARMS,
        "mixes": MIXES,
        "target_rows": TARGET_ROWS,
        "targets": TARGETS,
        "sample_seed": SAMPLE_SEED,
        "fixed_seed": FIXED_SEED,
        "recipes": dict(sorted(recipes.items())),
    }
    return sha256(msgspec.json.encode(whole, order="deterministic")).hexdigest()


def units() -> list[tuple[str, int]]:
    """Return every (arm, seed) in the order in which they are run: seed by seed, the arms of each in a drawn order."""
    generator = np.random.default_rng(FIXED_SEED)
    names = sorted(ARMS)
    return [(names[place], seed) for seed in SEEDS for place in generator.permutation(len(names))]
