"""Pieces around matrix products: linear layers, attention, Einsum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper

from .builder import Builder, Tensor


def _linear(b: Builder, x: Tensor, width: int, *, bias: bool) -> Tensor:
    shape = (*x.shape[:-1], width)
    product = b.op("MatMul", [x, b.weight(x.shape[-1], width)], shape)
    return b.op("Add", [product, b.weight(width)], shape) if bias else product


def linear(b: Builder, x: Tensor) -> Tensor | None:
    """A product with a constant matrix."""
    width = b.pick(x.shape[-1], x.shape[-1], 2 * x.shape[-1], max(1, x.shape[-1] // 2))
    return _linear(b, x, width, bias=b.chance(0.6)) if _multiplies(b, x, width) else None


def _multiplies(b: Builder, x: Tensor, width: int) -> bool:
    """True when the product is of a size and of a cost to try."""
    return b.fits(*x.shape[:-1], width) and x.size * width < 5e9 and x.shape[-1] * width <= 1 << 22


def gemm(b: Builder, x: Tensor) -> Tensor | None:
    """The same as a Gemm, between two Reshapes."""
    width = b.pick(x.shape[-1], 2 * x.shape[-1])
    rows = x.size // x.shape[-1]
    if not _multiplies(b, x, width):
        return None
    flat = (
        x if len(x.shape) == 2 else b.op("Reshape", [x, b.integers(rows, x.shape[-1])], (rows, x.shape[-1]))
    )
    transposed = b.chance(0.4)
    weight = b.weight(*((width, x.shape[-1]) if transposed else (x.shape[-1], width)))
    made = b.op("Gemm", [flat, weight, b.weight(width)], (rows, width), transB=int(transposed))
    return b.op("Reshape", [made, b.integers(*x.shape[:-1], width)], (*x.shape[:-1], width))


def mlp(b: Builder, x: Tensor) -> Tensor | None:
    """Two products with an activation between them."""
    width = b.pick(2, 3, 4) * x.shape[-1]
    if not _multiplies(b, x, width):
        return None
    bias = b.chance(0.6)
    hidden = b.pick(_gelu_steps, _silu, _activated)(b, _linear(b, x, width, bias=bias))
    out = _linear(b, hidden, x.shape[-1], bias=bias)
    return b.op("Add", [x, out], x.shape) if b.chance(0.7) else out


def _gelu_steps(b: Builder, x: Tensor) -> Tensor:
    kind = helper.tensor_dtype_to_np_dtype(b.dtype)
    root, one, half = (b.constant(np.asarray(n, kind)) for n in (2**0.5, 1, 0.5))
    curve = b.op("Erf", [b.op("Div", [x, root], x.shape)], x.shape)
    spread = b.op("Mul", [x, b.op("Add", [curve, one], x.shape)], x.shape)
    return b.op("Mul", [spread, half], x.shape)


def _silu(b: Builder, x: Tensor) -> Tensor:
    return b.op("Mul", [x, b.op("Sigmoid", [x], x.shape)], x.shape)


def _activated(b: Builder, x: Tensor) -> Tensor:
    return b.op(b.pick("Relu", "Gelu", "Tanh"), [x], x.shape)


def gated(b: Builder, x: Tensor) -> Tensor | None:
    """Two products, one of which gates the other."""
    width = 2 * x.shape[-1]
    if not _multiplies(b, x, width):
        return None
    gate = b.pick(_silu, _activated)(b, _linear(b, x, width, bias=False))
    up = _linear(b, x, width, bias=False)
    return _linear(b, b.op("Mul", [gate, up], up.shape), x.shape[-1], bias=False)


def scores(b: Builder, x: Tensor) -> Tensor | None:
    """A batched product of a tensor with its own transpose."""
    *batch, rows, width = x.shape if len(x.shape) > 1 else (1, 1, 1)
    if not b.fits(*batch, rows, rows) or x.size * rows > 5e9:
        return None
    order = [*range(len(batch)), len(batch) + 1, len(batch)]
    turned = b.op("Transpose", [x], (*batch, width, rows), perm=order)
    return b.op("MatMul", [x, turned], (*batch, rows, rows))


def einsum(b: Builder, x: Tensor) -> Tensor | None:
    """A product of a tensor with another of its shape."""
    if len(x.shape) != 3 or x.shape[0] * x.shape[1] * x.shape[0] * x.shape[2] > 5e9:
        return None
    first, second, last = x.shape
    other = b.other(x.shape, x) or x
    equation, shape = b.pick(
        ("ikc,jkc->ijc", (first, first, last)), ("bid,bjd->bij", (first, second, second))
    )
    cost = first * second * last * shape[1]
    return b.op("Einsum", [x, other], shape, equation=equation) if b.fits(*shape) and cost < 5e9 else None


def attention(b: Builder, x: Tensor) -> Tensor | None:
    """Queries, keys and values with heads split off; a mask by Add or Where, or none."""
    if len(x.shape) != 3:
        return None
    batch, rows, width = x.shape
    heads = b.pick(*[n for n in (2, 4, 8, 12) if width % n == 0] or [1])
    if not b.fits(batch, heads, rows, rows) or 2 * batch * rows * rows * width > 5e9 or width > 2048:
        return None
    split, each = (batch, rows, heads, width // heads), width // heads

    def projected(order: tuple[int, ...]) -> Tensor:
        made = b.op("Reshape", [_linear(b, x, width, bias=b.chance(0.5)), b.integers(*split)], split)
        return b.op("Transpose", [made], tuple(split[i] for i in order), perm=order)

    query, key, value = (projected(order) for order in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)))
    held = b.op("MatMul", [query, key], (batch, heads, rows, rows))
    held = b.op(b.pick("Mul", "Div"), [held, b.weight()], held.shape)
    mask: Callable[[Builder, Tensor], Tensor] = b.pick(_causal, _where_mask, lambda _, t: t)
    weights = b.op("Softmax", [mask(b, held)], held.shape, axis=-1)
    mixed = b.op("MatMul", [weights, value], (batch, heads, rows, each))
    back = b.op("Transpose", [mixed], split, perm=(0, 2, 1, 3))
    flat = b.op("Reshape", [back, b.integers(*x.shape)], x.shape)
    return b.op("Add", [x, _linear(b, flat, width, bias=True)], x.shape)


def _causal(b: Builder, held: Tensor) -> Tensor:
    rows = held.shape[-1]
    mask = np.triu(np.full((rows, rows), -1e4), 1).astype(helper.tensor_dtype_to_np_dtype(b.dtype))
    return b.op("Add", [held, b.constant(mask[None, None])], held.shape)


def _where_mask(b: Builder, held: Tensor) -> Tensor:
    rows = held.shape[-1]
    mask = b.constant(np.tril(np.ones((1, 1, rows, rows), np.bool_)))
    return b.op("Where", [mask, held, b.weight()], held.shape)


def fused_attention(b: Builder, x: Tensor) -> Tensor | None:
    """The standard's Attention."""
    if len(x.shape) != 3 or b.dtype != TensorProto.FLOAT:
        return None
    batch, rows, width = x.shape
    heads = b.pick(*[n for n in (2, 4, 8) if width % n == 0] or [1])
    if batch * heads * rows * rows > b.most or not _multiplies(b, x, width):
        return None
    query, key, value = (_linear(b, x, width, bias=False) for _ in range(3))
    causal = int(b.chance(0.5))
    return b.op(
        "Attention", [query, key, value], x.shape, q_num_heads=heads, kv_num_heads=heads, is_causal=causal
    )
