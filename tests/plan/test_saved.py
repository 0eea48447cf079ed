"""Plans as JSON: what is read back is the same plan, for the same model, or a sentence that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.errors import UsageError
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.front import front
from onnx_autochunk.plan.plan import Frames, Plan
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.plan.saved import restore, to_record
from onnx_autochunk.plan.select import Choice, Selection
from tests.plan.graphs import model, transformer
from tests.plan.test_nest import layers

FORMS = (Form.SCAN, Form.SWEEP, Form.UNROLL)

Damage = Callable[[Any], object]


def _planner(loaded: Loaded, *, searches: bool = True, forms: tuple[Form, ...] = FORMS) -> Planner:
    return make_planner(loaded.graph, Options(), CostModel.load("cpu"), forms, searches=searches)


def _plans(planner: Planner) -> list[Plan]:
    plans = (planner.within(point.budget_bytes) for point in front(planner) if point.loops)
    return [plan for plan in plans if plan is not None]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(transformer(2))


@pytest.fixture(scope="module")
def planner(loaded: Loaded) -> Planner:
    return _planner(loaded)


@pytest.fixture(scope="module")
def text(planner: Planner) -> str:
    """A plan whose last region has feeders, as a file holds it."""
    first = planner.candidates[0]
    later = (found for found in planner.candidates if found.start > first.end)
    fed = next(Choice(found, option) for found in later for option in found.options if option.feeds)
    choices = (Choice(first, first.options[0]), fed)
    return json.dumps(to_record(planner, planner.plan_of(Selection(choices, 0, 0.0, 0.0, 0))))


@pytest.fixture(scope="module")
def unsearched(loaded: Loaded) -> Planner:
    return _planner(loaded, searches=False)


@pytest.mark.parametrize("form", [Form.SCAN, Form.UNROLL])
def test_a_plan_survives_as_text(form: Form, loaded: Loaded, unsearched: Planner) -> None:
    planner = _planner(loaded, forms=(form,))
    plans = _plans(planner)
    assert plans and {region.form for plan in plans for region in plan.regions} == {form}
    for plan, frames in zip(plans, [*Frames] * len(plans), strict=False):
        framed = replace(plan, frames=frames)
        back = restore(unsearched, FORMS, json.loads(json.dumps(to_record(planner, framed))))
        assert back == framed
        assert to_record(unsearched, back) == to_record(planner, framed)


def test_both_give_the_same_model(loaded: Loaded, planner: Planner, unsearched: Planner) -> None:
    for plan in _plans(planner):
        back = restore(unsearched, FORMS, to_record(planner, plan))
        first, second = (ir.to_proto(weave(loaded, which)).SerializeToString() for which in (plan, back))
        assert first == second


OTHER_GRAPHS = {
    "windows": """(float[1,16,64,64] x) => (float[1,4,128,128] y) {
        a = Conv<pads=[1,1,1,1]>(x, w1)  b = Relu(a)  c = Conv<pads=[1,1,1,1]>(b, w2)
        y = DepthToSpace<blocksize=2>(c)
    }""",
    "a sweep": """(float[1,512,16] x) => (float[1,512,16] y) {
        p = MatMul(x, u)  h = MatMul(p, d)  a = MatMul(h, u)  b = Erf(a)  c = MatMul(b, d)
        z = Add(h, c)  y = Neg(z)
    }""",
}
WEIGHTS = {"w1": (32, 16, 3, 3), "w2": (16, 32, 3, 3), "u": (16, 256), "d": (256, 16)}


@pytest.mark.parametrize(
    ("name", "form", "varies"), [("windows", Form.UNROLL, True), ("a sweep", Form.SWEEP, False)]
)
def test_other_plans_survive(name: str, form: Form, varies: bool) -> None:
    graph = load(model(OTHER_GRAPHS[name], WEIGHTS))
    planner, unsearched = _planner(graph, forms=(form,)), _planner(graph, searches=False)
    plans = _plans(planner)
    assert (varies, form) in {(loop.region.varies, loop.form) for plan in plans for loop in plan.loops}
    for plan in plans:
        assert restore(unsearched, FORMS, json.loads(json.dumps(to_record(planner, plan)))) == plan


def test_loops_inside_a_loop_survive() -> None:
    source = layers(2)
    planner, unsearched = _planner(source, forms=(Form.SCAN,)), _planner(source, searches=False)
    budgets = sorted({o.peak_bytes for c in planner.candidates for o in c.options if o.nest})
    plans = [plan for budget in budgets if (plan := planner.within(budget))]
    plan = next(plan for plan in plans if any(region.nested for region in plan.regions))
    record: Any = json.loads(json.dumps(to_record(planner, plan)))
    back = restore(unsearched, FORMS, record)
    assert back == plan
    first, second = (ir.to_proto(weave(source, which)).SerializeToString() for which in (plan, back))
    assert first == second
    (inner, *_) = next(region for region in record["regions"] if region["inner"])["inner"]
    inner["length"] = 10_000
    with pytest.raises(UsageError, match=r"regions\[\d\].inner\[0\].length is 10000, which is all of"):
        restore(unsearched, FORMS, record)
    for region in record["regions"]:
        region["form"] = "unroll"
    with pytest.raises(UsageError, match=r"inner holds loops, but the chunks of this region share no body"):
        restore(unsearched, FORMS, record)


def _first(record: Any) -> Any:
    return record["regions"][0]


def _feeder(record: Any) -> Any:
    return next(region for region in record["regions"] if region["feeders"])["feeders"][0]


DAMAGED: dict[str, tuple[Damage, str]] = {
    "no regions": (lambda r: r.update(regions=[]), "holds no regions"),
    "no list": (lambda r: r.update(regions={"a": 1}), "regions is {'a': 1}, not a list"),
    "no object": (lambda r: r["regions"].insert(0, 5), r"regions\[0\] is 5, not an object"),
    "frames": (lambda r: r.update(frames="all"), "frames is 'all', not one of none, regions"),
    "no frames": (lambda r: r.pop("frames"), "frames is missing; the plan is damaged"),
    "predicted": (lambda r: r["predicted"].update(slowdown="1"), "predicted.slowdown is '1', not a number"),
    "form": (lambda r: _first(r).update(form="loop"), r"regions\[0\].form is 'loop', not one of scan, sweep"),
    "length 0": (lambda r: _first(r).update(length=0), r"length is 0, not a whole number of at least 1"),
    "length true": (lambda r: _first(r).update(length=True), "length is True, not a whole number"),
    "length": (lambda r: _first(r).update(length=256), "length is 256, which is all of the 256 steps"),
    "op": (lambda r: _first(r)["ops"].append("nobody"), "names an op that the model lacks: 'nobody'"),
    "number": (lambda r: _first(r)["ops"].append(3), r"ops\[\d+\] is 3, not a text"),
    "no ops": (lambda r: _first(r).update(ops=[]), "do not make up a region"),
    "first": (lambda r: _first(r).update(first="nobody"), "lacks: 'nobody'"),
    "late": (lambda r: _first(r).update(first=_first(r)["ops"][-1]), "some lie outside its interval"),
    "elsewhere": (lambda r: _first(r)["ops"].append("node_y_y"), "lacks|cannot be cut|lie outside|not what"),
    "recomputed": (lambda r: _first(r).update(recomputed=[r["regions"][1]["ops"][0]]), "make up a region"),
    "cut": (lambda r: _first(r)["cut"].update(value="x"), "cut.value is not what the last op gives"),
    "axis": (lambda r: _first(r)["cut"].update(axis=2), "cannot be cut along axis 2 of"),
    "far axis": (lambda r: _first(r)["cut"].update(axis=9), "cannot be cut along axis 9 of"),
    "no axis": (lambda r: _first(r)["cut"].pop("axis"), r"regions\[0\].cut.axis is missing"),
    "extent": (lambda r: _first(r)["cut"].update(extent=3), "cannot be cut"),
    "order": (lambda r: r["regions"].reverse(), "lies in the region before"),
    "twice": (lambda r: r["regions"].insert(0, _first(r)), "lies in the region before"),
    "feeder": (lambda r: _feeder(r).update(ops=["nobody"]), r"feeders\[0\].ops names an op"),
    "feeder elsewhere": (lambda r: _feeder(r).update(ops=_first(r)["ops"][-1:]), "make up a region"),
    "feeders": (lambda r: r["regions"].append(r["regions"].pop() | {"feeders": 1}), "feeders is 1, not a l"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_plan_is_refused_by_the_field(
    damage: Damage, message: str, text: str, unsearched: Planner
) -> None:
    record = json.loads(text)
    damage(record)
    with pytest.raises(UsageError, match=message) as caught:
        restore(unsearched, FORMS, record)
    assert caught.value.exit_code == 2


def test_a_feeder_twice_is_refused(text: str, unsearched: Planner) -> None:
    record = json.loads(text)
    feeders = next(region["feeders"] for region in record["regions"] if region["feeders"])
    feeders.append(feeders[0])
    with pytest.raises(UsageError, match=r"feeders\[\d\].ops are in another feeder already"):
        restore(unsearched, FORMS, record)


def test_without_any_one_op_a_plan_is_refused_or_sound(
    loaded: Loaded, text: str, unsearched: Planner
) -> None:
    """Whatever a file leaves out, no broken model comes of it."""
    refused = 0
    for at in range(len(json.loads(text)["regions"][0]["ops"])):
        record = json.loads(text)
        del record["regions"][0]["ops"][at]
        try:
            plan = restore(unsearched, FORMS, record)
        except UsageError:
            refused += 1
            continue
        onnx.checker.check_model(ir.to_proto(weave(loaded, plan)), full_check=True)
    assert refused


def test_forms_that_the_region_cannot_take_are_refused(planner: Planner, unsearched: Planner) -> None:
    record: Any = to_record(planner, _plans(planner)[-1])
    swept = [region for region in record["regions"] if region["form"] != "sweep"]
    for region in swept:
        region["form"] = "sweep"
    with pytest.raises(UsageError, match="form is 'sweep', not one of scan"):
        restore(unsearched, (Form.SCAN,), record)


def _other_op(proto: onnx.ModelProto) -> onnx.ModelProto:
    node = next(node for node in proto.graph.node if node.op_type == "Erf")
    node.op_type = "Sigmoid"
    return proto


def _other_constant(proto: onnx.ModelProto) -> onnx.ModelProto:
    split = next(tensor for tensor in proto.graph.initializer if tensor.name == "split")
    split.CopyFrom(onnx.helper.make_tensor("split", onnx.TensorProto.INT64, [4], [1, 256, 4, -1]))
    return proto


OTHERS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "longer": (
        lambda: transformer(2, tokens=512),
        r"input 'x' is float32\[1,512,32\] here and float32\[1,256,32\]",
    ),
    "deeper": (lambda: transformer(3), r"there are 24 Add here and 16 there"),
    "another op": (lambda: _other_op(transformer(2)), "there are 1 Erf here and 2 there"),
    "another head": (lambda: transformer(2, heads=8), "names, attributes, shapes or integer constants"),
    "another constant": (lambda: _other_constant(transformer(2)), "integer constants inside differ"),
}


@pytest.mark.parametrize(("other", "message"), OTHERS.values(), ids=OTHERS)
def test_a_plan_for_another_model_is_refused(
    other: Callable[[], onnx.ModelProto], message: str, text: str
) -> None:
    with pytest.raises(UsageError, match=f"the plan is for another model: .*{message}.*leave out --plan"):
        restore(_planner(load(other()), searches=False), FORMS, json.loads(text))


def test_other_weights_are_the_same_model(text: str, planner: Planner) -> None:
    proto = transformer(2)
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(3 * numpy_helper.to_array(tensor), tensor.name))
    plan = restore(_planner(load(proto), searches=False), FORMS, json.loads(text))
    assert to_record(planner, plan) == json.loads(text)
