"""Which sliced input's buffer a sweep may write each output into."""

from __future__ import annotations

from ..graph.model import Graph, Origin
from .grow import regrow
from .region import Cut, Region
from .setting import Setting


def sweep_hosts(graph: Graph, region: Region) -> dict[Cut, Cut] | None:
    """For each output the input that hosts it; None when an output finds none.

    A host
        1. is computed, not an input of the graph or a constant (those are never written to),
        2. has the output's shape, type and cut,
        3. is read by nobody but the region and what runs before it,
        4. is read in one way only: neither whole nor along another axis as well,
        5. hosts one output, which is not an output of the graph.
    """
    early = {*region.ops, *region.hoisted, *region.recomputed}
    hosts: dict[Cut, Cut] = {}
    for output in region.outputs:
        if output.value in graph.results:
            return None
        free = (cut for cut in region.sliced if cut not in hosts.values())
        host = next((cut for cut in free if _fits(graph, region, early, output, cut)), None)
        if host is None:
            return None
        hosts[output] = host
    return hosts


def can_sweep(graph: Graph, region: Region) -> bool:
    """True when a region can be written as a sweep, over hosts or into new buffers."""
    return region.accumulator is None and graph.results.isdisjoint(cut.value for cut in region.outputs)


def hosted(setting: Setting, region: Region) -> Region | None:
    """A region without what it computes anew at its start, where only that gives it hosts.

    `tokens -> Gather -> x -> LayerNormalization -> q` in each chunk of an attention becomes `x -> ... -> q`:
    x is there for the keys and values, and the result can be written over it.
    """
    if not region.recomputed or sweep_hosts(setting.graph, region) is not None:
        return None
    graph, step = setting.graph, setting.rules.step
    shapes = {graph.shape(cut.value) for cut in region.outputs}
    seed = region.flow[graph.ops[region.ops[-1]].outputs[0]]
    for index in region.recomputed:
        early = {other for other in region.ops if step[other] <= step[index]}
        if early <= region.recomputed and graph.shape(graph.ops[index].outputs[0]) in shapes:
            kept, recomputed = set(region.ops) - early, region.recomputed - early
            found = regrow(setting, region.start, region.end, seed, kept, recomputed)
            if found is not None and sweep_hosts(graph, found) is not None:
                return found
    return None


def _fits(graph: Graph, region: Region, early: set[int], output: Cut, host: Cut) -> bool:
    written, value = graph.values[output.value], graph.values[host.value]
    return (
        value.origin is Origin.COMPUTED
        and (value.shape, value.dtype, host.position) == (written.shape, written.dtype, output.position)
        and host.value not in graph.results
        and host.value not in region.whole
        and sum(cut.value == host.value for cut in region.sliced) == 1
        and all(op.index in early for op in graph.consumers[host.value])
    )
