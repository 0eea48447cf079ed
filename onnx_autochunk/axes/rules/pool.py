"""Pools: over windows, regions or all of the space.

    MaxPool(kernel=3, pads=1): n c s0~ -> n c s0        GlobalMaxPool: n c ...^ -> n c 1 1

Source: https://onnx.ai/onnx/operators/onnx__AveragePool.html, onnx__RoiAlign.html
"""

from __future__ import annotations

from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, barrier, rule, spec
from onnx_autochunk.axes.rules.window import space_of, steps_and_gaps
from onnx_autochunk.axes.rules.words import names, term


@rule("MaxPool AveragePool LpPool")
def pool(node: Node) -> Answer:
    """Batch and channels are independent; MaxPool's indices count through the whole value."""
    if node.gives(1):
        return barrier("MaxPool gives indices into the whole value")
    kernel = node.integers("kernel_shape") or ()
    if node.text("auto_pad", "NOTSET").startswith("SAME") and _leaves_gaps(node, kernel):
        inputs, results = ([f"{word}!" for word in names(len(kernel), prefix)] for prefix in "is")
        return f"{term(['n', 'c', *inputs])} -> {term(['n', 'c', *results])}"
    space = space_of(node, kernel)
    return space.notation(f"{term(['n', 'c', *space.inputs])} -> {term(['n', 'c', *space.results])}")


def _leaves_gaps(node: Node, kernel: Shape) -> bool:
    """True when windows do not touch: ORT makes such automatic padding negative, which none can be given."""
    steps, gaps = steps_and_gaps(node, len(kernel))
    return any((size - 1) * gap + 1 < step for size, gap, step in zip(kernel, gaps, steps, strict=True))


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
