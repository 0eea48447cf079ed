"""Bodies of a model's own If, Loop and Scan, each as a model of its own: so it is planned like any other.

    Loop(x) { h -> MatMul(weight) -> .. -> h' }    gives, beside it,    model(h, weight) { MatMul .. -> h' }

What a body reads of the graphs around it are inputs of that model, and constants where it is constant there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import onnx_ir as ir

from .derive import derive
from .load import fill_in_shapes
from .loaded import Closed, Enclosed, Loaded
from .model import Origin, Value
from .stand_ins import write_out
from .written import is_known

# Operands, and results of the body, in front of what is handed on: the count and the condition.
FIRST = {"If": (1, 0), "Loop": (2, 1), "Scan": (0, 0)}


def with_bodies(loaded: Loaded, provider: str = "cpu", around: str = "") -> Loaded:
    """A copy of the model with its bodies, and with the shapes that were found of values in them.

    Args:
        loaded: stays as it is, and shares its weights.
        provider: the execution provider that is planned for.
        around: the body that it is, if it is one.
    """
    if not any(op.subgraphs for op in loaded.graph.ops):
        return loaded
    copy = derive(loaded.model.clone(), loaded.dims, dynamic=loaded.dynamic)
    found: list[Enclosed | Closed] = []
    for node in copy.nodes:
        for attribute in (names := tuple(_bodies(node))):
            home = "/".join(filter(None, (around, f"{node.name}.{attribute}")))
            found.append(_enclosed(copy, node, attribute, home, provider))
        if names and not all(map(is_known, node.outputs)):
            fill_in_shapes(copy.model, every_size=True)  # of what reads its results, other bodies among that
    bodies = tuple(body for body in found if isinstance(body, Enclosed))
    closed = [body for body in found if isinstance(body, Closed)]
    closed += [inner for body in bodies for inner in body.loaded.closed]
    known = derive(copy.model, loaded.dims, dynamic=loaded.dynamic)
    return replace(known, bodies=bodies, closed=tuple(closed))


def _bodies(node: ir.Node) -> Iterator[str]:
    """Names of the attributes that are bodies which can be planned."""
    if node.domain in ("", "ai.onnx") and node.op_type in FIRST:
        yield from (a.name for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH)


def _enclosed(loaded: Loaded, node: ir.Node, attribute: str, home: str, provider: str) -> Enclosed | Closed:
    """A body as a model, or why it is left as it is."""
    if loaded.dynamic is not None:
        return _closed(
            loaded, node, attribute, "sizes are open: bodies are chunked for fixed ones (--fix-dims)"
        )
    body = node.attributes[attribute].as_graph()
    captured = _captured(body)
    if any(value in captured for value in body.outputs):
        return _closed(loaded, node, attribute, "it gives a value of the graph around it as it is")
    graph, inputs = body.clone(allow_outer_scope_values=True), len(body.inputs)
    graph.opset_imports.update(loaded.model.opset_imports)
    _own(graph, loaded, captured, readers={*graph.all_nodes(), *body.all_nodes()})
    _shape_inputs(graph, node)
    model = ir.Model(graph, ir_version=loaded.model.ir_version)
    fill_in_shapes(model, every_size=True)
    if why := _obstacle(graph, inputs, node):
        return _closed(loaded, node, attribute, why)
    inner = with_bodies(derive(model), provider, home)
    _tell_shapes(body, inner.model.graph)
    names = tuple(str(value.name) for value in captured)
    return Enclosed(home, str(node.name), attribute, write_out(inner, provider), inputs, names)


def _closed(loaded: Loaded, node: ir.Node, attribute: str, why: str) -> Closed:
    value = loaded.graph.values[str(node.outputs[0].name)]
    return Closed(str(node.name), value.name, value.nbytes, f"its {attribute} is left as it is: {why}")


def _captured(graph: ir.Graph) -> list[ir.Value]:
    """Values of the graphs around a body that it or a body in it reads."""
    own = {value for inner in graph.subgraphs() for value in _defined(inner)} | set(_defined(graph))
    read = [value for node in graph.all_nodes() for value in node.inputs if value is not None]
    given = [value for inner in (graph, *graph.subgraphs()) for value in inner.outputs]
    return list(dict.fromkeys(value for value in (*read, *given) if value not in own))


def _defined(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from (*graph.inputs, *graph.initializers.values())
    yield from (value for node in graph for value in node.outputs)


def _own(graph: ir.Graph, loaded: Loaded, captured: Sequence[ir.Value], readers: Collection[ir.Node]) -> None:
    """Give a copy of a body values of its own for those that it reads of the graphs around it.

    A weight that others read as well is to stay whole: an initializer that is an input, too.

    Args:
        graph: the copy.
        loaded: the model around the body.
        captured: what is read.
        readers: nodes of the body and of its copy.
    """
    inside = set(graph.all_nodes())
    for value in captured:
        tensor = _constant(loaded.graph.values[str(value.name)], value)
        is_shared = value.is_graph_input() or any(user not in readers for user, _ in value.uses())
        stand_in = ir.Value(name=value.name, type=value.type, shape=value.shape, const_value=tensor)
        for user, at in tuple(value.uses()):
            if user in inside:
                user.replace_input_with(at, stand_in)
        if tensor is None or (is_shared and tensor.dtype.is_floating_point()):
            graph.inputs.append(stand_in)
        if tensor is not None:
            graph.register_initializer(stand_in)


def _constant(known: Value, value: ir.Value) -> ir.TensorProtocol | None:
    """The elements of a value that is constant, as far as they are known."""
    if known.origin is not Origin.CONSTANT:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return ir.tensor(known.data) if tensor is None and known.data is not None else tensor


def _shape_inputs(graph: ir.Graph, node: ir.Node) -> None:
    """Shapes and types of a body's inputs that follow from the operands, where the file tells none."""
    first, _ = FIRST[node.op_type]
    states = len(node.inputs) - node.attributes.get_int("num_scan_inputs", 0)
    axes = node.attributes.get_ints("scan_input_axes", [0] * (len(node.inputs) - states))
    for at, (operand, value) in enumerate(zip(node.inputs, graph.inputs, strict=False)):
        if at < first or operand is None or operand.shape is None or is_known(value):
            continue
        sizes = list(operand.shape)
        if at >= states:
            del sizes[axes[at - states]]
        value.shape, value.type = ir.Shape(sizes), value.type or operand.type


def _obstacle(graph: ir.Graph, inputs: int, node: ir.Node) -> str:
    """Why the shapes of a body do not hold in every round; empty where they do."""
    for value in graph.inputs[:inputs]:
        if isinstance(value.type, ir.TensorType | None) and not is_known(value):
            return f"the shape of {value.name!r} is not known"
    first, given = FIRST[node.op_type]
    last = inputs - node.attributes.get_int("num_scan_inputs", 0)
    for value, result in zip(graph.inputs[first:last], graph.outputs[given:], strict=False):
        if is_known(value) and value.shape != result.shape:
            return f"the shape of {value.name!r} may change from round to round"
    return ""


def _tell_shapes(graph: ir.Graph, known: ir.Graph) -> None:
    """Write the shapes of a copy of a body into it."""
    for node, same in zip(graph, known, strict=True):
        for name, attribute in node.attributes.items():
            if attribute.type == ir.AttributeType.GRAPH:
                _tell_shapes(attribute.as_graph(), same.attributes[name].as_graph())
    for value, found in zip(_defined_in_order(graph), _defined_in_order(known), strict=False):
        if not is_known(value) and is_known(found):
            value.shape, value.type = found.shape, found.type


def _defined_in_order(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from (value for node in graph for value in node.outputs)
    yield from graph.inputs
