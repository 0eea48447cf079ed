"""The order in which ONNX Runtime runs the ops of a graph: what is alive together follows from it.

ORT's default order is a depth-first walk backwards from the leaves with an explicit stack. Of several
producers the one that comes last in the file is finished first, with all it needs: ops `a b c` where c
reads both -> b a c.
"""

from __future__ import annotations

from ..graph.model import Graph


def execution_order(graph: Graph) -> tuple[int, ...]:
    """Indices of `graph.ops` in the order ORT's sequential executor runs them (ExecutionOrder::DEFAULT).

    The rules it follows:
        1. Leaves (ops whose outputs no op reads) go on the stack in file order, so the last one starts.
        2. An op's producers, captured values included, go on the stack in file order above it.
        3. An op runs when the stack comes back to it.

    A graph that ORT itself wrote (`optimized_model_filepath`) stands in the order in which the session that
    wrote it runs it; walking it again may give another, because a file does not keep the numbers of fused
    nodes.

    Source: onnxruntime/core/graph/graph_viewer.cc, GraphViewer; graph.cc, Graph::ReverseDFSFrom.
    """
    producers = _producers(graph)
    read = {index for indices in producers for index in indices}
    stack = [(op.index, False) for op in graph.ops if op.index not in read]
    visited: set[int] = set()
    order: list[int] = []
    while stack:
        index, leaving = stack.pop()
        if leaving:
            order.append(index)
        elif index not in visited:
            visited.add(index)
            stack.append((index, True))
            stack.extend((before, False) for before in producers[index] if before not in visited)
    return tuple(order)


def _producers(graph: Graph) -> tuple[tuple[int, ...], ...]:
    """For each op the indices of the ops it reads from, in file order."""
    made_by = {name: op.index for name, op in graph.producer.items()}
    return tuple(tuple(sorted({made_by[name] for name in op.reads if name in made_by})) for op in graph.ops)
