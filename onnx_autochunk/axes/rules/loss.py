"""Losses: one number a sample, added up or not.

    NegativeLogLikelihoodLoss(reduction="sum"): n+ c! a0+, n a0, c! -> ()

Source: https://onnx.ai/onnx/operators/onnx__NegativeLogLikelihoodLoss.html,
onnx__SoftmaxCrossEntropyLoss.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, rule


@rule("NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss", since=12)
def loss(node: Node) -> Answer:
    """Sums combine unless the logarithms of all samples are a second result; a mean needs all of them."""
    reduction = node.text("reduction", "mean")
    summed = reduction == "sum" and not node.gives(1)
    mark = "" if reduction == "none" else "+" if summed else "!"
    result = "n ..." if reduction == "none" else "()"
    return f"n{mark} c! ...{mark}, n ..., c! -> {result}, n c ..."
