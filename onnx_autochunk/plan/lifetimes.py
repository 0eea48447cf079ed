"""When the unchunked graph's values are born and last read, by buffer: what stands around an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from ..graph.model import Graph, Op
from ..memory.kernels import alias_of

CLIFF = 4  # times as much: not a residual on top of an operand, but what an op makes of it


@dataclass(frozen=True)
class Lifetimes:
    """Buffers over the execution order.

    Attributes:
        held: for each step the buffers alive before it that it or a later one reads, each by its first value.
        buffer: the first value of the buffer that each computed value lies in.
        last: the step that reads a buffer last.
        results: buffers of the graph's outputs, which nothing frees.
        kept_bytes: for each step the results made before it that neither it nor a later one reads.
        crossing_bytes: for each step all that is held in front of it, and at the end what is left.
    """

    held: tuple[tuple[str, ...], ...]
    buffer: Mapping[str, str]
    last: Mapping[str, int]
    results: frozenset[str]
    kept_bytes: tuple[int, ...]
    crossing_bytes: tuple[int, ...]

    def valleys(self) -> frozenset[int]:
        """Steps in front of which no more is held than on either side, flat stretches seen as one; the end.

        Nothing comes after the last step, so an interval may end there whatever the outputs hold.
        """
        crossing, at = self.crossing_bytes, 0
        found = {len(crossing) - 1}
        while at < len(crossing):
            end = at
            while end + 1 < len(crossing) and crossing[end + 1] == crossing[at]:
                end += 1
            before = crossing[at - 1] if at else crossing[at] + 1
            after = crossing[end + 1] if end + 1 < len(crossing) else crossing[at] + 1
            if crossing[at] < min(before, after):
                found.update(range(at, end + 1))
            at = end + 1
        return frozenset(found)

    def cliffs(self) -> frozenset[int]:
        """Steps in front of which little is held and next to which much is: `CLIFF` times as much."""
        pairs = enumerate(pairwise(self.crossing_bytes))
        return frozenset(
            at + (before > after)
            for at, (before, after) in pairs
            if before != after and max(before, after) >= CLIFF * min(before, after)
        )

    def last_read(self, name: str) -> int:
        """The step after which nobody needs the value's buffer; for outputs, the number of steps."""
        first = self.buffer.get(name, name)
        return len(self.held) if first in self.results else self.last.get(first, -1)

    def on_buffers(self, op: Op, held: Sequence[str]) -> Op:
        """The op reading held buffers by their first value rather than by an alias made elsewhere."""
        return replace(op, inputs=tuple(self._first(name, held) for name in op.inputs))

    def _first(self, name: str, held: Sequence[str]) -> str:
        first = self.buffer.get(name, name)
        return first if first in held else name


def lifetimes(graph: Graph, order: Sequence[int]) -> Lifetimes:
    """Walk the execution order once."""
    buffer = _buffers(graph, order)
    last: dict[str, int] = {}
    for step, index in enumerate(order):
        for name in graph.ops[index].reads:
            last[buffer.get(name, name)] = step
    results = frozenset(buffer.get(name, name) for name in graph.outputs)
    held = _held(graph, order, buffer, last)
    kept = _kept_bytes(graph, order, buffer, last, results)
    crossing = [sum(graph.values[name].nbytes for name in names) for names in held]
    crossing = [now + before for now, before in zip(crossing, kept, strict=True)]
    crossing.append(sum(graph.values[name].nbytes for name in graph.outputs))
    return Lifetimes(held, buffer, last, results, kept, tuple(crossing))


def _buffers(graph: Graph, order: Sequence[int]) -> dict[str, str]:
    buffer: dict[str, str] = {}
    for index in order:
        op = graph.ops[index]
        shared = alias_of(op)
        for position, name in enumerate(op.outputs):
            source = op.inputs[shared] if shared is not None and position == 0 else name
            buffer[name] = buffer.get(source, source)
    return buffer


def _held(
    graph: Graph, order: Sequence[int], buffer: Mapping[str, str], last: Mapping[str, int]
) -> tuple[tuple[str, ...], ...]:
    alive: tuple[str, ...] = ()
    found = []
    for step, index in enumerate(order):
        alive = tuple(name for name in alive if last.get(name, -1) >= step)
        found.append(alive)
        alive += tuple(name for name in graph.ops[index].outputs if name and buffer[name] == name)
    return tuple(found)


def _kept_bytes(
    graph: Graph,
    order: Sequence[int],
    buffer: Mapping[str, str],
    last: Mapping[str, int],
    results: frozenset[str],
) -> tuple[int, ...]:
    change = [0] * (len(order) + 1)
    for step, index in enumerate(order):
        for name in graph.ops[index].outputs:
            if name in results and buffer[name] == name:
                change[max(step, last.get(name, -1)) + 1] += graph.values[name].nbytes
    return tuple(accumulate(change[:-1]))
