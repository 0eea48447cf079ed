"""Which integer inputs are indices, and into how large a table.

`input_ids -> Cast -> Gather(embedding [50257, 768])` -> `{"input_ids": 50257}`: random ids stay below that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import onnx
import onnx.inliner
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, numpy_helper

INDEXING: Mapping[
    str, tuple[tuple[int, int], ...]
] = {  # operator -> (operand of indices, operand of the table)
    "Gather": ((1, 0),),
    "GatherElements": ((1, 0),),
    "GatherND": ((1, 0),),
    "ScatterElements": ((1, 0),),
    "ScatterND": ((1, 0),),
    "EmbedLayerNormalization": ((0, 2), (1, 4), (8, 3)),
}
WHOLE_INDEX = frozenset({"GatherND", "ScatterND"})  # indices of several axes at once

PASSING: Mapping[str, slice] = {  # operator -> the operands whose elements reach the result unchanged
    **dict.fromkeys(
        "Cast CastLike Clip Compress Expand Flatten Gather GatherElements GatherND Identity Mod Pad "
        "ReduceMax ReduceMin Reshape Slice Split Squeeze Tile Transpose Trilu Unsqueeze".split(),
        slice(0, 1),
    ),
    "Concat": slice(None),
    "Max": slice(None),
    "Min": slice(None),
    "Where": slice(1, 3),
}

Shape = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class _Use:
    """`input + offset` indexes `table`; `axis` is None where one index addresses several axes."""

    input: str
    offset: int
    table: str
    axis: int | None


@dataclass(slots=True)
class _Trace:
    """What is known while walking: how far each value is from an input, scalar constants, uses found."""

    offsets: dict[str, dict[str, int]]
    scalars: dict[str, int] = field(default_factory=dict)
    uses: list[_Use] = field(default_factory=list)


def index_bounds(model: ModelProto, dims: Mapping[str, int]) -> dict[str, int]:
    """For each graph input used as an index: the number of values it may take, from 0 on.

    Args:
        model: the model; weights need not be loaded.
        dims: sizes of symbolic dimensions.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    trace = _Trace({value.name: {value.name: 0} for value in model.graph.input})
    _walk(model.graph, trace)
    shapes = dict(_shapes(model.graph))
    if any(use.table not in shapes for use in trace.uses):
        shapes = dict(_shapes(onnx.shape_inference.infer_shapes(model).graph)) | shapes
    bounds: dict[str, int] = {}
    for use in trace.uses:
        if extent := _extent(shapes.get(use.table, ()), use.axis, dims):
            allowed = max(1, extent - use.offset)
            bounds[use.input] = min(bounds.get(use.input, allowed), allowed)
    return bounds


def _walk(graph: GraphProto, trace: _Trace) -> None:
    trace.scalars |= {
        t.name: int(numpy_helper.to_array(t)) for t in graph.initializer if _is_integer_scalar(t)
    }
    for node in graph.node:
        _note_uses(node, trace)
        for body in _bodies(node):
            _enter(node, body, trace)
        reached = _reached(node, trace)
        trace.offsets |= dict.fromkeys(node.output, reached) if reached else {}
        _note_constant(node, trace)


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    return (a.g for a in node.attribute if a.type == AttributeProto.GRAPH)


def _enter(node: NodeProto, body: GraphProto, trace: _Trace) -> None:
    """A body sees outer values by name, and the operands of Loop and Scan as its own inputs."""
    for outer, inner in zip(node.input, body.input, strict=False):
        if outer in trace.offsets:
            trace.offsets[inner.name] = trace.offsets[outer]
    _walk(body, trace)


def _note_uses(node: NodeProto, trace: _Trace) -> None:
    for indices, table in INDEXING.get(node.op_type, ()):
        if indices < len(node.input):
            axis = None if node.op_type in WHOLE_INDEX else _attribute(node, "axis")
            for name, offset in trace.offsets.get(node.input[indices], {}).items():
                trace.uses.append(_Use(name, offset, node.input[table], axis))


def _attribute(node: NodeProto, name: str) -> int:
    return next((a.i for a in node.attribute if a.name == name), 0)


def _reached(node: NodeProto, trace: _Trace) -> dict[str, int]:
    """The inputs whose elements the results are made of, with what has been added to them."""
    if node.op_type in PASSING:
        return _merge(trace.offsets.get(name, {}) for name in node.input[PASSING[node.op_type]])
    if node.op_type in {"Add", "Sub"} and node.input[1] in trace.scalars:
        step = trace.scalars[node.input[1]] * (1 if node.op_type == "Add" else -1)
        return {name: offset + step for name, offset in trace.offsets.get(node.input[0], {}).items()}
    return {}


def _merge(found: Iterable[Mapping[str, int]]) -> dict[str, int]:
    merged: dict[str, int] = {}
    for offsets in found:
        for name, offset in offsets.items():
            merged[name] = max(offset, merged.get(name, offset))
    return merged


def _note_constant(node: NodeProto, trace: _Trace) -> None:
    if node.op_type == "Constant":
        for attribute in node.attribute:
            if attribute.name == "value_int":
                trace.scalars[node.output[0]] = attribute.i
            elif attribute.name == "value" and _is_integer_scalar(attribute.t):
                trace.scalars[node.output[0]] = int(numpy_helper.to_array(attribute.t))


def _is_integer_scalar(tensor: onnx.TensorProto) -> bool:
    whole = tensor.data_type in {onnx.TensorProto.INT32, onnx.TensorProto.INT64}
    return whole and not tensor.dims and tensor.data_location != onnx.TensorProto.EXTERNAL


def _shapes(graph: GraphProto) -> Iterator[tuple[str, Shape]]:
    """Declared shapes of this graph's values and of its bodies'."""
    for value in (*graph.value_info, *graph.input, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            yield value.name, tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
    for tensor in graph.initializer:
        yield tensor.name, tuple(tensor.dims)
    for node in graph.node:
        if node.op_type == "Constant":
            yield from ((node.output[0], tuple(a.t.dims)) for a in node.attribute if a.name == "value")
        for body in _bodies(node):
            yield from _shapes(body)


def _extent(shape: Shape, axis: int | None, dims: Mapping[str, int]) -> int:
    """Number of indices that are valid along the axis; 0 where that is unknown."""
    sizes = [dims.get(d, 0) if isinstance(d, str) else d for d in shape]
    if axis is None:
        return min(sizes, default=0) if prod(sizes) else 0
    return sizes[axis] if -len(sizes) <= axis < len(sizes) else 0
