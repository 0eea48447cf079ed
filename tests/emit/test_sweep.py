"""Chunks that are written where they belong: over what they come from, or into a new buffer."""

from __future__ import annotations

import pytest

from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Form
from onnx_autochunk.plan.feeders import front_of, in_place
from onnx_autochunk.plan.hosts import can_sweep, sweep_hosts
from onnx_autochunk.plan.lifetimes import lifetimes
from onnx_autochunk.plan.price import footprint
from onnx_autochunk.plan.setting import make_setting
from tests.emit.regions import Sample, Stretch, check_close, outputs_of, plan_of, region_of

ROWS, WIDTH = 64, 32
X_BYTES = 4 * ROWS * WIDTH
# `t` has its rows along an axis that is not in front, and nothing of its shape to be written over.
TURNED = Sample(
    f"""(float[{ROWS},{WIDTH}] x) => (float[{WIDTH},{ROWS}] z) {{
        a = Exp(x) m = MatMul(a, w) t = Transpose(m) s = Softmax<axis=0>(t) z = Neg(s) }}""",
    (Stretch("a m t", 1),),
    weights={"w": (WIDTH, WIDTH)},
)


@pytest.mark.parametrize("length", [1, 3, 16])
def test_a_new_buffer_takes_chunks_wherever_their_axis_lies(length: int) -> None:
    loaded = TURNED.loaded()
    assert sweep_hosts(loaded.graph, region_of(loaded, TURNED.stretches[0])) is None
    model = weave(loaded, plan_of(loaded, TURNED.stretches, Form.SWEEP, length))
    check_close(outputs_of(model)["z"], outputs_of(loaded.model)["z"])


def test_chunks_run_one_after_the_other_into_it() -> None:
    loaded = TURNED.loaded()
    model = weave(loaded, plan_of(loaded, TURNED.stretches, Form.SWEEP, 4))
    live = simulate(derive(model).graph, reuse=False).live_bytes
    assert max(live[:-2]) <= 1.6 * X_BYTES  # the last two are the ops behind it


def test_results_of_the_graph_are_not_filled_in() -> None:
    loaded = Sample(
        f"(float[{ROWS},{WIDTH}] x) => (float[{WIDTH},{ROWS}] t) {{ a = Exp(x) t = Transpose(a) }}",
        (Stretch("a t", 1),),
    ).loaded()
    assert not can_sweep(loaded.graph, region_of(loaded, Stretch("a t", 1)))


# Triangle multiplication: the product of rows with all rows, which is added to them.
TRIANGLE = Sample(
    f"""(float[{ROWS},{ROWS},{WIDTH}] x) => (float[{ROWS},{ROWS},{WIDTH}] y) {{
        z = CumSum(x, zero)
        a = MatMul(z, wa) b = MatMul(z, wb)
        l = Transpose<perm=[2,0,1]>(a) r = Transpose<perm=[2,1,0]>(b)
        p = MatMul(l, r) t = Transpose<perm=[1,2,0]>(p) u = Add(z, t)
        y = CumSum(u, zero)
    }}""",
    (Stretch("a l p t u", 0),),
    weights={"wa": (WIDTH, WIDTH), "wb": (WIDTH, WIDTH)},
    integers={"zero": [0]},
)


def test_loops_in_front_are_written_in_place_where_a_scan_would_turn_their_result() -> None:
    loaded = TRIANGLE.loaded()
    region, setting = region_of(loaded, TRIANGLE.stretches[0]), make_setting(loaded.graph)
    front = front_of(setting, region, tuple(Form))
    assert front is not None and front.forms == (Form.SCAN,)
    other = in_place(loaded.graph, front, tuple(Form))
    assert other is not None and other.forms == (Form.SWEEP,)
    assert in_place(loaded.graph, front, (Form.SCAN, Form.UNROLL)) is None
    assert in_place(loaded.graph, other, tuple(Form)) is None


def test_what_is_written_over_its_host_is_not_held_twice() -> None:
    loaded, whole = TRIANGLE.loaded(), 4 * ROWS * ROWS * WIDTH
    graph, region = loaded.graph, region_of(loaded, TRIANGLE.stretches[0])
    around = lifetimes(graph, tuple(range(len(graph.ops))))
    held = {form: footprint(graph, region, form, around, "cpu").loop for form in (Form.SCAN, Form.SWEEP)}
    assert held == {Form.SCAN: 3 * whole, Form.SWEEP: 2 * whole}


def test_the_same_is_computed() -> None:
    loaded = TRIANGLE.loaded()
    model = weave(loaded, plan_of(loaded, TRIANGLE.stretches, Form.SWEEP, 8))
    check_close(outputs_of(model)["y"], outputs_of(loaded.model)["y"])
