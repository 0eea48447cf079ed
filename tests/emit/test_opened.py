"""Chunked models whose sizes stay open compute at every size what the original computes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from onnx_autochunk.axes import Position
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.graph.numbers import released
from onnx_autochunk.graph.several import load_open, write_out_open
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Form
from onnx_autochunk.plan.body import body_of
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.grow import grow
from onnx_autochunk.plan.plan import Nested, Plan, PlannedRegion
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.rules import Rules
from onnx_autochunk.plan.seconds import Seconds
from onnx_autochunk.plan.setting import Setting, inside, make_setting
from onnx_autochunk.plan.steady import steady_rules
from tests.emit.regions import Sample, Stretch

FLAT = """(float[B,T,8] x) => (float[B,T,8] y) {
    shape = Shape(x)
    b = Gather(shape, zero)
    t = Gather(shape, one)
    rows = Mul(b, t)
    flat_shape = Concat<axis=0>(rows, eight)
    flat = Reshape(x, flat_shape)
    wide = MatMul(flat, w1)
    act = Relu(wide)
    narrow = MatMul(act, w2)
    y_shape = Concat<axis=0>(b, t, eight)
    back = Reshape(narrow, y_shape)
    y = Add(back, x)
}"""
HEADS = """(float[B,T,8] x) => (float[B,T,8] y) {
    shape = Shape(x)
    b = Gather(shape, zero)
    t = Gather(shape, one)
    split_shape = Concat<axis=0>(b, t, two, four)
    q = Reshape(x, split_shape)
    queries = Transpose<perm=[0,2,1,3]>(q)
    keys = Transpose<perm=[0,2,3,1]>(q)
    values = Transpose<perm=[0,2,1,3]>(q)
    scores = MatMul(queries, keys)
    last = Squeeze(t)
    position = Range(start, last, step)
    row = Unsqueeze(position, one)
    column = Unsqueeze(position, zero)
    later = Greater(column, row)
    masked = Where(later, low, scores)
    shares = Softmax(masked)
    mixed = MatMul(shares, values)
    turned = Transpose<perm=[0,2,1,3]>(mixed)
    merged_shape = Shape(x)
    merged = Reshape(turned, merged_shape)
    y = Add(merged, x)
}"""

SAMPLES = {
    "an axis in front": Sample(
        "(float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) b = Relu(a) y = Add(b, x) }",
        (Stretch("a b y", 0),),
        {"w": (8, 8)},
    ),
    "an axis behind a batch": Sample(
        "(float[B,T,8] x) => (float[B,T,8] y) { a = MatMul(x, w) b = Relu(a) y = Add(b, x) }",
        (Stretch("a b y", 1),),
        {"w": (8, 8)},
    ),
    "the last axis": Sample(
        "(float[B,8,T] x) => (float[B,8,T] y) { a = MatMul(w, x) y = Relu(a) }",
        (Stretch("a y", 2),),
        {"w": (8, 8)},
    ),
    "rows that are merged with the batch inside": Sample(
        FLAT,
        (Stretch("flat wide act narrow back y", 1),),
        {"w1": (8, 16), "w2": (16, 8)},
        {"zero": [0], "one": [1], "eight": [8]},
    ),
    "queries, with a mask of their rows": Sample(
        HEADS,
        (Stretch("queries scores row later masked shares mixed turned merged y", 1),),
        {},
        {"zero": [0], "one": [1], "two": [2], "four": [4]},
        {"low": -1e9},
    ),
    "an opset that is raised": Sample(
        """(float[B,T,8] x) => (float[B,T,8] y) {
            s = Softmax<axis=2>(x)
            u = Unsqueeze<axes=[0]>(s)
            v = Squeeze<axes=[0]>(u)
            y = Add(v, x)
        }""",
        (Stretch("s u v y", 1),),
        opset=11,
    ),
    "several outputs": Sample(
        """(float[T,8] x) => (float[T,8] y, float[8,T] z) {
            a = Relu(x)
            z = Transpose<perm=[1,0]>(a)
            y = Mul(a, a)
        }""",
        (Stretch("a y", 0),),
    ),
    "steps of two rows in the result": Sample(
        """(float[T,2,8] x) => (float[R,8] y) {
            flat = Reshape(x, rows)
            a = Relu(flat)
            y = MatMul(a, w)
        }""",
        (Stretch("flat a y", 0, 16),),
        {"w": (8, 8)},
        {"rows": [-1, 8]},
    ),
}


@dataclass(frozen=True)
class Inner:
    """A loop within a loop: the value that its region ends with, the axis that is cut, steps of a chunk."""

    value: str
    axis: int
    length: int


INNER = {
    "one head after another": Inner("mixed", 1, 1),
    "two rows of a chunk": Inner("mixed", 2, 2),
    "rows, heads merged again": Inner("y", 1, 3),
    "parts of a batch": Inner("shares", 0, 1),
}
REFERENCE = {"B": 2, "T": 16, "N": 16, "R": 16}
LENGTH = 5
STEPS = (1, 2, LENGTH - 1, LENGTH, LENGTH + 1, 3 * LENGTH, 23)
REFUSED = (errors.Fail, errors.RuntimeException, errors.InvalidArgument)


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Sample:
    return SAMPLES[request.param]


def _model(sample: Sample) -> onnx.ModelProto:
    made = sample.model()
    for name, number in (("start", 0), ("step", 1)):
        if any(name in node.input for node in made.graph.node):
            made.graph.initializer.append(onnx.numpy_helper.from_array(np.array(number, np.int64), name))
    return made


def _loaded(model: onnx.ModelProto) -> Loaded:
    names = {dim.dim_param for value in model.graph.input for dim in value.type.tensor_type.shape.dim}
    return load_open(model, dims={name: REFERENCE[name] for name in names if name})


def _setting(loaded: Loaded) -> Setting:
    assert loaded.dynamic is not None
    return make_setting(loaded.graph, dynamic=loaded.dynamic)


def _region(loaded: Loaded, stretch: Stretch) -> Region:
    graph, setting = loaded.graph, _setting(loaded)
    wanted = stretch.values.split()
    seed = Position.whole(graph.shape(wanted[-1]) or (), stretch.axis)
    if stretch.steps is not None:
        seed = replace(seed, extent=stretch.steps, unit=seed.extent // stretch.steps)
    found = list(grow(setting, graph.producer[wanted[-1]].index, seed, range(len(graph.ops))))
    seen = [[graph.ops[index].outputs[0] for index in region.ops] for region in found]
    return found[[sorted(names) for names in seen].index(sorted(wanted))]


def _woven(loaded: Loaded, sample: Sample, inner: Inner | None = None) -> ir.Model:
    region = _region(loaded, sample.stretches[0])
    nested = None if inner is None else _nested(_setting(loaded), region, inner)
    chunking = Chunking(region.extent, LENGTH)
    planned = PlannedRegion("r", region, Form.SCAN, chunking, (), 0, 0, 0, nested=nested)
    return weave(loaded, Plan((planned,), 0, 1.0, 0.0), _setting(loaded).rules)


def _nested(setting: Setting, region: Region, inner: Inner) -> Nested:
    body = body_of(setting.graph, region, setting.rules, LENGTH)
    there = inside(setting, region, body, LENGTH)
    assert there is not None
    graph = body.graph
    seed = Position.whole(graph.shape(inner.value) or (), inner.axis)
    *_, grown = grow(there, graph.producer[inner.value].index, seed, range(len(graph.ops)))
    chunking = Chunking(grown.extent, inner.length)
    return Nested(body, (PlannedRegion("inner", grown, Form.SCAN, chunking, (), 0, 0, 0),))


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _shapes(model: onnx.ModelProto, sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    return {
        value.name: tuple(sizes.get(d.dim_param, d.dim_value) for d in value.type.tensor_type.shape.dim)
        for value in model.graph.input
    }


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("steps", STEPS)
def test_every_size_gives_what_the_original_gives(sample: Sample, steps: int, batch: int) -> None:
    _compare(sample, None, steps, batch)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("inner", INNER)
def test_so_do_loops_in_a_loop(inner: str, steps: int, batch: int) -> None:
    _compare(SAMPLES["queries, with a mask of their rows"], INNER[inner], steps, batch)


def _compare(sample: Sample, inner: Inner | None, steps: int, batch: int) -> None:
    model = _model(sample)
    loaded = _loaded(model)
    made = ir.to_proto(released(_woven(loaded, sample, inner), loaded.dynamic))
    onnx.checker.check_model(made, full_check=True)
    generator = np.random.default_rng(0)
    shapes = _shapes(model, {"B": batch, "T": steps, "N": steps})
    feeds = {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    expected, found = (_session(one).run(None, feeds) for one in (model, made))
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        assert one.size >= prod(shapes["x"]) // 8
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("batch", "steps"), [(0, 7), (0, 0), (2, 0)])
def test_an_empty_input_gives_what_the_original_gives(sample: Sample, batch: int, steps: int) -> None:
    """No chunk has a step, and a Scan has to run once all the same; some originals refuse such inputs."""
    model = _model(sample)
    loaded = _loaded(model)
    made = ir.to_proto(released(_woven(loaded, sample), loaded.dynamic))
    shapes = _shapes(model, {"B": batch, "T": steps, "N": steps})
    feeds = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    try:
        expected = _session(model).run(None, feeds)
    except REFUSED as error:
        pytest.skip(f"the original refuses it: {error}")
    found = _session(made).run(None, feeds)
    assert [y.shape for y in found] == [y.shape for y in expected]


def test_inputs_and_outputs_stay_as_open_as_they_were(sample: Sample) -> None:
    model = _model(sample)
    loaded = _loaded(model)
    made = ir.to_proto(released(_woven(loaded, sample), loaded.dynamic))
    for before, after in ((model.graph.input, made.graph.input), (model.graph.output, made.graph.output)):
        assert [value.type for value in before] == [value.type for value in after]


def test_a_shape_in_a_body_names_its_open_axes(sample: Sample) -> None:
    """Where it said nothing, ONNX Runtime would reuse no buffer there."""
    loaded = _loaded(_model(sample))
    made = released(_woven(loaded, sample), loaded.dynamic)
    (body,) = (node.attributes["body"].as_graph() for node in made.graph if node.op_type == "Scan")
    shapes = [value.shape for node in body for value in node.outputs]
    assert shapes and all(shape is not None for shape in shapes)
    dims = {str(dim) for shape in shapes if shape is not None for dim in shape}
    assert any(f",{LENGTH})" in dim for dim in dims)


def test_what_a_body_holds_does_not_grow_with_the_input() -> None:
    sample = SAMPLES["an axis in front"]
    model = _model(sample)
    small = load_open(model, dims={"N": 16})
    large = load_open(model, dims={"N": 1600})
    peaks = []
    for loaded in (small, large):
        graph = derive(_woven(loaded, sample), dynamic=loaded.dynamic).graph
        scan = next(op for op in graph.ops if op.type == "Scan")
        body = scan.subgraphs["body"]
        peaks.append(simulate(replace(body, values={**graph.values, **body.values})).peak_bytes)
    assert peaks[0] == peaks[1] > 0


@pytest.mark.parametrize(("inner", "share"), [("one head after another", 2), ("two rows of a chunk", 2.5)])
def test_a_loop_in_a_loop_holds_a_part_of_a_chunks_scores(inner: str, share: float) -> None:
    sample = SAMPLES["queries, with a mask of their rows"]
    loaded = load_open(_model(sample), dims={"B": 1, "T": 4096})
    peaks = [
        simulate(derive(_woven(loaded, sample, loops), dynamic=loaded.dynamic).graph).peak_bytes
        for loops in (None, INNER[inner])
    ]
    scores = 2 * LENGTH * 4096 * 4
    assert peaks[0] - peaks[1] >= scores - scores / share


@pytest.mark.parametrize("steps", [1500, 1501])
def test_a_plan_is_priced_as_it_is_written(steps: int) -> None:
    """Of 1501 steps in chunks of 500 the last one computes 499 again."""
    sample = SAMPLES["queries, with a mask of their rows"]
    loaded = load_open(_model(sample), dims={"B": 1, "T": steps})
    graph, dynamic, model = loaded.graph, loaded.dynamic, CostModel.load()
    assert dynamic is not None
    region = _region(loaded, sample.stretches[0])
    rules = Rules(graph, range(len(graph.ops)), steady_rules(graph, dynamic))
    planned = PlannedRegion("r", region, Form.SCAN, Chunking(steps, 500), (), 0, 0, 0)
    prices = Seconds(graph, rules, model, fixed=False)
    ((more, _),) = prices.of(region, Form.SCAN, (planned.chunking,))
    written = derive(weave(loaded, Plan((planned,), 0, 1.0, 0.0), rules), dynamic=dynamic).graph
    seconds = sum(model.op_seconds(op, written, written.shape) for op in written.ops)
    assert seconds <= prices.total() + more <= 1.1 * seconds


TWICE = """(float[T,8] x) => (float[T,T] y) <int64 zero = {0}, int64 one = {1}> {
    shape = Shape<start=0, end=1>(x)
    length = Squeeze(shape)
    position = Range(zero, length, one)
    column = Cast<to=1>(position)
    axis = Constant<value_ints=[1]>()
    row = Unsqueeze(column, axis)
    mask = Mul(row, column)
    turned = Transpose<perm=[1,0]>(x)
    scores = MatMul(x, turned)
    first = Mul(scores, mask)
    y = Add(first, mask)
}"""


def test_what_is_repeated_for_readers_costs_the_original_nothing() -> None:
    loaded = load_open(Sample(TWICE, ()).model(), dims={"T": 1024})
    written, model = write_out_open(loaded), CostModel.load()
    assert len(written.graph.ops) > len(loaded.graph.ops)
    once, twice = (
        Seconds(graph, Rules(graph, range(len(graph.ops))), model, fixed=False).total()
        for graph in (loaded.graph, written.graph)
    )
    assert once == pytest.approx(twice, rel=1e-6)


SHIFTED = "(float[B,8] x) => (float[8,B] y) { y = Reshape(x, turned) }"


def test_axes_that_regroup_are_not_taken_for_one() -> None:
    """At B=8 alone `[B, 8] -> [8, B]` keeps its rows."""
    sample = Sample(SHIFTED, (), integers={"turned": [8, -1]})
    loaded = load_open(sample.model(), dims={"B": 8})
    assert loaded.dynamic is not None
    rule = steady_rules(loaded.graph, loaded.dynamic)[0]
    assert all(factor.mark.value == "!" for factor in rule.factors)


TABLE = """(float[B,T] x) => (float[B,T] y) {
    size = Shape<start=1, end=2>(x)
    row = Slice(table, zero, size, zero)
    y = Add(x, row)
}"""


def test_what_does_not_fit_at_every_size_is_left_alone() -> None:
    """A table of 12 positions ends before the longest input that is looked at."""
    sample = Sample(TABLE, (), {"table": (12,)}, {"zero": [0]})
    loaded = load_open(sample.model(), dims={"B": 12, "T": 12})
    assert loaded.dynamic is not None
    rules = steady_rules(loaded.graph, loaded.dynamic)
    assert (
        rules[loaded.graph.producer["y"].index].barrier == "its operands do not fit each other at every size"
    )


@pytest.mark.parametrize("batch", [1, 2])
def test_a_merged_axis_is_no_border_behind_a_batch(batch: int) -> None:
    """At a batch of 1 rows of `[batch*tokens, 8]` could be sliced, at no other."""
    sample = SAMPLES["rows that are merged with the batch inside"]
    loaded = load_open(_model(sample), dims={"B": batch, "T": 16})
    graph, dynamic = loaded.graph, loaded.dynamic
    assert dynamic is not None
    setting, end = make_setting(graph, dynamic=dynamic), graph.producer["y"].index
    found = list(grow(setting, end, Position(1, 1, 16, 1), range(len(graph.ops))))
    borders = {cut.value for region in found for cut in (*region.sliced, *region.outputs)}
    assert borders == {"x", "y", "back"}
