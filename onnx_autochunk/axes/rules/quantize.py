"""Quantisation: elementwise, with scales for the whole value, for one axis, or for blocks of one axis.

    DequantizeLinear(axis=1, block_size=32): a0 (a1 b=32!), a0 a1 -> a0 (a1 b)

Source: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, rule
from onnx_autochunk.axes.rules.words import names, term


@rule("QuantizeLinear DequantizeLinear", since=10)
def quantize(node: Node) -> Answer:
    """An axis passes with its scales; of a blocked one, whole blocks do."""
    words, scales = names(len(node.shape(0))), node.shape(1)
    value, scale = list(words), "()"
    if len(scales) == 1 and scales != (1,):
        scale = words[node.axis(1, len(words))]
    elif len(scales) > 1:
        value, scale = _blocked(node, words)
    return f"{term(value)}, {scale}, {scale} -> {term(value)}"


def _blocked(node: Node, words: list[str]) -> tuple[list[str], str]:
    """One scale a block; an uneven last block makes the axis whole."""
    axis, block = node.axis(1, len(words)), node.integer("block_size", 0)
    if node.shape(0)[axis] == node.shape(1)[axis] * block:
        value, scale = f"({words[axis]} t={block}!)", words[axis]
    else:
        value, scale = f"{words[axis]}!", "s!"
    rest = words[axis + 1 :]
    return [*words[:axis], value, *rest], term([*words[:axis], scale, *rest])
