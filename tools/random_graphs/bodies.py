"""Pieces with a body (Scan, Loop, If), and sweeps, which a body would replace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from .builder import Builder, Piece, Tensor, info
from .moves import (
    concat,
    cut,
    expand,
    gather,
    merge,
    reshaped,
    rotary,
    split,
    split_axis,
    squeeze,
    transpose,
    where,
)
from .pointwise import binary, norm, norm_in_steps, power, reduce, softmax, unary
from .products import attention, linear, mlp, scores

SAME_SHAPE: tuple[Piece, ...] = (
    unary, unary, binary, softmax, norm, norm_in_steps, where, reduce, expand, mlp, rotary, power,
)  # fmt: skip
BODY_PIECES: tuple[Piece, ...] = (
    *SAME_SHAPE, linear, scores, transpose, merge, split_axis, concat, split, cut, gather, attention, squeeze,
)  # fmt: skip


def _body(b: Builder, x: Tensor, most: int) -> tuple[Builder, Tensor]:
    """A builder for a body that starts from one tensor."""
    inner = Builder(b.rng, b.dtype, most, f"{b.prefix}{b.name()}_", b)
    start = Tensor(inner.name(), x.shape, x.dtype)
    inner.tensors.append(start)
    return inner, start


def _grown(inner: Builder, pieces: Sequence[Piece], steps: int) -> Tensor:
    """The last of so many pieces, each made from the one before."""
    last = inner.tensors[0]
    for _ in range(steps):
        last = inner.pick(*pieces)(inner, last) or last
    return (
        last
        if inner.nodes and last.name == inner.nodes[-1].output[0]
        else inner.op("Tanh", [last], last.shape)
    )


def _finish(inner: Builder, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> onnx.GraphProto:
    known = {t.name for t in (*inputs, *outputs)}
    return helper.make_graph(
        inner.nodes,
        f"{inner.prefix}body",
        [info(t) for t in inputs],
        [info(t) for t in outputs],
        value_info=[info(t) for t in inner.tensors if t.name not in known],
    )


def scan(b: Builder, x: Tensor) -> Tensor | None:
    """Cut along the first axis that can be brought to the front by a Reshape alone."""
    rows = next((n for n in x.shape if n > 1), 1)
    count = b.pick(*[n for n in (2, 4, 8, 16) if rows % n == 0] or [1])
    if count == 1 or b.outer is not None:
        return None
    chunk = tuple(n // count if n == rows else n for n in x.shape[: x.shape.index(rows) + 1])
    chunk += x.shape[len(chunk) :]
    cut_up = reshaped(b, x, (count, *chunk))
    inner, start = _body(b, Tensor("", chunk, b.dtype), b.most // count)
    last = _grown(inner, BODY_PIECES, int(b.rng.integers(2, 6)))
    body = _finish(inner, [start], [last])
    made = b.op("Scan", [cut_up], (count, *last.shape), body=body, num_scan_inputs=1)
    if last.shape == chunk and b.chance(0.7):
        return reshaped(b, made, x.shape)
    return made


def loop(b: Builder, x: Tensor) -> Tensor | None:
    """Carries the whole tensor for a few rounds."""
    if b.outer is not None:
        return None
    inner, start = _body(b, x, b.most)
    number, go = Tensor(inner.name(), (), TensorProto.INT64), Tensor(inner.name(), (), TensorProto.BOOL)
    last = _grown(inner, SAME_SHAPE, int(b.rng.integers(2, 5)))
    again = inner.op("Identity", [go], (), TensorProto.BOOL)
    body = _finish(inner, [number, go, start], [again, last])
    rounds = b.constant(np.array(int(b.rng.integers(2, 4)), np.int64))
    return b.op("Loop", [rounds, "", x], x.shape, body=body)


def branch(b: Builder, x: Tensor) -> Tensor | None:
    """An If whose condition is known at run time only; both branches read the tensor from outside.

    They differ in their last node alone, because only the one that runs is measured.
    """
    if b.outer is not None:
        return None
    every = b.integers(*range(len(x.shape)))
    largest = b.op("ReduceMax", [x, every], (), keepdims=0)
    condition = b.op("Greater", [largest, b.weight()], (), TensorProto.BOOL)
    seed, bodies = int(b.rng.integers(1 << 30)), []
    for last in ("Sin", "Floor"):
        inner, _ = _body(b, x, b.most)
        inner.tensors[0], inner.rng = x, np.random.default_rng(seed)
        grown = _grown(inner, SAME_SHAPE, int(inner.rng.integers(1, 5)))
        bodies.append(_finish_branch(inner, x, inner.op(last, [grown], grown.shape)))
    b.reads[x.name] += 1
    return b.op("If", [condition], x.shape, then_branch=bodies[0], else_branch=bodies[1])


def _finish_branch(inner: Builder, captured: Tensor, last: Tensor) -> onnx.GraphProto:
    inner.tensors.remove(captured)
    return _finish(inner, [], [last])


def sweep(b: Builder, x: Tensor) -> Tensor | None:
    """Chunks that overwrite the buffer they are read from; heads of rows keep the TensorScatter on axis 1."""
    if len(x.shape) != 3 or x.shape[0] != 1 or x.shape[1] < 8 or b.dtype != TensorProto.FLOAT:
        return None
    count = b.pick(2, 3, 4)
    length = -(-x.shape[1] // count)
    held = b.op("Tanh", [x], x.shape)
    for start in range(0, x.shape[1], length):
        end = min(start + length, x.shape[1])
        shape = (1, end - start, x.shape[2])
        bounds = [b.integers(start, 0), b.integers(end, x.shape[2]), b.integers(1, 2)]
        chunk = b.op("Slice", [held, *bounds], shape)
        wide = b.op("Concat", [chunk, chunk], (*shape[:2], 2 * shape[2]), axis=2)
        small = b.op("ReduceMax", [b.op("Exp", [wide], wide.shape), b.integers(2)], (*shape[:2], 1))
        made = b.op("Add", [small, chunk], shape)
        held = b.op("TensorScatter", [held, made, b.integers(start)], x.shape, axis=1)
    return held
