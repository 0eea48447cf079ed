"""Operators whose elements follow from their positions: a chunk starts counting where it begins.

    Trilu(x, k) on rows [s, t) is Trilu(rows, k + s)

Source: https://onnx.ai/onnx/operators/onnx__Trilu.html, onnx__EyeLike.html, onnx__Range.html
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx_autochunk.axes.factor import Linear, Patch
from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule

# whole numbers up to these are exact, whatever they are added up from
_EXACT: Mapping[str, int] = {
    "bfloat16": 1 << 8, "float16": 1 << 11, "float32": 1 << 24, "float64": 1 << 53,
}  # fmt: skip


@rule("Trilu")
def trilu(node: Node) -> Answer:
    """The diagonal moves against the chunk; one that is not known cannot be moved."""
    moved = node.known(1) if node.has(1) else (0,)
    if moved is None:
        return "... m! n!, () -> ... m n"
    return Notation("... m n, () -> ... m n", patches=_diagonal(1, moved[0]))


@rule("EyeLike", since=9)
def eye_like(node: Node) -> Answer:
    """Of the operand, only the shape is read."""
    return Notation("m n -> m n", patches=_diagonal("k", node.integer("k", 0)))


def _diagonal(target: int | str, k: int) -> Mapping[str, tuple[Patch, ...]]:
    """The k-th diagonal, seen from a chunk of rows m or columns n."""
    return {"m": (Patch(target, Linear(k, start=1)),), "n": (Patch(target, Linear(k, start=-1)),)}


@rule("Range", since=11)
def range_(node: Node) -> Answer:
    """Chunks have their own start and limit; fractions would be rounded differently in each."""
    first, step = _whole(node, 0), _whole(node, 2)
    if first is None or step is None:
        return barrier("Range can only be cut when its start and its delta are known whole numbers")
    (length,) = node.results[0] or (0,)
    end = first + step * length
    kind = node.graph.values[node.op.inputs[0]].dtype
    if kind in _EXACT and max(abs(first), abs(end)) > _EXACT[kind]:
        return barrier(f"Range counts further than {kind} is exact")
    changed = (Patch(0, Linear(first, start=step)), Patch(1, Linear(first, stop=step)))
    return Notation("(), (), () -> r", patches={"r": changed})


def _whole(node: Node, operand: int) -> int | None:
    """A scalar that is known to be a whole number."""
    numbers = node.numbers(operand)
    return int(numbers[0]) if numbers and numbers[0].is_integer() else None
