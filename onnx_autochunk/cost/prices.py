"""Seconds of one call by kind of op, without the dispatch: `PRICES[type](call, constants)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import TypeAlias

from . import products
from .call import Call
from .constants import Constants
from .curve import Curve
from .fused import is_absorbed, is_bias
from .products import PLAIN, Move, Product

Price: TypeAlias = Callable[[Call, Constants], float]
ITEM_BYTES = 4  # products are computed in float32, whatever the elements are stored as
LONG_RUN = 16  # elements that are copied as one when a transpose keeps them together
CACHED_BYTES = 100 << 20  # that the last cache holds, for all that share it
NEAR_BYTES = 2 << 20  # of an operand that stays in the second-level cache while it is broadcast
CUT, JOIN = COPIES = "Slice", "Concat"  # one thread copies what is cut out, all of them what is put together
BIAS = "Gemm"  # what stands for the price of an element that a product finds written over by its bias
MASKED = "Softmax of what is masked"  # what an element costs on top whose exponential is not a normal number


def other(call: Call, constants: Constants) -> float:
    """Any op without a price of its own: it reads its operands and writes its results once."""
    unit = constants.element_s.get(call.op.type, constants.element_s[""])
    return call.elements() * unit + memory(call, constants)


def memory(call: Call, constants: Constants) -> float:
    """Seconds on top for what is not in the cache."""
    return call.traffic_bytes() * constants.excess_s(call.touched_bytes())


def free(call: Call, constants: Constants) -> float:  # noqa: ARG001 - every price has one signature
    """A view of the operand, or a few integers."""
    return 0.0


def pointwise(call: Call, constants: Constants) -> float:
    """Elementwise: an operand that is broadcast along the last axes is worked off stretch by stretch.

    A large one that is broadcast along the first axes is read from memory again and again.
    """
    if is_absorbed(call.op, call.graph):
        return 0.0
    if is_bias(call.op, call.graph):
        return bias(call, constants)
    return other(call, constants) + _spans(call) * constants.span_s + _again(call, constants.excess_s)


def bias(call: Call, constants: Constants) -> float:
    """Written over the whole result, by one thread, before the product adds to it."""
    return prod(call.result) * constants.element_s[BIAS] + far_bias(call, constants)


def far_bias(call: Call, constants: Constants) -> float:
    """Its seconds on top for what is not in the cache."""
    written = call.result_bytes()
    return 2 * written * constants.excess_s(written)


def _again(call: Call, excess_s: Curve) -> float:
    """Seconds to read broadcast operands once more, from the cache that holds them."""
    sizes = (ITEM_BYTES * prod(shape) for shape in call.operands if shape)
    full = ITEM_BYTES * prod(call.result)
    return sum((full - size) * excess_s(size) for size in sizes if NEAR_BYTES < size < full)


def _spans(call: Call) -> int:
    """Contiguous stretches in which every operand is either as long as the result or one element."""
    result = call.result
    if not result or len(call.operands) == 1 or all(s == result or not s for s in call.operands):
        return 0
    lengths = [_span(shape, result) for shape in call.operands if shape]
    return prod(result) // min(lengths) if min(lengths) else 0


def _span(shape: tuple[int, ...], result: tuple[int, ...]) -> int:
    """Elements of the longest trailing block of the result over which `shape` is full or does not change."""
    padded = (1,) * (len(result) - len(shape)) + shape
    length, kind = 1, None
    for size, full in zip(reversed(padded), reversed(result), strict=True):
        if full == 1:
            continue
        if kind is None:
            kind = size == full
        elif kind is not (size == full):
            break
        length *= full
    return length


def softmax(call: Call, constants: Constants) -> float:
    """Along an inner axis the kernel transposes there and back."""
    axis, rank = call.op.integer("axis", -1), len(call.operand(0))
    seconds = other(call, constants) + call.masked_elements() * constants.element_s[MASKED]
    is_last = axis in (-1, rank - 1) or call.op.version < 13
    return seconds if is_last else seconds + 2 * call.elements() * constants.element_s[Move.INWARDS.value]


def transpose(call: Call, constants: Constants) -> float:
    """Long runs that stay together are copied as they are; otherwise elements move one by one."""
    unit = transposed(call).value
    far = constants.strides.get(unit, 1.0) * memory(call, constants)
    return call.elements() * constants.element_s.get(unit, constants.copies[JOIN][0]) + far


def transposed(call: Call) -> Move:
    """How a Transpose works."""
    order, shape = call.op.attributes.get("perm"), call.operand(0)
    if not isinstance(order, tuple) or len(order) != len(shape):
        order = tuple(reversed(range(len(shape))))
    axes = [axis for axis in order if shape[axis] > 1]
    run, kept, rest = 1, list(axes), sorted(axes)
    while kept and kept[-1] == rest[-1]:
        run *= shape[kept.pop()]
        rest.pop()
    return products.move_of(axes, run=run >= LONG_RUN)


def move(call: Call, constants: Constants) -> float:
    """Slice, Concat, Split, Expand and their like."""
    return _copy(call, run_of(call), call.touched_bytes(), constants)


def run_of(call: Call) -> int:
    """Elements that are contiguous in the largest operand and in the largest result."""
    data, result = (
        max((s for s in shapes if s is not None), key=prod, default=())
        for shapes in (call.operands, call.results)
    )
    run = 1
    for ours, theirs in zip(reversed(data), reversed(result), strict=False):
        run *= min(ours, theirs)
        if ours != theirs:
            break
    return run


def gather(call: Call, constants: Constants) -> float:
    """Picks runs behind the axis; the table is read only where it is picked from."""
    data = call.operand(0)
    axis = call.op.integer("axis", 0) % max(1, len(data))
    return _copy(call, prod(data[axis + 1 :]), 2 * call.result_bytes(), constants)


def _copy(call: Call, run: int, touched: int, constants: Constants) -> float:
    """Seconds to write the results in runs of so many elements, out of `touched` bytes."""
    moved = call.result_bytes()
    elements = sum(prod(shape) for shape in call.results if shape is not None)
    kind = CUT if call.op.type in ("Slice", "Split") else JOIN
    features = copying(moved, moved * run / max(1, elements), touched, constants.excess_s)
    return dot(constants.copies[kind], features)


def copying(moved: int, run_bytes: float, touched: int, excess_s: Curve) -> tuple[float, ...]:
    """What seconds to copy are proportional to: bytes, contiguous runs, and the excess of both."""
    runs, far_s = moved / max(1, run_bytes), excess_s(touched)
    return moved, runs, moved * far_s, runs * far_s


def product(find: Callable[[Call], Product | None]) -> Price:
    """The price of an op that multiplies matrices whose sizes `find` reads off its call."""

    def price(call: Call, constants: Constants) -> float:
        found = find(call)
        if found is None:
            return other(call, constants)
        seconds = multiply(found, call.touched_bytes(), constants)
        seconds += handover(found, seconds, call, constants)
        return seconds + bias(call, constants) if has_bias(call) else seconds

    return price


def has_bias(call: Call) -> bool:
    """True for a Gemm that adds; a convolution does so on the way."""
    return call.op.type in ("Gemm", "FusedGemm") and any(call.op.inputs[2:])


def multiply(found: Product, touched: int, constants: Constants) -> float:
    """Seconds of a matrix product that touches so many bytes."""
    features = (*products.features(found), *fetches(found, touched, constants.excess_s))
    seconds = dot(constants.product_s[found.kind], features) * found.share(constants.threads)
    if found.moved:
        seconds += dot(constants.moves, moving(found, touched, constants.excess_s))
    return seconds


def handover(found: Product, seconds: float, call: Call, constants: Constants) -> float:
    """Seconds on top for what one thread writes and another reads, as far as that finds it in the cache.

    Lines come from core to core while the product is computed, in `seconds`; what takes longer is waited for.
    """
    if not (found.is_handed_over(constants.threads) and call.op.outputs[0] in call.graph.consumers):
        return 0.0
    written, excess_s = call.result_bytes(), constants.excess_s
    is_cached = 1 - excess_s(written) / max(*excess_s.heights, 1e-15)
    return max(0.0, written * constants.handover_s - seconds) * is_cached


def fetches(found: Product, touched: int, excess_s: Curve) -> tuple[float, ...]:
    """Excess of what a product fetches: as far as the last cache holds it, and what comes on top of that.

    Products hide most of the first part behind their arithmetic.
    """
    near_s = excess_s(min(touched, CACHED_BYTES))
    beyond_s = excess_s(touched) - near_s
    left, result = (ITEM_BYTES * count for count in found.fetched)
    return near_s * (left + result), beyond_s * left, beyond_s * result


def moving(found: Product, touched: int, excess_s: Curve) -> tuple[float, ...]:
    """Elements that a product needs or gives in another order, by kind of move, and the excess of all."""
    return *found.moved, sum(found.moved) * ITEM_BYTES * excess_s(touched)


def dot(rates: Iterable[float], counts: Iterable[float]) -> float:
    """Seconds of so many of each feature."""
    return sum(rate * count for rate, count in zip(rates, counts, strict=True))


def attention(call: Call, constants: Constants) -> float:
    """Both products of `softmax(q k') v` and the softmax; `[B, H, L, D]` or `[B, L, H * D]`."""
    query, key, value = call.operand(0), call.operand(1), call.operand(2)
    if not (len(query) == len(key) == len(value) and len(query) in (3, 4)):
        return other(call, constants)
    heads = query[1] if len(query) == 4 else call.op.integer("num_heads", call.op.integer("q_num_heads", 1))
    depths = [shape[-1] if len(shape) == 4 else shape[-1] // max(1, heads) for shape in (query, value)]
    batch, rows, columns = query[0] * heads, query[-2], key[-2]
    scores = Product(PLAIN, batch, rows, columns, depths[0])
    mixed = Product(PLAIN, batch, rows, depths[1], columns)
    touched = call.touched_bytes()
    seconds = sum(multiply(p, touched, constants) for p in (scores, mixed))
    return seconds + batch * rows * columns * constants.element_s["Softmax"]


_KINDS: Mapping[str, Price] = {
    "Reshape Squeeze Unsqueeze Flatten Identity Shape Size Constant ConstantOfShape Range": free,
    "Add Sub Mul Div Pow Max Min Mod Where PRelu": pointwise,
    "And Or Xor Equal Less Greater LessOrEqual GreaterOrEqual": pointwise,
    "Softmax LogSoftmax": softmax,
    "Transpose": transpose,
    "Slice Concat Split Expand Pad Tile": move,
    "Gather": gather,
    "MatMul FusedMatMul MatMulInteger QLinearMatMul MatMulIntegerToFloat": product(products.matmul),
    "Gemm FusedGemm QGemm": product(products.gemm),
    "Einsum": product(products.einsum),
    "Conv FusedConv QLinearConv": product(products.conv),
    "ConvTranspose": product(products.conv_transpose),
    "Attention MultiHeadAttention": attention,
}

PRICES: Mapping[str, Price] = {type_: price for types, price in _KINDS.items() for type_ in types.split()}
