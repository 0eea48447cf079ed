"""What it costs that weights are packed again at every call, where loops are too deep in bodies.

ONNX Runtime packs the right operand of a product once, while it loads the model, where that is a weight of
the graph of the product or of the one around: in a Scan's body, but not in that of a Scan within a frame.

Source: onnxruntime/core/framework/session_state.cc, SessionState::PrepackConstantInitializedTensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..graph.model import Graph
from .call import Call, call_of
from .model import CostModel, often
from .prices import multiply
from .products import PACKED, UNPACKED, Product, gemm, matmul

DEEPEST = 1  # body whose weights are packed while the model is loaded
FINDERS = {"MatMul": matmul, "Gemm": gemm}


def packing_seconds(graph: Graph, model: CostModel) -> float:
    """Seconds of one run that go into packing weights which `op_seconds` takes to be packed.

    Args:
        graph: a model as it runs, bodies and all.
        model: prices.
    """
    return sum(times * _more(call, model) for times, call in _deep(graph, 1, 0))


def _deep(graph: Graph, times: int, depth: int) -> Iterator[tuple[int, Call]]:
    """Calls in bodies that are too deep, and how often each runs."""
    for op in graph.ops:
        call = call_of(op, graph, graph.shape)
        for body in op.subgraphs.values():
            outer = {name: graph.values[name] for name in op.captures if name in graph.values}
            whole = replace(body, values=outer | dict(body.values))
            yield from _deep(whole, times * often(call), depth + 1)
        if depth > DEEPEST and op.type in FINDERS:
            yield times, call


def _more(call: Call, model: CostModel) -> float:
    found = FINDERS[call.op.type](call)
    if found is None or found.kind != PACKED:
        return 0.0
    return max(0.0, _seconds(found, UNPACKED, call, model) - _seconds(found, PACKED, call, model))


def _seconds(found: Product, kind: str, call: Call, model: CostModel) -> float:
    return multiply(found._replace(kind=kind), call.touched_bytes(), model.constants)
