"""Operators that take away from the ends of an axis, or add to them.

A touched axis is seen through a window of one element, and its bounds are rewritten for what a chunk reads:

    Slice [2:9]: a0~ a1 -> a0 a1        rows [s, t) are [0 : t - s] of the rows [2 + s, 2 + t)

Source: https://onnx.ai/onnx/operators/onnx__Slice.html, onnx__Pad.html, onnx__CenterCropPad.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from onnx_autochunk.axes.factor import Linear, Patch, Window
from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule
from onnx_autochunk.axes.rules.words import names, term

READ = Linear(first=-1, last=1)
LENGTH = Linear(start=-1, stop=1)


def _cut(
    node: Node,
    whole: Collection[int],
    windows: Mapping[int, Window],
    patches: Mapping[int, tuple[Patch, ...]],
) -> Notation:
    """The rule where some axes are needed whole, some are seen through a window and the others copied."""
    words = names(len(node.shape(0)))
    before, after = list(words), list(words)
    for axis, word in enumerate(words):
        if axis in whole:
            before[axis], after[axis] = f"{word}!", f"b{axis}!"
        elif axis in windows:
            before[axis] = f"{word}~"
    operands = [term(before), *["()"] * (len(node.operands) - 1)]
    return Notation(
        f"{', '.join(operands)} -> {term(after)}",
        windows={words[axis]: window for axis, window in windows.items()},
        patches={words[axis]: patch for axis, patch in patches.items()},
    )


def _numbers(fixed: Sequence[int], changed: Mapping[int, Linear]) -> tuple[Linear, ...]:
    """A vector of which some entries depend on the chunk."""
    return tuple([changed.get(index, Linear(number)) for index, number in enumerate(fixed)])


@dataclass(frozen=True, slots=True)
class _Bounds:
    """`[start:end:step]` of one axis as they are given."""

    start: int
    end: int
    step: int

    def takes_all(self, size: int) -> bool:
        """True for `[0:]`, `[-9:9]` and their like, which take all of a shorter chunk too."""
        return self.step == 1 and (self.start == 0 or self.start <= -size) and self.end >= size

    def window(self, size: int) -> Window:
        """Element i of the result is element start + i * step."""
        start = min(max(self.start + size if self.start < 0 else self.start, 0), size)
        return Window(size, self.step, -start)


@rule("Slice")
def cut_out(node: Node) -> Answer:
    """Steps may be longer than one; backwards, the axis is reversed and needed whole."""
    shape = node.shape(0)
    by_operand = node.op.version >= 10
    starts, ends = (node.known(i + 1) if by_operand else node.integers(("starts", "ends")[i]) for i in (0, 1))
    axes = _axes(node, 3, len(shape), node.shape(1)[0] if by_operand else len(starts or ()))
    if axes is None:
        return barrier("the axes of Slice are unknown")
    steps = node.known(4) if node.has(4) else (1,) * len(axes)
    if starts is None or ends is None or steps is None:
        return _cut(node, axes, {}, {})
    bounds = dict(zip(axes, map(_Bounds, starts, ends, steps), strict=True))
    touched = {axis: cut for axis, cut in bounds.items() if not cut.takes_all(shape[axis])}
    forward = {axis: cut for axis, cut in touched.items() if cut.step > 0}
    targets: tuple[int | str, int | str] = (1, 2) if by_operand else ("starts", "ends")
    patches = {
        axis: (
            Patch(targets[0], _numbers(starts, {axes.index(axis): Linear(0)})),
            Patch(targets[1], _numbers(ends, {axes.index(axis): READ})),
        )
        for axis in forward
    }
    windows = {axis: cut.window(shape[axis]) for axis, cut in forward.items()}
    return _cut(node, touched.keys() - forward.keys(), windows, patches)


def _axes(node: Node, operand: int, rank: int, count: int) -> tuple[int, ...] | None:
    """The axes that are listed, by default the first ones; None if unknown."""
    given = node.known(operand) if node.has(operand) else node.integers("axes")
    if node.has(operand) and given is None:
        return None
    return tuple([axis % rank for axis in (range(count) if given is None else given)])


@rule("Pad")
def pad(node: Node) -> Answer:
    """Constants are put wherever a chunk meets the ends; other modes copy from inside, from anywhere."""
    rank = len(node.shape(0))
    axes = _axes(node, 3, rank, rank)
    if axes is None:
        return barrier("the axes of Pad are unknown")
    amounts = node.integers("pads") if node.op.version < 11 else node.known(1)
    if amounts is None:
        return _cut(node, axes, {}, {})
    count = len(axes)
    both = {axis: (amounts[i], amounts[count + i]) for i, axis in enumerate(axes)}
    touched = {axis: ends for axis, ends in both.items() if ends != (0, 0)}
    constant = node.text("mode", "constant") == "constant"
    passing = {axis: ends for axis, ends in touched.items() if constant or max(ends) <= 0}
    target = "pads" if node.op.version < 11 else 1
    patches = {
        axis: (Patch(target, _numbers(amounts, _amounts(axes.index(axis), count, before))),)
        for axis, (before, _) in passing.items()
    }
    windows = {axis: _padded(node.shape(0)[axis], *ends) for axis, ends in passing.items()}
    return _cut(node, touched.keys() - passing.keys(), windows, patches)


def _padded(size: int, before: int, after: int) -> Window:
    """Element i of the result is element i - before.

    A chunk that lies in the padding alone reads the nearest elements and takes them away again.
    """
    ahead, behind = max(after, 0), max(before, 0)
    return Window(size, 1, before + ahead, 1 + ahead + behind)


def _amounts(index: int, count: int, before: int) -> dict[int, Linear]:
    """What [first, last) lacks of the elements [start - before, stop - before)."""
    return {index: Linear(before, start=-1, first=1), count + index: Linear(-before, stop=1, last=-1)}


@rule("CenterCropPad")
def center_crop_pad(node: Node) -> Answer:
    """A chunk of a cropped axis is cropped already; one of a padded axis would be padded on both sides."""
    before, after = node.shape(0), node.results[0] or ()
    rank = len(before)
    axes = tuple([axis % rank for axis in node.integers("axes") or range(rank)])
    padded = {axis for axis in axes if after[axis] > before[axis]}
    cropped = [axis for axis in axes if after[axis] < before[axis]]
    sizes = [after[axis] for axis in axes]
    windows = {axis: Window(before[axis], 1, -((before[axis] - after[axis]) // 2)) for axis in cropped}
    patches = {axis: (Patch(1, _numbers(sizes, {i: LENGTH})),) for i, axis in enumerate(axes)}
    return _cut(node, padded, windows, patches)
