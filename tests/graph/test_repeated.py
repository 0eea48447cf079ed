"""A mask that several layers read is made again in the regions of each."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import parser

from onnx_autochunk.api import autochunk
from tests.emit.regions import outputs_of

T = 1024
LAYER = """{y}t = Transpose<perm=[1,0]>({x}) {y}s = MatMul({x}, {y}t) {y}a = Add({y}s, mask)
    {y}p = Softmax({y}a) {y} = MatMul({y}p, {x})"""
PADDED = f"""<ir_version: 10, opset_import: ["": 21]>
g (float[{T},8] x, float[{T}] shown) => (float[{T},8] z) <int64[1] front = {{0}}, int64[1] back = {{1}}> {{
    row = Unsqueeze(shown, front) column = Unsqueeze(shown, back) mask = Mul(row, column)
    {" ".join(LAYER.format(x=x, y=y) for x, y in zip("xabc", "abcz", strict=True))}
}}"""


def test_no_layer_keeps_the_mask_of_an_input_for_the_next() -> None:
    model = parser.parse_model(PADDED)
    result = autochunk(model, budget="20%", no_verify=True)
    peak = result.report.chunked.predicted_peak_bytes
    assert peak is not None and peak < T * T * 4
    made = ir.to_proto(result.model)
    onnx.checker.check_model(made, full_check=True)
    exact = _exact()
    ours, theirs = (np.abs(outputs_of(one)["z"] - exact).max() for one in (made, model))
    assert ours < 2 * theirs < 2e-3  # layers without a scale sharpen what rounding leaves


def _exact() -> NDArray[np.float64]:
    """In float64, what the model gives for the inputs of `outputs_of`."""
    generator = np.random.default_rng(1)
    x, shown = (generator.standard_normal(s, np.float32).astype(np.float64) for s in ((T, 8), (T,)))
    for _ in "abcz":
        scores = x @ x.T + np.outer(shown, shown)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        x = shares / shares.sum(axis=1, keepdims=True) @ x
    return x
