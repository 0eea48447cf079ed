"""What a Loop, a Scan or an If holds besides its operands and results while its body runs.

The planner counts an op's results from the op's start; the figures here are what comes on top of that. A
result that has a new buffer takes memory only as it is written; in a buffer that held something before it
takes all of it at once.

Source: onnxruntime/core/providers/cpu/controlflow/{if,loop,scan_9,scan_utils}.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..graph.model import Graph, Op

# What one round of a body holds: its results included, but for those whose memory is there already.
BodyPeak: TypeAlias = Callable[[Graph, frozenset[str]], int]
Extra: TypeAlias = Callable[[Op, Graph, BodyPeak, frozenset[str]], int]


def body_bytes(op: Op, graph: Graph, body_peak: BodyPeak, present: frozenset[str] = frozenset()) -> int:
    """Bytes that running the op's subgraphs adds to its operands and results; 0 for an op without any.

    Args:
        op: the If, Loop or Scan.
        graph: the graph around it.
        body_peak: simulates a body.
        present: those of the op's results that lie in a buffer which held something before.
    """
    rule = _RULES.get(op.type)
    return rule(op, graph, body_peak, present) if rule is not None and op.subgraphs else 0


def _if(op: Op, graph: Graph, body_peak: BodyPeak, present: frozenset[str]) -> int:
    """A branch writes the op's results itself, at the moment it computes them."""
    peak = max(body_peak(body, _inner(op, body, present)) for body in op.subgraphs.values())
    return max(0, peak - _total(graph, tuple(name for name in op.outputs if name not in present)))


def _scan(op: Op, graph: Graph, body_peak: BodyPeak, present: frozenset[str]) -> int:
    """Slices are views, and the part of a result that no round has written yet takes no memory.

    A state alternates between two buffers. An axis other than 0 is moved to the front by copying it all.
    """
    body = op.subgraphs["body"]
    states = len(op.inputs) - _integer(op, "num_scan_inputs")
    moved_in = _moved(op, "scan_input_axes", op.inputs[states:], graph)
    moved_out = _moved(op, "scan_output_axes", op.outputs[states:], graph)
    there = _inner(op, body, present)
    fresh = tuple(name for name in body.outputs if name not in there)
    running = 2 * _total(graph, op.inputs[:states]) + max(0, body_peak(body, there) - _total(body, fresh))
    return moved_in + max(running, moved_out)


def _loop(op: Op, graph: Graph, body_peak: BodyPeak, present: frozenset[str]) -> int:
    """Each round makes new carried values and a piece of each stacked result; all are copied at the end.

    Then the carried values that the last round read are still there.
    """
    body = op.subgraphs["body"]
    carried = len(op.inputs) - 2
    pieces = body.outputs[carried + 1 :]
    already = _total(graph, tuple(name for name in op.outputs if name in present))
    return max(
        body_peak(body, frozenset()) - _total(body, pieces) + already,  # the last round
        _total(graph, op.outputs) + _total(graph, op.outputs[:carried]),  # the copying
    )


def _inner(op: Op, body: Graph, present: frozenset[str]) -> frozenset[str]:
    """What the body calls those results."""
    return frozenset(inner for outer, inner in zip(op.outputs, body.outputs, strict=True) if outer in present)


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
