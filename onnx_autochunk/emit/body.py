"""Copy a region's ops for one chunk: the same nodes on slices, with every shape declared.

`Reshape(x, [1, 4096, 12, 64])` in a region cut along 4096 -> `Reshape(chunk/x, [1, 128, 12, 64])`.
Without declared shapes ORT drops in-place reuse and fusions inside bodies (measured: 68 instead of 36 MiB).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import onnx_ir as ir

from ..axes import Call, Position, Range
from ..errors import RuleError
from ..graph.model import Graph
from ..graph.numbers import Numbers
from ..plan.plan import Nested
from ..plan.region import Cut, Region
from ..plan.rules import Rules
from .apart import Apart
from .calls import ChunkCalls, Member
from .scope import Scope

# The operand of an op that is patched, as a value of the scope: (op index, operand) -> value.
Patched = Callable[[int, int], ir.Value]


class Sizes(Protocol):
    """Shapes of chunks where sizes are open."""

    def declare(self, value: ir.Value, cut: Cut) -> None:
        """Say of a chunk of what is cut how long its axes are at any size."""

    def spelled(self, cut: Cut) -> ir.Value:
        """The shape of a chunk, as a vector."""


@dataclass(frozen=True)
class Weaving:
    """A graph being rewritten: the model's own, or the body of a loop.

    Attributes:
        home: where the nodes stand.
        graph: the records that the plan speaks of.
        rules: of its ops.
        nodes: the model's node for each op.
        values: the value that now stands for each name.
        nests: bodies that were written and are to be rewritten themselves.
        provider: the execution provider that it is written for.
        numbers: computes sizes where they are open; None where they are bound.
        apart: keeps what loops make apart; None where nothing has to be.
    """

    home: ir.Graph
    graph: Graph
    rules: Rules
    nodes: Sequence[ir.Node]
    values: dict[str, ir.Value]
    nests: list[Nest] = field(default_factory=list)
    provider: str = "cpu"
    numbers: Numbers | None = None
    apart: Apart | None = None

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a value that is cut, so that it is known."""
        shape = self.graph.shape(name)
        if shape is None:
            raise RuleError(f"value {name!r} is in a region but its shape is unknown")
        return shape


@dataclass(frozen=True, slots=True)
class Nest:
    """A body and the loops that are still to be put into it.

    Attributes:
        scope: the body's, for names.
    """

    weaving: Weaving
    nested: Nested
    scope: Scope


@dataclass(frozen=True, slots=True)
class Piece:
    """A value that holds a range of one that is cut."""

    value: ir.Value
    span: Range

    def part(self, scope: Scope, position: Position, span: Range, label: str) -> ir.Value:
        """The part that covers `span`."""
        if span == self.span:
            return self.value
        bounds = span[0] - self.span[0], span[1] - self.span[0]
        return scope.slice(self.value, position.axis, bounds, f"{label}/part")


@dataclass(frozen=True)
class _Copy:
    """A chunk being written: where to, and what there is already.

    Attributes:
        is_first: false for further copies, which do not repeat what is said of a node: exporters write
            kilobytes beside each, and ONNX Runtime keeps them in memory.
    """

    weaving: Weaving
    scope: Scope
    region: Region
    chunk: ChunkCalls
    slices: Mapping[Cut, ir.Value]
    patched: Patched
    made: dict[str, Piece]
    is_first: bool
    sizes: Sizes | None

    def add(self, member: Member) -> None:
        """One op."""
        op, call = member.op, self.chunk.calls[member.op.index]
        node = self.weaving.nodes[op.index]
        outputs = [self._result(member, at) for at in range(len(op.outputs))]
        self.scope.nodes.append(
            ir.Node(
                node.domain,
                node.op_type,
                [self._operand(member, at) for at in range(_operands(member, call))],
                _attributes(node.attributes.values(), call.patches),
                overload=node.overload,
                outputs=outputs,
                name=self.scope.names.fresh(f"{self.scope.prefix}/{op.name}"),
                metadata_props=dict(node.metadata_props) if self.is_first else {},
            )
        )
        for at, (name, output) in enumerate(zip(op.outputs, outputs, strict=True)):
            computed, right, place = call.computed[at], call.results[at], member.step.results[at]
            if name and computed and right and place:
                whole = Piece(output, computed)
                self.made[name] = Piece(whole.part(self.scope, place, right, name), right)

    def _operand(self, member: Member, at: int) -> ir.Value | None:
        """Absent, patched, a chunk's value, a slice, or the whole value."""
        op, call = member.op, self.chunk.calls[member.op.index]
        if at in call.patches:
            return self.patched(op.index, at)
        name = op.inputs[at] if at < len(op.inputs) else ""
        if not name:
            return None
        if at in member.rule.sizes:
            return self._spelled(member, member.rule.sizes[at])
        span, place, source = call.operands[at], member.step.operands[at], member.source(at, self.region)
        if span is None or place is None or source is None:
            return self.weaving.values[name]
        if isinstance(source, Cut):
            return Piece(self.slices[source], self.chunk.slices[source]).part(self.scope, place, span, name)
        return self.made[source].part(self.scope, place, span, name)

    def _result(self, member: Member, at: int) -> ir.Value:
        name = member.op.outputs[at]
        if not name:
            return ir.Value(name="")
        result = self.scope.value(name, self.weaving.values[name].dtype, self._shape(member, at))
        if self.sizes is not None:
            self.sizes.declare(result, Cut(name, self._place(member, at)))
        return result

    def _spelled(self, member: Member, result: int) -> ir.Value:
        """What says the shape of a result."""
        if self.sizes is None:
            return self.scope.constant(self._shape(member, result))
        return self.sizes.spelled(Cut(member.op.outputs[result], self._place(member, result)))

    def _shape(self, member: Member, result: int) -> tuple[int, ...]:
        """Shape of what an op computes."""
        span, place = self.chunk.calls[member.op.index].computed[result], self._place(member, result)
        assert span is not None, "a joined op's results all carry the flow"
        return place.resized(self.weaving.shape(member.op.outputs[result]), span[1] - span[0])

    def _place(self, member: Member, result: int) -> Position:
        place = member.step.results[result]
        assert place is not None, "a joined op's results all carry the flow"
        return place


def _operands(member: Member, call: Call) -> int:
    """How many operands the copy has: a patch may give one that was left out."""
    return max([len(member.op.inputs), *(at + 1 for at in call.patches if isinstance(at, int))])


def copy_ops(
    weaving: Weaving,
    scope: Scope,
    region: Region,
    inside: Iterable[Member],
    chunk: ChunkCalls,
    slices: Mapping[Cut, ir.Value],
    patched: Patched | None = None,
    *,
    is_first: bool = True,
    sizes: Sizes | None = None,
) -> dict[str, Piece]:
    """Add one chunk's copy of the region to `scope`; what comes back are the results by their old names.

    Args:
        weaving: the model.
        scope: where the copies go.
        region: what is copied.
        inside: its ops.
        chunk: the ranges to compute.
        slices: a value for each sliced input, of the range that `chunk` names.
        patched: where patched operands come from; by default they are constants of the scope.
        is_first: false for a copy that need not repeat the nodes' metadata.
        sizes: what says shapes where sizes are open.
    """
    made: dict[str, Piece] = {}
    patched = patched or _constants(weaving, scope, chunk)
    copy = _Copy(weaving, scope, region, chunk, slices, patched, made, is_first, sizes)
    for member in inside:
        copy.add(member)
    return made


def _constants(weaving: Weaving, scope: Scope, chunk: ChunkCalls) -> Patched:
    def constant(index: int, operand: int) -> ir.Value:
        return scope.constant(patched_operand(weaving, chunk, index, operand))

    return constant


def patched_operand(
    weaving: Weaving, chunk: ChunkCalls, index: int, operand: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """The elements of a patched operand for one chunk, in the shape and type of the original one."""
    numbers = chunk.calls[index].patches[operand]
    inputs = weaving.graph.ops[index].inputs
    name = inputs[operand] if operand < len(inputs) else ""
    if not name:
        return np.array(numbers, np.int64)
    value = weaving.graph.values[name]
    return np.array(numbers, value.dtype).reshape(value.shape or ())


def _attributes(
    attributes: Iterable[ir.Attr], patches: Mapping[int | str, tuple[int, ...] | int | None]
) -> list[ir.Attr]:
    kept = [attribute for attribute in attributes if attribute.name not in patches]
    changed = [
        ir.convenience.convert_attribute(name, numbers)
        for name, numbers in patches.items()
        if isinstance(name, str) and numbers is not None
    ]
    return [*kept, *changed]
