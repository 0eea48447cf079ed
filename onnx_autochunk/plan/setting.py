"""What growth of regions reads: of a model's graph, and of a chunk's, at the sizes that they have or at any.

    scores of a chunk [batch, 12, min(tokens,512), tokens] -> one head after another, at any batch and length

Where sizes are open a chunk is looked at with other sizes too, as the model is, and what is said of it holds
for chunks of every length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..graph.dynamic import Atom, Dynamic, Size, quotient, times
from ..graph.model import Graph, Op, Value
from .body import Body, spelled
from .region import Cut, Region
from .rules import Rules
from .steady import Steady, steady_rules, steps_of


@dataclass(frozen=True)
class Setting:
    """A graph, its ops in execution order, their rules, and ops that may not join.

    Attributes:
        steady: what else is asked of a region where sizes are open; None where they are bound.
    """

    graph: Graph
    order: tuple[int, ...]
    rules: Rules
    excluded: frozenset[int] = frozenset()
    steady: Steady | None = None


def make_setting(
    graph: Graph,
    order: Sequence[int] | None = None,
    excluded: frozenset[int] = frozenset(),
    dynamic: Dynamic | None = None,
) -> Setting:
    """The setting of a graph.

    Args:
        graph: at the reference sizes.
        order: in which its ops run; that of the file by default.
        excluded: ops that may not join a region.
        dynamic: the sizes that the graph can have; None for those that it has.
    """
    order = tuple(range(len(graph.ops)) if order is None else order)
    if dynamic is None:
        return Setting(graph, order, Rules(graph, order), excluded)
    steady = Steady(graph, Rules(graph, order, steady_rules(graph, dynamic)), dynamic)
    return Setting(graph, order, steady.rules, excluded | steady.asked, steady)


def inside(setting: Setting, region: Region, body: Body, length: int) -> Setting | None:
    """The setting of a region's body; None where too little is known of it at other sizes.

    Args:
        setting: that the region lies in.
        region: one that `body.has_body`.
        body: what `body_of` gives of it.
        length: of the chunk.
    """
    if setting.steady is None:
        return make_setting(body.graph)
    dynamic = dynamic_inside(setting.steady.dynamic, setting.rules, region, body, length)
    return None if dynamic is None else make_setting(body.graph, dynamic=dynamic)


def dynamic_inside(dynamic: Dynamic, rules: Rules, region: Region, body: Body, length: int) -> Dynamic | None:
    """The sizes of a body, those of its chunk among what is known; None where some cannot be told.

    Args:
        dynamic: of the graph around it.
        rules: likewise.
        region: in that graph.
        body: of the region, at the reference sizes.
        length: of the longest chunk.
    """
    steps = steps_of(region, dynamic)
    assert steps is not None, "planned for every size"
    lengths = dynamic.parts(steps, length)
    sizes = {name: _chunk_sizes(dynamic, cut, steps, lengths) for name, cut in _cuts(region, body)}
    found = {name: axes for name, axes in sizes.items() if axes is not None}
    if len(found) < len(sizes):
        return None
    others = [
        _at({name: tuple(size[choice] for size in found[name]) for name in found}, there, rules, body)
        for choice, there in enumerate(dynamic.graphs)
        if choice
    ]
    known = [graph for graph in others if graph is not None]
    if len(known) < len(others):
        return None
    label = part_label(dynamic, region, length)
    inner = replace(dynamic, graphs=(body.graph, *known), _terms={})
    if len(set(lengths)) == 1:
        return inner
    return inner.with_atom(lengths, Atom(label, label, 0, is_element=True))


def part_label(dynamic: Dynamic, region: Region, length: int) -> str:
    """What a shape says of the length of a region's chunks."""
    steps = steps_of(region, dynamic)
    assert steps is not None, "planned for every size"
    return f"min({dynamic.label(steps)},{length})"


def _at(shapes: Mapping[str, tuple[int, ...]], there: Graph, rules: Rules, body: Body) -> Graph | None:
    """A body at other sizes: the same ops on chunks of these shapes, and on what lies around it there."""
    values: dict[str, Value] = {}
    named = {name: value for value, name in body.wholes.items()}
    for name, value in body.graph.values.items():
        if name in shapes:
            values[name] = replace(value, shape=shapes[name])
        elif (found := there.values.get(named.get(name, name))) is not None:
            values[name] = replace(found, name=name, origin=value.origin)
    for name, result in _spelled(rules, body):
        values[name] = spelled(name, values[result].shape or ())
    return replace(body.graph, values=values) if values.keys() >= body.graph.values.keys() else None


def _cuts(region: Region, body: Body) -> Iterator[tuple[str, Cut]]:
    """The values of a body that are as long as the chunk, and what they are a chunk of."""
    for name, position in region.flow.items():
        yield name, Cut(name, position)
    for cut, name in body.slices.items():
        yield name, cut


def _chunk_sizes(dynamic: Dynamic, cut: Cut, steps: Size, lengths: Size) -> tuple[Size, ...] | None:
    sizes, axis = dynamic.sizes(cut.value), cut.position.axis
    unit = None if sizes is None else quotient(sizes[axis], steps)
    if sizes is None or unit is None:
        return None
    return (*sizes[:axis], times(unit, lengths), *sizes[axis + 1 :])


def _spelled(rules: Rules, body: Body) -> Iterator[tuple[str, str]]:
    """Operands that say a shape, each with the result that is to have it."""
    pairs: Iterator[tuple[Op, int | None]] = zip(body.graph.ops, body.sources, strict=True)
    for op, source in pairs:
        spoken: Mapping[int, int] = {} if source is None else rules[source].sizes
        for operand, result in spoken.items():
            yield op.inputs[operand], op.outputs[result]
