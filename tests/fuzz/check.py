"""One random graph, chunked by one random plan, against itself: what was tried and what came of it.

`check(7)` -> the model of seed 7 in every way of framing its plan, run with ORT's optimizations and without.
`check(7, "open")` -> another, at several sizes. `check(7, "bodies")` -> one whose bodies are chunked.

Some ops turn a difference in the last bit into any other: Floor, ArgMax, a quotient whose divisor comes near
0. Elements that differ count only if the original itself does not change there when its inputs do by as much
as rounding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, parser

from onnx_autochunk.emit.weave import chunk, finish
from onnx_autochunk.graph.enclosed import with_bodies
from onnx_autochunk.graph.numbers import released
from onnx_autochunk.graph.several import load_open
from onnx_autochunk.options import Options
from onnx_autochunk.pipeline import make_trials
from onnx_autochunk.plan.plan import Frames, Plan
from onnx_autochunk.plan.planner import Planner
from onnx_autochunk.runtime.session import run
from onnx_autochunk.trial import Trials
from onnx_autochunk.verify.compare import compare
from tests.fuzz.enclosed import enclosed_graph
from tests.fuzz.graphs import Drawn, fixed_graph, open_session
from tests.fuzz.opened import open_graph
from tests.fuzz.plans import draw, draw_searched, forms_of

KINDS: Mapping[str, Callable[[int], Drawn]] = {
    "fixed": fixed_graph,
    "open": open_graph,
    "bodies": enclosed_graph,
}
SEARCHED = 0.25  # of the plans choose among what the planner found
Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Outputs = Mapping[str, Array]
ATOL = 1e-4  # of float32 results, in units of their largest element where that is below 1, but ...
ROUNDING = 1e-6  # ... no less than this: small results are often differences of larger numbers
LEVELS = {"optimized": True, "as it is": False}
PRODUCTS = frozenset("Conv Einsum Gemm MatMul".split())  # what kernels round depends on the shape of operands
NUDGES = 24  # how often inputs are changed
# x with every element off by up to a millionth of it.
ROUNDED = """<opset_import: ["" : {version}], domain: "fuzz"> Rounded (x) => (y) {{
    shape = Shape(x) size = Size(x) zero = Constant<value_int=0>() one = Constant<value_int=1>()
    position = Range(zero, size, one) number = Cast<to=1>(position)
    apart = Constant<value_float=12.9898>() step = Mul(number, apart)
    phase = Constant<value_float={phase}>() angle = Add(step, phase) sine = Sin(angle)
    little = Constant<value_float=1e-6>() share = Mul(sine, little)
    unit = Constant<value_float=1.0>() flat = Add(share, unit) factor = Reshape(flat, shape)
    y = Mul(x, factor)
}}"""
NUDGE = {2: 2.0**-8, 4: 2.0**-19}  # and by which share at most, by the size of an element


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was tried with one seed.

    Attributes:
        types: operators of the graph, as `domain:type`.
        chunked: those of them in regions.
        enclosed: regions in bodies of the model's own.
        runs: inputs on which results were compared.
        frames: ways of framing that gave another model.
        unstable: differences that rounding explains, in all runs.
        finite: share of the outputs' elements that are finite.
        unequal: what differs, in which run; "" when nothing does.
        crashed: the exception; "" when there was none.
    """

    seed: int
    types: tuple[str, ...] = ()
    chunked: tuple[str, ...] = ()
    regions: int = 0
    forms: tuple[str, ...] = ()
    nested: int = 0
    accumulating: int = 0
    feeders: int = 0
    enclosed: int = 0
    runs: int = 0
    frames: tuple[str, ...] = ()
    unstable: int = 0
    finite: float = 1.0
    unequal: str = ""
    crashed: str = ""


def check(seed: int, kind: str = "fixed") -> Outcome:
    """Build, chunk, run and compare; an exception of ours or of ONNX Runtime's is part of the outcome."""
    drawn = KINDS[kind](seed)
    outcome = Outcome(seed, types=tuple(sorted({_type(node) for node in _nodes(drawn.model.graph)})))
    try:
        trials, plan = plan_for(drawn, random.Random(seed), bodies=kind == "bodies")
        return _compared(_described(outcome, trials.planner, plan), drawn, trials, plan)
    except Exception as error:  # whatever it is, it is what we look for
        return replace(outcome, crashed=f"{type(error).__name__}: {error}")


def plan_for(drawn: Drawn, dice: random.Random, *, bodies: bool) -> tuple[Trials, Plan]:
    """A plan for a model, and what it is for."""
    loaded = load_open(drawn.model, dims=drawn.dims)
    searches = dice.random() < SEARCHED
    trials = make_trials(Options(), with_bodies(loaded) if bodies else loaded, searches=searches)
    return trials, draw_searched(trials.planner, dice) if searches else draw(trials.planner, dice)


def models(trials: Trials, plan: Plan) -> Iterator[tuple[Frames, onnx.ModelProto]]:
    """The plan in every way of framing it that gives another model, as it would be written."""
    loaded = trials.loaded
    woven = chunk(loaded, plan, trials.planner.setting.rules)
    for frames in reversed(woven.framings()):  # without any, what the others copy is finished itself
        yield frames, ir.to_proto(released(finish(woven.framed(frames)), loaded.dynamic))


def _compared(outcome: Outcome, drawn: Drawn, trials: Trials, plan: Plan) -> Outcome:
    feeds = drawn.feeds[:1] if drawn.dims and trials.loaded.dynamic is None else drawn.feeds
    expected = {level: outputs(drawn.model, level, feeds) for level in LEVELS}
    values = [array for array in expected["as it is"][0].values() if array.size]
    finite = float(np.mean([np.isfinite(array.astype(np.float64)).mean() for array in values]))
    outcome = replace(outcome, finite=finite, runs=len(feeds))
    for frames, made in models(trials, plan):
        outcome = replace(outcome, frames=(*outcome.frames, frames.value))
        onnx.checker.check_model(made, full_check=True)
        for level in LEVELS:
            for given, one, other in zip(feeds, expected[level], outputs(made, level, feeds), strict=True):
                if not differs(one, other):
                    continue
                if difference := differs(one, other, moves=_moves(drawn.model, one, level, given)):
                    return replace(outcome, unequal=f"frames {frames.value}, {level}: {difference}")
                outcome = replace(outcome, unstable=outcome.unstable + 1)
    return outcome


def differs(expected: Outputs, found: Outputs, moves: Mapping[str, Array] | None = None) -> str:
    """The first difference beyond rounding, but for elements that move; "" when there is none."""
    for name, array in expected.items():
        other = found[name]
        if moves is not None and other.shape == array.shape:
            other = np.where(moves[name], array, other).astype(other.dtype)
        if array.size:
            result = compare({name: array}, {name: other}, atol=_atol(array))
            if not result.passed:
                return str(result.reason)
    return ""


def _atol(array: Array) -> float:
    """Absolute tolerance for results that may be small all over."""
    if array.dtype.kind != "f":
        return ATOL
    wide = np.abs(array.astype(np.float64))
    return max(ROUNDING, ATOL * min(1.0, float(np.max(wide, where=np.isfinite(wide), initial=0.0))))


def _moves(proto: onnx.ModelProto, expected: Outputs, level: str, feeds: Outputs) -> dict[str, Array]:
    """Which elements change by more than rounding when the inputs do not, and products as they are rounded.

    Rows that are equal by construction stay so whatever the inputs are, and which comes first is a matter of
    rounding.
    """
    moves = {name: np.zeros(array.shape, bool) for name, array in expected.items()}
    dice = np.random.default_rng(0)
    for at in range(NUDGES):
        session = open_session(_rounded(proto, phase=float(at)), optimized=LEVELS[level])
        nudged = {name: _nudged(array, dice) for name, array in feeds.items()}
        for name, array in run(session, nudged).items():
            moves[name] |= _far(expected[name], array)
    return moves


def _rounded(proto: onnx.ModelProto, phase: float) -> onnx.ModelProto:
    """The model with products in float32 that are off by little, in every element by another share."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    version = next(opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx"))
    known = onnx.shape_inference.infer_shapes(proto).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*known.value_info, *known.output)}
    for at, node in reversed(list(enumerate(made.graph.node))):
        result = node.output[0] if node.output else ""
        if node.op_type in PRODUCTS and types.get(result) == onnx.TensorProto.FLOAT:
            node.output[0] = f"{result}/exact"
            rounded = helper.make_node("Rounded", [f"{result}/exact"], [result], domain="fuzz")
            made.graph.node.insert(at + 1, rounded)
    made.functions.append(parser.parse_function(ROUNDED.format(version=version, phase=phase)))
    made.opset_import.append(helper.make_opsetid("fuzz", 1))
    return made


def _nudged(array: Array, dice: np.random.Generator) -> Array:
    change = NUDGE[array.itemsize] * dice.uniform(-1, 1, array.shape)
    nudged: Array = (array.astype(np.float64) * (1 + change)).astype(array.dtype)
    return nudged


def _far(left: Array, right: Array) -> Array:
    """Elements that differ by more than rounding."""
    if left.dtype.kind != "f":
        return np.asarray(left != right)
    a, b = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return ~np.isclose(a, b, rtol=1e-4, atol=_atol(left) / 10, equal_nan=True)


def outputs(proto: onnx.ModelProto, level: str, feeds: Sequence[Outputs]) -> list[Outputs]:
    """What a model makes of its inputs, in one run after the other."""
    session = open_session(proto, optimized=LEVELS[level])
    return [run(session, one) for one in feeds]


def _described(outcome: Outcome, planner: Planner, plan: Plan) -> Outcome:
    inner = [loop for outer in plan.loops if outer.nested for loop in outer.nested.regions]
    graphs = {one.home: one.graph for one in planner.graphs}
    ops = {graphs[loop.home].ops[index] for loop in plan.loops for index in loop.region.ops}
    return replace(
        outcome,
        chunked=tuple(sorted({f"{op.domain}:{op.type}" for op in ops})),
        regions=len(plan.regions),
        forms=tuple(forms_of(plan)),
        nested=len(inner),
        accumulating=sum(loop.region.accumulator is not None for loop in (*plan.loops, *inner)),
        feeders=sum(len(region.feeders) for region in plan.regions),
        enclosed=sum(bool(region.home) for region in plan.regions),
    )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph, and those of its bodies."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)


def _type(node: onnx.NodeProto) -> str:
    return f"{node.domain}:{node.op_type}"
