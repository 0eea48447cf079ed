"""Quantisation: elementwise, with scales for the whole value, for one axis, or for blocks of one axis.

    DequantizeLinear(axis=1, block_size=32): a0 (a1 t=32), a0 a1 -> a0 (a1 t)

Source: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html, onnx__QLinearConv.html
"""

from __future__ import annotations

from math import prod

from onnx_autochunk.axes.factor import Patch
from onnx_autochunk.axes.registry import Answer, Node, Notation, rule
from onnx_autochunk.axes.rules.window import GROUPS, in_channels, space_of
from onnx_autochunk.axes.rules.words import names, steps, term


@rule("QuantizeLinear DequantizeLinear", since=10)
def quantize(node: Node) -> Answer:
    """An axis passes with its scales; of a blocked one, blocks do, or a part of each."""
    words, scales = names(len(node.shape(0))), node.shape(1)
    value, scale = list(words), "()"
    if scales and node.integer("block_size", 0):
        value, scale = _blocked(node, words)
    elif scales not in ((), (1,)):
        scale = words[node.axis(1, len(words))]
    text = f"{term(value)}, {scale}, {scale} -> {term(value)}"
    return Notation(text, patches={"t": (Patch("block_size", steps()),)})


def _blocked(node: Node, words: list[str]) -> tuple[list[str], str]:
    """One scale a block; an uneven last block makes the axis whole unless there is but one.

    So it is where it is the only axis: ONNX Runtime takes a single scale for one of the whole value.
    """
    axis, block = node.axis(1, len(words)), node.integer("block_size", 0)
    size, blocks = node.shape(0)[axis], node.shape(1)[axis]
    word = words[axis]
    if blocks == 1:
        value, scale = word, "1"
    elif size == blocks * block:
        value, scale = f"({word}{'!' if len(words) == 1 else ''} t={block})", word
    else:
        value, scale = f"{word}!", "s!"
    rest = words[axis + 1 :]
    return [*words[:axis], value, *rest], term([*words[:axis], scale, *rest])


@rule("QLinearConv")
def q_linear_conv(node: Node) -> Answer:
    """Conv with scales and zero points; rounding forbids adding partial results."""
    kernel = node.shape(3)[2:]
    space = space_of(node, kernel)
    weight = term(["(g o)", "c", *(f"{word}!" for word in names(len(kernel), "t"))])
    scale, point = ("(g o)" if prod(node.operands[index] or ()) > 1 else "()" for index in (4, 5))
    values = term(["n", in_channels(node, added=True), *space.inputs])
    operands = f"{values}, (), (), {weight}, {scale}, {point}, (), (), (g o)"
    return space.notation(f"{operands} -> {term(['n', '(g o)', *space.results])}", GROUPS)
