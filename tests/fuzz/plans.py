"""Plans drawn at random: any region that growth finds, in any form that can be written, whatever its price.

draw(planner, dice) -> scan of 5 rows and a tail, its keys made by a feeder, a loop in its body; a sweep
                       of single columns; ...
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence

from onnx_autochunk.axes import positions
from onnx_autochunk.options import Form
from onnx_autochunk.plan.body import body_of, has_body
from onnx_autochunk.plan.candidates import Candidate
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.feeders import front_of, in_place
from onnx_autochunk.plan.grow import grow_all
from onnx_autochunk.plan.hosts import hosted, sweep_hosts
from onnx_autochunk.plan.option import Loop, Nest, Option
from onnx_autochunk.plan.plan import Plan
from onnx_autochunk.plan.planner import Planner
from onnx_autochunk.plan.recipes import ends
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.select import Choice, Selection
from onnx_autochunk.plan.setting import Setting, inside

FORMS = (Form.SCAN, Form.SWEEP, Form.UNROLL)
MOST_REGIONS = 4
MOST_CHUNKS = 24
OPEN_FORMS = (Form.SCAN,)  # where sizes are open
FEEDS, NESTS = 0.9, 0.5  # how often a region that can have feeders, or loops in its body, has them


def draw(planner: Planner, dice: random.Random) -> Plan:
    """A plan of disjoint regions that grow from random ops, of the graph and of its bodies."""
    taken: list[Choice] = []
    for start, one in zip(planner.starts, planner.graphs, strict=True):
        for region in _disjoint(one.setting, dice):
            option = _option(one.setting, region, dice)
            taken.append(Choice(Candidate(region, start, (option,)), option))
    return planner.plan_of(_selection(taken))


def draw_searched(planner: Planner, dice: random.Random) -> Plan:
    """A plan of what the planner itself found, each in any of its ways."""
    taken: list[Choice] = []
    graphs = zip(planner.starts, planner.graphs, strict=True)
    candidates = [found.later(start) for start, one in graphs for found in one.candidates]
    for found in dice.sample(candidates, len(candidates)):
        if all(found.end < other.candidate.start or other.candidate.end < found.start for other in taken):
            taken.append(Choice(found, dice.choice(found.options)))
    return planner.plan_of(_selection(taken[:MOST_REGIONS]))


def _selection(taken: Sequence[Choice]) -> Selection:
    return Selection(tuple(sorted(taken, key=lambda choice: choice.candidate.start)), 0, 0.0, 0.0, 0)


def _disjoint(setting: Setting, dice: random.Random) -> Iterator[Region]:
    """Regions of which no two share a step."""
    free = set(range(len(setting.order)))
    for end in dice.sample(range(len(setting.order)), len(setting.order))[: 2 * MOST_REGIONS]:
        fitting = [region for region in _regions(setting, end) if free.issuperset(_steps(region))]
        if fitting:
            hoisting = [region for region in fitting if region.hoisted]
            region = dice.choice(hoisting if hoisting and dice.random() < 0.5 else fitting)
            free.difference_update(_steps(region))
            writes_over = dice.random() < 0.5 and Form.SWEEP in _usable(setting)
            yield (hosted(setting, region) if writes_over else None) or region
        if len(free) < len(setting.order) and dice.random() < 1 / MOST_REGIONS:
            return


def _steps(region: Region) -> range:
    return range(region.start, region.end + 1)


def _regions(setting: Setting, end: int) -> Iterator[Region]:
    """Every region that ends at a step, cut along an axis of the result or one that the op reduces."""
    op, borders = setting.graph.ops[setting.order[end]], range(len(setting.order))
    if not op.outputs or not op.outputs[0]:
        return
    rule = setting.rules[op.index]
    for region in grow_all(setting, end, positions(rule, result=0), borders):
        if region.extent > 1:
            yield region
    for operand, seed in ends(setting.graph, op, rule):
        for region in grow_all(setting, end, [seed], borders, operand=operand):
            if region.extent > 1 and has_body(setting.graph, region, setting.rules):
                yield region


def _option(setting: Setting, region: Region, dice: random.Random) -> Option:
    """A way to write a region."""
    form = dice.choice(list(_forms(setting, region)))
    chunking = _chunking(region, form, dice)
    feeds = _feeds(setting, region, dice) if region.hoisted and dice.random() < FEEDS else ()
    nests = form is Form.SCAN and region.accumulator is None and dice.random() < NESTS
    nest = _nest(setting, region, chunking.length, dice) if nests else None
    return Option(form, chunking, 0, 0.0, 0.0, 0, feeds, nest)


def _forms(setting: Setting, region: Region) -> Iterator[Form]:
    """Forms that a region can be written in."""
    if _usable(setting) is OPEN_FORMS:
        yield Form.SCAN
        return
    yield Form.UNROLL
    if not region.varies:
        yield Form.SCAN
    if region.accumulator is None and sweep_hosts(setting.graph, region) is not None:
        yield from (Form.SWEEP,) * 3  # few regions can


def _usable(setting: Setting) -> tuple[Form, ...]:
    return FORMS if setting.steady is None else OPEN_FORMS


def _chunking(region: Region, form: Form, dice: random.Random) -> Chunking:
    """Any length, single steps more often than others; what is written out chunk by chunk is not too long."""
    least = 1 if form is Form.SCAN else -(-region.extent // MOST_CHUNKS)
    return Chunking(region.extent, dice.choice([least, dice.randrange(least, region.extent)]))


def _feeds(setting: Setting, region: Region, dice: random.Random) -> tuple[Loop, ...]:
    """Loops in front of a region."""
    forms = _usable(setting)
    front = front_of(setting, region, forms)
    if front is None:
        return ()
    if dice.random() < 0.5:
        front = in_place(setting.graph, front, forms) or front
    pairs = zip(front.feeders, front.forms, strict=True)
    return tuple(Loop(feeder, form, _chunking(feeder, form, dice)) for feeder, form in pairs)


def _nest(setting: Setting, region: Region, length: int, dice: random.Random) -> Nest | None:
    """Loops in the body of a region; None where none grow there."""
    if not has_body(setting.graph, region, setting.rules):
        return None
    inner = inside(setting, region, body_of(setting.graph, region, setting.rules, length), length)
    if inner is None:
        return None
    grown = sorted(_disjoint(inner, dice), key=lambda found: found.start)
    loops = [Loop(r, Form.SCAN, _chunking(r, Form.SCAN, dice)) for r in grown if not r.varies]
    return Nest(tuple(loops), 0) if loops else None


def forms_of(plan: Plan) -> Collection[str]:
    """Names of the forms of all loops of a plan."""
    return sorted({loop.form.value for loop in plan.loops})
