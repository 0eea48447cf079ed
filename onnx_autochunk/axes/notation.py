"""Rules as einsum-like strings, one term an operand or result, one word an axis.

    parse("... m k+, ... k n -> ... m n")  ->  Pattern        written(rule)  ->  the same, of a bound rule

| written | meaning |
|---|---|
| `a` `a!` `a+` `a^` `a_` | a factor and its `Mark`; one mark anywhere counts for every place of the name |
| `a~` | an operand in which the factor is seen through a `Window`, given beside the string |
| `...` | any number of axes, aligned from the right; a size-1 axis has no place. `...!` marks them all |
| `(h d)` | one axis merged from several factors, major first; at most one extent is inferred |
| `h=8` | a factor of known extent, for merged axes |
| `1` | an axis of size 1 |
| `()` | an operand or result in which nothing lies: read whole |
| `*` | after a term: any number of further operands (results) look like it |

Source: the parser's shape follows einops (one pass over the words, errors that show the pattern).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from onnx_autochunk.axes.factor import Factor, Mark, Rule, Window
from onnx_autochunk.errors import RuleError

WINDOWED = "~"
_WORD = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<star>\*)"
    r"|(?P<name>\.\.\.|1|[A-Za-z][A-Za-z0-9]*)(?:=(?P<extent>\d+))?(?P<mark>[!+^_~]?))"
)


@dataclass(frozen=True, slots=True)
class Atom:
    """One word of a pattern: a factor's name with what is written on it."""

    name: str
    mark: Mark = Mark.MAP
    extent: int | None = None
    windowed: bool = False


Axis = tuple[Atom, ...]  # several atoms: a merged axis, major first
Term = tuple[Axis, ...] | None  # None: `()`


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
    """One operand or result: a state machine over its words, `group` being the open bracket."""
    axes: list[Axis] = []
    group: list[Atom] | None = None
    opaque = more = False
    position = 0
    while part[position:].strip():
        word = _WORD.match(part, position)
        if word is None or opaque or more:
            raise RuleError(f"rule {text!r} at {offset + position}: cannot read {part[position:].strip()!r}")
        if word["name"] and group is None:
            axes.append((_atom(word),))
        elif word["name"] and group is not None:
            group.append(_atom(word))
        elif word["bracket"] == "(" and group is None:
            group = []
        elif word["bracket"] == ")" and group:
            axes.append(tuple(group))
            group = None
        elif word["bracket"] == ")" and group is not None and not axes:
            opaque, group = True, None
        elif word["star"] and group is None:
            more = True
        else:
            raise RuleError(f"rule {text!r} at {offset + position}: {word[0].strip()!r} is out of place")
        position = word.end()
    if group is not None:
        raise RuleError(f"rule {text!r} at {offset + position}: a bracket is left open")
    return (None if opaque else tuple(axes)), more


def _atom(word: re.Match[str]) -> Atom:
    extent = int(word["extent"]) if word["extent"] else None
    windowed = word["mark"] == WINDOWED
    return Atom(word["name"], Mark.MAP if windowed else Mark(word["mark"]), extent, windowed)


def written(rule: Rule) -> str:
    """A bound rule as text, extents last: `"a b!, () -> a b! | a=2 b=3"`.

    A size-1 axis is written `1`, but does not show to the right of a term's last factor.
    """
    if rule.barrier is not None:
        return f"barrier: {rule.barrier}"
    if not rule.factors:
        return "nothing to cut"
    operands = [_side_term(rule, index, True) for index in range(len(rule.factors[0].operands))]
    results = [_side_term(rule, index, False) for index in range(len(rule.factors[0].results))]
    extents = " ".join(f"{factor.name}={factor.extent}" for factor in rule.factors)
    notes = [f"operand {o} spells result {r}" for o, r in rule.sizes.items()]
    notes += [f"{f.name}~ {_seen(p.window)}" for f in rule.factors for p in f.operands if p and p.window]
    notes += [f"{factor.name} {_changes(factor)}" for factor in rule.factors if factor.patches or factor.crop]
    return " | ".join([f"{', '.join(operands)} -> {', '.join(results)}", extents, *notes])


def _seen(window: Window) -> str:
    return f"{window.step}i-{window.before}+[0,{window.span}) of {window.size}"


def _changes(factor: Factor) -> str:
    """`changes pads, operand 2; is cropped`."""
    targets = [p.target if isinstance(p.target, str) else f"operand {p.target}" for p in factor.patches]
    changed = [f"changes {', '.join(targets)}"] if targets else []
    return "; ".join([*changed, *(["is cropped"] if factor.crop else [])])


def _side_term(rule: Rule, index: int, is_operand: bool) -> str:
    found: dict[int, list[tuple[int, str]]] = {}
    for factor in rule.factors:
        place = factor.operands[index] if is_operand else factor.results[index]
        if place is not None:
            mark = WINDOWED if place.window else factor.mark.value
            found.setdefault(place.axis, []).append((place.outer, factor.name + mark))
    if not found:
        return "()"
    words = [[word for _, word in sorted(found.get(axis, []))] or ["1"] for axis in range(max(found) + 1)]
    return " ".join(f"({' '.join(group)})" if len(group) > 1 else group[0] for group in words)
