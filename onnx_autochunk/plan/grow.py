"""Grow regions: from the last op of an interval backwards through the execution order, along one cut axis.

The op that ends the interval gives the flow; each earlier op is then decided once, because everything that
reads its results has been decided before it:

    1. Somebody needs a result whole (a region op that does not cut it, or a hoisted op): the op is hoisted.
       If it is cheap and the region wants a slice as well, it is also recomputed inside.
    2. Region ops want one and the same slice of its result, and its rule carries the flow to its operands:
       it joins.
    3. They want different slices, or the rule refuses: it is hoisted, and its result is a sliced input.
    4. Nobody in the region reads it: it stays outside, before the loop or, when it reads the region's
       results, after.

Every border at which an op has joined since the last one gives a candidate. `x -> LayerNorm -> (q, k, v) ->
attention -> + x`, cut along the queries: k and v are needed whole, so they and their LayerNorm are hoisted;
q's projection joins, with the LayerNorm recomputed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..axes import Linear, Mark, Patch, Position, Refusal, Rule, Step, carry
from ..graph.model import Graph, Op, Origin
from .online import spread_of
from .recipes import relaxed
from .region import Accumulator, Cut, Region
from .setting import Setting


@dataclass(slots=True)
class _Growth:
    """The state while the interval grows backwards."""

    setting: Setting
    end: int
    joined: list[int] = field(default_factory=list)  # op indices, latest first
    recomputed: set[int] = field(default_factory=set)
    outside: list[int] = field(default_factory=list)  # neither joined nor needed early, latest first
    hoisted: list[int] = field(default_factory=list)  # latest first
    flow: dict[str, Position] = field(default_factory=dict)  # results of joined ops
    wanted: dict[str, set[Position]] = field(default_factory=dict)  # slices that joined ops read
    whole: dict[str, None] = field(default_factory=dict)  # values the body reads whole
    early: set[str] = field(default_factory=set)  # values needed before the loop
    steps: dict[int, Step] = field(default_factory=dict)
    too_fine: set[int] = field(default_factory=set)  # by how much longer steps would have to be
    shares: bool = False
    accumulator: Accumulator | None = None


def grow_all(
    setting: Setting,
    end: int,
    seeds: Iterable[Position],
    borders: Container[int],
    *,
    operand: int | None = None,
    shares: bool = False,
) -> Iterator[Region]:
    """Candidate regions from every seed; where its steps are too fine for an op, from coarser ones as well.

    Two rows at a time pass what single rows do not: a Reshape that splits the axis, a DepthToSpace.

    Args:
        setting: as for `grow`.
        end: likewise.
        seeds: likewise.
        borders: likewise.
        operand: likewise.
        shares: likewise.
    """
    todo = list(seeds)
    seen = set(todo)
    while todo:
        seed, too_fine = todo.pop(0), set[int]()
        yield from grow(setting, end, seed, borders, too_fine, operand=operand, shares=shares)
        coarser = {place for times in too_fine if (place := seed.coarser(times))} - seen
        todo += sorted(coarser, key=lambda place: place.unit)
        seen |= coarser


def grow(
    setting: Setting,
    end: int,
    seed: Position,
    borders: Container[int],
    too_fine: set[int] | None = None,
    *,
    operand: int | None = None,
    shares: bool = False,
) -> Iterator[Region]:
    """Candidate regions with the flow `seed` in the first result of the op at step `end`, shortest first.

    Or in an operand that the op reduces along the flow: then chunks give parts of its result.

    Args:
        setting: the graph and what is known of it.
        end: last step of the interval.
        seed: the flow in that op's first result.
        borders: steps at which intervals may start.
        too_fine: takes up by how much longer the seed's steps would have to be where an op refused them.
        operand: of that op, in which the seed lies; None when it lies in the result.
        shares: cheap ops whose results are also read elsewhere are left to be computed there again, rather
            than put together for them.
    """
    growth = _Growth(setting, end, too_fine=set() if too_fine is None else too_fine, shares=shares)
    last = setting.graph.ops[setting.order[end]]
    if last.index in setting.excluded or not _begin(growth, last, seed, operand):
        return
    fresh = True
    for step in range(end, -1, -1):
        if step < end:
            fresh |= _decide(growth, setting.graph.ops[setting.order[step]])
        if fresh and step in borders:
            yield from _snapshots(growth, step)
            fresh = False
        if not fresh and not _open(growth, step - 1):
            return


def _decide(growth: _Growth, op: Op) -> bool:
    """Join, hoist or leave one op; True when it joined."""
    needed = any(name in growth.early for name in op.outputs)
    wanted = {name: growth.wanted[name] for name in op.outputs if name in growth.wanted}
    if wanted and op.index not in growth.setting.excluded:
        name, places = next(iter(wanted.items()))
        place = _hull(places)
        alone = place is not None and (not needed or _pays_twice(growth, op, name, place))
        if place is not None and alone and _join(growth, op, name, place, again=needed):
            if needed:
                _hoist(growth, op)
            return True
    if wanted or needed:
        _hoist(growth, op)
    else:
        growth.outside.append(op.index)
    return False


def _begin(growth: _Growth, last: Op, seed: Position, operand: int | None) -> bool:
    """Take the last op into the region, with the flow in its result or in an operand that it reduces."""
    if operand is None:
        return _join(growth, last, last.outputs[0], seed)
    step = carry(relaxed(last, growth.setting.rules[last.index]), position=seed, operand=operand)
    if isinstance(step, Refusal) or step.mark is Mark.MAP:
        return False
    growth.accumulator = Accumulator(last.outputs[0], operand, seed)
    _take(growth, last, step)
    return True


def _join(growth: _Growth, op: Op, name: str, position: Position, *, again: bool = False) -> bool:
    """Take an op into the region if its rule carries the flow from the result `name` to all it reads."""
    step = _step(growth, op, name, position)
    if step is None:
        step = None if again else _online(growth, op, position)
    if step is None or step.mark is not Mark.MAP or not _consistent(growth, op, step):
        return False
    _take(growth, op, step)
    if again:
        growth.recomputed.add(op.index)
    return True


def _online(growth: _Growth, op: Op, position: Position) -> Step | None:
    """The flow across a Softmax that normalises along it, where what follows can be rescaled."""
    carried, setting = growth.accumulator, growth.setting
    if carried is None or carried.softmax is not None or op.type != "Softmax":
        return None
    if position != Position.whole(setting.graph.shape(op.outputs[0]) or (), position.axis):
        return None
    step = carry(relaxed(op, setting.rules[op.index]), position=position, result=0)
    behind = tuple(reversed(growth.joined))
    if isinstance(step, Refusal) or not _is_alone(setting.rules[op.index]):
        return None
    if spread_of(setting.graph, setting.rules, op, position.axis, behind) is None:
        return None
    growth.accumulator = replace(carried, softmax=op.index)
    return step


def _is_alone(rule: Rule) -> bool:
    """True when one factor is normalised along, not several together."""
    return sum(factor.mark is Mark.WHOLE for factor in rule.factors) == 1


def _take(growth: _Growth, op: Op, step: Step) -> None:
    rule, values = growth.setting.rules[op.index], growth.setting.graph.values
    for result, place in zip(op.outputs, step.results, strict=True):
        if result and place is not None:
            growth.flow[result] = place
    for index, (operand, place) in enumerate(zip(op.inputs, step.operands, strict=True)):
        if not operand or index in rule.sizes:
            continue
        if place is not None:
            growth.wanted.setdefault(operand, set()).add(place)
        elif values[operand].origin is not Origin.CONSTANT:
            growth.whole[operand] = None
            growth.early.add(operand)
    growth.joined.append(op.index)
    growth.steps[op.index] = step


def _step(growth: _Growth, op: Op, name: str, position: Position) -> Step | None:
    """The flow across the op; a refusal may ask for coarser steps."""
    step = carry(growth.setting.rules[op.index], position=position, result=op.outputs.index(name))
    if not isinstance(step, Refusal):
        return step
    if step.instead:
        growth.too_fine.add(position.extent // step.instead.extent)
    return None


def _consistent(growth: _Growth, op: Op, step: Step) -> bool:
    """Every result carries the flow, and covers the slices of it that are wanted already."""
    for result, place in zip(op.outputs, step.results, strict=True):
        if result and (place is None or _hull({place, *growth.wanted.get(result, ())}) != place):
            return False
    return True


def _hull(places: Iterable[Position]) -> Position | None:
    """The one slice that covers all; None where they are of different axes or steps."""
    first, *others = places
    found: Position | None = first
    for place in others:
        found = found.hull(place) if found else None
    return found


def _hoist(growth: _Growth, op: Op) -> None:
    growth.hoisted.append(op.index)
    growth.early.update(op.reads)


def _pays_twice(growth: _Growth, op: Op, name: str, position: Position) -> bool:
    """True when recomputing a cheap op in every chunk frees more than the operands it keeps alive."""
    if growth.setting.rules.is_heavy(op.index):
        return False
    step = _step(growth, op, name, position)
    if step is None:
        return False
    values = growth.setting.graph.values
    fresh = {
        operand
        for operand, place in zip(op.inputs, step.operands, strict=True)
        if operand and operand not in growth.wanted and operand not in growth.whole
        if values[operand].origin is Origin.COMPUTED
    }
    return sum(values[operand].nbytes for operand in fresh) <= values[name].nbytes


def _open(growth: _Growth, step: int) -> bool:
    """True while an op before `step` can still join: one that makes a slice the region wants."""
    producer = growth.setting.graph.producer
    when = growth.setting.rules.step
    return any(
        name in producer and when.get(producer[name].index, growth.end) <= step for name in growth.wanted
    )


def _snapshots(growth: _Growth, start: int) -> Iterator[Region]:
    """The region as it stands, if all its borders can be cut."""
    inside = set(growth.joined)
    graph = growth.setting.graph
    recomputed = growth.recomputed | (_shared(growth, inside) if growth.shares else set())
    sliced = tuple(
        Cut(name, place)
        for name, places in growth.wanted.items()
        if name not in growth.flow
        for place in places
    )
    outputs = tuple(
        Cut(name, growth.flow[name].core)
        for index in reversed(growth.joined)
        if index not in recomputed
        for name in graph.ops[index].outputs
        if name and name in growth.flow and _leaves(graph, name, inside)
    )
    borders, carried = (*sliced, *outputs), growth.accumulator
    if bool(outputs) is bool(carried) or not all(cut.position.sliceable for cut in borders):
        return
    if not all(cut.position.fits(graph.values[cut.value].shape or ()) for cut in outputs):
        return  # windows leave out what somebody else reads
    results = {cut.value for cut in outputs} | ({carried.value} if carried else set())
    sunk = _after(graph, reversed(growth.outside), results)
    hoisted = [*growth.hoisted, *(index for index in growth.outside if index not in sunk)]
    when = growth.setting.rules.step
    region = Region(
        start=start,
        end=growth.end,
        ops=tuple(reversed(growth.joined)),
        recomputed=frozenset(recomputed),
        hoisted=tuple(sorted((i for i in hoisted if when[i] >= start), key=when.__getitem__)),
        sunk=tuple(sorted(sunk, key=when.__getitem__)),
        sliced=sliced,
        whole=tuple(growth.whole),
        outputs=outputs,
        flow=dict(growth.flow),
        extent=carried.position.extent if carried else outputs[0].position.extent,
        varies=any(map(_varies, growth.steps.values())),
        accumulator=carried,
    )
    steady = growth.setting.steady
    if steady is None or steady.holds(region):
        yield region


def _varies(step: Step) -> bool:
    """True when chunks of one length differ: clipped at the edges, or with attributes that count.

    What is seen through a window may also be longer than all chunks together, so that they do not make it up.
    """
    if any(place.has_halo for place in (*step.operands, *step.results) if place):
        return True
    if step.factor and any(place.window for place in step.factor.operands if place):
        return True
    patches = step.factor.patches if step.factor else ()
    return any(isinstance(patch.target, str) and not _is_uniform(patch) for patch in patches)


def _is_uniform(patch: Patch) -> bool:
    """True when the numbers depend on a chunk's length only."""
    numbers = (patch.numbers,) if isinstance(patch.numbers, Linear) else patch.numbers or ()
    return all(number.start + number.stop + number.first + number.last == 0 for number in numbers)


def _shared(growth: _Growth, inside: set[int]) -> set[int]:
    """Ops that somebody else reads and that, with all they are made of inside, are cheap to run again."""
    graph, rules = growth.setting.graph, growth.setting.rules
    heavy: set[int] = set()
    for index in reversed(growth.joined):
        made = (graph.producer.get(name) for name in graph.ops[index].reads)
        if rules.is_heavy(index) or any(op is not None and op.index in heavy for op in made):
            heavy.add(index)
    last = growth.joined[0]
    found: set[int] = set()
    for index in growth.joined:
        readers = {op.index for name in graph.ops[index].outputs for op in graph.consumers.get(name, ())}
        if index not in heavy and index != last and (readers - inside or readers & found):
            found.add(index)
    return found


def _leaves(graph: Graph, name: str, inside: set[int]) -> bool:
    return name in graph.results or any(op.index not in inside for op in graph.consumers.get(name, ()))


def _after(graph: Graph, outside: Iterator[int] | Sequence[int], results: set[str]) -> set[int]:
    """Those of the ops outside (in execution order) that read the region's results, directly or not."""
    late, sunk = set(results), set()
    for index in outside:
        op = graph.ops[index]
        if any(name in late for name in op.reads):
            sunk.add(index)
            late.update(op.outputs)
    return sunk


def regrow(
    setting: Setting,
    start: int,
    end: int,
    seed: Position,
    ops: Container[int],
    recomputed: Container[int],
    operand: int | None = None,
) -> Region | None:
    """The region of an interval that these ops and no others join; None where growth would not give it.

    A region is saved by its ops: growing it again derives the rest, and proves that the rules still carry
    the flow through each of them.

    Args:
        setting: the graph and what is known of it.
        start: first step of the interval.
        end: last step of the interval; its op joins.
        seed: the flow in that op's first result.
        ops: indices of those that join.
        recomputed: those of them that also run before the loop.
        operand: of the last op, in which the seed lies; None when it lies in the result.
    """
    growth = _Growth(setting, end)
    if not _begin(growth, setting.graph.ops[setting.order[end]], seed, operand):
        return None
    for step in range(end - 1, start - 1, -1):
        op = setting.graph.ops[setting.order[step]]
        if not (_rejoin(growth, op, recomputed) if op.index in ops else _leave(growth, op)):
            return None
    return next(_snapshots(growth, start), None)


def _rejoin(growth: _Growth, op: Op, recomputed: Container[int]) -> bool:
    """Take an op into the region again; False where it cannot join, or would have to be recomputed."""
    needed, again = any(name in growth.early for name in op.outputs), op.index in recomputed
    wanted = {name: growth.wanted[name] for name in op.outputs if name in growth.wanted}
    if not wanted or (needed and not again):
        return False
    name, places = next(iter(wanted.items()))
    place = _hull(places)
    if place is None or not _join(growth, op, name, place, again=again):
        return False
    if needed:
        _hoist(growth, op)
    return True


def _leave(growth: _Growth, op: Op) -> bool:
    """Leave an op out of the region, before or after the loop."""
    if any(name in growth.early or name in growth.wanted for name in op.outputs):
        _hoist(growth, op)
    else:
        growth.outside.append(op.index)
    return True
