"""Shapes that a model asks for: constants once sizes are known, so that no path goes through them."""

from __future__ import annotations

import numpy as np

from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.stand_ins import write_out
from tests.plan.graphs import model

ASKS = """(float[4,6] x) => (float[4,3] y, int64[2] asked) {
    e = Exp(x)  shape = Shape(e)  width = Gather(shape, at)  half = Div(width, two)
    y = Slice(e, zero, half, at)  asked = Shape(x) }"""


def test_known_shapes_are_constants_but_for_outputs() -> None:
    loaded = load(model(ASKS, at=[1], two=[2], zero=[0]))
    written = write_out(loaded)
    assert [node.op_type for node in written.model.graph] == ["Exp", "Gather", "Div", "Slice", "Shape"]
    shape = written.model.graph.initializers["shape"].const_value
    assert shape is not None
    np.testing.assert_array_equal(shape.numpy(), [4, 6])
    assert [node.op_type for node in loaded.model.graph].count("Shape") == 2  # the given one is as it was


def test_without_shapes_nothing_is_copied() -> None:
    loaded = load(model("(float[4] x) => (float[4] y) { y = Exp(x) }"))
    assert write_out(loaded) is loaded
