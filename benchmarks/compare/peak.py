"""What the machine's matrix products reach at most, and the share of it that our speed rows reach."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.compare.session import Session
from benchmarks.core.rows import Row, peak_row
from harness.core.machine import cores

#: Rows, depth and columns of the products that are tried: large squares, and those of an encoder's layers for
#: a batch of 4,096 tokens.
LARGE = ((2_048, 2_048, 2_048), (4_096, 4_096, 4_096))
TOKENS = 4_096
REPEATS = 3
#: How rows begin.
WORK = "share of the machine's peak"


def sizes(session: Session) -> list[tuple[int, int, int]]:
    """Return the products (rows, depth, columns) that are timed."""
    width, wide = session.shape.width, session.shape.feed_forward
    own = [(TOKENS, width, width), (TOKENS, width, 3 * width), (TOKENS, width, wide), (TOKENS, wide, width)]
    return [*LARGE, *own]


def _rate(size: tuple[int, int, int], product: Callable[[], object]) -> float:
    """Return the best of some repeats in operations a second; the first is a warm-up."""
    product()
    best = float("inf")
    for _ in range(REPEATS):
        begin = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - begin)
    return 2.0 * size[0] * size[1] * size[2] / best


def float32(rows: int, depth: int, columns: int) -> Callable[[], object]:
    """Return a product in fp32 by torch (SGEMM of MKL or oneDNN)."""
    left, right = torch.rand(rows, depth), torch.rand(depth, columns)
    out = torch.empty(rows, columns)
    return lambda: torch.matmul(left, right, out=out)


def torch_int8(rows: int, depth: int, columns: int) -> Callable[[], object]:
    """Return a product in int8 by torch."""
    left = torch.randint(-127, 127, (rows, depth), dtype=torch.int8)
    right = torch.randint(-127, 127, (depth, columns), dtype=torch.int8)
    return lambda: torch._int_mm(left, right)


def ort_int8(rows: int, depth: int, columns: int) -> Callable[[], object]:
    """Return a product in int8 by ONNX Runtime, both sides quantised already (MatMulInteger)."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 127, (depth, columns), dtype=np.int8)
    node = helper.make_node("MatMulInteger", ["left", "weight"], ["out"])
    left = rng.integers(0, 255, (rows, depth), dtype=np.uint8)
    return _session(node, TensorProto.UINT8, left, TensorProto.INT8, weight, TensorProto.INT32)


def ort_dynamic(rows: int, depth: int, columns: int) -> Callable[[], object]:
    """Return a product by ONNX Runtime that quantises its left side on the way (DynamicQuantizeMatMul)."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 127, (depth, columns), dtype=np.int8)
    node = helper.make_node("DynamicQuantizeMatMul", ["left", "weight", "scale"], ["out"], domain="com.microsoft")
    left = rng.random((rows, depth), dtype=np.float32)
    return _session(node, TensorProto.FLOAT, left, TensorProto.INT8, weight, TensorProto.FLOAT, scale=True)


def _session(
    node: object,
    kind: int,
    left: NDArray[Any],
    weight_kind: int,
    weight: NDArray[Any],
    out_kind: int,
    *,
    scale: bool = False,
) -> Callable[[], object]:
    constants = [helper.make_tensor("weight", weight_kind, weight.shape, weight.tobytes(), raw=True)]
    if scale:
        constants.append(helper.make_tensor("scale", TensorProto.FLOAT, [1], [0.01]))
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("left", kind, left.shape)],
        [helper.make_tensor_value_info("out", out_kind, [left.shape[0], weight.shape[1]])],
        constants,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})


PRODUCTS: Mapping[str, Mapping[str, Callable[[int, int, int], Callable[[], object]]]] = {
    "fp32": {"torch.matmul": float32},
    "int8": {
        "torch._int_mm": torch_int8,
        "ONNX Runtime MatMulInteger": ort_int8,
        "ONNX Runtime DynamicQuantizeMatMul": ort_dynamic,
    },
}


def peaks(session: Session) -> dict[str, tuple[float, str]]:
    """Return the best rate of each precision in operations a second, and how it was reached."""
    torch.set_num_threads(cores())
    found = {}
    tried = sizes(session)
    total = sum(len(ways) for ways in PRODUCTS.values()) * len(tried)
    with session.progress.step("peak of matrix products", total, "products") as advance:
        for precision, ways in PRODUCTS.items():
            rates = []
            for way, make in ways.items():
                for size in tried:
                    rates.append((_rate(size, make(*size)), f"{way}, {' x '.join(map(str, size))}"))
                    advance(1)
            found[precision] = max(rates)
    return found


def measure(session: Session, rows: Sequence[Row]) -> list[Row]:
    """Return the share of the machine's peak that each speed row reaches; int8 rows against the int8 peak.

    Args:
        session: of the comparison.
        rows: what the other sections measured; those of base shape with `operations_per_second` count.
    """
    found = peaks(session)
    shares = []
    for row in rows:
        done = row.details.get("operations_per_second")
        if done is None or row.details.get("weights") != "random":
            continue
        precision = "fp32" if row.details["variant"] == "fp32" else "int8"
        peak, how = found[precision]
        shares.append(peak_row(f"{WORK}: {row.work}", done, peak, f"peak of {precision} products: {how}"))
    if not shares:
        shares = [
            peak_row(f"{WORK}: peak of {precision} products", peak, peak, how)
            for precision, (peak, how) in found.items()
        ]
    # Peers meet the same row of ours several times.
    return list({row.work: row for row in shares}.values())
