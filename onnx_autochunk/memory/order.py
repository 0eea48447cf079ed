"""The order in which ONNX Runtime runs the ops of a graph: what is alive together follows from it.

ORT's default order is a depth-first walk backwards from the leaves with an explicit stack. Of several
producers the one that comes last in the file is finished first, with all it needs: ops `a b c` where c
reads both -> b a c.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.model import Graph, Op


def execution_order(graph: Graph) -> tuple[int, ...]:
    """Indices of `graph.ops` in the order ORT's sequential executor runs them (ExecutionOrder::DEFAULT).

    A graph that ORT itself wrote (`optimized_model_filepath`) stands in the order in which the session that
    wrote it runs it; walking it again may give another, because a file does not keep the numbers of fused
    nodes.
    """
    return walk(graph.ops)


def walk(ops: Sequence[Op]) -> tuple[int, ...]:
    """Positions of ops, which stand in the order of ORT's node numbers, in the order in which they run.

    The rules it follows:
        1. Leaves (ops whose outputs no op reads) go on the stack in order of numbers, so the last one starts.
        2. An op's producers, captured values included, go on the stack in order of numbers above it.
        3. An op runs when the stack comes back to it.

    Source: onnxruntime/core/graph/graph_viewer.cc, GraphViewer; graph.cc, Graph::ReverseDFSFrom.
    """
    producers = _producers(ops)
    read = {position for positions in producers for position in positions}
    stack = [(position, False) for position in range(len(ops)) if position not in read]
    visited: set[int] = set()
    order: list[int] = []
    while stack:
        position, leaving = stack.pop()
        if leaving:
            order.append(position)
        elif position not in visited:
            visited.add(position)
            stack.append((position, True))
            stack.extend((before, False) for before in producers[position] if before not in visited)
    return tuple(order)


def _producers(ops: Sequence[Op]) -> tuple[tuple[int, ...], ...]:
    """For each op the positions of the ops it reads from, in order."""
    made_by = {name: position for position, op in enumerate(ops) for name in op.outputs if name}
    return tuple(tuple(sorted({made_by[name] for name in op.reads if name in made_by})) for op in ops)
