"""What ONNX Runtime makes of a graph before it runs it: predicted on the raw graph, and read from its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.model import Op
from onnx_autochunk.memory.blocked import with_blocked_shapes
from onnx_autochunk.memory.fused import ops_as_run
from onnx_autochunk.memory.lifetime import simulate
from tests.memory import ort_truth
from tests.memory.cases import model, with_weights

MLP = "(float[1,4096,256] x, float[256,2048] u, float[2048] b, float[2048,256] d) => (float[1,4096,256] y)"
HALF = "h = Constant<value = float {0.5}>() one = Constant<value = float {1.0}>()"
HEADS = "float[1,8,1024,64]"

# A signature, nodes, names of the weights, and the types of the ops that run.
RUNS = {
    "matmul_add": (
        MLP,
        "e = Exp(x) a = MatMul(e, u) c = Add(a, b) r = Relu(c) z = MatMul(r, d) y = Exp(z)",
        "u b d",
        "Exp Gemm Relu MatMul Exp",
    ),
    "gelu_erf": (
        MLP,
        f"""{HALF} s = Constant<value = float {{1.41421356}}>() e = Exp(x) a = MatMul(e, u) i = Div(a, s)
        j = Erf(i) k = Add(j, one) l = Mul(a, k) g = Mul(l, h) z = MatMul(g, d) y = Exp(z)""",
        "u b d",
        "Exp MatMul Gelu MatMul Exp",
    ),
    "gelu_tanh": (
        MLP,
        f"""{HALF} s = Constant<value = float {{0.044715}}>() t = Constant<value = float {{0.7978845608}}>()
        three = Constant<value = float {{3.0}}>() e = Exp(x) a0 = MatMul(e, u) a = Add(a0, b)
        p = Pow(a, three) q = Mul(p, s) i = Add(a, q) i2 = Mul(i, t) j = Tanh(i2) k = Add(j, one)
        l = Mul(a, h) g = Mul(l, k) z = MatMul(g, d) y = Exp(z)""",
        "u b d",
        "Exp Gemm Gelu MatMul Exp",
    ),
    "silu": (
        MLP,
        "e = Exp(x) a = MatMul(e, u) s = Sigmoid(a) g = Mul(a, s) z = MatMul(g, d) y = Exp(z)",
        "u b d",
        "Exp MatMul QuickGelu MatMul Exp",
    ),
    "gate_is_no_silu": (
        MLP,
        """e = Exp(x) a = MatMul(e, u) c = MatMul(x, u) s = Sigmoid(a) g = Mul(c, s) z = MatMul(g, d)
        y = Exp(z)""",
        "u b d",
        "Exp MatMul MatMul Sigmoid Mul MatMul Exp",
    ),
    "scaled_scores_and_static_mask": (
        f"({HEADS} q, float[1,8,64,1024] k, {HEADS} v, float[1024,1024] w) => ({HEADS} y)",
        """s = Constant<value = float {0.125}>() a = MatMul(q, k) c = Mul(a, s) m = Abs(w) n = Exp(m)
        f = Add(c, n) p = Softmax(f) o = MatMul(p, v) y = Exp(o)""",
        "w",
        "FusedMatMul Add Softmax MatMul Exp",
    ),
    "a_zero_between": (
        f"({HEADS} q, float[1,8,64,1024] k, {HEADS} v) => ({HEADS} y)",
        """s = Constant<value = float {0.125}>() z = Constant<value = float {0.0}>() a = MatMul(q, k)
        c = Mul(a, s) f = Add(c, z) g = Add(z, f) p = Softmax(g) o = MatMul(p, v) e = Exp(o) y = Add(e, z)""",
        "",
        "FusedMatMul Softmax MatMul Exp Add",
    ),
    "linear_into_the_result": (
        "(float[1,2048,64] x, float[64,4096] u, float[4096] b) => (float[1,2048,4096] y)",
        "e = Exp(x) a = MatMul(e, u) y = Add(a, b)",
        "u b",
        "Exp Gemm",
    ),
    "convolutions": (
        "(float[1,16,512,512] x, float[32,16,3,3] w, float[32,32,3,3] v) => (float[1,32,256,256] y)",
        """e = Exp(x) a = Conv<pads=[1,1,1,1]>(e, w) r = Relu(a) c = Conv<pads=[1,1,1,1], strides=[2,2]>(r, v)
        y = Exp(c)""",
        "w v",
        "Exp Conv Relu Conv Exp",
    ),
}
MODELS = {
    name: with_weights(model(sig, nodes, 20), weights) for name, (sig, nodes, weights, _) in RUNS.items()
}
OPTIMIZED = ".run.onnx"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    """Path of the graph that ran, and its peak."""
    paths = ort_truth.save(MODELS, tmp_path_factory.mktemp("fused"))
    found = ort_truth.peaks(paths.values(), optimized=OPTIMIZED)
    return {name: (path + OPTIMIZED, peak) for (name, path), peak in zip(paths.items(), found, strict=True)}


@pytest.mark.parametrize("name", RUNS)
def test_types_of_what_runs(name: str) -> None:
    run = ops_as_run(load(MODELS[name]).graph)
    assert [op.type for op in run if op is not None] == RUNS[name][3].split()


@pytest.mark.parametrize("name", RUNS)
def test_peak_predicted_from_the_raw_graph(name: str, measured: dict[str, tuple[str, int]]) -> None:
    assert simulate(load(MODELS[name]).graph).peak_bytes == pytest.approx(measured[name][1], rel=0.03)


@pytest.mark.parametrize("name", RUNS)
def test_peak_predicted_from_orts_own_graph(name: str, measured: dict[str, tuple[str, int]]) -> None:
    path, peak = measured[name]
    graph = load(path).graph
    assert simulate(graph, order=range(len(graph.ops)), fuse=False).peak_bytes == pytest.approx(
        peak, rel=0.03
    )


def test_blocked_values_get_shapes(measured: dict[str, tuple[str, int]]) -> None:
    graph = with_blocked_shapes(load(measured["convolutions"][0]).graph)
    assert [value.name for value in graph.values.values() if value.shape is None] == []
    last = Op(len(graph.ops), "", "autochunk.Release", (graph.outputs[0],), ())
    longer = replace(graph, ops=(*graph.ops, last))
    assert with_blocked_shapes(longer).values == graph.values


def test_an_op_without_results_runs_and_holds_what_it_reads() -> None:
    graph = load(model("(float[1024] x) => (float[1024] y)", "a = Exp(x) b = Exp(a) y = Exp(b)")).graph
    last = Op(len(graph.ops), "", "autochunk.Release", ("a",), ())
    longer = replace(graph, ops=(*graph.ops, last))
    assert ops_as_run(longer)[-1] is last
    assert simulate(longer, order=range(len(longer.ops))).peak_bytes == 3 * 4096
