"""Leave out what ORT computes when it loads: those results are resident like weights, and no activation.

`Greater(rows, columns) -> Where -> mask [4096, 4096]` of constants -> the constant `mask`, no op.

Source: onnxruntime/core/optimizer/constant_folding.cc, noop_elimination.cc.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .half import lacks_kernel
from .model import Graph, Op, Origin, Value, numbered
from .sizes import GROWING

MAX_FOLDED_BYTES = 1 << 30  # measured: a larger result is left to run time
RANDOM = frozenset(
    "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial Dropout".split()
)


@dataclass(frozen=True)
class RunTime:
    """What is left to run: the graph, and where each of its ops stood before."""

    graph: Graph
    kept: tuple[int, ...]


def run_time_ops(graph: Graph, *, fixed: bool = True) -> RunTime:
    """The graph without the ops that depend on constants and static shapes only; those become constants.

    Args:
        graph: with the elements of its shape vectors.
        fixed: False where sizes are known at run time only: then of what depends on them, vectors of a few
            sizes are left out, which take nothing: they are as good as inputs. Nothing else is.
    """
    values = dict(graph.values)
    kept: list[Op] = []
    sized, grown = _sized(graph) if not fixed else (frozenset[str](), frozenset[str]())
    for op in graph.ops:
        is_sized = not sized.isdisjoint(op.outputs)
        folds = _is_vector(op, values, grown) if is_sized else _folds(op, values)
        if folds and not lacks_kernel(op, graph):
            origin = Origin.INPUT if is_sized else Origin.CONSTANT
            values.update((name, replace(values[name], origin=origin)) for name in op.outputs if name)
        else:
            kept.append(op)
    return RunTime(Graph(numbered(kept), values, graph.inputs, graph.outputs), tuple(op.index for op in kept))


def added_to_nothing(op: Op, graph: Graph) -> str | None:
    """The operand to which an Add adds one constant zero, which ONNX Runtime leaves out; None for others."""
    if op.type != "Add":
        return None
    zeros = [name for name in op.inputs if name in graph.values and _is_zero(graph.values[name])]
    return next((name for name in op.inputs if name not in zeros), None) if zeros else None


def _is_zero(value: Value) -> bool:
    data = value.data if value.origin is Origin.CONSTANT else None
    return data is not None and data.size == 1 and not data.any()


def _sized(graph: Graph) -> tuple[frozenset[str], frozenset[str]]:
    """Names of what depends on sizes, and of that in it which has as many elements as they say."""
    sized: set[str] = set()
    grown: set[str] = set()
    for op in graph.ops:
        if op.type in ("Shape", "Size") or not sized.isdisjoint(op.reads):
            sized.update(op.outputs)
            if op.type in GROWING or not grown.isdisjoint(op.reads):
                grown.update(op.outputs)
    return frozenset(sized), frozenset(grown)


def _is_vector(op: Op, values: dict[str, Value], grown: frozenset[str]) -> bool:
    known = all(values[name].data is not None for name in op.outputs if name)
    return known and grown.isdisjoint(op.outputs)


def _folds(op: Op, values: dict[str, Value]) -> bool:
    if op.subgraphs or op.type in RANDOM:
        return False
    results = [values[name] for name in op.outputs if name]
    if all(value.data is not None for value in results):
        return True
    known = all(name in values and values[name].origin is Origin.CONSTANT for name in op.reads)
    return known and all(value.shape is not None and value.nbytes <= MAX_FOLDED_BYTES for value in results)
