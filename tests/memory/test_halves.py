"""Float16 on the CPU: which ops run in float32, the casts around them, and the peak from the raw graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from onnx_autochunk.graph.half import KERNELS
from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.lifetime import simulate
from tests.memory import ort_truth
from tests.memory.cases import model, with_weights

X = "float16[1,2048,4096]"
ROWS = "float16[1,8192,1024]"
W = "float16[1024,1024]"
IMAGE = "float16[1,32,256,256]"

# A signature, nodes, and the names of the weights.
CASES = {
    "nothing_between_two_of_them": (f"({X} x) => ({X} y)", "a = Exp(x) b = Neg(a) y = Sqrt(b)", ""),
    "a_kernel_among_them": (f"({X} x) => ({X} y)", "a = Exp(x) b = Clip(a) y = Sqrt(b)", ""),
    "kernels_among_them": (
        f"({X} x) => ({X} y)",
        "a = Exp(x) b = Round(a) c = Sign(b) y = Sqrt(c)",
        "",
    ),
    "a_kernel_beside_them": (
        f"({X} x) => ({X} y, {X} z)",
        "a = Exp(x) y = Round(a) z = Sqrt(a)",
        "",
    ),
    "softmax": (f"({X} x) => ({X} y)", "a = Exp(x) b = Softmax(a) y = Exp(b)", ""),
    "softmax_between_kernels": (f"({X} x) => ({X} y)", "a = Round(x) b = Softmax(a) y = Sign(b)", ""),
    "log_softmax": (f"({X} x) => ({X} y)", "a = Exp(x) b = LogSoftmax(a) y = Exp(b)", ""),
    "gelu": (f"({X} x) => ({X} y)", "a = Exp(x) b = Gelu(a) y = Exp(b)", ""),
    "mish": (f"({X} x) => ({X} y)", "a = Exp(x) b = Mish(a) y = Exp(b)", ""),
    "hard_swish": (f"({X} x) => ({X} y)", "a = Exp(x) b = HardSwish(a) y = Exp(b)", ""),
    "silu": (f"({X} x) => ({X} y)", "a = Exp(x) b = Sigmoid(a) c = Mul(a, b) y = Exp(c)", ""),
    "silu_of_a_converted_weight": (
        f"({ROWS} x, {W} w) => ({ROWS} y)",
        "a = MatMul(x, w) b = Sigmoid(a) c = Mul(a, b) y = Exp(c)",
        "w",
    ),
    "scaled_by_a_number": (
        "(float16[8,512,64] x, float16[8,64,4096] z) => (float16[8,512,4096] y)",
        "r = Constant<value=float {8.0}>() k = Cast<to=10>(r) a = MatMul(x, z) b = Mul(a, k) y = Exp(b)",
        "",
    ),
    "scaled_by_a_number_twice": (
        "(float16[8,512,64] x, float16[8,64,4096] z) => (float16[8,512,4096] y)",
        """r = Constant<value=float {8.0}>() k = Cast<to=10>(r) a = MatMul(x, z) b = Mul(a, k) c = Exp(b)
        y = Mul(c, k)""",
        "",
    ),
    "linear": (
        f"({ROWS} x, {W} w, float16[1024] b) => ({ROWS} y)",
        "a = Exp(x) c = MatMul(a, w) d = Add(c, b) y = Round(d)",
        "w b",
    ),
    "linear_of_linear": (
        f"({ROWS} x, {W} w, float16[1024] b, {W} v, float16[1024] e) => ({ROWS} y)",
        "a = MatMul(x, w) c = Add(a, b) d = Exp(c) f = MatMul(d, v) g = Add(f, e) y = Sqrt(g)",
        "w b v e",
    ),
    "a_weight_for_one": (
        "(float16[1024,4096] x, float16[4096,4096] w) => (float16[1024,4096] y)",
        "a = MatMul(x, w) y = Exp(a)",
        "w",
    ),
    "a_weight_for_two": (
        "(float16[64,4096] x, float16[4096,4096] w) => (float16[64,4096] y)",
        "a = MatMul(x, w) b = Exp(a) y = MatMul(b, w)",
        "w",
    ),
    "a_weight_for_a_body": (
        "(float16[4,64,4096] x, float16[4096,4096] w) => (float16[4,64,4096] y)",
        """y = Scan<num_scan_inputs=1, body = b (float16[64,4096] i) => (float16[64,4096] o)
        <float16[64,4096] p> { p = MatMul(i, w) o = Exp(p) }>(x)""",
        "w",
    ),
    "a_mask_of_constants": (
        f"({X} x, float[2048,4096] m) => ({X} y)",
        """z = Constant<value=float {0.0}>() r = Constant<value=float {8.0}>() k = Cast<to=10>(r)
        l = Cast<to=10>(z) g = Greater(m, z) w = Where(g, k, l) a = Exp(x)
        b = Add(a, w) y = Sqrt(b)""",
        "m",
    ),
    "norm_between_sums": (
        "(float16[1,8192,1024] x, float16[1024] w) => (float16[1,8192,1024] y)",
        "a = Add(x, x) b = LayerNormalization(a, w) c = Exp(b) y = Add(c, a)",
        "w",
    ),
    "images_in_blocks": (
        f"({IMAGE} x, float16[32,32,3,3] w, float16[3,32,3,3] v) => (float16[1,3,256,256] y)",
        "a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, v) y = Exp(c)",
        "w v",
    ),
}
MODELS = {name: with_weights(model(sig, nodes, 20), weights) for name, (sig, nodes, weights) in CASES.items()}
VIEWS = {"Reshape": 0, "Sqrt": 0}  # ORT merges views, and computes the scalar of a Gelu


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, int]]:
    return ort_truth.optimized_runs(MODELS, tmp_path_factory.mktemp("halves"))


@pytest.mark.parametrize("name", CASES)
def test_what_runs_is_what_ort_made(name: str, measured: Mapping[str, tuple[Path, int]]) -> None:
    ran, made = ort_truth.op_counts(MODELS[name], measured[name][0])
    assert ran | VIEWS == made | VIEWS


@pytest.mark.parametrize("name", CASES)
def test_peak_predicted_from_the_raw_graph(name: str, measured: Mapping[str, tuple[Path, int]]) -> None:
    assert simulate(load(MODELS[name]).graph).peak_bytes == pytest.approx(measured[name][1], rel=0.03)


SMALL = "float16[2,8]"
CALLS = {
    **{kind: f"{kind}(x)" for kind in "Identity Flatten Transpose Clip Round Sign".split()},
    **{kind: f"{kind}(x, x)" for kind in "Max Min Mod Concat".split()},
    **{kind: f"{kind}(x)" for kind in "Exp Relu Tanh Sigmoid Erf Sqrt Neg Abs Trilu Softplus".split()},
    **{kind: f"{kind}(x)" for kind in "ReduceMax ReduceSum ReduceMean Softmax Gelu".split()},
    **{kind: f"{kind}(x, x)" for kind in "Add Sub Mul Div Pow Sum Mean PRelu".split()},
    **{kind: f"{kind}(x, i)" for kind in "Reshape Expand Unsqueeze Gather GatherND Tile".split()},
    "LayerNormalization": "LayerNormalization(x, x)",
    "Where": "Where(m, x, x)",
    "Split": "Split<num_outputs=1>(x)",
    "Slice": "Slice(x, i, i)",
    "Compress": "Compress(x, m)",
}
ATTRIBUTES = {"Concat": "<axis=0>", "Mod": "<fmod=1>"}
INDICES = {"Reshape": "{2,8}", "Expand": "{2,8}", "Unsqueeze": "{0,1}", "Tile": "{1,1}"}


@pytest.mark.parametrize("kind", CALLS)
def test_which_ops_have_a_kernel(kind: str, tmp_path: Path) -> None:
    call = CALLS[kind].replace("(", f"{ATTRIBUTES.get(kind, '')}(", 1)
    nodes = f"i = Constant<value=int64[2] {INDICES.get(kind, '{0,1}')}>() y = {call}"
    given = model(f"({SMALL} x, bool[2,1] m) => (float16[a] y)", nodes, 20)
    assert ("Cast" in _ran(given, tmp_path)) is (kind not in KERNELS)


def _ran(given: onnx.ModelProto, folder: Path) -> set[str]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "run.onnx")
    ort.InferenceSession(given.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(folder / "run.onnx").graph.node}
