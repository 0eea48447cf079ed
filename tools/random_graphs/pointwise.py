"""Pieces of one op or of a few that go element by element or along one axis."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from .builder import Builder, Tensor

UNARY = (
    "Relu Tanh Sigmoid Gelu Exp Neg Abs Erf Softplus LeakyRelu HardSigmoid Elu Selu HardSwish Mish Floor Sin "
    "Softsign Celu Identity Sign Reciprocal Round Softmax LogSoftmax Clip Swish"
).split()


NOT_IN_HALF = frozenset("Celu".split())  # ORT has no kernel, and the standard no cast, for these


def unary(b: Builder, x: Tensor) -> Tensor:
    """One of the activations and other functions of one operand."""
    kinds = UNARY if b.dtype == TensorProto.FLOAT else [kind for kind in UNARY if kind not in NOT_IN_HALF]
    return b.op(b.pick(*kinds), [x], x.shape)


def binary(b: Builder, x: Tensor) -> Tensor:
    """With another tensor, or with a constant vector or scalar."""
    kind = b.pick("Add", "Mul", "Sub", "Add", "Max", "Div")
    other: Tensor | str | None = b.other(x.shape, x) if b.chance(0.7) else None
    if other is None:
        other = b.weight(*b.pick((), (x.shape[-1],), (1,) * (len(x.shape) - 1) + (x.shape[-1],)))
    return b.op(kind, [x, other] if b.chance(0.8) else [other, x], x.shape)


def power(b: Builder, x: Tensor) -> Tensor:
    """The square."""
    exponent = b.constant(np.asarray(2, helper.tensor_dtype_to_np_dtype(b.dtype)))
    return b.op("Pow", [x, exponent], x.shape)


def several(b: Builder, x: Tensor) -> Tensor | None:
    """An operator of any number of operands."""
    others = [t for t in b.tensors if t.shape == x.shape and t.dtype == b.dtype][:4]
    return b.op(b.pick("Sum", "Max", "Min", "Mean"), others, x.shape) if len(others) > 2 else None


def outer(b: Builder, x: Tensor) -> Tensor | None:
    """Rows against columns: `[.., n] -> [.., n, 1] + [.., 1, n]`."""
    small = b.op("ReduceMean", [x, b.integers(len(x.shape) - 1)], x.shape[:-1], keepdims=0)
    *rest, rows = small.shape or (1,)
    if not small.shape or not b.fits(*rest, rows, rows):
        return None
    left = b.op("Unsqueeze", [small, b.integers(len(small.shape))], (*small.shape, 1))
    right = b.op("Unsqueeze", [small, b.integers(len(small.shape) - 1)], (*rest, 1, rows))
    return b.op(b.pick("Add", "Sub", "Mul"), [left, right], (*rest, rows, rows))


def cast(b: Builder, x: Tensor) -> Tensor:
    """To another type and back."""
    kind = b.pick(TensorProto.FLOAT16, TensorProto.INT32, TensorProto.DOUBLE, TensorProto.FLOAT)
    there = b.op("Cast", [x], x.shape, kind, to=kind)
    there = b.op(b.pick("Abs", "Neg"), [there], x.shape, kind) if b.chance(0.5) else there
    return b.op("Cast", [there], x.shape, to=b.dtype)


def softmax(b: Builder, x: Tensor) -> Tensor:
    """Along the last axis, sometimes along another."""
    axis = int(b.rng.integers(len(x.shape)))
    return b.op(b.pick("Softmax", "LogSoftmax"), [x], x.shape, axis=b.pick(-1, -1, axis))


def reduce(b: Builder, x: Tensor) -> Tensor:
    """Against what is left of it along one axis."""
    kind = b.pick(
        *"ReduceSum ReduceMean ReduceMax ReduceMin ReduceL2 ReduceSumSquare ReduceLogSumExp".split()
    )
    axis = int(b.rng.integers(len(x.shape)))
    kept = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    small = b.op(kind, [x, b.integers(axis)], kept, keepdims=1)
    return b.op(b.pick("Sub", "Mul", "Div"), [x, small], x.shape)


def arg(b: Builder, x: Tensor) -> Tensor:
    """Indices of the largest element, spread again by comparing."""
    shape = (*x.shape[:-1], 1)
    found = b.op(b.pick("ArgMax", "ArgMin"), [x], shape, TensorProto.INT64, axis=-1, keepdims=1)
    return b.op("Mul", [x, b.op("Cast", [found], shape, to=b.dtype)], x.shape)


def top(b: Builder, x: Tensor) -> Tensor | None:
    """The larger half of each row."""
    count = x.shape[-1] // 2
    if count < 1:
        return None
    shape = (*x.shape[:-1], count)
    best, _ = b.ops("TopK", [x, b.integers(count)], [shape, shape])
    b.tensors[-1] = Tensor(b.tensors[-1].name, shape, TensorProto.INT64)
    return best


def cumulate(b: Builder, x: Tensor) -> Tensor:
    """Running sums."""
    axis = b.constant(np.array(int(b.rng.integers(len(x.shape))), np.int64))
    wide = x if b.dtype == TensorProto.FLOAT else b.op("Cast", [x], x.shape, TensorProto.FLOAT, to=1)
    total = b.op("CumSum", [wide, axis], x.shape, TensorProto.FLOAT)
    return total if b.dtype == TensorProto.FLOAT else b.op("Cast", [total], x.shape, to=b.dtype)


def norm(b: Builder, x: Tensor) -> Tensor:
    """A normalization in one op."""
    width = x.shape[-1]
    if b.chance(0.3):
        return b.op("RMSNormalization", [x, b.weight(width)], x.shape, axis=-1)
    return b.op("LayerNormalization", [x, b.weight(width), b.weight(width)], x.shape, axis=-1)


def norm_in_steps(b: Builder, x: Tensor) -> Tensor:
    """A LayerNormalization as older exports write it."""
    axes, small = b.integers(-1), (*x.shape[:-1], 1)
    two = b.constant(np.asarray(2, helper.tensor_dtype_to_np_dtype(b.dtype)))
    centred = b.op("Sub", [x, b.op("ReduceMean", [x, axes], small)], x.shape)
    variance = b.op("ReduceMean", [b.op("Pow", [centred, two], x.shape), axes], small)
    root = b.op("Sqrt", [b.op("Add", [variance, b.weight()], small)], small)
    scaled = b.op("Mul", [b.op("Div", [centred, root], x.shape), b.weight(x.shape[-1])], x.shape)
    return b.op("Add", [scaled, b.weight(x.shape[-1])], x.shape) if b.chance(0.7) else scaled
