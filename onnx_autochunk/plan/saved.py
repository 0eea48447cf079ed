"""A plan as JSON, and back: what was decided and nothing that can be derived from the model.

Regions are saved by the names of their ops and the place where they are cut. Reading one grows it again
through the rules, so a file cannot make the emitter do what planning would not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

from ..axes import Position
from ..errors import UsageError
from ..graph.model import Graph, Op
from ..options import Form
from .body import body_of, has_body
from .candidates import Candidate
from .chunking import Chunking
from .fields import Fields
from .grow import regrow
from .hosts import can_sweep
from .identity import Identity, difference, identity
from .option import Loop, Nest, Option
from .plan import Frames, Plan, PlannedRegion
from .planner import Planner
from .recipes import ends
from .region import Region
from .select import Choice, Selection
from .setting import Setting, inside

SCHEMA = 1

Record: TypeAlias = dict[str, object]


def to_record(planner: Planner, plan: Plan) -> Record:
    """The plan and the model it is for, in plain dicts, lists, numbers and texts."""
    regions = {
        inner.home: [
            _region_record(inner.graph, inner.setting.order, planned)
            for planned in plan.at(inner.home).regions
        ]
        for inner in planner.graphs
    }
    own = regions.pop("")
    bodies = [{"body": home, "regions": found} for home, found in regions.items() if found]
    return {
        "schema": SCHEMA,
        "model": asdict(identity(planner.graph)),
        "predicted": {
            "budget_bytes": plan.budget_bytes,
            "slowdown": plan.predicted_slowdown,
            "load_s": plan.load_seconds,
            "resident_bytes": plan.resident_bytes,
        },
        "frames": plan.frames.value,
        "regions": own,
        **({"bodies": bodies} if bodies else {}),
    }


def _region_record(graph: Graph, order: Sequence[int], planned: PlannedRegion) -> Record:
    inner = planned.nested
    return {
        **_interval_record(graph, order, planned),
        "feeders": [_loop_record(graph, feeder) for feeder in planned.feeders],
        "inner": []
        if inner is None
        else [
            _interval_record(inner.body.graph, range(len(inner.body.graph.ops)), region)
            for region in inner.regions
        ],
    }


def _interval_record(graph: Graph, order: Sequence[int], planned: PlannedRegion) -> Record:
    return {
        **_loop_record(graph, planned),
        "first": graph.ops[order[planned.region.start]].name,
        "peak_before_bytes": planned.peak_before_bytes,
        "peak_after_bytes": planned.peak_after_bytes,
    }


def _loop_record(graph: Graph, planned: PlannedRegion) -> Record:
    region = planned.region
    last, carried = graph.ops[region.ops[-1]], region.accumulator
    value = last.outputs[0] if carried is None else last.inputs[carried.operand]
    position = region.flow[value] if carried is None else carried.position
    return {
        "name": planned.name,
        "form": planned.form.value,
        "length": planned.chunking.length,
        "cut": {"value": value, **asdict(position)},
        "ops": [graph.ops[index].name for index in region.ops],
        "recomputed": [graph.ops[index].name for index in sorted(region.recomputed)],
    }


def restore(planner: Planner, forms: Sequence[Form], record: Mapping[str, object]) -> Plan:
    """The plan that a record holds, checked against the model.

    Args:
        planner: of the model; it need not have searched.
        forms: forms that regions may take.
        record: what `to_record` gave.

    Raises:
        UsageError: the record is damaged, or for another model.
    """
    fields = Fields(record)
    _check_model(fields, planner.graph)
    choices = tuple(_choices(planner, tuple(forms), fields))
    if not choices:
        raise UsageError("the plan holds no regions: it chunks nothing. Leave out --plan to search anew")
    predicted = fields.object("predicted")
    plan = planner.plan_of(
        Selection(
            choices,
            predicted.number("budget_bytes"),
            0.0,
            predicted.real("load_s"),
            predicted.number("resident_bytes"),
        )
    )
    frames = Frames(fields.choice("frames", tuple(frames.value for frames in Frames)))
    return replace(plan, frames=frames, predicted_slowdown=predicted.real("slowdown"))


def _choices(planner: Planner, forms: tuple[Form, ...], fields: Fields) -> Iterator[Choice]:
    """What a plan chooses in the model's graph and in its bodies."""
    records = {"": fields}
    for body in fields.objects("bodies") if fields.has("bodies") else ():
        if body.text("body") not in {inner.home for inner in planner.graphs}:
            raise body.fail("body", "names a body that the model lacks")
        records[body.text("body")] = body
    for start, inner in zip(planner.starts, planner.graphs, strict=True):
        if inner.home in records:
            regions = records[inner.home].objects("regions")
            yield from (choice.later(start) for choice in _reader(inner.setting, forms).choices(regions))


def _check_model(fields: Fields, graph: Graph) -> None:
    model = fields.object("model")
    there = Identity(model.text("digest"), model.words("inputs"), model.words("outputs"), model.counts("ops"))
    if (found := difference(there, identity(graph))) is not None:
        raise UsageError(
            f"the plan is for another model: {found}. Give the model and the sizes that the plan was made "
            "for, or leave out --plan to search anew"
        )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the regions of one graph.

    Attributes:
        known: index of each op by its name.
    """

    setting: Setting
    forms: tuple[Form, ...]
    known: Mapping[str, int]

    def choices(self, regions: Iterator[Fields]) -> Iterator[Choice]:
        """The regions as selection would choose them."""
        for fields, loop in self._loops(regions):
            option = Option(
                loop.form,
                loop.chunking,
                loop.peak_after_bytes,
                0.0,
                0.0,
                0,
                tuple(self._feeds(fields.objects("feeders"), loop.region)),
                self._nest(fields, loop),
            )
            yield Choice(Candidate(loop.region, 0, (option,)), option)

    def _loops(self, regions: Iterator[Fields]) -> Iterator[tuple[Fields, Loop]]:
        """Regions in execution order, each after the one before."""
        after = 0
        for fields in regions:
            (first,) = self._indices(fields, "first")
            region = self._region(fields, self.setting.rules.step[first])
            if region.start < after:
                raise fields.fail("first", "lies in the region before: regions must be in order and disjoint")
            after = region.end + 1
            peaks = fields.number("peak_before_bytes"), fields.number("peak_after_bytes")
            yield fields, Loop(region, *self._writing(fields, region), *peaks)

    def _feeds(self, feeders: Iterator[Fields], region: Region) -> Iterator[Loop]:
        """The loops in front of a region's own; no two of them make the same value."""
        rules, taken = self.setting.rules.along(region.hoisted), set[int]()
        inside = replace(self, setting=replace(self.setting, order=region.hoisted, rules=rules))
        for fields in feeders:
            found = inside._region(fields, 0)
            own = set(found.ops) - found.recomputed
            if own & taken:
                raise fields.fail("ops", "are in another feeder already")
            taken |= own
            feeder = replace(found, start=region.start, end=region.end, hoisted=(), sunk=())
            yield Loop(feeder, *self._writing(fields, feeder))

    def _nest(self, fields: Fields, loop: Loop) -> Nest | None:
        """The loops inside a region's body."""
        inner, graph, rules = tuple(fields.objects("inner")), self.setting.graph, self.setting.rules
        if not inner:
            return None
        if loop.form is not Form.SCAN or not has_body(graph, loop.region, rules):
            raise fields.fail("inner", "holds loops, but the chunks of this region share no body")
        length = loop.chunking.length
        there = inside(self.setting, loop.region, body_of(graph, loop.region, rules, length), length)
        if there is None:
            raise fields.fail("inner", "holds loops, but not all sizes of this region's chunks are known")
        within = _reader(there, (Form.SCAN,))
        return Nest(tuple(found for _, found in within._loops(iter(inner))), 0)

    def _region(self, fields: Fields, start: int) -> Region:
        ops, recomputed = self._indices(fields, "ops"), self._indices(fields, "recomputed")
        step, cut = self.setting.rules.step, fields.object("cut")
        outside = any(step.get(index, -1) < start for index in (*ops, *recomputed))
        if not ops or outside or not set(recomputed) <= set(ops):
            raise fields.fail("ops", "do not make up a region: some lie outside its interval")
        end = max(step[index] for index in ops)
        last = self.setting.graph.ops[self.setting.order[end]]
        seed = Position(**{name: cut.number(name) for name in ("axis", "outer", "extent", "unit")})
        operand = self._operand(cut, last, seed)
        region = regrow(self.setting, start, end, seed, set(ops), set(recomputed), operand)
        if region is None or len(region.ops) != len(set(ops)):
            raise fields.fail("ops", f"cannot be cut along axis {seed.axis} of {last.outputs[0]!r} together")
        return region

    def _operand(self, cut: Fields, last: Op, seed: Position) -> int | None:
        """Which operand of the last op is cut, if that op reduces it; None where its result is cut."""
        value = cut.text("value")
        if value == last.outputs[0]:
            return None
        for operand, place in ends(self.setting.graph, last, self.setting.rules[last.index]):
            if last.inputs[operand] == value and place == seed:
                return operand
        raise cut.fail("value", f"is not what the last op gives, which is {last.outputs[0]!r}")

    def _writing(self, fields: Fields, region: Region) -> tuple[Form, Chunking]:
        """Form and length, both possible for the region."""
        form = Form(fields.choice("form", tuple(form.value for form in self.forms)))
        impossible = (form is Form.SCAN and region.varies) or (
            form is Form.SWEEP and not can_sweep(self.setting.graph, region)
        )
        if impossible:
            raise fields.fail("form", f"is {form.value}, which this region cannot be written as")
        length = fields.number("length", least=1)
        if length >= region.extent:
            raise fields.fail("length", f"is {length}, which is all of the {region.extent} steps")
        return form, Chunking(region.extent, length)

    def _indices(self, fields: Fields, name: str) -> tuple[int, ...]:
        names = (fields.text(name),) if name == "first" else fields.texts(name)
        for missing in (op for op in names if op not in self.known):
            raise fields.fail(name, f"names an op that the model lacks: {missing!r}")
        return tuple(self.known[op] for op in names)


def _reader(setting: Setting, forms: tuple[Form, ...]) -> _Reader:
    return _Reader(setting, forms, {op.name: op.index for op in setting.graph.ops})
