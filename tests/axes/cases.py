"""Operator calls for the oracle: two or more for every registered operator, odd extents, several ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.axes.oracle import OPSET, Array, Case

Operand = tuple[int, ...] | list[int] | list[float] | int | Array | np.generic | None


def case(
    type_: str,
    *operands: Operand,
    y: str = "1",
    opset: int = OPSET,
    domain: str = "",
    **attributes: object,
) -> Case:
    """Tuples are shapes of random numbers, lists and integers constants that rules read, arrays just fed."""
    random = np.random.default_rng(0)
    arrays: list[Array | None] = []
    constants = set()
    for index, operand in enumerate(operands):
        if isinstance(operand, tuple):
            arrays.append(random.uniform(0.1, 0.9, operand).astype(np.float32))
        elif isinstance(operand, list | int):
            is_float = isinstance(operand, list) and any(isinstance(entry, float) for entry in operand)
            arrays.append(np.array(operand, dtype=np.float32 if is_float else np.int64))
            constants.add(index)
        else:
            arrays.append(None if operand is None else np.asarray(operand))
    return Case(type_, tuple(arrays), frozenset(constants), attributes, y, opset, domain)


def ints(shape: tuple[int, ...], high: int, dtype: type[np.generic] = np.int64, low: int = 0) -> Array:
    """Random integers below `high`."""
    return np.random.default_rng(1).integers(low, high, shape).astype(dtype)


def flags(shape: tuple[int, ...]) -> Array:
    """Random booleans."""
    return np.random.default_rng(2).integers(0, 2, shape).astype(np.bool_)


def _each(types: str, *operands: Operand, **options: Any) -> list[Case]:
    """One case for each of several operators."""
    return [case(type_, *operands, **options) for type_ in types.split()]


def unique(shape: tuple[int, ...], high: int) -> Array:
    """Different integers along the first axis."""
    return np.random.default_rng(3).permutation(high)[: shape[0]].reshape(shape).astype(np.int64)


MICROSOFT = "com.microsoft"
FLOAT_UNARY = (
    "Abs Acos Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity"
    " IsInf IsNaN LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus"
    " Softsign Sqrt Tan Tanh ThresholdedRelu"
)
REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"
    " ReduceSumSquare"
)
POINTWISE = [
    *_each(FLOAT_UNARY, (2, 3)),
    *_each(FLOAT_UNARY, (5,)),
    *_each("Add Sub Mul Div Pow Max Min Mean Sum PRelu", (2, 1, 5), (3, 1)),
    *_each("Add Sub Mul Div Pow Max Min Mean Sum PRelu", (4, 3), ()),
    *_each("Equal Greater GreaterOrEqual Less LessOrEqual", ints((2, 3), 3), ints((3,), 3)),
    *_each("Equal Greater GreaterOrEqual Less LessOrEqual", ints((3, 1), 3), ints((1, 2), 3)),
    *_each("And Or Xor", flags((2, 3)), flags((3,))),
    *_each("And Or Xor", flags((5, 1)), flags((5, 2))),
    *_each("BitwiseAnd BitwiseOr BitwiseXor Mod", ints((2, 3), 9), ints((3,), 9, low=1)),
    *_each("BitwiseAnd BitwiseOr BitwiseXor Mod", ints((5,), 9), ints((5,), 9, low=1)),
    *_each("BitShift", ints((2, 3), 9, np.uint8), ints((3,), 3, np.uint8), direction="LEFT"),
    *_each("BitShift", ints((5,), 9, np.uint8), ints((5,), 3, np.uint8), direction="RIGHT"),
    *_each("BitwiseNot", ints((2, 3), 9)),
    *_each("BitwiseNot", ints((5,), 9)),
    *_each("Not", flags((2, 3))),
    *_each("Not", flags((5,))),
    case("Acosh", 1 + np.arange(6, dtype=np.float32).reshape(2, 3)),
    case("Acosh", np.full((5,), 2, np.float32)),
    case("Swish", (2, 3), opset=24),
    case("Swish", (5,), opset=24),
    case("Max", (2, 3), (3,), (2, 1)),
    case("Sum", (5,), (1, 1), (2, 1)),
    case("Where", flags((2, 1, 3)), (4, 1), ()),
    case("Where", flags((5,)), (2, 5), (1,)),
    case("Clip", (2, 3), np.float32(0.2), np.float32(0.6)),
    case("Clip", (5,), None, np.float32(0.5)),
    case("Cast", (2, 3), to=7),
    case("Cast", (5,), to=1),
    case("CastLike", (2, 3), ints((2,), 3)),
    case("CastLike", (5,), ints((), 3)),
    case("BitCast", (2, 3), to=6, opset=26),
    case("BitCast", (5,), to=6, opset=26),
    case("StringConcat", np.array([["a", "b"], ["c", "d"]], object), np.array(["x", "y"], object)),
    case("StringConcat", np.array(["a", "b", "c"], object), np.array(["x"], object)),
    case("Dropout", (2, 3), np.float32(0.5), y="11"),
    case("Dropout", (5,)),
    *_each("QuickGelu Gelu FastGelu", (2, 3), domain=MICROSOFT),
    *_each("QuickGelu Gelu FastGelu", (5,), domain=MICROSOFT),
    case("BiasGelu", (2, 3), (3,), domain=MICROSOFT),
    case("BiasGelu", (2, 5, 3), (3,), domain=MICROSOFT),
    case("RegexFullMatch", np.array([["a", "b"], ["c", "d"], ["a", "e"]], object), pattern="a|b"),
    case("RegexFullMatch", np.array(["a", "b"], object), pattern="a"),
    case("SwiGLU", (2, 3), (2, 3), opset=28),
    case("SwiGLU", (5,), (5,), opset=28),
]
REDUCE = [
    *_each(REDUCTIONS, (2, 3, 5), [1]),
    *_each(REDUCTIONS, (2, 5), [-1, 0], keepdims=0),
    *_each(REDUCTIONS, (4, 3), None, noop_with_empty_axes=1),
    *_each(REDUCTIONS, (4, 3)),
    *_each("ReduceMean ReduceMax", (2, 3, 5), axes=[0, -1], keepdims=0, opset=13),
    *_each("ArgMax ArgMin", (2, 3, 5), axis=1),
    *_each("ArgMax ArgMin", (4, 3), keepdims=0),
]
CONTRACT = [
    case("MatMul", (2, 3, 4), (4, 5)),
    case("MatMul", (3, 4), (2, 1, 4, 5)),
    case("MatMul", (4,), (4, 5)),
    case("MatMul", (4,), (2, 4, 5)),
    case("MatMul", (2, 3, 4), (4,)),
    case("MatMul", (4,), (4,)),
    case("MatMul", (2, 1, 3, 4), (5, 4, 3)),
    case("MatMul", (1, 4, 3), (2, 3, 1)),
    case("Gemm", (3, 4), (4, 5)),
    case("Gemm", (4, 3), (5, 4), (5,), transA=1, transB=1, alpha=0.5),
    case("Gemm", (3, 4), (4, 5), (3, 1), beta=2.0),
    case("Gemm", (3, 4), (4, 5), (3, 5)),
    case("Gemm", (3, 4), (4, 5), ()),
    case("Einsum", (3, 4, 2), (5, 4, 2), equation="ikc,jkc->ijc"),
    case("Einsum", (2, 3, 4), (2, 4, 5), equation="bij, bjk -> bik"),
    case("Einsum", (3, 4), equation="ij->i"),
    case("Einsum", (3, 4), (4,), equation="ij,j"),
    case("Einsum", (2, 3, 4), (4, 5), equation="...ij,jk->...ik"),
    case("Einsum", (3,), (4,), equation="i,j->ji"),
    case("Einsum", (3, 4), (3, 4), equation="ij,ij->"),
    case("Einsum", (2, 3, 4, 4), (2, 4, 3, 5), equation="shij,sjhc->sihc"),
    case("FusedMatMul", (2, 4, 3), (2, 5, 4), domain=MICROSOFT, transA=1, transB=1),
    case("FusedMatMul", (3, 4), (4, 5), domain=MICROSOFT, alpha=0.5),
    case("MatMulInteger", ints((2, 3, 4), 9, np.uint8), ints((4, 5), 9, np.uint8)),
    case(
        "MatMulInteger",
        ints((3, 4), 9, np.uint8),
        ints((4, 5), 9, np.uint8),
        ints((), 3, np.uint8),
        ints((5,), 3, np.uint8),
    ),
    *[
        case(
            "QLinearMatMul",
            ints(a, 9, np.uint8),
            np.float32(0.1),
            np.uint8(1),
            ints((4, 5), 9, np.uint8),
            scale,
            point,
            np.float32(0.1),
            np.uint8(1),
            opset=13,
        )
        for a, scale, point in (
            ((3, 4), np.float32(0.2), np.uint8(2)),
            ((2, 3, 4), np.full((5,), 0.2, np.float32), np.full((5,), 2, np.uint8)),
        )
    ],
    case("Det", (2, 3, 3)),
    case("Det", (5, 2, 2, 2)),
]
RESHAPE = [
    case("Reshape", (1, 5, 12), [1, 5, 3, 4]),
    case("Reshape", (1, 3, 5, 4), [0, 0, -1]),
    case("Reshape", (1, 5, 4), [-1, 4]),
    case("Reshape", (6, 3, 3), [2, 3, 3, 3]),
    case("Reshape", (6, 4), [8, 3]),
    case("Reshape", (4, 6), [3, 8]),
    case("Reshape", (3, 4, 5), [4, 3, 5]),
    case("Reshape", (2, 3, 4), [-1]),
    case("Reshape", (2, 6), [3, 4], allowzero=1),
    case("Unsqueeze", (3, 4), [0, 2]),
    case("Unsqueeze", (5,), [-1]),
    case("Unsqueeze", (3, 4), axes=[1], opset=11),
    case("Squeeze", (3, 1, 4), [1]),
    case("Squeeze", (1, 5, 1), axes=[0, -1], opset=11),
    case("Squeeze", (1, 5, 1)),
    case("Flatten", (2, 3, 4), axis=2),
    case("Flatten", (5, 2)),
    case("Flatten", (2, 3), axis=0),
    case("Flatten", (4, 3, 2), axis=-1),
    case("Expand", (3, 1), [2, 1, 5]),
    case("Expand", (5,), [1]),
    case("Expand", (), [2, 3]),
    case("Tile", (2, 3), [2, 1]),
    case("Tile", (2, 3, 4), [1, 1, 3]),
]
MOVE = [
    case("Transpose", (2, 3, 5), perm=[2, 0, 1]),
    case("Transpose", (4, 3)),
    case("Concat", (2, 3), (2, 5), axis=1),
    case("Concat", (1, 4, 3), (2, 4, 3), (1, 4, 3), axis=-3),
    case("Concat", (3, 1, 4), (3, 2, 4), axis=1),
    case("Split", (2, 6), axis=1, y="111", num_outputs=3),
    case("Split", (5, 3), [1, 4], y="11"),
    case("Split", (2, 6), y="11", axis=-1, opset=11),
    case("Slice", (4, 5, 3), [1], [4], [1]),
    case("Slice", (4, 5), [0, -9], [99, 5], [0, 1]),
    case("Slice", (4, 5), [-1], [-9], [0], [-1]),
    case("Slice", (4, 5), [0], [-1], [-2]),
    case("Slice", (4, 5), [0, 0], [4, 5], None, [1, 2]),
    case("Slice", (4, 5), [1], [3]),
    case("Slice", (4, 5), starts=[1], ends=[9], axes=[1], opset=9),
    case("Slice", (4, 5), np.array([1]), np.array([3]), [0]),
    case("Pad", (4, 3), [0, 1, 0, 2]),
    case("Pad", (2, 4, 5), [1, 1], None, [-1], mode="reflect"),
    case("Pad", (4, 3), [1, 0, -1, 0]),
    case("Pad", (4, 3), pads=[0, 1, 0, 0], opset=10),
    case("CenterCropPad", (4, 5), [3], axes=[0]),
    case("CenterCropPad", (4, 5), [6, 3]),
    case("DepthToSpace", (2, 12, 3, 2), blocksize=2),
    case("DepthToSpace", (1, 8, 2, 5), blocksize=2, mode="CRD"),
    case("SpaceToDepth", (2, 3, 4, 6), blocksize=2),
    case("SpaceToDepth", (1, 2, 6, 3), blocksize=3),
    case("ReverseSequence", (4, 3, 2), np.array([1, 4, 2])),
    case("ReverseSequence", (3, 4), np.array([1, 4, 2]), batch_axis=0, time_axis=1),
]
INDEX = [
    case("Gather", (5, 4), ints((2, 3), 5)),
    case("Gather", (3, 5, 4), ints((2,), 5, low=-5), axis=1),
    case("Gather", (3, 5), ints((), 5), axis=-1),
    case("GatherElements", (3, 4), ints((3, 2), 4), axis=1),
    case("GatherElements", (5, 4), ints((2, 4), 5)),
    case("GatherElements", (3, 4, 2), ints((2, 4, 2), 4), axis=1),
    case("GatherND", (3, 4, 2), ints((5, 2), 3)),
    case("GatherND", (3, 4, 5), ints((3, 2, 1), 4), batch_dims=1),
    case("GatherND", (3, 4), ints((3, 1), 4), batch_dims=1),
    case("ScatterElements", (3, 4), ints((3, 1), 4), (3, 1), axis=1),
    case("ScatterElements", (5, 4), ints((2, 4), 5), (2, 4), reduction="add"),
    case("ScatterND", (5, 4, 2), unique((3, 1), 5), (3, 4, 2)),
    case("ScatterND", (5, 4), ints((3, 1), 5), (3, 4), reduction="add"),
    case("TensorScatter", (2, 5, 3), (2, 2, 3), np.array([1, 3]), opset=24),
    case("TensorScatter", (2, 4, 5, 3), (2, 4, 1, 3), np.array([0, 3]), opset=24, axis=2),
    case("OneHot", ints((2, 3), 5), 5, [0.0, 1.0]),
    case("OneHot", ints((4,), 5), 5, [0.0, 1.0], axis=0),
    case("Trilu", (2, 4, 4)),
    case("Trilu", (3, 5), 1, upper=0),
    case("CumSum", (3, 4), 1),
    case("CumSum", (5, 2, 3), -2, exclusive=1, reverse=1),
    case("CumSum", (3, 4), np.array(1)),
    case("CumProd", (3, 4), 1, opset=26),
    case("CumProd", (5, 2, 3), -2, opset=26),
    case("TopK", (3, 5), [2], y="11"),
    case("TopK", (5, 4), [3], axis=0, largest=0, y="11"),
    case("Scatter", (3, 4), ints((3, 1), 4), (3, 1), axis=1, opset=10),
    case("Scatter", (5, 4), ints((2, 4), 5), (2, 4), opset=10),
]
NORMALIZE = [
    *_each("Softmax LogSoftmax Hardmax", (2, 3, 5)),
    *_each("Softmax LogSoftmax Hardmax", (4, 3), axis=0),
    *_each("Softmax LogSoftmax Hardmax", (2, 3, 5), opset=11),
    *_each("Softmax LogSoftmax Hardmax", (2, 4, 3), axis=-1, opset=11),
    case("LayerNormalization", (2, 3, 5), (5,), (5,), y="111"),
    case("LayerNormalization", (2, 3, 5), (3, 5), axis=1),
    case("LayerNormalization", (4, 5), (5,)),
    case("RMSNormalization", (2, 3, 5), (5,)),
    case("RMSNormalization", (4, 3, 5), (3, 5), axis=1),
    case("GroupNormalization", (2, 6, 4), (6,), (6,), num_groups=3, opset=21),
    case("GroupNormalization", (3, 4, 2, 5), (4,), (4,), num_groups=2),
    case("InstanceNormalization", (2, 3, 4, 5), (3,), (3,)),
    case("InstanceNormalization", (1, 5, 4), (5,), (5,)),
    case("BatchNormalization", (2, 3, 4, 5), (3,), (3,), (3,), (3,)),
    case("BatchNormalization", (4, 3), (3,), (3,), (3,), (3,)),
    case("LpNormalization", (2, 3, 5)),
    case("LpNormalization", (4, 3), axis=0, p=1),
    case("MeanVarianceNormalization", (2, 3, 4, 5)),
    case("MeanVarianceNormalization", (4, 3, 2, 2), axes=[1, -1]),
    case("LRN", (2, 5, 3, 4), size=3, alpha=1.0),
    case("LRN", (1, 4, 5, 2), size=5, alpha=1.0),
    case("SkipLayerNormalization", (2, 3, 5), (2, 3, 5), (5,), (5,), (5,), domain=MICROSOFT),
    case("SkipLayerNormalization", (4, 3, 5), (4, 3, 5), (5,), domain=MICROSOFT, y="1001"),
    case("SkipSimplifiedLayerNormalization", (2, 3, 5), (2, 3, 5), (5,), domain=MICROSOFT),
    case("SkipSimplifiedLayerNormalization", (4, 3, 5), (4, 3, 5), (5,), domain=MICROSOFT, y="1001"),
]
WINDOW = [
    case("Conv", (2, 3, 5, 6), (4, 3, 3, 3), (4,), pads=[1, 1, 1, 1]),
    case("Conv", (1, 3, 6, 8), (4, 3, 2, 2), strides=[2, 2]),
    case("Conv", (2, 3, 5), (4, 3, 1), (4,)),
    case("Conv", (1, 2, 5, 4), (3, 2, 3, 1), (3,), pads=[1, 0, 1, 0]),
    case("Conv", (2, 4, 5), (6, 2, 3), (6,), group=2),
    case("Conv", (3, 4, 5, 5), (4, 1, 1, 1), group=4),
    case("Conv", (1, 2, 5, 6), (3, 2, 2, 1), strides=[2, 1]),
    case("ConvInteger", ints((2, 3, 5, 4), 9, np.uint8), ints((4, 3, 2, 2), 9, np.uint8)),
    case("ConvInteger", ints((1, 3, 5, 4), 9, np.uint8), ints((4, 3, 1, 1), 9, np.uint8), np.uint8(2)),
    case("ConvTranspose", (2, 3, 4, 5), (3, 4, 2, 2), (4,), strides=[2, 2]),
    case("ConvTranspose", (1, 4, 5), (4, 3, 3), group=2),
    case("ConvTranspose", (2, 3, 4), (3, 5, 2)),
    *_each("MaxPool AveragePool LpPool", (2, 3, 4, 6), kernel_shape=[2, 2], strides=[2, 2]),
    *_each("MaxPool AveragePool LpPool", (1, 3, 5), kernel_shape=[3], pads=[1, 1]),
    case("MaxPool", (1, 2, 6, 5), kernel_shape=[2, 1], strides=[2, 1], ceil_mode=1),
    *_each("GlobalAveragePool GlobalMaxPool GlobalLpPool", (2, 3, 4, 5), opset=20),
    *_each("GlobalAveragePool GlobalMaxPool GlobalLpPool", (3, 4, 5), opset=20),
    case(
        "Resize",
        (1, 3, 4, 5),
        None,
        [1.0, 1.0, 2.0, 2.0],
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    case("Resize", (2, 3, 4, 5), None, [1.0, 1.0, 3.0, 1.5]),
    case("Resize", (2, 3, 4, 5), None, None, [2, 3, 8, 7], mode="linear"),
    case("Resize", (1, 2, 4, 5), None, None, [1, 2, 8, 15]),
    case("Resize", (2, 3, 4, 5), None, [1.0, 1.0, 2.0, 1.0], mode="linear"),
    case("Resize", (2, 3, 4, 5), [1.0, 1.0, 2.0, 2.0], opset=10),
    case("Upsample", (2, 3, 4, 5), [1.0, 1.0, 2.0, 3.0], opset=9),
    case("Upsample", (2, 3, 4, 5), [1.0, 1.0, 2.0, 2.0], mode="linear", opset=9),
    case("GridSample", (2, 3, 4, 5), (2, 3, 2, 2)),
    case("GridSample", (1, 2, 4, 5), (1, 5, 4, 2), mode="nearest", opset=16),
    case("RoiAlign", (2, 3, 5, 4), (4, 4), ints((4,), 2), output_height=2, output_width=3),
    case("RoiAlign", (1, 4, 5, 4), (3, 4), ints((3,), 1)),
]
ATTENTION = [
    case("Attention", (2, 4, 5, 6), (2, 4, 3, 6), (2, 4, 3, 2)),
    case("Attention", (2, 6, 5, 4), (2, 3, 4, 4), (2, 3, 4, 4), (5, 4)),
    case("Attention", (2, 4, 5, 6), (2, 4, 5, 6), (2, 4, 5, 6), is_causal=1),
    case("Attention", (2, 5, 12), (2, 4, 12), (2, 4, 12), (2, 3, 5, 4), q_num_heads=3, kv_num_heads=3),
    case("Attention", (2, 4, 5, 6), (2, 4, 3, 6), (2, 4, 3, 6), (2, 1, 5, 3), y="1001"),
    case("Attention", (2, 4, 3, 6), (2, 2, 2, 6), (2, 2, 2, 6), None, (2, 2, 4, 6), (2, 2, 4, 6), y="111"),
    case("RotaryEmbedding", (2, 4, 5, 6), (9, 3), (9, 3), ints((2, 5), 9)),
    case("RotaryEmbedding", (2, 5, 12), (2, 5, 3), (2, 5, 3), num_heads=2),
]
SHAPES = [case("ConstantOfShape", [2, 3]), case("ConstantOfShape", [5])]
QUANTIZE = [
    case("QuantizeLinear", (3, 4), np.float32(0.1), np.uint8(3)),
    case("QuantizeLinear", (2, 3, 5), np.array([0.1, 0.2, 0.3], np.float32)),
    case("DequantizeLinear", ints((3, 4), 9, np.uint8), np.float32(0.1)),
    case("DequantizeLinear", ints((4, 3), 9, np.uint8), (3,), ints((3,), 9, np.uint8), axis=-1),
    case("DequantizeLinear", ints((4, 6), 9, np.uint8), (4, 3), axis=1, block_size=2),
    case("DequantizeLinear", ints((4, 5), 9, np.uint8), (2, 5), axis=0, block_size=3),
]
RECURRENT = [
    case("LSTM", (3, 5, 2), (1, 16, 2), (1, 16, 4), y="111", hidden_size=4),
    case(
        "LSTM",
        (3, 2, 4),
        (2, 8, 4),
        (2, 8, 2),
        (2, 16),
        None,
        (2, 2, 2),
        y="011",
        hidden_size=2,
        direction="bidirectional",
    ),
    case("GRU", (3, 5, 2), (1, 12, 2), (1, 12, 4), hidden_size=4),
    case("GRU", (4, 3, 2), (1, 6, 2), (1, 6, 2), None, np.array([1, 4, 2], np.int32), y="11", hidden_size=2),
    case("RNN", (3, 5, 2), (1, 4, 2), (1, 4, 4), hidden_size=4),
    case("RNN", (4, 3, 2), (1, 2, 2), (1, 2, 2), (1, 4), None, (1, 3, 2), y="11", hidden_size=2),
]
CASES = [
    *POINTWISE,
    *QUANTIZE,
    *RECURRENT,
    *REDUCE,
    *CONTRACT,
    *RESHAPE,
    *MOVE,
    *INDEX,
    *NORMALIZE,
    *WINDOW,
    *ATTENTION,
    *SHAPES,
]
"""All of them."""
