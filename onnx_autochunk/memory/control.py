"""What a Loop, a Scan or an If holds besides its operands and results while its body runs.

The planner counts an op's results from the op's start; the figures here are what comes on top of that.

Source: onnxruntime/core/providers/cpu/controlflow/{if,loop,scan_9,scan_utils}.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..graph.model import Graph, Op

BodyPeak: TypeAlias = Callable[[Graph], int]  # what one round of a body holds, its results included
Extra: TypeAlias = Callable[[Op, Graph, BodyPeak], int]


def body_bytes(op: Op, graph: Graph, body_peak: BodyPeak) -> int:
    """Bytes that running the op's subgraphs adds to its operands and results; 0 for an op without any."""
    rule = _RULES.get(op.type)
    return rule(op, graph, body_peak) if rule is not None and op.subgraphs else 0


def _if(op: Op, graph: Graph, body_peak: BodyPeak) -> int:
    """A branch writes the op's results itself, at the moment it computes them."""
    peak = max(body_peak(body) for body in op.subgraphs.values())
    return max(0, peak - _total(graph, op.outputs))


def _scan(op: Op, graph: Graph, body_peak: BodyPeak) -> int:
    """Slices are views, and the part of a result that no round has written yet takes no memory.

    A state alternates between two buffers. An axis other than 0 is moved to the front by copying it all.
    """
    body = op.subgraphs["body"]
    states = len(op.inputs) - _integer(op, "num_scan_inputs")
    moved_in = _moved(op, "scan_input_axes", op.inputs[states:], graph)
    moved_out = _moved(op, "scan_output_axes", op.outputs[states:], graph)
    running = 2 * _total(graph, op.inputs[:states]) + max(0, body_peak(body) - _total(body, body.outputs))
    return moved_in + max(running, moved_out)


def _loop(op: Op, graph: Graph, body_peak: BodyPeak) -> int:
    """Each round makes new carried values and a piece of each stacked result; all are copied at the end."""
    body = op.subgraphs["body"]
    pieces = body.outputs[len(op.inputs) - 1 :]
    return max(body_peak(body) - _total(body, pieces), _total(graph, op.outputs))


def _moved(op: Op, attribute: str, names: tuple[str, ...], graph: Graph) -> int:
    axes = op.attributes.get(attribute)
    if not isinstance(axes, tuple):
        return 0
    return _total(graph, tuple(name for name, axis in zip(names, axes, strict=False) if axis != 0))


def _integer(op: Op, attribute: str) -> int:
    value = op.attributes[attribute]
    assert isinstance(value, int)
    return value


def _total(graph: Graph, names: tuple[str, ...]) -> int:
    return sum(graph.values[name].nbytes for name in names if name in graph.values)


_RULES: Mapping[str, Extra] = {"If": _if, "Loop": _loop, "Scan": _scan}
