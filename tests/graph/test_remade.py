"""Large results of constants: made where they are read, of what ONNX Runtime cannot know when it loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper, parser

from onnx_autochunk.api import autochunk
from onnx_autochunk.graph import remade
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.stand_ins import write_out
from onnx_autochunk.options import Form
from onnx_autochunk.runtime.library import onnxruntime

T = 48
LARGE_BYTES = T * T - 1  # a table of bools is large, and no vector is
CONSTANTS = {
    "rows": np.arange(T)[:, None], "columns": np.arange(T)[None], "shape": np.array([T, T]),
    "one": np.array(1), "front": np.array([0]),
    "low": np.array(-1e9, np.float32), "none": np.array(0, np.float32), "yes": np.array([True]),
    "slopes": np.array([[[0.5]], [[0.25]]], np.float32), "moved": np.array([[0.5]], np.float32),
    "stored": np.ones((T, T), np.float32),
}  # fmt: skip
CAUSAL = "later = Greater(columns, rows) filled = Expand(none, shape) mask = Where(later, low, filled)"
READ = "y = Add(x, mask)"

# Nodes that make `mask` and read it.
REMADE = {
    "a causal mask": f"{CAUSAL} {READ}",
    "read twice": f"{CAUSAL} a = Add(x, mask) y = Mul(a, mask)",
    "twice by one op": f"{CAUSAL} s = Mul(x, none) m = Add(mask, s) y = Sum(mask, m, mask)",
    "under more axes": f"{CAUSAL} deep = Unsqueeze(mask, front) a = Add(x, deep) y = Squeeze(a, front)",
    "a lower triangle": f"""whole = ConstantOfShape<value = float[1] {{1.0}}>(shape)
        mask = Trilu<upper=0>(whole) {READ}""",
    "an upper one that is moved": f"""whole = ConstantOfShape(shape) l = Sub(whole, moved)
        mask = Trilu(l, one) {READ}""",
    "of bools": f"""whole = Expand(yes, shape) kept = Trilu<upper=0>(whole) no = Not(kept)
        mask = Where(no, low, none) {READ}""",
    "a band": f"""d = Sub(columns, rows) far = Greater(d, one) near = Less(d, one) out = Or(far, near)
        mask = Cast<to=1>(out) {READ}""",
    "distances times slopes": """d = Sub(columns, rows) f = Cast<to=1>(d) mask = Mul(f, slopes)
        a = Add(x, mask) y = ReduceSum<keepdims=0>(a, front)""",
    "positions that are counted": f"""start = Constant<value_int=0>() end = Constant<value_int={T}>()
        counted = Range(start, end, one) c = Unsqueeze(counted, front) later = Greater(c, rows)
        mask = Where(later, low, none) {READ}""",
}
KEPT = {
    "a stored one": "mask = Neg(stored) " + READ,
    "what takes long": "a = Neg(stored) mask = MatMul(a, stored) " + READ,
    "a result": f"{CAUSAL} {READ}",
    "what an input decides": "e = Equal(x, none) mask = Where(e, low, none) " + READ,
    "small": "mask = Neg(low) " + READ,
}


def model(nodes: str, results: str = "", width: int = T) -> ModelProto:
    head = f"(float[{T},{width}] x) => (float[{T},{width}] y{results})"
    made = parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> g {head} {{ {nodes} }}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in CONSTANTS.items())
    return made


def run(made: ModelProto, folder: Path) -> tuple[NDArray[np.float32], int]:
    """The result, and elements of the largest constant that ONNX Runtime holds of it."""
    ort, path = onnxruntime(), folder / "optimized.onnx"
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(path), 3
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal(session.get_inputs()[0].shape, np.float32)
    held = [int(np.prod(tensor.dims)) for tensor in onnx.load(path).graph.initializer]
    return session.run(["y"], {"x": x})[0], max(held)


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remade, "LARGE_BYTES", LARGE_BYTES)


@pytest.mark.parametrize("nodes", REMADE.values(), ids=REMADE)
def test_computes_the_same_and_holds_vectors_only(nodes: str, tmp_path: Path) -> None:
    before = load(model(nodes))
    after = write_out(before)
    assert after.model is not before.model
    expected, held = run(ir.to_proto(before.model), tmp_path)
    found, left = run(ir.to_proto(after.model), tmp_path)
    np.testing.assert_array_equal(found, expected)
    assert left <= T < held
    onnx.checker.check_model(ir.to_proto(after.model), full_check=True)


@pytest.mark.parametrize(("name", "nodes"), KEPT.items(), ids=KEPT)
def test_stays_as_it_is(name: str, nodes: str) -> None:
    loaded = load(model(nodes, f", float[{T},{T}] mask" if name == "a result" else ""))
    assert write_out(loaded) is loaded


HALVES = """later = Greater(columns, rows) filled = Expand(zero, twice) mask = Where(later, lowest, filled)
    h = Cast<to=10>(x) a = Add(h, mask) f = Cast<to=1>(a) y = ReduceMax<keepdims=0>(f, front)"""


def test_what_half_types_compute_in_each_run_is_large_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime folds no Where of float16, and makes the mask in float32 in each run."""
    monkeypatch.undo()
    made = model(HALVES)
    for name, number in (("zero", np.float16(0)), ("lowest", np.float16(-6e4)), ("twice", [2, T, T])):
        made.graph.initializer.append(numpy_helper.from_array(np.array(number), name))
    loaded = load(made)
    assert write_out(loaded) is loaded
    monkeypatch.setattr(remade, "RUN_BYTES", LARGE_BYTES)
    before, after = ({op.type for op in one.graph.ops} for one in (loaded, write_out(loaded)))
    assert "Greater" in after - before and "Where" in before


ATTENTION = "{i}s = MatMul({x}, {t}) {i}a = Add({i}s, mask) {i}p = Softmax({i}a) {y} = MatMul({i}p, {x})"


@pytest.mark.parametrize("form", [Form.SCAN, Form.UNROLL], ids=lambda form: form.value)
def test_every_region_makes_what_its_chunks_need(form: Form, tmp_path: Path) -> None:
    layers = (("first", "x", "h"), ("second", "h", "y"))
    text = [f"{i}t = Transpose({x}) " + ATTENTION.format(i=i, x=x, t=f"{i}t", y=y) for i, x, y in layers]
    made = model(f"{CAUSAL} {' '.join(text)}", width=4)
    result = autochunk(made, budget="40%", form=form, no_verify=True)
    assert len(result.report.regions) >= 2
    expected, _ = run(made, tmp_path)
    found, held = run(ir.to_proto(result.model), tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert held < T * T / 2
