"""Leave out what ORT computes when it loads: those results are resident like weights, and no activation.

`Greater(rows, columns) -> Where -> mask [4096, 4096]` of constants -> the constant `mask`, no op.

Source: onnxruntime/core/optimizer/constant_folding.cc.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .half import lacks_kernel
from .model import Graph, Op, Origin, Value

MAX_FOLDED_BYTES = 1 << 30  # measured: a larger result is left to run time
RANDOM = frozenset(
    "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial Dropout".split()
)


@dataclass(frozen=True)
class RunTime:
    """What is left to run: the graph, and where each of its ops stood before."""

    graph: Graph
    kept: tuple[int, ...]


def run_time_ops(graph: Graph) -> RunTime:
    """The graph without the ops that depend on constants and static shapes only; those become constants."""
    values = dict(graph.values)
    kept: list[Op] = []
    for op in graph.ops:
        if _folds(op, values) and not lacks_kernel(op, graph):
            values.update(
                (name, replace(values[name], origin=Origin.CONSTANT)) for name in op.outputs if name
            )
        else:
            kept.append(op)
    ops = tuple(replace(op, index=index) for index, op in enumerate(kept))
    return RunTime(Graph(ops, values, graph.inputs, graph.outputs), tuple(op.index for op in kept))


def _folds(op: Op, values: dict[str, Value]) -> bool:
    if op.subgraphs or op.type in RANDOM:
        return False
    results = [values[name] for name in op.outputs if name]
    if all(value.data is not None for value in results):
        return True
    known = all(name in values and values[name].origin is Origin.CONSTANT for name in op.reads)
    return known and all(value.shape is not None and value.nbytes <= MAX_FOLDED_BYTES for value in results)
