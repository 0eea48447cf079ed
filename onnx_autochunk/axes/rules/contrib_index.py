"""Operators of ONNX Runtime that address, count, copy or transform: mostly earlier forms of ONNX's own.

    TorchEmbedding: v! d, b0 b1 -> b0 b1 d

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from dataclasses import replace

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule
from onnx_autochunk.axes.rules.contrib import contrib_rule, contrib_spec
from onnx_autochunk.axes.rules.count import range_, trilu
from onnx_autochunk.axes.rules.crop import cut_out, pad
from onnx_autochunk.axes.rules.index import gather_nd
from onnx_autochunk.axes.rules.words import names, term

contrib_rule("GatherND")(gather_nd)
contrib_rule("Range")(range_)
contrib_rule("Trilu")(trilu)
contrib_spec("Inverse", "... m! n! -> ... m n")
contrib_spec("TorchEmbedding", "v! d, ..., (), () -> ... d")


@contrib_rule("Pad")
def pad_by_operand(node: Node) -> Answer:
    """Pad as it is since opset 11."""
    return pad(replace(node, op=replace(node.op, version=11)))


@rule("DynamicSlice", until=10)
def dynamic_slice(node: Node) -> Answer:
    """Slice as it is since opset 10; ONNX dropped the older name, ONNX Runtime kept it."""
    return cut_out(replace(node, op=replace(node.op, version=11)))


@contrib_rule("ExpandDims")
def expand_dims(node: Node) -> Answer:
    """A new axis of size 1."""
    axis = node.known(1)
    if axis is None:
        return barrier("the axis of ExpandDims is unknown")
    words = names(len(node.shape(0)))
    place = axis[0] % (len(words) + 1)
    return f"{term(words)}, () -> {term([*words[:place], '1', *words[place:]])}"


@contrib_rule("Rfft Irfft")
def fourier(node: Node) -> Answer:
    """The signal is the last axis; of complex numbers, it is the one before."""
    if node.integer("signal_ndim", 1) != 1:
        return barrier(f"{node.op.type} of a signal with several axes")
    return "... n! -> ... f! c!" if node.op.type == "Rfft" else "... f! c! -> ... n!"
