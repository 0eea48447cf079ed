"""Numpy models of operators that ONNX Runtime runs on other devices only, for the reference evaluator.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

Array = Any  # what numpy returns, it mostly types as Any
MODELS: list[type[OpRun]] = []


def _model(*types: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function of operands and attributes the model of operators."""

    def record(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(_: OpRun, *operands: Any, **attributes: Any) -> tuple[Any, ...]:
            found = function(*operands, **attributes)
            return found if isinstance(found, tuple) else (found,)

        MODELS.extend(type(name, (OpRun,), {"op_domain": "com.microsoft", "_run": run}) for name in types)
        return function

    return record


@_model("BiasAdd")
def bias_add(x: Array, bias: Array, skip: Array) -> Array:
    """Bias and residual."""
    return x + bias + skip


@_model("BiasDropout")
def bias_dropout(x: Array, bias: Array, skip: Array | None = None, *_: Array) -> tuple[Array, Array]:
    """In inference nothing is dropped."""
    return x + bias + (0 if skip is None else skip), np.ones(x.shape, np.bool_)


@_model("BiasSoftmax")
def bias_softmax(x: Array, bias: Array, axis: int = 1, **_: int) -> Array:
    """The bias broadcasts as numpy does, whichever its outer or inner axes are 1."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    powers = np.exp(x + bias)
    return powers / powers.sum(axes, keepdims=True)


@_model("BiasSplitGelu")
def bias_split_gelu(x: Array, bias: Array) -> Array:
    """Left half times the Gelu of the right half."""
    left, right = np.split(x + bias, 2, -1)
    return left * gelu(right)


@_model("ComplexMul")
def complex_product(a: Array, b: Array) -> Array:
    """Real and imaginary parts along the last axis."""
    return _parts(_complex(a) * _complex(b))


@_model("ComplexMulConj")
def complex_conjugate_product(a: Array, b: Array) -> Array:
    """The second operand conjugated."""
    return _parts(_complex(a) * np.conj(_complex(b)))


@_model("Rfft")
def real_fourier(x: Array, **_: int) -> Array:
    """Along the last axis."""
    return _parts(np.fft.rfft(x))


@_model("Irfft")
def inverse_real_fourier(x: Array, **_: int) -> Array:
    """An even number of points."""
    return np.fft.irfft(_complex(x)).astype(x.dtype)


@_model("GemmFastGelu")
def gemm_fast_gelu(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """A product, a bias and Gelu."""
    return gelu(x @ weight + (0 if bias is None else bias))


@_model("FusedMatMulActivation")
def product_with_relu(a: Array, b: Array, **attributes: Any) -> Array:
    """A product of matrices and Relu, which has something to cut off."""
    left, right = (
        x.swapaxes(-1, -2) if attributes.get(name) else x for x, name in ((a, "transA"), (b, "transB"))
    )
    return np.maximum(left @ right - 1, 0)


@_model("MulInteger")
def integer_product(a: Array, a_zero: Array | None, b: Array, b_zero: Array | None = None) -> Array:
    """Without scales."""
    left, right = (x.astype(np.int32) - (0 if z is None else z) for x, z in ((a, a_zero), (b, b_zero)))
    return left * right


@_model("ReduceSumInteger")
def integer_sum(x: Array, axes: tuple[int, ...], keepdims: int = 1) -> Array:
    """In 32 bits."""
    return x.astype(np.int32).sum(tuple(axes), keepdims=bool(keepdims), dtype=np.int32)


@_model("QLinearReduceMean")
def quantised_mean(
    x: Array,
    scale: Array,
    zero: Array,
    to_scale: Array,
    to_zero: Array,
    axes: tuple[int, ...],
    keepdims: int = 1,
) -> Array:
    """The mean of what the numbers stand for."""
    mean = ((x.astype(np.float32) - zero) * scale).mean(tuple(axes), keepdims=bool(keepdims))
    return np.clip(np.rint(mean / to_scale) + to_zero, 0, 255).astype(x.dtype)


@_model("TorchEmbedding")
def embedding(table: Array, indices: Array, *_: Array) -> Array:
    """Rows of the table."""
    return table[indices]


@_model("GemmaRotaryEmbedding")
def gemma_rotary(angle: Array, q: Array, q_turned: Array, k: Array, k_turned: Array) -> tuple[Array, Array]:
    """Sine and cosine of one angle for all heads."""
    sine, cosine = (f(angle)[:, None].astype(q.dtype) for f in (np.sin, np.cos))
    return q * cosine + q_turned * sine, k * cosine + k_turned * sine


@_model("GroupNorm")
def group_norm(
    x: Array, gamma: Array, beta: Array, groups: int, channels_last: int = 1, activation: int = 0, **_: float
) -> Array:
    """Channels first or last, with or without SiLU."""
    planes = np.moveaxis(x, -1, 1) if channels_last else x
    split = planes.reshape(len(x), groups, -1)
    normal = (split - split.mean(-1, keepdims=True)) / np.sqrt(split.var(-1, keepdims=True) + 1e-5)
    scaled = normal.reshape(planes.shape) * gamma[:, None, None] + beta[:, None, None]
    result = scaled / (1 + np.exp(-scaled)) if activation else scaled
    return (np.moveaxis(result, 1, -1) if channels_last else result).astype(x.dtype)


@_model("SkipGroupNorm")
def skip_group_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    skip: Array,
    bias: Array | None = None,
    channels_last: int = 1,
    **options: int,
) -> tuple[Array, Array]:
    """What is added may be one number a channel."""
    spread = skip if skip.ndim == 4 else skip[:, None, None] if channels_last else skip[:, :, None, None]
    shift = 0 if bias is None else bias if channels_last else bias[:, None, None]
    total = x + spread + shift
    return group_norm(total, gamma, beta, channels_last=channels_last, **options), total


@_model("NhwcConv")
def nhwc_conv(x: Array, weight: Array, bias: Array | None = None, **attributes: Any) -> Array:
    """Channels last in values and weights."""
    return nhwc_fused_conv(x, np.moveaxis(weight, -1, 1), bias, **attributes)


@_model("NhwcFusedConv")
def nhwc_fused_conv(
    x: Array, weight: Array, bias: Array | None = None, add: Array | None = None, **attributes: Any
) -> Array:
    """Channels last in values only; a residual, and Relu at the end."""
    result = _convolved(np.moveaxis(x, -1, 1), weight, **attributes)
    result = np.moveaxis(result, 1, -1) + (0 if bias is None else bias) + (0 if add is None else add)
    return np.maximum(result - 1, 0).astype(x.dtype) if "activation" in attributes else result.astype(x.dtype)


def _convolved(
    x: Array,
    weight: Array,
    strides: Any = None,
    pads: Any = None,
    dilations: Any = None,
    group: int = 1,
    **_: Any,
) -> Array:
    """Channels first: every window times the weights."""
    rank = x.ndim - 2
    steps, edges, gaps = strides or (1,) * rank, pads or (0,) * 2 * rank, dilations or (1,) * rank
    padded = np.pad(x, [(0, 0), (0, 0), *zip(edges[:rank], edges[rank:], strict=True)])
    spans = [(size - 1) * gap + 1 for size, gap in zip(weight.shape[2:], gaps, strict=True)]
    axes = tuple(range(2, 2 + rank))
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axes)
    every = [slice(None), slice(None), *[slice(None, None, n) for n in (*steps, *gaps)]]
    taken = windows[tuple(every)]
    parts = zip(np.split(taken, group, 1), np.split(weight, group), strict=True)
    inner = [1, *range(2 + rank, 2 + 2 * rank)]
    products = [np.tensordot(part, kernel, (inner, list(range(1, kernel.ndim)))) for part, kernel in parts]
    return np.moveaxis(np.concatenate(products, -1), -1, 1)


def gelu(x: Array) -> Array:
    """The approximation with a hyperbolic tangent."""
    return 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3))


def _complex(x: Array) -> Array:
    return x[..., 0] + 1j * x[..., 1]


def _parts(x: Array) -> Array:
    return np.stack([x.real, x.imag], -1).astype(np.float32)
