"""Rules as einsum-like strings: `"... m k+, ... k n -> ... m n"` -> factors.

One term an operand or result, one word an axis. `bind` fits a string to the shapes of one op:

    bind("m k+, k n -> m n", [(2, 3), (3, 5)], [(2, 5)])  ->  factors m (2), k (3, SUM), n (5)

| written | meaning |
|---|---|
| `a` `a!` `a+` `a^` `a_` | a factor and its `Mark`; one mark anywhere counts for every place of the name |
| `...` | any number of axes, aligned from the right; a size-1 axis has no place. `...!` marks them all |
| `(h d)` | one axis merged from several factors, major first; at most one extent is inferred |
| `h=8` | a factor of known extent, for merged axes |
| `1` | an axis of size 1 |
| `()` | an operand or result in which nothing lies: read whole |
| `*` | after a term: any number of further operands (results) look like it |

Source: the parser's shape follows einops (one pass over the words, errors re-raised once with pattern and shapes).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from onnx_autochunk.axes.factor import Factor, Mark, Place, Rule
from onnx_autochunk.errors import RuleError

Shape = tuple[int, ...]

_WORD = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<star>\*)|(?P<name>\.\.\.|1|[A-Za-z][A-Za-z0-9]*)(?:=(?P<extent>\d+))?(?P<mark>[!+^_]?))"
)


@dataclass(frozen=True, slots=True)
class Atom:
    """One word of a pattern: a factor's name with what is written on it."""

    name: str
    mark: Mark = Mark.MAP
    extent: int | None = None


Axis = tuple[Atom, ...]  # several atoms: a merged axis, major first
Term = tuple[Axis, ...] | None  # None: `()`
Places = list[Place | None]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed rule string; `more_*` says that the last term repeats."""

    operands: tuple[Term, ...]
    results: tuple[Term, ...]
    more_operands: bool
    more_results: bool


@lru_cache(maxsize=4096)
def parse(text: str) -> Pattern:
    """Parse a rule string.

    Raises:
        RuleError: with the position of what could not be read.
    """
    left, arrow, right = text.partition("->")
    if not arrow or "->" in right:
        raise RuleError(f"rule {text!r}: exactly one '->' is needed")
    operands, more_operands = _terms(text, left, 0)
    results, more_results = _terms(text, right, len(left) + 2)
    return Pattern(operands, results, more_operands, more_results)


def _terms(text: str, side: str, offset: int) -> tuple[tuple[Term, ...], bool]:
    """The terms of one side, and whether the last one ends in `*`."""
    if not side.strip():
        return (), False
    terms: list[Term] = []
    more = False
    for part in side.split(","):
        if more:
            raise RuleError(f"rule {text!r} at {offset}: '*' belongs to the last term")
        term, more = _term(text, part, offset)
        terms.append(term)
        offset += len(part) + 1
    return tuple(terms), more


def _term(text: str, part: str, offset: int) -> tuple[Term, bool]:
    axes: list[Axis] = []
    group: list[Atom] | None = None
    opaque = more = False
    position = 0
    while part[position:].strip():
        word = _WORD.match(part, position)
        if word is None or opaque or more:
            raise RuleError(f"rule {text!r} at {offset + position}: cannot read {part[position:].strip()!r}")
        position = word.end()
        if word["star"]:
            more = True
        elif word["bracket"] == "(" and group is None:
            group = []
        elif word["bracket"] == ")" and group is not None:
            opaque = not group and not axes
            axes += [tuple(group)] if group else []
            group = None
        elif word["name"]:
            atom = Atom(word["name"], Mark(word["mark"]), int(word["extent"]) if word["extent"] else None)
            if group is None:
                axes.append((atom,))
            else:
                group.append(atom)
        else:
            raise RuleError(f"rule {text!r} at {offset + position}: bracket out of place")
    if group is not None:
        raise RuleError(f"rule {text!r} at {offset + position}: bracket left open")
    return (None if opaque else tuple(axes)), more


class _MisfitError(Exception):
    """Why a pattern does not fit; re-raised by `bind` with pattern and shapes."""


def bind(text: str, operands: Sequence[Shape | None], results: Sequence[Shape | None]) -> tuple[Factor, ...]:
    """Fit a rule string to the shapes of one op; None stands for an absent operand or result.

    Factors of extent 1 are left out: there is nothing to cut.

    Raises:
        RuleError: with pattern, shapes and what does not fit.
    """
    try:
        pattern = parse(text)
        terms = _fit(pattern.operands, pattern.more_operands, len(operands), "operand")
        terms += _fit(pattern.results, pattern.more_results, len(results), "result")
        return _factors(terms, (*operands, *results), len(operands))
    except _MisfitError as misfit:
        raise RuleError(f"rule {text!r} does not fit {list(operands)} -> {list(results)}: {misfit}") from misfit


def _fit(terms: tuple[Term, ...], more: bool, count: int, kind: str) -> list[Term]:
    """One term for each operand or result; trailing ones may be absent."""
    if more:
        return [*terms, *[terms[-1]] * (count - len(terms))][:count]
    if count > len(terms):
        raise _MisfitError(f"{count} {kind}s, terms for {len(terms)}")
    return list(terms[:count])


def _factors(terms: list[Term], shapes: tuple[Shape | None, ...], split: int) -> tuple[Factor, ...]:
    spelled = _spell_out(terms, shapes)
    extents = _extents(spelled)
    places: dict[str, Places] = {}
    marks: dict[str, Mark] = {}
    for index, axes in enumerate(spelled):
        for axis, (atoms, size) in enumerate(axes):
            _place(places, marks, extents, index, axis, atoms, size, len(spelled))
    return tuple(
        Factor(name, extents[name], tuple(found[:split]), tuple(found[split:]), marks[name])
        for name, found in places.items()
    )


def _spell_out(terms: list[Term], shapes: tuple[Shape | None, ...]) -> list[list[tuple[Axis, int]]]:
    """Each term as (atoms, size) of every axis, `...` replaced by names `.0 .1` numbered from the left of the longest."""
    depths = [
        None if term is None or shape is None else len(shape) - len(term) + 1
        for term, shape in zip(terms, shapes, strict=True)
    ]
    dotted = [term is not None and any(axis[0].name == "..." for axis in term) for term in terms]
    deepest = max((depth for depth, dots in zip(depths, dotted, strict=True) if dots and depth is not None), default=0)
    spelled = []
    for index, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        if term is None or shape is None:
            spelled.append([])
            continue
        depth = len(shape) - len(term) + 1
        axes: list[Axis] = []
        for axis in term:
            if axis[0].name == "...":
                axes += [(Atom(f".{deepest - depth + i}", axis[0].mark),) for i in range(depth)]
            else:
                axes.append(axis)
        if len(axes) != len(shape):
            raise _MisfitError(f"term {index} has {len(term)} axes, the shape {shape}")
        spelled.append(list(zip(axes, shape, strict=True)))
    return spelled


def _passed_whole(atoms: Axis, size: int) -> bool:
    """True for an axis without a place: a size-1 axis under `...` and the literal `1`."""
    return size == 1 and len(atoms) == 1 and (atoms[0].name == "1" or atoms[0].name.startswith("."))


def _extents(spelled: list[list[tuple[Axis, int]]]) -> dict[str, int]:
    """The extent of every name: single axes and `name=extent` first, then one unknown of each merged axis at a time."""
    extents: dict[str, int] = {}
    merged: list[tuple[Axis, int]] = []
    for atoms, size in (pair for axes in spelled for pair in axes):
        for atom in atoms:
            if atom.extent is not None:
                _agree(extents, atom.name, atom.extent)
        if len(atoms) > 1:
            merged.append((atoms, size))
        elif not _passed_whole(atoms, size):
            _agree(extents, atoms[0].name, size)
    while merged:
        ready = [(a, s) for a, s in merged if sum(atom.name not in extents for atom in a) <= 1]
        if not ready:
            raise _MisfitError(f"extents of {' '.join(atom.name for atom in merged[0][0])} cannot be inferred")
        for atoms, size in ready:
            known = prod(extents.get(atom.name, 1) for atom in atoms)
            for atom in atoms:
                if atom.name not in extents and known:
                    extents[atom.name] = size // known
            if prod(extents.get(atom.name, 0) for atom in atoms) != size:
                raise _MisfitError(f"({' '.join(atom.name for atom in atoms)}) does not multiply to {size}")
        merged = [pair for pair in merged if pair not in ready]
    return extents


def _agree(extents: dict[str, int], name: str, extent: int) -> None:
    if name == "1" or extents.setdefault(name, extent) != extent:
        raise _MisfitError(f"axis {name!r} is both {extents.get(name, 1)} and {extent}")


def _place(
    places: dict[str, Places], marks: dict[str, Mark], extents: dict[str, int],
    index: int, axis: int, atoms: Axis, size: int, terms: int,
) -> None:  # fmt: skip
    """Record the places and marks of one axis."""
    if _passed_whole(atoms, size):
        return
    outer = 1
    for atom in atoms:
        extent = extents[atom.name]
        if extent > 1:
            found = places.setdefault(atom.name, [None] * terms)
            if found[index] is not None:
                raise _MisfitError(f"axis {atom.name!r} twice in term {index}")
            found[index] = Place(axis, outer, size // (outer * extent))
            if marks.setdefault(atom.name, atom.mark) is Mark.MAP:
                marks[atom.name] = atom.mark
            elif atom.mark not in (Mark.MAP, marks[atom.name]):
                raise _MisfitError(f"axis {atom.name!r} has two marks")
        outer *= extent


def written(rule: Rule) -> str:
    """A bound rule as text, extents last: `"a b!, () -> a b! | a=2 b=3"`; size-1 axes right of the last factor do not show."""
    if rule.barrier is not None:
        return f"barrier: {rule.barrier}"
    if not rule.factors:
        return "nothing to cut"
    operands = [_side_term(rule, index, True) for index in range(len(rule.factors[0].operands))]
    results = [_side_term(rule, index, False) for index in range(len(rule.factors[0].results))]
    extents = " ".join(f"{factor.name}={factor.extent}" for factor in rule.factors)
    sizes = "".join(f" | operand {o} spells result {r}" for o, r in rule.sizes.items())
    return f"{', '.join(operands)} -> {', '.join(results)} | {extents}{sizes}"


def _side_term(rule: Rule, index: int, operand: bool) -> str:
    found: dict[int, list[tuple[int, str]]] = {}
    for factor in rule.factors:
        place = factor.operands[index] if operand else factor.results[index]
        if place is not None:
            alone = place.outer == place.unit == 1
            word = factor.name + factor.mark.value
            found.setdefault(place.axis, []).append((place.outer, word if alone else f"{word}"))
    if not found:
        return "()"
    words = [[word for _, word in sorted(found.get(axis, []))] or ["1"] for axis in range(max(found) + 1)]
    return " ".join(f"({' '.join(group)})" if len(group) > 1 else group[0] for group in words)
