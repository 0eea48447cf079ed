"""ONNX Runtime's own graph of a model: written without weights, read with all shapes, simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk.errors import ModelError
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.model import Graph
from onnx_autochunk.runtime.exact import Level, exact_timeline, optimized_graph
from onnx_autochunk.runtime.weightless import SMALL_BYTES, save_without_weights
from tests.memory.cases import model, with_weights
from tests.runtime.small_models import save

WIDE = "(float[1,4096,256] x, float[256,1024] u, float[1024] b) => (float[1,4096,1024] y)"
HALF = WIDE.replace("float[", "float16[")
BRANCH = "a = MatMul({0}, u) {1} = Add(a, b)"

NUMBERS = "<float s = {0.1}, uint8 z = {128}, int8 n = {0}>"
QUANTISED = "{0}q = QuantizeLinear({0}, s, z) {1} = DequantizeLinear({0}q, s, z)"

# A signature, nodes, and the types of the ops that run; names are free to collide where ONNX allows it.
GRAPHS = {
    "fused": (WIDE, "e = Exp(x) a = MatMul(e, u) c = Add(a, b) y = Exp(c)", "Exp Reshape Gemm Reshape Exp"),
    "half": (
        HALF,
        "e = Exp(x) s = Sigmoid(e) z = Mul(e, s) a = MatMul(z, u) c = Add(a, b) f = Sigmoid(c) y = Mul(c, f)",
        None,
    ),
    "bodies_with_equal_names": (
        f"(bool c, {WIDE[1:]}",
        f"""e = Exp(x) z = If<then_branch = s () => (float[1,4096,1024] o)
        {{ a1 = MatMul(e, u) o = Add(a1, b) }}, else_branch = t () => (float[1,4096,1024] p)
        {{ a2 = MatMul(e, u) p = Add(a2, b) }}>(c) f = Relu(z)
        {BRANCH.format("x", "g")} y = Add(f, g)""",
        None,
    ),
    "half_in_blocks": (
        "(float16[1,32,64,64] x, float16[32,32,3,3] u) => (float16[1,32,64,64] y)",
        "e = Exp(x) a = Conv<pads=[1,1,1,1]>(e, u) c = Add(e, a) r = Relu(c) y = Exp(r)",
        None,
    ),
    "constants_without_a_kernel_in_half": (
        "(float16[1,256,256] x, bool[256,256] u, float16[1] b) => (float16[1,256,256] y)",
        "m = Where(u, b, b) a = Sigmoid(x) y = Add(a, m)",
        "Cast Sigmoid Cast Where Add Cast",
    ),
    "eight_bits_with_channels_last": (
        f"(float[1,16,32,32] x, int8[16,16,3,3] u) => (float[1,32,4,4] y, float[1,32,1,1] g) {NUMBERS}",
        f"""{QUANTISED.format("x", "a")} w = DequantizeLinear(u, s, n)
        c = Conv<pads=[1,1,1,1], strides=[2,2]>(a, w) {QUANTISED.format("c", "d")}
        p = MaxPool<kernel_shape=[4,4], strides=[4,4]>(d) {QUANTISED.format("p", "q")}
        m = AveragePool<kernel_shape=[4,4], strides=[4,4]>(d) {QUANTISED.format("m", "k")}
        j = Concat<axis=1>(q, k) {QUANTISED.format("j", "y")}
        h = GlobalAveragePool(y) {QUANTISED.format("h", "g")}""",
        None,
    ),
    "nothing_to_infer_from": (
        "(float[1,4096,64] x, float[1,1024,64] k) => (float[1,4096,64] y)",
        "q = Exp(x) z = com.microsoft.MultiHeadAttention<num_heads=4>(q, k, k) y = Exp(z)",
        "Exp MultiHeadAttention Exp",
    ),
}


def _model(name: str) -> onnx.ModelProto:
    signature, nodes, _ = GRAPHS[name]
    proto = model(signature, nodes, 20)
    for value in proto.graph.input:
        if value.name in {"u", "b"}:
            shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, dtype), value.name))
    return proto


@pytest.mark.parametrize("name", GRAPHS)
def test_every_value_of_orts_graph_has_a_shape(name: str) -> None:
    graph = optimized_graph(load(_model(name)).model)
    types = GRAPHS[name][2]
    assert types is None or [op.type for op in graph.ops] == types.split()
    assert _unknown(graph) == []


def test_eight_bits_with_channels_last_have_the_shapes_of_a_run() -> None:
    proto = _model("eight_bits_with_channels_last")
    graph = optimized_graph(load(proto).model)
    shapes = {op.type: graph.values[op.outputs[0]].shape for op in graph.ops}
    assert shapes["QLinearConv"] == (1, 16, 16, 16)
    assert (shapes["NhwcMaxPool"], shapes["QLinearAveragePool"]) == ((1, 4, 4, 16), (1, 16, 4, 4))
    assert (shapes["QLinearConcat"], shapes["QLinearGlobalAveragePool"]) == ((1, 32, 4, 4), (1, 32, 1, 1))


def _unknown(graph: Graph) -> list[str]:
    bodies = [body for op in graph.ops for body in op.subgraphs.values()]
    own = [value.name for value in graph.values.values() if value.shape is None]
    return own + [name for body in bodies for name in _unknown(body)]


def test_prediction_is_made_on_orts_graph() -> None:
    prediction = exact_timeline(load(_model("fused")).model)
    held = 4 * 4096 * (1024 + 1024)
    assert (prediction.level, prediction.why_raw) == (Level.EXACT, "")
    assert prediction.timeline.peak_bytes == held


def test_what_ort_does_not_accept_is_predicted_on_the_raw_graph() -> None:
    nodes = "a = Exp(x) y = com.microsoft.Unheard(a)"
    loaded = load(model("(float[1024] x) => (float[1024] y)", nodes))
    prediction = exact_timeline(loaded.model)
    assert prediction.level is Level.RAW
    assert "Unheard" in prediction.why_raw
    assert prediction.timeline.peak_bytes == 2 * 4 * 1024
    with pytest.raises(ModelError, match="Unheard"):
        optimized_graph(loaded.model)


def test_model_is_left_alone_and_no_weight_is_read(tmp_path: Path) -> None:
    text = "g (float[8, 512] x) => (float[8, 512] y) { m = MatMul(x, w)\n y = Add(m, b) }"
    path, weights = save(tmp_path, "m", text, w=(512, 512), b=(512,)), tmp_path / "weights.data"
    ir.save(ir.load(path), path, external_data=weights.name, size_threshold_bytes=SMALL_BYTES)
    loaded = load(path)
    before = [value.const_value for value in loaded.model.graph.initializers.values()]
    weights.write_bytes(b"")
    assert exact_timeline(loaded.model).level is Level.EXACT
    assert [value.const_value for value in loaded.model.graph.initializers.values()] == before


def test_only_weights_are_left_out(tmp_path: Path) -> None:
    signature = "(float[512,512] x, float[512,512] w, float[512,512] m, float[512] b) => (float[512,512] y)"
    proto = with_weights(model(signature, "a = MatMul(x, w) c = Add(a, m) y = Add(c, b)"), "w m b")
    save_without_weights(load(proto).model, tmp_path / "m.onnx")
    saved = {
        t.name: onnx.numpy_helper.to_array(t, str(tmp_path))
        for t in onnx.load(tmp_path / "m.onnx").graph.initializer
    }
    given = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    assert not saved["w"].any()
    np.testing.assert_array_equal(saved["m"], given["m"])
    np.testing.assert_array_equal(saved["b"], given["b"])
    assert (tmp_path / "m.onnx").stat().st_size > 512 * 512 * 4 > SMALL_BYTES
