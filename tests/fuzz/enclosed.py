"""Random graphs that are bodies: branches of an If, or what a Loop or a Scan runs a few times.

x -> graph -> y    becomes    x -> Neg -> If(which) { graph -> y } else { graph -> y -> Neg } -> y
                              x -> Loop(3) { x -> graph -> y;  x -> Neg -> x } -> [3, *y]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from onnx_autochunk.runtime.session import run
from onnx_autochunk.verify.compare import compare
from tests.axes.oracle import Array
from tests.fuzz.graphs import Drawn, drawn, is_sound, open_session, random_feeds

ROUNDS = (2, 3)
WHICH = "which"  # the input whose sign chooses a branch
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def enclosed_graph(seed: int) -> Drawn:
    """A model with a graph in a body, in which there may be bodies; one seed gives one graph."""
    attempts = (_attempt(np.random.default_rng([seed, attempt, 2])) for attempt in count())
    return next(found for found in attempts if found is not None)


def _attempt(rng: np.random.Generator) -> Drawn | None:
    model = drawn(rng)
    if not model.graph.input:
        return None
    inner = [weight for weight in model.graph.initializer if rng.random() < 0.5]
    outer = [weight for weight in model.graph.initializer if weight not in inner]
    enclose = (_branched, _looped, _scanned)[int(rng.integers(3))]
    made = enclose(model.graph, inner, rng)
    made.initializer.extend(outer)
    model.graph.CopyFrom(made)
    feeds = random_feeds(model)
    signs = (1, -1) if WHICH in feeds else ()
    every = [{**feeds, WHICH: np.array(sign, np.float32)} for sign in signs] or [feeds]
    sound = all(is_sound(model, one) and _is_exact(model, one) for one in every)
    return Drawn(model, tuple(every)) if sound else None


def _is_exact(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> bool:
    """True when ONNX Runtime leaves out no rounding to float16 that changes a result.

    It does between ops that it computes in float32. Behind an Identity every value is what it is said to be.
    """
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    _keep(kept.graph)
    sessions = (open_session(made, optimized=False) for made in (model, kept))
    found, rounded = (run(session, feeds) for session in sessions)
    return compare(rounded, found, rtol=0, atol=0).passed


def _keep(graph: GraphProto) -> None:
    """Put an Identity behind every value, those in bodies too."""
    nodes = list[NodeProto]()
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _keep(attribute.g)
        names = [name for name in node.output if name]
        node.output[:] = [name and f"{name}/kept" for name in node.output]
        nodes += [node, *(helper.make_node("Identity", [f"{name}/kept"], [name]) for name in names)]
    del graph.node[:]
    graph.node.extend(nodes)


def _branched(graph: GraphProto, weights: Sequence[TensorProto], _: np.random.Generator) -> GraphProto:
    """Both branches capture everything; one gives its results with the other sign."""
    signed = [value for value in graph.output if value.type.tensor_type.elem_type in FLOATS]
    others = [_as(value, "negated") if value in signed else value for value in graph.output]
    negated = [*graph.node, *(_neg(value.name, _as(value, "negated").name) for value in signed)]
    bodies = {
        "then_branch": helper.make_graph(graph.node, "then", [], graph.output, weights),
        "else_branch": helper.make_graph(negated, "else", [], others, weights),
    }
    results = [_as(value, "found") for value in graph.output]
    asked = helper.make_node("Greater", [WHICH, "zero"], ["asked"], "asked")
    chosen = helper.make_node("If", ["asked"], [value.name for value in results], "If", **bodies)
    which = helper.make_tensor_value_info(WHICH, TensorProto.FLOAT, [])
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    nodes = [*_captured(graph.input), asked, chosen]
    return helper.make_graph(nodes, "branched", [which, *_given(graph.input)], results, [zero])


def _looped(graph: GraphProto, weights: Sequence[TensorProto], rng: np.random.Generator) -> GraphProto:
    """Some inputs are carried, with the other sign in the next round; the others are captured."""
    carried, captured = _parted(graph.input, rng)
    number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
    going, again = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("going", "again"))
    on = helper.make_node("Identity", ["going"], ["again"], "again")
    body = helper.make_graph(
        [*graph.node, on, *_turned(carried)],
        "round",
        [number, going, *carried],
        [again, *(_as(value, "next") for value in carried), *graph.output],
        weights,
    )
    rounds = int(rng.choice(ROUNDS))
    results = [*(_as(value, "last") for value in carried), *_stacked(graph.output, rounds)]
    operands = ["rounds", "", *(value.name for value in _given(carried))]
    loop = helper.make_node("Loop", operands, [value.name for value in results], "Loop", body=body)
    given = numpy_helper.from_array(np.array(rounds, np.int64), "rounds")
    nodes = [*_captured(captured), loop]
    return helper.make_graph(nodes, "looped", _given(graph.input), results, [given])


def _scanned(graph: GraphProto, weights: Sequence[TensorProto], rng: np.random.Generator) -> GraphProto:
    """One input is scanned; of the others some are carried, and some are captured."""
    first, *others = graph.input
    carried, captured = _parted(others, rng)
    body = helper.make_graph(
        [*graph.node, *_turned(carried)],
        "step",
        [*carried, first],
        [*(_as(value, "next") for value in carried), *graph.output],
        weights,
    )
    rounds = int(rng.choice(ROUNDS))
    results = [*(_as(value, "last") for value in carried), *_stacked(graph.output, rounds)]
    inputs = [*_given(others), *_stacked([first], rounds)]
    operands = [*(value.name for value in _given(carried)), inputs[-1].name]
    names = [value.name for value in results]
    scan = helper.make_node("Scan", operands, names, "Scan", body=body, num_scan_inputs=1)
    return helper.make_graph([*_captured(captured), scan], "scanned", inputs, results)


def _parted(
    values: Iterable[ValueInfoProto], rng: np.random.Generator
) -> tuple[list[ValueInfoProto], list[ValueInfoProto]]:
    """Which inputs are carried, and which are captured."""
    parts: tuple[list[ValueInfoProto], list[ValueInfoProto]] = [], []
    for value in values:
        parts[int(rng.integers(2))].append(value)
    return parts


def _given(values: Iterable[ValueInfoProto]) -> list[ValueInfoProto]:
    """Inputs of the model for those of the graph."""
    return [_as(value, "given") for value in values]


def _captured(values: Iterable[ValueInfoProto]) -> list[NodeProto]:
    """What a body reads of the graph around it."""
    return [_neg(_as(value, "given").name, value.name) for value in values]


def _turned(values: Iterable[ValueInfoProto]) -> list[NodeProto]:
    """What a body hands on."""
    return [_neg(value.name, _as(value, "next").name) for value in values]


def _stacked(values: Iterable[ValueInfoProto], rounds: int) -> list[ValueInfoProto]:
    """A value of every round."""
    kinds = ((f"{value.name}/every", value.type.tensor_type) for value in values)
    return [
        helper.make_tensor_value_info(
            name, kind.elem_type, [rounds, *(dim.dim_value for dim in kind.shape.dim)]
        )
        for name, kind in kinds
    ]


def _as(value: ValueInfoProto, what: str) -> ValueInfoProto:
    """The same value under another name."""
    made = ValueInfoProto()
    made.CopyFrom(value)
    made.name = f"{value.name}/{what}"
    return made


def _neg(operand: str, result: str) -> NodeProto:
    return helper.make_node("Neg", [operand], [result], f"{result}/Neg")
