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
    inferred = onnx.shape_inference.infer_shapes(_outlined(model), check_type=True, strict_mode=True)
    _take(model.graph, inferred.graph)


def _take(graph: ir.Graph, found: onnx.GraphProto) -> None:
    """What was found of the results of a graph's nodes, and of those in bodies."""
    types = {info.name: info.type for info in (*found.value_info, *found.output)}
    for node, same in zip(graph, found.node, strict=True):
        for value in node.outputs:
            kind = types.get(str(value.name))
            shape = None if kind is None else ir.serde.deserialize_type_proto_for_shape(kind)
            if kind is not None and shape is not None and shape.is_static():
                value.shape, value.type = shape, ir.serde.deserialize_type_proto_for_type(kind)
        bodies = {attribute.name: attribute.g for attribute in same.attribute}
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                _take(attribute.as_graph(), bodies[attribute.name])


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
    lengths = dict(_range_lengths(ranges_of))
    for node in model.graph:
        for value in node.outputs:
            if value.name in lengths:  # which inference knows for constant bounds only
                value.shape = ir.Shape([lengths[value.name]])
    data_prop = max(lengths.values(), default=0) <= MOST_PROPAGATED
    passes.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=data_prop)(model)


def _range_lengths(graph: Graph) -> Iterator[tuple[str, int]]:
    for op in graph.ops:
        if op.type == "Range" and not op.domain:
            bounds = [graph.values[name].data for name in op.inputs if name in graph.values]
            if len(bounds) == 3 and all(bound is not None and bound.size == 1 for bound in bounds):
                start, limit, step = (float(bound.item()) for bound in bounds if bound is not None)
                yield op.outputs[0], max(0, ceil((limit - start) / step)) if step else 0


def _outlined(model: ir.Model) -> onnx.ModelProto:
    """The model without large weights, and without the shapes that it says results have."""
    made = onnx.ModelProto(ir_version=model.ir_version)
    for domain, version in model.opset_imports.items():
        made.opset_import.add(domain=domain, version=version)
    _write(model.graph, made.graph)
    return made


def _write(graph: ir.Graph, made: onnx.GraphProto) -> None:
    made.name = graph.name or "graph"
    made.input.extend(map(ir.serde.serialize_value, graph.inputs))
    made.output.extend(map(_described, graph.outputs))
    for value in graph.initializers.values():
        if value.const_value is not None:
            made.initializer.append(ir.serde.serialize_tensor(_outline(value.const_value)))
    for node in graph:
        _write_node(node, made.node.add())
        made.value_info.extend(
            _described(value)
            for value in node.outputs
            if value.name and value.type is not None and not value.is_graph_output()
        )


def _write_node(node: ir.Node, made: onnx.NodeProto) -> None:
    made.op_type, made.domain, made.name, made.overload = (
        node.op_type, node.domain, node.name or "", node.overload,
    )  # fmt: skip
    made.input.extend("" if value is None else str(value.name) for value in node.inputs)
    made.output.extend(str(value.name) for value in node.outputs)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            body = made.attribute.add(name=attribute.name, type=onnx.AttributeProto.GRAPH)
            _write(attribute.as_graph(), body.g)
        else:
            made.attribute.append(ir.serde.serialize_attribute(attribute))


def _described(value: ir.Value) -> onnx.ValueInfoProto:
    """A result by its type, and by its shape where inference has to believe it."""
    info, node = onnx.ValueInfoProto(name=value.name), value.producer()
    if value.type is not None:
        ir.serde.serialize_type_into(info.type, value.type)
        if value.shape is not None and (node is None or not onnx.defs.has(node.op_type, node.domain)):
            ir.serde.serialize_shape_into(info.type, value.shape)
    return info


def _outline(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    if tensor.size <= SMALL_ELEMENTS:
        return (
            ir.Tensor(tensor.numpy(), name=tensor.name) if isinstance(tensor, ir.ExternalTensor) else tensor
        )
    shape = ir.Shape([int(size) for size in tensor.shape.numpy()])
    return ir.ExternalTensor("", 0, 0, tensor.dtype, shape=shape, name=str(tensor.name))
