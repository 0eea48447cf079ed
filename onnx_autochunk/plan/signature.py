"""One number per step, equal where growth and pricing cannot tell two steps apart.

It covers the op, its shapes, how far away its producers and readers are, how long ago its operands were read
before, what is held around it, whether it may be cut off and may join; names are left out.

Source: DESIGN section 6, repeated layers by structural hash.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence

import numpy as np

from ..graph.model import Graph, Op, Origin
from ..memory.lifetime import Timeline
from .lifetimes import Lifetimes

FAR = 1 << 30  # distance to what lies outside the graph


def signatures(
    graph: Graph,
    order: Sequence[int],
    lifetimes: Lifetimes,
    timeline: Timeline,
    borders: Container[int],
    excluded: Container[int] = (),
) -> list[int]:
    """A number for each step; an interval may start or end at `borders`, `excluded` ops may not join."""
    step = {index: at for at, index in enumerate(order)}
    horizon = _horizon(order)
    reread = _reread(graph, order, horizon)
    numbers: dict[Hashable, int] = {}
    marks = []
    for at, index in enumerate(order):
        mark = (
            _op(graph, graph.ops[index], step, at, horizon),
            reread[at],
            _held(graph, lifetimes, at, horizon),
            (at in borders, at + 1 in borders, index in excluded),
            timeline.live_bytes[at] - lifetimes.kept_bytes[at],
        )
        marks.append(numbers.setdefault(mark, len(numbers)))
    return marks


def _horizon(order: Sequence[int]) -> int:
    """Distances beyond this many steps count as far: enough for a layer, so that depth does not matter."""
    return min(len(order), 512)


def _reread(graph: Graph, order: Sequence[int], horizon: int) -> list[tuple[int, ...]]:
    """How long ago each operand was read before: tells one mask read twice from two masks."""
    seen: dict[str, int] = {}
    found = []
    for at, index in enumerate(order):
        ages = []
        for name in graph.ops[index].reads:
            ages.append(min(horizon, at - seen.get(name, -FAR)))
            seen[name] = at
        found.append(tuple(ages))
    return found


def _op(graph: Graph, op: Op, step: Mapping[int, int], at: int, horizon: int) -> Hashable:
    def distance(other: Op | None) -> int:
        if other is None:
            return FAR
        return max(-horizon, min(horizon, step[other.index] - at))

    reads = tuple(
        (
            value.shape,
            value.dtype,
            value.origin is Origin.CONSTANT,
            None if value.data is None or value.dtype != "int64" else value.data.tobytes(),
            distance(graph.producer.get(name)),
        )
        for name in op.reads
        if (value := graph.values.get(name)) is not None
    )
    writes = tuple(
        (
            graph.shape(name),
            graph.values[name].dtype,
            name in graph.results,
            tuple(distance(reader) for reader in graph.consumers.get(name, ())),
        )
        for name in op.outputs
        if name
    )
    return op.domain, op.type, _attributes(op), tuple(map(bool, op.inputs)), reads, writes


def _attributes(op: Op) -> Hashable:
    def plain(value: object) -> Hashable:
        return value.tobytes() if isinstance(value, np.ndarray) else repr(value)

    return tuple(sorted((name, plain(value)) for name, value in op.attributes.items()))


def _held(graph: Graph, lifetimes: Lifetimes, at: int, horizon: int) -> Hashable:
    """What is held around a step: how large, for how much longer, and whether it is a result."""
    return tuple(
        (graph.values[name].nbytes, min(horizon, lifetimes.last[name] - at), name in lifetimes.results)
        for name in lifetimes.held[at]
    )
