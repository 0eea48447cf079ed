"""Pools: over windows, regions or all of the space.

    MaxPool(kernel=3, pads=1): n c s0~ -> n c s0        GlobalMaxPool: n c ...^ -> n c 1 1

Source: https://onnx.ai/onnx/operators/onnx__AveragePool.html, onnx__RoiAlign.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule, spec
from onnx_autochunk.axes.rules.window import space_of
from onnx_autochunk.axes.rules.words import term


@rule("MaxPool AveragePool LpPool")
def pool(node: Node) -> Answer:
    """Batch and channels are independent; MaxPool's indices count through the whole value."""
    if node.gives(1):
        return barrier("MaxPool gives indices into the whole value")
    space = space_of(node, node.integers("kernel_shape") or ())
    return space.notation(f"{term(['n', 'c', *space.inputs])} -> {term(['n', 'c', *space.results])}")


@rule("MaxUnpool")
def max_unpool(node: Node) -> Answer:
    """The inverse of MaxPool with indices."""
    return barrier("MaxUnpool reads indices into the whole value")


@rule("GlobalAveragePool GlobalMaxPool GlobalLpPool")
def global_pool(node: Node) -> Answer:
    """Space shrinks to size 1; maxima combine."""
    mark = "^" if node.op.type == "GlobalMaxPool" else "!"
    return f"n c ...{mark} -> {term(['n', 'c', *['1'] * (len(node.shape(0)) - 2)])}"


# every region may look at any image of the batch
spec("RoiAlign", "n! c h! w!, r f!, r -> r c u! v!")
spec("MaxRoiPool", "n! c h! w!, r f! -> r c u! v!")
