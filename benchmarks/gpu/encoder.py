"""XLM-R large's shape on one device: the exported graph through the harness's endpoint, beside PyTorch.

The weights are random, hence there is no score, and no speed before the answers are those of PyTorch in fp32.
Both sides get the same batches, those of the harness's planner. In the clock: rows into padded batches, host to
device, the network, device to host. Shares of the peak count the operations of unpadded tokens only
(`benchmarks.contenders.baseshape.cost`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import XLMRobertaForSequenceClassification

from benchmarks.contenders.baseshape import apply_steps, configuration, cost
from benchmarks.core.rows import Row, Side, less_row, peak_row, rate_row
from benchmarks.core.timing import Function, alternate
from benchmarks.gpu.lengths import LENGTHS, PAD, SEED, random_rows, spread, spread_tokens
from benchmarks.gpu.peak import peak_of
from benchmarks.gpu.session import GpuSession, GpuSettings, WrongAnswers, memory_growth
from exporters.modules import HeadModule, Labels, Loaded
from exporters.onnx import write_graph
from exporters.variants import VARIANTS
from harness.core.heads import SequenceClassification
from harness.core.tensors import Tensors, pad
from harness.inference.endpoints.onnx import Device, Kind, OnnxEndpoint
from harness.inference.planner import Batch, BatchPlanner
from training.encoders.networks import networks_of

Infer: TypeAlias = Callable[[Tensors], Tensors]
TokenRows: TypeAlias = Sequence[NDArray[np.int64]]

UNIT = "useful tokens/s"
#: More labels than any task has, so that a row's logits are a vector whose direction shows an error.
HEAD = SequenceClassification(tuple(str(number) for number in range(64)))
#: The least cosine with PyTorch in fp32 of a right network in each precision, see `least_cosine`. In XLM-R large's
#: shape, PyTorch on a CPU kept 0.99994 in float16 and 0.9957 in bfloat16; one query matrix of 24 transposed left
#: 0.9985, one matrix of a feed-forward part half as large again 0.30, no mask 0.33.
COSINE_AT_LEAST = {"float16": 0.9995, "bfloat16": 0.99, "float32": 0.99999}
#: Rows of the check for each distribution of lengths.
CHECKED_ROWS = 16
#: Widths are a multiple of these in turn: tensor cores like multiples of 8, and short rows pad less without.
MULTIPLES = (1, 8)
#: Rows of a batch at most; width of the full batch whose memory is measured.
MAX_ROWS, FULL_WIDTH = 4096, 384


@dataclass(frozen=True, slots=True)
class GraphKind:
    """A graph and where it is computed."""

    variant: str
    provider: Kind
    #: Of its products, one of `benchmarks.gpu.peak.PRECISIONS`.
    precision: str
    #: What the project promises in process: speed over PyTorch's bf16, and share of the peak of products.
    ratio_at_least: float | None = None
    share_at_least: float | None = None


#: What `onnx:cuda` gets, and `onnx:tensorrt`, which has no operator for the fused attention of fp16
#: and builds its engines in the warm-up.
CUDA, TENSORRT = GraphKind("fp16", "cuda", "float16", 1.1, 0.45), GraphKind("fp32", "tensorrt", "float32")


@dataclass(frozen=True, slots=True)
class EncoderSide:
    """One side: its name in rows, how it answers a padded batch, and the precision of its products."""

    name: str
    infer: Infer
    precision: str


def measure(session: GpuSession, kind: GraphKind) -> list[Row]:
    """Return memory, speed beside PyTorch and shares of the peak, for each distribution of lengths.

    Raises:
        EndpointError: the provider is not there.
        UsageError: the environment does not switch TensorRT's TF32 off.
        ArtifactError: some layer's attention was not fused.
        WrongAnswers: a side differs from PyTorch in fp32.
    """
    settings, device = session.settings, session.settings.device
    torch.backends.cuda.matmul.allow_tf32 = False
    module = random_module(settings, "eager")
    lengths = [length for quantiles in LENGTHS.values() for length in spread(quantiles, CHECKED_ROWS)]
    rows = random_rows(lengths, settings.vocabulary)
    if device == "cpu":
        # A smoke run promises nothing.
        kind = replace(kind, provider="cpu", ratio_at_least=None, share_at_least=None)
    with TemporaryDirectory(prefix="harness-gpu-") as folder:
        graph = export(module, settings, kind.variant, Path(folder))
        with OnnxEndpoint(graph, device=Device(kind.provider)) as endpoint:
            ours = EncoderSide(f"{endpoint.backend}, {kind.variant}", endpoint.infer, kind.precision)
            fused = on_device(random_module(settings, "sdpa"), device, torch.bfloat16)
            theirs = EncoderSide("PyTorch, SDPA, bf16", fused, "bfloat16")
            found = [memory_row(settings, ours, theirs)]
            alone = [Batch((number,), len(row)) for number, row in enumerate(rows)]
            reference = logits_of(on_device(module, device, torch.float32), rows, alone)
            session.notes += [check(side, rows, reference) for side in (ours, theirs)]
            for name, quantiles in LENGTHS.items():
                work = random_rows(spread_tokens(quantiles, settings.tokens), settings.vocabulary)
                found += race(session, kind, name, work, (ours, theirs))
    return found


# The network


def random_module(settings: GpuSettings, attention: str) -> Labels:
    """Return a network of random weights, the same at every call; attention is eager, as exporters load it, or sdpa."""
    torch.manual_seed(SEED)
    config = configuration(settings.shape, settings.vocabulary)
    config._attn_implementation = attention
    config.num_labels = len(HEAD.labels)
    return Labels(XLMRobertaForSequenceClassification(config)).eval()


def export(module: Labels, settings: GpuSettings, variant: str, folder: Path) -> Path:
    """Return a variant of the network's graph, made as `harness export` makes it.

    Raises:
        ArtifactError: some layer's attention was not fused.
    """
    shape = settings.shape
    family = networks_of(module.config.model_type).family
    loaded = Loaded(
        module=module,
        family=family,
        signature=HEAD.signature(shape.width),
        products=family.products(module.config.to_dict()),
        hidden=shape.width,
        layers=shape.layers,
        vocabulary=settings.vocabulary,
        pad_id=PAD,
        max_tokens=shape.positions - PAD - 1,
        retrieval_layer=None,
    )
    write_graph(module, HEAD.signature(shape.width), folder / "fp32.onnx")
    return apply_steps(VARIANTS[variant], folder / "fp32.onnx", folder, loaded)


def on_device(module: HeadModule, device: str, dtype: torch.dtype) -> Infer:
    """Return how a module answers a batch that comes from the host and goes back to it."""
    module = module.to(device=device, dtype=dtype)

    def infer(inputs: Tensors) -> Tensors:
        with torch.inference_mode():
            answers = module(**{name: torch.from_numpy(value).to(device) for name, value in inputs.items()})
            return {name: value.float().cpu().numpy() for name, value in answers.items()}

    return infer


def logits_of(infer: Infer, rows: TokenRows, batches: Sequence[Batch]) -> NDArray[np.float32]:
    """Return the logits of every row (rows, labels), in their order."""
    answers = [infer(pad([rows[row] for row in batch.rows], PAD, batch.width))["logits"] for batch in batches]
    found = np.empty((len(rows), answers[0].shape[1]), dtype=np.float32)
    for batch, answer in zip(batches, answers, strict=True):
        found[list(batch.rows)] = answer
    return found


def planned(settings: GpuSettings, rows: TokenRows, multiple: int) -> list[Batch]:
    """Return the batches of the harness's planner."""
    planner = BatchPlanner(max_tokens=settings.budget, max_rows=MAX_ROWS, multiple=multiple)
    return planner.plan([len(row) for row in rows])


# Answers


def check(side: EncoderSide, rows: TokenRows, reference: NDArray[np.float32]) -> str:
    """Return how near a side's logits of some rows are to the reference (rows, labels), in words.

    Raises:
        WrongAnswers: they are farther off than the precision explains.
    """
    # All in one batch, so that most of it is padding, and a mask that is not heeded shows.
    together = Batch(tuple(range(len(rows))), max(len(row) for row in rows))
    cosine = least_cosine(reference, logits_of(side.infer, rows, [together]))
    least = COSINE_AT_LEAST[side.precision]
    # A cosine that is not a number is wrong too.
    if not cosine >= least:
        message = (
            f"{side.name} differs from PyTorch in fp32: the least cosine of {len(rows)} rows is {cosine:.4f}, and "
            f"{side.precision} keeps at least {least}; its speed was not measured"
        )
        raise WrongAnswers(message)
    return f"{side.name}: the least cosine of {len(rows)} rows with PyTorch in fp32 is {cosine:.5f}"


def least_cosine(reference: NDArray[np.float32], logits: NDArray[np.float32]) -> float:
    """Return the least cosine of a row's logits with its reference, both (rows, labels); NaN where one is not finite.

    Logits of random weights have most in common, and hence a cosine near 1 whatever is wrong, so the
    reference's mean is taken off both sides first.
    """
    right, given = (side.astype(np.float64) - reference.mean(axis=0) for side in (reference, logits))
    lengths = np.linalg.norm(right, axis=1) * np.linalg.norm(given, axis=1)
    return float(((right * given).sum(axis=1) / np.maximum(lengths, 1e-30)).min())


# Rows


def memory_row(settings: GpuSettings, ours: EncoderSide, theirs: EncoderSide) -> Row:
    """Return by how much the first full batch lets the device's memory grow; the weights are there before."""
    batch = random_rows([FULL_WIDTH] * max(1, settings.budget // FULL_WIDTH), settings.vocabulary)
    inputs = pad(batch, PAD)
    grown = {side.name: memory_growth(settings.device, partial(side.infer, inputs)) for side in (ours, theirs)}
    # A smoke run may find the memory that it needs free already.
    first, second = (max(grown[side.name], 1) / 2**30 for side in (ours, theirs))
    work = f"memory that {len(batch)} x {FULL_WIDTH} tokens take beside the weights, {ours.name}"
    return less_row(work, "GiB", first, theirs.name, second, bytes=grown)


def race(
    session: GpuSession, kind: GraphKind, name: str, rows: TokenRows, sides: tuple[EncoderSide, EncoderSide]
) -> list[Row]:
    """Return the speed of the first side over the second's for each multiple, and the share of the peak of the best."""
    settings, ours = session.settings, sides[0]
    useful = sum(len(row) for row in rows)
    operations = cost(settings.shape, settings.shape.layers, [(1, len(row)) for row in rows]).operations
    work = f"{name}'s lengths, {settings.shape.describe()}, random weights, {ours.name}"
    found, best = [], 0.0
    for multiple in MULTIPLES:
        batches = planned(settings, rows, multiple)
        contenders = [Function(side.name, partial(logits_of, side.infer, rows, batches)) for side in sides]
        timings = alternate(contenders, warmup=1, repeats=settings.repeats)
        rates = {side.name: useful / timings[side.name].median for side in sides}
        best = max(best, rates[ours.name])
        found.append(
            rate_row(
                f"{work}, widths a multiple of {multiple}",
                useful,
                UNIT,
                *(Side(side.name, timings[side.name], None) for side in sides),
                target=kind.ratio_at_least,
                padding=round(sum(batch.padded_tokens for batch in batches) / useful, 4),
                rows=len(rows),
                batches=len(batches),
                share_of_peak={
                    side.name: rates[side.name] * operations / useful / peak_of(session, side.precision)
                    for side in sides
                },
            )
        )
    session.fastest = max(session.fastest, best)
    peak, how = peak_of(session, kind.precision), f"peak of {kind.precision} products"
    done = best * operations / useful
    return [*found, peak_row(f"share of the peak: {work}", done, peak, how, target=kind.share_at_least)]
