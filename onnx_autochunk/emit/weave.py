"""Splice planned regions into the model: new nodes in, old nodes out, everything else as it was."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import onnx_ir as ir

from ..cuda.kernels import loses_kernel
from ..errors import UsageError
from ..graph.loaded import Loaded
from ..graph.names import Names
from ..graph.numbers import Numbers
from ..graph.quantised import unfuse
from ..graph.written import put_back, taken
from ..options import Form, Options
from ..plan.plan import Frames, Plan, PlannedRegion
from ..plan.rules import Rules
from .apart import Apart
from .body import Weaving
from .enclosed import put_in
from .epsilon import keep_epsilons
from .frame import assembles, can_frame, frame, frameable
from .opset import opset_obstacle, raise_opset
from .own import drop_unread_weights, own_quantisation
from .scope import Scope
from .splice import replace_region
from .sweep import SWEEP_OPSET

METADATA = "onnx_autochunk.plan"
WEIGHTS_IR = 4  # from this version on weights need not be inputs as well, which those of bodies cannot be
Places: TypeAlias = dict[ir.Node, tuple[int, int]]


@dataclass(frozen=True)
class Woven:
    """A model with a plan's regions chunked, nothing put into frames yet, and quantised groups still one op.

    Attributes:
        members: the nodes that stand for each region, by its name, with those alongside it.
        tails: nodes of the chunks that are written out behind Scans.
        names: names of the model.
    """

    model: ir.Model
    plan: Plan
    members: Mapping[str, tuple[ir.Node, ...]]
    tails: tuple[tuple[ir.Node, ...], ...]
    names: Names

    def framed(self, frames: Frames, *, in_place: bool = False) -> ir.Model:
        """A copy with frames; without any, the model itself; `in_place`, the model is the last asked for."""
        if frames is Frames.NONE:
            return self.model
        if in_place:
            _frame(self.model, self.plan.groups, frames, self.members, self.tails, self.names)
            return self.model
        model = self.model.clone()
        copies = dict(zip(self.model.graph, model.graph, strict=True))
        members = {name: [copies[node] for node in nodes] for name, nodes in self.members.items()}
        tails = [[copies[node] for node in tail] for tail in self.tails]
        _frame(model, self.plan.groups, frames, members, tails, self.names.copy())
        return model

    def framings(self) -> tuple[Frames, ...]:
        """Ways of framing that give different models."""
        place = _places(self.model.graph)
        regions = any(_worth_framing(place, nodes, self.tails) for nodes in self.members.values())
        several = ([self.members[one.name] for one in group] for group in self.plan.groups if len(group) > 1)
        groups = any(_worth_framing(place, [*chain(*nodes)], self.tails) for nodes in several)
        found = {Frames.REGIONS: regions, Frames.GROUPS: groups, Frames.NESTED: regions and groups}
        return Frames.NONE, *(frames for frames, differs in found.items() if differs)


def weave(loaded: Loaded, plan: Plan, rules: Rules | None = None, provider: str = "cpu") -> ir.Model:
    """The model with the plan's regions chunked and framed; `loaded` stays as it is.

    Args:
        loaded: the model.
        plan: for its graph.
        rules: of its ops, where they have been looked up before.
        provider: the execution provider that it is written for.
    """
    return finish(chunk(loaded, plan, rules, provider).framed(plan.frames, in_place=True), provider)


def finish(model: ir.Model, provider: str = "cpu") -> ir.Model:
    """The model itself, with quantised groups in place of what stood for them, each whole in one graph.

    And with nothing in bodies that the provider would take for something else.
    """
    names = Names(taken(model))
    unfuse(model, names.fresh)
    own_quantisation(model.graph, names)
    if provider == "cpu":
        keep_epsilons(model.graph)
    drop_unread_weights(model)
    model.ir_version = max(model.ir_version, WEIGHTS_IR)
    return model


def chunk(loaded: Loaded, plan: Plan, rules: Rules | None = None, provider: str = "cpu") -> Woven:
    """The first part of `weave`, for trying several ways of framing, then `finish`; the same arguments."""
    inside = (taken(body.loaded.model) for body in loaded.every_body)
    woven = _chunk(loaded, plan, rules, provider, Names(taken(loaded.model).union(*inside)))
    if any(loop.form is Form.SWEEP for loop in plan.loops):
        raise_opset(woven.model, SWEEP_OPSET)
    woven.model.metadata_props[METADATA] = json.dumps(describe(plan), sort_keys=True)
    return woven


def _chunk(
    loaded: Loaded, whole: Plan, rules: Rules | None, provider: str, names: Names, home: str = ""
) -> Woven:
    """The model, or a body of it, with its regions and those of its own bodies chunked."""
    model, plan = loaded.model.clone(), whole.at(home)
    rules = rules or Rules(loaded.graph, range(len(loaded.graph.ops)))
    apart = _apart(loaded, model, names, provider)
    weaving = _weaving(loaded, model, rules, names, provider, apart)
    scopes = {loop.name: Scope(f"chunk/{loop.name}", names) for loop in plan.loops}
    added = {loop.name: replace_region(weaving, loop, scopes[loop.name]) for loop in plan.loops}
    _drop_unread(weaving, plan)
    alongside = {
        planned.name: [weaving.nodes[index] for index in planned.alongside] for planned in plan.regions
    }
    homes = {node: name for name, nodes in alongside.items() for node in nodes}
    replaced = put_back(model, loaded.written, homes)
    if weaving.numbers is not None:
        weaving.numbers.place()
    if apart is not None:
        apart.place()
    for body in loaded.bodies:
        if any(region.home in body.homes for region in whole.regions):
            inner = _chunk(body.loaded, whole, None, provider, names, body.home)
            put_in(model.graph, body, inner.model.graph)
    model.graph.sort()
    members = {
        planned.name: (
            *(node for loop in (*planned.feeders, planned) for node in added[loop.name]),
            *(
                stands
                for node in alongside[planned.name]
                for stands in replaced.get(node, (node,))
                if stands.graph is model.graph
            ),
        )
        for planned in plan.regions
    }
    return Woven(model, plan, members, tuple(scope.tail for scope in scopes.values() if scope.tail), names)


def usable_forms(loaded: Loaded, options: Options) -> tuple[Form, ...]:
    """The forms that regions of this model may take.

    Raises:
        UsageError: the form that was asked for is not among them.
    """
    if loaded.dynamic is not None:
        if options.form not in (Form.AUTO, Form.SCAN):
            raise UsageError(
                f"--form {options.form.value} needs fixed sizes: choose scan, or fix them with --fix-dims"
            )
        return (Form.SCAN,)
    model, limit = loaded.model, options.max_opset
    obstacle = opset_obstacle(model, SWEEP_OPSET)
    if options.provider == "cuda" and not obstacle and (op := loses_kernel(loaded.graph, SWEEP_OPSET)):
        obstacle = f"{op.type} {op.name!r} would lose its CUDA kernel with opset {SWEEP_OPSET}"
    if limit is not None and max(limit, model.opset_imports.get("", 1)) < SWEEP_OPSET:
        obstacle = f"it needs opset {SWEEP_OPSET}, above --max-opset {limit}"
    if options.form is Form.SWEEP and obstacle:
        raise UsageError(f"--form sweep cannot be used: {obstacle}; choose scan or unroll")
    if options.form is not Form.AUTO:
        return (options.form,)
    return (Form.SCAN, Form.UNROLL) if obstacle else (Form.SCAN, Form.SWEEP, Form.UNROLL)


def describe(plan: Plan) -> dict[str, object]:
    """The plan as it is written into the model's metadata."""
    return {"schema": 1, "regions": [_described(planned) for planned in plan.loops]}


def _described(planned: PlannedRegion) -> dict[str, object]:
    inside = [] if planned.nested is None else [_described(inner) for inner in planned.nested.regions]
    return {
        "name": planned.name,
        "form": planned.form.value,
        "length": planned.chunking.length,
        "count": planned.chunking.total,
        "outputs": [[cut.value, cut.position.axis] for cut in planned.region.outputs],
        **({"accumulates": carried.value} if (carried := planned.region.accumulator) else {}),
        **({"nested": inside} if inside else {}),
        **({"body": planned.home} if planned.home else {}),
    }


def _apart(loaded: Loaded, model: ir.Model, names: Names, provider: str) -> Apart | None:
    """What keeps results of loops apart.

    Open sizes do so by themselves. On CUDA the sizes would be computed, and every run would wait for them.
    """
    return Apart(model.graph, names) if loaded.dynamic is None and provider == "cpu" else None


def _weaving(
    loaded: Loaded, model: ir.Model, rules: Rules, names: Names, provider: str, apart: Apart | None
) -> Weaving:
    """The same records over the copied model: nodes and values are found again by position and name."""
    values = {v.name: v for v in model.graph.inputs if v.name}
    values.update(model.graph.initializers)
    values.update({v.name: v for node in model.graph for v in node.outputs if v.name})
    copies = dict(zip(loaded.model.graph, model.graph, strict=True))
    nodes = tuple(copies[node] for node in loaded.nodes)
    numbers = None if loaded.dynamic is None else Numbers(model.graph, loaded.dynamic, names.fresh)
    return Weaving(
        model.graph,
        loaded.graph,
        rules,
        nodes,
        values,
        provider=provider,
        numbers=numbers,
        apart=apart,
    )


def _drop_unread(weaving: Weaving, plan: Plan) -> None:
    """Take out what was to run in front of loops that now all compute it themselves."""
    for index in sorted({index for loop in plan.loops for index in loop.region.recomputed}, reverse=True):
        node = weaving.nodes[index]
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            weaving.home.remove(node, safe=True)


def _frame(
    model: ir.Model,
    groups: Iterable[Sequence[PlannedRegion]],
    frames: Frames,
    members: Mapping[str, Sequence[ir.Node]],
    tails: Sequence[Sequence[ir.Node]],
    names: Names,
) -> None:
    """Put regions, groups of them, or both into frames; `members` are each region's nodes."""
    if frames is Frames.NONE:
        return
    graph = model.graph
    if frames in (Frames.REGIONS, Frames.NESTED):
        place = _places(graph)
        members = {
            name: _framed(graph, place, nodes, tails, Scope(f"frame/{name}", names))
            for name, nodes in members.items()
        }
        graph.sort()
    if frames in (Frames.GROUPS, Frames.NESTED):
        place = _places(graph)
        for group in groups:
            if frames is Frames.GROUPS or len(group) > 1:
                nodes = [node for planned in group for node in members[planned.name]]
                _framed(graph, place, nodes, tails, Scope(f"frame/{group[0].name}_group", names))
        graph.sort()


def _places(graph: ir.Graph) -> Places:
    """The order of the nodes; what stands for some of them comes where the last of them was."""
    return {node: (at, 0) for at, node in enumerate(graph)}


def _framed(
    graph: ir.Graph,
    place: Places,
    nodes: Sequence[ir.Node],
    tails: Sequence[Sequence[ir.Node]],
    scope: Scope,
) -> list[ir.Node]:
    """Frame what can be framed of a stretch; the nodes that then stand for it.

    Tails in it become bodies too: ORT would pack weights for them that it cannot pack for their Scans, which
    are one body deeper, and hold both.
    """
    if not _worth_framing(place, nodes, tails):
        return list(nodes)
    members = set(nodes)
    for tail in _within(tails, members):
        inner = Scope(f"{scope.prefix}/tail", scope.names)
        members = _replaced(graph, place, members, _stretch(place, tail), inner)
    return list(_replaced(graph, place, members, _stretch(place, members), scope))


def _worth_framing(place: Places, nodes: Sequence[ir.Node], tails: Iterable[Sequence[ir.Node]]) -> bool:
    """False for a lone Scan, which has memory of its own and packs its weights once, and without any."""
    stretch = _stretch(place, nodes)
    works = {node for node in stretch if not assembles(node)}
    works = works.difference(*_within(tails, set(nodes)))
    return len(works) != 1 and any(node.op_type == "Scan" for node in works) and can_frame(stretch)


def _within(tails: Iterable[Sequence[ir.Node]], members: set[ir.Node]) -> list[Sequence[ir.Node]]:
    return [tail for tail in tails if members.issuperset(tail)]


def _stretch(place: Places, nodes: Collection[ir.Node]) -> list[ir.Node]:
    """What may be framed of some nodes, in order."""
    return frameable(sorted(nodes, key=place.__getitem__))


def _replaced(
    graph: ir.Graph, place: Places, members: set[ir.Node], stretch: Sequence[ir.Node], scope: Scope
) -> set[ir.Node]:
    """Members of a graph after a stretch of them has been framed."""
    last, _ = place[stretch[-1]]
    stand_in = frame(graph, stretch, scope)
    for constant in scope.constants.values():
        graph.register_initializer(constant)
    place.update({node: (last, at + 1) for at, node in enumerate(stand_in)})
    return {*(members - set(stretch)), *stand_in} if stand_in else members
