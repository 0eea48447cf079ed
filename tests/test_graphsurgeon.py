"""Graphs of onnx-graphsurgeon: equal results, captured weights written once, the caller's graph as it was."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from onnx_autochunk.errors import UsageError
from onnx_autochunk.graphsurgeon import autochunk
from onnx_autochunk.runtime.session import exact_options, open_session, run
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from tests.emit.regions import bodies
from tests.plan.graphs import transformer

TOKENS, WIDTH = 512, 128
# `w` is read by the main graph, by both branches and by the loop; `v` by the loop and by a branch only.
BODIES = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["": 21]>
g (float[{TOKENS},{WIDTH}] x, bool choice) => (float[{TOKENS},{WIDTH}] y) <float[{TOKENS},{WIDTH}] looped> {{
    left = MatMul(x, w)
    scores = MatMul(x, wide)  gate = Sigmoid(scores)
    hidden = Mul(scores, gate)  narrow = MatMul(hidden, back)
    picked = If(choice) <
        then_branch = yes () => (float[{TOKENS},{WIDTH}] yes_out) {{ yes_out = MatMul(narrow, w) }},
        else_branch = no () => (float[{TOKENS},{WIDTH}] no_out) {{
            no_mid = MatMul(narrow, v)  no_out = MatMul(no_mid, w) }}>
    looped = Loop(trips, , picked) <body = once (int64 i, bool go, float[{TOKENS},{WIDTH}] held)
        => (bool going, float[{TOKENS},{WIDTH}] next) {{
        going = Identity(go)  mid = MatMul(held, w)  sum = MatMul(mid, v)  next = Tanh(sum) }}>
    y = Add(left, looped)
}}""")


def _bodies() -> onnx.ModelProto:
    model, generator = onnx.ModelProto(), np.random.default_rng(0)
    model.CopyFrom(BODIES)
    shapes = {"w": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "wide": (WIDTH, 2048), "back": (2048, WIDTH)}
    for name, shape in shapes.items():
        weight = generator.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, name))
    model.graph.initializer.append(numpy_helper.from_array(np.array(2, np.int64), "trips"))
    return model


MODELS = {"transformer": transformer(2), "large": transformer(2, width=256), "bodies": _bodies()}


def _weights(model: onnx.ModelProto, least_bytes: int = 1024) -> Counter[bytes]:
    tensors = [tensor for graph in (model.graph, *bodies(model.graph)) for tensor in graph.initializer]
    tensors += [
        node.attribute[0].t
        for graph in (model.graph, *bodies(model.graph))
        for node in graph.node
        if node.op_type == "Constant"
    ]
    contents = (numpy_helper.to_array(tensor).tobytes() for tensor in tensors)
    return Counter(content for content in contents if len(content) >= least_bytes)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_graph_is_chunked_and_every_weight_written_once(name: str, tmp_path: Path) -> None:
    gs = pytest.importorskip("onnx_graphsurgeon")
    original = MODELS[name]
    graph = gs.import_onnx(original)
    before = gs.export_onnx(graph).SerializeToString()
    chunked = autochunk(graph, budget="60%", no_verify=True)
    assert gs.export_onnx(graph).SerializeToString() == before
    out = gs.export_onnx(chunked.copy().cleanup().toposort())  # what its users do with it
    onnx.checker.check_model(out, full_check=True)
    assert any(node.op_type == "Scan" for node in out.graph.node)
    assert _weights(out) == _weights(original)
    assert out.ByteSize() <= max(1.01 * original.ByteSize(), original.ByteSize() + 16_384)
    _check_equal(original, out, tmp_path)


def _check_equal(original: onnx.ModelProto, out: onnx.ModelProto, folder: Path) -> None:
    files = folder / "in.onnx", folder / "out.onnx"
    for model, file in zip((original, out), files, strict=True):
        onnx.save(model, file)
    _check_equal_files(*files)


def _check_equal_files(original: Path, out: Path) -> None:
    inputs = random_inputs(read_specs(original), seed=1)
    expected, found = (
        run(open_session(file, options=exact_options(threads=1)), inputs) for file in (original, out)
    )
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


def test_captured_weights_may_lie_beside_the_file(tmp_path: Path) -> None:
    gs = pytest.importorskip("onnx_graphsurgeon")
    original, path = MODELS["large"], tmp_path / "out.onnx"
    out = gs.export_onnx(autochunk(gs.import_onnx(original), budget="60%", no_verify=True))
    onnx.save(out, path, save_as_external_data=True, location="out.onnx.data", convert_attribute=True)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1.01 * original.ByteSize()
    assert path.stat().st_size < 0.1 * original.ByteSize()
    onnx.save(original, tmp_path / "in.onnx")
    _check_equal_files(tmp_path / "in.onnx", path)


def test_without_anything_to_gain_the_graph_comes_back_equal() -> None:
    gs = pytest.importorskip("onnx_graphsurgeon")
    text = '<ir_version: 10, opset_import: ["": 21]> g (float[4] x) => (float[4] y) { y = Abs(x) }'
    graph = gs.import_onnx(onnx.parser.parse_model(text))
    same = autochunk(graph, no_verify=True)
    assert same is not graph
    assert [(node.op, node.inputs, node.outputs) for node in same.nodes] == [
        (node.op, node.inputs, node.outputs) for node in graph.nodes
    ]


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx_graphsurgeon", None)
    with pytest.raises(UsageError, match=r"pip install onnx_autochunk\[graphsurgeon\]"):
        autochunk(None)
