"""Operators on shapes, and those that no axis passes: their results depend on the whole value or on chance.

Source: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule

_WHY: Mapping[str, str] = {
    "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike": "random",
    "Shape Size": "reads the extents of the whole value",
    "Constant Range EyeLike BlackmanWindow HammingWindow HannWindow MelWeightMatrix": "has no axes to cut",
    "Compress NonMaxSuppression NonZero Unique StringSplit": "the extents of the result depend on the data",
    "If Loop Scan SequenceMap": "has a subgraph",
    "ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct"
    " SequenceEmpty SequenceErase SequenceInsert SequenceLength SplitToSequence": "works on a sequence",
    "DynamicQuantizeLinear": "the scale depends on the whole value",
}  # fmt: skip


def _refuse(types: str, why: str) -> None:
    @rule(types)
    def refuse(node: Node) -> Answer:
        return barrier(f"{node.op.type}: {why}")


for _types, _reason in _WHY.items():
    _refuse(_types, _reason)


@rule("ConstantOfShape")
def constant_of_shape(node: Node) -> Answer:
    """Every chunk fills its own shape."""
    return Notation("() -> ...", sizes={0: 0})
