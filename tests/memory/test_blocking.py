"""Convolutions in the blocked channel layout: what runs, and its peak, predicted on the raw graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.lifetime import simulate
from tests.memory import ort_truth
from tests.memory.cases import model, with_weights

X = "float[1,32,256,256]"
W = "float[32,32,3,3]"
PAD = "pads=[1,1,1,1]"

# A signature, nodes, and the names of the weights.
CASES = {
    "few_channels_out": (
        f"({X} x, float[3,32,3,3] w) => (float[1,3,256,256] y)",
        f"a = Exp(x) b = Conv<{PAD}>(a, w) y = Exp(b)",
        "w",
    ),
    "few_channels_in": (
        f"(float[1,3,256,256] x, float[32,3,3,3] w) => ({X} y)",
        f"a = Exp(x) b = Conv<{PAD}>(a, w) y = Exp(b)",
        "w",
    ),
    "channels_in_parts_of_a_block": (
        "(float[1,24,256,256] x, float[32,24,3,3] w) => (float[1,32,256,256] y)",
        f"a = Exp(x) b = Conv<{PAD}>(a, w) y = Exp(b)",
        "w",
    ),
    "channels_in_no_parts_of_a_block": (
        "(float[1,18,256,256] x, float[32,18,3,3] w) => (float[1,32,256,256] y)",
        f"a = Exp(x) b = Conv<{PAD}>(a, w) y = Exp(b)",
        "w",
    ),
    "pool_of_odd_channels": (
        "(float[1,24,512,512] x) => (float[1,24,256,256] y)",
        "a = Exp(x) b = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a) y = Exp(b)",
        "",
    ),
    "activations_that_join_and_stay": (
        f"({X} x, {W} w, {W} v, {W} u) => ({X} y)",
        f"""a = Conv<{PAD}>(x, w) b = Gelu(a) c = Conv<{PAD}>(b, v) d = Clip(c) e = Conv<{PAD}>(d, u)
        f = Add(e, b) g = LeakyRelu(f) y = Exp(g)""",
        "w v u",
    ),
    "upsampled_linearly": (
        f"({X} x, {W} w, {W} v) => (float[1,32,512,512] y)",
        f"""s = Constant<value=float[4] {{1.0,1.0,2.0,2.0}}>() a = Conv<{PAD}>(x, w)
        b = Resize<mode="linear">(a, , s) c = Conv<{PAD}>(b, v) y = Exp(c)""",
        "w v",
    ),
    "chain": (
        f"({X} x, {W} w, {W} v) => ({X} y)",
        f"a = Exp(x) b = Conv<{PAD}>(a, w) c = Relu(b) d = Conv<{PAD}>(c, v) e = Sigmoid(d) y = Exp(e)",
        "w v",
    ),
    "residual": (
        f"({X} x, {W} w, {W} v, {W} u) => ({X} y)",
        f"""a = Conv<{PAD}>(x, u) b = Conv<{PAD}>(a, w) c = Relu(b) d = Conv<{PAD}>(c, v) e = Add(a, d)
        f = Relu(e) y = Exp(f)""",
        "w v u",
    ),
    "residual_from_outside": (
        f"({X} x, {W} w) => ({X} y)",
        f"a = Exp(x) b = Conv<{PAD}>(a, w) c = Add(a, b) y = Exp(c)",
        "w",
    ),
    "gate": (
        f"({X} x, {W} w, {W} v) => ({X} y)",
        f"a = Conv<{PAD}>(x, w) b = Conv<{PAD}>(x, v) c = Mul(a, b) y = Exp(c)",
        "w v",
    ),
    "concat_and_pool": (
        f"({X} x, {W} w, {W} v) => (float[1,64,128,128] y)",
        f"""a = Conv<{PAD}>(x, w) b = Conv<{PAD}>(x, v) c = Concat<axis=1>(a, b)
        d = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c) y = Exp(d)""",
        "w v",
    ),
    "upsampled": (
        f"({X} x, {W} w, {W} v) => (float[1,32,512,512] y)",
        f"""s = Constant<value=float[4] {{1.0,1.0,2.0,2.0}}>() a = Conv<{PAD}>(x, w)
        b = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(a, , s)
        c = Conv<{PAD}>(b, v) y = Exp(c)""",
        "w v",
    ),
    "by_channel": (
        f"({X} x, float[32,1,3,3] w) => ({X} y)",
        f"a = Exp(x) b = Conv<{PAD}, group=32>(a, w) c = Clip(b) y = Exp(c)",
        "w",
    ),
    "both_layouts_are_read": (
        f"({X} x, {W} w, {W} v) => ({X} y)",
        f"a = Conv<{PAD}>(x, w) b = Conv<{PAD}>(a, v) c = Exp(b) d = Exp(a) y = Add(c, d)",
        "w v",
    ),
    "result_of_the_run": (
        f"({X} x, {W} w, {W} v) => ({X} b, {X} y)",
        f"a = Exp(x) b = Conv<{PAD}>(a, w) y = Conv<{PAD}>(b, v)",
        "w v",
    ),
    "slices_around": (
        f"({X} x, {W} w, float[3,32,3,3] v) => (float[1,3,256,256] y)",
        f"""i = Constant<value=int64[1] {{0}}>() j = Constant<value=int64[1] {{129}}>()
        k = Constant<value=int64[1] {{127}}>() l = Constant<value=int64[1] {{256}}>()
        h = Constant<value=int64[1] {{2}}>() a = Exp(x)
        b = Slice(a, i, j, h) c = Conv<{PAD}>(b, w) d = Relu(c) e = Conv<{PAD}>(d, v)
        k1 = Constant<value=int64[1] {{128}}>() n = Constant<value=int64[1] {{1}}>() f = Slice(e, i, k1, h)
        b2 = Slice(a, k, l, h) c2 = Conv<{PAD}>(b2, w) d2 = Relu(c2) e2 = Conv<{PAD}>(d2, v)
        f2 = Slice(e2, n, j, h) y = Concat<axis=2>(f, f2)""",
        "w v",
    ),
    "weight_outside_the_body": (
        f"(float[2,1,32,256,256] x, {W} w) => (float[2,1,32,256,256] y)",
        f"""a = Exp(x) y = Scan<num_scan_inputs=1, body = b ({X} i) => ({X} o) <{X} p>
        {{ p = Conv<{PAD}>(i, w) o = Exp(p) }}>(a)""",
        "w",
    ),
}
MODELS = {name: with_weights(model(sig, nodes, 20), weights) for name, (sig, nodes, weights) in CASES.items()}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, int]]:
    return ort_truth.optimized_runs(MODELS, tmp_path_factory.mktemp("blocked"))


@pytest.mark.parametrize("name", CASES)
def test_what_runs_is_what_ort_made(name: str, measured: Mapping[str, tuple[Path, int]]) -> None:
    ran, made = ort_truth.op_counts(MODELS[name], measured[name][0])
    assert ran == made


@pytest.mark.parametrize("name", CASES)
def test_peak_predicted_from_the_raw_graph(name: str, measured: Mapping[str, tuple[Path, int]]) -> None:
    assert simulate(load(MODELS[name]).graph).peak_bytes == pytest.approx(measured[name][1], rel=0.03)
