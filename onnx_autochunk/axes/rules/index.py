"""Operators that address elements by position: an axis that is indexed, counted or sorted is needed whole.

    Gather(axis=1): a0 a1! a2, b0 b1 -> a0 b0 b1 a2

Source: https://onnx.ai/onnx/operators/onnx__Gather.html, onnx__ScatterElements.html, onnx__TopK.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, rule
from onnx_autochunk.axes.rules.words import marked, names, term


@rule("Gather")
def gather(node: Node) -> Answer:
    """The axes of the indices take the place of the indexed axis."""
    data, picked = names(len(node.shape(0))), names(len(node.shape(1)), "b")
    axis = node.axis(0, len(data))
    result = [*data[:axis], *picked, *data[axis + 1 :]]
    return f"{term(marked(data, {axis}))}, {term(picked)} -> {term(result)}"


@rule("GatherElements")
def gather_elements(node: Node) -> Answer:
    """Data and indices run in parallel along the other axes, where those are equally long."""
    axis = node.axis(0, len(node.shape(0)))
    data, indices = _parallel(node, axis)
    indices[axis] = "i"
    return f"{term(data)}, {term(indices)} -> {term(indices)}"


def _parallel(node: Node, axis: int) -> tuple[list[str], list[str]]:
    """Words of data and indices of one rank: equal extents pair up but along `axis`, the rest is whole."""
    words = names(len(node.shape(0)))
    sizes = list(zip(node.shape(0), node.shape(1), strict=True))
    apart = {other for other, (a, b) in enumerate(sizes) if a != b} | {axis}
    indices = [f"b{other}!" if other in apart else word for other, word in enumerate(words)]
    return marked(words, apart), indices


@rule("ScatterElements Scatter", since=9)
def scatter_elements(node: Node) -> Answer:
    """As GatherElements, but the indices of a chunk could point anywhere: their own axis is whole too."""
    data, indices = map(term, _parallel(node, node.axis(0, len(node.shape(0)))))
    return f"{data}, {indices}, {indices} -> {data}"


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


@rule("ScatterND", since=11)
def scatter_nd(node: Node) -> Answer:
    """Only axes that are not addressed pass."""
    depth = node.shape(1)[-1]
    data, picked = names(len(node.shape(0))), [f"{word}!" for word in names(len(node.shape(1)) - 1, "b")]
    written = term(marked(data, range(depth)))
    return f"{written}, {term([*picked, 'k!'])}, {term([*picked, *data[depth:]])} -> {written}"


@rule("TensorScatter")
def tensor_scatter(node: Node) -> Answer:
    """Writes an update at one position of `axis` for each entry of the batch."""
    words = names(len(node.shape(0)))
    axis = node.axis(-2, len(words))
    update = [*words[:axis], "u!", *words[axis + 1 :]]
    return f"{term(marked(words, {axis}))}, {term(update)}, {words[0]} -> {term(words)}"


@rule("OneHot")
def one_hot(node: Node) -> Answer:
    """The new axis counts through the depth."""
    words = names(len(node.shape(0)))
    axis = node.axis(-1, len(words) + 1)
    return f"{term(words)}, (), () -> {term([*words[:axis], 'd!', *words[axis:]])}"


@rule("Trilu")
def trilu(node: Node) -> Answer:
    """The diagonal counts rows and columns from their start."""
    return "... m! n!, () -> ... m n"


@rule("CumSum CumProd")
def cumulate(node: Node) -> Answer:
    """The axis is an operand."""
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
