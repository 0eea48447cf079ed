"""Attention as one operator: batch, heads and rows of queries are independent.

Heads are an axis of their own, or packed into the last one (B, S, heads * D) and counted by attributes, which
then count the heads of the chunk. A group of query heads shares one head of keys and values:

    Attention: b (g r) s d!, b g t! d!, b g t! e! -> b (g r) s e

Source: https://onnx.ai/onnx/operators/onnx__Attention.html, onnx__RotaryEmbedding.html,
onnx__LinearAttention.html
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx_autochunk.axes.factor import Linear, Patch
from onnx_autochunk.axes.registry import Answer, Node, Notation, rule
from onnx_autochunk.axes.rules.words import fitted, steps

_LENGTHS = 6  # the operand that counts the keys of each batch entry


@rule("Attention", since=23)
def attention(node: Node) -> Answer:
    """Rows are independent unless they are counted; keys and values that are passed on have neither."""
    packed, passed_on = len(node.shape(0)) == 3, node.gives(1) or node.gives(2)
    groups, shared = _heads(node)
    counted = None if passed_on else _counted(node)
    rows = "s!" if counted is None else "s"
    heads = f"g={groups} r={shared}{'!' if passed_on and shared > 1 else ''}"
    mask = fitted(node.operands[3] or (), ["b", f"({heads})", rows, "m!"]) if node.has(3) else "()"
    query, key, value, result = (
        (f"b {rows} ({heads} d!)", "b t! (g d!)", "b t! (g e!)", f"b {rows} (g r e!)")
        if packed
        else (f"b ({heads}) {rows} d!", "b g t! d!", "b g t! e!", f"b (g r) {rows} e!")
    )
    past, now = "b g p! d!, b g p! e!", "b g u! d!, b g u! e!"
    text = f"{query}, {key}, {value}, {mask}, {past}, b -> {result}, {now}, b (g r) {rows} m!"
    return Notation(text, patches={**_head_counts(node, groups, shared), "s": counted or ()})


def _heads(node: Node) -> tuple[int, int]:
    """(heads of keys and values, heads of queries for each of them)."""
    if len(node.shape(0)) == 3:
        queries, groups = node.integer("q_num_heads", 1), node.integer("kv_num_heads", 1)
    else:
        queries, groups = node.shape(0)[1], node.shape(1)[1]
    return groups, queries // groups


def _head_counts(node: Node, groups: int, shared: int) -> Mapping[str, tuple[Patch, ...]]:
    """What the attributes that count heads become for a chunk of groups g, or of heads r of each."""
    queries, keys = "q_num_heads", "kv_num_heads"
    if queries not in node.op.attributes:
        return {}
    return {
        "g": (Patch(queries, steps(shared)), Patch(keys, steps())),
        "r": (Patch(queries, steps(groups)),),
    }


def _counted(node: Node) -> tuple[Patch, ...] | None:
    """What tells a chunk of rows where it stands, None when nothing can.

    Row i sees no key behind i + (keys - rows). So of rows [s, t), with as many fewer keys as there are rows
    behind them, each stands where it did. Keys that are cut off must be those that the rows do not see.
    """
    left, right = node.integer("left_window_size", -1), node.integer("right_window_size", -1)
    causal = node.integer("is_causal", 0) or right == 0
    if not causal and (left, right) == (-1, -1):
        return ()
    rows = node.shape(0)[-2]
    batch, keys = node.shape(1)[0], node.shape(1)[-2]
    lengths = node.known(_LENGTHS) if node.has(_LENGTHS) else (rows,) * batch
    can_tell = causal and node.op.version >= 24 and not node.has(4) and rows <= keys
    if not can_tell or lengths is None or min(lengths) < rows:
        return None
    return (Patch(_LENGTHS, tuple(Linear(length - rows, stop=1) for length in lengths)),)


@rule("RotaryEmbedding", since=23)
def rotary_embedding(node: Node) -> Answer:
    """Each row is turned by its own angle."""
    heads = node.integer("num_heads", 1)
    value = f"b s (h={heads} d!)" if len(node.shape(0)) == 3 else "b h s d!"
    tables = "p! r!, p! r!, b s" if node.has(3) else "b s r!, b s r!"
    patches = {"h": (Patch("num_heads", steps()),)} if "num_heads" in node.op.attributes else {}
    return Notation(f"{value}, {tables} -> {value}", patches=patches)


@rule("LinearAttention", since=27)
def linear_attention(node: Node) -> Answer:
    """A recurrence over time, on its own for every batch entry, head and column of the values."""
    groups = node.integer("kv_num_heads", 1)
    shared = node.integer("q_num_heads", groups) // groups
    heads = f"g={groups} r={shared}{'!' if node.gives(1) and shared > 1 else ''}"
    decay = "b t (g k!)" if node.has(4) and node.shape(4)[2] != groups else "b t g"
    beta = "b t 1" if node.has(5) and node.shape(5)[2] == 1 else "b t g"
    text = f"b t! ({heads} k!), b t (g k!), b t (g v), b g k! v, {decay}, {beta} -> b t (g r v), b g k! v"
    return Notation(text, patches=_head_counts(node, groups, shared))
