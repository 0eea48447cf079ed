"""Tensors with more elements than kernels can count: they are not to exist whole, whatever the memory.

Search and selection know bytes only, so a step that computes or reads such a tensor counts as if it held more
than any budget has, and so does a loop with such a tensor around it or in a chunk:

    at most 2^31 elements, scores [1, 16, 16384, 16384] -> chunks of 8191 rows at the most

Inputs of the model and its weights are what they are, and do not count; neither do views of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import prod

from ..graph.model import Graph, Op, Origin, Value
from ..memory.kernels import alias_of
from .region import Region

UNBEARABLE = 1 << 60  # bytes


def is_oversize(value: Value | None, most: int | None) -> bool:
    """True for a computed value of more than `most` elements; None sets no limit."""
    if most is None or value is None or value.origin is not Origin.COMPUTED:
        return False
    return prod(value.shape or ()) > most


def oversize(graph: Graph, most: int | None) -> Iterator[str]:
    """Names of such values of a graph and of its bodies."""
    for op in graph.ops:
        yield from (
            name for name in op.outputs if _counts(op, graph) and is_oversize(graph.values.get(name), most)
        )
        for body in op.subgraphs.values():
            yield from oversize(body, most)


def counts(graph: Graph, most: int | None) -> Iterator[int]:
    """How many elements such values have."""
    for op in graph.ops:
        values = (graph.values.get(name) for name in op.outputs if _counts(op, graph))
        yield from (prod(value.shape or ()) for value in values if value and is_oversize(value, most))
        for body in op.subgraphs.values():
            yield from counts(body, most)


def _counts(op: Op, graph: Graph) -> bool:
    """False for a view of what is there anyway."""
    at = alias_of(op)
    source = None if at is None else graph.values.get(op.inputs[at])
    return source is None or source.origin is Origin.COMPUTED


def charged(
    live_bytes: Sequence[int],
    graph: Graph,
    order: Sequence[int],
    most: int | None,
    apart: Collection[tuple[int, str]] = (),
) -> tuple[int, ...]:
    """What is held at each step, with what oversize values cost on top.

    Args:
        live_bytes: held at each step.
        graph: what runs.
        order: index of the op that runs at each step.
        most: most elements of a value; None sets no limit.
        apart: bodies that do not count, by op and attribute.
    """

    def touches(op: Op) -> bool:
        named = (graph.values.get(name) for name in (*op.outputs, *op.reads))
        bodies = (body for name, body in op.subgraphs.items() if (op.index, name) not in apart)
        inside = (name for body in bodies for name in oversize(body, most))
        return any(is_oversize(value, most) for value in named) or any(inside)

    if most is None:
        return tuple(live_bytes)
    return tuple(
        held + touches(graph.ops[index]) * UNBEARABLE for held, index in zip(live_bytes, order, strict=True)
    )


def longest_chunk(graph: Graph, region: Region, most: int | None) -> int | None:
    """The length up to which no value of a chunk is oversize; None without a limit on elements."""
    if most is None:
        return None
    places = {**{cut.value: cut.position for cut in region.sliced}, **region.flow}
    shapes = [(place, graph.values[name].shape or ()) for name, place in places.items()]
    low, high = 0, region.extent
    while low < high:
        middle = (low + high + 1) // 2
        if all(prod(place.sliced_shape(shape, middle)) <= most for place, shape in shapes):
            low = middle
        else:
            high = middle - 1
    return low
