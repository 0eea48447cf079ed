"""Reductions: kept axes pass, reduced ones need an accumulator where partial results combine.

    ReduceSum(axes=[1]): a0 a1+ a2 -> a0 1 a2

Source: https://onnx.ai/onnx/operators/onnx__ReduceSum.html and its family.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule
from onnx_autochunk.axes.rules.words import marked, names, term

_COMBINE: Mapping[str, str] = {
    "ReduceSum": "+", "ReduceL1": "+", "ReduceSumSquare": "+", "ReduceMax": "^", "ReduceMin": "_",
}  # fmt: skip


@rule(
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"
    " ReduceSumSquare"
)
def reduce(node: Node) -> Answer:
    """Reduced axes combine for sums, maxima and minima; they are whole otherwise (mean, product, norms)."""
    rank = len(node.shape(0))
    axes = node.known(1) if node.has(1) else node.integers("axes")
    if node.has(1) and axes is None:
        return barrier("the axes of the reduction are unknown")
    if not axes:
        axes = () if node.integer("noop_with_empty_axes", 0) else tuple(range(rank))
    reduced = {axis % rank for axis in axes}
    mark = _COMBINE.get(node.op.type, "!")
    return _reduction(rank, reduced, mark, node)


@rule("ArgMax ArgMin")
def arg_reduce(node: Node) -> Answer:
    """The index counts from the start of the axis: needed whole."""
    rank = len(node.shape(0))
    return _reduction(rank, {node.axis(0, rank)}, "!", node)


def _reduction(rank: int, reduced: set[int], mark: str, node: Node) -> str:
    words = names(rank)
    keep = node.integer("keepdims", 1)
    kept = [
        "1" if axis in reduced else word for axis, word in enumerate(words) if keep or axis not in reduced
    ]
    return f"{term(marked(words, reduced, mark))}, () -> {term(kept)}"
