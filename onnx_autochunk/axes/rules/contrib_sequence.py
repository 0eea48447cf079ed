"""Operators that walk along sequences: rotations by position, states that are passed on, n-grams.

    RotaryEmbedding: b s (n d=64!), b s, p! r!, p! r! -> b s (n d)

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from onnx_autochunk.axes.factor import Linear, Patch
from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier
from onnx_autochunk.axes.rules.contrib import contrib_rule, contrib_spec, counted
from onnx_autochunk.axes.rules.words import names, term

contrib_spec("NGramHashMapping", "b s!, (), k!, b p!, k!, (), b s! -> b s! k!, b p!")
contrib_spec("NGramRepeatBlock", "b s!, b v! -> b v!")
contrib_spec(
    "AttnLSTM",
    "s! b i!, (), (), (), b, d! b h!, d! b h!, (), (), (), (), b m! y!, b, ()"
    " -> s! d! b h!, d! b h!, d! b h!",
)


@contrib_rule("RotaryEmbedding MRotaryEmbedding")
def rotary_embedding(node: Node) -> Answer:
    """Each row is turned by its own angle; one position alone says where the first row stands."""
    if node.integer("is_packed_batching", 0):
        return barrier(f"{node.op.type} packs the sequences of a batch into one axis")
    value = "b n s d!" if len(node.shape(0)) == 4 else f"b s (n d={_head_size(node)}!)"
    rows = ("()", "()", "b s", "z! b s")[len(node.shape(1))]
    patches = {"n": counted("num_heads")} if node.integer("num_heads", 0) else {}
    if rows == "()":
        first = node.known(1)
        patches["s"] = () if first is None else (Patch(1, (Linear(first[0], start=1),)),)
        value = value if first else value.replace("s", "s!")
    return Notation(f"{value}, {rows}, p! r!, p! r! -> {value}", patches=patches)


@contrib_rule("GemmaRotaryEmbedding")
def gemma_rotary_embedding(node: Node) -> Answer:
    """Queries and keys at once; heads pass where both have the same number of them."""
    equal = node.shape(1) == node.shape(3)
    queries, keys = ("b n s d", "b n s d") if equal else ("b n! s d", "b m! s d")
    return f"b s d, {queries}, {queries}, {keys}, {keys} -> {queries}, {keys}"


def _head_size(node: Node) -> int:
    """Heads are counted, or as long as the tables of angles say."""
    heads = node.integer("num_heads", 0)
    return node.shape(0)[-1] // heads if heads else 2 * node.shape(2)[-1]


@contrib_rule("LinearAttention")
def linear_attention(node: Node) -> Answer:
    """Time runs; heads go with the keys they share, and are whole where keys outnumber queries."""
    queries, groups = node.integer("q_num_heads", 1), node.integer("kv_num_heads", 1)
    shared, mark = max(queries // groups, 1), "!" if queries < groups else ""
    heads = f"g={groups}{mark} r={shared}!" if shared > 1 else f"g={groups}{mark}"
    query = f"({heads} d!)" if not mark else "q!"
    state = ("w! " if node.integer("state_window", 0) else "") + "b g d! e"
    decay = "(g d!)" if node.has(4) and node.shape(4)[-1] != groups else "g"
    rate = "1" if node.has(5) and node.shape(5)[-1] == 1 else "g"
    operands = f"b s! {query}, b s! (g d!), b s! (g e), {state}, b s! {decay}, b s! {rate}"
    patches = (*counted("q_num_heads", unit=shared), *counted("kv_num_heads"))
    return Notation(f"{operands} -> b s! ({heads} e), {state}", patches={"g": patches})


@contrib_rule("WordConvEmbedding")
def word_embedding(node: Node) -> Answer:
    """Every word for itself, and every filter; an attribute may count the filters."""
    patches = {"e": counted("embedding_size")} if node.integer("embedding_size", -1) > 0 else {}
    return Notation("n w!, e u! v! c!, e, t! c! -> n e", patches=patches)


@contrib_rule("CausalConvWithState")
def causal_conv(node: Node) -> Answer:
    """Channels are independent; the last rows are passed on as the state."""
    if node.integer("ndim", 1) > 1:
        return barrier("CausalConvWithState of several space axes")
    last = node.integer("channels_last", 0)
    channels = names(len(node.shape(0)) - 2, "c") if last else ["c"]
    value = term(["b", "s!", *channels] if last else ["b", *channels, "s!"])
    state = value.replace("s!", "p!")
    state = f"w! {state}" if node.integer("state_window", 0) else state
    merged = f"({term(channels)})" if len(channels) > 1 else channels[0]
    return f"{value}, {merged} 1 t!, {merged}, {state} -> {value}, {state}"
