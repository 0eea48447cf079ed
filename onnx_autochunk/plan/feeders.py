"""Feeders: loops in front of a region's loop, which compute in chunks what it needs whole.

    x -> LayerNorm -> k, v -> attention of each chunk of queries
    feeders: rows of x -> LayerNorm -> k;  rows of x -> LayerNorm -> v

What is cheap and read by several of them is computed anew in each, so that it never exists whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..axes import positions
from ..graph.model import Graph, Op, Origin
from ..options import Form
from .grow import grow_all
from .hosts import can_sweep
from .region import Region, in_front
from .setting import Setting


@dataclass(frozen=True)
class Front:
    """What runs before a region's loop.

    Attributes:
        feeders: in the order in which they run.
        forms: how each of them is written.
        plain: indices of the hoisted ops that still run once.
        spared: indices of the hoisted ops that need not run any more: every reader computes them anew.
    """

    feeders: tuple[Region, ...]
    forms: tuple[Form, ...]
    plain: tuple[int, ...]
    spared: tuple[int, ...]


def front_of(setting: Setting, region: Region, forms: Collection[Form]) -> Front | None:
    """The feeders of a region, in one of the forms; None where there are none."""
    graph = setting.graph
    inside = replace(setting, order=region.hoisted, rules=setting.rules.along(region.hoisted))
    made = {name: op for index in region.hoisted for op in (graph.ops[index],) for name in op.outputs}
    wanted = dict.fromkeys([*region.whole, *(cut.value for cut in region.sliced)])
    ends = sorted({made[name].index for name in wanted if name in made}, key=inside.rules.step.__getitem__)
    found: list[Region] = []
    for index in ends:
        if any(index in feeder.ops for feeder in found):
            continue
        apart = replace(inside, excluded=inside.excluded | _settled(made, found))
        best = _best(apart, graph.ops[index], set(_reads([region])))
        if best is not None and _form(best, forms) is not None:
            found.append(replace(best, start=region.start, end=region.end, hoisted=(), sunk=()))
    if not found:
        return None
    return _front(graph, region, tuple(found), tuple(form for f in found if (form := _form(f, forms))))


def _settled(made: Mapping[str, Op], feeders: Sequence[Region]) -> set[int]:
    """Ops that no further feeder may take: what these make for others too, and all that they wait for."""
    settled = {index for feeder in feeders for index in feeder.ops if index not in feeder.recomputed}
    todo = [name for name in _reads(feeders) if name in made]
    while todo:
        op = made[todo.pop()]
        if op.index not in settled:
            settled.add(op.index)
            todo += [name for name in op.reads if name in made]
    return settled


def _form(feeder: Region, forms: Collection[Form]) -> Form | None:
    """How a feeder is written: in the form that costs least to load and can do it."""
    able = (Form.UNROLL,) if feeder.varies else (Form.SCAN, Form.UNROLL)
    return next((form for form in able if form in forms), None)


def in_place(graph: Graph, front: Front, forms: Collection[Form]) -> Front | None:
    """The same with chunks written where they belong, by sweeps, where a Scan would hold the result twice."""
    if Form.SWEEP not in forms:
        return None
    pairs = zip(front.feeders, front.forms, strict=True)
    better = tuple(Form.SWEEP if _is_turned(graph, feeder) else form for feeder, form in pairs)
    return None if better == front.forms else replace(front, forms=better)


def _is_turned(graph: Graph, feeder: Region) -> bool:
    """True when results are put together elsewhere, and can be written into new buffers instead."""
    behind = any(not in_front(graph.values[cut.value], cut.position) for cut in feeder.outputs)
    return behind and can_sweep(graph, feeder)


def _best(setting: Setting, last: Op, held: set[str]) -> Region | None:
    """The region that ends in this op and holds least at its borders, besides what is held anyway.

    None where it is not worth a loop.
    """
    graph, end = setting.graph, setting.rules.step[last.index]
    seeds = positions(setting.rules[last.index], result=0) if last.outputs[0] else ()
    found = grow_all(setting, end, seeds, range(len(setting.order)), shares=True)
    usable = [region for region in found if any(setting.rules.is_heavy(index) for index in region.ops)]

    def costs(region: Region) -> tuple[int, int]:
        return _border_bytes(graph, region, held), -region.extent

    return min(usable, key=costs, default=None)


def _border_bytes(graph: Graph, region: Region, held: set[str]) -> int:
    names = set(_reads([region])) - held | {cut.value for cut in region.outputs}
    values = (graph.values[name] for name in names)
    return sum(value.nbytes for value in values if value.origin is not Origin.CONSTANT)


def _front(graph: Graph, region: Region, feeders: tuple[Region, ...], forms: tuple[Form, ...]) -> Front:
    covered = {index for feeder in feeders for index in feeder.ops if index not in feeder.recomputed}
    left = [index for index in region.hoisted if index not in covered]
    needed = set(_reads(feeders)) | set(_reads([region]))
    within = {*region.hoisted, *region.ops}
    plain: list[int] = []
    for index in reversed(left):
        op = graph.ops[index]
        if any(name in needed or _is_read_elsewhere(graph, name, within) for name in op.outputs):
            plain.append(index)
            needed.update(op.reads)
    spared = tuple(index for index in left if index not in plain)
    return Front(feeders, forms, tuple(reversed(plain)), spared)


def _reads(regions: Iterable[Region]) -> Iterator[str]:
    for region in regions:
        yield from region.whole
        yield from (cut.value for cut in region.sliced)


def _is_read_elsewhere(graph: Graph, name: str, within: set[int]) -> bool:
    return name in graph.results or any(op.index not in within for op in graph.consumers.get(name, ()))


def in_order(ops: Sequence[Op]) -> tuple[Op, ...]:
    """The ops so that each comes after what it reads, otherwise as they were."""
    makes = {name: at for at, op in enumerate(ops) for name in op.outputs}
    done: dict[int, Op] = {}

    def visit(at: int) -> None:
        if at in done:
            return
        for name in ops[at].reads:
            if (before := makes.get(name)) is not None and before != at:
                visit(before)
        done[at] = ops[at]

    for at in range(len(ops)):
        visit(at)
    return tuple(done.values())
