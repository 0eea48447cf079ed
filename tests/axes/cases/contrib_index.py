"""Calls of the family of operators that address, count, copy or transform."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tests.axes.build import MICROSOFT, case, ints

call = partial(case, domain=MICROSOFT)
BLOCKED = partial(case, domain="com.microsoft.nchwc")
POOL: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}

CASES = [
    call("GatherND", (3, 4, 2), ints((5, 2), 3)),
    call("GatherND", (3, 4, 5), ints((2, 3, 1), 3)),
    call("Pad", (4, 3), [0, 1, 0, 2]),
    call("Pad", (2, 4, 5), [0, 0, 1, 0, 0, 1], np.array([0.5], np.float32)),
    case("DynamicSlice", (4, 5, 3), [1], [4], [1], opset=9),
    case("DynamicSlice", (4, 5), [0, 1], [4, 3], opset=9),
    call("Range", 1, 9, 2),
    call("Range", [0.0], [5.0], [1.0]),
    call("Trilu", (2, 4, 5), 1),
    call("Trilu", (3, 5), upper=0),
    call("Inverse", (3, 2, 2)),
    call("Inverse", (2, 2, 3, 3)),
    call("TorchEmbedding", (9, 4), ints((2, 3), 9)),
    call("TorchEmbedding", (7, 5), ints((4,), 7), np.int64(1)),
    *[
        replace(call("ExpandDims", shape, np.int32(axis)), known=frozenset({1}))
        for shape, axis in (((3, 4), 1), ((2, 3, 5), -1))
    ],
    call("Rfft", (2, 3, 6), signal_ndim=1, onesided=1, normalized=0),
    call("Rfft", (5, 4), signal_ndim=1, onesided=1, normalized=0),
    call("Irfft", (2, 3, 4, 2), signal_ndim=1, onesided=1, normalized=0),
    call("Irfft", (5, 3, 2), signal_ndim=1, onesided=1, normalized=0),
    BLOCKED("Conv", (3, 16, 5, 4), (16, 16, 3, 3), (16,), pads=[1, 1, 1, 1], activation="Relu"),
    BLOCKED("Conv", (2, 16, 5, 4), (32, 16, 1, 1), None, (2, 32, 5, 4)),
    *(BLOCKED(name, (n, 16, 5, 4), **POOL) for name in ("AveragePool", "MaxPool") for n in (2, 3)),
    *(BLOCKED(name, (n, 16, 5, 4)) for name in ("GlobalAveragePool", "GlobalMaxPool") for n in (2, 3)),
    *(BLOCKED("ReorderInput", (n, 16, 5, 4)) for n in (2, 3)),
    *(BLOCKED("ReorderOutput", (n, 16, 5, 4), channels=12) for n in (2, 3)),
    *(BLOCKED("Upsample", (n, 16, 5, 4), scales=[1, 1, 2, 2]) for n in (2, 3)),
]
