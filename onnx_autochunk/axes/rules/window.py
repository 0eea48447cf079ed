"""Operators that look through a window along the space axes.

A space axis passes when its windows do not overlap and fill it exactly (1x1 convolutions, patches, 2x2 pooling, nearest
enlargement by whole numbers): `Conv(kernel=16, stride=16)`: `n c+ (h kh=16!)`, otherwise it is needed whole.

Source: https://onnx.ai/onnx/operators/onnx__Conv.html, onnx__MaxPool.html, onnx__Resize.html
"""

from __future__ import annotations

from onnx_autochunk.axes.notation import Shape
from onnx_autochunk.axes.registry import Answer, Node, barrier, rule
from onnx_autochunk.axes.rules.words import names, term


def _space(node: Node, kernel: Shape) -> tuple[list[str], list[str]]:
    """Words of the space axes of the input and of the result."""
    before, after = node.shape(0)[2:], (node.results[0] or ())[2:]
    rank = len(kernel)
    strides, dilations = node.ints("strides") or (1,) * rank, node.ints("dilations") or (1,) * rank
    padded = any(node.ints("pads") or ()) or node.text("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    inputs, results = [], []
    for axis, (size, step, gap) in enumerate(zip(kernel, strides, dilations, strict=True)):
        tiles = not padded and size == step and (gap == 1 or size == 1) and before[axis] == after[axis] * size
        inputs.append(f"(s{axis} t{axis}={size}!)" if tiles and size > 1 else f"s{axis}" if tiles else f"s{axis}!")
        results.append(f"s{axis}" if tiles else f"r{axis}!")
    return inputs, results


@rule("Conv ConvInteger")
def conv(node: Node) -> Answer:
    """Results channels pass unless grouped; input channels are summed when no bias would be added each time."""
    kernel = node.shape(1)[2:]
    space, out = _space(node, kernel)
    taps = [f"t{axis}!" for axis in range(len(kernel))]
    grouped = node.int("group", 1) > 1
    if node.op.type == "ConvInteger":
        return f"{term(['n', 'c!', *space])}, {term(['o!', 'd!', *taps])}, (), () -> {term(['n', 'o', *out])}"
    if grouped:
        return f"{term(['n', 'c!', *space])}, {term(['o!', 'd!', *taps])}, o -> {term(['n', 'o', *out])}"
    channels = "c!" if node.has(2) else "c+"
    return f"{term(['n', channels, *space])}, {term(['o', 'c', *taps])}, o -> {term(['n', 'o', *out])}"


@rule("ConvTranspose")
def conv_transpose(node: Node) -> Answer:
    """Windows overlap in the result, so space is whole; the weight is (input channels, result channels, ...)."""
    rank = len(node.shape(0)) - 2
    space, taps, out = ([f"{word}!" for word in names(rank, prefix)] for prefix in "stu")
    if node.int("group", 1) > 1:
        return f"{term(['n', 'c!', *space])}, {term(['d!', 'o!', *taps])}, p! -> {term(['n', 'p', *out])}"
    channels = "c!" if node.has(2) else "c+"
    return f"{term(['n', channels, *space])}, {term(['c', 'o', *taps])}, o -> {term(['n', 'o', *out])}"


@rule("MaxPool AveragePool LpPool")
def pool(node: Node) -> Answer:
    """Batch and channels are independent; MaxPool's indices count through the whole value."""
    if node.gives(1):
        return barrier("MaxPool gives indices into the whole value")
    space, out = _space(node, node.ints("kernel_shape") or ())
    return f"{term(['n', 'c', *space])} -> {term(['n', 'c', *out])}"


@rule("GlobalAveragePool GlobalMaxPool GlobalLpPool")
def global_pool(node: Node) -> Answer:
    """Space shrinks to size 1."""
    return f"n c ...! -> {term(['n', 'c', *['1'] * (len(node.shape(0)) - 2)])}"


@rule("Resize", since=11)
def resize(node: Node) -> Answer:
    """With `sizes`, these are rewritten for each chunk; with `scales`, they stay."""
    if node.text("coordinate_transformation_mode", "half_pixel") in ("tf_crop_and_resize", "tf_half_pixel_for_nn"):
        return barrier("Resize shifts coordinates")
    if node.ints("axes") is not None or node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        return barrier("Resize of listed axes or with a kept aspect ratio")
    if node.has(3):
        return _enlarged(node, ()), {3: 0}
    return _enlarged(node, node.numbers(2))


@rule("Upsample Resize", since=9, until=11)
def upsample(node: Node) -> Answer:
    """The older form: coordinates i / n, rounded down."""
    return _enlarged(node, node.numbers(1))


def _enlarged(node: Node, scales: tuple[float, ...] | None) -> Answer:
    """Axes that keep their size pass, and those enlarged by a whole number when elements are just copied.

    Args:
        scales: () when they follow from the sizes, None when unknown.
    """
    if scales is None:
        return barrier(f"the scales of {node.op.type} are unknown")
    before, after = node.shape(0), node.results[0] or ()
    copies = node.text("mode", "nearest") == "nearest" and _copies(node)
    inputs, results = [], []
    for axis, (small, large) in enumerate(zip(before, after, strict=True)):
        times, rest = divmod(large, small)
        passes = not rest and (times == 1 or copies) and (not scales or scales[axis] == times)
        inputs.append(f"a{axis}" if passes else f"a{axis}!")
        results.append(f"b{axis}!" if not passes else f"(a{axis} t{axis}={times}!)" if times > 1 else f"a{axis}")
    return f"{', '.join([term(inputs), *['()'] * (len(node.operands) - 1)])} -> {term(results)}"


def _copies(node: Node) -> bool:
    """True when enlarging by a whole number n takes element i // n whatever the length."""
    old = node.op.version < 11
    where = node.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    rounding = node.text("nearest_mode", "floor" if old else "round_prefer_floor")
    if where == "asymmetric":
        return rounding == "floor"
    return where == "half_pixel" and rounding.startswith("round")
