"""Which ops can give a result bit by bit: a part from each chunk of a reduced axis, and how parts combine.

    ReduceSum: parts add up          ReduceMean: sums add up, divided at the end
    Softmax and a product with it: the largest logit, the sum and the product so far, rescaled as it grows

Source: Milakov and Gimelshein, Online normalizer calculation for softmax, arXiv 1805.02867.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..axes import Mark, Position, Rule
from ..graph.model import Graph, Op


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one op's parts become its result.

    Attributes:
        combine: the op that puts two parts together.
        start: what changes nothing when it is combined with.
        part: type of the op that computes a part; empty for the op's own.
        ending: what is done to the total: "" for nothing.
    """

    combine: str
    start: float
    part: str = ""
    ending: str = ""


_BY_MARK: Mapping[Mark, Recipe] = {
    Mark.SUM: Recipe("Add", 0.0),
    Mark.MAX: Recipe("Max", float("-inf")),
    Mark.MIN: Recipe("Min", float("inf")),
}

# Ops that need their axis whole by themselves, but are made of something that does not.
_WHOLE: Mapping[str, Recipe] = {
    "ReduceMean": Recipe("Add", 0.0, "ReduceSum", "Mean"),
    "ReduceL2": Recipe("Add", 0.0, "ReduceSumSquare", "Sqrt"),
    "ReduceLogSum": Recipe("Add", 0.0, "ReduceSum", "Log"),
    "ReduceLogSumExp": Recipe("ReduceLogSumExp", float("-inf")),
    "ReduceProd": Recipe("Mul", 1.0),
}

# What a part is kept as between chunks: sums of 16 bits would lose what they add.
CARRIED: Mapping[str, str] = {
    "float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64",
    "int8": "int32", "uint8": "int32", "int32": "int32", "int64": "int64",
}  # fmt: skip

# f(a x) = a f(x) for a number a of each row: what may stand between a Softmax and the end.
_LINEAR: Mapping[str, tuple[int, ...]] = {
    "Cast": (0,), "Identity": (0,), "Neg": (0,), "Transpose": (0,), "Reshape": (0,), "Squeeze": (0,),
    "Unsqueeze": (0,), "Flatten": (0,), "Expand": (0,), "Div": (0,), "Mul": (0, 1),
}  # fmt: skip
_LINEAR_ENDS: Mapping[str, tuple[int, ...]] = {
    "MatMul": (0, 1), "Gemm": (0, 1), "ReduceSum": (0,), "ReduceMean": (0,),
}  # fmt: skip


def recipe_of(op: Op, mark: Mark) -> Recipe | None:
    """How the op's parts combine along a factor with that mark in its own rule; None where they do not."""
    return _WHOLE.get(op.type) if mark is Mark.WHOLE else _BY_MARK.get(mark)


def relaxed(op: Op, rule: Rule) -> Rule:
    """The rule with what the op needs whole allowed to pass: for an op that gives its result bit by bit."""
    mark = Mark.MAP if op.type == "Softmax" else Mark.SUM
    factors = (f if f.mark is not Mark.WHOLE else replace(f, mark=mark) for f in rule.factors)
    return replace(rule, factors=tuple(factors))


def ends(graph: Graph, op: Op, rule: Rule) -> Iterator[tuple[int, Position]]:
    """Where a flow can start that the op reduces: the operand, and the place in it."""
    if len(op.outputs) != 1 or graph.shape(op.outputs[0]) is None:
        return
    if graph.values[op.outputs[0]].dtype not in CARRIED:
        return
    for factor in rule.factors:
        recipe = recipe_of(op, factor.mark)
        plain = not factor.patches and not factor.crop and not any(p.window for p in factor.operands if p)
        if recipe is None or not plain or not _keeps_type(graph, op, recipe):
            continue
        at, place = next((at, place) for at, place in enumerate(factor.operands) if place is not None)
        yield at, Position(place.axis, place.outer, factor.extent, place.unit)


def _keeps_type(graph: Graph, op: Op, recipe: Recipe) -> bool:
    """False where the ending would not give what the op gives: integers are divided and rounded otherwise."""
    return not recipe.ending or graph.values[op.outputs[0]].dtype.startswith(("float", "bfloat"))


def operand_from(op: Op, values: set[str], *, last: bool) -> int | None:
    """The operand that comes from `values`, if it is one and the op is linear in it."""
    table = _LINEAR_ENDS if last else _LINEAR
    found = [at for at, name in enumerate(op.inputs) if name in values]
    return found[0] if len(found) == 1 and found[0] in table.get(op.type, ()) else None
