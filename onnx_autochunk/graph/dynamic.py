"""A model at several choices of sizes: what an axis is at every size, as far as inputs tell at run time.

An axis is known by its numbers at all choices. With `tokens` of 2048, 5, 7 and `batch` of 2, 3, 11 the axis
of sizes (4096, 15, 77) is `batch*tokens`, which a few ops on the shapes of inputs compute.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import chain, combinations_with_replacement, count
from math import isqrt, prod
from typing import TypeAlias

from .model import Graph, Op

Dims: TypeAlias = Mapping[str, int]
Size: TypeAlias = tuple[int, ...]  # of one axis at every choice, the reference first

SPREAD = 1.25  # from one prime to the next: 101 and 103 pixels give as many patches of 16
LARGE = 100  # primes for sizes of more than twice that are above it
MOST_FACTORS = 3  # with their multiplicity, of a size


def bindings(reference: Dims, static: Collection[int]) -> tuple[Dims, ...]:
    """Sizes at which to look at a model: the reference, two choices of primes, and each dim once as 1.

    Primes are small for what is small, and larger for the rest: of a few pixels all parts would be alike.

    Args:
        reference: sizes by symbolic dim.
        static: the sizes that are fixed in the model; no prime divides one of them or a reference size.
    """
    apart, taken = {*static, *reference.values()}, list[int]()

    def fresh(dim: str) -> int:
        taken.append(_prime(min(reference[dim] // 2, LARGE), apart, taken))
        return taken[-1]

    others = [{dim: fresh(dim) for dim in reference} for _ in range(2)]
    ones = [{dim: 1 if dim == one else fresh(dim) for dim in reference} for one in reference]
    return (reference, *others, *ones)


def _prime(above: int, apart: Collection[int], taken: Collection[int]) -> int:
    """An odd prime that divides none of the sizes, far from those taken: parts of both are to differ too."""
    for number in count(max(above, 2) + 1):
        is_prime = all(number % divisor for divisor in range(2, isqrt(number) + 1))
        divides = any(size % number == 0 for size in apart if size)
        if is_prime and not divides and all(_are_far(number, other) for other in taken):
            return number
    raise AssertionError("there are more primes")


def _are_far(one: int, other: int) -> bool:
    return max(one, other) >= SPREAD * min(one, other)


@dataclass(frozen=True, slots=True)
class Atom:
    """A size that is read off the shape of a value, or is an element of one.

    Attributes:
        label: its name in shapes.
        at: the axis, or the element.
    """

    label: str
    value: str
    at: int
    is_element: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """A size as `times / over` times a product of atoms, each as often as it occurs."""

    times: int
    over: int
    factors: tuple[Atom, ...]

    def __str__(self) -> str:
        """As in `3*batch*tokens` or `tokens/2`."""
        factors = [atom.label for atom in self.factors]
        text = "*".join(([] if self.times == 1 and factors else [str(self.times)]) + factors)
        return text if self.over == 1 else f"{text}/{self.over}"


@dataclass(frozen=True)
class Dynamic:
    """One model at several choices of sizes.

    Attributes:
        graphs: every op, at each choice; the reference first, then one that has nothing in common with it.
        atoms: what sizes are computed from.
        accepted: shapes of the inputs and outputs of the model and its bodies as the file has them, by name.
    """

    graphs: tuple[Graph, ...]
    atoms: Mapping[Size, Atom]
    accepted: Mapping[str, tuple[int | str | None, ...]]
    _terms: dict[Size, Term | None] = field(default_factory=dict, compare=False, repr=False)

    def with_atom(self, size: Size, atom: Atom) -> Dynamic:
        """The same with one more size that can be read at run time."""
        return replace(self, atoms={**self.atoms, size: atom}, _terms={})

    def sizes(self, name: str) -> tuple[Size, ...] | None:
        """Each axis of a value at every choice; None where a shape or the rank is not known at all."""
        shapes = [graph.shape(name) for graph in self.graphs]
        known = [shape for shape in shapes if shape is not None]
        if len(known) < len(shapes) or len(set(map(len, known))) > 1:
            return None
        return tuple(zip(*known, strict=True))

    def term(self, size: Size) -> Term | None:
        """How a size is computed; None where it is no product of what is known at run time."""
        if size not in self._terms:
            self._terms[size] = self._found(size)
        return self._terms[size]

    def _found(self, size: Size) -> Term | None:
        if len(set(size)) == 1:
            return Term(size[0], 1, ())
        number = range(1, MOST_FACTORS + 1)
        for known in chain.from_iterable(combinations_with_replacement(self.atoms, n) for n in number):
            weight = times(*known)
            if all(one * weight[0] == size[0] * other for one, other in zip(size, weight, strict=True)):
                share = Fraction(size[0], weight[0])
                factors = tuple(self.atoms[atom] for atom in known)
                return Term(share.numerator, share.denominator, factors)
        return None

    def label(self, size: Size) -> int | str | None:
        """What a shape says of an axis: its size, or a text that equal sizes share."""
        term = self.term(size)
        return None if term is None else str(term) if term.factors else term.times

    @cached_property
    def _known(self) -> frozenset[int]:
        """The sizes of all axes at all choices."""
        shapes = (value.shape or () for graph in self.graphs for value in graph.values.values())
        return frozenset(chain.from_iterable(shapes))

    def parts(self, size: Size, length: int) -> Size:
        """Lengths of parts of an axis: the one given at the reference, and others where the axis differs."""
        if len(set(size)) == 1:
            return (length,) * len(size)
        others = (_prime(whole // 3, self._known, [whole]) for whole in size[1:])
        return (length, *(min(part, whole) for part, whole in zip(others, size[1:], strict=True)))

    @cached_property
    def ops(self) -> Sequence[Mapping[str, Op]]:
        """The ops of each graph by name."""
        return [{op.name: op for op in graph.ops} for graph in self.graphs]

    def inputs_at(self, choice: int) -> Dims:
        """Sizes of the dims of inputs at one choice."""
        inputs = self.graphs[0].inputs
        return {
            atom.label: size[choice]
            for size, atom in self.atoms.items()
            if atom.value in inputs and not atom.is_element
        }

    def atoms_at(self, choice: int) -> Dims:
        """Sizes of the atoms at one choice."""
        return {atom.label: size[choice] for size, atom in self.atoms.items()}


def quotient(size: Size, steps: Size) -> Size | None:
    """Elements of one step at every choice; None where steps do not divide them."""
    if any(elements % extent for elements, extent in zip(size, steps, strict=True)):
        return None
    return tuple(elements // extent for elements, extent in zip(size, steps, strict=True))


def times(*sizes: Size) -> Size:
    """The product at every choice."""
    return tuple(map(prod, zip(*sizes, strict=True)))
