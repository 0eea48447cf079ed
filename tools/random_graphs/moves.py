"""Pieces that mask, index, cut, join and reshape."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from onnx import TensorProto

from .builder import Builder, Tensor

UNREAD = 0.1  # share of the parts that nothing reads


def where(b: Builder, x: Tensor) -> Tensor:
    """A mask that the tensor itself gives."""
    mask = b.op(b.pick("Greater", "Less", "Equal"), [x, b.weight()], x.shape, TensorProto.BOOL)
    mask = b.op("Not", [mask], x.shape, TensorProto.BOOL) if b.chance(0.3) else mask
    other: Tensor | str = b.other(x.shape, x) or b.weight()
    return b.op("Where", [mask, x, other] if b.chance(0.5) else [mask, other, x], x.shape)


def where_rows(b: Builder, x: Tensor) -> Tensor:
    """A mask that broadcasts over all axes but the last."""
    mask = b.constant(b.rng.random(x.shape[-1]) < 0.5)
    return b.op("Where", [mask, x, b.weight()], x.shape)


def transpose(b: Builder, x: Tensor) -> Tensor:
    """In any order."""
    order = [int(i) for i in b.rng.permutation(len(x.shape))]
    return b.op("Transpose", [x], [x.shape[i] for i in order], perm=order)


def reshaped(b: Builder, x: Tensor, shape: Sequence[int]) -> Tensor:
    """Of the same elements in another shape."""
    return b.op("Reshape", [x, b.integers(*shape)], shape)


def merge(b: Builder, x: Tensor) -> Tensor | None:
    """Two neighbouring axes become one: `[b, n, d] -> [b * n, d]`."""
    if len(x.shape) < 3:
        return None
    axis = int(b.rng.integers(len(x.shape) - 1))
    shape = (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])
    return reshaped(b, x, shape)


def split_axis(b: Builder, x: Tensor) -> Tensor | None:
    """One axis becomes two: `[b * n, d] -> [b, n, d]`."""
    axis = int(b.rng.integers(len(x.shape)))
    parts = [n for n in (2, 4, 8, 16) if x.shape[axis] % n == 0 and x.shape[axis] > n]
    if not parts or len(x.shape) > 4:
        return None
    count = b.pick(*parts)
    return reshaped(b, x, (*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :]))


def squeeze(b: Builder, x: Tensor) -> Tensor:
    """Drops an axis of size 1, or makes one."""
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    if ones and len(x.shape) > 2:
        shape = [n for i, n in enumerate(x.shape) if i != ones[0]]
        return b.op("Squeeze", [x, b.integers(ones[0])], shape)
    return b.op("Unsqueeze", [x, b.integers(0)], (1, *x.shape))


def flatten(b: Builder, x: Tensor) -> Tensor:
    """To a matrix."""
    axis = int(b.rng.integers(1, len(x.shape))) if len(x.shape) > 1 else 1
    return b.op("Flatten", [x], (prod(x.shape[:axis]), prod(x.shape[axis:])), axis=axis)


def expand(b: Builder, x: Tensor) -> Tensor | None:
    """Against its largest elements, spread again."""
    small = b.op("ReduceMax", [x, b.integers(len(x.shape) - 1)], (*x.shape[:-1], 1))
    spread = b.op("Expand", [small, b.integers(*x.shape)], x.shape)
    return b.op("Sub", [x, spread], x.shape)


def concat(b: Builder, x: Tensor) -> Tensor | None:
    """With another tensor or with itself."""
    axis = int(b.rng.integers(len(x.shape)))
    other = b.other(x.shape, x) or x
    shape = tuple(2 * n if i == axis else n for i, n in enumerate(x.shape))
    return b.op("Concat", [x, other], shape, axis=axis) if b.fits(*shape) else None


def split(b: Builder, x: Tensor) -> Tensor | None:
    """Into parts that come together again."""
    axis = int(b.rng.integers(len(x.shape)))
    count = b.pick(2, 3, 4)
    if x.shape[axis] % count:
        return None
    shape = tuple(n // count if i == axis else n for i, n in enumerate(x.shape))
    parts = b.ops("Split", [x], [shape] * count, axis=axis, num_outputs=count)
    changed = [b.op(b.pick("Tanh", "Neg", "Relu"), [t], shape) if b.chance(0.6) else t for t in parts]
    if b.chance(0.5):
        return b.op("Concat", changed[::-1], x.shape, axis=axis)
    last = changed[0]
    for part in changed[1:]:
        last = last if b.chance(UNREAD) else b.op("Mul", [last, part], shape)
    return last


def cut(b: Builder, x: Tensor) -> Tensor | None:
    """A part of one axis."""
    axis = int(b.rng.integers(len(x.shape)))
    if x.shape[axis] < 4:
        return None
    start, end = x.shape[axis] // 4, x.shape[axis] - int(b.chance(0.5))
    shape = tuple(end - start if i == axis else n for i, n in enumerate(x.shape))
    return b.op("Slice", [x, b.integers(start), b.integers(end), b.integers(axis)], shape)


def rotary(b: Builder, x: Tensor) -> Tensor | None:
    """Rotary position embedding."""
    width = x.shape[-1]
    if width % 2:
        return None
    half = (*x.shape[:-1], width // 2)
    axis = b.integers(len(x.shape) - 1)
    first = b.op("Slice", [x, b.integers(0), b.integers(width // 2), axis], half)
    second = b.op("Slice", [x, b.integers(width // 2), b.integers(width), axis], half)
    turned = b.op("Concat", [b.op("Neg", [second], half), first], x.shape, axis=len(x.shape) - 1)
    straight = b.op("Mul", [x, b.weight(width)], x.shape)
    return b.op("Add", [straight, b.op("Mul", [turned, b.weight(width)], x.shape)], x.shape)


def gather(b: Builder, x: Tensor) -> Tensor:
    """Rows by constant indices."""
    axis = int(b.rng.integers(len(x.shape)))
    count = max(1, x.shape[axis] // b.pick(1, 2))
    shape = tuple(count if i == axis else n for i, n in enumerate(x.shape))
    return b.op("Gather", [x, b.integers(*b.rng.integers(x.shape[axis], size=count))], shape, axis=axis)


def pad(b: Builder, x: Tensor) -> Tensor | None:
    """One more on either side of an axis."""
    axis = int(b.rng.integers(len(x.shape)))
    before = [int(i == axis) for i in range(len(x.shape))]
    shape = tuple(n + 2 * one for n, one in zip(x.shape, before, strict=True))
    mode = b.pick("constant", "edge")
    return b.op("Pad", [x, b.integers(*before, *before)], shape, mode=mode) if b.fits(*shape) else None


def tile(b: Builder, x: Tensor) -> Tensor | None:
    """Twice along the first axis."""
    shape = (2 * x.shape[0], *x.shape[1:])
    made = [2] + [1] * (len(x.shape) - 1)
    return b.op("Tile", [x, b.integers(*made)], shape) if b.fits(*shape) else None


def scatter(b: Builder, x: Tensor) -> Tensor | None:
    """Half of the rows replaced."""
    rows = x.shape[0] // 2
    if not rows:
        return None
    updates = b.op("Slice", [x, b.integers(0), b.integers(rows), b.integers(0)], (rows, *x.shape[1:]))
    where_to = b.constant(np.arange(rows, dtype=np.int64)[::-1].copy()[:, None])
    return b.op("ScatterND", [x, where_to, b.op("Neg", [updates], updates.shape)], x.shape)
