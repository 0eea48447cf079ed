"""The chunks of a region where sizes are open: how many, where each starts, and where each step ends up.

    length 128, tokens 300 -> starts 0, 128, 172;  rows 0 .. 255 of the first two, 212 .. 255 of the last

The length stays as planned, so that what a chunk holds does not grow with the input; a shorter input is one
short chunk, and an empty one a chunk of nothing, because a Scan has to run once. The last chunk begins where
it ends with the axis, and computes some steps again: nothing is padded, and all chunks are alike. Everything
is computed once, in the main graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..graph.dynamic import Size, quotient, times
from ..graph.numbers import OPEN, Dim, Extent, Numbers
from ..plan.plan import PlannedRegion
from ..plan.region import Cut
from ..plan.setting import part_label
from ..plan.steady import steps_of
from .body import Weaving


@dataclass(frozen=True)
class Chunks:
    """The chunks of one region.

    Attributes:
        steps: of the flow.
        axis: the axis of the chunks.
        most: steps of the longest chunk, as planned.
        label: what a shape says of the length of one.
        count: how many there are, a vector of one.
        length: of a chunk in steps, likewise.
        starts: the step at which each chunk starts, `(count,)`.
    """

    numbers: Numbers
    steps: Size
    axis: Extent
    most: int
    label: str
    count: ir.Value
    length: ir.Value
    starts: ir.Value

    @classmethod
    def of(cls, weaving: Weaving, planned: PlannedRegion) -> Chunks:
        """Write down what all chunks have in common."""
        numbers, most = weaving.numbers, planned.chunking.length
        assert numbers is not None, "sizes are open"
        steps = steps_of(planned.region, numbers.dynamic)
        assert steps is not None, "planned for every size"
        name, total, wished = numbers.dynamic.label(steps), numbers.size(steps), numbers.constant([most])
        axis = Extent(planned.chunking.total, f"ceil({name}/{most})")
        length = numbers.call("Min", [total, wished], (1,), "length")
        above = numbers.call("Add", [total, numbers.constant([most - 1])], (1,), "above")
        full = numbers.call("Div", [above, wished], (1,), "full")
        count = numbers.call("Max", [full, numbers.constant([1])], (1,), "count")
        regular = numbers.call("Mul", [numbers.range(count, axis), length], (axis,), "regular")
        last = numbers.call("Sub", [total, length], (1,), "last")
        starts = numbers.call("Min", [regular, last], (axis,), "starts")
        label = part_label(numbers.dynamic, planned.region, most)
        return cls(numbers, steps, axis, most, label, count, length, starts)

    def bounds(self, unit: Size) -> tuple[ir.Value, ir.Value]:
        """Where each chunk starts and ends along an axis with steps of `unit`, `(count, 1)` both."""
        call, shape = self.numbers.call, (self.axis, 1)
        starts = call("Unsqueeze", [self.starts, self.numbers.constant([1])], shape, "starts")
        ends = call("Add", [starts, self.length], shape, "ends")
        if set(unit) == {1}:
            return starts, ends
        size = self.numbers.size(unit)
        return call("Mul", [starts, size], shape, "starts"), call("Mul", [ends, size], shape, "ends")

    def indices(self, unit: Size) -> ir.Value:
        """Where the elements of each chunk lie along an axis with steps of `unit`, `(count, elements)`."""
        (starts, _), inside = self.bounds(unit), Extent(self.most * unit[0], self._label(unit))
        elements = self.numbers.range(self._elements(unit), inside)
        return self.numbers.call("Add", [starts, elements], (self.axis, inside), "indices")

    def unit(self, cut: Cut) -> Size:
        """Elements of the cut axis in one step, in all repetitions together."""
        unit = quotient(self.sizes(cut)[cut.position.axis], self.steps)
        assert unit is not None, "planned for every size"
        return unit

    def sizes(self, cut: Cut) -> tuple[Size, ...]:
        """Those of the whole value."""
        sizes = self.numbers.dynamic.sizes(cut.value)
        assert sizes is not None, "planned for every size"
        return sizes

    def declare(self, value: ir.Value, cut: Cut) -> None:
        """As `body.Sizes` has it."""
        dims: list[Dim] = list(map(self.numbers.dynamic.label, self.sizes(cut)))
        dims[cut.position.axis] = self._label(self.unit(cut))
        value.meta[OPEN] = tuple(dims)

    def _label(self, unit: Size) -> str:
        return self.label if set(unit) == {1} else f"{self.numbers.dynamic.label(unit)}*{self.label}"

    def spelled(self, cut: Cut) -> ir.Value:
        """As `body.Sizes` has it."""
        entries: list[Size | ir.Value] = [*self.sizes(cut)]
        entries[cut.position.axis] = self._elements(self.unit(cut))
        return self.numbers.vector(entries)

    def _elements(self, unit: Size) -> ir.Value:
        """Of a chunk."""
        if set(unit) == {1}:
            return self.length
        return self.numbers.call("Mul", [self.length, self.numbers.size(unit)], (1,), "elements")

    def every(self, before: Sequence[Size]) -> ir.Value:
        """How many rows there are in `(count, *before, length)`."""
        rows = self._elements(times((1,) * len(self.steps), *before))
        return self.numbers.call("Mul", [self.count, rows], (1,), "every")

    def rows(self, before: Sequence[Size]) -> ir.Value:
        """For every step its row in what the chunks gave, `(*before, steps)`.

        The rows are those of `(count, *before, length)`. Of a step in two chunks the earlier one's is taken.
        """
        numbers, call = self.numbers, self.numbers.call
        steps, repeats = numbers.extent(self.steps), times((1,) * len(self.steps), *before)
        step = numbers.range(numbers.size(self.steps), steps)
        chunk = call("Div", [step, numbers.constant([self.most])], (steps,), "chunk")
        start = call("Gather", [self.starts, chunk], (steps,), "start")
        inside = call("Sub", [step, start], (steps,), "inside")
        first = call("Mul", [chunk, self._elements(repeats)], (steps,), "first")
        row = call("Add", [first, inside], (steps,), "row")
        if not before:
            return row
        many = numbers.extent(repeats)
        offsets = call("Mul", [numbers.range(numbers.size(repeats), many), self.length], (many,), "offsets")
        column = call("Unsqueeze", [offsets, numbers.constant([1])], (many, 1), "offsets")
        rows = call("Add", [column, row], (many, steps), "rows")
        if len(before) == 1:
            return rows
        shape = (*map(numbers.extent, before), steps)
        return call("Reshape", [rows, numbers.vector([*before, self.steps])], shape, "rows")
