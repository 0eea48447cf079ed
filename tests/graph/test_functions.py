"""Operators without a kernel, written out: by the very ops that ONNX Runtime runs, with the same results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnx_autochunk.graph.functions import WITHOUT_KERNEL, defined
from onnx_autochunk.graph.load import load
from onnx_autochunk.verify.equality import compare_models
from onnx_autochunk.verify.inputs import random_inputs, read_specs

X, P = "float[2,4,16,16]", "float[4]"
NORM = "y = GroupNormalization<num_groups=2>(x, s, b)"
BOTH = "a = Mish(x)  c = GroupNormalization<num_groups=4>(a, s, b)  d = Mish(c)  y = Add(a, d)"
CASES = [
    (20, f"({X} x, float[2] s, float[2] b) => ({X} y) {{ {NORM} }}"),
    (21, f"({X} x, {P} s, {P} b) => ({X} y) {{ {NORM} }}"),
    (24, f"({X} x, {P} s, {P} b) => ({X} y) {{ {NORM} }}"),
    (20, f"({X} x, {P} s, {P} b) => ({X} y) {{ {BOTH} }}"),
    (24, f"({X} x) => ({X} y) {{ y = Swish(x) }}"),
    (19, f"({X} x, double z) => (double[2,4,16,16] y) {{ y = CastLike(x, z) }}"),
]


def _model(text: str, opset: int) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}]> g {text}')


def _kinds(path: Path) -> Counter[str]:
    """How many of each operator there are; ONNX Runtime makes initializers of Constants."""
    return Counter(node.op_type for node in onnx.load(path).graph.node if node.op_type != "Constant")


@pytest.mark.parametrize(("opset", "text"), CASES)
def test_what_onnx_runtime_runs(opset: int, text: str, tmp_path: Path) -> None:
    source, target, ran = (tmp_path / f"{name}.onnx" for name in ("source", "target", "ran"))
    onnx.save(_model(text, opset), source)
    found = defined(load(source))
    ir.save(found.model, target)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(ran)
    ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    written, expected = (_kinds(path) for path in (target, ran))
    assert written == expected and not WITHOUT_KERNEL & written.keys()
    assert all(value.shape is not None for value in found.graph.values.values())
    assert compare_models(source, target, [random_inputs(read_specs(source), seed=0)], threads=1).passed
