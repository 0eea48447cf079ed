"""Operators that reorder, join or part axes.

    Transpose(perm=[0, 2, 1]): a0 a1 a2 -> a0 a2 a1      Split(6 -> 4, 2): a0 (k! m) -> a0 (b0! m), a0 (b1! m)

Source: https://onnx.ai/onnx/operators/onnx__Concat.html, onnx__Split.html, onnx__DepthToSpace.html
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from onnx_autochunk.axes.factor import Linear, Patch
from onnx_autochunk.axes.registry import Answer, Node, Notation, rule
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
    """Along the joined axis only what all parts have in common passes: halves joined, [d | d] -> (k! d)."""
    words, axis = names(len(node.shape(0))), node.axis(0, len(node.shape(0)))
    parts, joined, _ = _parted([shape[axis] if shape else 0 for shape in node.operands])
    return f"{', '.join(_with(words, axis, part) for part in parts)} -> {_with(words, axis, joined)}"


@rule("Split")
def split(node: Node) -> Answer:
    """The mirror image of Concat; the lengths are an operand since opset 13, and rewritten for a chunk."""
    words, axis = names(len(node.shape(0))), node.axis(0, len(node.shape(0)))
    given = node.known(1) or node.integers("split")
    parts, joined, lengths = _parted(given or [shape[axis] if shape else 1 for shape in node.results])
    text = f"{_with(words, axis, joined)}, () -> {', '.join(_with(words, axis, part) for part in parts)}"
    if not node.has(1) and not given and len(set(lengths)) == 1:
        return text
    numbers = tuple([Linear(stop=length, start=-length) for length in lengths])
    by_operand = (Patch(1, numbers), Patch("num_outputs", None))
    return Notation(text, patches={"m": by_operand if node.op.version >= 13 else (Patch("split", numbers),)})


def _parted(sizes: Sequence[int]) -> tuple[list[str], str, list[int]]:
    """Words of the parts of an axis and of the whole of it, and each part's length in common divisors."""
    common = gcd(*sizes)
    parts = [f"(b{i}! m={common})" if size else f"b{i}!" for i, size in enumerate(sizes)]
    return parts, f"(k! m={common})", [size // max(common, 1) for size in sizes]


def _with(words: list[str], axis: int, word: str) -> str:
    return term([*words[:axis], word, *words[axis + 1 :]])


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
