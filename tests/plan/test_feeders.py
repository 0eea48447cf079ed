"""What runs in front of a loop is cut into chunks itself."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnx_autochunk.axes import Position
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Form
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.feeders import front_of
from onnx_autochunk.plan.lifetimes import lifetimes
from onnx_autochunk.plan.plan import Plan, PlannedRegion
from onnx_autochunk.plan.price import footprint
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.setting import Setting, make_setting
from tests.emit.regions import Sample, Stretch, check_close, outputs_of, region_of

ROWS, WIDTH = 24, 8
FORMS = (Form.SCAN, Form.UNROLL)
ATTENTION = Sample(
    f"""(float[1,{ROWS},{WIDTH}] x) => (float[1,{ROWS},{WIDTH}] z) {{
        t = Relu(x)  n = LayerNormalization(t, g)
        k = MatMul(n, wk)  e = Exp(k)  turned = Transpose<perm=[0,2,1]>(e)  v = MatMul(n, wv)
        q = MatMul(n, wq)  score = MatMul(q, turned)  soft = Softmax(score)  mix = MatMul(soft, v)
        y = Add(t, mix)  z = Neg(y)
    }}""",
    (Stretch("n q score soft mix y", 1),),
    weights={"g": (WIDTH,), **dict.fromkeys(("wk", "wv", "wq"), (WIDTH, WIDTH))},
)


def setting_of(loaded: Loaded) -> Setting:
    return make_setting(loaded.graph)


def names(loaded: Loaded, ops: tuple[int, ...] | frozenset[int]) -> str:
    return " ".join(loaded.graph.ops[index].outputs[0] for index in sorted(ops))


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return ATTENTION.loaded()


@pytest.fixture(scope="module")
def region(loaded: Loaded) -> Region:
    return region_of(loaded, ATTENTION.stretches[0])


def test_what_is_needed_whole_is_fed_in_chunks_and_what_is_cheap_never_exists_whole(
    loaded: Loaded, region: Region
) -> None:
    assert names(loaded, region.hoisted) == "n k e turned v"
    front = front_of(setting_of(loaded), region, FORMS)
    assert front is not None
    assert [names(loaded, feeder.ops) for feeder in front.feeders] == ["n k e turned", "n v"]
    assert [names(loaded, feeder.recomputed) for feeder in front.feeders] == ["n", "n"]
    assert [feeder.outputs[0].position for feeder in front.feeders] == [
        Position(2, 1, ROWS, 1),
        Position(1, 1, ROWS, 1),
    ]
    assert front.forms == (Form.SCAN, Form.SCAN)
    assert (front.plain, names(loaded, front.spared)) == ((), "n")


def test_feeders_take_the_forms_there_are(loaded: Loaded, region: Region) -> None:
    written = front_of(setting_of(loaded), region, [Form.UNROLL])
    assert written is not None and written.forms == (Form.UNROLL, Form.UNROLL)
    assert front_of(setting_of(loaded), region, [Form.SWEEP]) is None


def test_nothing_to_feed() -> None:
    sample = Sample(
        "(float[12,8] x) => (float[12,8] z) { t = Relu(x)  a = MatMul(t, w)  y = Add(t, a)  z = Neg(y) }",
        (Stretch("a y", 0),),
        weights={"w": (8, 8)},
    )
    loaded = sample.loaded()
    assert front_of(setting_of(loaded), region_of(loaded, sample.stretches[0]), FORMS) is None


@pytest.mark.parametrize("length", [1, 5, 7, 12])
@pytest.mark.parametrize("form", [Form.SCAN, Form.UNROLL, Form.SWEEP])
def test_a_region_with_feeders_computes_the_same(
    loaded: Loaded, region: Region, form: Form, length: int
) -> None:
    front = front_of(setting_of(loaded), region, FORMS)
    assert front is not None
    feeders = tuple(
        PlannedRegion(f"f{at}", feeder, Form.SCAN, Chunking(ROWS, length + 1), (), 0, 0, 0)
        for at, feeder in enumerate(front.feeders)
    )
    planned = PlannedRegion("r", region, form, Chunking(ROWS, length), region.hoisted, 0, 0, 0, feeders)
    model = weave(loaded, Plan((planned,), 0, 1.0, 0.0))
    expected, found = outputs_of(ATTENTION.model()), outputs_of(model)
    check_close(found["z"], expected["z"])
    alone = [node.op_type for node in model.graph if not str(node.name).startswith("chunk/")]
    assert "LayerNormalization" not in alone


def test_what_is_dear_runs_in_one_feeder_only() -> None:
    sample = Sample(
        f"""(float[1,{ROWS},{WIDTH}] x) => (float[1,{ROWS},{WIDTH}] z) {{
            t = Relu(x)  a = Abs(t)  n = LayerNormalization(a, g)  qkv = MatMul(n, w)
            q, k, v = Split<axis=2, num_outputs=3>(qkv)
            turned = Transpose<perm=[0,2,1]>(k)  ev = Erf(v)
            score = MatMul(q, turned)  soft = Softmax(score)  mix = MatMul(soft, ev)
            y = Add(a, mix)  z = Neg(y)
        }}""",
        (Stretch("a score soft mix y", 1),),
        weights={"g": (WIDTH,), "w": (WIDTH, 3 * WIDTH)},
    )
    loaded = sample.loaded()
    region = region_of(loaded, sample.stretches[0])
    front = front_of(setting_of(loaded), region, FORMS)
    assert front is not None
    runs = [index for feeder in front.feeders for index in feeder.ops if index not in feeder.recomputed]
    assert len(runs) == len(set(runs))
    feeders = tuple(
        PlannedRegion(f"f{at}", feeder, Form.SCAN, Chunking(ROWS, 5), (), 0, 0, 0)
        for at, feeder in enumerate(front.feeders)
    )
    planned = PlannedRegion("r", region, Form.SCAN, Chunking(ROWS, 5), region.hoisted, 0, 0, 0, feeders)
    model = weave(loaded, Plan((planned,), 0, 1.0, 0.0))
    check_close(outputs_of(model)["z"], outputs_of(sample.model())["z"])


WIDE = Stretch("q score soft mix y", 1)


def wide() -> Loaded:
    """Attention whose keys pass through something wide."""
    rows, width, inner = 512, 64, 1024
    return Sample(
        f"""(float[1,{rows},{width}] x) => (float[1,{rows},{width}] z) {{
            t = Relu(x)  q = MatMul(t, wq)  k = MatMul(t, wk)  ek = Erf(k)  sk = Mul(ek, k)
            ks = MatMul(sk, uk)  turned = Transpose<perm=[0,2,1]>(ks)
            score = MatMul(q, turned)  soft = Softmax(score)  mix = MatMul(soft, t)
            y = Add(t, mix)  z = Neg(y)
        }}""",
        (),
        weights={"wk": (width, inner), "uk": (inner, width), "wq": (width, width)},
    ).loaded()


@pytest.mark.parametrize("length", [16, 64])
def test_the_price_is_what_the_emitted_model_takes(length: int) -> None:
    loaded = wide()
    setting = setting_of(loaded)
    region = region_of(loaded, WIDE)
    front = front_of(setting, region, FORMS)
    assert front is not None
    around = lifetimes(loaded.graph, setting.order)
    cost = footprint(loaded.graph, region, Form.SCAN, around, "cpu", front=front)
    feeders = tuple(
        PlannedRegion(f"f{at}", feeder, Form.SCAN, Chunking(feeder.extent, length), (), 0, 0, 0)
        for at, feeder in enumerate(front.feeders)
    )
    chunking = Chunking(region.extent, length)
    planned = PlannedRegion("r", region, Form.SCAN, chunking, region.hoisted, 0, 0, 0, feeders)
    model = weave(loaded, Plan((planned,), 0, 1.0, 0.0))
    predicted = max(cost.peak_bytes(length), *(cost.feeder_bytes(at, length) for at in range(len(feeders))))
    assert simulate(derive(model).graph).peak_bytes == pytest.approx(predicted, rel=0.05)
    expected, found = outputs_of(ir.to_proto(loaded.model)), outputs_of(model)
    np.testing.assert_allclose(found["z"], expected["z"], rtol=1e-4, atol=1e-4)
