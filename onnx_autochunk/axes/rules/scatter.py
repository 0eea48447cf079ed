"""Operators that write elements by position: the axis that is addressed is needed whole.

Each chunk of the updates could write anywhere, into its own copy of the data; only maxima and minima combine:

    ScatterElements(axis=0, reduction="max"): a0! a1, i^ a1, i^ a1 -> a0! a1

Source: https://onnx.ai/onnx/operators/onnx__ScatterElements.html, onnx__ScatterND.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, Notation, rule
from onnx_autochunk.axes.rules.words import marked, names, over, term


@rule("ScatterElements Scatter", since=9)
def scatter_elements(node: Node) -> Answer:
    """Along the other axes, step i of the updates writes step i of the data, which may have more of them."""
    words = names(len(node.shape(0)))
    axis = node.axis(0, len(words))
    updates, windows = over(words, node.shape(1), node.shape(0))
    updates[axis] = f"i{_combined(node)}"
    windows.pop(words[axis], None)
    data = term(marked(words, {axis}))
    text = f"{data}, {term(updates)}, {term(updates)} -> {data}"
    return Notation(text, windows=windows)


@rule("ScatterND", since=11)
def scatter_nd(node: Node) -> Answer:
    """The axes that the last axis of the indices addresses are whole."""
    depth = node.shape(1)[-1]
    data = names(len(node.shape(0)))
    picked = [word + _combined(node) for word in names(len(node.shape(1)) - 1, "b")]
    written = term(marked(data, range(depth)))
    return f"{written}, {term([*picked, 'k!'])}, {term([*picked, *data[depth:]])} -> {written}"


def _combined(node: Node) -> str:
    return {"max": "^", "min": "_"}.get(node.text("reduction", "none"), "!")


@rule("TensorScatter", since=24)
def tensor_scatter(node: Node) -> Answer:
    """Writes an update at one position of `axis` for each entry of the batch."""
    words = names(len(node.shape(0)))
    axis = node.axis(-2, len(words))
    update = [*words[:axis], "u!", *words[axis + 1 :]]
    return f"{term(marked(words, {axis}))}, {term(update)}, {words[0]} -> {term(words)}"
