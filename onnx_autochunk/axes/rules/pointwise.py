"""Elementwise operators: every axis passes, operands broadcast.

Source: https://onnx.ai/onnx/operators/ (broadcasting: https://onnx.ai/onnx/repo-docs/Broadcasting.html)
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule, spec

spec(
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu"
    " HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal RegexFullMatch Relu"
    " Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu",
    "... -> ...",
)
spec(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Mod"
    " Mul Or PRelu Pow StringConcat Sub SwiGLU Where Xor",
    "... * -> ...",
    since=7,  # before, an attribute `axis` aligned the operands
)
spec("Max Mean Min Sum", "... * -> ...", since=8)
spec("Clip", "..., (), () -> ...")
spec("CastLike", "..., () -> ...")
spec("QuickGelu Gelu FastGelu BiasGelu", "... * -> ...", domain="com.microsoft")


@rule("BitCast")
def bit_cast(node: Node) -> Answer:
    """Elementwise when the item size stays."""
    return "... -> ..." if node.operands == node.results else barrier("BitCast changes the last axis")


@rule("Dropout", since=7)
def dropout(node: Node) -> Answer:
    """Elementwise in inference; in training the mask is drawn anew in each chunk."""
    if node.has(2) and node.known(2) != (0,):
        return barrier("random: Dropout in training mode")
    return "..., (), () -> ..., ..."
