"""Regions whose chunks give parts of a result: when there are any, what they cost, that plans keep them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.body import body_of
from onnx_autochunk.plan.candidates import Candidate
from onnx_autochunk.plan.grow import grow
from onnx_autochunk.plan.plan import Plan
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.plan.recipes import ends
from onnx_autochunk.plan.saved import restore, to_record
from onnx_autochunk.report.build import describe_regions
from tests.emit.accumulating import ACCUMULATING
from tests.emit.regions import outputs_of
from tests.plan.graphs import loaded, planned, results, setting
from tests.plan.test_price import nested
from tests.scripted import PRICES

FORMS = (Form.SCAN, Form.UNROLL)
# Least and most of the price that the model may hold: chunks written out share the model's own memory.
BOUNDS = {Form.SCAN: (0.8, 1.1), Form.UNROLL: (0.7, 1.1)}
FEW = "(float[1,2,4,8] q, float[1,2,8,4001] k, float[1,2,4001,8] v) => (float[1,2,4,8] y)"
SCORES = "s = MatMul(q, k)  p = Softmax(s)"

MODELS = {
    "a sum": (
        "(float[1,20001,4] x) => (float[1,1,4] y) { a = Exp(x)  b = Tanh(a)  y = ReduceSum(b, middle) }"
    ),
    "a contraction": (
        "(float[8,20001] x, float[20001,4] v) => (float[8,4] y) { a = Exp(x)  b = Tanh(a)  y = MatMul(b, v) }"
    ),
    "keys": f"{FEW} {{ {SCORES}  y = MatMul(p, v) }}",
    "keys, scaled and turned back": f"""{FEW} {{
        {SCORES}  pt = Transpose<perm=[0,1,3,2]>(p)  half = Mul(pt, one)
        pb = Transpose<perm=[0,1,3,2]>(half)  y = MatMul(pb, v)
    }}""",
}


def _loaded(text: str) -> Loaded:
    return loaded(text, {"one": (1,)}, middle=[1])


def _planner(source: Loaded, *, searches: bool = True, forms: tuple[Form, ...] = FORMS) -> Planner:
    return make_planner(source.graph, Options(), PRICES, forms, searches=searches)


def _accumulating(planner: Planner) -> list[Candidate]:
    return [candidate for candidate in planner.candidates if candidate.region.accumulator]


def _plan(planner: Planner) -> Plan:
    plan = planner.within(planner.timeline.peak_bytes // 20)
    assert plan is not None
    return plan


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_a_budget_that_slices_of_the_result_cannot_meet_is_met(text: str, form: Form) -> None:
    source = _loaded(text)
    planner = _planner(source, forms=(form,))
    plan = _plan(planner)
    assert [region.region.accumulator is not None for region in plan.regions] == [True]
    before, after = outputs_of(source.model), outputs_of(weave(source, plan))
    np.testing.assert_allclose(after["y"], before["y"], rtol=2e-5, atol=1e-5 * np.abs(before["y"]).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_prices_foretell_what_the_model_holds(text: str, form: Form) -> None:
    source = _loaded(text)
    planner = _planner(source, forms=(form,))
    for candidate in _accumulating(planner):
        for option in (option for option in candidate.options if option.chunking.total < 40):
            plan = Plan((planned(candidate.region, option.form, option.chunking),), 0, 1.0, 0.0)
            held = simulate(derive(weave(source, plan)).graph).peak_bytes
            few = 20_000  # bytes of states and of what ties them, which the price counts to the full
            least, most = BOUNDS[form]
            assert least * option.peak_bytes - few <= held <= most * option.peak_bytes + few


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_a_plan_survives_as_text(text: str) -> None:
    source = _loaded(text)
    planner, unsearched = _planner(source), _planner(source, searches=False)
    plan = _plan(planner)
    record = json.loads(json.dumps(to_record(planner, plan)))
    back = restore(unsearched, FORMS, record)
    assert back == plan
    first, second = (ir.to_proto(weave(source, which)).SerializeToString() for which in (plan, back))
    assert first == second


# What follows the scores, and the ops that join a region cut along the keys.
BEHIND = {
    "y = MatMul(p, v)": "s p y",
    "i = IsNaN(p)  h = Where(i, one, p)  y = MatMul(h, v)": "i h y",
    "i = IsNaN(p)  n = Cast<to=1>(i)  g = Add(p, n)  y = MatMul(g, v)": "i n g y",
    "h = Relu(p)  y = MatMul(h, v)": "h y",  # not linear
    "h = Mul(p, p)  y = MatMul(h, v)": "h y",
    "h = Add(p, one)  y = MatMul(h, v)": "h y",
}


def _reducing(source: Loaded) -> list[set[str]]:
    """What regions that end in the op of `y` compute, along the axis that it reduces."""
    where = setting(source.graph)
    last = source.graph.producer["y"]
    ((operand, seed),) = ends(source.graph, last, where.rules[last.index])
    end = where.rules.step[last.index]
    found = grow(where, end, seed, range(len(where.order)), operand=operand)
    return [results(source.graph, region.ops) for region in found]


@pytest.mark.parametrize(("behind", "ops"), BEHIND.items())
def test_a_softmax_joins_where_what_follows_is_linear(behind: str, ops: str) -> None:
    source = loaded(f"{FEW} {{ {SCORES}  {behind} }}", {"one": (1,)})
    assert max(_reducing(source), key=len) == set(ops.split())


def test_a_softmax_that_somebody_else_reads_stays_whole() -> None:
    head, body = FEW.removesuffix("(float[1,2,4,8] y)"), f"{{ {SCORES}  y = MatMul(p, v)  m = Neg(p) }}"
    source = loaded(f"{head}(float[1,2,4,8] y, float[1,2,4,4001] m) {body}")
    assert _reducing(source) == [{"y"}]


def test_masked_rows_of_the_samples_are_not_numbers() -> None:
    found = outputs_of(ACCUMULATING["keys, some queries seeing none of them"].model())["z"]
    assert 0 < np.isnan(found).all(axis=2).sum() < 10


def test_a_chunk_hands_on_what_it_found_in_the_same_shape_and_type() -> None:
    planner = _planner(_loaded(MODELS["keys"]))
    (candidate,) = _accumulating(planner)
    body = body_of(planner.graph, candidate.region, planner.setting.rules, 100)
    values = body.graph.values
    assert len(body.states) == 3
    for state in body.states:
        found, left = values[state.value], values[state.leaves]
        assert (found.shape, found.dtype) == (left.shape, left.dtype)


def test_the_report_says_along_which_axis_what_is_accumulated() -> None:
    planner = _planner(_loaded(MODELS["keys"]))
    (region,) = describe_regions(planner.graph, _plan(planner))
    assert (region.axis, region.outputs, region.nodes) == ("3 of p, accumulated", ("y",), 3)


NESTED = {
    "a value of each role": """(float[1,64,8] q, float[1,8,509] k, float[1,509,8] v) => (float[1,64,8] z) {
        t = Neg(q)  s = MatMul(t, k)  p = Softmax(s)  y = MatMul(p, v)  z = Neg(y)
    }""",
    "a mask that is made for the rows of the outer loop and the columns of the inner one": """
        (float[1,64,8] q, float[1,8,509] k, float[1,509,8] v, float[1,64,1] r) => (float[1,64,8] z) {
        t = Neg(q)  s = MatMul(t, k)  m = Expand(r, spread)  a = Add(s, m)
        p = Softmax(a)  y = MatMul(p, v)  z = Neg(y)
    }""",
    "one value cut by both loops": """(float[1,509,8] x) => (float[1,509,8] z) {
        s = Einsum<equation = "bik,bjk->bij">(x, x)  p = Softmax(s)  y = MatMul(p, x)  z = Neg(y)
    }""",
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED)
def test_blocks_of_queries_with_the_keys_in_chunks_inside(text: str) -> None:
    source = loaded(text, spread=[1, 64, 509])
    planner = _planner(source)
    expected = outputs_of(source.model)["z"]
    tried = 0
    for candidate in planner.candidates:
        for option in candidate.options:
            if option.nest and any(loop.region.accumulator for loop in option.nest.loops):
                inside = nested(source, candidate.region, option.chunking, option.nest)
                region = replace(planned(candidate.region, option.form, option.chunking), nested=inside)
                found = outputs_of(weave(source, Plan((region,), 0, 1.0, 0.0)))["z"]
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
                tried += 1
    assert tried
