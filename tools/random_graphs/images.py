"""Pieces over images `(batch, channels, height, width)`."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from .builder import Builder, Tensor


def conv(b: Builder, x: Tensor) -> Tensor | None:
    """With any kernel size, stride and grouping."""
    if len(x.shape) != 4 or min(x.shape[2:]) < 8 or x.shape[1] > 1024:
        return None
    batch, channels, height, width = x.shape
    out = b.pick(channels, channels, 2 * channels, max(1, channels // 2))
    side, stride = b.pick(1, 3, 3, 5), b.pick(1, 1, 2)
    group = channels if side > 1 and out == channels and b.chance(0.2) else 1
    sizes = [(n - 1) // stride + 1 for n in (height, width)]
    cost = batch * out * channels // group * side**2 * sizes[0] * sizes[1]
    if not b.fits(batch, out, *sizes) or cost > 5e9:
        return None
    operands: list[Tensor | str] = [x, b.weight(out, channels // group, side, side)]
    operands += [b.weight(out)] if b.chance(0.6) else []
    pads, strides = [side // 2] * 4, [stride] * 2
    made = b.op("Conv", operands, (batch, out, *sizes), pads=pads, strides=strides, group=group)
    return b.op(b.pick("Relu", "Sigmoid", "LeakyRelu"), [made], made.shape) if b.chance(0.5) else made


def residual_conv(b: Builder, x: Tensor) -> Tensor | None:
    """What a residual network repeats: `x + Conv(Relu(Conv(x)))`."""
    if len(x.shape) != 4 or x.size * x.shape[1] * 9 > 4e9 or x.shape[1] > 512 or min(x.shape[2:]) < 8:
        return None
    channels = x.shape[1]
    inner = b.op("Conv", [x, b.weight(channels, channels, 3, 3), b.weight(channels)], x.shape, pads=[1] * 4)
    inner = b.op("Relu", [inner], x.shape)
    inner = b.op(
        "Conv", [inner, b.weight(channels, channels, 3, 3), b.weight(channels)], x.shape, pads=[1] * 4
    )
    added = b.op("Add", [x, inner], x.shape)
    return b.op("Relu", [added], x.shape) if b.chance(0.7) else added


def grow_image(b: Builder, x: Tensor) -> Tensor | None:
    """Twice the height and width, by copying or by a transposed convolution."""
    if len(x.shape) != 4:
        return None
    batch, channels, height, width = x.shape
    if b.chance(0.5) or channels > 256:
        shape = (batch, channels, 2 * height, 2 * width)
        sizes = b.constant(np.array([1, 1, 2, 2], np.float32))
        mode = b.pick("nearest", "linear")
        return b.op("Resize", [x, "", sizes], shape, mode=mode) if b.fits(*shape) else None
    out = max(1, channels // 2)
    shape = (batch, out, 2 * height, 2 * width)
    if not b.fits(*shape) or x.size * out * 4 > 4e9:
        return None
    return b.op("ConvTranspose", [x, b.weight(channels, out, 2, 2)], shape, strides=[2, 2])


def pool(b: Builder, x: Tensor) -> Tensor | None:
    """A quarter of the size."""
    if len(x.shape) != 4 or min(x.shape[2:]) < 4:
        return None
    sizes = [(n - 2) // 2 + 1 for n in x.shape[2:]]
    shape = (*x.shape[:2], *sizes)
    kind = b.pick("MaxPool", "AveragePool")
    return b.op(kind, [x], shape, kernel_shape=[2, 2], strides=[2, 2]) if b.fits(*shape) else None


def image_norm(b: Builder, x: Tensor) -> Tensor | None:
    """A normalization over an image."""
    if len(x.shape) != 4 or b.dtype != TensorProto.FLOAT:
        return None
    channels = x.shape[1]
    kind = b.pick("BatchNormalization", "InstanceNormalization", "GroupNormalization")
    operands: list[Tensor | str] = [x, b.weight(channels), b.weight(channels)]
    if kind == "BatchNormalization":
        ones = np.ones(channels, np.float32)
        operands += [b.weight(channels), b.constant(ones)]
    if kind == "GroupNormalization":
        return b.op(kind, operands, x.shape, num_groups=2 if channels % 2 == 0 else 1)
    return b.op(kind, operands, x.shape)


def squeeze_excite(b: Builder, x: Tensor) -> Tensor | None:
    """Channels weighed by their mean."""
    if len(x.shape) != 4:
        return None
    small = b.op(b.pick("GlobalAveragePool", "GlobalMaxPool"), [x], (*x.shape[:2], 1, 1))
    return b.op("Mul", [x, b.op("Sigmoid", [small], small.shape)], x.shape)
