"""Frames around regions and groups of them: same results, and what must stay outside does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk.emit.frame import UNFRAMED, frame, frameable
from onnx_autochunk.emit.scope import Scope
from onnx_autochunk.emit.weave import chunk, weave
from onnx_autochunk.graph.names import Names
from onnx_autochunk.graph.numbers import released
from onnx_autochunk.options import Form
from onnx_autochunk.plan.plan import Frames
from onnx_autochunk.verify.measure import measure_peak
from tests.emit.regions import Sample, Stretch, bodies, check_close, nodes, outputs_of, plan_of
from tests.emit.samples import SAMPLES

LAYERS = Sample(
    """(float[1,12,8] x) => (float[1,12,8] z) {
        t = Relu(x)
        n = LayerNormalization(t, g)  a = MatMul(n, w)  b = Tanh(a)  c = Add(t, b)
        m = LayerNormalization(c, g)  d = MatMul(m, w)  e = Tanh(d)  f = Add(c, e)  z = Neg(f)
    }""",
    (Stretch("a b c", 1), Stretch("d e f", 1)),
    weights={"g": (8,), "w": (8, 8)},
)
CONVOLVED = Sample(
    """(float[1,4,12] x) => (float[1,4,12] z) {
        t = Relu(x)  c = Conv<pads=[1,1]>(t, w)  n = LayerNormalization(c, g)
        a = Exp(n)  b = Add(c, a)  z = Neg(b)
    }""",
    (Stretch("a b", 1),),
    weights={"w": (4, 4, 3), "g": (12,)},
    lengths=(2, 3),
)
ENDS = "{ t = Relu(x)  a = Exp(t)  y = Add(t, a) }"
LONE = Sample(
    "(float[12,4] x) => (float[12,4] z) { a = Exp(x)  b = Add(x, a)  z = Neg(b) }", (Stretch("a b", 0),)
)
LAST = Sample(f"(float[12,4] x) => (float[12,4] y) {ENDS}", (Stretch("a y", 0),))
ON_OUTPUT = Sample(f"(float[12,4] x) => (float[12,4] t, float[12,4] y) {ENDS}", (Stretch("a y", 0),))
FRAMED = {
    **SAMPLES,
    "layers": LAYERS,
    "convolved": CONVOLVED,
    "lone": LONE,
    "last": LAST,
    "on output": ON_OUTPUT,
}


def _cases() -> Iterator[object]:
    for name, sample in FRAMED.items():
        for frames in Frames:
            for length in sample.lengths[-2:]:
                yield pytest.param(name, frames, length, id=f"{name}-{frames.value}-{length}")


@pytest.mark.parametrize(("name", "frames", "length"), list(_cases()))
def test_frames_compute_the_same(name: str, frames: Frames, length: int) -> None:
    sample = FRAMED[name]
    loaded = sample.loaded()
    made = weave(loaded, plan_of(loaded, sample.stretches, sample.forms[0], length, frames))
    proto = ir.to_proto(released(made, None))
    onnx.checker.check_model(proto, full_check=True)
    names = [node.name for node in nodes(proto.graph)]
    assert len(set(names)) == len(names)
    expected, found = outputs_of(sample.model()), outputs_of(proto)
    assert found.keys() == expected.keys()
    for output, array in expected.items():
        check_close(found[output], array)


def _depth(graph: onnx.GraphProto) -> int:
    return max((1 + _depth(body) for body in _direct(graph)), default=0)


def _direct(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        if not node.name.startswith("apart/"):
            yield from (a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)


def _loops(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    return [node for node in graph.node if node.op_type == "Scan" and not node.name.startswith("apart/")]


@pytest.mark.parametrize(
    ("name", "frames", "depth", "outermost"),
    [
        ("layers", Frames.NONE, 1, ["chunk/r0/Scan", "chunk/r1/Scan"]),
        ("layers", Frames.REGIONS, 2, ["frame/r0/Scan", "frame/r1/Scan"]),
        ("layers", Frames.GROUPS, 2, ["frame/r0_group/Scan", "frame/r1_group/Scan"]),
        ("last", Frames.REGIONS, 2, ["frame/r0/Scan"]),
        ("lone", Frames.REGIONS, 1, ["chunk/r0/Scan"]),
        ("on output", Frames.REGIONS, 1, ["chunk/r0/Scan"]),
    ],
)
def test_what_is_framed(name: str, frames: Frames, depth: int, outermost: list[str]) -> None:
    sample = FRAMED[name]
    loaded = sample.loaded()
    plan = plan_of(loaded, sample.stretches, Form.SCAN, 3, frames)
    proto = ir.to_proto(weave(loaded, plan))
    assert _depth(proto.graph) == depth
    assert [node.name for node in _loops(proto.graph)] == outermost


@pytest.mark.parametrize("frames", [Frames.REGIONS, Frames.GROUPS])
def test_a_tail_in_a_frame_is_a_body(frames: Frames) -> None:
    loaded = LAYERS.loaded()
    proto = ir.to_proto(weave(loaded, plan_of(loaded, LAYERS.stretches, Form.SCAN, 5, frames)))
    held = list(_direct(proto.graph))
    assert len(held) == 2
    for body in held:
        assert "MatMul" not in {node.op_type for node in body.node}
        assert [sum(node.op_type == "MatMul" for node in deep.node) for deep in _direct(body)] == [1, 1]


@pytest.mark.parametrize(("name", "frames"), [("lone", Frames.REGIONS), ("layers", Frames.NONE)])
def test_a_tail_without_a_frame_is_written_out(name: str, frames: Frames) -> None:
    sample = FRAMED[name]
    loaded = sample.loaded()
    proto = ir.to_proto(weave(loaded, plan_of(loaded, sample.stretches, Form.SCAN, 5, frames)))
    assert _depth(proto.graph) == 1
    assert len(_loops(proto.graph)) == len(sample.stretches)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
def test_weights_of_a_framed_region_with_a_tail_are_held_once(tmp_path: Path) -> None:
    sample = Sample(
        """(float[12,1024] x) => (float[12,1024] z) {
            t = LayerNormalization(x, g)
            a = MatMul(t, w)  b = Tanh(a)  c = MatMul(b, v)  z = Neg(c)
        }""",
        (Stretch("a b c", 0),),
        weights={"g": (1024,), "w": (1024, 4096), "v": (4096, 1024)},  # 32 MiB
    )
    loaded = sample.loaded()
    made = weave(loaded, plan_of(loaded, sample.stretches, Form.SCAN, 5, Frames.REGIONS))
    models = {"original": sample.model(), "framed": ir.to_proto(made)}
    assert _depth(models["framed"].graph) == 2
    feeds, resident = {"x": np.ones((12, 1024), np.float32)}, {}
    for name, model in models.items():
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        resident[name] = measure_peak(path, feeds, threads=1, default_session=False).resident_bytes
    assert resident["framed"] < 1.25 * resident["original"]


def test_groups_hold_regions_that_hold_frames() -> None:
    loaded = LAYERS.loaded()
    plan = plan_of(loaded, LAYERS.stretches, Form.SCAN, 3, Frames.NESTED, crossing=(9, 1))
    assert [len(group) for group in plan.groups] == [2]
    proto = ir.to_proto(weave(loaded, plan))
    assert _depth(proto.graph) == 3
    expected, found = outputs_of(LAYERS.model()), outputs_of(proto)
    check_close(found["z"], expected["z"])


def test_every_framing_of_one_model_is_what_it_would_be_alone() -> None:
    loaded = LAYERS.loaded()
    plans = [plan_of(loaded, LAYERS.stretches, Form.SCAN, 5, frames, crossing=(9, 1)) for frames in Frames]
    woven = chunk(loaded, plans[0])
    for plan in plans:
        assert ir.to_proto(woven.framed(plan.frames)) == ir.to_proto(weave(loaded, plan))


def test_convolutions_stay_outside() -> None:
    loaded = CONVOLVED.loaded()
    proto = ir.to_proto(weave(loaded, plan_of(loaded, CONVOLVED.stretches, Form.SCAN, 2, Frames.REGIONS)))
    assert _depth(proto.graph) == 2
    assert not UNFRAMED & {node.op_type for body in bodies(proto.graph) for node in body.node}
    inside = {node.op_type for body in _direct(proto.graph) for node in body.node}
    assert "LayerNormalization" in inside


def _graph(text: str) -> ir.Graph:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {text}')
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto)).graph


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("(float[4] x) => (float[4] z) { a = Exp(x)  b = Neg(a)  z = Relu(b) }", "Exp Neg Relu"),
        ("(float[4] x) => (float[2,2] z) { a = Exp(x)  z = Reshape(a, s) }", "Exp"),
        ("(float[4] x) => (float[4] z) { a = Exp(x)  b = Flatten(a)  z = Squeeze(b) }", "Exp"),
        ("(float[4] x) => (float[1,4] z) { a = Flatten<axis=0>(x)  z = Exp(a) }", "Flatten Exp"),
    ],
)
def test_what_puts_results_together_stays_outside(text: str, kept: str) -> None:
    assert [node.op_type for node in frameable(list(_graph(text)))] == kept.split()


@pytest.mark.parametrize(
    "text",
    [
        "(float[4] x) => (int64[1,n] z) { a = NonZero(x)  z = Neg(a) }",
        "(float[2,0] x) => (float[2,0] z) { a = Exp(x)  z = Neg(a) }",
    ],
)
def test_a_result_of_unknown_size_or_of_none_is_not_framed(text: str) -> None:
    graph = _graph(text)
    before = list(graph)
    assert frame(graph, before[:1], Scope("frame", Names([]))) == []
    assert list(graph) == before
