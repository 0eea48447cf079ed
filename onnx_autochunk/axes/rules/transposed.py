"""Operators whose windows overlap in the result: each step of an input adds to a few steps of the result.

    ConvTranspose(kernel=4, stride=2, pads=1): n c+ s0~, c o t0! -> n o (s0 u0=2!)

Source: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html, onnx__Col2Im.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from onnx_autochunk.axes.factor import Linear, Patch, Window
from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule
from onnx_autochunk.axes.rules.window import GROUPS, in_channels, reaches, reads_something, steps_and_gaps
from onnx_autochunk.axes.rules.words import names, term


@dataclass(frozen=True, slots=True)
class _Spread:
    """One space axis: element i of the input adds to [i * step - front, i * step - front + span).

    Attributes:
        more: elements that the operator appends to the result, `output_padding`.
    """

    size: int
    result: int
    step: int
    span: int
    front: int
    behind: int
    more: int

    @property
    def window(self) -> Window:
        """What result elements [s * step, t * step) get something from, in steps of the input.

        Wide enough for the paddings of a chunk not to become negative.
        """
        before = max((self.span - 1 - self.front) // self.step, -(self.front // self.step))
        short = self.front - self.span - self.more
        after = max((self.front - 1) // self.step, -(-short // self.step)) + 1
        return Window(self.size, 1, before, before + 1 + after)

    @property
    def passes(self) -> bool:
        """True when the result is a whole number of strides, as long as its padding says."""
        full = (self.size - 1) * self.step + self.span + self.more
        steps, left = divmod(self.result, self.step)
        agrees = full - self.front - self.behind == self.result
        return agrees and not left and reads_something(self.window, steps)

    def padding(self) -> tuple[Linear, Linear]:
        """Elements to cut off in front and behind of what the inputs of a chunk add up to."""
        base = self.span - self.step - self.front + self.more
        front = Linear(self.front, start=self.step, first=-self.step)
        return front, Linear(base, stop=-self.step, last=self.step)


@rule("ConvTranspose")
def conv_transpose(node: Node) -> Answer:
    """As Conv, with the result in units of the stride; weights are (input, result channels, ...)."""
    spreads = _spreads(node)
    words = names(len(spreads), "s")
    inputs, results, taps = [], [], [f"{word}!" for word in names(len(spreads), "t")]
    for axis, (word, spread) in enumerate(zip(words, spreads, strict=True)):
        inputs.append(f"{word}~" if spread.passes else f"{word}!")
        results.append(f"({word} u{axis}={spread.step}!)" if spread.passes else f"u{axis}!")
    values = term(["n", in_channels(node, added=node.has(2)), *inputs])
    text = f"{values}, {term(['(g c)', 'o', *taps])}, (g o) -> {term(['n', '(g o)', *results])}"
    passing = [axis for axis, spread in enumerate(spreads) if spread.passes]
    windows = {words[axis]: spreads[axis].window for axis in passing}
    patches = {words[axis]: _patches(spreads, axis) for axis in passing}
    return Notation(text, windows=windows, patches={**patches, **GROUPS})


def _patches(spreads: list[_Spread], axis: int) -> tuple[Patch, ...]:
    front, behind = (
        [Linear(spread.front) for spread in spreads],
        [Linear(spread.behind) for spread in spreads],
    )
    front[axis], behind[axis] = spreads[axis].padding()
    return Patch("pads", (*front, *behind)), Patch("auto_pad", None), Patch("output_shape", None)


def _spreads(node: Node) -> list[_Spread]:
    before, after, kernel = node.shape(0)[2:], (node.results[0] or ())[2:], node.shape(1)[2:]
    rank = len(kernel)
    steps, gaps = steps_and_gaps(node, rank)
    spans, more = reaches(kernel, gaps), node.integers("output_padding") or (0,) * rank
    axes = list(zip(before, after, steps, spans, more, strict=True))
    given, kind = node.integers("pads"), node.text("auto_pad", "NOTSET")
    pads = given or (0,) * 2 * rank
    if node.integers("output_shape") is not None or (given is None and kind.startswith("SAME")):
        pads = _cut_to_fit(axes, kind)
    edges = zip(pads[:rank], pads[rank:], strict=True)
    return [
        _Spread(size, result, step, span, front, behind, extra)
        for (size, result, step, span, extra), (front, behind) in zip(axes, edges, strict=True)
    ]


def _cut_to_fit(axes: Iterable[tuple[int, int, int, int, int]], kind: str) -> tuple[int, ...]:
    """The paddings that make the result as long as it is; an odd one goes to the front, SAME_UPPER behind."""
    total = [max(0, (size - 1) * step + span + more - result) for size, result, step, span, more in axes]
    front = [pad // 2 if kind == "SAME_UPPER" else (pad + 1) // 2 for pad in total]
    return (*front, *(pad - lead for pad, lead in zip(total, front, strict=True)))


@rule("Col2Im")
def col_to_im(node: Node) -> Answer:
    """Blocks of every channel are added up; where they lie side by side, rows of blocks pass."""
    image, block = node.known(1), node.known(2)
    if block is None:
        return barrier("the block of Col2Im is unknown")
    words = names(len(block), "s")
    if image is None or not _side_by_side(node, image, block):
        return f"n (c k!) l!, (), () -> {term(['n', 'c', *(f'{word}!' for word in words)])}"
    taps = [f"t{axis}={size}!" for axis, size in enumerate(block)]
    extents = [size // step for size, step in zip(image, block, strict=True)]
    places = " ".join(f"{word}={extent}" for word, extent in zip(words, extents, strict=True))
    space = [f"({word} {tap})" for word, tap in zip(words, taps, strict=True)]
    patches = {word: (Patch(1, _resized(image, axis, block[axis])),) for axis, word in enumerate(words)}
    text = f"n (c {' '.join(taps)}) ({places}), (), () -> {term(['n', 'c', *space])}"
    return Notation(text, patches=patches)


def _side_by_side(node: Node, image: tuple[int, ...], block: tuple[int, ...]) -> bool:
    steps, gaps = steps_and_gaps(node, len(block))
    filled = all(size % step == 0 for size, step in zip(image, block, strict=True))
    return filled and steps == block and set(gaps) == {1} and not any(node.integers("pads") or ())


def _resized(shape: tuple[int, ...], axis: int, unit: int) -> tuple[Linear, ...]:
    """The shape with so many elements for each step of a chunk along one axis."""
    return tuple([Linear(stop=unit, start=-unit) if i == axis else Linear(n) for i, n in enumerate(shape)])
