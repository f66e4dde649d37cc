"""Families of encoders: each head in each variant, served answers against plain transformers on the same weights.

::

    harness bench families
    harness bench families --families bert,modernbert --heads span --markdown FILE

Encoders are tiny, with random weights, in the layout in which the hub has them. Each gets each head, is exported, and
answers rows of several lengths, alone and padded, up to the longest that it has positions for. What it answers is
compared with transformers' own class, tokenizer and attention. No gate is asked: it refuses models at chance.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
)

from benchmarks.core.report import guarded
from exporters.modules import Loaded, load_module
from exporters.onnx import write_graph
from exporters.quiet import quiet
from exporters.variants import VARIANTS
from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.featurizers.dual import DualFeaturizer
from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.core.errors import ArtifactError, HarnessError, UsageError, nearest
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.core.features import Feature, Featurizer, pad_features
from harness.core.files import write_json
from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
    describe,
)
from harness.core.tables import EMPTY, Table
from harness.core.tensors import Tensors
from harness.core.terminal import Terminal
from harness.encoders.families import families
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import read_checkpoint, write_checkpoint
from training.encoders.loading import CheckpointSource, load_encoder, write_tokenizer
from training.encoders.networks import networks_of
from training.modules import build

#: Subwords, layers and positions of the tiny encoders.
ROWS, LAYERS, LONGEST = 400, 3, 64
SHAPE: Mapping[str, Any] = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": LONGEST,
    # Wide enough that every row gets an answer of its own.
    "initializer_range": 0.2,
}
#: What each family's config.json has beside, as its models on the hub.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "bert": {"type_vocab_size": 2, "pad_token_id": 0},
    "deberta-v2": {
        "type_vocab_size": 0,
        "pad_token_id": 0,
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
    },
    "modernbert": {
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "cls_token_id": 2,
        "sep_token_id": 1,
        "local_attention": 16,
        "global_attn_every_n_layers": 2,
    },
    "xlm-roberta": {
        "type_vocab_size": 1,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "max_position_embeddings": LONGEST + 2,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The special tokens of a tokenizer, and how they stand around one sequence and around two."""

    #: In the order of their ids, from 0.
    special: tuple[str, ...]
    single: str
    pair: str
    pad: str
    unknown: str
    separator: str
    #: The last entry of the vocabulary.
    mask: str


_BERT = Frame(
    special=("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    single="[CLS] $A [SEP]",
    pair="[CLS] $A [SEP] $B:1 [SEP]:1",
    pad="[PAD]",
    unknown="[UNK]",
    separator="[SEP]",
    mask="[MASK]",
)
#: As the models of each family on the hub; others are framed as BERT.
FRAMES: Mapping[str, Frame] = {
    "deberta-v2": replace(_BERT, special=("[PAD]", "[CLS]", "[SEP]", "[UNK]")),
    "modernbert": Frame(
        special=("<pad>", "<eos>", "<bos>", "<unk>"),
        single="<bos> $A <eos>",
        pair="<bos> $A <eos> $B:1 <eos>:1",
        pad="<pad>",
        unknown="<unk>",
        separator="<eos>",
        mask="<mask>",
    ),
    "xlm-roberta": Frame(
        special=("<s>", "<pad>", "</s>", "<unk>"),
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        pad="<pad>",
        unknown="<unk>",
        separator="</s>",
        mask="<mask>",
    ),
}


def tiny_tokenizer(path: Path, model_type: str, rows: int = ROWS, shift: int = 0) -> None:
    """Write a tokenizer.json of words `w4`, `w5`, ... whose ids are their numbers, plus `shift`."""
    frame = FRAMES.get(model_type, _BERT)
    words = [*frame.special, *(f"w{index}" for index in range(len(frame.special), rows - 1)), frame.mask]
    ids = {word: index if word in frame.special else index + shift for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=frame.unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([*frame.special, frame.mask])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=frame.single, pair=frame.pair, special_tokens=[(word, ids[word]) for word in frame.special]
    )
    tokenizer.save(str(path))


def tiny_encoder(
    folder: Path, model_type: str, *, layout: str = "masked", shard: str = "5GB", seed: int = 0, **more: Any
) -> Path:
    """Write an encoder with random weights as the hub lays it out: config.json, weights, tokenizer.json.

    Args:
        folder: where.
        model_type: the family.
        layout: "masked" with the family's prefix and a head over the vocabulary, "alone" without either, "pooler"
            alone but for a pooler, where the family has one.
        shard: the largest file of weights.
        seed: of the weights.
        more: other values of config.json.
    """
    networks = networks_of(model_type)
    config = networks.config(**{**SHAPE, **SHAPES.get(model_type, {}), **more})
    networks.settle(config)
    torch.manual_seed(seed)
    if layout == "masked":
        network = networks.masked(config)
    else:
        network = networks.base(config, **({} if layout == "pooler" else networks.alone))
    network.eval().save_pretrained(folder, max_shard_size=shard)
    tiny_tokenizer(folder / "tokenizer.json", model_type)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', encoding="ascii")
    return folder


@dataclass(frozen=True, slots=True)
class FamilyText:
    """One row as texts: a sentence, or a pair."""

    first: str
    second: str | None = None


def _words(generator: np.random.Generator, count: int) -> str:
    return " ".join(f"w{number}" for number in generator.integers(10, ROWS - 1, size=count))


def singles(room: int) -> list[FamilyText]:
    """Return sentences of several lengths, the last of `room` words."""
    generator = np.random.default_rng(1)
    return [FamilyText(_words(generator, count)) for count in (1, 5, 14, 30, room)]


def pairs(room: int) -> list[FamilyText]:
    """Return pairs of several lengths, the last two of `room` words in all; neighbours share their first text."""
    generator = np.random.default_rng(2)
    lengths = ((2, 3), (9, 4), (5, 21), (room // 3, room - room // 3))
    made = []
    for first, second in lengths:
        text = _words(generator, first)
        made += [FamilyText(text, _words(generator, second)) for _ in range(2)]
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A head, what the harness makes rows with, and the same question to plain transformers."""

    head: Head
    #: The longest row and the texts -> rows by the harness's own featurizer.
    rows: Callable[[int, Sequence[FamilyText], FastTokenizer], list[Feature]]
    texts: Callable[[int], list[FamilyText]]
    #: Folder and one batch of a network's inputs -> the outputs of `head` by plain transformers.
    plain: Callable[[Path], Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]]


_LABELS = ("contradiction", "entailment", "neutral")
_TAGS = ("ADJ", "NOUN", "PUNCT", "VERB")
#: Hidden state of the sentence embedding: not the last one, so that layers are cut off.
LAYER = 2


def _make(featurizer: Featurizer[Any], examples: Sequence[Any], tokenizer: FastTokenizer) -> list[Feature]:
    return featurizer(examples, tokenizer)


def _pair_rows(longest: int, texts: Sequence[FamilyText], tokenizer: FastTokenizer) -> list[Feature]:
    examples = [PairExample(str(place), text.first, text.second or "", _LABELS[0]) for place, text in enumerate(texts)]
    return _make(PairFeaturizer(_LABELS, longest), examples, tokenizer)


def _choice_rows(longest: int, texts: Sequence[FamilyText], tokenizer: FastTokenizer) -> list[Feature]:
    examples = [
        ChoiceExample(str(place), one.first, "", (one.second or "", other.second or ""), 0)
        for place, (one, other) in enumerate(zip(texts[::2], texts[1::2], strict=True))
    ]
    return _make(ChoiceFeaturizer(longest), examples, tokenizer)


def _tag_rows(longest: int, texts: Sequence[FamilyText], tokenizer: FastTokenizer) -> list[Feature]:
    words = [tuple(text.first.split()) for text in texts]
    examples = [WordsExample(str(place), row, (_TAGS[0],) * len(row)) for place, row in enumerate(words)]
    return _make(WordsFeaturizer(_TAGS, longest), examples, tokenizer)


def _span_rows(longest: int, texts: Sequence[FamilyText], tokenizer: FastTokenizer) -> list[Feature]:
    examples = [QuestionExample(str(place), text.first, text.second or "", ()) for place, text in enumerate(texts)]
    return _make(WindowFeaturizer(max_tokens=longest), examples, tokenizer)


def _sentence_rows(longest: int, texts: Sequence[FamilyText], tokenizer: FastTokenizer) -> list[Feature]:
    examples = [SentenceExample(str(place), text.first, "query") for place, text in enumerate(texts)]
    return _make(SentenceFeaturizer(longest), examples, tokenizer)


def _dual_rows(longest: int, texts: Sequence[FamilyText], tokenizer: FastTokenizer) -> list[Feature]:
    examples = [SentenceExample(str(place), text.first, "query") for place, text in enumerate(texts)]
    return _make(DualFeaturizer(longest, longest), examples, tokenizer)


_Answer = Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]


def _plain_labels(folder: Path) -> _Answer:
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    return lambda inputs: {"logits": network(**inputs).logits}


def _plain_choice(folder: Path) -> _Answer:
    network = AutoModelForMultipleChoice.from_pretrained(folder).eval()
    # The rows are the choices of one example.
    return lambda inputs: {
        "logits": network(**{name: value[None] for name, value in inputs.items()}).logits.view(-1, 1)
    }


def _plain_tags(folder: Path) -> _Answer:
    network = AutoModelForTokenClassification.from_pretrained(folder).eval()
    return lambda inputs: {"logits": network(**inputs).logits}


def _plain_spans(folder: Path) -> _Answer:
    network = AutoModelForQuestionAnswering.from_pretrained(folder).eval()

    def answer(inputs: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        found = network(**inputs)
        return {"start_logits": found.start_logits, "end_logits": found.end_logits}

    return answer


def _plain_encoder(folder: Path) -> Any:
    with quiet():
        # It makes a pooler of its own where it has none, warns of that, and here nobody reads it.
        return AutoModel.from_pretrained(folder).eval()


def _plain_vectors(folder: Path) -> _Answer:
    network = _plain_encoder(folder)

    def answer(inputs: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        hidden = network(**inputs, output_hidden_states=True).hidden_states[LAYER]
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return {"embedding": mean / mean.norm(dim=1, keepdim=True)}

    return answer


def _plain_pooled(folder: Path) -> _Answer:
    network = _plain_encoder(folder)
    tensors = load_file(folder / "model.safetensors")
    (weight,), (bias,) = (
        [value for name, value in tensors.items() if name.endswith(f"pooler.dense.{kind}")]
        for kind in ("weight", "bias")
    )

    def answer(inputs: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        first = network(**inputs).last_hidden_state[:, 0]
        pooled = torch.tanh(first @ weight.T + bias)
        return {"embedding": pooled / pooled.norm(dim=1, keepdim=True)}

    return answer


CASES: Mapping[str, Case] = {
    "label": Case(head=SequenceClassification(_LABELS), rows=_pair_rows, texts=pairs, plain=_plain_labels),
    "choice": Case(head=ChoiceScore(), rows=_choice_rows, texts=pairs, plain=_plain_choice),
    "tags": Case(head=TokenClassification(_TAGS), rows=_tag_rows, texts=singles, plain=_plain_tags),
    "span": Case(head=SpanExtraction(), rows=_span_rows, texts=pairs, plain=_plain_spans),
    "vector": Case(head=SentenceEmbedding(layers={}), rows=_sentence_rows, texts=singles, plain=_plain_vectors),
    "dual": Case(head=DualEncoder(), rows=_dual_rows, texts=singles, plain=_plain_pooled),
}
#: Largest difference of an output that passes. Logits of these encoders lie between -4 and 4, values of vectors
#: between -1 and 1. Eight bits on 32 random values lose far more than on the 384 or 768 of a trained encoder; what
#: they cost there is the gate's business. Here they show that the graph is the right one.
TOLERANCES: Mapping[str, float] = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.3, "int8_block": 0.15}


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyCell:
    """One head of one family in one variant."""

    family: str
    head: str
    variant: str
    #: The largest absolute difference of any output at any token that is no padding; None where nothing was exported.
    difference: float | None
    #: Why it did not pass, or why the variant is refused; empty where it passed.
    reason: str = ""
    #: Whether the family says that this variant must not be made.
    refused: bool = False

    @property
    def passed(self) -> bool:
        """Return whether the graph answers as plain transformers does, or is rightly refused."""
        return not self.reason or self.refused

    def text(self) -> str:
        """Return what the table says."""
        if self.refused:
            return "refused"
        if self.difference is None:
            return "FAILED"
        return f"{self.difference:.1e}" + ("" if self.passed else " FAILED")


class Graphs:
    """The graphs of one family and head: fine-tuned, traced once, and compared with plain transformers."""

    def __init__(self, folder: Path, encoder: Path, name: str) -> None:
        """Put a fresh head on an encoder, save it as training does, and trace it.

        Args:
            folder: where its files go.
            encoder: a folder in the hub's layout.
            name: one of `CASES`.
        """
        self.case = CASES[name]
        self.folder = folder
        self.checkpoint = fine_tuned(folder / "checkpoint", encoder, self.case.head)
        self.loaded: Loaded = load_module(read_checkpoint(self.checkpoint), self.case.head)
        self.traced = folder / "fp32.onnx"
        write_graph(self.loaded.module, self.loaded.signature, self.traced)
        self.tokenizer = FastTokenizer(self.checkpoint / "tokenizer.json")
        longest = self.loaded.max_tokens
        self.texts = self.case.texts(longest - self._frame())
        self.features = self.case.rows(longest, self.texts, self.tokenizer)
        self.right = list(self._plain())

    def _frame(self) -> int:
        """Return how many special tokens a row of this head has."""
        if self.case.head.pairs:
            return len(self.tokenizer.pair([], []))
        extra = len(self.tokenizer.pair([], [])) - len(self.tokenizer.single([])) - 1
        return len(self.tokenizer.single([])) + extra * isinstance(self.case.head, TokenClassification)

    def _plain(self) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Yield what plain transformers answers for each text alone, without the rows axis."""
        answer = self.case.plain(self.checkpoint)
        frame = FRAMES.get(self.loaded.family.model_type, _BERT)
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(self.checkpoint / "tokenizer.json"), pad_token=frame.pad, sep_token=frame.separator
        )
        takes = {"input_ids", "attention_mask", *(["token_type_ids"] if self.loaded.family.token_types else [])}
        for text in self.texts:
            encoded = dict(tokenizer(text.first, text.second))
            if isinstance(self.case.head, TokenClassification) and "</s>" in frame.special:
                # XTREME's scripts end a tagged row of XLM-R with two separators.
                encoded["input_ids"] = [*encoded["input_ids"], tokenizer.sep_token_id]
                encoded["attention_mask"] = [*encoded["attention_mask"], 1]
            inputs = {name: torch.tensor([value]) for name, value in encoded.items() if name in takes}
            with torch.no_grad():
                yield {name: value[0].numpy() for name, value in answer(inputs).items()}

    def largest(self) -> int:
        """Return the tokens of the longest row."""
        return max(len(feature.input_ids) for feature in self.features)

    def compare(self, variant: str) -> FamilyCell:
        """Return how one variant's answers, rows alone and padded together, differ from plain transformers'."""
        family = self.loaded.family
        cell = FamilyCell(family=family.model_type, head="", variant=variant, difference=None)
        if variant in family.refused:
            return replace(cell, reason=family.refused[variant], refused=True)
        try:
            difference = self._difference(self._made(variant))
        except ArtifactError as error:
            return replace(cell, reason=str(error))
        allowed = TOLERANCES[variant]
        reason = "" if difference <= allowed else f"differs by {difference:.2g}, allowed {allowed:.2g}"
        return replace(cell, difference=difference, reason=reason)

    def _made(self, variant: str) -> Path:
        graph = self.traced
        for number, step in enumerate(VARIANTS[variant].steps):
            made = self.folder / f"{variant}-{number}.onnx"
            step(graph, made, self.loaded)
            graph = made
        return graph

    def _difference(self, graph: Path) -> float:
        def ask(features: Sequence[Feature]) -> Tensors:
            return endpoint.infer(pad_features(features, self.loaded.pad_id, endpoint.signature.inputs))

        with OnnxEndpoint(graph, threads=1) as endpoint:
            if endpoint.signature != self.loaded.signature:
                message = f"the graph has {endpoint.signature.describe()}, {self.loaded.signature.describe()} is right"
                raise ArtifactError(message)
            together = ask(self.features)
            found = 0.0
            for row, (feature, right) in enumerate(zip(self.features, self.right, strict=True)):
                alone = ask([feature])
                for name, expected in right.items():
                    for given in (alone[name][0], together[name][row][: len(expected)]):
                        if given.shape != expected.shape or not np.isfinite(given).all():
                            message = f"{name} has shape {given.shape} or NaN, {expected.shape} is right"
                            raise ArtifactError(message)
                        found = max(found, float(np.abs(given - expected).max()))
        return found


def fine_tuned(folder: Path, encoder: Path, head: Head, finetune: str = "tiny") -> Path:
    """Write a checkpoint as phase 3 leaves it, with a head that nothing trained, and return its folder.

    Args:
        folder: where it goes.
        encoder: a folder in the hub's layout.
        head: what it ends in.
        finetune: what it says it was trained for.
    """
    torch.manual_seed(3)
    model = build(head, load_encoder(encoder, tokenizer=encoder / "tokenizer.json"))
    own = f"{model.base_model_prefix}."
    parts = [] if model.base_model is model else list(model.named_parameters())
    with torch.no_grad():
        for name, value in parts:
            if not name.startswith(own) and value.dim() == 2:
                value.normal_(0.0, 0.2)

    def save(draft: Path) -> None:
        model.save_pretrained(draft)
        write_tokenizer(CheckpointSource(str(encoder)), draft / "tokenizer.json")

    account = {
        "phase": "target",
        "parents": {},
        "seen": {},
        "model": "tiny",
        "finetune": finetune,
        "head": describe(head),
        "retrieval_layer": LAYER,
        "recipe": {"name": "tiny"},
    }
    return write_checkpoint(folder, account, save).directory


def cells(names: Sequence[str], heads: Sequence[str], variants: Sequence[str], folder: Path) -> Iterator[FamilyCell]:
    """Yield every cell of the table.

    Args:
        names: families, by `model_type`.
        heads: of `CASES`.
        variants: of `exporters.variants.VARIANTS`.
        folder: where files go.
    """
    for name in names:
        encoder = tiny_encoder(folder / name, name)
        for head in heads:
            try:
                graphs = Graphs(folder / f"{name}-{head}", encoder, head)
            except HarnessError as error:
                yield from (
                    FamilyCell(family=name, head=head, variant=variant, difference=None, reason=str(error))
                    for variant in variants
                )
                continue
            yield from (replace(graphs.compare(variant), head=head) for variant in variants)


def table(found: Sequence[FamilyCell]) -> Table:
    """Return one row for each family and head, one column for each variant."""
    variants = list(dict.fromkeys(cell.variant for cell in found))
    by_row = {(cell.family, cell.head): {} for cell in found}  # type: dict[tuple[str, str], dict[str, str]]
    for cell in found:
        by_row[cell.family, cell.head][cell.variant] = cell.text()
    return Table(
        "largest difference from plain transformers; rows alone and padded, 3 tokens to the longest",
        ["family, head", *(f"{variant} (allowed {TOLERANCES[variant]:g})" for variant in variants)],
        [
            [f"{family}, {head}", *(row.get(variant, EMPTY) for variant in variants)]
            for (family, head), row in by_row.items()
        ],
    )


def notes(found: Sequence[FamilyCell]) -> list[str]:
    """Return one line for each reason, with the cells that it belongs to."""
    reasons: dict[str, list[str]] = {}
    for cell in found:
        if cell.reason:
            where = f"{cell.family}, {cell.variant}" if cell.refused else f"{cell.family}, {cell.head}, {cell.variant}"
            reasons.setdefault(f"{'refused' if cell.refused else 'FAILED'}: {cell.reason}", []).append(where)
    return [f"{'; '.join(dict.fromkeys(places))}: {reason}" for reason, places in reasons.items()]


def _chosen(given: str, known: Sequence[str], what: str) -> list[str]:
    names = [name.strip() for name in given.split(",") if name.strip()] or list(known)
    for name in names:
        if name not in known:
            message = f"no {what} {name!r}{nearest(name, known)}; there is {', '.join(known)}"
            raise UsageError(message)
    return names


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="harness bench families", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--families", default="", help="comma-separated; all where left out")
    parser.add_argument("--heads", default="", help=f"of {', '.join(CASES)}; all where left out")
    parser.add_argument("--variants", default="", help=f"of {', '.join(TOLERANCES)}; all where left out")
    parser.add_argument("--markdown", type=Path, help="write the table there, for documents")
    parser.add_argument("--json", type=Path, help="write every cell there")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, print the table, and end with 1 where a cell did not pass."""
    options = parse(arguments)
    names = _chosen(options.families, list(families()), "family")
    heads = _chosen(options.heads, list(CASES), "head")
    variants = _chosen(options.variants, list(TOLERANCES), "variant")
    torch.set_num_threads(1)
    begin, found = time.perf_counter(), []
    with tempfile.TemporaryDirectory(prefix="families-") as folder:
        total = len(names) * len(heads) * len(variants)
        with Terminal().step("families", total, "graphs") as advance:
            for cell in cells(names, heads, variants, Path(folder)):
                found.append(cell)
                advance(1)
    seconds = time.perf_counter() - begin
    lines = [*notes(found), f"{len(found)} graphs in {seconds:.0f} s, transformers {transformers.__version__}"]
    print(table(found).text())
    print("\n".join(lines))
    if options.markdown is not None:
        options.markdown.write_text(
            "\n".join([table(found).markdown(), "", *(f"* {line}" for line in lines)]) + "\n", encoding="utf-8"
        )
    if options.json is not None:
        write_json(options.json, [_to_json(cell) for cell in found])
    if not all(cell.passed for cell in found):
        raise SystemExit(1)


def _to_json(cell: FamilyCell) -> dict[str, Any]:
    return {
        "family": cell.family,
        "head": cell.head,
        "variant": cell.variant,
        "difference": cell.difference,
        "refused": cell.refused,
        "passed": cell.passed,
        "reason": cell.reason,
    }


if __name__ == "__main__":
    raise SystemExit(guarded(main))
