"""ONNX IR -> `Graph`: what the rest of the package reads of a model whose values have shapes.

    ir.Node("", "MatMul", ..)  ->  Op(index=3, type="MatMul", inputs=("h", "w"), outputs=("q",), ..)

`Loaded.nodes[i]` is the IR node of `graph.ops[i]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .dynamic import Dynamic
from .fold import run_time_ops
from .loaded import Loaded
from .masked import with_masks
from .model import ITEM_BITS, Graph, Op, Origin, Value
from .numbers import open_shape
from .sizes import evaluate_shape_vectors

SMALL_ELEMENTS = 4096  # constants up to this many elements keep their data in the Graph


def derive(
    model: ir.Model, dims: Mapping[str, int] | None = None, *, dynamic: Dynamic | None = None
) -> Loaded:
    """The `Graph` of an IR model whose values have shapes; the model itself is kept, not copied."""
    nodes = _nodes(model)
    whole = with_masks(whole_graph(model), lambda name: _elements(model, name))
    running = run_time_ops(whole, fixed=dynamic is None)
    kept = tuple(nodes[index] for index in running.kept)
    return Loaded(model, running.graph, kept, dims or {}, dynamic=dynamic)


def _elements(model: ir.Model, name: str) -> NDArray[np.generic] | None:
    """Elements of an initializer; None where the model comes without them (`runtime.weightless`)."""
    value = model.graph.initializers.get(name)
    tensor = None if value is None else value.const_value
    return None if tensor is None or not has_elements(tensor) else _small_data(tensor)


def has_elements(tensor: ir.TensorProtocol) -> bool:
    """False for a weight that the model comes without."""
    return not isinstance(tensor, ir.ExternalTensor) or Path(tensor.path).stat().st_size > 0


def whole_graph(model: ir.Model) -> Graph:
    """The `Graph` of an IR model with every op in it, those of constants too."""
    graph = _graph(model.graph, _nodes(model), model.opset_imports, outer=frozenset())
    return evaluate_shape_vectors(graph)


def _nodes(model: ir.Model) -> tuple[ir.Node, ...]:
    return tuple(node for node in model.graph if node.op_type != "Constant")


def _graph(
    source: ir.Graph, nodes: tuple[ir.Node, ...], opsets: Mapping[str, int], outer: frozenset[str]
) -> Graph:
    values: dict[str, Value] = {}
    for name, initializer in source.initializers.items():
        values[name] = _constant(name, initializer, initializer.const_value)
    for value in source.inputs:
        values.setdefault(_name(value), _value(value, Origin.INPUT))
    for node in source:
        for output in node.outputs:
            if not output.name:
                continue
            if node.op_type == "Constant":
                values[output.name] = _constant(output.name, output, ir.convenience.get_const_tensor(output))
            else:
                values[output.name] = _value(output, Origin.COMPUTED)
    known = outer | values.keys()
    ops = tuple(_op(index, node, opsets, known) for index, node in enumerate(nodes))
    inputs = tuple(name for v in source.inputs if values[name := _name(v)].origin is Origin.INPUT)
    return Graph(ops, values, inputs, tuple(_name(v) for v in source.outputs))


def _op(index: int, node: ir.Node, opsets: Mapping[str, int], known: frozenset[str]) -> Op:
    domain = "" if node.domain == "ai.onnx" else node.domain
    attributes = tuple(node.attributes.data.values())
    bodies = {a.name: a.as_graph() for a in attributes if a.type == ir.AttributeType.GRAPH}
    subgraphs = {
        name: _graph(body, tuple(n for n in body if n.op_type != "Constant"), opsets, known)
        for name, body in bodies.items()
    }
    return Op(
        index=index,
        name=node.name or "",
        type=node.op_type,
        inputs=tuple(map(_name, node.inputs)),
        outputs=tuple(map(_name, node.outputs)),
        domain=domain,
        version=opsets.get(domain, 1),
        attributes={a.name: _plain(a) for a in attributes if a.name not in bodies},
        captures=tuple(dict.fromkeys(name for g in subgraphs.values() for name in _free(g))),
        subgraphs=subgraphs,
    )


def _free(graph: Graph) -> Iterator[str]:
    """Names a body reads but does not define."""
    for op in graph.ops:
        yield from (name for name in op.reads if name not in graph.values)
    yield from (name for name in graph.outputs if name not in graph.values)


def _name(value: ir.Value | None) -> str:
    return "" if value is None or value.name is None else value.name


def _value(value: ir.Value, origin: Origin) -> Value:
    dtype = _dtype(value.dtype)
    is_tensor = dtype in ITEM_BITS and isinstance(value.type, ir.TensorType)
    shape, dims = (_shape(value.shape), open_shape(value)) if is_tensor else (None, None)
    return Value(_name(value), dtype, shape, origin, dims=dims)


def _constant(name: str, value: ir.Value, tensor: ir.TensorProtocol | None) -> Value:
    if tensor is None:
        return _value(value, Origin.CONSTANT)
    shape = tuple(tensor.shape.numpy())
    data = _small_data(tensor) if tensor.size <= SMALL_ELEMENTS else None
    return Value(name, _dtype(tensor.dtype), shape, Origin.CONSTANT, data)


def _small_data(tensor: ir.TensorProtocol) -> NDArray[np.generic] | None:
    return None if tensor.dtype == ir.DataType.STRING else tensor.numpy()


@cache
def _dtype(dtype: ir.DataType | None) -> str:
    name = "undefined" if dtype is None else dtype.name.lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _shape(shape: ir.Shape | None) -> tuple[int, ...] | None:
    if shape is None or not all(isinstance(dim, int) for dim in shape):
        return None
    return shape.dims  # type: ignore[return-value]  # checked on the line above


def _plain(attribute: ir.Attr) -> object:
    value = attribute.value
    if attribute.type == ir.AttributeType.TENSOR:
        return value.numpy() if value.dtype != ir.DataType.STRING else None
    return tuple(value) if isinstance(value, list | tuple) else value
