"""Concrete sizes: reference sizes for symbolic dimensions, and the elements of shape vectors.

Exports compute Reshape targets from `Shape`, `Gather` and `Concat`; `evaluate_shape_vectors` runs those few
small integer ops ahead of time, so that a rule sees `[1, 4096, 12, 64]` where the file says
`Concat(Gather(Shape(x), 0), ...)`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from ..errors import UsageError
from .model import Graph, Op, Value

SHAPE_OPS = frozenset(
    "Shape Size Gather Concat Slice Unsqueeze Squeeze Cast Add Sub Mul Div Mod Neg Abs Min Max Reshape Range "
    "ConstantOfShape Equal Greater Less GreaterOrEqual LessOrEqual Not And Or Where Expand ReduceProd "
    "ReduceSum Identity Flatten Floor Ceil".split()
)
GROWING = frozenset("Range ConstantOfShape Expand".split())  # a few elements can ask for any number
MAX_ELEMENTS = 64  # a shape vector is short; masks and tables are data, not sizes


def bind_dims(
    model: ir.Model, dims: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, int]:
    """Give every symbolic dimension of the inputs its size, in place.

    Args:
        model: changed in place.
        dims: sizes by the name of the dimension.
        shapes: whole shapes by the name of the input.

    Returns:
        The sizes used, by name of the dimension, or as `input.axis` where it has none.

    Raises:
        UsageError: a dimension has no size or two, or a name is not the model's.
    """
    inputs = {str(v.name): v for v in model.graph.inputs if not v.is_initializer()}
    used: dict[str, int] = {}
    for name in shapes.keys() - inputs.keys():
        raise UsageError(f"--input-shape {name}: no such input; inputs: {', '.join(inputs)}")
    for name, value in inputs.items():
        if value.shape is None and name in shapes:
            value.shape = ir.Shape(shapes[name])
        elif value.shape is not None:
            value.shape = ir.Shape(_sizes(name, value.shape, dims, shapes.get(name), used))
    if unknown := sorted(dims.keys() - used.keys()):
        raise UsageError(
            f"--dim {unknown[0]}: no input has a dimension of that name; used: {sorted(used) or 'none'}"
        )
    if used:
        _forget_symbolic(model)
    return used


def _sizes(
    name: str, shape: ir.Shape, dims: Mapping[str, int], given: tuple[int, ...] | None, used: dict[str, int]
) -> list[int]:
    if given is not None and len(given) != len(shape):
        raise UsageError(f"--input-shape {name}: {len(given)} sizes, but the input has {len(shape)} axes")
    sizes = []
    for axis, dim in enumerate(shape):
        label = None if isinstance(dim, int) else dim.value
        if isinstance(dim, int) and dim >= 0:  # -1 stands for any size
            size = dim
        else:
            found = given[axis] if given is not None else dims.get(str(label))
            if found is None:
                what = f"the symbolic dimension {label!r}" if label else f"an unnamed dimension (axis {axis})"
                how = f"--dim {label}=SIZE" if label else f"--input-shape {name}:SIZE,SIZE,..."
                raise UsageError(f"input {name!r} has {what}: give its size with {how}")
            size = found
            if used.setdefault(label or f"{name}.{axis}", dims.get(label or "", size)) != size:
                raise UsageError(
                    f"input {name!r}: dimension {label!r} is given the sizes {used[str(label)]} and {size}"
                )
        if given is not None and given[axis] != size:
            raise UsageError(
                f"--input-shape {name}: axis {axis} is {given[axis]}, but the model fixes it to {size}"
            )
        sizes.append(size)
    return sizes


def _forget_symbolic(model: ir.Model) -> None:
    """Leave of every other symbolic shape how many axes there are: inference finds the sizes again."""
    for node in model.graph.all_nodes():
        for output in node.outputs:
            if output.shape is not None and not all(isinstance(d, int) and d >= 0 for d in output.shape):
                output.shape = ir.Shape([None] * len(output.shape))


def evaluate_shape_vectors(graph: Graph) -> Graph:
    """The same graph with `Value.data` where small integers can be computed from constants and shapes."""
    values = dict(graph.values)
    known: dict[Hashable, list[NDArray[np.generic]]] = {}  # equal layers compute the same
    for op in graph.ops:
        for name, data in elements_of(op, values, known):
            values[name] = replace(values[name], data=data, shape=data.shape)
    return replace(graph, values=values)


def elements_of(
    op: Op, values: Mapping[str, Value], known: dict[Hashable, list[NDArray[np.generic]]]
) -> Iterable[tuple[str, NDArray[np.generic]]]:
    """What an op computes of the elements of shape vectors, by name; nothing where it does something else.

    Args:
        op: any.
        values: with what is known of its operands.
        known: results of equal calls, which are added to.
    """
    if op.type not in SHAPE_OPS or op.domain or not _is_small(op, values):
        return ()
    key = _call(op, values)
    if key not in known:
        known[key] = _evaluate(op, values)
    return zip(op.outputs, known[key], strict=False)


def _is_small(op: Op, values: Mapping[str, Value]) -> bool:
    """True when every operand (for Shape and Size: its shape) is known and the result is a short vector."""
    results = [values[name] for name in op.outputs if name]
    if any(_elements(value) > MAX_ELEMENTS for value in results):
        return False
    if op.type in GROWING and any(value.shape is None for value in results):
        return False
    known = (values.get(name) for name in op.inputs if name)
    if op.type in ("Shape", "Size"):
        return all(v is not None and v.shape is not None for v in known)
    return all(v is not None and v.data is not None and v.data.size <= MAX_ELEMENTS for v in known)


def _call(op: Op, values: Mapping[str, Value]) -> Hashable:
    """Everything that the results depend on."""
    attributes = ((name, _plain(value)) for name, value in sorted(op.attributes.items()))
    if op.type in ("Shape", "Size"):
        return op.type, tuple(attributes), values[op.inputs[0]].shape
    data = (values[name].data if name else None for name in op.inputs)
    operands = tuple(None if d is None else (d.dtype.str, d.shape, d.tobytes()) for d in data)
    return op.type, op.version, len(op.outputs), tuple(attributes), operands


def _plain(value: object) -> Hashable:
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def _elements(value: Value) -> int:
    return 0 if value.shape is None else prod(value.shape)


def _evaluate(op: Op, values: Mapping[str, Value]) -> list[NDArray[np.generic]]:
    if op.type in ("Shape", "Size"):
        return [_shape_result(op, values[op.inputs[0]].shape or ())]
    names = [name for name in op.inputs if name]
    feeds = {name: values[name].data for name in names}
    attributes: dict[str, Any] = dict(op.attributes)
    node = onnx.helper.make_node(op.type, list(op.inputs), list(op.outputs), **attributes)
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
