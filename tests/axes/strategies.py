"""Calls with drawn shapes and parameters: one strategy for each way in which shapes of operands are related.

Extents are small and odd ones frequent, for chunks of every length are computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.axes.build import case, flags, ints, unique
from tests.axes.oracle import Case

Draw = st.DrawFn
Shape = tuple[int, ...]
EXTENTS = st.sampled_from([1, 2, 3, 3, 4, 5, 5, 6, 7])


def shapes(low: int, high: int) -> st.SearchStrategy[Shape]:
    """Shapes of `low` to `high` axes."""
    return st.lists(EXTENTS, min_size=low, max_size=high).map(tuple)


def _sometimes(draw: Draw, value: Any) -> Any:
    return value if draw(st.booleans()) else None


def _narrowed(draw: Draw, shape: Shape) -> Shape:
    """A shape that broadcasts to `shape`: leading axes left out, others of size 1."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(size if draw(st.integers(0, 3)) else 1 for size in kept)


@st.composite
def pointwise(draw: Draw) -> Case:
    """Operands that broadcast against each other."""
    shape = draw(shapes(0, 4))
    operands = [shape, *(_narrowed(draw, shape) for _ in range(2))]
    first, second, third = draw(st.permutations(operands))
    type_ = draw(st.sampled_from(["Add", "Pow", "Where", "Max", "PRelu", "Clip", "Equal"]))
    if type_ == "Where":
        return case(type_, flags(first), second, third)
    if type_ == "Max":
        return case(type_, first, second, third)
    if type_ == "PRelu":
        return case(type_, shape, _narrowed(draw, shape))
    if type_ == "Clip":
        return case(type_, shape, np.float32(0.3), np.float32(0.7))
    return case(type_, first, second)


@st.composite
def matrix_product(draw: Draw) -> Case:
    """Batches that broadcast, vectors on either side."""
    m, k, n = (draw(EXTENTS) for _ in range(3))
    batch = draw(shapes(0, 3))
    left = (k,) if draw(st.integers(0, 4)) == 0 else (*_narrowed(draw, batch), m, k)
    right = (k,) if draw(st.integers(0, 4)) == 0 else (*_narrowed(draw, batch), k, n)
    return case("MatMul", left, right)


@st.composite
def gemm(draw: Draw) -> Case:
    """Transposed operands, with and without a bias of any shape that broadcasts."""
    m, k, n = (draw(EXTENTS) for _ in range(3))
    flip_a, flip_b = draw(st.booleans()), draw(st.booleans())
    a, b = ((k, m) if flip_a else (m, k)), ((n, k) if flip_b else (k, n))
    operands = (a, b, _narrowed(draw, (m, n))) if draw(st.booleans()) else (a, b)
    return case("Gemm", *operands, transA=int(flip_a), transB=int(flip_b), alpha=0.5)


@st.composite
def einsum(draw: Draw) -> Case:
    """Two or three terms over four letters, and a result of some of them in any order."""
    sizes = dict(zip("abcd", draw(st.lists(EXTENTS, min_size=4, max_size=4)), strict=True))
    letters = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)
    terms = ["".join(draw(letters)) for _ in range(draw(st.integers(1, 3)))]
    there = sorted(set("".join(terms)))
    result = draw(st.lists(st.sampled_from(there), unique=True, max_size=3))
    equation = f"{','.join(terms)}->{''.join(result)}"
    return case("Einsum", *(tuple(sizes[x] for x in term) for term in terms), equation=equation)


@st.composite
def regrouping(draw: Draw) -> Case:
    """The same steps in two groupings, or any other op that moves no element."""
    shape = draw(shapes(1, 4))
    type_ = draw(st.sampled_from(["Reshape", "Reshape", "Flatten", "Unsqueeze", "Squeeze", "Transpose"]))
    if type_ == "Flatten":
        return case(type_, shape, axis=draw(st.integers(-len(shape), len(shape))))
    if type_ == "Unsqueeze":
        rank = len(shape) + 2
        axes = draw(st.lists(st.integers(0, rank - 1), min_size=2, max_size=2, unique=True))
        return case(type_, shape, [axis - draw(st.sampled_from([0, rank])) for axis in axes])
    if type_ == "Squeeze":
        narrow = tuple(1 if draw(st.booleans()) else size for size in shape)
        return case(type_, narrow, [axis for axis, size in enumerate(narrow) if size == 1])
    if type_ == "Transpose":
        return case(type_, shape, perm=draw(st.permutations(range(len(shape)))))
    steps = draw(st.lists(st.sampled_from([1, 2, 2, 3, 3, 5]), min_size=1, max_size=5))
    other = draw(st.one_of(st.just(steps), st.permutations(steps)))
    return case(type_, _grouped(draw, steps), list(_grouped(draw, other)))


def _grouped(draw: Draw, steps: list[int]) -> Shape:
    ends = sorted(draw(st.lists(st.integers(0, len(steps)), max_size=4)))
    return tuple(prod(steps[i:j]) for i, j in pairwise([0, *ends, len(steps)]))


@st.composite
def repeating(draw: Draw) -> Case:
    """Expand, Tile, Concat and Split."""
    shape = draw(shapes(1, 4))
    type_ = draw(st.sampled_from(["Expand", "Tile", "Concat", "Split"]))
    if type_ == "Expand":
        return case(type_, _narrowed(draw, shape), list(_narrowed(draw, shape)))
    if type_ == "Tile":
        return case(type_, shape, [draw(st.sampled_from([1, 1, 2, 3])) for _ in shape])
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    parts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    sizes = [_with(shape, axis, part) for part in parts]
    if type_ == "Concat":
        return case(type_, *sizes, axis=axis)
    return case(type_, _with(shape, axis, sum(parts)), parts, axis=axis, y="1" * len(parts))


def _with(shape: Shape, axis: int, size: int) -> Shape:
    axis %= len(shape)
    return (*shape[:axis], size, *shape[axis + 1 :])


REDUCTIONS = "ReduceSum ReduceMax ReduceMin ReduceMean ReduceProd ReduceL2 ReduceLogSumExp ReduceSumSquare"


@st.composite
def reduction(draw: Draw) -> Case:
    """Any axes, kept or not, and none at all."""
    shape = draw(shapes(1, 4))
    if draw(st.integers(0, 3)) == 0:
        type_ = draw(st.sampled_from(["ArgMax", "ArgMin", "Softmax", "LogSoftmax", "CumSum", "TopK"]))
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        if type_ == "CumSum":
            return case(
                type_, shape, axis, reverse=draw(st.integers(0, 1)), exclusive=draw(st.integers(0, 1))
            )
        if type_ == "TopK":
            return case(type_, shape, [draw(st.integers(1, shape[axis]))], axis=axis, y="11")
        return case(type_, shape, axis=axis, opset=draw(st.sampled_from([12, 23])))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    given = [axis - draw(st.sampled_from([0, len(shape)])) for axis in axes]
    options: dict[str, Any] = {
        "keepdims": draw(st.integers(0, 1)),
        "noop_with_empty_axes": draw(st.integers(0, 1)),
    }
    return case(draw(st.sampled_from(REDUCTIONS.split())), shape, given or None, **options)


def _space(draw: Draw, rank: int) -> tuple[Shape, dict[str, Any]]:
    """Kernel, and strides, dilations and pads or `auto_pad`."""
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    gaps = [draw(st.sampled_from([1, 1, 2])) for _ in range(rank)]
    given: dict[str, Any] = {"strides": [draw(st.integers(1, 3)) for _ in range(rank)], "dilations": gaps}
    kind = draw(st.sampled_from(["", "", "", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if kind:
        return kernel, {**given, "auto_pad": kind, "dilations": [1] * rank if "SAME" in kind else gaps}
    spans = [(size - 1) * gap for size, gap in zip(kernel, gaps, strict=True)]
    return kernel, {**given, "pads": [draw(st.integers(0, min(2, span))) for span in (*spans, *spans)]}


def _image(draw: Draw, rank: int) -> Shape:
    return tuple(draw(st.integers(5, 8)) for _ in range(rank))


@st.composite
def convolution(draw: Draw) -> Case:
    """Groups, strides, dilations and padding of every kind, with and without a bias."""
    rank = draw(st.integers(1, 2))
    kernel, options = _space(draw, rank)
    group = draw(st.sampled_from([1, 1, 2, 3]))
    narrow, wide = group * draw(st.integers(1, 2)), group * draw(st.integers(1, 2))
    value = (draw(st.integers(1, 2)), narrow, *_image(draw, rank))
    bias = (wide,) if draw(st.booleans()) else None
    if draw(st.integers(0, 2)):
        return case("Conv", value, (wide, narrow // group, *kernel), bias, group=group, **options)
    options = {name: entry for name, entry in options.items() if name != "auto_pad"}
    return case("ConvTranspose", value, (narrow, wide // group, *kernel), bias, group=group, **options)


@st.composite
def pooling(draw: Draw) -> Case:
    """Windows that overlap, leave gaps or hang over the edge."""
    rank = draw(st.integers(1, 2))
    kernel, options = _space(draw, rank)
    type_ = draw(st.sampled_from(["MaxPool", "AveragePool", "LpPool"]))
    if type_ != "LpPool":
        options["ceil_mode"] = draw(st.integers(0, 1))
    if type_ == "AveragePool":
        options["count_include_pad"] = draw(st.integers(0, 1))
    return case(type_, (2, 3, *_image(draw, rank)), kernel_shape=kernel, **options)


@st.composite
def resizing(draw: Draw) -> Case:
    """By sizes or scales, in every mode that looks at a few neighbours."""
    value = (1, 2, *_image(draw, 2))
    mode = draw(st.sampled_from(["nearest", "nearest", "linear", "cubic"]))
    where = draw(st.sampled_from(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]))
    options: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": where}
    if mode == "nearest":
        rounding = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        options["nearest_mode"] = draw(st.sampled_from(rounding))
    if draw(st.booleans()):
        scales = [draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])) for _ in range(2)]
        return case("Resize", value, None, [1.0, 1.0, *scales], **options)
    return case("Resize", value, None, None, [1, 2, *(draw(st.integers(2, 12)) for _ in range(2))], **options)


@st.composite
def cropping(draw: Draw) -> Case:
    """Pad in every mode and Slice with any bounds and steps."""
    shape = tuple(draw(st.integers(3, 7)) for _ in range(draw(st.integers(1, 3))))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    if draw(st.booleans()):
        mode = draw(st.sampled_from(["constant", "constant", "reflect", "edge", "wrap"]))
        amounts = [draw(st.integers(-1 if mode == "constant" else 0, 2)) for _ in (*axes, *axes)]
        return case("Pad", shape, amounts, None, axes, mode=mode)
    steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in axes]
    bounds = [_bounds(draw, shape[axis], step) for axis, step in zip(axes, steps, strict=True)]
    starts, ends = [start for start, _ in bounds], [end for _, end in bounds]
    return case("Slice", shape, starts, ends, axes, steps)


def _bounds(draw: Draw, size: int, step: int) -> tuple[int, int]:
    """Start and end of a slice, now and then counted from the end or beyond it; seldom of nothing."""
    low, high = sorted(draw(st.lists(st.integers(0, size), min_size=2, max_size=2)))
    start, end = (low, high) if step > 0 else (high - 1, low - 1)
    if draw(st.booleans()) and start < size:
        start -= size
    if end < 0 or (draw(st.booleans()) and end < size):
        end -= size
    return start, end + (draw(st.integers(0, 3)) if end >= size else 0)


@st.composite
def gathering(draw: Draw) -> Case:
    """Indices of any shape along any axis."""
    shape = draw(shapes(1, 4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    size = shape[axis]
    type_ = draw(st.sampled_from(["Gather", "GatherElements", "GatherND", "OneHot"]))
    if type_ == "Gather":
        return case(type_, shape, ints(draw(shapes(0, 2)), size, low=-size), axis=axis)
    if type_ == "GatherElements":
        within = tuple(draw(st.sampled_from([extent, max(extent - 1, 1)])) for extent in shape)
        picked = _with(within, axis, draw(EXTENTS))
        return case(type_, shape, ints(picked, size, low=-size), axis=axis)
    if type_ == "GatherND":
        batch = draw(st.integers(0, len(shape) - 1))
        depth = draw(st.integers(1, len(shape) - batch))
        picked = (*shape[:batch], *draw(shapes(0, 2)), depth)
        high = min(shape[batch : batch + depth])
        return case(type_, shape, ints(picked, high), batch_dims=batch)
    return case(type_, ints(shape[:3], 5), 5, [0.0, 1.0], axis=draw(st.integers(-1, min(len(shape), 3))))


@st.composite
def scattering(draw: Draw) -> Case:
    """Updates of elements, of slices, and with reductions."""
    shape = draw(shapes(1, 3))
    how = draw(st.sampled_from(["none", "add", "mul", "max"]))
    if draw(st.booleans()):
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        within = tuple(draw(st.sampled_from([extent, max(extent - 1, 1)])) for extent in shape)
        count = draw(st.integers(1, shape[axis]))
        updated = _with(within, axis, count)
        order = np.random.default_rng(3).permutation(shape[axis])[:count]
        spread = np.moveaxis(np.broadcast_to(order, (*_without(updated, axis), count)), -1, axis)
        indices = np.ascontiguousarray(spread)
        return case("ScatterElements", shape, indices, updated, axis=axis, reduction=how)
    depth = draw(st.integers(1, len(shape)))
    count = draw(st.integers(1, shape[0]))
    rest = np.zeros((count, depth - 1), np.int64)
    indices = np.concatenate([unique((count, 1), shape[0]), rest], 1)
    return case("ScatterND", shape, indices, (count, *shape[depth:]), reduction=how)


def _without(shape: Shape, axis: int) -> Shape:
    axis %= len(shape)
    return (*shape[:axis], *shape[axis + 1 :])


@st.composite
def triangle(draw: Draw) -> Case:
    """Any offset of the diagonal, and diagonals that move with the rows."""
    shape = (*draw(shapes(0, 1)), draw(EXTENTS), draw(EXTENTS))
    if draw(st.integers(0, 3)) == 0:
        return case("EyeLike", shape[-2:], k=draw(st.integers(-2, 2)))
    return case("Trilu", shape, draw(st.integers(-4, 4)), upper=draw(st.integers(0, 1)))


@st.composite
def normalisation(draw: Draw) -> Case:
    """Statistics over the last axes, over groups of channels, over the batch or over neighbours."""
    shape = draw(shapes(3, 4))
    type_ = draw(st.sampled_from(NORMALISATIONS.split()))
    channels = (shape[1],)
    if type_ in ("LayerNormalization", "RMSNormalization"):
        return _layer(draw, type_, shape)
    if type_ == "GroupNormalization":
        groups = draw(st.sampled_from([g for g in range(1, shape[1] + 1) if shape[1] % g == 0]))
        return case(type_, shape, channels, channels, num_groups=groups)
    if type_ in ("InstanceNormalization", "BatchNormalization"):
        return case(type_, shape, *[channels] * (2 if type_ == "InstanceNormalization" else 4))
    if type_ == "LRN":
        return case(type_, (*shape[:2], 3, 2), size=draw(st.sampled_from([1, 3, 5])), alpha=1.0)
    if type_ == "MeanVarianceNormalization":
        axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
        return case(type_, shape, axes=axes)
    return case(type_, shape, axis=draw(st.integers(-1, 2)))


NORMALISATIONS = (
    "LayerNormalization RMSNormalization GroupNormalization InstanceNormalization BatchNormalization LRN"
    " MeanVarianceNormalization LpNormalization Hardmax"
)


def _layer(draw: Draw, type_: str, shape: Shape) -> Case:
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    scale = shape[axis % len(shape) :]
    if type_ == "RMSNormalization":
        return case(type_, shape, scale, axis=axis)
    bias = [scale] if draw(st.booleans()) else []  # ORT falls over one that is absent by name
    return case(type_, shape, scale, *bias, axis=axis, y=draw(st.sampled_from(["1", "111"])))


@st.composite
def attention(draw: Draw) -> Case:
    """Shared heads, causal or masked, with keys and values of earlier steps."""
    batch, groups, heads = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rows, keys, width = draw(EXTENTS), draw(EXTENTS), draw(st.sampled_from([2, 4]))
    query, key = (batch, groups * heads, rows, width), (batch, groups, keys, width)
    past = draw(st.sampled_from([0, 0, 3]))
    mask = _sometimes(draw, _narrowed(draw, (batch, groups * heads, rows, keys + past)))
    full = None if mask is None or len(mask) < 2 else (*mask[:-1], keys + past)
    options: dict[str, Any] = {"is_causal": draw(st.integers(0, 1))}
    if past:
        old = (batch, groups, past, width)
        return case("Attention", query, key, key, full, old, old, y="111", **options)
    return case("Attention", query, key, key, full, **options)


@st.composite
def quantisation(draw: Draw) -> Case:
    """One scale, one an axis, or one a block, the last of which may be short."""
    shape = draw(shapes(1, 3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    kind = draw(st.sampled_from(["one", "axis", "block"]))
    scale: Any = np.float32(0.1)
    options: dict[str, Any] = {}
    if kind == "axis":
        scale, options = (shape[axis],), {"axis": axis}
    elif kind == "block":
        block = draw(st.integers(1, 3))
        scale, options = _with(shape, axis, -(-shape[axis] // block)), {"axis": axis, "block_size": block}
    if draw(st.booleans()):
        return case("QuantizeLinear", shape, scale, **options)
    return case("DequantizeLinear", ints(shape, 9, np.uint8), scale, **options)


@st.composite
def recurrence(draw: Draw) -> Case:
    """Both directions, with and without lengths and first states."""
    gates = draw(st.sampled_from([("LSTM", 4), ("GRU", 3), ("RNN", 1)]))
    type_, count = gates
    steps, batch, inner, hidden = (draw(st.integers(2, 5)) for _ in range(4))
    ways = draw(st.integers(1, 2))
    weights = (ways, count * hidden, inner), (ways, count * hidden, hidden)
    bias = _sometimes(draw, (ways, 2 * count * hidden))
    spans = _sometimes(draw, ints((batch,), steps, np.int32, low=1))
    state = _sometimes(draw, (ways, batch, hidden))
    options: dict[str, Any] = {"hidden_size": hidden, "direction": ["forward", "bidirectional"][ways - 1]}
    return case(type_, (steps, batch, inner), *weights, bias, spans, state, y="11", **options)


FAMILIES: Mapping[str, st.SearchStrategy[Case]] = {
    "pointwise": pointwise(), "matrix product": matrix_product(), "gemm": gemm(), "einsum": einsum(),
    "regrouping": regrouping(), "repeating": repeating(), "reduction": reduction(),
    "convolution": convolution(), "pooling": pooling(), "resizing": resizing(), "cropping": cropping(),
    "gathering": gathering(), "scattering": scattering(), "triangle": triangle(),
    "normalisation": normalisation(), "attention": attention(), "quantisation": quantisation(),
    "recurrence": recurrence(),
}  # fmt: skip
"""By name."""
