"""Recurrent layers: time runs, the batch is independent.

Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, rule

_WEIGHTS = "d! g! i!, d! g! h!, d! q!"


@rule("LSTM GRU RNN", since=7)
def recurrent(node: Node) -> Answer:
    """Operands: values, weights, lengths, first states, peepholes; `layout` puts the batch first."""
    first = node.integer("layout", 0)
    value, state, result = (
        ("b s! i!", "b d! h!", "b s! d! h!") if first else ("s! b i!", "d! b h!", "s! d! b h!")
    )
    return f"{value}, {_WEIGHTS}, b, {state}, {state}, d! p! -> {result}, {state}, {state}"
