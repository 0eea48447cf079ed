"""The body of a loop is a graph: it is searched again, and emitted as loops in a loop."""

from __future__ import annotations

from dataclasses import replace

import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk.axes import Position
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.graph.model import Origin
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.body import body_of, has_body
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.grow import grow
from onnx_autochunk.plan.plan import Frames, Nested, Plan, PlannedRegion
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.rules import Rules
from onnx_autochunk.plan.setting import make_setting
from tests.emit.regions import Sample, Stretch, check_close, nodes, outputs_of, region_of

HEADS, ROWS, WIDTH = 4, 26, 8
FLAT, SPLIT = f"float[1,{ROWS},{HEADS * WIDTH}]", f"float[1,{HEADS},{ROWS},{WIDTH}]"
ATTENTION = Sample(
    f"""({FLAT} x, {SPLIT} k, {SPLIT} v) => ({FLAT} z) {{
        t = Relu(x)  q = MatMul(t, w)  split = Reshape(q, heads)  front = Transpose<perm=[0,2,1,3]>(split)
        turned = Transpose<perm=[0,1,3,2]>(k)  score = MatMul(front, turned)  masked = Add(score, mask)
        soft = Softmax(masked)  mix = MatMul(soft, v)
        back = Transpose<perm=[0,2,1,3]>(mix)  joined = Reshape(back, flat)  y = Add(t, joined)  z = Neg(y)
    }}""",
    (Stretch("q split front score masked soft mix back joined y", 1),),
    weights={"w": (HEADS * WIDTH, HEADS * WIDTH), "mask": (ROWS, ROWS)},
    integers={"heads": (0, -1, HEADS, WIDTH), "flat": (1, ROWS, HEADS * WIDTH)},
)


def nested_plan(loaded: Loaded, region: Region, length: int, heads: int) -> Plan:
    """Chunks of rows; inside them some heads at a time."""
    rules = Rules(loaded.graph, range(len(loaded.graph.ops)))
    body = body_of(loaded.graph, region, rules, length)
    end = body.graph.producer["mix"].index
    seed = next(p for p in _seeds(body.graph.shape("mix") or ()) if p.axis == 1)
    inner = list(grow(make_setting(body.graph), end, seed, range(len(body.graph.ops))))[-1]
    loop = PlannedRegion("inner", inner, Form.SCAN, Chunking(HEADS, heads), (), 0, 0, 0)
    outer = PlannedRegion(
        "outer", region, Form.SCAN, Chunking(ROWS, length), region.hoisted, 0, 0, 0, (), Nested(body, (loop,))
    )
    return Plan((outer,), 0, 1.0, 0.0)


def _seeds(shape: tuple[int, ...]) -> list[Position]:
    return [Position.whole(shape, axis) for axis in range(len(shape))]


# The residual is made in the body: it crosses all of it, and what joins the heads is no valley.
EMBEDDED = Sample(
    """(float[1,1024,128] x) => (float[1,1024,128] z) {
        t = Add(x, place)  n = LayerNormalization(t, g)  q = MatMul(n, w)
        k = MatMul(n, w2)  heads_k = Reshape(k, heads)  turned = Transpose<perm=[0,2,3,1]>(heads_k)
        v = MatMul(n, w3)  heads_v = Reshape(v, heads)  value = Transpose<perm=[0,2,1,3]>(heads_v)
        split = Reshape(q, heads)  front = Transpose<perm=[0,2,1,3]>(split)
        score = MatMul(front, turned)  soft = Softmax(score)  mix = MatMul(soft, value)
        back = Transpose<perm=[0,2,1,3]>(mix)  joined = Reshape(back, flat)  out = MatMul(joined, w4)
        y = Add(t, out)  z = Neg(y)
    }""",
    (),
    weights={"place": (1024, 128), "g": (128,), **dict.fromkeys(("w", "w2", "w3", "w4"), (128, 128))},
    integers={"heads": (0, -1, 8, 16), "flat": (1, 1024, 128)},
)

QUERIES, KEYS = 16, 16000
POOLED = Sample(
    f"""(float[{HEADS},{QUERIES},32] q, float[{HEADS},{KEYS},32] k, float[{HEADS},{KEYS},32] v)
        => (float[{HEADS},{QUERIES},32] z) {{
        turned = Transpose<perm=[0,2,1]>(k)  s = MatMul(q, turned)  p = Softmax(s)
        y = MatMul(p, v)  z = Neg(y)
    }}""",
    (),
)


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return ATTENTION.loaded()


@pytest.fixture(scope="module")
def region(loaded: Loaded) -> Region:
    return region_of(loaded, ATTENTION.stretches[0])


def test_a_body_is_a_graph_on_values_as_long_as_a_chunk(loaded: Loaded, region: Region) -> None:
    rules = Rules(loaded.graph, range(len(loaded.graph.ops)))
    assert has_body(loaded.graph, region, rules)
    body = body_of(loaded.graph, region, rules, 5)
    shapes = {op.outputs[0]: body.graph.shape(op.outputs[0]) for op in body.graph.ops}
    assert shapes["soft"] == (1, HEADS, 5, ROWS)
    assert shapes["split"] == (1, 5, HEADS, WIDTH)
    assert shapes["y"] == (1, 5, HEADS * WIDTH)
    assert {body.graph.values[name].shape for name in body.slices.values()} == {
        (1, 5, HEADS * WIDTH),
        (5, ROWS),
    }
    origins = {name: body.graph.values[name].origin for name in (*body.slices.values(), "turned", "v", "w")}
    assert sorted(origin.value for origin in origins.values()) == sorted(
        ["constant", "constant", "input", "input", "input"]
    )
    target = body.graph.values[body.graph.ops[1].inputs[1]]
    assert target.origin is Origin.CONSTANT and target.data is not None
    assert target.data.tolist() == [1, 5, HEADS, WIDTH]


@pytest.mark.parametrize(("length", "heads"), [(13, 1), (13, 2), (5, 1), (7, 3), (1, 1)])
def test_loops_in_a_loop_compute_the_same(loaded: Loaded, region: Region, length: int, heads: int) -> None:
    proto = ir.to_proto(weave(loaded, nested_plan(loaded, region, length, heads)))
    onnx.checker.check_model(proto, full_check=True)
    names = [node.name for node in nodes(proto.graph)]
    assert len(set(names)) == len(names)
    loops = [str(node.name) for node in nodes(proto.graph) if node.op_type == "Scan"]
    assert sum(name.startswith("chunk/") for name in loops) == 2
    expected, found = outputs_of(ATTENTION.model()), outputs_of(proto)
    check_close(found["z"], expected["z"])


def test_a_head_at_a_time_holds_a_share_of_the_scores(loaded: Loaded, region: Region) -> None:
    peaks = [
        simulate(derive(weave(loaded, nested_plan(loaded, region, 13, heads))).graph).peak_bytes
        for heads in (1, 2, 4)
    ]
    assert peaks == sorted(peaks) and peaks[0] < peaks[-1]


LONG = 2048


def layers(count: int) -> Loaded:
    """Attention over many rows, whose scores are all there is to save."""
    width = HEADS * WIDTH
    ends = [f"x{number}" for number in range(count + 1)]
    body = " ".join(
        f"k{n} = MatMul({ends[n]}, w) kh{n} = Reshape(k{n}, heads) kt{n} = Transpose<perm=[0,2,3,1]>(kh{n}) "
        f"q{n} = MatMul({ends[n]}, w) qh{n} = Reshape(q{n}, heads) qt{n} = Transpose<perm=[0,2,1,3]>(qh{n}) "
        f"s{n} = MatMul(qt{n}, kt{n}) t{n} = Tanh(s{n}) p{n} = Softmax(t{n}) "
        f"vt{n} = Transpose<perm=[0,2,1,3]>(kh{n}) m{n} = MatMul(p{n}, vt{n}) "
        f"b{n} = Transpose<perm=[0,2,1,3]>(m{n}) j{n} = Reshape(b{n}, flat) "
        f"{ends[n + 1]} = Add({ends[n]}, j{n})"
        for n in range(count)
    )
    flat = f"float[1,{LONG},{width}]"
    return Sample(
        f"({flat} x) => ({flat} z) {{ x0 = Relu(x) {body} z = Neg({ends[-1]}) }}",
        (),
        weights={"w": (width, width)},
        integers={"heads": (0, -1, HEADS, WIDTH), "flat": (1, -1, width)},
    ).loaded()


@pytest.fixture(scope="module")
def planner() -> Planner:
    return make_planner(layers(3).graph, Options(), CostModel.load(), (Form.SCAN,))


def test_nested_plans_are_found_alike_in_equal_layers_and_are_as_predicted(planner: Planner) -> None:
    budgets = sorted({o.peak_bytes for c in planner.candidates for o in c.options if o.nest})
    plans = [plan for budget in budgets if (plan := planner.within(budget))]
    plan = next(plan for plan in plans if sum(r.nested is not None for r in plan.regions) > 1)
    inside = [[inner.chunking for inner in r.nested.regions] for r in plan.regions if r.nested]
    assert all(chunkings == inside[0] for chunkings in inside)
    source = layers(3)
    models = [weave(source, replace(plan, frames=frames)) for frames in Frames]
    peaks = [simulate(derive(model).graph).peak_bytes for model in models]
    assert min(peaks) == pytest.approx(plan.budget_bytes, rel=0.15)
    expected = outputs_of(ir.to_proto(source.model))
    for model in models:
        check_close(outputs_of(model)["z"], expected["z"])


def test_a_loop_over_heads_is_found_where_the_residual_is_made_in_the_body() -> None:
    planner = make_planner(EMBEDDED.loaded().graph, Options(), CostModel.load(), (Form.SCAN,))
    nests = (
        (candidate.region, option.nest)
        for candidate in planner.candidates
        for option in candidate.options
        if option.nest is not None
    )
    cut = {
        (loop.region.outputs[0].value, loop.region.outputs[0].position.axis)
        for region, nest in nests
        if "t" in region.flow
        for loop in nest.loops
    }
    assert ("mix", 1) in cut


def test_few_heads_are_gone_through_one_by_one_where_that_spares_copies() -> None:
    """The keys of one head are cut into views; across heads every chunk of them would be copied."""
    loaded = POOLED.loaded()
    planner = make_planner(loaded.graph, Options(), CostModel.load(), (Form.SCAN,))
    plan = planner.within(QUERIES * KEYS * 4 // 2)  # half of a head's scores
    assert plan is not None
    (outer,) = plan.regions
    assert outer.chunking == Chunking(HEADS, 1)
    assert outer.nested is not None
    assert any(inner.region.accumulator for inner in outer.nested.regions)
    check_close(outputs_of(weave(loaded, plan))["z"], outputs_of(ir.to_proto(loaded.model))["z"])
