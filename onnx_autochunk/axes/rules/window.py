"""Convolutions: each step of a space axis looks at a few neighbours.

A space axis is cut with a halo, and the padding of a chunk is what its windows lack at the edges. Where the
windows do not overlap and fill the axis (1x1 convolutions, patches) there is no halo:

    Conv(kernel=3, pads=1): n c+ s0~, o c t0! -> n o s0
    Conv(kernel=16, stride=16): n c+ (s0 t0=16!), o c t0! -> n o s0

Source: https://onnx.ai/onnx/operators/onnx__Conv.html, onnx__DeformConv.html, onnx__CausalConvWithState.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx_autochunk.axes.factor import Linear, Patch, Window
from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, Notation, rule
from onnx_autochunk.axes.rules.words import names, term


@dataclass(frozen=True, slots=True)
class Space:
    """The space axes of a convolution or pool.

    Attributes:
        inputs: words of the input's axes.
        results: words of the result's axes.
        windows: by name, for those that are seen through one.
        patches: the padding of a chunk, by name: what its windows lack at the edges of the input.
    """

    inputs: tuple[str, ...]
    results: tuple[str, ...]
    windows: Mapping[str, Window]
    patches: Mapping[str, tuple[Patch, ...]]

    def notation(self, text: str, more: Mapping[str, tuple[Patch, ...]] | None = None) -> Notation:
        """A rule string that uses the words."""
        return Notation(text, windows=self.windows, patches={**self.patches, **(more or {})})


def space_of(node: Node, kernel: Shape) -> Space:
    """Read strides, dilations and padding."""
    before, after = node.shape(0)[2:], (node.results[0] or ())[2:]
    rank = len(kernel)
    steps, gaps = steps_and_gaps(node, rank)
    spans = reaches(kernel, gaps)
    pads = _pads(node, before, after, steps, spans)
    windows: dict[str, Window] = {}
    patches: dict[str, tuple[Patch, ...]] = {}
    inputs, results = [], names(rank, "s")
    for axis, word in enumerate(results):
        step, span = steps[axis], spans[axis]
        if kernel[axis] == span == step and pads[axis] == 0 and before[axis] == after[axis] * span:
            inputs.append(f"({word} t{axis}={span}!)" if span > 1 else word)
            continue
        window = Window(before[axis], step, pads[axis], span)
        if reads_something(window, after[axis]):
            inputs.append(f"{word}~")
            windows[word], patches[word] = window, _padding(window, axis, pads)
        else:  # some windows lie in the padding alone
            inputs.append(f"i{axis}!")
            results[axis] = f"{word}!"
    return Space(tuple(inputs), tuple(results), windows, patches)


def steps_and_gaps(node: Node, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The strides and dilations."""
    return node.integers("strides") or (1,) * rank, node.integers("dilations") or (1,) * rank


def reaches(kernel: Shape, gaps: Sequence[int]) -> list[int]:
    """How far a kernel reaches along every axis when its taps are that far apart."""
    return [(size - 1) * gap + 1 for size, gap in zip(kernel, gaps, strict=True)]


def reads_something(window: Window, extent: int) -> bool:
    """True when no step's window lies outside of the operand: not all operators take an empty one."""
    first, last = window.reach(0, 1), window.reach(extent - 1, extent)
    return first[0] < first[1] and last[0] < last[1]


def _pads(node: Node, before: Shape, after: Shape, steps: Shape, spans: Sequence[int]) -> tuple[int, ...]:
    """Padding in front of every axis, then behind; `auto_pad` written out."""
    kind = node.text("auto_pad", "NOTSET")
    if kind in ("NOTSET", "VALID"):
        given = node.integers("pads") if kind == "NOTSET" else None
        return given or (0,) * 2 * len(spans)
    total = [
        max(0, (out - 1) * step + span - size)
        for size, out, step, span in zip(before, after, steps, spans, strict=True)
    ]
    front = [(pad + 1) // 2 if kind == "SAME_LOWER" else pad // 2 for pad in total]
    return (*front, *(pad - lead for pad, lead in zip(total, front, strict=True)))


def _padding(window: Window, axis: int, pads: tuple[int, ...]) -> tuple[Patch, ...]:
    """All pads as numbers, those of the axis from what the chunk's windows lack.

    What they lack behind is at most the padding: a last window that `ceil_mode` lets hang over reads less.
    """
    numbers = [Linear(pad) for pad in pads]
    behind = len(pads) // 2 + axis
    numbers[axis] = Linear(window.before, start=-window.step, first=1)
    numbers[behind] = Linear(window.after, stop=window.step, last=-1, most=pads[behind])
    return Patch("pads", tuple(numbers)), Patch("auto_pad", None)


GROUPS = {"g": (Patch("group", Linear(stop=1, start=-1)),)}
"""A chunk of groups is a convolution of so many groups."""


def in_channels(node: Node, *, added: bool) -> str:
    """The word for channels in groups: partial sums over c, when nothing is added to each (a bias)."""
    return f"(g={node.integer('group', 1)} c{'!' if added else '+'})"


@rule("Conv")
def conv(node: Node) -> Answer:
    """Groups, and channels of the result in each, pass; input channels are summed."""
    space = space_of(node, node.shape(1)[2:])
    values = term(["n", in_channels(node, added=node.has(2)), *space.inputs])
    result = term(["n", "(g o)", *space.results])
    return space.notation(f"{values}, {term(['(g o)', 'c', *_taps(node)])}, (g o) -> {result}", GROUPS)


@rule("ConvInteger")
def conv_integer(node: Node) -> Answer:
    """Conv with one zero point for the values and one, or one a channel, for the weights."""
    space = space_of(node, node.shape(1)[2:])
    points = node.operands[3] if node.has(3) else ()
    point = "(g o)" if points and points != (1,) else "()"
    values = term(["n", in_channels(node, added=False), *space.inputs])
    operands = f"{values}, {term(['(g o)', 'c', *_taps(node)])}, (), {point}"
    return space.notation(f"{operands} -> {term(['n', '(g o)', *space.results])}", GROUPS)


def _taps(node: Node) -> list[str]:
    return [f"{word}!" for word in names(len(node.shape(1)) - 2, "t")]


@rule("DeformConv")
def deform_conv(node: Node) -> Answer:
    """The offsets may point anywhere, and count from the place of the window: space is whole.

    Groups pass when all share the offsets, or each has its own.
    """
    group, offsets = node.integer("group", 1), node.integer("offset_group", 1)
    own = offsets == group > 1
    patches = (*GROUPS["g"], Patch("offset_group", Linear(stop=1, start=-1))) if own else GROUPS["g"]
    channels = in_channels(node, added=node.has(3))
    if offsets not in (1, group):
        channels = f"(g={group}! c!)"
    turns, weights = ("(g d!)", "(g e!)") if own else ("d!", "e!")
    values, weight = f"n {channels} h! w!", "(g o) c t0! t1!"
    operands = f"{values}, {weight}, n {turns} r! q!, (g o), n {weights} r! q!"
    return Notation(f"{operands} -> n (g o) r q", patches={"g": patches})


@rule("CausalConvWithState")
def causal_conv(node: Node) -> Answer:
    """Steps before a chunk are read as well and cut off: only the very first see the state."""
    taps = node.shape(1)[2]
    if node.gives(1):  # the last inputs are handed on
        return "n c l!, c 1 k!, c, n c s -> n c l, n c s!"
    window = Window(node.shape(0)[2], before=taps - 1, span=taps)
    return Notation("n c l~, c 1 k!, c, n c s! -> n c l", windows={"l": window}, crops=["l"])
