"""Shapes that inference leaves open, found node by node with the elements of the shape vectors in between.

    Shape(x) -> Mul, Sub, Div -> ends of a Slice -> its shape -> Shape of that -> ...

ONNX's inference follows a few of the operators that exporters compute sizes with; here every small integer
is computed, as far as sizes are bound.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from .model import Graph, Value
from .sizes import MAX_ELEMENTS, elements_of
from .written import Shape, is_known, shape_of

Found: TypeAlias = tuple[ir.Value, Shape, ir.DataType]


def complete(model: ir.Model, graph: Graph) -> None:
    """Give results of standard operators the shapes that can be found, in place.

    Args:
        model: its inputs have shapes.
        graph: the model's, every op of it.
    """
    values, known = dict(graph.values), dict[Hashable, list[NDArray[np.generic]]]()
    nodes = {node.name: node for node in model.graph}
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    for op in graph.ops:
        node = nodes[op.name]
        if not op.domain and not all(map(_is_found, node.outputs)):
            found = _kept(node) if op.subgraphs else _inferred(node, values, op.version, opsets)
            for value, shape, dtype in found:
                value.shape, value.dtype = ir.Shape(shape), dtype
                values[str(value.name)] = replace(values[str(value.name)], shape=shape)
        for name, data in elements_of(op, values, known):
            values[name] = replace(values[name], data=data, shape=data.shape)


def _is_found(value: ir.Value) -> bool:
    """False for a size of 0, too: inference takes widths for that which it does not know (Attention)."""
    return is_known(value) and value.shape is not None and 0 not in value.shape.numpy()


def _kept(node: ir.Node) -> Iterator[Found]:
    """Results of a Loop whose body gives back the shape that it is given first, which then never changes."""
    if node.op_type != "Loop":
        return
    body = node.attributes["body"].as_graph()
    for first, result, value in zip(node.inputs[2:], body.outputs[1:], node.outputs, strict=False):
        if first is not None and first.dtype and is_known(first) and first.shape == result.shape:
            yield value, shape_of(first), first.dtype


def _inferred(
    node: ir.Node, values: dict[str, Value], version: int, opsets: list[onnx.OperatorSetIdProto]
) -> Iterator[Found]:
    """The results of which all sizes can be found."""
    operands = [value for value in node.inputs if value is not None and value.dtype is not None]
    types = {
        str(value.name): onnx.helper.make_tensor_type_proto(int(value.dtype), value.shape.numpy())
        for value in operands
        if value.dtype is not None and value.shape is not None and is_known(value)
    }
    known = ((str(value.name), values[str(value.name)].data) for value in operands if value.name in values)
    data = {
        name: onnx.numpy_helper.from_array(array, name)
        for name, array in known
        if array is not None and array.size <= MAX_ELEMENTS
    }
    try:
        schema = onnx.defs.get_schema(node.op_type, version)
        found = onnx.shape_inference.infer_node_outputs(
            schema, ir.to_proto(node), types, data, opset_imports=opsets
        )
    except Exception:  # noqa: BLE001 - inference raises whatever it likes; an unknown shape is no error
        return
    for value in node.outputs:
        kind = found.get(str(value.name))
        if kind is None or not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
            continue
        dims = kind.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            yield value, tuple(dim.dim_value for dim in dims), ir.DataType(kind.tensor_type.elem_type)
