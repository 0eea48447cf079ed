"""Shapes of values that ONNX Runtime's optimizer makes, for which a file that it wrote has none.

Its fusions name new values, and ONNX cannot infer through ORT's own operators, so everything behind one would
count as nothing. `Cast -> com.microsoft.QuickGelu -> Cast` -> all three known.

Source: onnxruntime/core/graph/contrib_ops/*_defs.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir

from ..graph.model import Op
from ..memory.blocked import DOMAIN, blocked_shape

Shape: TypeAlias = tuple[int, ...]
Rule: TypeAlias = Callable[[ir.Node, list[Shape]], Shape]

MICROSOFT = "com.microsoft"


def complete_shapes(model: ir.Model) -> bool:
    """Give values without a shape one, in place and in order; True when there were any.

    The rules it follows, for each node in file order, bodies included:
        1. An operator over blocked channels has a rule in `memory.blocked`; another one of ORT's own has one
           in the table below, or is a standard one with more attributes.
        2. A standard operator is inferred by ONNX from the types and constants of its operands.
        3. What cannot be inferred stays unknown.
    """
    return _complete(model.graph, model.opset_imports)


def _complete(graph: ir.Graph, opsets: Mapping[str, int]) -> bool:
    changed = False
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                changed = _complete(attribute.as_graph(), opsets) or changed
        if any(value.name and _shape(value) is None for value in node.outputs):
            changed = _infer(node, opsets) or changed
    return changed


def _infer(node: ir.Node, opsets: Mapping[str, int]) -> bool:
    shapes = [() if value is None else _shape(value) for value in node.inputs]
    known = [shape for shape in shapes if shape is not None]
    if node.domain == DOMAIN:
        return len(known) == len(shapes) and _infer_blocked(node, known)
    rule = _RULES.get(node.op_type) if node.domain == MICROSOFT or node.op_type in OWN else None
    if rule is not None and len(known) == len(shapes):
        return _set(node.outputs[0], rule(node, known), _dtype(node))
    standard = STANDARD.get(node.op_type) if node.domain == MICROSOFT else node.op_type
    return standard is not None and node.domain in {"", MICROSOFT} and _infer_standard(node, standard, opsets)


def _infer_blocked(node: ir.Node, shapes: list[Shape]) -> bool:
    attributes = {
        a.name: tuple(a.value) if isinstance(a.value, list) else a.value for a in node.attributes.values()
    }
    present = [shape for value, shape in zip(node.inputs, shapes, strict=True) if value is not None]
    op = Op(0, "", node.op_type, (), (), DOMAIN, attributes=attributes)
    shape = blocked_shape(op, present)
    return shape is not None and _set(node.outputs[0], shape, _dtype(node))


def _set(value: ir.Value, shape: Shape, dtype: ir.DataType | None) -> bool:
    if _shape(value) is not None:
        return False
    value.shape = ir.Shape(shape)
    if value.dtype is None and dtype is not None:
        value.dtype = dtype
    return True


def _dtype(node: ir.Node) -> ir.DataType | None:
    if node.op_type in FLOAT_RESULTS:
        return ir.DataType.FLOAT
    return next((value.dtype for value in node.inputs if value is not None), None)


def _infer_standard(node: ir.Node, kind: str, opsets: Mapping[str, int]) -> bool:
    try:
        schema = onnx.defs.get_schema(kind, opsets.get("", 1))
        proto = _as_standard(ir.to_proto(node), schema)
        operands = [
            v for v in node.inputs[: len(proto.input)] if v is not None and v.shape is not None and v.dtype
        ]
        inferred = onnx.shape_inference.infer_node_outputs(
            schema,
            proto,
            {str(value.name): _type(value) for value in operands},
            {str(value.name): tensor for value in operands if (tensor := _small(value)) is not None},
            opset_imports=[onnx.helper.make_opsetid("", opsets.get("", 1))],
        )
    except Exception:  # noqa: BLE001 - inference raises whatever it likes; an unknown shape is no error
        return False
    changed = False
    for value in node.outputs:
        found = inferred.get(str(value.name))
        if found is not None and found.HasField("tensor_type") and found.tensor_type.HasField("shape"):
            dims = [dim.dim_value for dim in found.tensor_type.shape.dim if dim.HasField("dim_value")]
            if len(dims) == len(found.tensor_type.shape.dim):
                changed = _set(value, tuple(dims), ir.DataType(found.tensor_type.elem_type)) or changed
    return changed


def _as_standard(node: onnx.NodeProto, schema: onnx.defs.OpSchema) -> onnx.NodeProto:
    """The node without what only ORT's variant of the operator has."""
    kept = [attribute for attribute in node.attribute if attribute.name in schema.attributes]
    del node.attribute[:]
    node.attribute.extend(kept)
    del node.input[schema.max_input :]
    node.op_type, node.domain = schema.name, ""
    return node


def _type(value: ir.Value) -> onnx.TypeProto:
    assert value.dtype is not None and value.shape is not None
    return onnx.helper.make_tensor_type_proto(int(value.dtype), _shape(value))


def _small(value: ir.Value) -> onnx.TensorProto | None:
    """The elements of a short constant, which may be a shape or bounds."""
    tensor = value.const_value
    if tensor is None or tensor.size > 64 or tensor.dtype == ir.DataType.STRING:
        return None
    return onnx.numpy_helper.from_array(np.asarray(tensor.numpy()), value.name)


def _shape(value: ir.Value) -> Shape | None:
    if value.shape is None or not all(isinstance(dim, int) for dim in value.shape):
        return None
    return tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]  # checked on the line above


def _same(_: ir.Node, shapes: list[Shape]) -> Shape:
    return shapes[0]


def _broadcast(_: ir.Node, shapes: list[Shape]) -> Shape:
    """Of the first and the fourth operand, which are those that are computed with."""
    return np.broadcast_shapes(shapes[0], shapes[3])


def _product(node: ir.Node, shapes: list[Shape]) -> Shape:
    """A MatMul whose operands may be transposed: rows and columns, or the batch axis to the last but one."""
    left, right = (_turned(node, side, shape) for side, shape in zip(("A", "B"), shapes[:2], strict=True))
    return (*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1])


def _turned(node: ir.Node, side: str, shape: Shape) -> Shape:
    if len(shape) < 2:
        return (1, *shape) if side == "A" else (*shape, 1)
    if node.attributes.get_int(f"transBatch{side}", 0):
        shape = (*shape[1:-1], shape[0], shape[-1])
    if node.attributes.get_int(f"trans{side}", 0):
        shape = (*shape[:-2], shape[-1], shape[-2])
    return shape


def _windowed(node: ir.Node, shapes: list[Shape]) -> Shape:
    """What ONNX infers for the standard operator of whole windows, channels in front."""
    kind, places = WINDOWED[node.op_type]
    is_last = node.attributes.get_int("channels_last", int(node.op_type.startswith("Nhwc")))
    values, *weights = (shapes[place] for place in places)
    operands = [(values[0], values[-1], *values[1:-1]) if is_last else values, *weights]
    schema = onnx.defs.get_schema(kind)
    proto = _as_standard(ir.to_proto(node), schema)
    del proto.input[:], proto.output[1:]
    proto.input.extend(f"operand{at}" for at in range(len(operands)))
    types = [onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, shape) for shape in operands]
    (found,) = onnx.shape_inference.infer_node_outputs(
        schema, proto, dict(zip(proto.input, types, strict=True))
    ).values()
    first, channels, *window = (dim.dim_value for dim in found.tensor_type.shape.dim)
    return (first, *window, channels) if is_last else (first, channels, *window)


def _joined(node: ir.Node, shapes: list[Shape]) -> Shape:
    """A scale and a zero point of the result, and three operands for each part."""
    parts, shape = shapes[2::3], list(shapes[2])
    axis = node.attributes.get_int("axis", 0)
    shape[axis] = sum(part[axis] for part in parts)
    return tuple(shape)


def _gemm(node: ir.Node, shapes: list[Shape]) -> Shape:
    left, right = (_turned(node, side, shapes[at]) for side, at in (("A", 0), ("B", 3)))
    return left[0], right[1]


def _by_columns(node: ir.Node, shapes: list[Shape]) -> Shape:
    return (*shapes[0][:-1], node.attributes.get_int("N", 0))


def _attention(_: ir.Node, shapes: list[Shape]) -> Shape:
    """Packed query, key and value of one width."""
    return (*shapes[0][:-1], shapes[1][-1] // 3)


def _multi_head_attention(_: ir.Node, shapes: list[Shape]) -> Shape:
    values = shapes[2] if len(shapes) > 2 and len(shapes[2]) == 3 else shapes[0]
    return (*shapes[0][:2], values[-1])


# Operators of com.microsoft that are a standard one with an activation or a further operand.
STANDARD: Mapping[str, str] = {
    "FusedConv": "Conv", "FusedGemm": "Gemm", "Gelu": "Gelu", "GridSample": "GridSample", "Trilu": "Trilu",
    "QuantizeLinear": "QuantizeLinear", "DequantizeLinear": "DequantizeLinear",
}  # fmt: skip
OWN = frozenset({"SimplifiedLayerNormalization"})  # ORT's own, in the standard's domain
FLOAT_RESULTS = frozenset("DynamicQuantizeMatMul MatMulIntegerToFloat".split())

_SAME = (
    "BiasGelu FastGelu QuickGelu SimplifiedLayerNormalization SkipLayerNormalization "
    "SkipSimplifiedLayerNormalization GroupNorm SkipGroupNorm BiasSoftmax BiasAdd BiasDropout "
    "RotaryEmbedding QLinearSigmoid QLinearLeakyRelu QLinearSoftmax GroupQueryAttention"
)
# Of 8 bits, or with channels last: the standard operator, and which operands have its shapes.
WINDOWED: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "QLinearConv": ("Conv", (0, 3)), "NhwcFusedConv": ("Conv", (0, 1)), "NhwcMaxPool": ("MaxPool", (0,)),
    "QLinearAveragePool": ("AveragePool", (0,)), "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
}  # fmt: skip
_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_SAME.split(), _same),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _broadcast),
    **dict.fromkeys(
        ("FusedMatMul", "TransposeMatMul", "FusedMatMulActivation", *sorted(FLOAT_RESULTS)), _product
    ),
    **dict.fromkeys(WINDOWED, _windowed),
    "QLinearConcat": _joined,
    "QGemm": _gemm,
    "MatMulNBits": _by_columns,
    "Attention": _attention,
    "MultiHeadAttention": _multi_head_attention,
}
