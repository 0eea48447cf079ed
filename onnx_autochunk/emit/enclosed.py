"""Put a body that was chunked as a model of its own back into the node around it."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.loaded import Enclosed
from ..graph.written import is_unread


def put_in(graph: ir.Graph, body: Enclosed, chunked: ir.Graph) -> None:
    """Let a node run a body in its chunked form, which reads the graph around it again.

    Args:
        graph: around the body, with its values under the names that they had.
        body: what it was.
        chunked: what it is to be.
    """
    values = {value.name: value for node in graph for value in node.outputs}
    values |= {value.name: value for value in (*graph.inputs, *graph.initializers.values())}
    own = {value.name: value for value in (*chunked.inputs, *chunked.initializers.values())}
    for stand_in in (own[name] for name in body.captures if name in own):
        ir.convenience.replace_all_uses_with(stand_in, values[stand_in.name])
        chunked.initializers.pop(str(stand_in.name), None)
    while len(chunked.inputs) > body.inputs:
        chunked.inputs.pop()
    node = next(node for node in graph if node.name == body.op)
    for old in node.attributes[body.attribute].as_graph().all_nodes():
        for at in range(len(old.inputs)):
            old.replace_input_with(at, None)
    node.attributes[body.attribute] = ir.AttrGraph(body.attribute, chunked)
    for name in body.captures:
        weight = graph.initializers.get(name)
        if weight is not None and is_unread(weight) and not weight.is_graph_input():
            del graph.initializers[name]
