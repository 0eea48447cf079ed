"""Quantised models, half precision and old opsets: chunked without a change of what is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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
from onnx_autochunk.verify.arrays import Array
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


def _outputs(path: Path, feeds: Mapping[str, Array]) -> Array:
    (found,) = run(open_session(path, options=exact_options(threads=1)), feeds).values()
    return found


def _check_scales(model: onnx.ModelProto) -> None:
    """Every body has the scales and zero points that it reads: ONNX Runtime's fusions look for them there."""
    for body in bodies(model.graph):
        own = {tensor.name for tensor in body.initializer}
        ends = [node for node in body.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
        assert ends or body.name.startswith("apart/")
        assert own.issuperset(name for node in ends for name in node.input[1:])


@pytest.mark.parametrize("form", ["scan", "unroll"])
@pytest.mark.parametrize("zero", [np.uint8(128), np.int8(0)])
def test_quantisation_stays_as_it_is(zero: np.integer[Any], form: str, tmp_path: Path) -> None:
    original = _quantized(zero)
    onnx.save(original, tmp_path / "in.onnx")
    result = autochunk(original, budget="60%", threads=1, form=form)
    assert result.report.status is Status.CHUNKED
    result.save(tmp_path / "out.onnx")
    chunked = onnx.load(tmp_path / "out.onnx")
    _check_scales(chunked)
    if form == "scan":  # signed pairs are unsigned ones with a zero point of 128
        assert _quantisation(chunked) == _quantisation(_quantized(np.uint8(128)))
    inputs = random_inputs(read_specs(tmp_path / "in.onnx"), seed=3)
    first, second = (_outputs(tmp_path / f"{name}.onnx", inputs) for name in ("in", "out"))
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first)) > 50  # not all of one value


def test_quantised_with_open_sizes(tmp_path: Path) -> None:
    original = _quantized(np.uint8(128))
    for value in (*original.graph.input, *original.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    onnx.save(original, tmp_path / "in.onnx")
    result = autochunk(original, budget="60%", threads=1, dims={"rows": ROWS})
    assert result.report.status is Status.CHUNKED
    result.save(tmp_path / "out.onnx")
    _check_scales(onnx.load(tmp_path / "out.onnx"))
    for rows in (ROWS, 77):
        feeds = {"x": np.random.default_rng(rows).normal(0, 1, (rows, WIDTH)).astype(np.float32)}
        first, second = (_outputs(tmp_path / f"{name}.onnx", feeds) for name in ("in", "out"))
        np.testing.assert_array_equal(first, second)


def test_sums_of_what_is_quantised(tmp_path: Path) -> None:
    """Chunks that give parts of a sum have bodies of their own kind."""
    original = _quantized(np.uint8(128))
    sums = onnx.helper.make_node("ReduceSum", ["y", "axis"], ["sum"], keepdims=0)
    original.graph.node.append(sums)
    original.graph.initializer.append(numpy_helper.from_array(np.array([0]), "axis"))
    del original.graph.output[:]
    original.graph.output.append(onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, [WIDTH]))
    result = autochunk(original, budget="10%", threads=1, form="scan", no_verify=True)
    assert result.report.status is Status.CHUNKED
    result.save(tmp_path / "out.onnx")
    chunked = onnx.load(tmp_path / "out.onnx")
    assert "accumulates" in chunked.metadata_props[0].value
    _check_scales(chunked)


def test_signed_values_that_several_read_are_fused_nowhere(tmp_path: Path) -> None:
    original = _quantized(np.int8(0))
    skip = onnx.helper.make_node("DequantizeLinear", ["xq", "x_scale", "zero"], ["again"])
    original.graph.node.insert(2, skip)
    original.graph.node.append(onnx.helper.make_node("Add", ["again", "y"], ["sum"]))
    original.graph.output[0].name = "sum"
    onnx.save(original, tmp_path / "in.onnx")
    result = autochunk(original, budget="60%", threads=1, form="scan")
    assert result.report.status is Status.CHUNKED
    result.save(tmp_path / "out.onnx")
    inputs = random_inputs(read_specs(tmp_path / "in.onnx"), seed=3)
    first, second = (_outputs(tmp_path / f"{name}.onnx", inputs) for name in ("in", "out"))
    np.testing.assert_array_equal(first, second)


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
    saved = onnx.load(tmp_path / "out.onnx")
    assert [entry.version for entry in saved.opset_import] == [11]
    assert saved.ir_version >= 4  # before, weights had to be inputs, also those of bodies
