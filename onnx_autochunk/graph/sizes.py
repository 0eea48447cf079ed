"""Concrete sizes: reference sizes for symbolic dimensions, and the elements of shape vectors.

Exports compute Reshape targets from `Shape`, `Gather` and `Concat`; `evaluate_shape_vectors` runs those few small integer
ops ahead of time, so that a rule sees `[1, 4096, 12, 64]` where the file says `Concat(Gather(Shape(x), 0), ...)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from ..errors import UsageError
from .model import Graph, Op, Value

SHAPE_OPS = frozenset(
    "Shape Size Gather Concat Slice Unsqueeze Squeeze Cast Add Sub Mul Div Mod Neg Abs Min Max Reshape Range "
    "ConstantOfShape Equal Greater Less GreaterOrEqual LessOrEqual Not And Or Where Expand ReduceProd ReduceSum "
    "Identity Flatten Floor Ceil".split()
)
MAX_ELEMENTS = 64  # a shape vector is short; masks and tables are data, not sizes


def bind_dims(model: ir.Model, dims: Mapping[str, int]) -> dict[str, int]:
    """Give every symbolic dimension of the inputs its size, in place.

    Returns:
        The sizes used, by name.

    Raises:
        UsageError: a dimension has no size, or `dims` names one that no input has.
    """
    symbols = {str(d.value): v for v in _free_inputs(model) for d in v.shape or () if not isinstance(d, int)}
    if unknown := sorted(dims.keys() - symbols.keys()):
        have = ", ".join(sorted(symbols)) or "none"
        raise UsageError(f"--dim {unknown[0]}: no input has a dimension of that name; symbolic dimensions: {have}")
    if missing := sorted(symbols.keys() - dims.keys()):
        where = symbols[missing[0]].name
        raise UsageError(
            f"input {where!r} has the symbolic dimension {missing[0]!r}: give its size with --dim {missing[0]}=SIZE"
        )
    if symbols:
        _fix(model, dims)
    return {name: dims[name] for name in symbols}


def _free_inputs(model: ir.Model) -> list[ir.Value]:
    return [v for v in model.graph.inputs if not v.is_initializer()]


def _fix(model: ir.Model, dims: Mapping[str, int]) -> None:
    """Write the sizes into the inputs and forget every other symbolic shape: inference finds those again."""
    for value in _free_inputs(model):
        if value.shape is not None:
            value.shape = ir.Shape([d if isinstance(d, int) else dims[str(d.value)] for d in value.shape])
    for node in model.graph.all_nodes():
        for output in node.outputs:
            if output.shape is not None and not all(isinstance(d, int) for d in output.shape):
                output.shape = None


def evaluate_shape_vectors(graph: Graph) -> Graph:
    """The same graph with `Value.data` filled in where small integers can be computed from constants and shapes."""
    values = dict(graph.values)
    for op in graph.ops:
        if op.type in SHAPE_OPS and not op.domain and _is_small(op, values):
            results = _evaluate(op, values)
            for name, data in zip(op.outputs, results, strict=False):
                values[name] = replace(values[name], data=data, shape=data.shape)
    return replace(graph, values=values)


def _is_small(op: Op, values: Mapping[str, Value]) -> bool:
    """True when every operand is known (for Shape and Size: its shape is) and the result is a short vector."""
    if not all(_elements(values[name]) <= MAX_ELEMENTS for name in op.outputs if name):
        return False
    known = (values.get(name) for name in op.inputs if name)
    if op.type in ("Shape", "Size"):
        return all(v is not None and v.shape is not None for v in known)
    return all(v is not None and v.data is not None and v.data.size <= MAX_ELEMENTS for v in known)


def _elements(value: Value) -> int:
    return 0 if value.shape is None else int(np.prod(value.shape, dtype=np.int64))


def _evaluate(op: Op, values: Mapping[str, Value]) -> list[NDArray[np.generic]]:
    if op.type in ("Shape", "Size"):
        return [_shape_result(op, values[op.inputs[0]].shape or ())]
    names = [name for name in op.inputs if name]
    feeds = {name: values[name].data for name in names}
    node = onnx.helper.make_node(op.type, list(op.inputs), list(op.outputs), **dict(op.attributes))
    try:
        model = onnx.helper.make_model(
            onnx.helper.make_graph(
                [node],
                "shape_vector",
                [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(names)],
                [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in op.outputs],
            ),
            opset_imports=[onnx.helper.make_opsetid("", op.version)],
        )
        return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, feeds)]
    except Exception:  # noqa: BLE001 - the evaluator raises whatever it likes; unknown elements are always safe
        return []


def _shape_result(op: Op, shape: tuple[int, ...]) -> NDArray[np.generic]:
    if op.type == "Size":
        return np.asarray(np.prod(shape, dtype=np.int64))
    start, end = op.attributes.get("start", 0), op.attributes.get("end")
    assert isinstance(start, int) and (end is None or isinstance(end, int))
    return np.asarray(shape[start:end], dtype=np.int64)
