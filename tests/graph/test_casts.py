"""Casts to a wider type and back are dropped; those that round are not, nor what somebody else reads."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk.graph.casts import drop_returns

# Type of the input, what it is cast to, and to again, the results, and what is left.
CASES = [
    ("float16", 1, 10, "float16[2] y", "Neg"),
    ("float", 1, 1, "float[2] y", "Neg"),
    ("float16", 1, 10, "float16[2] y, float[2] there", "Cast Neg"),
    ("float16", 1, 10, "float16[2] y, float16[2] back", "Cast Cast Neg"),
    ("double", 1, 10, "float16[2] y", "Cast Cast Neg"),
    ("float", 10, 1, "float[2] y", "Cast Cast Neg"),
    ("float16", 16, 10, "float16[2] y", "Cast Cast Neg"),
    ("float", 7, 1, "float[2] y", "Cast Cast Neg"),
]


def _model(text: str) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {text}')
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


@pytest.mark.parametrize(("given", "to", "again", "results", "left"), CASES)
def test_which_casts_are_dropped(given: str, to: int, again: int, results: str, left: str) -> None:
    model = _model(f"""({given}[2] x) => ({results}) {{
        there = Cast<to={to}>(x)  back = Cast<to={again}>(there)  y = Neg(back)
    }}""")
    drop_returns(model)
    assert [node.op_type for node in model.graph] == left.split()
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def test_bodies_read_what_was_cast() -> None:
    model = _model("""(float16[2] x) => (float16[2,2] y) <int64[2,1] at = {0, 1}> {
        there = Cast<to=1>(x)  back = Cast<to=10>(there)
        y = Scan<num_scan_inputs=1, body = each (int64[1] i) => (float16[2] o) { o = Neg(back) }>(at)
    }""")
    drop_returns(model)
    (scan,) = model.graph
    (inner,) = scan.attributes["body"].as_graph()
    assert inner.inputs[0] is model.graph.inputs[0]
