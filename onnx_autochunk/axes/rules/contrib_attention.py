"""Attention as ONNX Runtime fuses it: batch, rows of queries and heads, where those can be told apart.

    MultiHeadAttention: b s (n h!), b l! (n h), b l (n e!) -> b s (n e)

Heads that are merged into an axis are counted by an attribute, which changes in a chunk of them.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier
from onnx_autochunk.axes.rules.contrib import contrib_rule, counted
from onnx_autochunk.axes.rules.words import fitted


@contrib_rule("Attention")
def attention(node: Node) -> Answer:
    """Keys and values are made of all rows, and columns of the weights hold queries, keys and values."""
    if node.integer("past_present_share_buffer", 0) or _is_odd(node, 3):
        return _shared(node)
    bias = _bias(node, 5, "n!", "s!")
    operands = f"b s! x!, x! w!, w!, {_mask(node, 3)}, z! b n! p! h!, {bias}"
    return f"{operands} -> b s! v!, z! b n! u! h!"


@contrib_rule("QAttention")
def quantised_attention(node: Node) -> Answer:
    """Attention with scales and zero points of input and weights."""
    if node.integer("past_present_share_buffer", 0) or _is_odd(node, 5):
        return _shared(node)
    operands = f"b s! x!, x! w!, w!, (), (), {_mask(node, 5)}, (), (), z! b n! p! h!"
    return f"{operands} -> b s! v!, z! b n! u! h!"


@contrib_rule("MultiHeadAttention")
def multi_head_attention(node: Node) -> Answer:
    """Rows of queries are independent unless they are counted or keys and values are passed on."""
    if len(node.shape(0)) == 5 or len(node.shape(1)) == 5:
        return barrier("MultiHeadAttention with packed heads: ONNX Runtime has no CPU kernel to prove it on")
    if node.has(8) or node.has(9) or _is_odd(node, 4):
        return _shared(node)
    if node.gives(3):
        return barrier("MultiHeadAttention that passes on its scores cannot be run alone to prove a rule")
    rows = "s!" if node.integer("unidirectional", 0) or node.gives(1) or node.gives(2) else "s"
    keys = "b n l! h!, b n l! e!" if len(node.shape(1)) == 4 else "b l! (n h!), b l! (n e!)"
    heads, bias = _projected(node)
    operands = (
        f"b {rows} ({heads} h!), {keys}, {bias}, {_mask(node, 4)}, {_bias(node, 5, 'n', 's')},"
        " b n p! h!, b n p! e!"
    )
    results = "b s (n e!), b n u! h!, b n u! e!"
    return Notation(f"{operands} -> {results}", patches={"n": counted("num_heads")})


def _projected(node: Node) -> tuple[str, str]:
    """Heads, and the bias of queries, keys and values in a row: heads of unequal size cannot be cut there."""
    heads = f"n={node.integer('num_heads', 1)}"
    unequal = node.has(3) and node.shape(3) != (3 * node.shape(0)[-1],)
    return (heads + "!", "w!") if unequal else (heads, "(z=3! n h!)")


@contrib_rule("DecoderMaskedMultiHeadAttention")
def decoder_attention(node: Node) -> Answer:
    """One row of queries a sequence, on keys of its own; in self-attention, beams share their keys."""
    in_buffers = not node.has(1) or len(node.shape(1)) != 4 or node.gives(1) or node.gives(3)
    if in_buffers or any(map(node.has, (4, 5, 6, 7, 8, 9))):
        return _shared(node)
    return "b s! x!, b n! l! h!, b n! l! e!, b m!, (), (), (), (), (), (), w! -> b s! v!"


@contrib_rule("GroupQueryAttention")
def group_query_attention(node: Node) -> Answer:
    """Rows are counted (causal, rotated, appended to the past); heads go with the keys they share."""
    if any(map(node.has, (12, 13, 14, 15))):
        return barrier("GroupQueryAttention on quantised keys or normalised queries is not proved")
    groups = node.integer("kv_num_heads", 1)
    shared = node.integer("num_heads", 1) // groups
    mark = "" if node.has(1) else "!"  # in a packed operand, heads have no axis
    heads = f"g={groups}{mark} r={shared}!" if shared > 1 else f"g={groups}{mark}"
    batch = "b!" if node.has(9) and node.shape(0)[1] > 1 else "b"  # only the first of all positions is read
    split = f"{batch} s! ({heads} h!), b l! (g h), b l! (g h)" if node.has(1) else f"{batch} s! x!, (), ()"
    score = _bias(node, 10, f"({heads})", "s!")
    operands = f"{split}, b g p! d!, b g p! d!, b, (), (), (), b s!, {score}, ({heads})"
    output = f"b s! ({heads} h!)" if node.has(1) else "b s! v!"
    results = f"{output}, b g{mark} u! d!, b g u! d!, b ({heads}) s! t!"
    patches = (*counted("num_heads", unit=shared), *counted("kv_num_heads"))
    return Notation(f"{operands} -> {results}", patches={"g": patches})


def _is_odd(node: Node, operand: int) -> bool:
    """True for a mask that counts through all sequences, `(3 * batch + 2)`, or is cut out of a larger one."""
    shape = node.shape(operand) if node.has(operand) else ()
    return len(shape) == 4 or (len(shape) == 1 and shape[0] not in (node.shape(0)[0], 2 * node.shape(0)[0]))


def _mask(node: Node, operand: int) -> str:
    """Ends (and starts) of sequences, or what is masked: a row a sequence, or one a query."""
    shape = node.shape(operand) if node.has(operand) else ()
    ends = "b" if shape == node.shape(0)[:1] else "(y=2! b)"
    return ("()", ends, "b m!", "b s m!")[len(shape)]


def _bias(node: Node, operand: int, heads: str, rows: str) -> str:
    """What is added to the scores broadcasts over the batch and the heads."""
    return fitted(node.shape(operand), ("b", heads, rows, "t!")) if node.has(operand) else "()"


def _shared(node: Node) -> Answer:
    return barrier(f"{node.op.type} keeps a buffer or a count that the sequences of a batch share")
