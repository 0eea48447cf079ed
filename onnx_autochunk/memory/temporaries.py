"""Memory that kernels take for themselves while they run.

One function per family, from the call's shapes to bytes; an op that is not in the table takes nothing to
speak of.
`Where(mask, x, y)` of 64 MiB -> two more tensors of 64 MiB, which is why masking often makes the peak.

Source: measured on ONNX Runtime 1.31, one op at a time (tests/memory/test_temporaries.py repeats it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from ..graph.model import ITEM_BITS, Graph, Op, Origin, Value, nbytes
from .einsum import einsum_elements

Shapes: TypeAlias = Callable[[str], tuple[int, ...] | None]


@dataclass(frozen=True, slots=True)
class Call:
    """An op with the shapes it is called on.

    Attributes:
        used: its result lies in a buffer that held something before, and takes memory before it is written.
    """

    op: Op
    graph: Graph
    shape_of: Shapes
    used: bool = False

    def has(self, index: int) -> bool:
        """Whether an operand is given."""
        return bool(self._operand_name(index))

    def gives(self, index: int) -> bool:
        """Whether a result is asked for."""
        return bool(self.op.outputs[index : index + 1] and self.op.outputs[index])

    def operand(self, index: int) -> tuple[int, ...] | None:
        """Shape of an operand; None when it is absent or unknown."""
        name = self._operand_name(index)
        return self.shape_of(name) if name else None

    def operand_bytes(self, index: int) -> int:
        """Bytes of an operand; 0 when it is absent or unknown."""
        return self._bytes(self._operand_name(index))

    def value(self, index: int) -> Value | None:
        """What is known of an operand; None when it is absent."""
        return self.graph.values.get(self._operand_name(index))

    def operand_dtype(self, index: int) -> str:
        """Element type of an operand; empty when it is absent or unknown."""
        value = self.value(index)
        return "" if value is None else value.dtype

    def result_bytes(self) -> int:
        """Bytes of the first result."""
        return self._bytes(self.op.outputs[0])

    def item_bytes(self) -> int:
        """Bytes of one element of the first result."""
        value = self.graph.values.get(self.op.outputs[0])
        return 0 if value is None else ITEM_BITS.get(value.dtype, 0) // 8

    def integer(self, name: str, default: int) -> int:
        """An int attribute."""
        return self.op.integer(name, default)

    def _operand_name(self, index: int) -> str:
        return self.op.inputs[index] if index < len(self.op.inputs) else ""

    def _bytes(self, name: str) -> int:
        value = self.graph.values.get(name)
        return (
            0 if value is None or value.dtype not in ITEM_BITS else nbytes(value.dtype, self.shape_of(name))
        )


FLOAT_BYTES = 4
SUM_BYTES = 4  # products of 8 bits are added up in 32
ADDRESS_BYTES = 8
PRODUCT_BYTES = 88  # three offsets and the arguments of one product
SCORES_BLOCK_BYTES = 1 << 19  # what flash attention keeps in the L2 cache, for one thread

Rule: TypeAlias = Callable[[Call], int]


def _where(call: Call) -> int:
    """Each choice is first spread over what it and the condition broadcast to; then both are merged."""
    shapes = [call.operand(index) for index in range(3)]
    if None in shapes:
        return 2 * call.result_bytes()
    return call.item_bytes() * sum(_broadcast_size(shapes[0] or (), shape or ()) for shape in shapes[1:])


def _broadcast_size(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    rank = max(len(left), len(right))
    wide = [(1,) * (rank - len(shape)) + shape for shape in (left, right)]
    return prod(b if a == 1 else a for a, b in zip(*wide, strict=True))


def _softmax(call: Call) -> int:
    """Along an inner axis, operand and result are transposed: one copy of each."""
    shape = call.operand(0)
    if not shape or call.op.version < 13:
        return 0
    axis = call.integer("axis", -1) % len(shape)
    return 2 * call.operand_bytes(0) if prod(shape[axis + 1 :]) > 1 else 0


def _variadic(call: Call) -> int:
    """A partial result lies in a buffer of its own until the next is made from it; the result comes last."""
    partial = min(2 if call.used else 1, max(0, len(call.op.inputs) - 2))
    return partial * call.result_bytes()


def _matmul(call: Call) -> int:
    """A record for each matrix of a batch, which counts when there are many small ones."""
    right, result = call.operand(1), call.shape_of(call.op.outputs[0])
    return PRODUCT_BYTES * prod(result[:-2]) if result and right and len(right) > 2 else 0


def _integer_product(call: Call) -> int:
    """Sums of 32 bits, before they are rounded."""
    return SUM_BYTES * prod(call.shape_of(call.op.outputs[0]) or (0,))


def _gemm(call: Call) -> int:
    """With more than two axes it computes a matrix, of which a result of the run cannot be a view: a copy."""
    name = call.op.outputs[0]
    return call.result_bytes() if name in call.graph.results and len(call.shape_of(name) or ()) > 2 else 0


def _expanded(copies: int) -> Rule:
    """A function that ORT runs as several ops, or a kernel that spreads its operand first."""
    return lambda call: copies * call.operand_bytes(0)


def _biased(call: Call) -> int:
    """The sum with the bias is kept."""
    return call.operand_bytes(0) if call.operand(1) is not None else 0


def _conv_transpose(call: Call) -> int:
    """Columns: every input position with every kernel position and output channel of its group."""
    data, weight = call.operand(0), call.operand(1)
    if data is None or weight is None:
        return 0
    return call.item_bytes() * prod(weight[1:]) * prod(data[2:])


def _integer_conv(call: Call) -> int:
    """Of one image: the address of each element that a window sees, or columns and sums of 32 bits.

    Addresses where weights are signed, constant and without zero points, in numbers that a kernel takes.
    Channels in front are turned to the end and back.

    Source: onnxruntime/core/providers/cpu/quantization/qlinearconv.cc, mlas/lib/convsym.cpp.
    """
    data, weight, result = call.operand(0), call.operand(3), call.shape_of(call.op.outputs[0])
    if not data or not weight or not result:
        return 0
    last = call.integer("channels_last", 0)
    pixels, window = prod(result[1:-1] if last else result[2:]), prod(weight[2:])
    depthwise = weight[1] == 1 and weight[0] == call.integer("group", 1)
    addressed = _is_symmetric(call, weight, depthwise=depthwise)
    turned = 0 if last else prod(data[1:]) + prod(result[1:])
    sums = 0 if addressed else SUM_BYTES * weight[0] * pixels
    if depthwise or not _is_pointwise(call, window):
        sums += window * pixels * (ADDRESS_BYTES if depthwise or addressed else weight[1])
    return turned + sums


def _is_symmetric(call: Call, weight: tuple[int, ...], *, depthwise: bool) -> bool:
    """Whether ORT has packed the weights for a kernel that rounds at once."""
    weights, zero = call.value(3), call.value(5)
    if weights is None or weights.origin is not Origin.CONSTANT or weights.dtype == "uint8":
        return False
    if zero is not None and zero.data is not None and zero.data.any():
        return False
    outputs, inputs = weight[:2]
    fits = outputs >= 16 and outputs % 8 == 0 and inputs % 4 == 0
    return depthwise or (fits and call.integer("group", 1) == 1)


def _is_pointwise(call: Call, window: int) -> bool:
    """Whether a convolution reads each element once, where it lies."""
    moves = [call.op.attributes.get(name, ()) for name in ("strides", "pads")]
    strides, pads = (move if isinstance(move, tuple) else () for move in moves)
    return window == 1 and all(step == 1 for step in strides) and not any(pads)


def _einsum(call: Call) -> int:
    equation = call.op.attributes.get("equation")
    shapes = [shape for index in range(len(call.op.inputs)) if (shape := call.operand(index)) is not None]
    if not isinstance(equation, str | bytes) or len(shapes) < len(call.op.inputs):
        return 0
    text = equation.decode() if isinstance(equation, bytes) else equation
    return call.item_bytes() * einsum_elements(text, tuple(shapes))


def _attention(call: Call) -> int:
    """The standard's Attention is not linear on CPU: all scores, and a mask until the result is written.

    Source: onnxruntime/core/providers/cpu/llm/attention.cc, ComputeAttentionProbs.
    """
    query, key = call.operand(0), call.operand(1)
    if query is None or key is None:
        return 0
    heads = query[1] if len(query) == 4 else call.integer("q_num_heads", 1)
    scores = query[-2] * (key[-2] + _past(call, 4))
    mask = call.item_bytes() * _own_mask(call, scores)
    late = mask if call.used else max(0, mask - call.result_bytes())
    return call.item_bytes() * query[0] * heads * scores + late


def _own_mask(call: Call, scores: int) -> int:
    """Elements of a mask that the kernel writes: causal, or of numbers where booleans were given."""
    given, causal = call.operand(3), call.integer("is_causal", 0)
    if given is None:
        return scores if causal else 0
    return prod(given) if causal or call.operand_dtype(3) == "bool" else 0


def _past(call: Call, index: int) -> int:
    shape = call.operand(index)
    return shape[-2] if shape else 0


def _multi_head_attention(call: Call) -> int:
    """Query, key and value with heads first and a block of scores; with a bias or a padding mask all of them.

    Source: onnxruntime/contrib_ops/cpu/bert/multihead_attention.cc.
    """
    query, key = call.operand(0), call.operand(1)
    if query is None or key is None or len(query) != 3 or len(key) != 3:
        return 0
    moved = sum(call.operand_bytes(index) for index in range(3))
    if call.operand(4) is None and call.operand(5) is None:
        return moved + SCORES_BLOCK_BYTES
    scores = query[0] * call.integer("num_heads", 1) * query[1] * key[1]
    return moved + call.result_bytes() + call.item_bytes() * scores


def _packed_attention(call: Call) -> int:
    """com.microsoft.Attention projects query, key and value first and keeps all scores."""
    data, weight = call.operand(0), call.operand(1)
    if data is None or weight is None:
        return 0
    rows = data[0] * data[1]
    scores = rows * data[1] * call.integer("num_heads", 1)
    return call.item_bytes() * (rows * weight[1] + scores) + call.result_bytes()


def _defined_norm(call: Call) -> int:
    """GroupNormalization as ONNX defines it: square and deviation of its operand, gone before the result.

    From 21 on they are of float32, and so is a copy of an operand of another type.
    """
    wide = FLOAT_BYTES if call.op.version >= 21 else call.item_bytes()
    copied = wide != call.item_bytes()
    return (2 + copied) * wide * prod(call.operand(0) or ()) - call.result_bytes()


CPU: Mapping[str, Rule] = {
    "Where": _where,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Einsum": _einsum,
    "Gemm": _gemm,
    **dict.fromkeys(("MatMul", "FusedMatMul", "com.microsoft.FusedMatMul"), _matmul),
    "QLinearMatMul": _integer_product,
    **dict.fromkeys(("QLinearConv", "com.microsoft.QLinearConv"), _integer_conv),
    "ConvTranspose": _conv_transpose,
    "Attention": _attention,
    "com.microsoft.Attention": _packed_attention,
    "com.microsoft.MultiHeadAttention": _multi_head_attention,
    "GroupNormalization": _expanded(2),
    **dict.fromkeys(("Mish", "HardSwish", "Swish", "MeanVarianceNormalization"), _expanded(1)),
    **dict.fromkeys(("com.microsoft.BiasGelu", "com.microsoft.FastGelu"), _biased),
    **dict.fromkeys(("Sum", "Max", "Min", "Mean"), _variadic),
}

# CUDA kernels mostly write their result at once; what the CPU kernels share with them is listed.
CUDA: Mapping[str, Rule] = {"Einsum": _einsum, "GroupNormalization": _defined_norm, "Mish": _expanded(1)}
