"""Shapes that inference leaves open, found node by node with the elements of the shape vectors in between.

    Shape(x) -> Mul, Sub, Div -> ends of a Slice -> its shape -> Shape of that -> ...

ONNX's inference follows a few of the operators that exporters compute sizes with; here every small integer
is computed, as far as sizes are bound, and so is what a Scan hands on unchanged. ONNX Runtime does not look
into that: what depends on it says of its axes only what ONNX Runtime knows of them (`numbers.OPEN`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from .model import Graph, Op, Value
from .numbers import OPEN
from .sizes import MAX_ELEMENTS, elements_of
from .written import Shape, is_known, shape_of

Found: TypeAlias = tuple[ir.Value, Shape, ir.DataType]


def complete(model: ir.Model, graph: Graph) -> None:
    """Give results of standard operators the shapes that can be found, in place.

    Args:
        model: its inputs have shapes.
        graph: the model's, every op of it.
    """
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    _Completion(opsets).run(model.graph, graph, {})


@dataclass(frozen=True)
class _Completion:
    """What is found on the way.

    Attributes:
        known: results of equal calls.
        hidden: values of which ONNX Runtime does not know the elements, or all of the shape.
    """

    opsets: list[onnx.OperatorSetIdProto]
    known: dict[Hashable, list[NDArray[np.generic]]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)

    def run(self, source: ir.Graph, graph: Graph, around: Mapping[str, Value]) -> None:
        """Complete a graph that sees the values `around` it, bodies of Scans first: a Loop's may change."""
        values = {**around, **graph.values}
        nodes = (node for node in source if node.op_type != "Constant")
        for op, node in zip(graph.ops, nodes, strict=True):
            for name, body in op.subgraphs.items() if op.type == "Scan" else ():
                self.run(node.attributes[name].as_graph(), body, values)
            hides = not self.hidden.isdisjoint(op.reads)
            if not op.domain and not all(map(_is_found, node.outputs)):
                found = _declared(node) if op.subgraphs else _inferred(node, values, op.version, self.opsets)
                for value, shape, dtype in found:
                    if hides:
                        _hide(value)
                        self.hidden.add(str(value.name))
                    value.shape, value.dtype = ir.Shape(shape), dtype
                    values[str(value.name)] = replace(values[str(value.name)], shape=shape)
            handed_on = dict(_handed_on(op, values))
            for name, data in handed_on.items() or elements_of(op, values, self.known):
                if handed_on or hides:
                    self.hidden.add(name)
                values[name] = replace(values[name], data=data, shape=data.shape)


def _is_found(value: ir.Value) -> bool:
    """False for a size of 0, too: inference takes widths for that which it does not know (Attention)."""
    return is_known(value) and value.shape is not None and 0 not in value.shape.numpy()


def _hide(value: ir.Value) -> None:
    """Keep what the shape said before."""
    if value.shape is not None:
        value.meta[OPEN] = tuple(dim if isinstance(dim, int) else None for dim in value.shape)


def _handed_on(op: Op, values: Mapping[str, Value]) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """What a Scan gives whose body only hands on what it is given."""
    body = op.subgraphs.get("body")
    if op.type != "Scan" or body is None or [inner.type for inner in body.ops] != ["Identity"]:
        return
    data = values[op.inputs[0]].data if len(op.inputs) == 1 and op.inputs[0] in values else None
    if data is not None:
        yield op.outputs[0], data


def _declared(node: ir.Node) -> Iterator[Found]:
    """Results whose shapes follow from those that a body declares."""
    if node.op_type == "Loop":
        yield from _kept(node)
    elif node.op_type == "Scan":
        yield from _stacked(node)


def _kept(node: ir.Node) -> Iterator[Found]:
    """Results of a Loop whose body gives back the shape that it is given first, which then never changes."""
    body = node.attributes["body"].as_graph()
    for first, result, value in zip(node.inputs[2:], body.outputs[1:], node.outputs, strict=False):
        if first is not None and first.dtype and is_known(first) and first.shape == result.shape:
            yield value, shape_of(first), first.dtype


def _stacked(node: ir.Node) -> Iterator[Found]:
    """Results of a Scan without states, along first axes."""
    count, axes = node.inputs[0], ("scan_input_axes", "scan_output_axes", "scan_output_directions")
    states = len(node.inputs) - node.attributes["num_scan_inputs"].as_int()
    if states or count is None or not is_known(count) or any(name in node.attributes for name in axes):
        return
    for result, value in zip(node.attributes["body"].as_graph().outputs, node.outputs, strict=True):
        if result.dtype is not None and is_known(result):
            yield value, (shape_of(count)[0], *shape_of(result)), result.dtype


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
