"""A Softmax whose axis is cut: what follows it must be linear, so that it can be rescaled later.

    scores [h, q, k] -> Softmax -> Cast -> MatMul with v -> [h, q, d]:  one number for each (h, q)

While chunks of k go by, the largest score of a row grows; what has been added up with a smaller one is
multiplied by exp(smaller - larger). That number, one a row of the Softmax, has to be brought to the axes
of the result that is added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..axes import Mark, Position, Refusal, carry
from ..graph.model import Graph, Op
from .recipes import operand_from
from .rules import Rules

Path = tuple[tuple[int, int], ...]  # (op, operand that comes from the Softmax), the last op included


@dataclass(frozen=True, slots=True)
class Spread:
    """How numbers of each row of a Softmax are laid along the axes of a result: turned, then reshaped.

    Attributes:
        guarded: rows that are not numbers are made 0 behind the Softmax.
    """

    order: tuple[int, ...]
    shape: tuple[int, ...]
    guarded: bool = False


def spread_of(graph: Graph, rules: Rules, softmax: Op, axis: int, ops: Sequence[int]) -> Spread | None:
    """Where the rows of a Softmax lie in the result of the last op; None where they cannot be rescaled there.

    Args:
        graph: the graph.
        rules: of its ops.
        softmax: normalises along `axis`.
        axis: likewise.
        ops: of the region, behind the Softmax, in execution order.
    """
    path = _path(graph, softmax, ops)
    if path is None:
        return None
    shape, result = graph.shape(softmax.outputs[0]) or (), graph.shape(graph.ops[ops[-1]].outputs[0]) or ()
    rows = [at for at, size in enumerate(shape) if at != axis and size > 1]
    places = [_carried(rules, path, Position.whole(shape, at)) for at in rows]
    found = [(place, at) for place, at in zip(places, rows, strict=True) if place is not None]
    sizes = [1] * len(result)
    for place, _ in found:
        sizes[place.axis] *= place.extent
    if len(found) < len(rows) or any(size not in (1, full) for size, full in zip(sizes, result, strict=True)):
        return None
    found.sort(key=lambda pair: (pair[0].axis, pair[0].outer))
    order = [at for _, at in found]
    guarded = any(graph.ops[index].type == "Where" for index, _ in path)
    return Spread((*order, *(at for at in range(len(shape)) if at not in order)), tuple(sizes), guarded)


def _path(graph: Graph, softmax: Op, ops: Sequence[int]) -> Path | None:
    """The ops from the Softmax to the last one, if all are linear and nobody else sees what they make."""
    values, asked, path = {softmax.outputs[0]}, dict[str, str](), []
    for index in ops:
        op, last = graph.ops[index], index == ops[-1]
        if not values.intersection(op.reads):
            continue
        if op.type == "IsNaN":
            asked[op.outputs[0]] = op.inputs[0]
            continue
        at = 2 if _guards(graph, op, asked) else operand_from(op, values, last=last)
        if at is None or not graph.values[op.outputs[0]].dtype.startswith(("float", "bfloat")):
            return None
        path.append((index, at))
        if not last:
            values.update(op.outputs)
    seen = {op.index for name in (*values, *asked) for op in graph.consumers.get(name, ())}
    asks = {graph.producer[name].index for name in asked}
    known = {index for index, _ in path} | asks
    if not path or path[-1][0] != ops[-1] or seen - known or graph.results & {*values, *asked}:
        return None
    return tuple(path)


def _guards(graph: Graph, op: Op, asked: Mapping[str, str]) -> bool:
    """True for `Where(IsNaN(x), 0, x)`, with which exporters answer rows that are masked all through."""
    if op.type != "Where" or asked.get(op.inputs[0]) != op.inputs[2]:
        return False
    zero = graph.values[op.inputs[1]].data
    return zero is not None and not zero.any()


def _carried(rules: Rules, path: Path, position: Position) -> Position | None:
    """Follow an axis of the Softmax to the result of the last op."""
    for index, operand in path:
        step = carry(rules[index], position=position, operand=operand)
        if isinstance(step, Refusal) or step.mark is not Mark.MAP or step.results[0] is None:
            return None
        position = step.results[0]
    return position
