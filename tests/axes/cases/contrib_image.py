"""Calls of the family of image operators that ONNX Runtime fuses or turns to channels last."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tests.axes.build import MICROSOFT, case, ints
from tests.axes.oracle import Array

call = partial(case, domain=MICROSOFT)
SCALE, COARSE, POINT = np.float32(0.1), np.float32(9.0), np.uint8(3)
RELU: dict[str, Any] = {"activation": "Relu"}
FUSED, LAST, FUSED_LAST = (partial(call, name) for name in ("FusedConv", "NhwcConv", "NhwcFusedConv"))
QUANTISED = partial(call, "QLinearConv")
MEAN = partial(call, "QLinearAveragePool")


def q(*shape: int) -> Array:
    """Quantised numbers."""
    return ints(shape, 99, np.uint8)


CASES = [
    FUSED((2, 3, 5, 6), (4, 3, 3, 3), (4,), pads=[1, 1, 1, 1], **RELU),
    FUSED((1, 4, 6, 8), (6, 2, 2, 2), strides=[2, 2], group=2, **RELU),
    FUSED((2, 3, 5, 4), (4, 3, 3, 1), (4,), (2, 4, 3, 4), **RELU),
    LAST((2, 5, 6, 3), (4, 3, 3, 3), (4,), pads=[1, 1, 1, 1]),
    LAST((1, 6, 8, 4), (6, 2, 2, 2), strides=[2, 2], group=2, kernel_shape=[2, 2]),
    FUSED_LAST((2, 5, 6, 3), (4, 3, 3, 3), (4,), (2, 3, 3, 4), strides=[2, 2], pads=[1, 1, 1, 1], **RELU),
    FUSED_LAST((2, 5, 6, 3), (4, 3, 3, 3), None, (2, 5, 6, 4), pads=[1, 1, 1, 1]),
    FUSED_LAST((1, 6, 5, 4), (6, 2, 3, 1), group=2, dilations=[2, 1]),
    QUANTISED(
        q(2, 5, 6, 3),
        SCALE,
        POINT,
        q(4, 3, 3, 3),
        np.full(4, 0.1, np.float32),
        np.full(4, 3, np.uint8),
        COARSE,
        POINT,
        ints((4,), 99, np.int32),
        channels_last=1,
        pads=[1, 1, 1, 1],
    ),
    QUANTISED(
        q(2, 4, 6, 5), SCALE, POINT, q(6, 2, 2, 1), SCALE, POINT, COARSE, POINT, group=2, strides=[2, 1]
    ),
    call("NhwcMaxPool", q(2, 5, 6, 3), kernel_shape=[3, 2], strides=[1, 2], pads=[1, 0, 1, 0]),
    call("NhwcMaxPool", q(1, 6, 4, 5), kernel_shape=[2, 2], strides=[2, 2]),
    MEAN(q(2, 3, 5, 6), SCALE, POINT, SCALE, POINT, kernel_shape=[3, 2], strides=[1, 2], pads=[1, 0, 1, 0]),
    MEAN(q(1, 6, 4, 5), SCALE, POINT, SCALE, POINT, kernel_shape=[2, 2], strides=[2, 2], channels_last=1),
    call("QLinearGlobalAveragePool", q(2, 3, 5, 4), SCALE, POINT, SCALE, POINT),
    call("QLinearGlobalAveragePool", q(2, 5, 4, 3), SCALE, POINT, SCALE, POINT, channels_last=1),
    call("ConvTransposeWithDynamicPads", (2, 3, 4, 5), (3, 4, 2, 2), [0, 0, 0, 0], (4,), strides=[2, 2]),
    call("ConvTransposeWithDynamicPads", (1, 4, 5, 3), (4, 3, 3, 2), [1, 0, 1, 0], group=2),
    call("CropAndResize", (2, 3, 5, 4), (4, 4), ints((4,), 2, np.int32), np.array([2, 3], np.int32)),
    call(
        "CropAndResize",
        (1, 2, 5, 4),
        (3, 4),
        ints((3,), 1, np.int32),
        np.array([3, 2], np.int32),
        mode="nearest",
    ),
    call("GridSample", (2, 3, 4, 5), (2, 3, 2, 2)),
    call("GridSample", (1, 2, 4, 5), (1, 5, 4, 2), mode="nearest"),
    call("UnfoldTensor", (2, 7, 3), dim=1, size=3, step=2),
    call("UnfoldTensor", (4, 6), dim=-1, size=2, step=3),
]
