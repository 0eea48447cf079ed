"""The form scan: one body, run by a Scan over the chunks; an uneven rest is written out behind it.

    x [1, 4096, 768] -Reshape-> [32, 1, 128, 768] -Scan-> [32, 1, 128, 768] -Reshape-> [1, 4096, 768]

Scan hands views of its inputs to the body and lets the body write into the output, so nothing is copied when
the cut axis is outermost. Any other input is copied inside the body, chunk by chunk, at a number or a start
that Scan hands in; any other output is transposed afterwards. Weights are captured, packed once, and no copy
of the body costs time to load. Source: onnxruntime/core/providers/cpu/controlflow/scan_utils.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..graph.numbers import OPEN, open_shape
from ..plan.plan import PlannedRegion
from ..plan.price import is_block, is_view
from ..plan.region import Cut, in_front
from ..plan.setting import dynamic_inside, make_setting, part_label
from .body import Nest, Patched, Piece, Weaving, copy_ops, patched_operand
from .calls import Member, chunk_calls, members
from .scope import Scope, Shape, shape_of
from .unroll import concat, emit_chunk


def emit_scan(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """Write a region as a Scan; the whole outputs by their old names."""
    chunking, outputs = planned.chunking, planned.region.outputs
    inside = members(weaving.graph, planned.region, weaving.rules)
    stacked = _scan(weaving, scope, planned, inside)
    whole = {cut.value: _unstack(weaving, scope, planned, cut, value) for cut, value in stacked.items()}
    if not chunking.tail:
        return whole
    before = len(scope.nodes)
    rest = emit_chunk(weaving, scope, planned, inside, chunking.bounds[-1], chunking.count)
    scope.tail = tuple(scope.nodes[before:])
    return {
        cut.value: concat(weaving, scope, planned, at, [whole[cut.value], rest[cut.value]])
        for at, cut in enumerate(outputs)
    }


@dataclass(slots=True)
class Loop:
    """A Scan being made.

    Attributes:
        scope: the graph around the Scan.
        body: the graph that it runs.
        feeds: what the Scan reads and what the body sees of it, in pairs.
    """

    weaving: Weaving
    planned: PlannedRegion
    scope: Scope
    body: Scope
    feeds: list[tuple[ir.Value, ir.Value]] = field(default_factory=list)
    _tables: dict[ir.Value, ir.Value] = field(default_factory=dict)

    def chunk(self, cut: Cut) -> ir.Value:
        """A chunk of an input, as the body sees it."""
        known = self.weaving.graph, cut, not self.planned.chunking.tail, self.weaving.provider
        if is_view(*known):
            return self._view(cut)
        return self._block(cut) if is_block(*known) else self._slice(cut)

    def _view(self, cut: Cut) -> ir.Value:
        """Handed to the body as a view of the input."""
        value, shape = self.weaving.values[cut.value], self._chunk_shape(cut)
        seen = self.body.value(f"{cut.value}/slice", value.dtype, shape)
        stack = (self.planned.chunking.count, *shape)
        self.feeds.append((self._reshape(value, stack, f"{cut.value}/chunks"), seen))
        return seen

    def _reshape(self, value: ir.Value, shape: Shape, label: str) -> ir.Value:
        if self.weaving.apart is None:
            return self.scope.reshape(value, shape, label)
        return self.weaving.apart.view(self.scope, value, shape, label)

    def _block(self, cut: Cut) -> ir.Value:
        """Picked by the body out of a view of the input that has an axis of chunks: all threads copy."""
        value, axis, count = self.weaving.values[cut.value], cut.position.axis, self.planned.chunking.count
        shape = self._chunk_shape(cut)
        blocks = self.scope.reshape(value, (*shape[:axis], count, *shape[axis:]), f"{cut.value}/chunks")
        number = self._handed(np.arange(count, dtype=np.int64), "number")
        picked = self.body.value(f"{cut.value}/slice", value.dtype, shape)
        return self.body.call("Gather", [blocks, number], picked, {"axis": axis})

    def _slice(self, cut: Cut) -> ir.Value:
        """Sliced by the body between bounds that are handed to it.

        A Scan hands in what lies on the GPU, where Slice wants its bounds on the CPU and Gather its indices
        on the GPU: for CUDA the indices are handed in, and no iteration waits for a copy.
        """
        value, axis = self.weaving.values[cut.value], cut.position.axis
        result = self.body.value(f"{cut.value}/slice", value.dtype, self._chunk_shape(cut))
        if self.weaving.provider == "cuda":
            return self.body.call("Gather", [value, self._indices(cut.position.unit)], result, {"axis": axis})
        start, end = self.bounds(cut.position.unit)
        return self.body.call("Slice", [value, start, end, self.body.constant([axis])], result)

    def _indices(self, unit: int) -> ir.Value:
        """Where the steps of a chunk lie along an axis with steps of `unit`, as the body sees it."""
        count, length = self.planned.chunking.count, self.planned.chunking.length * unit
        return self._handed(np.arange(count * length, dtype=np.int64).reshape(count, length), "indices")

    def bounds(self, unit: int) -> tuple[ir.Value, ir.Value]:
        """Where a chunk starts and ends along an axis with steps of `unit`, as the body sees it."""
        length = self.planned.chunking.length * unit
        starts = np.arange(self.planned.chunking.count, dtype=np.int64)[:, None] * length
        return self._handed(starts, "start"), self._handed(starts + length, "end")

    def patched(self, inside: tuple[Member, ...]) -> Patched:
        """Patched operands: constants of the body when all chunks agree, else handed in."""
        region, bounds = self.planned.region, self.planned.chunking.bounds[: self.planned.chunking.count]
        patches = any(member.step.factor and member.step.factor.patches for member in inside)
        chunks = [chunk_calls(self.weaving.graph, region, inside, *b) for b in bounds if patches]

        def value(index: int, operand: int) -> ir.Value:
            every = np.stack([patched_operand(self.weaving, chunk, index, operand) for chunk in chunks])
            same = (every == every[0]).all()
            return self.body.constant(every[0]) if same else self._handed(every, "patched")

        return value

    def _handed(self, table: NDArray[np.generic], label: str) -> ir.Value:
        """A row of a table for each chunk."""
        rows = self.scope.constant(table)
        if rows not in self._tables:
            self._tables[rows] = self.body.value(label, rows.dtype, table.shape[1:])
            read = rows if self.weaving.apart is None else self._reshape(rows, table.shape, label)
            self.feeds.append((read, self._tables[rows]))
        return self._tables[rows]

    def _chunk_shape(self, cut: Cut) -> tuple[int, ...]:
        return cut.position.sliced_shape(self.weaving.shape(cut.value), self.planned.chunking.length)


def _scan(
    weaving: Weaving, scope: Scope, planned: PlannedRegion, inside: tuple[Member, ...]
) -> dict[Cut, ir.Value]:
    """The Scan node; its stacked outputs `(count, *chunk shape)`."""
    region, chunking = planned.region, planned.chunking
    body = Scope(f"{scope.prefix}/body", scope.names)
    loop = Loop(weaving, planned, scope, body)
    slices = {cut: loop.chunk(cut) for cut in region.sliced}
    if not loop.feeds:
        loop.bounds(1)
    first = chunk_calls(weaving.graph, region, inside, 0, chunking.length)
    made = copy_ops(weaving, body, region, inside, first, slices, loop.patched(inside))
    results = [made[cut.value].value for cut in region.outputs]
    outputs = [
        scope.value(f"{cut.value}/stacked", value.dtype, (chunking.count, *shape_of(value)))
        for cut, value in zip(region.outputs, results, strict=True)
    ]
    if weaving.apart is not None:
        for value in outputs:
            value.meta[OPEN] = None, *shape_of(value)[1:]
    reads, seen = zip(*loop.feeds, strict=True)
    inner = scope.scan(body, seen, results, reads, outputs)
    if planned.nested is not None:
        weaving.nests.append(Nest(within(weaving, planned, inner, slices, made), planned.nested, body))
    return dict(zip(region.outputs, outputs, strict=True))


def within(
    weaving: Weaving,
    planned: PlannedRegion,
    home: ir.Graph,
    slices: Mapping[Cut, ir.Value],
    made: Mapping[str, Piece],
    length: ir.Value | None = None,
) -> Weaving:
    """The body as a graph to be rewritten, for the loops inside it.

    Args:
        weaving: the graph around it.
        planned: the region whose body it is.
        home: its nodes.
        slices: what stands for each sliced input.
        made: likewise for each result.
        length: of a chunk, where sizes are open.
    """
    assert planned.nested is not None, "only for regions with loops inside"
    body = planned.nested.body
    values = {name: weaving.values[name] for name in body.graph.values if name in weaving.values}
    values |= {name: slices[cut] for cut, name in body.slices.items()}
    values |= {name: piece.value for name, piece in made.items()}
    nodes = []
    for op in body.graph.ops:
        node = values[next(name for name in op.outputs if name)].producer()
        assert node is not None, "ops of a region are copied as nodes"
        values |= {
            name: value for name, value in zip(op.inputs, node.inputs, strict=False) if value is not None
        }
        nodes.append(node)
    dynamic, numbers = None, None
    if weaving.numbers is not None and length is not None:
        around, steps = weaving.numbers.dynamic, planned.chunking.length
        dynamic = dynamic_inside(around, weaving.rules, planned.region, body, steps)
        assert dynamic is not None, "planned for every size"
        numbers = weaving.numbers.inside(dynamic, part_label(around, planned.region, steps), length)
    rules = make_setting(body.graph, dynamic=dynamic).rules
    return Weaving(
        home,
        body.graph,
        rules,
        nodes,
        values,
        provider=weaving.provider,
        numbers=numbers,
        apart=weaving.apart,
    )


def _unstack(weaving: Weaving, scope: Scope, planned: PlannedRegion, cut: Cut, stacked: ir.Value) -> ir.Value:
    """`(count, ..., length, ...)` -> `(..., count * length, ...)`: free when the axis is outermost."""
    axis, chunking = cut.position.axis, planned.chunking
    whole = cut.position.sliced_shape(weaving.shape(cut.value), chunking.length * chunking.count)
    if not in_front(weaving.graph.values[cut.value], cut.position):
        shape = shape_of(stacked)
        order = (*range(1, axis + 1), 0, *range(axis + 1, len(shape)))
        turned = scope.value(f"{cut.value}/turned", stacked.dtype, [shape[a] for a in order])
        if (dims := open_shape(stacked)) is not None:
            turned.meta[OPEN] = tuple(dims[a] for a in order)
        stacked = scope.call("Transpose", [stacked], turned, {"perm": order})
    return scope.reshape(stacked, whole, cut.value)
