"""Quantised models, half precision and old opsets: chunked without a change of what is computed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from onnx_autochunk import autochunk
from onnx_autochunk.report.record import Status
from onnx_autochunk.runtime.session import exact_options, open_session, run
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from tests.emit.regions import bodies

ROWS, WIDTH, HIDDEN = 512, 64, 1024
QUANTIZED = f"""<ir_version: 10, opset_import: ["": 21]>
g (float[{ROWS},{WIDTH}] x) => (float[{ROWS},{WIDTH}] y) {{
    xq = QuantizeLinear(x, x_scale, zero)  xd = DequantizeLinear(xq, x_scale, zero)
    upd = DequantizeLinear(up, up_scale, none)  h = MatMul(xd, upd)
    hq = QuantizeLinear(h, h_scale, zero)  hd = DequantizeLinear(hq, h_scale, zero)
    r = Relu(hd)  rq = QuantizeLinear(r, h_scale, zero)  rd = DequantizeLinear(rq, h_scale, zero)
    downd = DequantizeLinear(down, down_scale, none)  o = MatMul(rd, downd)
    oq = QuantizeLinear(o, o_scale, zero)  y = DequantizeLinear(oq, o_scale, zero)
}}"""
SCALES = {"x_scale": 0.01, "up_scale": 0.002, "h_scale": 0.03, "down_scale": 0.002, "o_scale": 0.05}
MLP = f"""g (float[{ROWS},{WIDTH}] x) => (float[{ROWS},{WIDTH}] y) {{
    h = MatMul(x, up)  a = Tanh(h)  b = Mul(a, h)  o = MatMul(b, down)  y = Add(x, o)
}}"""


def _quantized(zero: np.integer[Any]) -> onnx.ModelProto:
    model, generator = onnx.parser.parse_model(QUANTIZED), np.random.default_rng(0)
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[Any]]]
    arrays = {name: np.array(scale, np.float32) for name, scale in SCALES.items()}
    for name, shape in (("up", (WIDTH, HIDDEN)), ("down", (HIDDEN, WIDTH))):
        model.graph.initializer.append(
            numpy_helper.from_array(generator.integers(-127, 128, shape, np.int8), name)
        )
    arrays |= {"zero": np.array(zero), "none": np.array(0, np.int8)}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    return model


def _quantisation(model: onnx.ModelProto) -> Counter[tuple[str, ...]]:
    """How often each pair of scale and zero point is used, by operator."""
    graphs = (model.graph, *bodies(model.graph))
    values = {t.name: str(numpy_helper.to_array(t)) for graph in graphs for t in graph.initializer}
    return Counter(
        (node.op_type, *(values[name] for name in node.input[1:]))
        for graph in graphs
        for node in graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    )


SIGNED = pytest.mark.xfail(
    strict=True,
    reason="on x86 ONNX Runtime makes signed pairs of QuantizeLinear and DequantizeLinear unsigned before it "
    "fuses them with a product (QDQS8ToU8Transformer); a region that ends between the two ends that",
)


@pytest.mark.parametrize("zero", [np.uint8(128), pytest.param(np.int8(0), marks=SIGNED)])
def test_quantisation_stays_as_it_is(zero: np.integer[Any], tmp_path: Path) -> None:
    original = _quantized(zero)
    onnx.save(original, tmp_path / "in.onnx")
    result = autochunk(original, budget="60%", threads=1)
    assert result.report.status is Status.CHUNKED
    result.save(tmp_path / "out.onnx")
    assert _quantisation(onnx.load(tmp_path / "out.onnx")) == _quantisation(original)
    inputs = random_inputs(read_specs(tmp_path / "in.onnx"), seed=3)
    first, second = (
        run(open_session(tmp_path / f"{name}.onnx", options=exact_options(threads=1)), inputs)
        for name in ("in", "out")
    )
    np.testing.assert_array_equal(first["y"], second["y"])
    assert len(np.unique(first["y"])) > 50  # not all of one value


@pytest.mark.parametrize(
    ("opset", "ir_version", "form"),
    [(7, 3, "scan"), (8, 3, "unroll"), (9, 4, "unroll"), (10, 5, "scan")],
)
def test_old_opsets_are_raised_to_what_loops_need(
    opset: int, ir_version: int, form: str, tmp_path: Path
) -> None:
    model = onnx.parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["": {opset}]> {MLP}')
    generator = np.random.default_rng(0)
    for name, shape in (("up", (WIDTH, HIDDEN)), ("down", (HIDDEN, WIDTH))):
        weight = generator.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, name))
        if ir_version < 4:  # weights had to be inputs as well
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    result = autochunk(model, budget="60%", threads=1, form=form)
    verified = result.report.verify
    assert result.report.status is Status.CHUNKED and verified is not None and verified.passed
    result.save(tmp_path / "out.onnx")
    assert [entry.version for entry in onnx.load(tmp_path / "out.onnx").opset_import] == [11]
