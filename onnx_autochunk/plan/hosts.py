"""Which sliced input's buffer a sweep may write each output into."""

from __future__ import annotations

from ..graph.model import Graph, Origin
from .region import Cut, Region


def sweep_hosts(graph: Graph, region: Region) -> dict[Cut, Cut] | None:
    """For each output the input that hosts it; None when an output finds none.

    A host
        1. is computed, not an input of the graph or a constant (those are never written to),
        2. has the output's shape, type and cut,
        3. is read by nobody but the region and what runs before it,
        4. is read in one way only: neither whole nor along another axis as well,
        5. hosts one output, which is not an output of the graph.
    """
    hosts: dict[Cut, Cut] = {}
    for output in region.outputs:
        if output.value in graph.outputs:
            return None
        free = [
            cut for cut in region.sliced if cut not in hosts.values() and _fits(graph, region, output, cut)
        ]
        if not free:
            return None
        hosts[output] = free[0]
    return hosts


def _fits(graph: Graph, region: Region, output: Cut, host: Cut) -> bool:
    written, value = graph.values[output.value], graph.values[host.value]
    early = {*region.ops, *region.hoisted}
    return (
        value.origin is Origin.COMPUTED
        and (value.shape, value.dtype, host.position) == (written.shape, written.dtype, output.position)
        and host.value not in graph.outputs
        and host.value not in region.whole
        and sum(cut.value == host.value for cut in region.sliced) == 1
        and all(op.index in early or _before(region, op.index) for op in graph.consumers[host.value])
    )


def _before(region: Region, index: int) -> bool:
    return index in region.recomputed
