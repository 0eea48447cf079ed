"""Fit a rule string to the shapes of one op: names get extents and places.

bind("m k+, k n -> m n", [(2, 3), (3, 5)], [(2, 5)])  ->  factors m (2), k (3, SUM), n (5)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import prod
from types import MappingProxyType

from onnx_autochunk.axes.factor import Factor, Mark, Place, Window
from onnx_autochunk.axes.notation import Atom, Axis, Term, parse
from onnx_autochunk.errors import RuleError

Shape = tuple[int, ...]
_SizedAxis = tuple[Axis, int]  # what is written for one axis of a value, and its size


class _MisfitError(Exception):
    """Why a pattern does not fit; re-raised once by `bind` with pattern and shapes."""


def bind(
    text: str,
    operands: Sequence[Shape | None],
    results: Sequence[Shape | None],
    windows: Mapping[str, Window] = MappingProxyType({}),
) -> tuple[Factor, ...]:
    """Fit a rule string to the shapes of one op; None stands for an absent operand or result.

    Factors of extent 1 are left out: there is nothing to cut.

    Args:
        text: the rule string.
        operands: shapes.
        results: shapes.
        windows: what stands behind each name that is written with `~`.

    Raises:
        RuleError: with pattern, shapes and what does not fit.
    """
    return _fitted(text, tuple(operands), tuple(results), tuple(windows.items()))


@lru_cache(maxsize=4096)  # layers are alike
def _fitted(
    text: str,
    operands: tuple[Shape | None, ...],
    results: tuple[Shape | None, ...],
    windows: tuple[tuple[str, Window], ...],
) -> tuple[Factor, ...]:
    pattern = parse(text)
    try:
        terms = _repeated(pattern.operands, pattern.more_operands, len(operands), "operands")
        terms += _repeated(pattern.results, pattern.more_results, len(results), "results")
        return _factors(_sized(terms, (*operands, *results)), len(operands), dict(windows))
    except _MisfitError as misfit:
        where = f"rule {text!r} does not fit {list(operands)} -> {list(results)}"
        raise RuleError(f"{where}: {misfit}") from misfit


def _repeated(terms: tuple[Term, ...], more: bool, count: int, kind: str) -> list[Term]:
    """One term for each operand or result; trailing ones may be absent, and `*` repeats the last."""
    if count > len(terms) and not more:
        raise _MisfitError(f"{count} {kind}, terms for {len(terms)}")
    return [*terms, *terms[-1:] * (count - len(terms))][:count]


def _sized(terms: list[Term], shapes: tuple[Shape | None, ...]) -> list[list[_SizedAxis]]:
    """Each term beside its shape, `...` replaced by `.0 .1`, numbered from the left of the longest one."""
    depths = [_depth(term, shape) for term, shape in zip(terms, shapes, strict=True)]
    deepest = max(depths, default=0)
    sized: list[list[_SizedAxis]] = []
    for term, shape, depth in zip(terms, shapes, depths, strict=True):
        axes = _undotted(term or (), deepest - depth, deepest)
        if term is not None and shape is not None and len(axes) != len(shape):
            raise _MisfitError(f"{len(axes)} axes are written for {shape}")
        sized.append([] if term is None or shape is None else list(zip(axes, shape, strict=True)))
    return sized


def _depth(term: Term, shape: Shape | None) -> int:
    """How many axes `...` stands for."""
    if term is None or shape is None or all(axis[0].name != "..." for axis in term):
        return 0
    return max(len(shape) - len(term) + 1, 0)


def _undotted(term: Iterable[Axis], first: int, end: int) -> list[Axis]:
    axes: list[Axis] = []
    for axis in term:
        if axis[0].name == "...":
            axes += [(Atom(f".{number}", axis[0].mark),) for number in range(first, end)]
        else:
            axes.append(axis)
    return axes


def _has_no_place(atoms: Axis, size: int) -> bool:
    """True for a size-1 axis under `...` and for the literal `1`."""
    return size == 1 and len(atoms) == 1 and (atoms[0].name == "1" or atoms[0].name.startswith("."))


def _factors(
    sized: list[list[_SizedAxis]], operands: int, windows: Mapping[str, Window]
) -> tuple[Factor, ...]:
    extents = _extents([pair for axes in sized for pair in axes])
    places: dict[str, list[Place | None]] = {}
    marks: dict[str, Mark] = {}
    for index, axes in enumerate(sized):
        for axis, (atoms, size) in enumerate(axes):
            for atom, place in _laid_out(atoms, axis, size, extents, windows):
                found = places.setdefault(atom.name, [None] * len(sized))
                if found[index] is not None:
                    raise _MisfitError(f"{atom.name} stands twice in one term")
                found[index] = place
                _mark(marks, atom)
    return tuple(
        Factor(name, extents[name], tuple(found[:operands]), tuple(found[operands:]), marks[name])
        for name, found in places.items()
    )


def _laid_out(
    atoms: Axis, axis: int, size: int, extents: Mapping[str, int], windows: Mapping[str, Window]
) -> Iterator[tuple[Atom, Place]]:
    """The places of the factors of one axis, major first; those of extent 1 have none."""
    if _has_no_place(atoms, size):
        return
    if _is_windowed(atoms):
        if extents.get(atoms[0].name, 0) > 1:
            yield atoms[0], Place(axis, window=_window(atoms[0].name, size, windows))
        return
    outer = 1
    for atom in atoms:
        extent = extents[atom.name]
        if extent > 1:
            yield atom, Place(axis, outer, size // (outer * extent))
        outer *= extent


def _is_windowed(atoms: Axis) -> bool:
    if len(atoms) > 1 and any(atom.windowed for atom in atoms):
        raise _MisfitError(f"({' '.join(atom.name for atom in atoms)}) is merged and seen through a window")
    return atoms[0].windowed


def _window(name: str, size: int, windows: Mapping[str, Window]) -> Window:
    if name not in windows or windows[name].size != size:
        raise _MisfitError(f"{name}~ of size {size} has the window {windows.get(name)}")
    return windows[name]


def _mark(marks: dict[str, Mark], atom: Atom) -> None:
    """Remember the mark of a name, which may be written at any of its places."""
    known = marks.setdefault(atom.name, atom.mark)
    if known is Mark.MAP:
        marks[atom.name] = atom.mark
    elif atom.mark not in (Mark.MAP, known):
        raise _MisfitError(f"{atom.name} has the marks {known.value} and {atom.mark.value}")


def _extents(sized: list[_SizedAxis]) -> dict[str, int]:
    """The extent of every name: written ones and those alone on an axis, then merged ones by division."""
    extents: dict[str, int] = {}
    merged = [pair for pair in sized if len(pair[0]) > 1]
    for atoms, size in sized:
        for atom in atoms:
            if atom.extent is not None:
                _agree(extents, atom.name, atom.extent)
        if len(atoms) == 1 and not _has_no_place(atoms, size) and not atoms[0].windowed:
            _agree(extents, atoms[0].name, size)
    for _ in merged:  # each round can make the next merged axis solvable
        for atoms, size in merged:
            _divide(extents, atoms, size)
    for atoms, size in merged:
        if prod(extents.get(atom.name, 0) for atom in atoms) != size:
            raise _MisfitError(f"({' '.join(atom.name for atom in atoms)}) does not make {size}")
    return extents


def _divide(extents: dict[str, int], atoms: Axis, size: int) -> None:
    """Infer the one unknown extent of a merged axis."""
    unknown = [atom.name for atom in atoms if atom.name not in extents]
    if len(unknown) == 1:
        known = prod(extents[atom.name] for atom in atoms if atom.name in extents)
        extents[unknown[0]] = size // max(known, 1)


def _agree(extents: dict[str, int], name: str, extent: int) -> None:
    if name == "1" or extents.setdefault(name, extent) != extent:
        raise _MisfitError(f"{name} is both {extents.get(name, 1)} and {extent}")
