"""Graph-to-graph steps, the parts that variants are made of: the only module that uses ONNX Runtime's own tools.

Each reads the graph at its first path, writes another to its second, and refuses to write one that
is not what it promises.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization import quantize_dynamic as ort_quantize_dynamic
from onnxruntime.transformers.onnx_model import OnnxModel
from onnxruntime.transformers.optimizer import optimize_model

from exporters.external_data import save_graph, set_apart
from exporters.modules import Loaded
from exporters.quiet import quiet_tools
from harness.artifacts.store import weights_file
from harness.core.errors import ArtifactError
from harness.core.machine import describe

#: Where ONNX Runtime's own operators live.
MICROSOFT = "com.microsoft"
#: Values that share one scale in `quantize_blocks`: the largest that divides the depth. On 2 cores with
#: AVX512-VNNI a product of 2,048 x 768 x 3,072 took 71 ms with 32, 55 with 128, 44 with 256; 110 in fp32.
BLOCKS = (256, 128, 64, 32, 16)
#: MatMulNBits: 8-bit activations, scaled for each row and block.
_INT8_ACTIVATIONS = 4


def fuse(source: Path, target: Path, loaded: Loaded) -> None:
    """Fuse attention, layer norms and Gelu into ONNX Runtime's operators, as far as it knows the family's.

    Raises:
        ArtifactError: some layer's attention was not fused, as happens when a new version of
            transformers writes it differently (onnxruntime#22629, #23864).
    """
    with quiet_tools():
        optimized = optimize_model(str(source), model_type="bert", num_heads=0, hidden_size=0, opt_level=0)
    fused = optimized.get_fused_operator_statistics()["Attention"]
    expected = loaded.depth * loaded.family.fused_attention
    if fused != expected:
        message = (
            f"ONNX Runtime fused the attention of {fused} layers of {loaded.depth}, {expected} are right for "
            f"{loaded.family.model_type}; use the versions of constraints.txt, or the variant fp32"
        )
        raise ArtifactError(message)
    set_apart(optimized.model, target)
    optimized.save_model_to_file(str(target))


def convert_to_fp16(source: Path, target: Path, loaded: Loaded) -> None:
    """Store and compute in float16, with inputs and outputs as they were; for GPUs."""
    with quiet_tools():
        model = OnnxModel(onnx.load(source))
        model.convert_float_to_float16(keep_io_types=True)
        set_apart(model.model, target)
        model.save_model_to_file(str(target))


def quantize_dynamic(source: Path, target: Path, loaded: Loaded) -> None:
    """Multiply in int8: weights per channel, activations with one scale for each tensor of a batch.

    The embedding table stays as it is: it costs no products, and quantising it hurts languages
    unevenly (onnxruntime#9599, optimum#151). The scale covers the whole batch, so that an answer depends,
    a little, on its neighbours.
    """
    # Only a graph that comes in two files may have to leave in two: which, is known once it is there.
    large = weights_file(source).is_file()
    written = target.with_name(f"quantized-{target.name}") if large else target
    with quiet_tools():
        ort_quantize_dynamic(
            str(source),
            str(written),
            op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True,
            # Without VNNI, sums of two 8-bit products overflow 16 bits (onnxruntime#6004).
            reduce_range="avx512_vnni" not in str(describe()["instructions"]).split(),
            weight_type=QuantType.QInt8,
            use_external_data_format=large,
            # Shape inference stops at the fused operators.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
        )
    graph = onnx.load(written, load_external_data=False).graph
    # A fused Attention holds query, key and value; a layer's other products are apart. Heads are up to two products
    # of the same kind.
    fused = loaded.depth * loaded.family.fused_attention
    single = loaded.depth * (loaded.products + loaded.position_products) - 3 * fused
    _expect(graph, {"QAttention": (fused, 0), "MatMulInteger": (single, 2)}, "dynamic quantisation")
    if large:
        save_graph(onnx.load(written), target)
        written.unlink()
        weights_file(written).unlink()


def quantize_blocks(source: Path, target: Path, loaded: Loaded) -> None:
    """Multiply in int8 with a scale for each row and block of activations, so that no row sees another.

    An answer is then the same whatever else is in the batch. Attention has to stay unfused for this.
    """
    model = onnx.load(source)
    graph = model.graph
    weights = {initializer.name: initializer for initializer in graph.initializer}
    nodes, replaced = [], set()
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        block = None if weight is None or len(weight.dims) != 2 else _block(weight.dims[0])
        if weight is None or block is None:
            nodes.append(node)
            continue
        packed, scales = _pack(numpy_helper.to_array(weight), block)
        names = [f"{weight.name}.{part}" for part in ("int8", "scales")]
        if weight.name not in replaced:
            graph.initializer.append(numpy_helper.from_array(packed, names[0]))
            graph.initializer.append(numpy_helper.from_array(scales, names[1]))
            replaced.add(weight.name)
        depth, columns = weight.dims
        nodes.append(
            helper.make_node(
                "MatMulNBits",
                [node.input[0], *names],
                list(node.output),
                name=f"{node.name}.int8",
                domain=MICROSOFT,
                K=depth,
                N=columns,
                bits=8,
                block_size=block,
                accuracy_level=_INT8_ACTIVATIONS,
            )
        )
    # A table that other nodes read as well (tied weights) stays.
    read = {name for node in nodes for name in node.input}
    kept = [each for each in graph.initializer if each.name not in replaced or each.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    if not any(entry.domain == MICROSOFT for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    # A layer's products, and up to two of the head. Those of positions share their weights, so they have none of
    # their own here and stay in fp32: they depend on no text and are computed once.
    _expect(graph, {"MatMulNBits": (loaded.products * loaded.depth, 2)}, "quantisation by blocks")
    save_graph(model, target)


def _block(depth: int) -> int | None:
    return next((size for size in BLOCKS if depth % size == 0), None)


def _pack(weight: NDArray[np.float32], block: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a weight (depth, columns) as MatMulNBits wants it.

    Returns:
        values (columns, blocks, block) uint8 around 128, and their scales (columns * blocks,).
    """
    depth, columns = weight.shape
    blocks = np.ascontiguousarray(weight.T).reshape(columns, depth // block, block)
    scales = np.abs(blocks).max(axis=2).astype(np.float32) / 127
    # A block of zeros has no scale of its own; any will do.
    scales[scales == 0] = 1.0
    values = np.clip(np.rint(blocks / scales[:, :, None]), -127, 127) + 128
    return values.astype(np.uint8), scales.reshape(-1)


def _expect(graph: Any, wanted: dict[str, tuple[int, int]], step: str) -> None:
    """Refuse a graph with another number of an operator than belongs there: so many, and at most so many more."""
    for operator, (count, more) in wanted.items():
        found = sum(node.op_type == operator for node in graph.node)
        if not count <= found <= count + more:
            message = f"{step} made {found} {operator} nodes, {count} belong in this graph; nothing was written"
            raise ArtifactError(message)
