"""What is chunked for fixed sizes and not where they are open, and why.

`x -> Conv -> y`, rows of y read the rows beside theirs -> "Conv 'c' reads neighbours of a chunk, ..."

Regions of open sizes are Scans whose chunks are all alike, one deep (`plan.steady`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..axes import Factor, Mark, Rule, rule_for
from ..graph.model import Graph, Op
from .candidates import shrinks
from .recipes import ends
from .rules import Rules

INSTEAD = "which is for fixed sizes only: --fix-dims does it for the sizes given"
NESTED = f"its chunks hold so much, and a loop inside the loop would hold less, {INSTEAD}"


def obstacle(graph: Graph, rules: Rules, name: str) -> str:
    """Why a value can be chunked for fixed sizes only; empty where open sizes are not known to be the cause.

    Args:
        graph: of the reference sizes.
        rules: those of its ops that hold at every size.
        name: a value that an op computes.
    """
    around = (graph.producer[name], *graph.consumers.get(name, ()))
    found = (why for op in around for why in _obstacles(graph, rules[op.index], op, name))
    why = next(found, "")
    return why and f"{why}, {INSTEAD}"


def _obstacles(graph: Graph, steady: Rule, op: Op, name: str) -> Iterator[str]:
    """What chunks of a value would ask of one op that makes or reads it."""
    if steady.barrier is not None:
        return
    rule = rule_for(op, graph)
    held = {factor.name for factor in steady.factors if factor.mark is not Mark.WHOLE}
    for factor in rule.factors:
        if factor.mark is not Mark.MAP or factor.extent < 2 or not _lies_in(factor, op, name):
            continue
        if any(place is not None and place.window for place in factor.operands):
            yield f"{op.type} {op.name!r} reads neighbours of a chunk"
        elif factor.patches:
            yield f"operands or attributes of {op.type} {op.name!r} change with the chunk"
        elif factor.name not in held:
            yield f"axes of {op.type} {op.name!r} go together at the sizes given and not at others"
    if shrinks(graph, op) and any(op.inputs[operand] == name for operand, _ in ends(graph, op, rule)):
        yield f"{op.type} {op.name!r} combines chunks into one result"


def _lies_in(factor: Factor, op: Op, name: str) -> bool:
    """True when the factor is an axis of the value, or of a part of one."""
    sides = ((op.inputs, factor.operands), (op.outputs, factor.results))
    return any(
        one == name and place is not None
        for names, places in sides
        for one, place in zip(names, places, strict=False)
    )
