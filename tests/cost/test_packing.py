"""What packing weights at every call adds: nothing one body deep, each call's share two bodies deep."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.cost.packing import packing_seconds
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.model import Graph

MODEL = CostModel.load()
ROWS, WIDTH, COUNT = 64, 768, 5
BODY = f"body (float[{ROWS},{WIDTH}] r) => (float[{ROWS},{WIDTH}] s) {{ s = MatMul(r, w) }}"
LOOP = f"Scan<num_scan_inputs=1, body={BODY}>"
MANY = f"float[{COUNT},{ROWS},{WIDTH}]"
FRAME = f"Scan<num_scan_inputs=1, body=frame (float[1] o) => ({MANY} y) {{ y = {LOOP}(x) }}>"


def _graph(text: str) -> Graph:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {text}')
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((WIDTH, WIDTH), np.float32), "w"))
    return derive(ir.from_proto(onnx.shape_inference.infer_shapes(proto))).graph


@pytest.mark.parametrize(
    "text",
    [
        f"(float[{ROWS},{WIDTH}] x) => (float[{ROWS},{WIDTH}] y) {{ y = MatMul(x, w) }}",
        f"({MANY} x) => ({MANY} y) {{ y = {LOOP}(x) }}",
    ],
    ids=["no body", "one body"],
)
def test_weights_near_the_graph_are_packed_when_it_is_loaded(text: str) -> None:
    assert packing_seconds(_graph(text), MODEL) == 0.0


def test_weights_two_bodies_away_are_packed_at_every_call() -> None:
    deep = _graph(
        f"({MANY} x, float[1,1] once) => (float[1,{COUNT},{ROWS},{WIDTH}] z) {{ z = {FRAME}(once) }}"
    )
    found = packing_seconds(deep, MODEL)
    call = _graph(f"(float[{ROWS},{WIDTH}] x) => (float[{ROWS},{WIDTH}] y) {{ y = MatMul(x, w) }}")
    packed = MODEL.op_seconds(call.ops[0], call, call.shape)
    assert 0.02 * COUNT * packed < found < COUNT * packed  # measured: 44 % of a product of 64 rows elsewhere
