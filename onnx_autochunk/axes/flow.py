"""Carry one cut axis across an op, whatever the op is.

A chunked flow sits at a `Position` of a value. `carry` finds the factor that the flow nests in and says where
the flow sits in every other operand and result, or refuses and says why:

    x [1, 5, 12*64] at Position(2, 1, 12, 64)  --Reshape-->  [1, 5, 12, 64] at Position(2, 1, 12, 1)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from onnx_autochunk.axes.factor import Factor, Mark, Place, Rule

Shape = tuple[int, ...]
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a flow of `extent` steps lies in a value: `shape[axis] == outer * extent * unit`.

    Attributes:
        before: how many elements in front of a chunk are read with it.
        after: how many elements behind it; negative where windows have gaps between them. With either, what a
            chunk reads is clipped to the axis, whose size need not be a multiple of the unit.
    """

    axis: int
    outer: int
    extent: int
    unit: int
    before: int = 0
    after: int = 0

    @classmethod
    def whole(cls, shape: Shape, axis: int) -> Position:
        """The flow over all of one axis."""
        return cls(axis, 1, shape[axis], 1)

    @property
    def sliceable(self) -> bool:
        """True when a chunk is one contiguous range of the axis: the value can be sliced and concatenated."""
        return self.outer == 1

    @property
    def has_halo(self) -> bool:
        """True when chunks read more, or less, than their own steps."""
        return self.before != 0 or self.after != 0

    def coarser(self, times: int) -> Position | None:
        """The same flow in steps so many times as long; None where they do not divide it."""
        if self.extent % times or self.extent == times:
            return None
        return replace(self, extent=self.extent // times, unit=self.unit * times)

    @property
    def core(self) -> Position:
        """The same flow without its halo."""
        return replace(self, before=0, after=0)

    def hull(self, other: Position) -> Position | None:
        """The flow that covers both, if they differ in their halos only."""
        if self.core != other.core:
            return None
        before, after = max(self.before, other.before), max(self.after, other.after)
        return replace(self, before=before, after=after)

    def fits(self, shape: Shape) -> bool:
        """True when the value of this shape has the flow there."""
        return self.axis < len(shape) and shape[self.axis] == self.outer * self.extent * self.unit

    def range(self, start: int, stop: int, shape: Shape) -> Range:
        """Steps [start, stop) in elements of the axis; of each outer repetition where there are any."""
        low, high = start * self.unit - self.before, stop * self.unit + self.after
        size = shape[self.axis] // self.outer
        return min(max(low, 0), size), max(min(high, size), 0)

    def resized(self, shape: Shape, elements: int) -> Shape:
        """The value's shape with so many elements along the axis, in each outer repetition."""
        return (*shape[: self.axis], self.outer * elements, *shape[self.axis + 1 :])

    def sliced_shape(self, shape: Shape, length: int) -> Shape:
        """The value's shape in a chunk of `length` steps that is nowhere clipped."""
        elements = length * self.unit + self.before + self.after
        return self.resized(shape, min(elements, shape[self.axis] // self.outer))


@dataclass(frozen=True, slots=True)
class Step:
    """A flow on the other side of an op; None where the operand is read whole or the result lacks the flow.

    Attributes:
        mark: MAP, or how the partial results of the chunks combine (SUM, MAX, MIN).
        factor: the factor that the flow is a part of.
    """

    operands: tuple[Position | None, ...]
    results: tuple[Position | None, ...]
    mark: Mark = Mark.MAP
    factor: Factor | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a flow does not pass.

    Attributes:
        instead: a coarser flow in the same value that does meet a factor (fewer, longer steps), or None.
    """

    reason: str
    instead: Position | None = None


def carry(
    rule: Rule, *, position: Position, operand: int | None = None, result: int | None = None
) -> Step | Refusal:
    """Carry a flow that lies at `position` of one operand or one result across the op."""
    if rule.barrier is not None:
        return Refusal(rule.barrier)
    for factor in rule.factors:
        place = _place(factor, operand, result)
        if place is not None and place.axis == position.axis and _nests(position, place, factor.extent):
            where = f"axis {position.axis} of {_side(operand, result)}"
            if factor.mark is Mark.WHOLE:
                return Refusal(f"needs all of {where} (factor {factor.name})")
            if position.has_halo and factor.mark is not Mark.MAP:
                return Refusal(f"partial results over {where} would count elements twice")
            if position.outer != place.outer and _counts(factor):
                return Refusal(f"{where} is counted from its start (factor {factor.name})")
            return _step(factor, place, position)
    return _refuse(rule, position, operand, result)


def positions(rule: Rule, *, operand: int | None = None, result: int | None = None) -> tuple[Position, ...]:
    """Every place of one operand or result where a flow can start: sliceable and not needed whole."""
    found = ((_place(factor, operand, result), factor) for factor in rule.factors)
    return tuple(
        Position(place.axis, 1, factor.extent, place.unit)
        for place, factor in found
        if place is not None and place.sliceable and not place.window and factor.mark is not Mark.WHOLE
    )


def _place(factor: Factor, operand: int | None, result: int | None) -> Place | None:
    if operand is not None:
        return factor.operands[operand]
    assert result is not None, "carry needs operand= or result="
    return factor.results[result]


def _nests(position: Position, place: Place, extent: int) -> bool:
    """True when the flow is a part of the factor: outer steps, the flow and inner steps fill it exactly.

    With a halo, it is enough that chunks begin where steps of the factor do; through a window a flow is only
    followed from the results.
    """
    if place.window:
        return False
    if position.has_halo:
        return place.outer == 1 and position.unit % place.unit == 0
    return (
        position.outer % place.outer == 0
        and position.unit % place.unit == 0
        and position.outer * position.extent * position.unit == place.outer * extent * place.unit
    )


def _counts(factor: Factor) -> bool:
    """True when a chunk must be one range of the factor's steps, because their numbers matter."""
    windowed = any(place.window for place in factor.operands if place)
    return windowed or factor.crop or bool(factor.patches)


def _step(factor: Factor, place: Place, position: Position) -> Step:
    """Translate the flow into steps of the factor, halos rounded outwards, and from there to every place."""
    inner = Position(
        axis=0,
        outer=position.outer // place.outer,
        extent=position.extent,
        unit=position.unit // place.unit,
        before=-(-position.before // place.unit),
        after=-(-position.after // place.unit),
    )
    operands, results = (
        tuple([None if to is None else _placed(inner, to) for to in places])
        for places in (factor.operands, factor.results)
    )
    return Step(operands, results, factor.mark, factor)


def _placed(inner: Position, to: Place) -> Position:
    if window := to.window:
        before, after = inner.before * window.step + window.before, inner.after * window.step + window.after
        return Position(to.axis, 1, inner.extent, inner.unit * window.step, before, after)
    return Position(
        to.axis, to.outer * inner.outer, inner.extent, to.unit * inner.unit,
        inner.before * to.unit, inner.after * to.unit,
    )  # fmt: skip


def _refuse(rule: Rule, position: Position, operand: int | None, result: int | None) -> Refusal:
    """Say which factors the flow spans, and offer the part of it that lies in the first of them."""
    where = f"axis {position.axis} of {_side(operand, result)}"
    spanned = [
        (place, factor)
        for factor in rule.factors
        if (place := _place(factor, operand, result)) and _overlaps(position, place, factor.extent)
    ]
    if not spanned:
        return Refusal(f"no factor lies on {where}")
    if seen := next((factor.name for place, factor in spanned if place.window), None):
        return Refusal(f"{where} is seen through windows: a flow comes from the result (factor {seen})")
    spanned.sort(key=lambda pair: pair[0].outer)
    names = " ".join(f"{factor.name}={factor.extent}" for _, factor in spanned)
    reason = f"the {position.extent} steps along {where} are not inside one factor of {names}"
    return Refusal(reason, _major(*spanned[0], position))


def _overlaps(position: Position, place: Place, extent: int) -> bool:
    end = position.outer * position.extent
    return place.axis == position.axis and place.outer < end and position.outer < place.outer * extent


def _major(place: Place, factor: Factor, position: Position) -> Position | None:
    """The flow cut down to its steps inside its first factor, each step as long as all the rest."""
    extent, left = divmod(place.outer * factor.extent, position.outer)
    if left or position.outer % place.outer or position.extent % extent or factor.mark is Mark.WHOLE:
        return None
    unit = position.unit * (position.extent // extent)
    return None if extent == position.extent else replace(position, extent=extent, unit=unit)


def _side(operand: int | None, result: int | None) -> str:
    return f"operand {operand}" if operand is not None else f"result {result}"
