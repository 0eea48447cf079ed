"""Operators that move, join or cut axes.

    Transpose(perm=[0, 2, 1]): a0 a1 a2 -> a0 a2 a1        Concat(axis=1): a0 b0! a2, a0 b1! a2 -> a0 c! a2

Source: https://onnx.ai/onnx/operators/onnx__Concat.html, onnx__Slice.html, onnx__Pad.html and their like
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule
from onnx_autochunk.axes.rules.words import marked, names, term


@rule("Transpose")
def transpose(node: Node) -> Answer:
    """The default reverses the axes."""
    words = names(len(node.shape(0)))
    order = node.integers("perm")
    moved = words[::-1] if order is None else [words[axis] for axis in order]
    return f"{term(words)} -> {term(moved)}"


@rule("Concat", since=4)
def concat(node: Node) -> Answer:
    """The joined axis is whole; all others run in parallel."""
    words = names(len(node.shape(0)))
    axis = node.axis(0, len(words))
    terms = [_with(words, axis, f"b{index}!") for index in range(len(node.operands))]
    return f"{', '.join(terms)} -> {_with(words, axis, 'c!')}"


@rule("Split")
def split(node: Node) -> Answer:
    """The mirror image of Concat; the lengths are an operand since opset 13."""
    words = names(len(node.shape(0)))
    axis = node.axis(0, len(words))
    terms = [_with(words, axis, f"b{index}!") for index in range(len(node.results))]
    return f"{_with(words, axis, 'c!')}, () -> {', '.join(terms)}"


def _with(words: list[str], axis: int, word: str) -> str:
    return term([*words[:axis], word, *words[axis + 1 :]])


def _cut(node: Node, touched: set[int]) -> str:
    """Untouched axes pass, touched ones change their extent and are whole; no other operand is sliced."""
    words = names(len(node.shape(0)))
    operands = [term(marked(words, touched)), *["()"] * (len(node.operands) - 1)]
    after = [f"b{axis}!" if axis in touched else word for axis, word in enumerate(words)]
    return f"{', '.join(operands)} -> {term(after)}"


@rule("Slice")
def cut_out(node: Node) -> Answer:
    """An axis passes when it is not cut, or its bounds take all of it at any length: `[0:]`, `[-9:9]`."""
    shape = node.shape(0)
    if node.has(3) and node.known(3) is None:
        return barrier("the axes of Slice are unknown")
    touched = {
        axis % len(shape)
        for axis, start, end, step in _bounds(node)
        if step != 1 or not (start == 0 or start <= -shape[axis]) or end < shape[axis]
    }
    return _cut(node, touched)


def _bounds(node: Node) -> list[tuple[int, int, int, int]]:
    """(axis, start, end, step) of each listed axis; unknown ones are -1, which never means all of it."""
    if node.op.version < 10:
        given = [node.integers(name) for name in ("starts", "ends", "axes")]
        count = len(given[0] or ())
    else:
        given = [node.known(operand) for operand in (1, 2, 3)]
        count = node.shape(1)[0]
    unknown = (-1,) * count
    starts, ends, axes = given[0] or unknown, given[1] or unknown, given[2] or tuple(range(count))
    steps = (node.known(4) or unknown) if node.has(4) else (1,) * count
    return list(zip(axes, starts, ends, steps, strict=True))


@rule("Pad")
def pad(node: Node) -> Answer:
    """Axes that get nothing on either side pass."""
    rank = len(node.shape(0))
    amounts = node.integers("pads") if node.op.version < 11 else node.known(1)
    axes = node.known(3) if node.has(3) else tuple(range(rank))
    if amounts is None or axes is None:
        return barrier("the amounts of Pad are unknown")
    half = len(amounts) // 2
    both = zip(axes, amounts[:half], amounts[half:], strict=True)
    return _cut(node, {axis % rank for axis, before, after in both if before or after})


@rule("CenterCropPad")
def center_crop_pad(node: Node) -> Answer:
    """Axes that it does not list pass."""
    rank = len(node.shape(0))
    axes = node.integers("axes")
    return _cut(node, set(range(rank)) if axes is None else {axis % rank for axis in axes})


@rule("DepthToSpace")
def depth_to_space(node: Node) -> Answer:
    """Channels are split into a block of rows and columns that goes to the space axes."""
    size = node.integer("blocksize", 1)
    block = f"p={size}! q={size}!"
    channels = f"({block} c)" if node.text("mode", "DCR") == "DCR" else f"(c {block})"
    return f"n {channels} h w -> n c (h p) (w q)"


@rule("SpaceToDepth")
def space_to_depth(node: Node) -> Answer:
    """The inverse of DepthToSpace; the mode came with opset 28."""
    size = node.integer("blocksize", 1)
    channels = "(p q c)" if node.text("mode", "DCR") == "DCR" else "(c p q)"
    return f"n c (h p={size}!) (w q={size}!) -> n {channels} h w"


@rule("ReverseSequence")
def reverse_sequence(node: Node) -> Answer:
    """Each entry of the batch axis has its own length."""
    words = names(len(node.shape(0)))
    batch, time = words[node.integer("batch_axis", 1)], node.integer("time_axis", 0)
    return f"{term(marked(words, {time}))}, {batch} -> {term(words)}"
