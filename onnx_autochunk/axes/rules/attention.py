"""Attention as one operator: batch, rows of queries and, where they are an axis, heads.

Source: https://onnx.ai/onnx/operators/onnx__Attention.html
"""

from __future__ import annotations

from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, rule
from onnx_autochunk.axes.rules.words import fitted


@rule("Attention", since=23)
def attention(node: Node) -> Answer:
    """Rows of queries are independent unless they are counted or keys and values are passed on.

    Heads are an axis of 4-D operands only; a group of query heads shares one head of keys and values.
    """
    windows = (node.integer("left_window_size", -1), node.integer("right_window_size", -1))
    counted = node.integer("is_causal", 0) or windows != (-1, -1)
    rows = "s!" if counted or node.gives(1) or node.gives(2) else "s"
    return _packed(node, rows) if len(node.shape(0)) == 3 else _by_heads(node, rows)


def _packed(node: Node, rows: str) -> str:
    """(B, S, heads * D): heads are counted by attributes, so they are whole."""
    mask = _mask(node, ["b", "h!", rows, "t!"])
    past = "b g! p! d!, b g! p! e!"
    now = "b g! u! d!, b g! u! e!"
    return f"b {rows} x!, b t! y!, b t! z!, {mask}, {past}, b -> b {rows} w!, {now}, b h! {rows} v!"


def _by_heads(node: Node, rows: str) -> str:
    """(B, heads, S, D)."""
    shared = node.shape(0)[1] // node.shape(1)[1]
    heads = "g" if shared == 1 else f"(g r={shared})"
    # a group's heads cannot be cut when the keys and values of all groups are passed on
    if shared > 1 and (node.gives(1) or node.gives(2)):
        heads = f"(g r={shared}!)"
    mask = _mask(node, ["b", heads, rows, "t!"])
    now = "b g u! d!, b g u! e!"
    operands = f"b {heads} {rows} d!, b g t! d!, b g t! e!, {mask}, b g p! d!, b g p! e!, b"
    return f"{operands} -> b {heads} {rows} e!, {now}, b {heads} {rows} v!"


@rule("RotaryEmbedding", since=23)
def rotary_embedding(node: Node) -> Answer:
    """Each row is turned by its own angle; packed heads are counted by an attribute, so they are whole."""
    value = "b s x!" if len(node.shape(0)) == 3 else "b h s d!"
    tables = "p! r!, p! r!, b s" if node.has(3) else "b s r!, b s r!"
    return f"{value}, {tables} -> {value}"


def _mask(node: Node, words: list[str]) -> str:
    shape: Shape | None = node.operands[3] if node.has(3) else None
    return "()" if not shape else fitted(shape, [*words[:3], "m!"])
