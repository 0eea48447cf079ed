"""Shapes and types of everything, and a refusal of graphs in which they contradict each other.

MatMul of float[4, 4] and int64[4, 4] -> the error of ONNX's inference, which names the node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from .model import Graph

SMALL_ELEMENTS = 1000  # constants up to this many are shown to the inference
COUNTS = frozenset({"group"})  # attributes of standard operators that inference lets be 0
MOST_PROPAGATED = 1 << 16  # elements of a Range that the inference may write down one by one


def check_types(model: ir.Model) -> None:
    """Infer from the inputs on, strictly; what is found goes before what the file says, in place.

    Raises:
        ValueError: an attribute is of another type than its operator's, or makes no sense.
        Exception: whatever ONNX's inference raises at a contradiction.
    """
    for node in model.graph.all_nodes():
        _check_attributes(node, model.opset_imports)
    inferred = onnx.shape_inference.infer_shapes(_skeleton(model), check_type=True, strict_mode=True)
    found = ir.from_proto(inferred).graph.all_nodes()
    for node, same in zip(model.graph.all_nodes(), found, strict=True):
        for value, known in zip(node.outputs, same.outputs, strict=True):
            if known.shape is not None and known.shape.is_static():
                value.shape, value.type = known.shape, known.type


def _check_attributes(node: ir.Node, opsets: Mapping[str, int]) -> None:
    version = opsets.get(node.domain, 0)
    if version < 1 or not onnx.defs.has(node.op_type, version, node.domain):
        return
    known = onnx.defs.get_schema(node.op_type, version, node.domain).attributes
    for attribute in node.attributes.values():
        if (
            attribute.name in known
            and str(known[attribute.name].type).rpartition(".")[2] != attribute.type.name
        ):
            raise ValueError(f"{node.op_type} {node.name!r}: attribute {attribute.name!r} is of another type")
        if attribute.name in COUNTS and attribute.as_int() < 1:
            raise ValueError(
                f"{node.op_type} {node.name!r}: {attribute.name}={attribute.value} must be 1 or more"
            )


def infer_shapes(model: ir.Model, ranges_of: Graph) -> None:
    """Fill in, in place, what is not known, with what can be known about elements.

    Args:
        model: changed in place.
        ranges_of: the model's graph, for the length of every Range.
    """
    data_prop = max(_range_lengths(ranges_of), default=0) <= MOST_PROPAGATED
    passes.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=data_prop)(model)


def _range_lengths(graph: Graph) -> Iterator[int]:
    for op in graph.ops:
        if op.type == "Range" and not op.domain:
            bounds = [graph.values[name].data for name in op.inputs if name in graph.values]
            if len(bounds) == 3 and all(bound is not None and bound.size == 1 for bound in bounds):
                start, limit, step = (float(bound.item()) for bound in bounds if bound is not None)
                yield ceil((limit - start) / step) if step else 0


def _skeleton(model: ir.Model) -> onnx.ModelProto:
    """The model without large weights, and without the shapes that it says results have."""
    copy = model.clone()
    for graph in copy.graphs():
        for value in graph.initializers.values():
            value.const_value = None if value.const_value is None else _outline(value.const_value)
    for node in copy.graph.all_nodes():
        if onnx.defs.has(node.op_type, node.domain):
            for value in node.outputs:
                value.shape = None
    return ir.to_proto(copy)


def _outline(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    if tensor.size <= SMALL_ELEMENTS:
        return (
            ir.Tensor(tensor.numpy(), name=tensor.name) if isinstance(tensor, ir.ExternalTensor) else tensor
        )
    shape = ir.Shape([int(size) for size in tensor.shape.numpy()])
    return ir.ExternalTensor("", 0, 0, tensor.dtype, shape=shape, name=str(tensor.name))
