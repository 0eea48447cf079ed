"""A mask that several layers read is made again in the regions of each."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx import parser

from onnx_autochunk.api import autochunk
from tests.emit.regions import check_close, outputs_of

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
    check_close(outputs_of(made)["z"], outputs_of(model)["z"])
    assert np.isfinite(outputs_of(made)["z"]).all()
