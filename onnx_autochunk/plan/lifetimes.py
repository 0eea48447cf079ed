"""When the unchunked graph's values are born and last read, by buffer: what stands around an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..graph.model import Graph, Op
from ..memory.kernels import alias_of


@dataclass(frozen=True)
class Lifetimes:
    """Buffers over the execution order.

    Attributes:
        held: for each step the buffers alive before it and read at it or later, named by their first value.
        buffer: the first value of the buffer that each computed value lies in.
        last: the step that reads a buffer last; the number of steps for the graph's outputs.
        crossing_bytes: for each step what is held in front of it, and at the end what is held after the last.
    """

    held: tuple[tuple[str, ...], ...]
    buffer: Mapping[str, str]
    last: Mapping[str, int]
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

    def last_read(self, name: str) -> int:
        """The step after which nobody reads the value's buffer."""
        return self.last.get(self.buffer.get(name, name), -1)

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
    last.update((buffer.get(name, name), len(order)) for name in graph.outputs)
    held = _held(graph, order, buffer, last)
    crossing = [sum(graph.values[name].nbytes for name in names) for names in held]
    crossing.append(sum(graph.values[name].nbytes for name in graph.outputs))
    return Lifetimes(held, buffer, last, tuple(crossing))


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
