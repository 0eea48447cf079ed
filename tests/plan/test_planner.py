"""Plans keep to what the options allow, and to budgets and time ratios."""

from __future__ import annotations

import re
from itertools import pairwise

import onnx.parser
import pytest

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.model import Origin
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.moved import materialise
from onnx_autochunk.plan.plan import Burden, Plan
from onnx_autochunk.plan.planner import Planner, make_planner
from tests.plan.graphs import loaded, transformer

SOURCE = load(transformer(4))
FORMS = (Form.SCAN, Form.UNROLL)


def planner(options: Options | None = None, forms: tuple[Form, ...] = FORMS) -> Planner:
    return make_planner(SOURCE.graph, options or Options(), CostModel.load(), forms)


def plans(of: Planner) -> list[Plan]:
    """Plans over all budgets from the floor to the unchunked peak."""
    floor, peak = of.floor_bytes, of.timeline.peak_bytes
    budgets = [floor + (peak - floor) * share // 8 for share in range(9)]
    found = [plan for budget in budgets if (plan := of.within(budget)) is not None]
    assert len(found) >= 7  # close to the floor, chunks that are written out may take too much to load
    return found


def chunked(of: Planner) -> set[str]:
    """Names of the ops that some plan may run in chunks."""
    regions = (materialise(candidate, of.setting) for candidate in of.candidates)
    return {of.graph.ops[index].name for region in regions for index in region.ops}


def of_layer(number: int) -> str:
    """A regular expression for the nodes of one layer, which are named by their place."""
    graph = SOURCE.graph
    inside = [op.name for op in graph.ops if op.outputs[0].startswith(f"l{number}_")]
    return f"^({'|'.join(map(re.escape, inside))})$"


# Options, and for each layer whether its nodes may be chunked.
CHOSEN: dict[str, tuple[Options, tuple[bool, bool, bool, bool]]] = {
    "everything": (Options(), (True, True, True, True)),
    "include": (Options(include=of_layer(1)), (False, True, False, False)),
    "exclude": (Options(exclude=of_layer(2)), (True, True, False, True)),
    "exclude from what is included": (
        Options(include=f"{of_layer(1)}|{of_layer(2)}", exclude=of_layer(1)),
        (False, False, True, False),
    ),
}


@pytest.mark.parametrize(("options", "allowed"), CHOSEN.values(), ids=CHOSEN)
def test_only_nodes_asked_for_are_chunked(options: Options, allowed: tuple[bool, ...]) -> None:
    found = chunked(planner(options))
    assert tuple(any(re.search(of_layer(n), name) for name in found) for n in range(4)) == allowed


def test_excluding_everything_leaves_nothing_to_choose() -> None:
    of = planner(Options(exclude="."))
    assert of.candidates == () and of.floor_bytes == of.timeline.peak_bytes
    plan = of.within(of.floor_bytes)
    assert plan is not None and plan.regions == ()
    assert of.within(of.floor_bytes - 1) is None


@pytest.mark.parametrize("most", [2, 7, 64])
def test_no_region_has_more_chunks_than_allowed(most: int) -> None:
    of = planner(Options(max_chunks=most))
    found = [region.chunking.total for plan in plans(of) for region in plan.regions]
    assert found and max(found) <= most


@pytest.mark.parametrize("form", FORMS)
def test_only_forms_asked_for_are_used(form: Form) -> None:
    found = {region.form for plan in plans(planner(forms=(form,))) for region in plan.loops}
    assert found == {form}


def test_budgets_are_kept_and_more_memory_never_costs_more_time() -> None:
    of = planner()
    found = plans(of)
    for plan in found:
        assert all(region.peak_after_bytes <= plan.budget_bytes for region in plan.regions)
        assert plan.burden.within(of.limit)
    assert all(a.predicted_slowdown >= b.predicted_slowdown - 1e-9 for a, b in pairwise(found))
    assert of.within(of.floor_bytes - 1) is None


def test_what_fits_is_left_alone_unless_chunking_is_faster() -> None:
    of = planner()
    plan = of.within(of.timeline.peak_bytes)
    assert plan is not None and plan.predicted_slowdown <= 1


def test_regions_are_disjoint_and_in_order() -> None:
    for plan in plans(planner()):
        assert all(a.region.end < b.region.start for a, b in pairwise(plan.regions))
        assert len({region.name for region in plan.regions}) == len(plan.regions)
        inside = [i for r in plan.regions for i in (*r.alongside, *set(r.region.ops) - r.region.recomputed)]
        assert len(inside) == len(set(inside))


@pytest.mark.parametrize("slowdown", [1.0, 1.05, 1.5, 10.0])
def test_time_ratios_are_kept(slowdown: float) -> None:
    of = planner()
    plan = of.least(slowdown)
    if plan is None:
        assert all(found.predicted_slowdown > slowdown for found in plans(of))
    else:
        assert plan.predicted_slowdown <= slowdown + 1e-9


def test_enough_time_reaches_the_floor() -> None:
    of = planner()
    plan = of.least(1e6)
    assert plan is not None and plan.budget_bytes == of.floor_bytes


def test_loading_time_is_limited() -> None:
    quick = planner(Options(max_load_s=0.0), (Form.UNROLL,))
    plan = quick.within(quick.floor_bytes)
    assert plan is None or plan.load_seconds == 0.0


@pytest.mark.parametrize("form", FORMS)
def test_only_what_is_written_out_again_is_a_burden(form: Form) -> None:
    of = planner(Options(max_load_s=1e9), (form,))
    copied = 0
    for plan in plans(of):
        copies = [
            r.chunking.total - 1 if form is Form.UNROLL else bool(r.chunking.tail) for r in plan.regions
        ]
        copied += sum(copies)
        assert (plan.load_seconds > 0) == any(copies)
        assert (plan.resident_bytes > 0) == (bool(plan.regions) if form is Form.SCAN else any(copies))
    assert copied


@pytest.mark.parametrize("limit_bytes", [10**9, 10**7, 10**6])
@pytest.mark.parametrize("forms", [(Form.UNROLL,), FORMS])
def test_resident_memory_is_limited(limit_bytes: int, forms: tuple[Form, ...]) -> None:
    of = planner(forms=forms)
    limit = Burden(1e9, limit_bytes)
    budgets = (of.floor_bytes, 2 * of.floor_bytes, of.timeline.peak_bytes // 2)
    found = [of.within(budget, limit) for budget in budgets] + [of.least(1.5, limit), of.mildest(limit)]
    assert all(plan is None or plan.resident_bytes <= limit_bytes for plan in found)
    assert limit_bytes < 10**7 or any(found)


def test_the_limit_on_resident_memory_follows_the_weights() -> None:
    of = planner()
    weights = sum(value.nbytes for value in of.graph.values.values() if value.origin is Origin.CONSTANT)
    assert of.limit == Burden(of.options.max_load_s, max(64 * 2**20, 0.1 * weights))


def test_the_mildest_plan_is_the_fastest_that_saves_something() -> None:
    of = planner()
    mildest = of.mildest()
    assert mildest is not None and mildest.regions
    assert mildest.budget_bytes < of.timeline.peak_bytes
    below = [plan for plan in plans(of) if plan.budget_bytes <= mildest.budget_bytes]
    assert below and all(mildest.predicted_slowdown <= plan.predicted_slowdown + 1e-9 for plan in below)


def test_plans_are_the_same_every_time() -> None:
    one, other = planner(), planner()
    for budget in (one.floor_bytes, one.timeline.peak_bytes // 2):
        assert one.within(budget) == other.within(budget)
    assert one.least(1.2) == other.least(1.2)


def test_groups_hold_every_region_once() -> None:
    for plan in plans(planner()):
        assert tuple(region for group in plan.groups for region in group) == plan.regions


def test_a_graph_without_a_peak_has_an_empty_plan() -> None:
    graph = loaded("(float[4] x) => (float[4] y) { y = Neg(x) }").graph
    of = make_planner(graph, Options(), CostModel.load(), FORMS)
    plan = of.within(of.floor_bytes)
    assert plan is not None and plan.regions == ()


def test_what_is_small_beside_the_original_is_chunked_where_it_makes_the_floor() -> None:
    """An MLP that holds 1.4 % of what the attention scores do, and three times what chunks of them leave."""
    text = """(float[1,4096,8] x) => (float[1,4096,8] y) {
        t = Transpose<perm=[0,2,1]>(x) scores = MatMul(x, t) probs = Softmax(scores) a = MatMul(probs, x)
        b = Softmax<axis=1>(a) up = MatMul(b, wu) act = Gelu(up) down = MatMul(act, wd) y = Add(b, down) }"""
    graph = loaded(text, {"wu": (8, 24), "wd": (24, 8)}).graph
    of = make_planner(graph, Options(), CostModel.load(), FORMS)
    assert max(of.timeline.live_bytes[5:]) < 0.015 * of.timeline.peak_bytes
    assert of.floor_bytes < 0.005 * of.timeline.peak_bytes


ATTENTION = {
    "all scores": ("Attention<q_num_heads=4, kv_num_heads=4>(q, k, v)", True),
    "causal, all scores": ("Attention<q_num_heads=4, kv_num_heads=4, is_causal=1>(q, k, v)", True),
    "block by block": ("com.microsoft.MultiHeadAttention<num_heads=4>(q, k, v)", False),
    "a bias, all scores": ("com.microsoft.MultiHeadAttention<num_heads=4>(q, k, v, , , b)", True),
}


@pytest.mark.parametrize(("call", "is_chunked"), ATTENTION.values(), ids=ATTENTION)
def test_a_kernel_that_is_linear_in_memory_is_left_alone(call: str, is_chunked: bool) -> None:
    _check_one(call, is_chunked, "float", 2048, "cpu")


ON_CUDA = {
    "flash": ("float16", 2048, "Attention<q_num_heads=4, kv_num_heads=4>(q, k, v)", False),
    "efficient": ("float", 2048, "Attention<q_num_heads=4, kv_num_heads=4>(q, k, v)", False),
    "odd heads": ("float16", 2048, "Attention<q_num_heads=16, kv_num_heads=16>(q, k, v)", True),
    "causal, odd heads": (
        "float16", 2048, "Attention<q_num_heads=16, kv_num_heads=16, is_causal=1>(q, k, v)", True,
    ),
    "a mask": ("float16", 2048, "Attention<q_num_heads=4, kv_num_heads=4>(q, k, v, m)", False),
    "an uneven mask": ("float16", 2046, "Attention<q_num_heads=4, kv_num_heads=4>(q, k, v, m)", True),
    "fused": ("float16", 2048, "com.microsoft.MultiHeadAttention<num_heads=4>(q, k, v)", False),
    "fused, padding": ("float16", 2048, "com.microsoft.MultiHeadAttention<num_heads=4>(q, k, v, , p)", True),
}  # fmt: skip


@pytest.mark.parametrize(("dtype", "tokens", "call", "is_chunked"), ON_CUDA.values(), ids=ON_CUDA)
def test_so_it_is_on_cuda(dtype: str, tokens: int, call: str, is_chunked: bool) -> None:
    _check_one(call, is_chunked, dtype, tokens, "cuda")


def _check_one(call: str, is_chunked: bool, dtype: str, tokens: int, provider: str) -> None:
    """A graph of one op, whose own temporaries make the peak."""
    operands = ", ".join(f"{dtype}[1,{tokens},64] {name}" for name in "qkv")
    text = f"""<ir_version: 10, opset_import: ["": 24, "com.microsoft": 1]>
        g ({operands}, {dtype}[1,4,{tokens},{tokens}] b, {dtype}[{tokens},{tokens}] m, int32[1,{tokens}] p)
        => ({dtype}[1,{tokens},64] y) {{ y = {call} }}"""
    graph = load(onnx.parser.parse_model(text)).graph
    found = make_planner(graph, Options(provider=provider), CostModel.load(provider), FORMS)
    assert bool(found.candidates) is is_chunked
    assert not is_chunked or found.floor_bytes < 0.05 * found.timeline.peak_bytes
