"""Calls of the normalize family."""

from __future__ import annotations

from tests.axes.build import case, each

SCALE_1, SCALE_3, SCALE_34 = [(1,)] * 4, [(3,)] * 4, [(3, 4)] * 4
CASES = [
    *each("Softmax LogSoftmax Hardmax", (2, 3, 5)),
    *each("Softmax LogSoftmax Hardmax", (4, 3), axis=0),
    *each("Softmax LogSoftmax Hardmax", (2, 3, 5), opset=11),
    *each("Softmax LogSoftmax Hardmax", (2, 4, 3), axis=-1, opset=11),
    *each("Softmax LogSoftmax Hardmax", (2, 3, 4, 2), axis=2, opset=7),
    case("LayerNormalization", (2, 3, 5), (5,), (5,), y="111"),
    case("LayerNormalization", (2, 3, 5), (3, 5), axis=1),
    case("LayerNormalization", (4, 5), (5,)),
    case("LayerNormalization", (2, 3, 5), (3, 1), (3, 5), axis=-2, y="101"),
    case("RMSNormalization", (2, 3, 5), (5,)),
    case("RMSNormalization", (4, 3, 5), (3, 5), axis=1),
    case("RMSNormalization", (4, 3, 5), (1,), axis=1),
    case("GroupNormalization", (2, 6, 4), (6,), (6,), num_groups=3, opset=21),
    case("GroupNormalization", (3, 4, 2, 5), (4,), (4,), num_groups=2),
    case("GroupNormalization", (2, 3, 5), (3,), (3,), num_groups=3),
    case("GroupNormalization", (2, 6, 4), (3,), (3,), num_groups=3, opset=18),
    case("GroupNormalization", (3, 4, 2, 5), (1,), (1,), num_groups=1, opset=18),
    case("InstanceNormalization", (2, 3, 4, 5), (3,), (3,)),
    case("InstanceNormalization", (1, 5, 4), (5,), (5,), opset=7),
    case("BatchNormalization", (2, 3, 4, 5), *SCALE_3),
    case("BatchNormalization", (4, 3), *SCALE_3, opset=9),
    case("BatchNormalization", (2, 3, 4), *SCALE_3, opset=7),
    case("BatchNormalization", (2, 3, 4), *SCALE_34, spatial=0, opset=7),
    case("BatchNormalization", (5,), *SCALE_1),
    case("BatchNormalization", (4, 3, 5), *SCALE_3, training_mode=1, y="111"),
    case("BatchNormalization", (4, 3), *SCALE_3, training_mode=1, y="111", opset=14),
    case("BatchNormalization", (4, 3, 5), *SCALE_3, y="11111", opset=9),
    case("BatchNormalization", (5,), *SCALE_1, training_mode=1, y="111"),
    case("LpNormalization", (2, 3, 5)),
    case("LpNormalization", (4, 3), axis=0, p=1, opset=7),
    case("MeanVarianceNormalization", (2, 3, 4, 5)),
    case("MeanVarianceNormalization", (4, 3, 2, 2), axes=[1, -1]),
    case("MeanVarianceNormalization", (4, 3, 2, 2), axes=[0, 2, 3], opset=9),
    case("LRN", (2, 5, 3, 4), size=3, alpha=1.0),
    case("LRN", (1, 4, 5, 2), size=5, alpha=1.0),
    case("LRN", (2, 7, 3, 2), size=5, alpha=1.0, opset=7),
    case("LRN", (2, 3, 4, 1), size=1, alpha=1.0),
]
