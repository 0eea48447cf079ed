"""Elementwise operators: every axis passes, operands broadcast.

Source: https://onnx.ai/onnx/operators/ (broadcasting: https://onnx.ai/onnx/repo-docs/Broadcasting.html)
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule, spec

spec(
    "Abs Acos Acosh Asin Asinh Atan Atanh BitCast BitwiseNot Cast Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu"
    " HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink"
    " Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu",
    "... -> ...",
)
spec(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Mod"
    " Mul Or Pow Sub SwiGLU Where Xor",
    "... * -> ...",
    since=7,  # before, an attribute `axis` aligned the operands
)
spec("Max Mean Min Sum", "... * -> ...")
spec("Clip", "..., (), () -> ...")
spec("CastLike", "..., () -> ...", since=15)


@rule("PRelu", since=7)
def prelu(node: Node) -> Answer:
    """The slope broadcasts to the operand; ONNX Runtime takes others, whose results have other shapes."""
    pairs = zip(reversed(node.shape(1)), reversed(node.shape(0)), strict=False)
    if len(node.shape(1)) > len(node.shape(0)) or any(slope not in (1, size) for slope, size in pairs):
        return barrier("PRelu with a slope that does not broadcast to its operand")
    return "... * -> ..."


@rule("Dropout", since=7)
def dropout(node: Node) -> Answer:
    """Elementwise in inference, or where nothing is dropped."""
    if node.has(2) and node.known(2) != (0,) and node.numbers(1) != (0.0,):
        return barrier("Dropout is random in training: chunks would drop other elements than the whole")
    return "..., (), () -> ..., ..."
