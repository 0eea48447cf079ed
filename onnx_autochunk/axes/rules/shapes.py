"""Operators on shapes, and those that no axis passes: each says why.

Source: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule, spec

_WHY: Mapping[str, str] = {
    "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike":
        "is random: chunks would draw other numbers",
    "Shape": "gives the extents of the whole value",
    "Constant": "is a constant: nothing is computed",
    "BlackmanWindow HammingWindow HannWindow MelWeightMatrix":
        "computes each element from the length of the whole, which is an operand",
    "NonMaxSuppression NonZero": "finds as many elements as the data has",
    "Unique": "compares every element with all others",
    "ImageDecoder": "decodes one compressed file, which has no axes",
    "If Loop Scan SequenceMap": "has a subgraph, which is left as it is",
    "ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert"
    " SequenceLength SplitToSequence": "works on a sequence of tensors, which has no axes",
    "Optional OptionalHasElement": "works on an optional value, which has no axes",
    "DynamicQuantizeLinear": "takes its scale from the least and the greatest of all elements",
}  # fmt: skip


def _refuse(types: str, why: str) -> None:
    @rule(types)
    def refuse(node: Node) -> Answer:
        return barrier(f"{node.op.type} {why}")


for _types, _reason in _WHY.items():
    _refuse(_types, _reason)

spec("Size", "...+ -> ()")
spec("OptionalGetElement", "... -> ...")  # of a tensor; other values have no shape


@rule("ConstantOfShape", since=9)
def constant_of_shape(node: Node) -> Answer:
    """Every chunk fills its own shape."""
    return Notation("() -> ...", sizes={0: 0})
