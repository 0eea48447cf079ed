"""The same region elsewhere: at the place that a candidate stands for, or in a graph equal up to names.

A region found in layer 0, 57 steps before the one that is wanted -> that of layer 1: other ops, other names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..graph.model import Graph, Op
from .candidates import Candidate
from .region import Accumulator, Cut, Region
from .setting import Setting


def materialise(candidate: Candidate, setting: Setting, feeder: Region | None = None) -> Region:
    """The candidate's region, or a feeder of it, with the ops and names of the place it stands for."""
    region, shift, order, graph = feeder or candidate.region, candidate.shift, setting.order, setting.graph
    if not shift:
        return region
    step = setting.rules.step
    here = [graph.ops[order[at]] for at in range(region.start, region.end + 1)]
    there = [graph.ops[order[at + shift]] for at in range(region.start, region.end + 1)]
    made = _moved(region, {op.index: order[step[op.index] + shift] for op in here}, _renamed(here, there))
    return replace(made, start=candidate.start, end=candidate.end)


def moved(region: Region, here: Graph, there: Graph) -> Region:
    """The region of one graph in another that is equal up to names."""
    return _moved(region, {op.index: op.index for op in here.ops}, _renamed(here.ops, there.ops))


def _moved(region: Region, ops: Mapping[int, int], names: Mapping[str, str]) -> Region:
    def cuts(found: tuple[Cut, ...]) -> tuple[Cut, ...]:
        return tuple(Cut(names[cut.value], cut.position) for cut in found)

    return replace(
        region,
        ops=tuple(ops[index] for index in region.ops),
        recomputed=frozenset(ops[index] for index in region.recomputed),
        hoisted=tuple(ops[index] for index in region.hoisted),
        sunk=tuple(ops[index] for index in region.sunk),
        sliced=cuts(region.sliced),
        whole=tuple(names[name] for name in region.whole),
        outputs=cuts(region.outputs),
        flow={names[name]: position for name, position in region.flow.items()},
        accumulator=None if region.accumulator is None else _moved_end(region.accumulator, ops, names),
    )


def _moved_end(carried: Accumulator, ops: Mapping[int, int], names: Mapping[str, str]) -> Accumulator:
    softmax = None if carried.softmax is None else ops[carried.softmax]
    return replace(carried, value=names[carried.value], softmax=softmax)


def _renamed(here: Sequence[Op], there: Sequence[Op]) -> dict[str, str]:
    names: dict[str, str] = {}
    for old, new in zip(here, there, strict=True):
        names.update(zip((*old.inputs, *old.outputs), (*new.inputs, *new.outputs), strict=True))
    return names
