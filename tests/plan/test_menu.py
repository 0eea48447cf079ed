"""Every way to write a region that some budget or limit can ask for is on its menu."""

from __future__ import annotations

from math import inf

from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.plan import Burden
from onnx_autochunk.plan.planner import make_planner
from tests.plan.graphs import loaded
from tests.scripted import PRICES

FORMS = (Form.SCAN, Form.UNROLL, Form.SWEEP)


def test_feeders_are_lighter_where_the_fastest_break_the_limit() -> None:
    """Two triangle multiplications, which read their right edges whole and along the last axis.

    Loops that write those in place are copied for each chunk, and fastest in many chunks.
    """
    edges, width = "float[512,512,128]", 128
    layers = " ".join(
        f"n{at} = LayerNormalization({x}, g) left{at} = MatMul(n{at}, wl) linear{at} = MatMul(n{at}, wr) "
        f"gate{at} = Sigmoid(linear{at}) right{at} = Mul(gate{at}, linear{at}) "
        f"a{at} = Transpose<perm=[2,0,1]>(left{at}) b{at} = Transpose<perm=[2,1,0]>(right{at}) "
        f"ab{at} = MatMul(a{at}, b{at}) t{at} = Transpose<perm=[1,2,0]>(ab{at}) "
        f"o{at} = MatMul(t{at}, wo) y{at} = Add({x}, o{at})"
        for at, x in enumerate(("x0", "y0"))
    )
    weights = {"g": (width,), **dict.fromkeys(("wl", "wr", "wo"), (width, width))}
    source = loaded(f"({edges} x) => ({edges} z) {{ x0 = Neg(x) {layers} z = Neg(y1) }}", weights)
    planner = make_planner(source.graph, Options(), PRICES, FORMS)
    budget = int(1.2 * planner.floor_bytes)
    fastest = planner.within(budget, Burden(inf, inf))
    assert fastest is not None
    assert any(feeder.form is Form.SWEEP for region in fastest.regions for feeder in region.feeders)
    lighter = planner.within(budget, Burden(inf, 0.7 * fastest.resident_bytes))
    assert lighter is not None
    assert lighter.predicted_slowdown < 1.1 * fastest.predicted_slowdown
