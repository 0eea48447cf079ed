"""Rules that hold at every size: one op bound at several sizes of its symbolic dims, and what stays the same.

A rule is bound to numbers, and numbers can agree by chance: `[S, 4] -> [4, S]` keeps both axes where S is 4.
So the op is bound at the reference sizes and at others that have nothing in common with them, and only the
factors that lie in the same places everywhere are kept:

    choices = bindings({"B": 2, "S": 4}, static={4, 64})      the reference, primes, and each dim once as 1
    common([bound(op, graph_at(dims), dims) for dims in choices])    the first rule, less what chance made

A factor that fails anywhere is needed whole. Numbers in the result are those of the reference sizes: an outer
extent or a unit that depends on a symbolic dim has to be computed when the model runs. A factor behind a
batch of 1 can be sliced there, but not behind any other, so it is dropped unless that is seen elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from onnx_autochunk.axes.factor import Factor, Mark, Patch, Place, Rule
from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import barrier, rule_for
from onnx_autochunk.graph.dynamic import Dims
from onnx_autochunk.graph.model import Graph, Op

_POWERS = range(3)  # of a symbolic dim in an extent


@dataclass(frozen=True, slots=True)
class Bound:
    """The rule of one op at one choice of sizes, with the shapes it was bound to."""

    dims: Dims
    rule: Rule
    operands: tuple[Shape | None, ...]
    results: tuple[Shape | None, ...]


@dataclass(frozen=True, slots=True)
class _Spot:
    """What of a place is the same at every size."""

    axis: int
    window: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class _Form:
    """What of a factor is the same at every size; `number` tells apart those that are alike in the rest."""

    mark: Mark
    operands: tuple[_Spot | None, ...]
    results: tuple[_Spot | None, ...]
    patches: tuple[Patch, ...]
    crop: bool
    number: int


def bound(op: Op, graph: Graph, dims: Dims) -> Bound:
    """The rule of one op in a graph that has its sizes from `dims`."""
    operands, results = tuple(map(graph.shape, op.inputs)), tuple(map(graph.shape, op.outputs))
    return Bound(dims, rule_for(op, graph), operands, results)


def common(choices: Sequence[Bound], *, sliceable: bool = True) -> Rule:
    """The first rule with those of its factors that hold at every choice of sizes; the rest is needed whole.

    Args:
        choices: the op at several sizes.
        sliceable: False leaves rule 4 out; then it is to be seen elsewhere what can be sliced.

    1. A barrier at any choice is one at all.
    2. A factor has the same mark and changes, and lies on the same axes, through the same windows. It may be
       missing where an axis that it has to itself has size 1: there is nothing to cut.
    3. Its extent is the size of such an axis, or a constant times powers of the dims; and so are its outer
       extents, or its units, at every place.
    4. Where it can be sliced at the first choice, it can at every other.
    """
    first, *others = choices
    for choice in choices:
        if choice.rule.barrier is not None:
            return barrier(choice.rule.barrier)
        if choice.rule.sizes != first.rule.sizes:
            return barrier(f"its operands spell other shapes at {dict(choice.dims)}")
    tables = [_by_form(choice.rule) for choice in others]
    kept = []
    for form, factor in _by_form(first.rule).items():
        pairs = [(choice, table.get(form)) for choice, table in zip(others, tables, strict=True)]
        holds = factor.mark is Mark.WHOLE or _holds(first, factor, pairs, sliceable)
        kept.append(factor if holds else needed_whole(factor))
    return replace(first.rule, factors=tuple(kept))


def needed_whole(factor: Factor) -> Factor:
    """The factor without any claim; what was seen through a window is just read."""
    places = (None if place is None or place.window else place for place in factor.operands)
    return replace(factor, operands=tuple(places), mark=Mark.WHOLE, patches=(), crop=False)


def _by_form(rule: Rule) -> dict[_Form, Factor]:
    seen: Counter[_Form] = Counter()
    found: dict[_Form, Factor] = {}
    for factor in rule.factors:
        operands, results = tuple(map(_spot, factor.operands)), tuple(map(_spot, factor.results))
        form = _Form(factor.mark, operands, results, factor.patches, factor.crop, 0)
        found[replace(form, number=seen[form])] = factor
        seen[form] += 1
    return found


def _spot(place: Place | None) -> _Spot | None:
    if place is None:
        return None
    window = place.window
    return _Spot(place.axis, (window.step, window.before, window.span) if window else None)


def _holds(
    first: Bound, factor: Factor, pairs: Sequence[tuple[Bound, Factor | None]], sliceable: bool
) -> bool:
    """Rules 2 to 4 for one factor of the first choice and what stands for it at the others."""
    there = [(first, factor), *((choice, found) for choice, found in pairs if found is not None)]
    if len(there) == 1 and pairs:
        return False
    if any(found is None and not _has_nothing_to_cut(factor, choice) for choice, found in pairs):
        return False
    dims = [choice.dims for choice, _ in there]
    factors = [found for _, found in there]
    sizes_itself = any(_is_alone(columns) for columns in _columns(factors))
    if not sizes_itself and not _agree([found.extent for found in factors], dims):
        return False
    if sliceable and not all(map(_stays_sliceable, _columns(factors))):
        return False
    return all(_is_steady(places, dims) for places in _columns(factors))


def _columns(factors: Sequence[Factor]) -> Iterator[tuple[Place, ...]]:
    """Each place of a factor, at every choice that has the factor."""
    for places in zip(*((*factor.operands, *factor.results) for factor in factors), strict=True):
        given = tuple(place for place in places if place is not None)
        if given:
            yield given


def _has_nothing_to_cut(factor: Factor, choice: Bound) -> bool:
    sides = ((factor.operands, choice.operands), (factor.results, choice.results))
    return any(
        place is not None and shape is not None and _is_alone((place,)) and shape[place.axis] == 1
        for places, shapes in sides
        for place, shape in zip(places, shapes, strict=True)
    )


def _is_alone(places: Iterable[Place]) -> bool:
    """True when the factor has the axis to itself."""
    return all(place.outer == place.unit == 1 and place.window is None for place in places)


def _stays_sliceable(places: Sequence[Place]) -> bool:
    """Rule 4 at one place."""
    return not places[0].sliceable or all(place.sliceable for place in places)


def _is_steady(places: Sequence[Place], dims: Sequence[Dims]) -> bool:
    """Rule 3 at one place; with the extent, either of outer and unit gives the other."""
    outers, units = [place.outer for place in places], [place.unit for place in places]
    return _agree(outers, dims) or _agree(units, dims)


def _agree(numbers: Sequence[int], dims: Sequence[Dims]) -> bool:
    """True when one constant times powers of the dims gives all the numbers."""
    names = list(dims[0])
    for powers in product(_POWERS, repeat=len(names)):
        weights = [prod(d[name] ** power for name, power in zip(names, powers, strict=True)) for d in dims]
        if all(n * weights[0] == numbers[0] * w for n, w in zip(numbers, weights, strict=True)):
            return True
    return False
