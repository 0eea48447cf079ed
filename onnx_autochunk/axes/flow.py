"""Carry one cut axis across an op, whatever the op is.

A chunked flow sits at a `Position` of a value. `carry` finds the factor that the flow nests in and says where the flow
sits in every other operand and result, or refuses and says why:

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
        """True when a chunk is one contiguous range of the axis, so that the value can be sliced and concatenated."""
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
        instead: a coarser flow in the same value that does meet a factor (fewer, longer steps); None if there is none.
    """

    reason: str
    instead: Position | None = None


def carry(rule: Rule, *, position: Position, operand: int | None = None, result: int | None = None) -> Step | Refusal:
    """Carry a flow that lies at `position` of one operand or one result across the op."""
    if rule.barrier is not None:
        return Refusal(rule.barrier)
    for factor in rule.factors:
        place = _place(factor, operand, result)
        if place is not None and place.axis == position.axis and _nests(position, place, factor.extent):
            if factor.mark is Mark.WHOLE:
                return Refusal(f"needs all of axis {position.axis} of {_side(operand, result)} (factor {factor.name})")
            return _step(factor, place, position)
    return _refuse(rule, position, operand, result)


def positions(rule: Rule, *, operand: int | None = None, result: int | None = None) -> tuple[Position, ...]:
    """Every place of one operand or result where a flow can start: sliceable and not needed whole."""
    found = ((_place(factor, operand, result), factor) for factor in rule.factors if factor.mark is not Mark.WHOLE)
    return tuple(
        Position(place.axis, 1, factor.extent, place.unit)
        for place, factor in found
        if place is not None and place.sliceable
    )


def _place(factor: Factor, operand: int | None, result: int | None) -> Place | None:
    if operand is not None:
        return factor.operands[operand]
    assert result is not None, "carry needs operand= or result="
    return factor.results[result]


def _nests(position: Position, place: Place, extent: int) -> bool:
    """True when the flow is a part of the factor: outer steps, then the flow, then inner steps fill the factor exactly."""
    outer, left = divmod(position.outer, place.outer)
    unit, right = divmod(position.unit, place.unit)
    return not left and not right and outer * position.extent * unit == extent


def _step(factor: Factor, place: Place, position: Position) -> Step:
    outer, unit, extent = position.outer // place.outer, position.unit // place.unit, position.extent

    def moved(to: Place | None) -> Position | None:
        return None if to is None else Position(to.axis, to.outer * outer, extent, to.unit * unit)

    return Step(tuple(map(moved, factor.operands)), tuple(map(moved, factor.results)), factor.mark)


def _refuse(rule: Rule, position: Position, operand: int | None, result: int | None) -> Refusal:
    """Say which factors the flow spans, and offer the part of it that lies in the first of them."""
    side = _side(operand, result)
    start, end = position.outer, position.outer * position.extent
    spanned: list[tuple[Place, Factor]] = []
    for factor in rule.factors:
        place = _place(factor, operand, result)
        if place is not None and place.axis == position.axis and place.outer < end and start < place.outer * factor.extent:
            spanned.append((place, factor))
    if not spanned:
        return Refusal(f"no factor lies on axis {position.axis} of {side}")
    spanned.sort(key=lambda pair: pair[0].outer)
    names = " ".join(f"{factor.name}={factor.extent}" for _, factor in spanned)
    reason = f"axis {position.axis} of {side} is made of the factors {names}: {position.extent} steps span more than one"
    return Refusal(reason, _major(*spanned[0], position))


def _major(place: Place, factor: Factor, position: Position) -> Position | None:
    """The flow cut down to its steps inside its first factor, each step as long as all the rest."""
    extent, left = divmod(place.outer * factor.extent, position.outer)
    longer, right = divmod(position.extent, extent) if extent else (0, 1)
    if left or right or extent < 2 or longer < 2 or factor.mark is Mark.WHOLE:
        return None
    return Position(position.axis, position.outer, extent, position.unit * longer)


def _side(operand: int | None, result: int | None) -> str:
    return f"operand {operand}" if operand is not None else f"result {result}"

