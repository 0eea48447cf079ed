"""A normalization in float16 keeps its epsilon when it runs in a body."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.load import load
from onnx_autochunk.options import Form
from tests.emit.regions import Stretch, nodes, outputs_of, plan_of

NORM = """<ir_version: 10, opset_import: ["": 17]> g (float[12,8] x) => (float[12,8] z) {
    half = Cast<to=10>(x)
    square = Pow(half, two)
    mean = ReduceMean<axes=[-1]>(square)
    more = Add(mean, epsilon)
    root = Sqrt(more)
    normal = Div(half, root)
    y = Mul(normal, scale)
    z = Cast<to=1>(y)
}"""
STRETCH = Stretch("square mean more root normal y", 0)


def _model(epsilon: float) -> onnx.ModelProto:
    model = onnx.parser.parse_model(NORM)
    for name, numbers in {"two": 2.0, "epsilon": epsilon, "scale": np.arange(8)}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(numbers, np.float16), name))
    return model


@pytest.mark.parametrize("epsilon", [0.98, 1e-5])
def test_an_epsilon_counts_in_a_body(epsilon: float) -> None:
    model = _model(epsilon)
    loaded = load(model)
    made = ir.to_proto(weave(loaded, plan_of(loaded, (STRETCH,), Form.SCAN, 5)))
    np.testing.assert_allclose(outputs_of(made)["z"], outputs_of(model)["z"], rtol=2e-3)


@pytest.mark.parametrize(
    ("epsilon", "provider", "kept"), [(0.98, "cpu", False), (1e-5, "cpu", True), (0.98, "cuda", True)]
)
def test_what_fuses_rightly_stays_as_it_is(epsilon: float, provider: str, kept: bool) -> None:
    loaded = load(_model(epsilon))
    plan = plan_of(loaded, (STRETCH,), Form.SCAN, 4)
    made = ir.to_proto(weave(loaded, plan, provider=provider))
    assert any(node.op_type == "Pow" for node in nodes(made.graph)) == kept
