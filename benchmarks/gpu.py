"""The chain on one NVIDIA GPU: matmul peak, an XLM-R-large graph, PyTorch beside it, tokenization, nearest neighbours.

::

    python benchmarks/gpu.py                                    every stage
    python benchmarks/gpu.py --stage graph --stage torch --json FILE
    python benchmarks/gpu.py --stage tokenize --tokenizer tokenizer.json --texts FILE
    python benchmarks/gpu.py --cpu-smoke                        everything tiny, on the CPU

One file that needs nothing of the project: torch, transformers, onnx, onnxruntime-gpu, numpy, tokenizers
and faiss, of which it uses what is there, and names what it leaves out and why. A stage that is asked for by
name and cannot run is exit code 2; answers that are wrong are exit code 1, and no speed is printed for them.

The network has XLM-R large's shape (24 layers, 1,024 wide, 16 heads, 4,096 in the feed-forward part) and
random weights, hence no score. Its vocabulary is cut to 8,192, ids are taken modulo that: the whole embedding
table costs no operations, but with it the fp32 graph exceeds the 2 GiB of one ONNX file.

Shares are of the matmul peak that is measured first, and count useful operations only, those of unpadded
tokens. A row of n tokens costs

    layers x (n x (8 hidden^2 + 4 hidden feed_forward) + 4 hidden n^2)

operations: two for each product and sum, in query, key, value and output (4 hidden^2 weights), in the
feed-forward part (2 hidden feed_forward weights), and in attention's two products of n x n. Layer norms,
softmax, Gelu, the embeddings and the head count nothing. Padding is work that counts for nothing.

In the clock of `graph` and `torch`: rows into padded batches, host to device, the network, device to host.
"""

import argparse
import contextlib
import json
import logging
import os
import platform
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Row: TypeAlias = dict[str, Any]
Ids: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]

#: XLM-R's ids: padding, and the first one that is a piece of text.
PAD, FIRST_PIECE = 1, 3
#: Classes of the random head: with more than two or three, an argmax near a tie is common enough to be seen.
CLASSES = 16
SEED = 0
#: What the project promises in process: share of the matmul peak, and speed over PyTorch's bf16.
SHARE_AT_LEAST, RATIO_AT_LEAST = 0.45, 1.1
#: What a right network keeps in each precision, see `compare`. In XLM-R large's shape with these weights, PyTorch on
#: a CPU kept 0.99998 in float16 and 0.9988 in bfloat16; one query matrix of 24 transposed left 0.997, one matrix of
#: a feed-forward part half as large again 0.64, one layer left out 0.11, no mask 0.05.
COSINE_AT_LEAST: Mapping[str, float] = {"float16": 0.9995, "bfloat16": 0.99}
#: Rows of the parity check for each length distribution.
PARITY_ROWS = 16
#: Neighbours of BUCC's mining, and those that are fetched in fp16 to be ordered in fp32.
NEIGHBOURS, FETCHED = 4, 16
#: Queries that are searched once more, in fp32 against all candidates.
CHECKED = 64
#: fp32 sums of a thousand products differ by less.
TIE = 1e-5
#: Products of a query whose largest is looked at first, in `best_of`.
GROUP = 64

#: Quantiles of the token counts of real inputs, read by XLM-R's tokenizer: shares of the rows, and the tokens,
#: specials included, that as many rows do not exceed. Counted on the benchmark's own files: XNLI's test pairs in 15
#: languages (6,000 of 75,150, evenly spread; mean 46.7), both sides of Tatoeba in the 41 languages of XTREME and
#: XTREME-R (73,384; mean 11.1), XQuAD's windows of at most 384 tokens in 12 languages (15,877; mean 235.7).
SHARES = (*(place / 32 for place in range(32)), 63 / 64, 127 / 128, 255 / 256, 1023 / 1024, 1.0)
LENGTHS: Mapping[str, tuple[int, ...]] = {
    name: tuple(int(length) for length in quantiles.split())
    for name, quantiles in (
        (
            "XNLI",
            "10 20 23 25 28 30 32 33 35 36 38 39 40 42 43 44 46 47 48 50 51 53 54 56 58 59 61 63 66 68 72 79 "
            "84 90 94 103 122",
        ),
        (
            "Tatoeba",
            "4 6 7 7 7 8 8 8 8 9 9 9 9 9 10 10 10 10 11 11 11 11 12 12 13 13 14 14 15 16 18 21 24 29 34 46 164",
        ),
        (
            "XQuAD",
            "47 103 128 140 148 155 160 167 172 179 184 190 195 201 207 213 219 226 235 244 255 264 275 285 296 307 "
            "321 337 359 384 384 384 384 384 384 384 384",
        ),
    )
}


class Mistake(Exception):
    """What a user asked for cannot be done: one sentence, exit code 2."""


class Left(Exception):
    """A stage, or a part of one, that is left out on this machine, and why."""


class Wrong(Exception):
    """Answers that are not right: their speed means nothing."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an encoder."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int

    def flops(self, lengths: Ids) -> float:
        """Return the useful operations of rows of so many tokens; see the module's docstring."""
        tokens, squares = float(lengths.sum()), float((lengths.astype(np.float64) ** 2).sum())
        weights = 8 * self.hidden**2 + 4 * self.hidden * self.feed_forward
        return self.layers * (tokens * weights + 4 * self.hidden * squares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How large everything is."""

    device: str
    shape: Shape
    #: Padded tokens of a batch at most.
    budget: int
    #: What a batch's width is a multiple of, each tried in turn: tensor cores like multiples of 8, and short rows
    #: pad less without.
    granularities: tuple[int, ...]
    #: Useful tokens of a distribution; None: what takes about three seconds at 40 % of the peak.
    tokens: int | None
    repeats: int
    #: Side of the square matrices whose product is the peak, and bytes of the copy that is the bandwidth.
    sides: tuple[int, ...]
    copied: int
    #: Seconds that a peak is measured for, each side.
    seconds: float
    #: Queries, and candidates, of the nearest neighbours; and their dimension.
    sentences: int
    dimension: int
    #: Queries and candidates whose products are computed together.
    block: tuple[int, int]
    sentences_to_read: int


GPU = Settings(
    device="cuda",
    shape=Shape(24, 1024, 16, 4096, 8192),
    budget=32_768,
    granularities=(1, 8),
    tokens=None,
    repeats=3,
    sides=(4096, 8192, 16_384),
    copied=2**30,
    seconds=0.5,
    sentences=400_000,
    dimension=1024,
    block=(8192, 65_536),
    sentences_to_read=50_000,
)
#: Everything at once in a few seconds, to see that it runs; its speeds mean nothing.
SMOKE = Settings(
    device="cpu",
    shape=Shape(2, 64, 4, 256, 512),
    budget=1024,
    granularities=(1, 8),
    tokens=3000,
    repeats=2,
    sides=(256,),
    copied=2**22,
    seconds=0.05,
    sentences=2000,
    dimension=64,
    block=(512, 768),
    sentences_to_read=500,
)


@dataclass(slots=True)
class Run:
    """What is asked for, and what was found so far."""

    settings: Settings
    tokenizer: Path | None = None
    texts: Path | None = None
    rows: list[Row] = field(default_factory=list)
    skipped: list[Row] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)
    bandwidth: float | None = None

    def row(self, stage: str, work: str, value: float, unit: str, **details: object) -> None:
        """Keep and print one figure."""
        self.rows.append({"stage": stage, "work": work, "value": value, "unit": unit, **details})
        shown = ", ".join(f"{name} {_told(detail)}" for name, detail in details.items() if name != "seconds")
        print(f"{stage:9} {work:72} {_told(value):>12} {unit:11} {shown}", flush=True)

    def skip(self, stage: str, reason: str) -> None:
        """Keep and print what is left out."""
        self.skipped.append({"stage": stage, "reason": reason})
        print(f"{stage:9} left out: {reason}", flush=True)

    def fail(self, reason: str) -> None:
        """Keep and print what is wrong."""
        self.wrong.append(reason)
        print(f"WRONG     {reason}", file=sys.stderr, flush=True)


def _told(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"


# What is there


def need(name: str) -> Any:
    """Return a package's module.

    Raises:
        Left: it cannot be imported.
    """
    try:
        return __import__(name, fromlist=["_"])
    except ImportError as error:
        message = f"{name} cannot be imported ({str(error).splitlines()[0]}); `pip install {name.partition('.')[0]}`"
        raise Left(message) from error


def need_torch(device: str) -> Any:
    """Return torch, with TF32 off wherever it could be on.

    Raises:
        Left: torch, or the GPU, is not there.
    """
    torch = need("torch")
    if device == "cuda" and not torch.cuda.is_available():
        message = "torch sees no CUDA device; see `nvidia-smi`, or try everything with `--cpu-smoke`"
        raise Left(message)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch


def _synchronize(torch: Any, device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


# Peak


def peak(run: Run) -> None:
    """Measure what the device reaches in a product of large square matrices, and in a copy."""
    torch, settings = need_torch(run.settings.device), run.settings
    for name in ("float16", "bfloat16"):
        rates = {side: _matmul_rate(torch, settings, getattr(torch, name), side) for side in settings.sides}
        side = max(rates, key=rates.__getitem__)
        run.peaks[name] = rates[side]
        run.row("peak", f"{name} matmul, best of {len(rates)} sizes", rates[side] / 1e12, "TFLOP/s", side=side)
    source = torch.zeros(settings.copied, dtype=torch.uint8, device=settings.device)
    target = torch.empty_like(source)
    seconds = _seconds_of(torch, settings, lambda: target.copy_(source))
    # Read once and written once.
    run.bandwidth = 2 * settings.copied / seconds
    run.row("peak", "copy, bytes read and written", run.bandwidth / 1e9, "GB/s")


def _matmul_rate(torch: Any, settings: Settings, dtype: Any, side: int) -> float:
    generator = torch.Generator(settings.device).manual_seed(SEED)
    first, second = (torch.randn(side, side, generator=generator, device=settings.device).to(dtype) for _ in range(2))
    result = torch.empty(side, side, dtype=dtype, device=settings.device)
    return 2 * float(side) ** 3 / _seconds_of(torch, settings, lambda: torch.matmul(first, second, out=result))


def _seconds_of(torch: Any, settings: Settings, work: Callable[[], object]) -> float:
    """Return the seconds of one call, from as many calls without a pause as fill the time."""
    calls = 1
    work()
    while True:
        _synchronize(torch, settings.device)
        begin = perf_counter()
        for _ in range(calls):
            work()
        _synchronize(torch, settings.device)
        seconds = perf_counter() - begin
        if seconds >= settings.seconds:
            return seconds / calls
        calls *= 2


def _peak_of(run: Run, dtype: str) -> float:
    if dtype not in run.peaks:
        peak(run)
    return run.peaks[dtype]


# Rows and batches


class Rows(NamedTuple):
    """Token ids of many rows, one after the other."""

    name: str
    ids: Ids
    #: (rows,)
    lengths: Ids
    starts: Ids


class Batch(NamedTuple):
    """Rows by number, and the width that they are padded to."""

    rows: Ids
    width: int


def make_rows(name: str, lengths: Ids, vocabulary: int, ids: Ids | None = None) -> Rows:
    """Return rows of such lengths: of random pieces, or of given ids modulo the vocabulary."""
    if ids is None:
        ids = np.random.default_rng(SEED).integers(FIRST_PIECE, vocabulary, int(lengths.sum()))
    else:
        # No piece of text may become padding.
        ids = FIRST_PIECE + ids % (vocabulary - FIRST_PIECE)
    return Rows(name, ids, lengths, np.cumsum(lengths) - lengths)


def draw(quantiles: Sequence[int], tokens: int) -> Ids:
    """Return lengths that are spread evenly over a distribution, about so many tokens together."""
    mean = float(np.interp((np.arange(4096) + 0.5) / 4096, SHARES, quantiles).mean())
    count = max(8, round(tokens / mean))
    return np.interp((np.arange(count) + 0.5) / count, SHARES, quantiles).round().astype(np.int64)


def plan(lengths: Ids, budget: int, granularity: int) -> list[Batch]:
    """Return batches of rows of like lengths, longest first, none with more padded tokens than the budget.

    A row that is longer than the budget is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        width = -(-int(lengths[order[start]]) // granularity) * granularity
        rows = order[start : start + max(1, budget // width)]
        batches.append(Batch(rows, width))
        start += len(rows)
    return batches


def padded(rows: Rows, batch: Batch) -> tuple[Ids, Ids]:
    """Return ids and attention mask of a batch, both (rows, width)."""
    columns = np.arange(batch.width)
    mask = columns < rows.lengths[batch.rows, None]
    places = np.where(mask, rows.starts[batch.rows, None] + columns, 0)
    return np.where(mask, rows.ids[places], PAD), mask.astype(np.int64)


def _distributions(run: Run, tokens: int) -> Iterator[Rows]:
    vocabulary = run.settings.shape.vocabulary
    if run.texts is None:
        for name, quantiles in LENGTHS.items():
            yield make_rows(name, draw(quantiles, tokens), vocabulary)
        return
    read = _tokenizer(run).encode_batch(_texts(run.texts))
    # XLM-R has no positions beyond.
    whole = [np.array(each.ids[:512], dtype=np.int64) for each in read]
    kept, count = [], 0
    for number in np.random.default_rng(SEED).permutation(len(whole)):
        kept.append(whole[number])
        count += len(whole[number])
        if count >= tokens:
            break
    lengths = np.array([len(ids) for ids in kept], dtype=np.int64)
    yield make_rows(run.texts.name, lengths, vocabulary, np.concatenate(kept))


def _texts(path: Path) -> list[str]:
    try:
        texts = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeError) as error:
        message = f"{path} cannot be read ({error}); `--texts` wants a UTF-8 file with a text on each line"
        raise Mistake(message) from error
    if not texts:
        message = f"{path} has no text; `--texts` wants one on each line"
        raise Mistake(message)
    return texts


# The networks


class Engine(Protocol):
    """A network that answers."""

    name: str
    #: Of its products, a key of `Run.peaks`.
    dtype: str
    #: What a reader has to know besides.
    details: dict[str, object]

    def answer(self, ids: Ids, mask: Ids) -> tuple[Floats, Floats]:
        """Return embeddings (rows, hidden) and logits (rows, classes) of one padded batch, on the host."""
        ...


def network(shape: Shape, attention: str, device: str) -> Any:
    """Return the random network in fp32: mean-pooled embeddings, and a linear head on them.

    Args:
        shape: sizes.
        attention: transformers' name of an implementation, eager or sdpa; the weights are the same.
        device: where it is made and lies; the weights are the same each time on the same one.
    """
    torch, transformers = need("torch"), need("transformers")

    class Encoder(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            config = transformers.XLMRobertaConfig(
                vocab_size=shape.vocabulary,
                hidden_size=shape.hidden,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                intermediate_size=shape.feed_forward,
                max_position_embeddings=514,
                type_vocab_size=1,
                layer_norm_eps=1e-5,
                attn_implementation=attention,
            )
            self.network = transformers.XLMRobertaModel(config, add_pooling_layer=False)
            self.head = torch.nn.Linear(shape.hidden, CLASSES)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            attended = attention_mask.unsqueeze(-1).to(hidden.dtype)
            embedding = (hidden * attended).sum(dim=1) / attended.sum(dim=1)
            return embedding, self.head(embedding)

    torch.manual_seed(SEED)
    # To draw 300 million weights takes a CPU half a minute.
    with torch.device(device):
        made = Encoder().eval()
    # Embeddings of a random network have a large part in common, which would decide every argmax alike.
    probe = make_rows("probe", np.full(32, 24, dtype=np.int64), shape.vocabulary)
    with torch.inference_mode():
        inputs = (torch.from_numpy(each).to(device) for each in padded(probe, Batch(np.arange(32), 24)))
        common = made(*inputs)[1].mean(dim=0)
    with torch.no_grad():
        made.head.bias -= common.clone()
    return made


class TorchEngine:
    """PyTorch, on batches that are the same as the graph's."""

    def __init__(self, module: Any, device: str, dtype: str, name: str) -> None:
        self._torch = need_torch(device)
        self._device = device
        self._module = module.to(device=device, dtype=getattr(self._torch, dtype))
        self.name, self.dtype = name, dtype
        self.details: dict[str, object] = {"tf32": "off"}

    def answer(self, ids: Ids, mask: Ids) -> tuple[Floats, Floats]:
        """See `Engine`."""
        with self._torch.inference_mode():
            answers = self._module(*(self._torch.from_numpy(each).to(self._device) for each in (ids, mask)))
            embedding, logits = (each.float().cpu().numpy() for each in answers)
        return embedding, logits


class OnnxEngine:
    """ONNX Runtime with inputs and outputs bound to the device's memory."""

    def __init__(self, graph: Path, device: str, name: str) -> None:
        self._ort, self._device = need("onnxruntime"), device
        provider = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}[device]
        if provider not in self._ort.get_available_providers():
            message = f"onnxruntime {self._ort.__version__} has no {provider}; `pip install onnxruntime-gpu`"
            raise Left(message)
        options = self._ort.SessionOptions()
        # Every (rows, width) is a new shape, and the pattern of each would be kept.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        # Its fp32 products would use TF32 by default, unlike PyTorch's (onnxruntime#19357).
        choices = [(provider, {"device_id": "0", "use_tf32": "0"} if device == "cuda" else {})]
        self._session = self._ort.InferenceSession(str(graph), options, providers=choices, enable_fallback=0)
        found = self._session.get_providers()
        if found[0] != provider:
            message = f"onnxruntime {self._ort.__version__} opened the graph with {found[0]} instead of {provider}"
            raise Left(message)
        self.name, self.dtype = name, "float16"
        self.details: dict[str, object] = {"tf32": "off", "provider": provider, "onnxruntime": self._ort.__version__}
        if device == "cpu":
            self.details["computed_in"] = "float32: the CPU provider casts what it has no fp16 kernel for"

    def answer(self, ids: Ids, mask: Ids) -> tuple[Floats, Floats]:
        """See `Engine`."""
        binding = self._session.io_binding()
        for name, value in (("input_ids", ids), ("attention_mask", mask)):
            binding.bind_ortvalue_input(name, self._ort.OrtValue.ortvalue_from_numpy(value, self._device, 0))
        for name in ("embedding", "logits"):
            binding.bind_output(name, self._device, 0)
        self._session.run_with_iobinding(binding)
        embedding, logits = binding.copy_outputs_to_cpu()
        return embedding, logits


def export(module: Any, path: Path) -> None:
    """Write the network as an fp32 ONNX graph with dynamic rows and tokens."""
    torch = need("torch")
    ids = torch.randint(FIRST_PIECE, 100, (2, 9), generator=torch.Generator().manual_seed(SEED))
    mask = torch.ones_like(ids)
    # The second row is shorter, so that the trace has a mask that masks.
    ids[1, 6:], mask[1, 6:] = PAD, 0
    axes = {name: {0: "rows", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    axes |= {name: {0: "rows"} for name in ("embedding", "logits")}
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            module,
            (ids, mask),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["embedding", "logits"],
            dynamic_axes=axes,
            opset_version=18,
            # The patterns that ONNX Runtime fuses are those of this exporter.
            dynamo=False,
        )


def fuse(source: Path, target: Path, shape: Shape) -> None:
    """Fuse attention, layer norms and Gelu into ONNX Runtime's operators, and convert to fp16.

    Raises:
        Left: some layer's attention was not fused, as happens with other versions of transformers.
    """
    optimizer = need("onnxruntime.transformers.optimizer")
    with _quiet():
        model = optimizer.optimize_model(
            str(source),
            model_type="bert",
            num_heads=shape.heads,
            hidden_size=shape.hidden,
            opt_level=0,
            use_gpu=True,
        )
        fused = model.get_fused_operator_statistics()["Attention"]
        if fused != shape.layers:
            message = f"attention of {fused} layers was fused, the graph has {shape.layers}; take transformers 4.57"
            raise Left(message)
        model.convert_float_to_float16(keep_io_types=True)
        model.save_model_to_file(str(target))


def pack(source: Path, target: Path, shape: Shape) -> None:
    """Replace attention by attention over the unpadded tokens only, which ONNX Runtime has for CUDA alone.

    Raises:
        Left: it was not replaced in every layer.
    """
    onnx, tools = need("onnx"), Path(need("onnxruntime.transformers").__file__).parent
    # The converter imports its neighbours by their bare names.
    sys.path.insert(0, str(tools))
    try:
        with _quiet():
            mode = need("onnxruntime.transformers.convert_to_packing_mode").PackingMode
            model = need("onnxruntime.transformers.onnx_model").OnnxModel(onnx.load(source))
            mode(model).convert()
            model.save_model_to_file(str(target))
    finally:
        sys.path.remove(str(tools))
    packed = sum(node.op_type == "PackedAttention" for node in model.model.graph.node)
    if packed != shape.layers:
        message = f"attention of {packed} layers was packed, the graph has {shape.layers}"
        raise Left(message)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Mute remarks of exporters and optimizers, which log to the root and warn; errors are raised."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


# Parity


class Parity(NamedTuple):
    """How near a network's answers are to those of PyTorch in fp32."""

    #: Largest absolute difference of an embedding's value.
    difference: float
    #: The least cosine of a row's embedding with its reference, after their common part is taken off.
    cosine: float
    #: Share of rows whose best class is another.
    flips: float


def compare(reference: tuple[Floats, Floats], answers: tuple[Floats, Floats]) -> Parity:
    """Compare embeddings and logits row by row.

    Embeddings of random weights have most in common, and hence a cosine near 1 whatever is wrong; so the
    reference's mean is taken off both sides first.

    Raises:
        Wrong: a shape differs, or a value is not finite.
    """
    for right, given in zip(reference, answers, strict=True):
        if right.shape != given.shape or not np.isfinite(given).all():
            message = f"answers of shape {given.shape} against {right.shape}, or with values that are not finite"
            raise Wrong(message)
    right, given = (side[0].astype(np.float64) - reference[0].mean(axis=0) for side in (reference, answers))
    lengths = np.linalg.norm(right, axis=1) * np.linalg.norm(given, axis=1)
    cosines = (right * given).sum(axis=1) / np.maximum(lengths, 1e-30)
    flips = (reference[1].argmax(axis=1) != answers[1].argmax(axis=1)).mean()
    return Parity(float(np.abs(right - given).max()), float(cosines.min()), float(flips))


def parity_rows(shape: Shape) -> Rows:
    """Return rows of every length distribution."""
    lengths = [draw(quantiles, PARITY_ROWS * 500)[:: max(1, 500 // 64)] for quantiles in LENGTHS.values()]
    chosen = [each[np.linspace(0, len(each) - 1, PARITY_ROWS).astype(int)] for each in lengths]
    return make_rows("parity", np.concatenate(chosen), shape.vocabulary)


def answers_of(engine: Engine, rows: Rows, batches: Sequence[Batch], shape: Shape) -> tuple[Floats, Floats]:
    """Return the answers to all rows, in their order."""
    embeddings = np.empty((len(rows.lengths), shape.hidden), dtype=np.float32)
    logits = np.empty((len(rows.lengths), CLASSES), dtype=np.float32)
    for batch in batches:
        embeddings[batch.rows], logits[batch.rows] = engine.answer(*padded(rows, batch))
    return embeddings, logits


def reference_of(module: Any, rows: Rows, settings: Settings) -> tuple[Floats, Floats]:
    """Return what PyTorch answers in fp32, each row alone, so that a wrong mask shows as well."""
    engine = TorchEngine(module, settings.device, "float32", "reference")
    alone = [Batch(np.array([number]), int(length)) for number, length in enumerate(rows.lengths)]
    return answers_of(engine, rows, alone, settings.shape)


def check_parity(run: Run, stage: str, engine: Engine, rows: Rows, reference: tuple[Floats, Floats]) -> None:
    """Print how near an engine is to the reference.

    Raises:
        Wrong: it is too far off.
    """
    settings = run.settings
    found = compare(reference, answers_of(engine, rows, plan(rows.lengths, settings.budget, 8), settings.shape))
    run.row(
        stage,
        f"{engine.name}: least cosine with fp32",
        found.cosine,
        "",
        max_difference=found.difference,
        argmax_flips=found.flips,
        rows=len(rows.lengths),
        reference="PyTorch fp32, TF32 off, each row alone",
    )
    wanted = COSINE_AT_LEAST[engine.dtype]
    if found.cosine < wanted:
        message = (
            f"{engine.name} differs from PyTorch in fp32: the least cosine of {len(rows.lengths)} rows is "
            f"{found.cosine:.4f}, {engine.dtype} keeps at least {wanted}"
        )
        raise Wrong(message)


# Encoders


def encoders(run: Run, stages: Sequence[str]) -> None:
    """Measure the graph and PyTorch, in turns, on the same batches."""
    settings = run.settings
    need_torch(settings.device)
    need("transformers")
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        engines = _engines(run, stages, Path(folder))
    if not engines:
        return
    slowest_peak = min(_peak_of(run, "float16"), _peak_of(run, "bfloat16"))
    cost = settings.shape.flops(np.full(100, 50)) / 5000
    tokens = settings.tokens or int(np.clip(3 * 0.4 * slowest_peak / cost, 65_536, 4_000_000))
    for rows in _distributions(run, tokens):
        for granularity in settings.granularities:
            _measure(run, engines, rows, granularity)


def _engines(run: Run, stages: Sequence[str], folder: Path) -> dict[str, list[Engine]]:
    """Return what passes the check, by stage."""
    settings = run.settings
    shape, device = settings.shape, settings.device
    rows = parity_rows(shape)
    reference = reference_of(network(shape, "eager", device), rows, settings)
    engines: dict[str, list[Engine]] = {}

    def take(stage: str, make: Callable[[], Engine]) -> None:
        try:
            engine = make()
            check_parity(run, stage, engine, rows, reference)
            engines.setdefault(stage, []).append(engine)
        except Left as reason:
            run.skip(stage, str(reason))
        except Wrong as reason:
            run.fail(str(reason))

    if "graph" in stages:

        def fused() -> Engine:
            # Before the minute that an export takes.
            need("onnx"), need("onnxruntime")
            export(network(shape, "eager", device).cpu(), folder / "fp32.onnx")
            fuse(folder / "fp32.onnx", folder / "fused.onnx", shape)
            (folder / "fp32.onnx").unlink()
            return OnnxEngine(folder / "fused.onnx", device, "ONNX Runtime fp16, fused")

        def packed() -> Engine:
            pack(folder / "fused.onnx", folder / "packed.onnx", shape)
            if device == "cpu":
                message = f"attention packed in {shape.layers} layers; PackedAttention has kernels for CUDA only"
                raise Left(message)
            return OnnxEngine(folder / "packed.onnx", device, "ONNX Runtime fp16, packed")

        take("graph", fused)
        if (folder / "fused.onnx").is_file():
            take("graph", packed)
    if "torch" in stages:
        take("torch", lambda: TorchEngine(network(shape, "sdpa", device), device, "bfloat16", "PyTorch SDPA bf16"))
    return engines


def _measure(run: Run, engines: Mapping[str, Sequence[Engine]], rows: Rows, granularity: int) -> None:
    settings = run.settings
    batches = plan(rows.lengths, settings.budget, granularity)
    work = f"{rows.name}, widths a multiple of {granularity}"
    useful = int(rows.lengths.sum())
    padding = sum(len(batch.rows) * batch.width for batch in batches) / useful
    flops = settings.shape.flops(rows.lengths) / useful
    sides = [(stage, engine) for stage, several in engines.items() for engine in several]
    seconds: dict[str, list[float]] = {engine.name: [] for _, engine in sides}
    for turn in range(settings.repeats + 1):
        for _, engine in sides:
            begin = perf_counter()
            answers_of(engine, rows, batches, settings.shape)
            # The first turn pays for kernels and memory that later ones find ready.
            if turn:
                seconds[engine.name].append(perf_counter() - begin)
    rates = {name: useful / median(each) for name, each in seconds.items()}
    for stage, engine in sides:
        rate, top = rates[engine.name], _peak_of(run, engine.dtype)
        run.row(
            stage,
            f"{engine.name}, {work}",
            rate,
            "tokens/s",
            share_of_peak=rate * flops / top,
            padding=padding,
            granularity=granularity,
            flops_per_token=flops,
            peak=top,
            useful_tokens=useful,
            rows=len(rows.lengths),
            batches=len(batches),
            seconds=seconds[engine.name],
            **engine.details,
        )
    if len(engines) == 2:
        best = max(engines["graph"], key=lambda engine: rates[engine.name])
        peer = engines["torch"][0]
        ratio = rates[best.name] / rates[peer.name]
        share = rates[best.name] * flops / _peak_of(run, best.dtype)
        run.row(
            "graph",
            f"{best.name} over {peer.name}, {work}",
            ratio,
            "times",
            padding=padding,
            granularity=granularity,
            wanted=RATIO_AT_LEAST,
            share_of_peak=share,
            share_wanted=SHARE_AT_LEAST,
        )


# Tokenization


def _tokenizer(run: Run) -> Any:
    tokenizers = need("tokenizers")
    if run.tokenizer is None:
        message = "no tokenizer is named; name XLM-R's with `--tokenizer tokenizer.json`"
        raise Left(message)
    try:
        return tokenizers.Tokenizer.from_file(str(run.tokenizer))
    except Exception as error:  # tokenizers raises a bare Exception
        message = f"{run.tokenizer} cannot be read ({error}); `--tokenizer` wants a tokenizers file (tokenizer.json)"
        raise Mistake(message) from error


def tokenize(run: Run) -> None:
    """Measure how fast text becomes ids on one core and on all, against what the graph takes in."""
    tokenizer = _tokenizer(run)
    if run.texts is None:
        texts, source = _random_texts(tokenizer, run.settings.sentences_to_read), "random pieces of the vocabulary"
    else:
        texts, source = _texts(run.texts), run.texts.name
    cores = len(os.sched_getaffinity(0))
    rates = {}
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    try:
        for name, parallel in (("one core", "false"), (f"{cores} cores", "true")):
            os.environ["TOKENIZERS_PARALLELISM"] = parallel
            tokenizer.encode_batch(texts[:100])
            seconds = []
            for _ in range(run.settings.repeats):
                begin = perf_counter()
                read = tokenizer.encode_batch(texts)
                seconds.append(perf_counter() - begin)
            tokens = sum(len(each.ids) for each in read)
            rates[name] = tokens / median(seconds)
            run.row(
                "tokenize",
                f"{source}, {name}",
                rates[name],
                "tokens/s",
                texts_per_second=len(texts) / median(seconds),
                texts=len(texts),
                seconds=seconds,
            )
    finally:
        os.environ.pop("TOKENIZERS_PARALLELISM")
        if before is not None:
            os.environ["TOKENIZERS_PARALLELISM"] = before
    asked = [row["value"] for row in run.rows if row["stage"] == "graph" and row["unit"] == "tokens/s"]
    if asked:
        run.row("tokenize", "to feed the fastest graph", max(asked) / rates["one core"], "cores", there=cores)


def _random_texts(tokenizer: Any, count: int) -> list[str]:
    """Return texts of as many random pieces as XNLI's pairs have tokens; a stand-in where no text is named."""
    rng = np.random.default_rng(SEED)
    lengths = rng.permutation(draw(LENGTHS["XNLI"], 47 * count))[:count]
    size = tokenizer.get_vocab_size()
    return [tokenizer.decode(rng.integers(0, size, int(length)).tolist()) for length in lengths]


# Nearest neighbours


def knn(run: Run) -> None:
    """Measure an exact search as large as BUCC's, by torch and by FAISS, against its floors."""
    torch, settings = need_torch(run.settings.device), run.settings
    queries, candidates = vectors(torch, settings)
    right = exact(torch, queries[:CHECKED], candidates)
    work = f"{len(queries):,} x {len(candidates):,} x {settings.dimension} fp16, top {NEIGHBOURS}"
    top, bandwidth = _peak_of(run, "float16"), run.bandwidth
    if bandwidth is None:
        message = "the peak was measured without the bandwidth"
        raise AssertionError(message)
    products = float(len(queries)) * len(candidates)
    floors = {
        "matmul_floor_seconds": 2 * products * settings.dimension / top,
        # Whoever keeps the products in memory writes and reads each of them, two bytes; no one needs to.
        "products_floor_seconds": 4 * products / bandwidth,
        "vectors_floor_seconds": 2.0 * (len(queries) + len(candidates)) * settings.dimension / bandwidth,
    }
    floor = max(floors["matmul_floor_seconds"], floors["vectors_floor_seconds"])
    ways: dict[str, Callable[[], tuple[Any, Any]]] = {
        "torch": lambda: search(torch, queries, candidates, settings.block)
    }
    try:
        ways |= _faiss(torch, queries, candidates, settings.device)
    except Left as reason:
        run.skip("knn", str(reason))
    for name, way in ways.items():
        seconds = []
        for turn in range(settings.repeats):
            _synchronize(torch, settings.device)
            begin = perf_counter()
            found = way()
            _synchronize(torch, settings.device)
            if turn or settings.repeats == 1:
                seconds.append(perf_counter() - begin)
        equal = check_neighbours(torch, right, (found[0][:CHECKED], found[1][:CHECKED]))
        if equal < 1:
            run.fail(f"{name} finds {1 - equal:.1%} of the neighbours of {CHECKED} queries wrong, against exact fp32")
            continue
        run.row(
            "knn",
            f"{name}: {work}",
            median(seconds),
            "s",
            times_the_floor=median(seconds) / floor,
            **floors,
            equal_to_exact=equal,
            checked_queries=min(CHECKED, len(queries)),
            seconds=seconds,
        )


def vectors(torch: Any, settings: Settings) -> tuple[Any, Any]:
    """Return unit vectors in fp16 (sentences, dimension): candidates, and queries that lie near one of them each."""
    generator = torch.Generator(settings.device).manual_seed(SEED)

    def units(count: int) -> Any:
        made = torch.randn(count, settings.dimension, generator=generator, device=settings.device)
        return torch.nn.functional.normalize(made, dim=1)

    candidates = torch.empty(settings.sentences, settings.dimension, dtype=torch.float16, device=settings.device)
    queries = torch.empty_like(candidates)
    partners = torch.randperm(settings.sentences, generator=generator, device=settings.device)
    for start in range(0, settings.sentences, 65_536):
        part = candidates[start : start + 65_536]
        part.copy_(units(len(part)))
    for start in range(0, settings.sentences, 65_536):
        part = queries[start : start + 65_536]
        near = candidates[partners[start : start + 65_536]].float()
        cosines = 0.1 + 0.8 * torch.rand(len(part), 1, generator=generator, device=settings.device)
        part.copy_(torch.nn.functional.normalize(cosines * near + (1 - cosines**2).sqrt() * units(len(part)), dim=1))
    return queries, candidates


def search(torch: Any, queries: Any, candidates: Any, block: tuple[int, int]) -> tuple[Any, Any]:
    """Return products (queries, neighbours) in fp32 and indices of the nearest candidates, best first.

    The products of a block are computed and ranked in fp16; more than are asked for are kept, and their
    products computed once more in fp32, so that what fp16 rounds together is ordered.
    """
    kept = min(FETCHED, len(candidates))
    products = torch.empty(len(queries), min(NEIGHBOURS, kept), device=queries.device)
    indices = torch.empty(products.shape, dtype=torch.int64, device=queries.device)
    for row in range(0, len(queries), block[0]):
        part = queries[row : row + block[0]]
        best: tuple[Any, Any] | None = None
        for column in range(0, len(candidates), block[1]):
            values, places = best_of(torch, part @ candidates[column : column + block[1]].T, kept)
            places = places + column
            if best is not None:
                values, places = torch.cat((best[0], values), dim=1), torch.cat((best[1], places), dim=1)
                values, order = values.topk(min(kept, values.shape[1]), dim=1)
                places = places.gather(1, order)
            best = values, places
        if best is not None:
            again = _products(torch, part, candidates, best[1])
            values, order = again.topk(products.shape[1], dim=1)
            products[row : row + block[0]], indices[row : row + block[0]] = values, best[1].gather(1, order)
    return products, indices


def best_of(torch: Any, products: Any, count: int) -> tuple[Any, Any]:
    """Return the largest values of each row, and where they are.

    The `count` groups with the largest maxima hold the `count` largest values, so that all products are read
    only once, to find each group's maximum; to rank them all would read them several times.
    """
    groups = products.shape[1] // GROUP
    if products.shape[1] % GROUP or groups <= count:
        values, places = products.topk(min(count, products.shape[1]), dim=1)
        return values, places
    grouped = products.view(len(products), groups, GROUP)
    chosen = grouped.amax(dim=2).topk(count, dim=1).indices
    inside = grouped.gather(1, chosen[:, :, None].expand(-1, -1, GROUP)).flatten(1)
    values, order = inside.topk(count, dim=1)
    return values, chosen.gather(1, order // GROUP) * GROUP + order % GROUP


def _products(torch: Any, queries: Any, candidates: Any, places: Any) -> Any:
    """Return the products in fp32 of queries (queries, dimension) with candidates of their own (queries, count)."""
    parts = [
        torch.einsum(
            "qd,qcd->qc", queries[start : start + 1024].float(), candidates[places[start : start + 1024]].float()
        )
        for start in range(0, len(queries), 1024)
    ]
    return torch.cat(parts)


def exact(torch: Any, queries: Any, candidates: Any) -> tuple[Any, Any]:
    """Return what `search` should, from all products in fp32."""
    products = torch.cat([queries.float() @ part.float().T for part in candidates.split(65_536)], dim=1)
    found = products.topk(min(NEIGHBOURS, len(candidates)), dim=1)
    return found.values, found.indices


def check_neighbours(torch: Any, right: tuple[Any, Any], found: tuple[Any, Any]) -> float:
    """Return the share of neighbours that are the right ones, or tie with them."""
    (products, indices), (values, places) = right, found
    same = (indices == places) | ((products - values.to(products.dtype)).abs() <= TIE)
    # No candidate twice: a tie is one with another.
    ordered = places.sort(dim=1).values
    same &= (ordered[:, 1:] != ordered[:, :-1]).all(dim=1, keepdim=True)
    return float(same.double().mean())


def _faiss(torch: Any, queries: Any, candidates: Any, device: str) -> dict[str, Callable[[], tuple[Any, Any]]]:
    faiss = need("faiss")
    if device == "cpu":
        first, second = queries.float().numpy(), candidates.float().numpy()

        def on_cpu() -> tuple[Any, Any]:
            found = faiss.knn(first, second, NEIGHBOURS, metric=faiss.METRIC_INNER_PRODUCT)
            return torch.from_numpy(found[0]), torch.from_numpy(found[1])

        return {f"FAISS {faiss.__version__} CPU, fp32": on_cpu}
    if not faiss.get_num_gpus():
        message = f"faiss {faiss.__version__} has no GPU; `pip install faiss-gpu-cu12` in place of faiss-cpu"
        raise Left(message)
    # Teaches FAISS to take tensors where they are.
    need("faiss.contrib.torch_utils")
    resources = faiss.StandardGpuResources()

    def on_gpu() -> tuple[Any, Any]:
        found = faiss.knn_gpu(resources, queries, candidates, NEIGHBOURS, metric=faiss.METRIC_INNER_PRODUCT)
        return found[0], found[1]

    return {f"FAISS {faiss.__version__} GPU": on_gpu}


# Command line


STAGES = ("peak", "graph", "torch", "tokenize", "knn")
#: As they are installed; a package that is not there is no row.
PACKAGES = (
    "torch", "transformers", "onnx", "onnxruntime", "onnxruntime-gpu", "numpy", "tokenizers", "faiss-cpu",
    "faiss-gpu-cu12",
)  # fmt: skip


def machine(device: str) -> Row:
    """Return what a reader needs to place the figures."""
    found: Row = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "packages": {},
    }
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found["packages"][name] = version(name)
    with contextlib.suppress(Left):
        torch = need_torch(device)
        if device == "cuda":
            properties = torch.cuda.get_device_properties(0)
            found["gpu"] = properties.name
            found["gpu_gib"] = round(properties.total_memory / 2**30, 1)
            found["compute_capability"] = f"{properties.major}.{properties.minor}"
            found["cuda"] = torch.version.cuda
    return found


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say a mistake in one sentence."""
        raise Mistake(message)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stage", action="append", choices=STAGES, help="Only this one; may be repeated.")
    parser.add_argument("--cpu-smoke", action="store_true", help="Everything tiny, on the CPU.")
    parser.add_argument("--tokenizer", type=Path, help="XLM-R's tokenizer.json, for the stage tokenize and --texts.")
    parser.add_argument("--texts", type=Path, help="A text on each line, in place of the built-in lengths.")
    parser.add_argument("--tokens", type=int, help="Useful tokens of a length distribution.")
    parser.add_argument("--budget", type=int, help="Padded tokens of a batch at most.")
    parser.add_argument("--granularity", type=int, help="What widths are a multiple of; 1 and 8 in turn without.")
    parser.add_argument("--sentences", type=int, help="Queries, and candidates, of the stage knn.")
    parser.add_argument("--repeats", type=int, help="Timed repeats.")
    parser.add_argument("--json", type=Path, help="Write the rows there.")
    return parser.parse_args(arguments)


def _settings(options: argparse.Namespace) -> Settings:
    given = {name: getattr(options, name) for name in ("tokens", "budget", "granularity", "sentences", "repeats")}
    for name, value in given.items():
        if value is not None and value < 1:
            message = f"--{name} is {value}; give at least 1"
            raise Mistake(message)
    if options.texts is not None and options.tokenizer is None:
        message = "--texts has to be read by a tokenizer; name XLM-R's with `--tokenizer tokenizer.json`"
        raise Mistake(message)
    if options.json is not None and not options.json.parent.is_dir():
        message = f"--json is {options.json}, whose folder does not exist"
        raise Mistake(message)
    chosen = {name: value for name, value in given.items() if value is not None}
    if "granularity" in chosen:
        chosen["granularities"] = (chosen.pop("granularity"),)
    return replace(SMOKE if options.cpu_smoke else GPU, **chosen)


def _attempt(run: Run, stages: Sequence[str], work: Callable[[], None]) -> None:
    """Do stages that belong together; what breaks in them does not take the others' figures with it."""
    try:
        work()
    except Left as reason:
        for stage in stages:
            run.skip(stage, str(reason))
    except Mistake:
        raise
    except Exception as error:
        traceback.print_exc()
        run.fail(f"stage {' and '.join(stages)} broke: {type(error).__name__}: {error}")


def measure(run: Run, stages: Sequence[str]) -> None:
    """Run stages, in an order in which each finds what it compares itself with."""
    if "peak" in stages:
        _attempt(run, ["peak"], lambda: peak(run))
    both = [stage for stage in ("graph", "torch") if stage in stages]
    if both:
        _attempt(run, both, lambda: encoders(run, both))
    for stage, work in (("tokenize", tokenize), ("knn", knn)):
        if stage in stages:
            _attempt(run, [stage], lambda work=work: work(run))  # type: ignore[misc]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write, and return the exit code."""
    try:
        options = _parse(arguments)
        settings = _settings(options)
        run = Run(settings, options.tokenizer, options.texts)
        if settings.device == "cuda" and set(options.stage or STAGES) - {"tokenize"}:
            try:
                need_torch("cuda")
            except Left as missing:
                raise Mistake(str(missing)) from missing
        told = machine(settings.device)
        print(told.get("gpu", "CPU smoke run: the speeds mean nothing" if options.cpu_smoke else "CPU"), flush=True)
        measure(run, options.stage or STAGES)
        if options.json is not None:
            document = {
                "benchmark": "gpu",
                "cpu_smoke": options.cpu_smoke,
                "machine": told,
                "rows": run.rows,
                "skipped": run.skipped,
                "wrong": run.wrong,
            }
            options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        if run.wrong:
            return 1
        measured = {row["stage"] for row in run.rows}
        for stage in options.stage or ():
            if stage not in measured:
                reasons = [each["reason"] for each in run.skipped if each["stage"] == stage]
                message = f"stage {stage} cannot run here: {reasons[-1]}"
                raise Mistake(message)
    except Mistake as mistake:
        print(f"gpu: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
