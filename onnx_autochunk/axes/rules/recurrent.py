"""Recurrent layers: time runs, the batch is independent.

Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule

_WEIGHTS = "d! g! i!, d! g! h!, d! q!"
_STATE = "d! b h!"


@rule("LSTM GRU RNN", since=7)
def recurrent(node: Node) -> Answer:
    """Operands: values, weights, lengths, first states and, for LSTM, peepholes."""
    if node.integer("layout", 0):
        return barrier(f"{node.op.type} with the batch first")
    return f"s! b i!, {_WEIGHTS}, b, {_STATE}, {_STATE}, d! p! -> s! d! b h!, {_STATE}, {_STATE}"
