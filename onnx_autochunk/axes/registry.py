"""Which rule an op has: (domain, op type, opset range) -> rule.

    spec("Relu Exp", "... -> ...")                  one string for a family
    @rule("Softmax LogSoftmax", since=13)           a function of the node where attributes and ranks decide
    def softmax(node: Node) -> Answer: ...

`rule_for` never fails on a model: an operator without a rule or an unknown shape is a barrier with a reason.
The registry is filled when `onnx_autochunk.axes.rules` is imported and not changed afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from onnx_autochunk.axes.factor import Mark, Patch, Rule, Window
from onnx_autochunk.axes.fit import Shape, bind
from onnx_autochunk.errors import RuleError
from onnx_autochunk.graph.model import Graph, Op
from onnx_autochunk.graph.quantised import STANDS_IN


@dataclass(frozen=True, slots=True)
class Notation:
    """A rule string and what it cannot say.

    Attributes:
        text: the rule string.
        sizes: `Rule.sizes`.
        windows: what each name written with `~` stands for.
        patches: `Factor.patches` by name.
        crops: names of the factors to crop.
    """

    text: str
    sizes: Mapping[int, int] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    patches: Mapping[str, tuple[Patch, ...]] = field(default_factory=dict)
    crops: Collection[str] = ()


Answer = str | Notation | Rule
"""What a rule function returns: a rule string, one with more to say, or the Rule itself."""


@dataclass(frozen=True, slots=True)
class Node:
    """One op with the shapes of its operands and results; None where one is absent."""

    op: Op
    graph: Graph
    operands: tuple[Shape | None, ...]
    results: tuple[Shape | None, ...]

    def shape(self, operand: int) -> Shape:
        """Shape of an operand that the operator always has."""
        found = self.operands[operand] if operand < len(self.operands) else None
        if found is None:
            raise RuleError(f"{self.op.type} {self.op.name!r} has no operand {operand}")
        return found

    def has(self, operand: int) -> bool:
        """True when an optional operand is given."""
        return operand < len(self.operands) and self.operands[operand] is not None

    def gives(self, result: int) -> bool:
        """True when an optional result is used."""
        return result < len(self.results) and self.results[result] is not None

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        found = self.op.attributes.get(name, default)
        if not isinstance(found, int):
            raise RuleError(f"{self.op.type} {self.op.name!r}: attribute {name} is {found!r}, not an integer")
        return found

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers among the attributes; None when it is not given."""
        found = self.op.attributes.get(name)
        if found is None:
            return None
        if not isinstance(found, Sequence) or not all(isinstance(entry, int) for entry in found):
            raise RuleError(f"{self.op.type} {self.op.name!r}: attribute {name} is {found!r}, not integers")
        return tuple(found)

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        found = self.op.attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    def known(self, operand: int) -> tuple[int, ...] | None:
        """The integers of a constant or computed shape vector; None when they are absent or unknown."""
        data = self._data(operand)
        return None if data is None else tuple(int(entry) for entry in data.flat)

    def numbers(self, operand: int) -> tuple[float, ...] | None:
        """The numbers of a constant operand; None when they are absent or unknown."""
        data = self._data(operand)
        return None if data is None else tuple(float(entry) for entry in data.flat)

    def _data(self, operand: int) -> NDArray[np.generic] | None:
        return self.graph.values[self.op.inputs[operand]].data if self.has(operand) else None

    def axis(self, default: int, rank: int) -> int:
        """The attribute `axis`, counted from the left."""
        return self.integer("axis", default) % max(rank, 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """The rule of one operator in a range of opsets.

    Attributes:
        until: first opset that the rule no longer describes.
        make: gives the rule of a node.
        family: name of the module that holds the rule.
        notation: the string of a `spec`; None where a function makes the rule.
    """

    domain: str
    type: str
    since: int
    until: int
    make: Callable[[Node], Answer]
    family: str
    notation: str | None = None


LATEST = 1 << 30  # end of a range of opsets that has none
_ENTRIES: dict[tuple[str, str], tuple[Entry, ...]] = {}


def spec(types: str, notation: str, *, domain: str = "", since: int = 1, until: int = LATEST) -> None:
    """Give a family of operators (names separated by spaces) one rule string."""
    family = sys._getframe(1).f_globals["__name__"]  # the caller: a string does not know its module
    _register(types, Entry(domain, "", since, until, lambda node: notation, family, notation))


def rule(
    types: str, *, domain: str = "", since: int = 1, until: int = LATEST
) -> Callable[[Callable[[Node], Answer]], Callable[[Node], Answer]]:
    """Decorate the function that makes the rule of a family of operators from the node."""

    def record(make: Callable[[Node], Answer]) -> Callable[[Node], Answer]:
        _register(types, Entry(domain, "", since, until, make, make.__module__))
        return make

    return record


def _register(types: str, entry: Entry) -> None:
    domain = entry.domain
    for type_ in types.split():
        present = _ENTRIES.get((domain, type_), ())
        if any(entry.since < other.until and other.since < entry.until for other in present):
            raise RuleError(f"two rules for {type_} of {domain or 'ai.onnx'} cover one opset")
        _ENTRIES[domain, type_] = (*present, replace(entry, type=type_))


def registered() -> tuple[tuple[str, str], ...]:
    """(domain, op type) of every operator that has an entry, barriers included."""
    return tuple(_ENTRIES)


def entries() -> tuple[Entry, ...]:
    """Every entry, operators in alphabetical order, standard ones first."""
    return tuple(sorted(chain(*_ENTRIES.values()), key=lambda entry: (entry.domain, entry.type, entry.since)))


def barrier(reason: str) -> Rule:
    """The rule of an op that no axis passes."""
    return Rule(barrier=reason)


def rule_for(op: Op, graph: Graph) -> Rule:
    """The rule of one op; operators without one, and unknown shapes, give a barrier with its reason.

    Raises:
        RuleError: when a registered rule contradicts the op's shapes: a bug of this package.
    """
    domain = "" if op.domain == "ai.onnx" else op.domain
    entries = _ENTRIES.get((domain, op.type), ())
    entry = next((e for e in entries if e.since <= op.version < e.until), None)
    if entry is None:
        at = f" at opset {op.version}" if entries else ""
        return barrier(f"no rule for {f'{domain}::' if domain else ''}{op.type}{at}")
    if op.subgraphs:
        return barrier(f"{op.type} has a subgraph")
    for name in chain(op.inputs, op.outputs):
        if name and graph.shape(name) is None:
            return barrier(f"the shape of {name} is unknown")
    node = Node(op, graph, tuple(map(graph.shape, op.inputs)), tuple(map(graph.shape, op.outputs)))
    if any(0 in shape for shape in node.results if shape):
        return barrier("a result is empty")
    answer = entry.make(node)
    made = answer if isinstance(answer, Rule) else _bound(answer, node)
    _check(made, node)
    return _undivided(made, node) if STANDS_IN in op.attributes else made


def _bound(answer: str | Notation, node: Node) -> Rule:
    given = Notation(answer) if isinstance(answer, str) else answer
    try:
        factors = bind(given.text, node.operands, node.results, given.windows)
    except RuleError as error:
        raise RuleError(f"{node.op.type} {node.op.name!r} (opset {node.op.version}): {error}") from error
    if given.patches or given.crops:
        factors = tuple(
            replace(f, patches=given.patches.get(f.name, ()), crop=f.name in given.crops) for f in factors
        )
    return Rule(factors, given.sizes)


def _undivided(made: Rule, node: Node) -> Rule:
    """Without the axes of operands that are dequantised outside: biases, and weights with several scales.

    ONNX Runtime computes a group in integers where it finds DequantizeLinear in front of each operand, in
    the same graph; a slice of what one gave it does not look through. Scales are single numbers.
    """
    dtypes = (node.graph.values[name].dtype if name else "" for name in node.op.inputs)
    outside = [at for at, dtype in enumerate(dtypes) if dtype.startswith("float")]
    factors = (
        replace(factor, mark=Mark.WHOLE) if any(factor.operands[at] for at in outside) else factor
        for factor in made.factors
    )
    return replace(made, factors=tuple(factors))


def _check(made: Rule, node: Node) -> None:
    """What holds for every rule, else RuleError.

    1. A mapped factor lies in all results, or the chunks would disagree about those that lack it.
    2. A mapped factor lies in an operand, or in a result whose shape is spelled out, or changes the op, or
       nothing would be cut.
    3. A summed factor lies in no result.
    4. What is cropped is seen through one window, which begins and ends between steps.
    """
    given = [index for index, shape in enumerate(node.results) if shape is not None]
    for factor in made.factors:
        inside = [factor.results[index] is not None for index in given]
        if factor.mark is Mark.MAP:
            spelled = any(factor.results[result] for result in made.sizes.values())
            cuts = any(factor.operands) or spelled or factor.patches
            seen = [_between_steps(place.window) for place in factor.operands if place and place.window]
            wrong = not all(inside) or not cuts or (factor.crop and seen != [True])
        else:
            wrong = factor.mark is not Mark.WHOLE and any(inside)
        if wrong:
            raise RuleError(f"{node.op.type} {node.op.name!r}: {factor} in {node.operands} -> {node.results}")


def _between_steps(window: Window) -> bool:
    return all(edge % window.step == 0 for edge in (window.size, window.before, window.span))
