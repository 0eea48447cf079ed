"""What loops make is held while it is needed, and no longer because something later has its shape."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.numbers import released
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Form
from onnx_autochunk.plan.plan import Frames
from onnx_autochunk.runtime.exact import Level, exact_timeline
from onnx_autochunk.verify.measure import measure_peak
from tests.emit.regions import Sample, Stretch, plan_of

WIDE = 4096 * 256 * 4
# `a` is needed no more while `g` and `h` are, which hold most; later `c` has the shape that `a` had
SAMPLE = Sample(
    """(float[4096,64] x) => (float[4096,256] z) {
        i = MatMul(x, w)  a = Tanh(i)  j = MatMul(a, v)  b = Tanh(j)
        g = MatMul(b, wide)  h = Tanh(g)  n = MatMul(h, narrow)  e = Exp(n)
        k = MatMul(e, w)  c = Tanh(k)  z = Neg(c)
    }""",
    (Stretch("i a", 0), Stretch("j b", 0), Stretch("k c", 0)),
    weights={"w": (64, 256), "v": (256, 64), "wide": (64, 1024), "narrow": (1024, 64)},
)


def _made(provider: str = "cpu", frames: Frames = Frames.NONE) -> ir.Model:
    loaded = SAMPLE.loaded()
    plan = plan_of(loaded, SAMPLE.stretches, Form.SCAN, 512, frames, (0, 0, 0))
    return weave(loaded, plan, provider=provider)


def test_a_dead_buffer_is_not_held_for_a_later_one() -> None:
    graph, held = derive(_made()).graph, derive(_made("cuda")).graph
    assert simulate(graph).peak_bytes == simulate(graph, reuse=False).peak_bytes
    more_bytes = simulate(held).peak_bytes - simulate(graph).peak_bytes
    assert WIDE - 1024 < more_bytes <= WIDE  # and some vectors of sizes


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
def test_runtime_holds_what_the_simulation_says(tmp_path: Path) -> None:
    path, model = tmp_path / "apart.onnx", _made()
    onnx.save(ir.to_proto(released(model, None)), path)
    predicted = simulate(derive(model).graph).peak_bytes
    found = measure_peak(path, {"x": np.ones((4096, 64), np.float32)}, threads=1, default_session=False)
    assert abs(found.activation_peak_bytes - predicted) < WIDE / 10


@pytest.mark.parametrize("frames", [Frames.NONE, Frames.REGIONS])
def test_what_is_hidden_from_runtime_is_known_when_the_file_is_read(frames: Frames, tmp_path: Path) -> None:
    path, model = tmp_path / "apart.onnx", _made(frames=frames)
    onnx.save(ir.to_proto(released(model, None)), path)
    read, graph = load(path), derive(model).graph
    for name, value in graph.values.items():
        assert read.graph.values[name].shape == value.shape
        assert (None in (read.graph.values[name].dims or ())) == (None in (value.dims or ()))
    assert simulate(read.graph).peak_bytes == simulate(graph).peak_bytes
    exact = exact_timeline(read.model)
    assert exact.level is Level.EXACT
    assert exact.timeline.peak_bytes == simulate(graph).peak_bytes
