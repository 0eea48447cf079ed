"""Operators that pick elements by position: an axis that is indexed, sorted or added up is needed whole.

    Gather(axis=1): a0 a1! a2, b0 b1 -> a0 b0 b1 a2

Source: https://onnx.ai/onnx/operators/onnx__Gather.html, onnx__GatherElements.html, onnx__TopK.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule
from onnx_autochunk.axes.rules.words import marked, names, over, term


@rule("Gather")
def gather(node: Node) -> Answer:
    """The axes of the indices take the place of the indexed axis."""
    data, picked = names(len(node.shape(0))), names(len(node.shape(1)), "b")
    axis = node.axis(0, len(data))
    result = [*data[:axis], *picked, *data[axis + 1 :]]
    return f"{term(marked(data, {axis}))}, {term(picked)} -> {term(result)}"


@rule("GatherElements")
def gather_elements(node: Node) -> Answer:
    """Along the other axes, step i of the indices reads step i of the data, which may have more of them."""
    words = names(len(node.shape(0)))
    data, windows = over(words, node.shape(0), node.shape(1))
    axis = node.axis(0, len(words))
    data[axis] = "d!"
    windows.pop(words[axis], None)
    return Notation(f"{term(data)}, {term(words)} -> {term(words)}", windows=windows)


@rule("GatherND", since=11)
def gather_nd(node: Node) -> Answer:
    """Batch axes run in parallel; the axes that the last axis of the indices addresses are whole."""
    batch = node.integer("batch_dims", 0)
    depth = node.shape(1)[-1]
    data = names(len(node.shape(0)))
    picked = [*data[:batch], *names(len(node.shape(1)) - batch - 1, "b")]
    rest = data[batch + depth :]
    addressed = range(batch, batch + depth)
    return f"{term(marked(data, addressed))}, {term([*picked, 'k!'])} -> {term([*picked, *rest])}"


@rule("Compress", since=9)
def compress(node: Node) -> Answer:
    """The axis that entries are taken from is read whole."""
    if "axis" not in node.op.attributes:
        return barrier("Compress without an axis: where an element goes depends on all before it")
    words = names(len(node.shape(0)))
    axis = node.axis(0, len(words))
    taken = term([*words[:axis], "r!", *words[axis + 1 :]])
    return f"{term(marked(words, {axis}))}, () -> {taken}"


@rule("OneHot", since=9)
def one_hot(node: Node) -> Answer:
    """The new axis counts through the depth."""
    words = names(len(node.shape(0)))
    axis = node.axis(-1, len(words) + 1)
    return f"{term(words)}, (), () -> {term([*words[:axis], 'd!', *words[axis:]])}"


@rule("CumSum CumProd")
def cumulate(node: Node) -> Answer:
    """The axis is an operand; unknown, it could be any."""
    words = names(len(node.shape(0)))
    axis = node.known(1)
    whole = range(len(words)) if axis is None else {axis[0] % len(words)}
    return f"{term(marked(words, whole))}, () -> {term(words)}"


@rule("TopK")
def top_k(node: Node) -> Answer:
    """Sorting needs the whole axis."""
    words = names(len(node.shape(0)))
    axis = node.axis(-1, len(words))
    result = term([*words[:axis], "k!", *words[axis + 1 :]])
    return f"{term(marked(words, {axis}))}, () -> {result}, {result}"
