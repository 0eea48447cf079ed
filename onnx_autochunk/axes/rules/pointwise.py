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
    " Mul Or PRelu Pow Sub SwiGLU Where Xor",
    "... * -> ...",
    since=7,  # before, an attribute `axis` aligned the operands
)
spec("Max Mean Min Sum", "... * -> ...")
spec("Clip", "..., (), () -> ...")
spec("CastLike", "..., () -> ...", since=15)


@rule("Dropout", since=7)
def dropout(node: Node) -> Answer:
    """Elementwise in inference, or where nothing is dropped."""
    if node.has(2) and node.known(2) != (0,) and node.numbers(1) != (0.0,):
        return barrier("Dropout is random in training: chunks would drop other elements than the whole")
    return "..., (), () -> ..., ..."
