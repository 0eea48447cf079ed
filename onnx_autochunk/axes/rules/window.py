"""Operators that look through a window along the space axes.

A space axis passes when its windows do not overlap and fill it exactly (1x1 convolutions, patches, 2x2
pooling, nearest enlargement by whole numbers); otherwise it is needed whole:

    Conv(kernel=16, stride=16): n c+ (s0 t0=16!), o c t0! -> n o s0

Source: https://onnx.ai/onnx/operators/onnx__Conv.html, onnx__MaxPool.html, onnx__Resize.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx_autochunk.axes.factor import Linear, Patch, Window
from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule
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

    def notation(self, text: str) -> Notation:
        """A rule string that uses the words."""
        return Notation(text, windows=self.windows, patches=self.patches)


def space_of(node: Node, kernel: Shape) -> Space:
    """Read strides, dilations and padding."""
    before, after = node.shape(0)[2:], (node.results[0] or ())[2:]
    rank = len(kernel)
    steps, gaps = node.integers("strides") or (1,) * rank, node.integers("dilations") or (1,) * rank
    spans = [(size - 1) * gap + 1 for size, gap in zip(kernel, gaps, strict=True)]
    pads = _pads(node, before, after, steps, spans)
    words, windows, patches = names(rank, "s"), {}, {}
    inputs, results = [], []
    for axis, word in enumerate(words):
        step, span = steps[axis], spans[axis]
        if (
            pads[axis] == pads[rank + axis] == 0
            and kernel[axis] == span == step
            and before[axis] == after[axis] * span
        ):
            inputs.append(f"({word} t{axis}={span}!)" if span > 1 else word)
        else:
            inputs.append(f"{word}~")
            windows[word] = Window(before[axis], step, pads[axis], span)
            patches[word] = _padding(windows[word], axis, pads)
        results.append(word)
    return Space(tuple(inputs), tuple(results), windows, patches)


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
    """All pads as numbers, those of the axis from what the chunk's windows lack."""
    numbers = [Linear(pad) for pad in pads]
    numbers[axis] = Linear(window.before, start=-window.step, first=1)
    numbers[len(pads) // 2 + axis] = Linear(window.after, stop=window.step, last=-1)
    return Patch("pads", tuple(numbers)), Patch("auto_pad", None)


@rule("Conv")
def conv(node: Node) -> Answer:
    """Result channels pass unless grouped; input channels are summed when no bias is added each time."""
    space = space_of(node, node.shape(1)[2:])
    values, result = term(["n", "?", *space.inputs]), term(["n", "o", *space.results])
    taps = _taps(node)
    if node.integer("group", 1) > 1:
        return space.notation(f"{values.replace('?', 'c!')}, {term(['o!', 'd!', *taps])}, o -> {result}")
    values = values.replace("?", "c!" if node.has(2) else "c+")
    return space.notation(f"{values}, {term(['o', 'c', *taps])}, o -> {result}")


@rule("ConvInteger")
def conv_integer(node: Node) -> Answer:
    """Conv with one zero point for the values and one, or one a channel, for the weights."""
    space = space_of(node, node.shape(1)[2:])
    points = node.operands[3] if node.has(3) else ()
    point = "o" if points and points != (1,) else "()"
    values, weight = ("c!", "o! d!") if node.integer("group", 1) > 1 else ("c+", "o c")
    operands = f"{term(['n', values, *space.inputs])}, {term([weight, *_taps(node)])}, (), {point}"
    return space.notation(f"{operands} -> {term(['n', 'o', *space.results])}")


def _taps(node: Node) -> list[str]:
    return [f"{word}!" for word in names(len(node.shape(1)) - 2, "t")]


@rule("ConvTranspose")
def conv_transpose(node: Node) -> Answer:
    """Windows overlap in the result, so space is whole; weights are (input, result channels, ...)."""
    rank = len(node.shape(0)) - 2
    space, taps, out = ([f"{word}!" for word in names(rank, prefix)] for prefix in "stu")
    if node.integer("group", 1) > 1:
        return f"{term(['n', 'c!', *space])}, {term(['d!', 'o!', *taps])}, p! -> {term(['n', 'p!', *out])}"
    channels = "c!" if node.has(2) else "c+"
    return f"{term(['n', channels, *space])}, {term(['c', 'o', *taps])}, o -> {term(['n', 'o', *out])}"


@rule("MaxPool AveragePool LpPool")
def pool(node: Node) -> Answer:
    """Batch and channels are independent; MaxPool's indices count through the whole value."""
    if node.gives(1):
        return barrier("MaxPool gives indices into the whole value")
    if node.integer("count_include_pad", 0) and node.integer("ceil_mode", 0):
        return (
            term(["n", "c", *(f"{word}!" for word in names(len(node.shape(0)) - 2, "s"))])
            + " -> "
            + term(["n", "c", *(f"{word}!" for word in names(len(node.shape(0)) - 2, "r"))])
        )
    space = space_of(node, node.integers("kernel_shape") or ())
    return space.notation(f"{term(['n', 'c', *space.inputs])} -> {term(['n', 'c', *space.results])}")


@rule("GlobalAveragePool GlobalMaxPool GlobalLpPool")
def global_pool(node: Node) -> Answer:
    """Space shrinks to size 1; maxima combine."""
    mark = "^" if node.op.type == "GlobalMaxPool" else "!"
    return f"n c ...{mark} -> {term(['n', 'c', *['1'] * (len(node.shape(0)) - 2)])}"


@rule("GridSample", since=16)
def grid_sample(node: Node) -> Answer:
    """Every point of the grid may look anywhere in its image."""
    rank = len(node.shape(0)) - 2
    space, points = [f"{word}!" for word in names(rank, "s")], names(rank, "p")
    return f"{term(['n', 'c', *space])}, {term(['n', *points, 'd!'])} -> {term(['n', 'c', *points])}"


@rule("RoiAlign")
def roi_align(node: Node) -> Answer:
    """Every region may look at any image of the batch."""
    return "n! c h! w!, r f!, r -> r c u! v!"


@rule("Resize", since=11)
def resize(node: Node) -> Answer:
    """With `sizes`, these are rewritten for each chunk; with `scales`, they stay."""
    if node.text("coordinate_transformation_mode", "half_pixel") in (
        "tf_crop_and_resize",
        "tf_half_pixel_for_nn",
    ):
        return barrier("Resize shifts coordinates")
    if node.integers("axes") is not None or node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        return barrier("Resize of listed axes or with a kept aspect ratio")
    if node.has(3):
        return Notation(_enlarged(node, None), sizes={3: 0})
    scales = node.numbers(2)
    return barrier("the scales of Resize are unknown") if scales is None else _enlarged(node, scales)


@rule("Upsample Resize", since=9, until=11)
def upsample(node: Node) -> Answer:
    """The older form: coordinates i / n, rounded down."""
    scales = node.numbers(1)
    return barrier(f"the scales of {node.op.type} are unknown") if scales is None else _enlarged(node, scales)


def _enlarged(node: Node, scales: tuple[float, ...] | None) -> str:
    """Axes that keep their size pass, and those enlarged by a whole number when elements are just copied.

    The scales are None when they follow from the sizes.
    """
    before, after = node.shape(0), node.results[0] or ()
    copies = node.text("mode", "nearest") == "nearest" and _copies(node)
    inputs, results = [], []
    for axis, (small, large) in enumerate(zip(before, after, strict=True)):
        times, rest = divmod(large, small)
        scale = times if scales is None else scales[axis]
        if rest or scale != times or not (times == 1 or copies):
            inputs.append(f"a{axis}!")
            results.append(f"b{axis}!")
        else:
            inputs.append(f"a{axis}")
            results.append(f"(a{axis} t{axis}={times}!)" if times > 1 else f"a{axis}")
    return f"{', '.join([term(inputs), *['()'] * (len(node.operands) - 1)])} -> {term(results)}"


def _copies(node: Node) -> bool:
    """True when enlarging by a whole number n takes element i // n whatever the length."""
    old = node.op.version < 11
    where = node.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    rounding = node.text("nearest_mode", "floor" if old else "round_prefer_floor")
    if where == "asymmetric":
        return rounding == "floor"
    return where == "half_pixel" and rounding.startswith("round")
