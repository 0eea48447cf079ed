"""How much of a Softmax's operand a constant mask hides: such elements take many times as long.

`Add(scores, mask)`, `Where(mask, scores, low)`: the exponential of what is hidden is no normal number, and
processors work on those slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .model import Graph, Op, Origin

LOW = -87.0  # the exponential of less is below the least normal float32
MOST_SAMPLES = 1 << 20
CAUSAL_SHARE = 0.5
COMPARING = frozenset("Trilu Less LessOrEqual Greater GreaterOrEqual".split())
MOST_STEPS = 32  # back from a mask


def with_masks(graph: Graph, tensor_of: Callable[[str], NDArray[np.generic] | None]) -> Graph:
    """The graph with `masked` filled in for constants that hide elements from a Softmax.

    Args:
        graph: as loaded.
        tensor_of: elements of a constant, by name; None when they are not at hand.
    """
    shares: dict[str, float] = {}
    for name in dict.fromkeys(_masks(graph)):
        tensor = tensor_of(name) if graph.values[name].origin is Origin.CONSTANT else None
        if tensor is not None and tensor.size:
            shares[name] = _share(tensor)
        elif _is_causal(name, graph):
            shares[name] = CAUSAL_SHARE
    values = {name: replace(graph.values[name], masked=share) for name, share in shares.items()}
    return replace(graph, values={**graph.values, **values}) if values else graph


def masked_share(op: Op, graph: Graph) -> float:
    """Share of a Softmax's operand that a mask hides: 0 to 1."""
    return max((graph.values[name].masked for name in _masks_of(op, graph)), default=0.0)


def _masks(graph: Graph) -> Iterator[str]:
    for op in graph.ops:
        if op.type in ("Softmax", "LogSoftmax"):
            yield from _masks_of(op, graph)


def _masks_of(op: Op, graph: Graph) -> Iterator[str]:
    before = graph.producer.get(op.inputs[0])
    if before is None or before.type not in ("Add", "Where"):
        return
    names = before.inputs[:1] if before.type == "Where" else before.inputs
    yield from (name for name in names if name in graph.values)


def _is_causal(name: str, graph: Graph) -> bool:
    """True for what is computed by comparing rows with columns."""
    shape = graph.shape(name) or ()
    if len(shape) < 2 or shape[-1] != shape[-2]:
        return False
    seen, left = {name}, [name]
    while left and len(seen) < MOST_STEPS:
        producer = graph.producer.get(left.pop())
        if producer is not None and producer.type in COMPARING:
            return True
        new = [] if producer is None else [name for name in producer.reads if name not in seen]
        seen.update(new)
        left += new
    return False


def _share(tensor: NDArray[np.generic]) -> float:
    """Of a sample; its step is odd, so that it meets every column of a mask whose sides are even."""
    flat = tensor.reshape(-1)
    sample = flat[:: tensor.size // MOST_SAMPLES | 1]
    return float(np.mean(np.logical_not(sample) if sample.dtype == bool else np.less(sample, LOW)))
