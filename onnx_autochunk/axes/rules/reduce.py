"""Reductions: kept axes pass, reduced ones need an accumulator where partial results combine.

    ReduceSum(axes=[1]): a0 a1+ a2 -> a0 1 a2

Source: https://onnx.ai/onnx/operators/onnx__ReduceSum.html and its family.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

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
    reduced = _reduced(node)
    if reduced is None:
        return barrier(f"{node.op.type} has axes that neither a constant nor the shapes tell")
    return _reduction(node, reduced, _COMBINE.get(node.op.type, "!"))


def _reduced(node: Node) -> set[int] | None:
    """The axes, from an attribute or an operand, or as the shapes show them."""
    rank = len(node.shape(0))
    axes = node.known(1) if node.has(1) else node.integers("axes")
    if node.has(1) and axes is None:
        return _shown(node)
    if not axes:
        axes = () if node.integer("noop_with_empty_axes", 0) else tuple(range(rank))
    return {axis % rank for axis in axes}


def _shown(node: Node) -> set[int] | None:
    """The axes of size 1 in the result; if none are kept, those without which the shapes are the same."""
    before, after = node.shape(0), node.results[0] or ()
    if node.integer("keepdims", 1):
        return {axis for axis, size in enumerate(after) if size == 1}
    choices = combinations(range(len(before)), len(after))
    kept = [
        axes for axes in choices if all(before[axis] == size for axis, size in zip(axes, after, strict=True))
    ]
    return set(range(len(before))) - set(kept[0]) if len(kept) == 1 else None


@rule("ArgMax ArgMin")
def arg_reduce(node: Node) -> Answer:
    """The index counts from the start of the axis: needed whole."""
    return _reduction(node, {node.axis(0, len(node.shape(0)))}, "!")


def _reduction(node: Node, reduced: set[int], mark: str) -> str:
    words = names(len(node.shape(0)))
    keep = node.integer("keepdims", 1)
    kept = [
        "1" if axis in reduced else word for axis, word in enumerate(words) if keep or axis not in reduced
    ]
    return f"{term(marked(words, reduced, mark))}, () -> {term(kept)}"
