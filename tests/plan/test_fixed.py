"""Where sizes are open, what is not chunked for that reason says so."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from onnx_autochunk import autochunk
from onnx_autochunk.errors import BudgetError
from onnx_autochunk.graph.several import load_open
from onnx_autochunk.plan.fixed import INSTEAD, obstacle
from onnx_autochunk.plan.rules import Rules
from onnx_autochunk.plan.steady import steady_rules
from onnx_autochunk.report.record import Status

CASES = {
    "a window, read": (
        """(float[1,4,H,16] x, float[4,4,3,3] k) => (float[1,4,H,16] y) {
            a = Relu(x)
            y = Conv<pads=[1,1,1,1]>(a, k)
        }""",
        "a",
        "Conv 'layer/Conv_1' reads neighbours of a chunk",
    ),
    "a window, made": (
        """(float[1,4,H,16] x) => (float[1,4,H,16] y) {
            a = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)
            y = Relu(a)
        }""",
        "a",
        "MaxPool 'layer/MaxPool_0' reads neighbours of a chunk",
    ),
    "a diagonal that moves": (
        "(float[T,T] x) => (float[T,T] y) { a = Relu(x) y = Trilu(a) }",
        "a",
        "operands or attributes of Trilu 'layer/Trilu_1' change with the chunk",
    ),
    "a sum": (
        "(float[T,64] x) => (float[1,64] y) <int64[1] rows = {0}> { a = Relu(x) y = ReduceSum(a, rows) }",
        "a",
        "ReduceSum 'layer/ReduceSum_1' combines chunks into one result",
    ),
    "axes that regroup": (
        "(float[T,8] x) => (float[8,T] y) <int64[2] turned = {8, -1}> { a = Relu(x) y = Reshape(a, turned) }",
        "a",
        "axes of Reshape 'layer/Reshape_1' go together at the sizes given and not at others",
    ),
    "nothing": (
        "(float[T,8] x, float[8,8] w) => (float[T,8] y) { a = Relu(x) y = MatMul(a, w) }",
        "a",
        "",
    ),
}
REFERENCE = {"H": 64, "T": 8}


def _parsed(text: str) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {text}')
    for number, node in enumerate(model.graph.node):
        node.name = f"layer/{node.op_type}_{number}"
    return model


@pytest.mark.parametrize("case", CASES)
def test_a_value_says_what_keeps_it_whole(case: str) -> None:
    text, name, why = CASES[case]
    dim = "H" if "H" in text else "T"
    loaded = load_open(_parsed(text), dims={dim: REFERENCE[dim]})
    assert loaded.dynamic is not None
    rules = Rules(loaded.graph, range(len(loaded.graph.ops)), steady_rules(loaded.graph, loaded.dynamic))
    assert obstacle(loaded.graph, rules, name) == (why and f"{why}, {INSTEAD}")


CONVOLUTIONS = """(float[1,8,H,256] x, float[64,8,3,3] k1, float[8,64,3,3] k2) => (float[1,8,H,256] y) {
    wide = Conv<pads=[1,1,1,1]>(x, k1)
    act = Relu(wide)
    y = Conv<pads=[1,1,1,1]>(act, k2)
}"""


def _with_weights(text: str, **shapes: tuple[int, ...]) -> onnx.ModelProto:
    """The model with its last inputs made constants."""
    model, generator = _parsed(text), np.random.default_rng(0)
    inputs = [value for value in model.graph.input if value.name not in shapes]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for name, shape in shapes.items():
        tensor = numpy_helper.from_array(generator.standard_normal(shape, dtype=np.float32), name)
        model.graph.initializer.append(tensor)
    return model


def test_a_report_names_windows_and_what_chunks_them() -> None:
    model = _with_weights(CONVOLUTIONS, k1=(64, 8, 3, 3), k2=(8, 64, 3, 3))
    opened, fixed = (
        autochunk(model, dims={"H": 256}, max_slowdown=3.0, no_verify=True, fix_dims=fix).report
        for fix in (False, True)
    )
    assert opened.status is Status.UNCHANGED and fixed.status is Status.CHUNKED
    (act,) = (refusal for refusal in opened.refusals if refusal.value == "act")
    assert "reads neighbours" in act.reason and "--fix-dims" in act.reason
    assert not any("--fix-dims" in refusal.reason for refusal in fixed.refusals)


ATTENTION = """(float[1,32,T,16] q) => (float[1,32,T,16] y) {
    keys = Transpose<perm=[0,1,3,2]>(q)
    scores = MatMul(q, keys)
    shares = Softmax(scores)
    y = MatMul(shares, q)
}"""


@pytest.mark.parametrize("fix_dims", [False, True])
def test_a_budget_that_is_refused_names_what_fixed_sizes_would_allow(fix_dims: bool) -> None:
    with pytest.raises(BudgetError) as caught:
        autochunk(_parsed(ATTENTION), dims={"T": 512}, budget="1KiB", no_verify=True, fix_dims=fix_dims)
    assert ("--fix-dims" in str(caught.value)) is not fix_dims
