"""Quantised groups: one op while plans are made, and themselves in what is written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from onnx_autochunk.axes import Mark, rule_for
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.stand_ins import write_out
from onnx_autochunk.plan.plan import Plan
from onnx_autochunk.runtime.session import exact_options, open_session, run
from onnx_autochunk.verify.inputs import random_inputs, read_specs

GROUP = """<ir_version: 10, opset_import: ["": 21]>
g (float[1,8,8,8] x) => (float[1,8,8,8] y) {{
    xq = QuantizeLinear(x, s, z)  a = DequantizeLinear(xq, s, z)
    wd = DequantizeLinear(w, s, n)  cd = DequantizeLinear<axis=0>(c, s8, n8)
    wv = DequantizeLinear<axis=1>(w, s8, n8)  fd = DequantizeLinear(c, s, n)  bd = DequantizeLinear(b, ss)
    {op}
    rq = QuantizeLinear(r, s, {zero})  y = DequantizeLinear(rq, s, {zero})
}}"""
FLOAT = onnx.TensorProto.FLOAT
RNG = np.random.default_rng(0)
NUMBERS = {
    "s": np.float32(0.02),
    "z": np.uint8(128),
    "n": np.int8(0),
    "w": RNG.integers(-99, 99, (8, 8), np.int8),
    "c": RNG.integers(-99, 99, (8, 8, 1, 1), np.int8),
    "s8": np.linspace(0.01, 0.02, 8, dtype=np.float32),
    "n8": np.zeros(8, np.int8),
    "b": RNG.integers(-999, 999, 8, np.int32),
    "ss": np.float32(0.0004),
}
FUSED = {
    "MatMul": ("r = MatMul(a, wd)", "QLinearMatMul"),
    "MatMul of itself": ("r = MatMul(a, a)", "QLinearMatMul"),
    "MatMul by columns with scales of their own": ("r = MatMul(a, wv)", "QLinearMatMul"),
    "Conv": ("r = Conv(a, cd)", "QLinearConv"),
    "Add": ("r = Add(a, wd)", "QLinearAdd"),
    "Mul": ("r = Mul(a, a)", "QLinearMul"),
    "Sigmoid": ("r = Sigmoid(a)", "QLinearSigmoid"),
    "LeakyRelu": ("r = LeakyRelu<alpha=0.3>(a)", "QLinearLeakyRelu"),
    "not quantised": ("p = MatMul(a, wd) r = Exp(p)", "MatMulIntegerToFloat"),
    "Conv with a bias": ("r = Conv(a, fd, bd)", "QLinearConv"),
    "read elsewhere": ("r = Conv(a, cd) unread = Exp(r)", "Conv"),
}


def _model(op: str, zero: str = "z") -> onnx.ModelProto:
    model = onnx.parser.parse_model(GROUP.format(op=op, zero=zero))
    model.graph.initializer.extend(numpy_helper.from_array(np.array(a), name) for name, a in NUMBERS.items())
    return model


def _types(graph: onnx.GraphProto) -> Counter[str]:
    return Counter(node.op_type for node in graph.node)


@pytest.mark.parametrize(("op", "fused"), FUSED.values(), ids=FUSED)
def test_a_group_is_one_op_while_plans_are_made(op: str, fused: str) -> None:
    types = {op.type for op in write_out(load(_model(op))).graph.ops}
    assert types - {"Exp"} == {"QuantizeLinear", fused, "DequantizeLinear"}


@pytest.mark.parametrize(
    ("op", "axes"),
    [
        ("r = MatMul(a, wd)", {0, 1, 2, 3}),
        ("r = MatMul(a, wv)", {0, 1, 2}),
        ("r = Conv(a, fd)", {0, 1, 2, 3}),
        ("r = Conv(a, cd)", {0, 2, 3}),  # channels: a slice of what eight scales have dequantised
        ("r = Conv(a, fd, bd)", {0, 2, 3}),  # likewise of the bias
    ],
)
def test_what_stays_dequantised_is_not_cut(op: str, axes: set[int]) -> None:
    graph = write_out(load(_model(op))).graph
    (stand_in,) = (op for op in graph.ops if op.type.startswith("QLinear"))
    rule = rule_for(stand_in, graph)
    found = [factor.results[0] for factor in rule.factors if factor.mark is Mark.MAP]
    assert {place.axis for place in found if place is not None} | {0} == axes


def test_types_that_differ_are_no_group() -> None:
    model = _model("r = MatMul(a, wd)", zero="n")
    model.graph.node.append(onnx.helper.make_node("DequantizeLinear", ["rq", "s", "n"], ["again"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("again", FLOAT, [1, 8, 8, 8]))
    loaded = load(model)
    assert write_out(loaded) is loaded


def test_a_signed_pair_is_made_unsigned() -> None:
    after = write_out(load(_model("r = MatMul(a, wd)", zero="n"))).graph
    assert after.values["rq"].dtype == "uint8" and after.producer["rq"].type == "QLinearMatMul"


def test_cuda_fuses_nothing() -> None:
    loaded = load(_model("r = MatMul(a, wd)"))
    assert write_out(loaded, "cuda") is loaded


@pytest.mark.parametrize(("op", "fused"), FUSED.values(), ids=FUSED)
def test_a_group_is_itself_again(op: str, fused: str, tmp_path: Path) -> None:  # noqa: ARG001 - of one table
    original = _model(op)
    onnx.save(original, tmp_path / "in.onnx")
    written = ir.to_proto(weave(write_out(load(original)), Plan.nothing(1)))
    onnx.save(written, tmp_path / "out.onnx")
    assert set(_types(written.graph)) == set(_types(original.graph))
    onnx.checker.check_model(written, full_check=True)
    feeds = random_inputs(read_specs(tmp_path / "in.onnx"), seed=1)
    first, second = (
        run(open_session(tmp_path / f"{name}.onnx", options=exact_options(threads=1)), feeds)["y"]
        for name in ("in", "out")
    )
    np.testing.assert_array_equal(first, second)
