"""Reference sizes for symbolic dims, and what is said when they are missing or contradict."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from onnx import parser

from onnx_autochunk.errors import UsageError
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.loaded import Loaded

Shape = tuple[int, ...]

NAMED = "(float[N,4] x, float[N,4] m) => (float[N,4] y) { y = Add(x, m) }"
UNNAMED = "(float[?,4] x) => (float[?,4] y) { y = Neg(x) }"
FIXED = "(float[3,4] x) => (float[3,4] y) { y = Neg(x) }"


def bound(text: str, dims: Mapping[str, int], shapes: Mapping[str, Shape]) -> Loaded:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["": 21, "local": 1]> g {text}')
    return load(model, dims=dims, shapes=shapes)


# Signature and nodes, --dim, --input-shape, the shape of y and the sizes used.
BOUND: dict[str, tuple[str, dict[str, int], dict[str, Shape], Shape, dict[str, int]]] = {
    "nothing to bind": (FIXED, {}, {}, (3, 4), {}),
    "a dim": (NAMED, {"N": 7}, {}, (7, 4), {"N": 7}),
    "a shape binds the dims it names": (NAMED, {"N": 7}, {"x": (7, 4)}, (7, 4), {"N": 7}),
    "shapes of all inputs": (NAMED, {}, {"x": (7, 4), "m": (7, 4)}, (7, 4), {"N": 7}),
    "a dim without a name": (UNNAMED, {}, {"x": (5, 4)}, (5, 4), {"x.0": 5}),
    "a fixed shape repeated": (FIXED, {}, {"x": (3, 4)}, (3, 4), {}),
}


@pytest.mark.parametrize(("text", "dims", "shapes", "shape", "used"), BOUND.values(), ids=BOUND)
def test_dims_are_bound(
    text: str, dims: dict[str, int], shapes: dict[str, Shape], shape: Shape, used: dict[str, int]
) -> None:
    loaded = bound(text, dims, shapes)
    assert loaded.graph.shape("y") == shape
    assert loaded.dims == used


def test_what_nothing_infers_still_has_axes() -> None:
    """A result without a shape is not valid."""
    made = bound("(float[N,4] x) => (float[N,?] y) { y = local.Unknown(x) }", {"N": 7}, {}).model
    (shape,) = (value.shape for value in made.graph.outputs)
    assert shape is not None and len(shape) == 2


def test_every_shape_behind_the_inputs_follows() -> None:
    text = "(float[B,N,6] x) => (float[B,K] y) { s = Shape<end=1>(x) m = Constant<value=int64[1] {-1}>() "
    text += "t = Concat<axis=0>(s, m) a = Relu(x) b = Exp(a) y = Reshape(b, t) }"
    graph = bound(text, {"B": 2, "N": 5}, {}).graph
    assert [graph.shape(name) for name in "xaby"] == [(2, 5, 6)] * 3 + [(2, 30)]


# Signature and nodes, --dim, --input-shape, and words of the message: what, where, how.
REFUSED: dict[str, tuple[str, dict[str, int], dict[str, Shape], list[str]]] = {
    "no size": (NAMED, {}, {}, ["input 'x'", "'N'", "--dim N=SIZE"]),
    "no size, and one too many": (NAMED, {"M": 3}, {}, ["'N'", "--dim N=SIZE"]),
    "no size for a dim without a name": (UNNAMED, {}, {}, ["input 'x'", "axis 0", "--input-shape x:SIZE"]),
    "a dim that is not there": (NAMED, {"N": 7, "M": 3}, {}, ["--dim M", "no input", "N"]),
    "a dim where none is symbolic": (FIXED, {"M": 3}, {}, ["--dim M", "none"]),
    "an input that is not there": (NAMED, {"N": 7}, {"z": (7, 4)}, ["--input-shape z", "x, m"]),
    "too few axes": (NAMED, {}, {"x": (7,)}, ["--input-shape x", "1 sizes", "2 axes"]),
    "against a fixed size": (FIXED, {}, {"x": (3, 5)}, ["--input-shape x", "axis 1", "5", "4"]),
    "two inputs disagree": (NAMED, {}, {"x": (7, 4), "m": (8, 4)}, ["'N'", "7", "8"]),
    "dim and shape disagree": (NAMED, {"N": 8}, {"x": (7, 4)}, ["'x'", "'N'", "7", "8"]),
}


@pytest.mark.parametrize(("text", "dims", "shapes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_bound_is_said(
    text: str, dims: dict[str, int], shapes: dict[str, Shape], said: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        bound(text, dims, shapes)
    assert all(words in str(caught.value) for words in said), str(caught.value)
