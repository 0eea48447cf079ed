"""Shapes that the model asks for become constants: they are known when sizes are.

    x -> Shape -> Gather -> Mul -> Slice(x, ..)    becomes    constant -> Gather -> Mul -> Slice(x, ..)

ONNX Runtime computes them when it loads, so no plan has ops for them. Left in the model, the nodes would be a
path that leaves a stretch and comes back, and the stretch could not become a body.
"""

from __future__ import annotations

import onnx_ir as ir

from .model import Graph
from .written import constant


def write_out(model: ir.Model, graph: Graph) -> bool:
    """Replace, in place, what asks for a known shape by its answer; True where there was one.

    Args:
        model: is changed.
        graph: the model's, with the elements of its shape vectors.
    """
    changed = False
    for node in model.graph:
        value = node.outputs[0]
        data = graph.values[str(value.name)].data if _asks(node) else None
        if data is None or value.is_graph_output():
            continue
        answer = constant(str(value.name), ir.tensor(data, ir.DataType.INT64))
        value.replace_all_uses_with(answer)
        model.graph.remove(node, safe=True)
        model.graph.register_initializer(answer)
        changed = True
    return changed


def _asks(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in ("Shape", "Size")
