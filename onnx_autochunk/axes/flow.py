"""Carry one cut axis across an op, whatever the op is.

A chunked flow sits at a `Position` of a value. `carry` finds the factor that the flow nests in and says where
the flow sits in every other operand and result, or refuses and says why:

    x [1, 5, 12*64] at Position(2, 1, 12, 64)  --Reshape-->  [1, 5, 12, 64] at Position(2, 1, 12, 1)
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx_autochunk.axes.factor import Factor, Mark, Place, Rule

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a flow of `extent` steps lies in a value: `shape[axis] == outer * extent * unit`."""

    axis: int
    outer: int
    extent: int
    unit: int

    @classmethod
    def whole(cls, shape: Shape, axis: int) -> Position:
        """The flow over all of one axis."""
        return cls(axis, 1, shape[axis], 1)

    @property
    def sliceable(self) -> bool:
        """True when a chunk is one contiguous range of the axis: the value can be sliced and concatenated."""
        return self.outer == 1

    def fits(self, shape: Shape) -> bool:
        """True when the value of this shape has the flow there."""
        return self.axis < len(shape) and shape[self.axis] == self.outer * self.extent * self.unit

    def sliced_shape(self, shape: Shape, length: int) -> Shape:
        """The value's shape in a chunk of `length` steps."""
        return (*shape[: self.axis], self.outer * length * self.unit, *shape[self.axis + 1 :])


@dataclass(frozen=True, slots=True)
class Step:
    """A flow on the other side of an op; None where the operand is read whole or the result lacks the flow.

    Attributes:
        mark: MAP, or how the partial results of the chunks combine (SUM, MAX, MIN).
    """

    operands: tuple[Position | None, ...]
    results: tuple[Position | None, ...]
    mark: Mark = Mark.MAP


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
            if factor.mark is Mark.WHOLE:
                where = f"axis {position.axis} of {_side(operand, result)}"
                return Refusal(f"needs all of {where} (factor {factor.name})")
            return _step(factor, place, position)
    return _refuse(rule, position, operand, result)


def positions(rule: Rule, *, operand: int | None = None, result: int | None = None) -> tuple[Position, ...]:
    """Every place of one operand or result where a flow can start: sliceable and not needed whole."""
    found = ((_place(factor, operand, result), factor) for factor in rule.factors)
    return tuple(
        Position(place.axis, 1, factor.extent, place.unit)
        for place, factor in found
        if place is not None and place.sliceable and factor.mark is not Mark.WHOLE
    )


def _place(factor: Factor, operand: int | None, result: int | None) -> Place | None:
    if operand is not None:
        return factor.operands[operand]
    assert result is not None, "carry needs operand= or result="
    return factor.results[result]


def _nests(position: Position, place: Place, extent: int) -> bool:
    """True when the flow is a part of the factor: outer steps, the flow and inner steps fill it exactly."""
    return (
        position.outer % place.outer == 0
        and position.unit % place.unit == 0
        and position.outer * position.extent * position.unit == place.outer * extent * place.unit
    )


def _step(factor: Factor, place: Place, position: Position) -> Step:
    outer, unit, extent = position.outer // place.outer, position.unit // place.unit, position.extent
    operands, results = (
        tuple(
            [
                None if to is None else Position(to.axis, to.outer * outer, extent, to.unit * unit)
                for to in places
            ]
        )
        for places in (factor.operands, factor.results)
    )
    return Step(operands, results, factor.mark)


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
    return None if extent == position.extent else Position(position.axis, position.outer, extent, unit)


def _side(operand: int | None, result: int | None) -> str:
    return f"operand {operand}" if operand is not None else f"result {result}"
