"""Why a rule holds back what could pass."""

from __future__ import annotations

from collections.abc import Mapping

WHOLE_THOUGH_IT_PASSES: Mapping[tuple[str, str], str] = {
    ("Attention", "e"): "columns of the values: each chunk would compute all scores again",
    ("MatMulNBits", "n"): "weights that are sliced as the model runs are not multiplied in 8 bits",
    ("MultiHeadAttention", "e"): "columns of the values: each chunk would compute all scores again",
    ("Resize", "t2"): "copies of one element: a chunk of them reads all that the whole reads",
    ("Resize", "t3"): "copies of one element: a chunk of them reads all that the whole reads",
    ("CumSum", "a0"): "the axis is unknown to the rule",
    ("Dropout", "0, (), () -> 0"): "whether it trains is unknown to the rule",
    ("ReduceSum", "0, () -> 0"): "the axes are unknown to the rule, and no shape tells them",
    ("ReduceSum", "1, () -> ()+"): "the axes are unknown to the rule, and no shape tells them",
    ("StringSplit", "1 -> 1, 1"): "rows are as long as the longest, which every column of the one case has",
}
"""(operator, what was cut) -> why the rule holds it back."""
