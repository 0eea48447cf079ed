"""Seconds of one call by kind of op, without the dispatch: `PRICES[type](call, constants)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TypeAlias

from . import products
from .call import Call
from .constants import Constants
from .fused import is_absorbed
from .products import Product

Price: TypeAlias = Callable[[Call, Constants], float]
ITEM_BYTES = 4  # products are computed in float32, whatever the elements are stored as
LONG_RUN = 16  # elements that a transpose keeps together
TRANSPOSED_RUNS = "Transpose of runs"  # its price, apart from that of a Transpose of single elements


def other(call: Call, constants: Constants) -> float:
    """Any op without a price of its own: it reads its operands and writes its results once."""
    touched = call.touched_bytes()
    unit = constants.element_s.get(call.op.type, constants.element_s[""])
    return call.elements() * unit + touched * constants.excess_s(touched)


def free(call: Call, constants: Constants) -> float:  # noqa: ARG001 - every price has one signature
    """A view of the operand, or a few integers."""
    return 0.0


def pointwise(call: Call, constants: Constants) -> float:
    """Elementwise: an operand that is broadcast along the last axes is worked off stretch by stretch."""
    if is_absorbed(call.op, call.graph):
        return 0.0
    return other(call, constants) + _spans(call) * constants.span_s


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
    axis, rank = call.integer("axis", -1), len(call.operand(0))
    seconds = other(call, constants)
    is_last = axis in (-1, rank - 1) or call.op.version < 13
    return seconds if is_last else seconds + 2 * call.elements() * constants.element_s["Transpose"]


def transpose(call: Call, constants: Constants) -> float:
    """Long runs that stay together are copied as they are; otherwise elements move one by one."""
    unit = "Transpose" if transposed_run(call) < LONG_RUN else TRANSPOSED_RUNS
    touched = call.touched_bytes()
    return call.elements() * constants.element_s[unit] + touched * constants.excess_s(touched)


def transposed_run(call: Call) -> int:
    """Elements that a Transpose keeps together."""
    order, shape = call.op.attributes.get("perm"), call.operand(0)
    if not isinstance(order, tuple) or len(order) != len(shape):
        order = tuple(reversed(range(len(shape))))
    axes = [axis for axis in order if shape[axis] > 1]
    run, rest = 1, sorted(axes)
    while axes and axes[-1] == rest[-1]:
        run *= shape[axes.pop()]
        rest.pop()
    return run


def move(call: Call, constants: Constants) -> float:
    """Slice, Concat, Split, Expand and their like: runs along which operand and result agree."""
    data, result = (
        max((s for s in shapes if s is not None), key=prod, default=())
        for shapes in (call.operands, call.results)
    )
    run = 1
    for ours, theirs in zip(reversed(data), reversed(result), strict=False):
        run *= min(ours, theirs)
        if ours != theirs:
            break
    return _copy(call, run, constants)


def gather(call: Call, constants: Constants) -> float:
    """Picks runs behind the axis; the table is read only where it is picked from."""
    data = call.operand(0)
    axis = call.integer("axis", 0) % max(1, len(data))
    return _copy(call, prod(data[axis + 1 :]), constants)


def _copy(call: Call, run: int, constants: Constants) -> float:
    """Seconds to write the results in runs of so many elements."""
    moved = call.result_bytes()
    elements = sum(prod(shape) for shape in call.results if shape is not None)
    return copy(moved, moved * run / max(1, elements), constants)


def copy(moved: int, run_bytes: float, constants: Constants) -> float:
    """Seconds to copy `moved` bytes in contiguous runs."""
    runs = moved / max(1, run_bytes)
    return moved * constants.move_s + runs * constants.run_s + 2 * moved * constants.excess_s(2 * moved)


def product(find: Callable[[Call], Product | None]) -> Price:
    """The price of an op that multiplies matrices whose sizes `find` reads off its call."""

    def price(call: Call, constants: Constants) -> float:
        found = find(call)
        return other(call, constants) if found is None else multiply(found, call.touched_bytes(), constants)

    return price


def multiply(found: Product, touched: int, constants: Constants) -> float:
    """Seconds of a matrix product that touches so many bytes."""
    *rates, fetch = constants.product_s[found.kind]
    seconds = sum(rate * feature for rate, feature in zip(rates, products.features(found), strict=True))
    fetched = fetch * found.fetched * ITEM_BYTES * constants.excess_s(touched)
    return seconds + fetched + (found.moved and found.moved * constants.element_s["Einsum"])


def attention(call: Call, constants: Constants) -> float:
    """Both products of `softmax(q k') v` and the softmax; `[B, H, L, D]` or `[B, L, H * D]`."""
    query, key, value = call.operand(0), call.operand(1), call.operand(2)
    if not (len(query) == len(key) == len(value) and len(query) in (3, 4)):
        return other(call, constants)
    heads = query[1] if len(query) == 4 else call.integer("num_heads", call.integer("q_num_heads", 1))
    depths = [shape[-1] if len(shape) == 4 else shape[-1] // max(1, heads) for shape in (query, value)]
    batch, rows, columns = query[0] * heads, query[-2], key[-2]
    scores = Product("plain", batch, rows, columns, depths[0])
    mixed = Product("plain", batch, rows, depths[1], columns)
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
    "MatMul FusedMatMul MatMulInteger QLinearMatMul": product(products.matmul),
    "Gemm FusedGemm": product(products.gemm),
    "Einsum": product(products.einsum),
    "Conv FusedConv": product(products.conv),
    "ConvTranspose": product(products.conv_transpose),
    "Attention MultiHeadAttention": attention,
}

PRICES: Mapping[str, Price] = {type_: price for types, price in _KINDS.items() for type_ in types.split()}
