"""Constants whose steps are alike: what reads them reads one step, and computes the same."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper, parser

from onnx_autochunk.api import autochunk
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.graph import alike
from onnx_autochunk.graph.fold import added_to_nothing
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.stand_ins import write_out
from onnx_autochunk.plan.seconds import Seconds
from onnx_autochunk.plan.setting import make_setting
from onnx_autochunk.runtime.library import onnxruntime

T, ROWS = 48, 1009
# Hides the last columns from every row.
ONE_ROW = np.where(np.arange(T) < 40, 0, -1e9).astype(np.float32)[None]
ALMOST = np.zeros((T, T), np.float32)
ALMOST[T // 2, 1] = 1
CONSTANTS = {
    "shape": np.array([T, T]), "low": np.array(-1e9, np.float32), "none": np.array(0, np.float32),
    "seen": np.ones((T, 1), bool), "columns": np.arange(T)[None], "few": np.array([40]),
    "zeros": np.zeros((T, T), np.float32), "rows": ONE_ROW.repeat(T, 0), "across": ONE_ROW.T.repeat(T, 1),
    "ones": np.ones((2, T, T), np.float32), "yes": np.ones((T, T), bool),
    "wide": np.zeros((2, T * T), np.float32), "almost": ALMOST,
    "signs": np.copysign(ALMOST * 0, 0.5 - ALMOST),
}  # fmt: skip
MASK = "all = Expand(seen, shape) mask = Where(all, none, low)"

# Nodes, and the shapes of the constants that are read in the end.
FEWER = {
    "a mask that hides nothing": (f"{MASK} y = Add(x, mask)", [(1, 1)]),
    "read by two": (f"{MASK} a = Add(x, mask) b = Mul(a, a) y = Add(mask, b)", [(1, 1)]),
    "stored": ("y = Sub(x, zeros)", [(1, 1)]),
    "rows alike": ("y = Add(x, rows)", [(1, T)]),
    "columns alike": ("y = Mul(across, x)", [(T, 1)]),
    "under fewer axes": ("deep = Unsqueeze(x, front) a = Add(deep, zeros) y = Squeeze(a, front)", [(1, 1)]),
    "a condition": ("y = Where(yes, x, zeros)", [(1, 1), (1, 1)]),
    "computed from one row": (
        """l = Less(columns, few) all = Expand(l, shape) n = Not(all) m = Cast<to=1>(n) mask = Mul(m, low)
        y = Add(x, mask)""",
        [(1, T)],
    ),
}
AS_IT_IS = {
    "one element differs": "y = Add(x, almost)",
    "one sign differs": "y = Div(x, signs)",
    "it says the shape": "c = ReduceSum<keepdims=1>(x, front) a = Add(c, zeros) y = Add(a, x)",
    "an axis of the result": "a = Mul(x, ones) y = ReduceSum<keepdims=0>(a, front)",
    "what does not spread": "y = MatMul(x, zeros)",
    "what an input decides": "e = Equal(x, none) mask = Where(e, low, none) y = Add(x, mask)",
    "what has no known shape": """i = NonZero(x) c = Cast<to=1>(i) a = Add(c, wide)
        y = Add(x, none)""",
    "constants that do not fit": "bad = Add(zeros, ones) y = Add(x, none)",
    "what cannot be told": "turned = Transpose<perm=[1,0]>(zeros) y = Add(x, turned)",
}


def model(nodes: str, elements: str = "float", shape: tuple[int, ...] = (T, T)) -> ModelProto:
    sizes = ",".join(map(str, shape))
    head = f"({elements}[{sizes}] x) => ({elements}[{sizes}] y)"
    made = parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> g {head} {{ {nodes} }}')
    constants = {**CONSTANTS, "front": np.array([0])}
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return made


def run(made: ModelProto) -> NDArray[np.float32]:
    session = onnxruntime().InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal(session.get_inputs()[0].shape, np.float32)
    (y,) = session.run(["y"], {"x": x})
    return np.asarray(y)


def constants_read(made: ir.Model) -> list[tuple[int, ...]]:
    """Shapes of the matrices among the constants that are read where they stand for others."""
    values = {v.name: v for v in made.graph.initializers.values() if "/alike" in str(v.name)}
    return sorted(value.shape.numpy() for value in values.values() if value.shape is not None)


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "LEAST_BYTES", T * T)


@pytest.mark.parametrize(("nodes", "shapes"), FEWER.values(), ids=FEWER)
def test_one_step_is_read_in_place_of_all(nodes: str, shapes: list[tuple[int, ...]]) -> None:
    before = load(model(nodes))
    after = write_out(before)
    assert constants_read(after.model) == shapes
    assert after.graph.originals
    np.testing.assert_array_equal(run(ir.to_proto(after.model)), run(model(nodes)))


@pytest.mark.parametrize("nodes", AS_IT_IS.values(), ids=AS_IT_IS)
def test_stays_as_it_is(nodes: str) -> None:
    assert not constants_read(write_out(load(model(nodes))).model)


def test_an_initializer_that_callers_may_replace_stays() -> None:
    made = model("y = Add(x, zeros)")
    made.graph.input.append(onnx.helper.make_tensor_value_info("zeros", onnx.TensorProto.FLOAT, [T, T]))
    assert not constants_read(write_out(load(made)).model)


def test_a_mask_that_is_computed_in_each_run() -> None:
    """ONNX Runtime has no kernel for it in float16 on the CPU."""
    made = model(
        """half = Cast<to=10>(x) all = Expand(seen, shape) mask = Where(all, none16, low16)
        y16 = Add(half, mask) y = Cast<to=1>(y16)"""
    )
    for name, element in {"none16": 0, "low16": -6e4}.items():
        made.graph.initializer.append(numpy_helper.from_array(np.array(element, np.float16), name))
    before = load(made)
    assert "Where" in [op.type for op in before.graph.ops]
    after = write_out(before)
    assert constants_read(after.model) == [(1, 1)]
    np.testing.assert_allclose(run(ir.to_proto(after.model)), run(made), atol=2e-3)  # ORT drops some casts


def test_a_long_chain_of_constants_is_followed() -> None:
    chain = "".join(f" c{n + 1} = Identity(c{n})" for n in range(3000))
    after = write_out(load(model(f"c0 = Neg(zeros){chain} y = Add(x, c3000)")))
    assert constants_read(after.model) == [(1, 1)]
    assert [node.op_type for node in after.model.graph] == ["Add"]


@pytest.mark.parametrize("elements", ["float16", "bfloat16", "double", "int64", "uint8"])
def test_elements_of_every_size(elements: str) -> None:
    zeros = np.zeros((T, T), ml_dtypes.bfloat16 if elements == "bfloat16" else elements)
    made = model("y = Add(x, typed)", elements)
    made.graph.initializer.append(ir.to_proto(ir.tensor(zeros, name="typed")))
    after = write_out(load(made))
    assert constants_read(after.model) == [(1, 1)]
    assert after.model.graph.initializers["typed/alike"].dtype == ir.DataType.from_numpy(zeros.dtype)


def test_an_addition_of_zero_costs_nothing_and_the_original_what_it_did() -> None:
    before = load(model(FEWER["a mask that hides nothing"][0]))
    after = write_out(before)
    (add,) = after.graph.ops
    assert added_to_nothing(add, after.graph) == "x"
    assert not added_to_nothing(before.graph.ops[0], before.graph)
    prices = CostModel.load()
    whole, alone = (Seconds(m.graph, make_setting(m.graph).rules, prices).total() for m in (before, after))
    assert alone == pytest.approx(whole)
    assert prices.op_seconds(add, after.graph, after.graph.shape) == prices.constants.dispatch_s < whole


def test_what_nothing_reads_any_more_is_gone() -> None:
    kept = write_out(load(model(f"{MASK} a = Add(x, mask) b = MatMul(a, mask) y = Add(b, mask)"))).model.graph
    gone = write_out(load(model(f"{MASK} a = Add(x, mask) y = Add(a, mask)"))).model.graph
    assert [node.op_type for node in kept] == ["Expand", "Where", "Add", "MatMul", "Add"]
    assert [node.op_type for node in gone] == ["Add", "Add"]
    assert {"seen", "low"} <= kept.initializers.keys()
    assert gone.initializers.keys().isdisjoint({"seen", "low"})


@pytest.mark.parametrize("form", ["scan", "unroll"])
def test_the_mask_of_a_chunked_stretch_is_no_more(form: str, tmp_path: Path) -> None:
    size = np.array([ROWS, ROWS])
    made = model(
        f"t = Transpose(x) s = MatMul(x, t) {MASK} m = Add(s, mask) p = Softmax(m) y = MatMul(p, x)",
        shape=(ROWS, 16),
    )
    for tensor in made.graph.initializer:
        if tensor.name in ("shape", "seen"):
            grown = size if tensor.name == "shape" else np.ones((ROWS, 1), bool)
            tensor.CopyFrom(numpy_helper.from_array(grown, tensor.name))
    result = autochunk(made, budget="40%", form=form)
    assert result.report.regions
    result.save(tmp_path / "out.onnx")
    saved = onnx.load(tmp_path / "out.onnx")
    assert not {"Where", "Expand"}.intersection(node.op_type for node in saved.graph.node)
    assert not {"seen", "low"}.intersection(tensor.name for tensor in saved.graph.initializer)
    np.testing.assert_allclose(run(saved), run(made), rtol=1e-5, atol=1e-5)
