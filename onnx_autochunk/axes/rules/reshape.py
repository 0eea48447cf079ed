"""Operators that regroup or repeat axes without moving an element.

Both shapes are lined up from the left: wherever the running products agree, the next factor is the greatest
common divisor of what is left of the two current axes. So the major factor of a merged axis is found:

    [5, 12*64] -> [5, 12, 64]: 5 | 12 | 64        [6, 4] -> [8, 3]: 2 passes, the rest is regrouped

Source: https://onnx.ai/onnx/operators/onnx__Reshape.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd, prod

from onnx_autochunk.axes.factor import Factor, Linear, Patch, Place, Rule
from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule
from onnx_autochunk.axes.rules.words import names, term
from onnx_autochunk.errors import RuleError


@rule("Reshape", since=5)
def reshape(node: Node) -> Answer:
    """The target shape is rewritten for each chunk, so its 0 and -1 do not matter."""
    return Rule(_regrouped(node), {1: 0})


@rule("Unsqueeze Flatten")
def keep_order(node: Node) -> Answer:
    """A reshape that finds its own target."""
    return Rule(_regrouped(node))


@rule("Squeeze")
def squeeze(node: Node) -> Answer:
    """Without axes, they are supplied: a chunk of length 1 would lose its chunked axis."""
    factors = _regrouped(node)
    is_empty = node.has(1) and node.shape(1) == (0,)
    if not is_empty and (node.has(1) or node.integers("axes") is not None):
        return Rule(factors)
    narrow = tuple([Linear(axis) for axis, size in enumerate(node.shape(0)) if size == 1])
    if is_empty or not narrow:
        return barrier("Squeeze without axes removes a chunked axis of length 1")
    patch = Patch("axes" if node.op.version < 13 else 1, narrow)
    return Rule(tuple([replace(factor, patches=(patch,)) for factor in factors]))


@rule("Expand", since=8)
def expand(node: Node) -> Answer:
    """The target shape is rewritten for each chunk; axes that only the result has are cut there alone."""
    return Notation("..., () -> ...", sizes={1: 0})


@rule("Tile", since=6)
def tile(node: Node) -> Answer:
    """A repeated axis is the inner factor of its result, the repeats are the outer one."""
    shape, result = node.shape(0), node.results[0] or ()
    words = names(len(shape))
    repeats = [after // before for before, after in zip(shape, result, strict=True)]
    tiled = [f"(r{word}={times} {word})" for word, times in zip(words, repeats, strict=True)]
    patches = {f"r{word}": (Patch(1, _counted(repeats, axis)),) for axis, word in enumerate(words)}
    return Notation(f"{term(words)}, () -> {term(tiled)}", patches=patches)


def _counted(repeats: Sequence[int], axis: int) -> tuple[Linear, ...]:
    """As many repeats along one axis as a chunk has."""
    return tuple([Linear(stop=1, start=-1) if i == axis else Linear(n) for i, n in enumerate(repeats)])


def _regrouped(node: Node) -> tuple[Factor, ...]:
    left, right = node.shape(0), node.results[0] or ()
    others: tuple[Place | None, ...] = (None,) * (len(node.operands) - 1)
    return tuple(
        Factor(f"a{index}", extent, (_place(left, start, extent), *others), (_place(right, start, extent),))
        for index, (start, extent) in enumerate(common_factors(left, right))
    )


def _place(shape: Shape, start: int, extent: int) -> Place:
    """Where a factor lies whose steps begin after `start` outer ones of the whole value."""
    before = 1
    for axis, size in enumerate(shape):
        if before * size > start:
            return Place(axis, start // before, before * size // (start * extent))
        before *= size
    raise RuleError(f"a factor of {extent} after {start} is not in {shape}")


def common_factors(left: Shape, right: Shape) -> tuple[tuple[int, int], ...]:
    """(product of all extents to its left, extent) of every factor that lies inside one axis of both shapes.

    Where two axes have no common divisor, everything up to the next agreement of the running products is
    regrouped, and only factors at the right end of that block remain.
    """
    if 0 in left or 0 in right:
        return ()
    a, b = ([size for size in reversed(shape) if size > 1] for shape in (left, right))
    found: list[tuple[int, int]] = []
    start = 1
    while a and b:
        extent = gcd(a[-1], b[-1])
        if extent > 1:
            found.append((start, extent))
            start *= extent
            _shrink(a, extent)
            _shrink(b, extent)
        else:
            block_a, block_b = _regrouped_block(a, b)
            end = start * prod(block_a)
            found += _minor_factors(block_a, block_b, end)
            start = end
    return tuple(found)


def _shrink(sizes: list[int], extent: int) -> None:
    sizes[-1] //= extent
    if sizes[-1] == 1:
        sizes.pop()


def _regrouped_block(a: list[int], b: list[int]) -> tuple[list[int], list[int]]:
    """Take axes from both until their products agree."""
    block_a, block_b = [a.pop()], [b.pop()]
    while (left := prod(block_a)) != (right := prod(block_b)):
        if left < right:
            block_a.append(a.pop())
        else:
            block_b.append(b.pop())
    return block_a, block_b


def _minor_factors(a: list[int], b: list[int], end: int) -> list[tuple[int, int]]:
    """Common factors at the right end of a block, major first."""
    found: list[tuple[int, int]] = []
    while a and b and (extent := gcd(a[-1], b[-1])) > 1:
        end //= extent
        found.insert(0, (end, extent))
        _shrink(a, extent)
        _shrink(b, extent)
    return found
