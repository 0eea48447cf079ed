"""What a rule does not let pass, tried all the same.

Candidates are the factors that a rule needs whole, and every set of equally long axes on which no factor
passes: one axis, or none, of each operand, mapped to one axis of every result, or combined where no result
has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from onnx_autochunk.axes import Factor, Mark, Place, Position, Rule, Step, carry
from onnx_autochunk.axes.fit import Shape
from tests.axes.oracle import Array, Case, Run, assert_step, chunks, rule_of

Shapes = Sequence[Shape | None]
Axes = tuple[int | None, ...]  # one axis, or none, of each operand or result
Attempt = tuple[str, Rule]  # what is cut, and a rule that lets nothing else pass
COMBINING = (Mark.SUM, Mark.MAX, Mark.MIN)


def attempts(case: Case, whole: Sequence[Array]) -> list[Attempt]:
    """Every cut of a case that its rule does not let pass."""
    if any(array.size == 0 for array in whole):
        return []
    rule = rule_of(case, whole)
    shapes = shapes_of(case, whole)
    found: dict[Factor, str] = {}
    for what, factor in (*_needed_whole(rule, shapes[1]), *_free_axes(rule, *shapes)):
        found.setdefault(replace(factor, name=""), what)
    return [(what, replace(rule, factors=(factor,), barrier=None)) for factor, what in found.items()]


def holds(case: Case, run: Run, rule: Rule, whole: Sequence[Array]) -> bool:
    """True when the rule's one factor is right; partial results must be partial."""
    (factor,) = rule.factors
    try:
        step = _step(rule, factor)
        assert_step(case, run, rule, step, whole)
        if step.mark is Mark.MAP:
            return True
        parts = [run(chunk.operands) for chunk in chunks(case, rule, step, whole)]
    except Exception:  # a wrong cut may fail in any way
        return False
    return not any(all(map(_equal, part, whole)) for part in parts)


def _equal(found: Array, expected: Array) -> bool:
    return found.shape == expected.shape and bool(np.all(found == expected))


def shapes_of(case: Case, whole: Sequence[Array]) -> tuple[Shapes, Shapes]:
    """Shapes of operands and results; None where one is absent."""
    given = iter(whole)
    results = [next(given).shape if flag == "1" else None for flag in case.outputs]
    return [None if array is None else array.shape for array in case.operands], results


def _step(rule: Rule, factor: Factor) -> Step:
    """The flow over all of a factor."""
    sides = [("result", i, p) for i, p in enumerate(factor.results) if p]
    sides += [("operand", i, p) for i, p in enumerate(factor.operands) if p]
    side, index, place = sides[0]
    position = Position(place.axis, place.outer, factor.extent, place.unit)
    step = carry(rule, position=position, **{side: index})
    assert isinstance(step, Step)
    return step


def _needed_whole(rule: Rule, results: Shapes) -> Iterator[tuple[str, Factor]]:
    """Whole factors, mapped where every result has them and combined where none has."""
    for factor in rule.factors:
        if factor.mark is Mark.WHOLE:
            given = [place for place, shape in zip(factor.results, results, strict=True) if shape is not None]
            cuts = any(factor.operands) or any(factor.results[result] for result in rule.sizes.values())
            for mark in _marks(given) if cuts else ():
                yield f"{factor.name}{mark.value}", replace(factor, mark=mark)


def _marks(given: Iterable[object]) -> tuple[Mark, ...]:
    there = list(given)
    return COMBINING if not any(there) else (Mark.MAP,) if all(there) else ()


def _free_axes(rule: Rule, operands: Shapes, results: Shapes) -> Iterator[tuple[str, Factor]]:
    """Equally long axes of different operands and results on which no factor passes."""
    free = [_free(rule, i, shape, True) for i, shape in enumerate(operands)]
    made = [_free(rule, i, shape, False) for i, shape in enumerate(results)]
    for extent in sorted({size for axes in (*free, *made) for size in axes.values()}):
        for chosen, to in product(_choices(free, extent), _choices(made, extent)):
            places, goals = _places(chosen), _places(to)
            given = [place for place, shape in zip(goals, results, strict=True) if shape is not None]
            spelled = any(goals[result] for result in rule.sizes.values())
            if any(places) or spelled:
                for mark in _marks(given):
                    factor = Factor("x", extent, places, goals, mark)
                    yield f"{_written(chosen)} -> {_written(to)}{mark.value}", factor


def _free(rule: Rule, index: int, shape: Shape | None, is_operand: bool) -> dict[int, int]:
    """{axis: size} of the axes of one operand or result on which no factor passes."""
    passing = [factor for factor in rule.factors if factor.mark is not Mark.WHOLE]
    places = [(factor.operands if is_operand else factor.results)[index] for factor in passing]
    claimed = {place.axis for place in places if place}
    return {axis: size for axis, size in enumerate(shape or ()) if size > 1 and axis not in claimed}


def _choices(free: Sequence[dict[int, int]], extent: int) -> list[Axes]:
    return list(product(*([None, *(a for a, size in axes.items() if size == extent)] for axes in free)))


def _places(axes: Axes) -> tuple[Place | None, ...]:
    return tuple(None if axis is None else Place(axis) for axis in axes)


def _written(axes: Axes) -> str:
    """`1, ()`: axis 1 of the first, none of the second."""
    return ", ".join("()" if axis is None else str(axis) for axis in axes)
