"""What would be bad about a model on ONNX Runtime's CUDA provider, found without a GPU.

    Scan body: Slice(x, start, end), start scanned -> copied: `start` to the CPU, at each of 16 iterations

Nothing is run: the findings are as good as the tables of kernels and the rules of placement are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from ..graph.model import Graph, Op
from ..graph.rounds import rounds
from .findings import CudaReport, Finding, Kind
from .placement import Device, Placement, place
from .slow import LOOKS


def check(graph: Graph) -> CudaReport:
    """The findings of a model, bodies included.

    Args:
        graph: with types and shapes, as `graph.load` makes it.
    """
    return CudaReport(tuple(_Level((place(graph),)).findings()))


@dataclass(frozen=True)
class _Level:
    """One graph, inside the others: the main graph's placement comes first."""

    placements: tuple[Placement, ...]
    where: tuple[str, ...] = ()
    repeated: bool = False
    times: int | None = 1

    @property
    def own(self) -> Placement:
        return self.placements[-1]

    def findings(self) -> Iterator[Finding]:
        for op in self.own.graph.ops:
            yield from self._of_op(op)
        for name, device in self.own.copies():
            yield self._copy(self._reader(name), name, device)

    def _of_op(self, op: Op) -> Iterator[Finding]:
        if reason := self.own.reasons.get(op.index):
            kind = Kind.KEPT if op.index in self.own.preferred else Kind.FALLBACK
            yield self._finding(kind, op, reason)
        else:
            for kind, look in LOOKS.items():
                for name, why in look(op, self.own.values):
                    yield self._finding(kind, op, why, name)
        for body in op.subgraphs.values():
            inner = self._inside(op, body)
            yield from inner.findings()
            yield from self._handed(op, inner)

    def _inside(self, op: Op, body: Graph) -> _Level:
        count = rounds(op, self.own.values)
        times = None if self.times is None or count is None else self.times * count
        inner = place(body, self.own.values)
        repeated = self.repeated or op.type in {"Scan", "Loop"}
        return _Level((*self.placements, inner), (*self.where, op.name), repeated, times)

    def _handed(self, op: Op, inner: _Level) -> Iterator[Finding]:
        """What a body gets, captures and gives, where it does not lie on the device where it is wanted."""
        body = inner.own
        gets = ((name, self._source(name), body.wanted(name)) for name in body.readers if name in op.captures)
        takes = ((name, device, body.wanted(name)) for name, device in _fed(op, body.graph, self.own))
        gives = ((name, body.made.get(name), device) for name, device in _fetched(op, body.graph, self.own))
        for name, source, target in chain(takes, gets, gives):
            if source is not None and target is not None and source is not target:
                yield inner._copy(op, name, target)

    def _source(self, name: str) -> Device | None:
        defined = (level for level in reversed(self.placements) if name in level.graph.values)
        return next((level.lies(name) for level in defined), None)

    def _reader(self, name: str) -> Op:
        return next(op for op in self.own.graph.ops if name in op.reads)

    def _copy(self, op: Op, name: str, device: Device) -> Finding:
        return self._finding(Kind.COPY, op, f"to the {device.value}", name)

    def _finding(self, kind: Kind, op: Op, why: str, value: str = "") -> Finding:
        return Finding(kind, self.where, op.name, op.type, why, value, self.repeated, self.times)


def _fed(op: Op, body: Graph, outer: Placement) -> Iterator[tuple[str, Device]]:
    """Inputs of a body and where the op has what it gives them; a Loop counts on the CPU."""
    if op.type == "Loop":
        yield from ((name, Device.CPU) for name in body.inputs[:2])
    first = {"Loop": 2, "Scan": 0}.get(op.type, len(body.inputs))
    for position, name in enumerate(body.inputs[first:], start=first):
        yield name, outer.read_on(op, position)


def _fetched(op: Op, body: Graph, outer: Placement) -> Iterator[tuple[str, Device]]:
    """Outputs of a body and where the op wants them; a Loop reads its condition on the CPU."""
    conditions = 1 if op.type == "Loop" else 0
    yield from ((name, Device.CPU) for name in body.outputs[:conditions])
    for position, name in enumerate(body.outputs[conditions:]):
        yield name, outer.left_on(op, position)
