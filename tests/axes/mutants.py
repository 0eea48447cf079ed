"""Small mistakes in a bound rule: each mutant is the rule with one thing that an author might get wrong.

Only mistakes that could be made are listed: those that `registry` refuses before any op is run are left out,
and so are places on axes of another size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from onnx_autochunk.axes import Factor, Linear, Mark, Patch, Place, Rule, Window
from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Node, _check
from onnx_autochunk.errors import RuleError

Shapes = Sequence[Shape | None]
Places = tuple[Place | None, ...]


@dataclass(frozen=True)
class Mutant:
    """A mistake, and the factors of the rule that it changed."""

    what: str
    factors: tuple[Factor, ...]
    rule: Rule


def mutants(rule: Rule, node: Node) -> Iterator[Mutant]:
    """Every mistake in the rule of one node."""
    for factor in rule.factors:
        found = _marks(factor) if factor.mark is Mark.WHOLE else _changed(factor, node.operands, node.results)
        for what, mutant in found:
            made = replace(rule, factors=tuple(mutant if f is factor else f for f in rule.factors))
            if mutant != factor and _is_accepted(replace(rule, factors=(mutant,)), node):
                yield Mutant(f"{factor.name}: {what}", (mutant,), made)
        for operand, result in rule.sizes.items():
            if factor.results[result] and factor.mark is Mark.MAP:
                kept = {o: r for o, r in rule.sizes.items() if o != operand}
                what = f"{factor.name}: operand {operand} is not rewritten"
                yield Mutant(what, (factor,), replace(rule, sizes=kept))
    yield from _swapped(rule)


def _is_accepted(rule: Rule, node: Node) -> bool:
    """What the registry demands of a rule, and that partial results have parts of something."""
    try:
        _check(rule, node)
    except RuleError:
        return False
    return all(factor.mark is Mark.MAP or any(factor.operands) for factor in rule.factors)


def _changed(factor: Factor, operands: Shapes, results: Shapes) -> Iterator[tuple[str, Factor]]:
    yield from _marks(factor)
    for side, shapes in (("operands", operands), ("results", results)):
        places: Places = getattr(factor, side)
        for index, shape in enumerate(shapes):
            for what, place in _places(places[index], factor.extent, shape or ()):
                moved = (*places[:index], place, *places[index + 1 :])
                yield f"{side}[{index}] {what}", _moved(factor, side, moved)
    for index, patch in enumerate(factor.patches):
        rest = (*factor.patches[:index], *factor.patches[index + 1 :])
        yield f"patch {patch.target} dropped", replace(factor, patches=rest)
        for what, numbers in _numbers(patch):
            wrong = (*factor.patches[:index], replace(patch, numbers=numbers), *factor.patches[index + 1 :])
            yield f"patch {patch.target} {what}", replace(factor, patches=wrong)
    if factor.mark is Mark.MAP:  # nothing is cut off partial results
        yield "crop", replace(factor, crop=not factor.crop)


def _moved(factor: Factor, side: str, places: Places) -> Factor:
    return replace(factor, operands=places) if side == "operands" else replace(factor, results=places)


def _marks(factor: Factor) -> Iterator[tuple[str, Factor]]:
    """Another mark, but for WHOLE: that claims nothing."""
    for mark in Mark:
        if mark not in (Mark.WHOLE, factor.mark):
            yield f"{factor.mark.name} -> {mark.name}", replace(factor, mark=mark)


def _places(place: Place | None, extent: int, shape: Shape) -> Iterator[tuple[str, Place | None]]:
    """Another axis of the same size, other factors around it on its axis, none at all, another window."""
    if place is None or place.window is None:
        size = extent if place is None else place.outer * extent * place.unit
        for axis, other in enumerate(shape):
            if other == size and size > 1 and (place is None or axis != place.axis):
                yield f"axis {axis}", Place(axis) if place is None else replace(place, axis=axis)
    if place is None:
        return
    yield "dropped", None
    if place.window is None:
        around = place.outer * place.unit
        for outer in range(1, around + 1):
            if around % outer == 0 and outer != place.outer:
                yield f"outer {outer}", Place(place.axis, outer, around // outer)
        return
    for what, window in _windows(place.window):
        yield what, replace(place, window=window)


def _windows(window: Window) -> Iterator[tuple[str, Window]]:
    for by in (-1, 1):
        yield f"before {by:+}", replace(window, before=window.before + by)
        yield f"span {by:+}", replace(window, span=window.span + by)
        if window.step + by > 0:
            yield f"step {by:+}", replace(window, step=window.step + by)


def _numbers(patch: Patch) -> Iterator[tuple[str, tuple[Linear, ...] | Linear]]:
    """One term of one number is off by one."""
    if isinstance(patch.numbers, Linear):
        yield from _linear(patch.numbers)
        return
    for index, number in enumerate(patch.numbers or ()):
        for what, wrong in _linear(number):
            assert isinstance(patch.numbers, tuple)
            yield f"[{index}] {what}", (*patch.numbers[:index], wrong, *patch.numbers[index + 1 :])


def _linear(number: Linear) -> Iterator[tuple[str, Linear]]:
    for term in ("base", "start", "stop", "first", "last", "most"):
        for by in (-1, 1) if getattr(number, term) is not None else ():
            yield f"{term} {by:+}", replace(number, **{term: getattr(number, term) + by})


def _swapped(rule: Rule) -> Iterator[Mutant]:
    """Two factors of one extent change places in one operand or result."""
    passing = [factor for factor in rule.factors if factor.mark is not Mark.WHOLE]
    for first, second in combinations(passing, 2):
        if first.extent == second.extent:
            kept = [factor for factor in rule.factors if factor not in (first, second)]
            for what, changed in _exchanged(first, second):
                made = replace(rule, factors=(*changed, *kept))
                yield Mutant(f"{first.name}, {second.name}: {what}", changed, made)


def _exchanged(first: Factor, second: Factor) -> Iterator[tuple[str, tuple[Factor, Factor]]]:
    for side in ("operands", "results"):
        a: Places = getattr(first, side)
        b: Places = getattr(second, side)
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            if one != other and (one is None) == (other is None):
                left = _moved(first, side, (*a[:index], other, *a[index + 1 :]))
                right = _moved(second, side, (*b[:index], one, *b[index + 1 :]))
                yield f"swapped in {side}[{index}]", (left, right)
