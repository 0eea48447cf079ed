"""Models at several sizes: what sizes are made of, and what is rewritten so that they can be computed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest

from onnx_autochunk.errors import UsageError
from onnx_autochunk.graph.derive import whole_graph
from onnx_autochunk.graph.dynamic import Atom, Dynamic, bindings
from onnx_autochunk.graph.load import read
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.graph.numbers import ZERO_OPSET, released
from onnx_autochunk.graph.repeated import large, repeat
from onnx_autochunk.graph.several import OLDEST_OPSET, load_open

B, T = (2, 3, 11, 1), (2048, 5, 7, 13)


def _dynamic() -> Dynamic:
    return Dynamic((), {B: Atom("batch", "x", 0), T: Atom("tokens", "x", 1)}, {})


@pytest.mark.parametrize(
    ("size", "label"),
    [
        ((64, 64, 64, 64), 64),
        (T, "tokens"),
        ((4096, 15, 77, 13), "batch*tokens"),
        ((24, 36, 132, 12), "12*batch"),
        ((2048**2, 25, 49, 169), "tokens*tokens"),
        ((2049, 6, 8, 14), None),
        ((1024, 2, 3, 6), None),
    ],
)
def test_a_size_is_a_product_of_what_is_known(size: tuple[int, ...], label: int | str | None) -> None:
    assert _dynamic().label(size) == label


def test_the_sizes_of_choices_are_far_apart() -> None:
    """103 and 107 pixels give as many patches of 16: two sides would be taken for one."""
    choices = bindings({"batch": 1, "height": 512, "width": 512}, static={3, 16})
    assert {dims["batch"] for dims in choices} <= {1, 5, 7, 11, 13, 17, 19, 23, 29}
    sizes = sorted({size for dims in choices[1:] for name, size in dims.items() if name != "batch"} - {1})
    assert len(sizes) > 4 and sizes[0] > 100
    assert all(after // 16 > before // 16 for before, after in pairwise(sizes))


def _open(text: str, **dims: int) -> Loaded:
    return load_open(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {text}'), dims=dims)


SHAPED = """(float[B,T,8] x) => (float[B,T,2,4] y) <int64[1] heads = {2}, int64[1] rest = {4}> {
    a = Relu(x)
    shape = Shape<start=0, end=2>(a)
    target = Concat<axis=0>(shape, heads, rest)
    y = Reshape(a, target)
}"""


def test_shapes_are_asked_of_inputs_only() -> None:
    loaded = _open(SHAPED, B=2, T=16)
    asked = {
        str(node.inputs[0] and node.inputs[0].name) for node in loaded.model.graph if node.op_type == "Shape"
    }
    assert asked == {"x"}
    assert [op.type for op in loaded.graph.ops] == ["Relu", "Reshape"]


PATCHES = """(float[1,3,H,W] x, float[8,3,4,4] k) => (float[1,P,8] y)
<int64[1] one = {1}, int64[1] eight = {8}> {
    conv = Conv<kernel_shape=[4,4], strides=[4,4]>(x, k)
    rows = Shape<start=2, end=3>(conv)
    columns = Shape<start=3, end=4>(conv)
    count = Mul(rows, columns)
    target = Concat<axis=0>(one, eight, count)
    flat = Reshape(conv, target)
    y = Transpose<perm=[0,2,1]>(flat)
}"""


@pytest.mark.parametrize(
    ("text", "dims", "label"),
    [(PATCHES, {"H": 64, "W": 64}, "conv.2*conv.3")],
)
def test_parts_of_an_image_are_sizes_too(text: str, dims: dict[str, int], label: str) -> None:
    loaded = _open(text, **dims)
    assert loaded.dynamic is not None
    sizes = loaded.dynamic.sizes("y")
    assert sizes is not None and label in map(loaded.dynamic.label, sizes)


MASKED = """(float[1,T,T] x, float[1,T,T] z) => (float[1,T,T] y, float[1,T,T] v)
<int64 zero = {0}, int64 step = {1}, int64[1] front = {0}, int64[1] behind = {1}, float low = {-1.0}> {
    size = Shape<start=1, end=2>(x)
    count = Squeeze(size)
    position = Range(zero, count, step)
    row = Unsqueeze(position, behind)
    column = Unsqueeze(position, front)
    later = Greater(column, row)
    y = Where(later, low, x)
    v = Where(later, low, z)
}"""


def test_large_results_of_small_values_are_made_for_every_reader() -> None:
    unbound = read(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {MASKED}'))
    unbound.bind(unbound.model, {"T": 2048}, {})
    found = large(whole_graph(unbound.model))
    assert set(found) == {"later"}
    repeat(unbound.model, found)
    assert [node.op_type for node in unbound.model.graph].count("Greater") == 2
    readers = [node for node in unbound.model.graph if node.op_type == "Where"]
    assert readers[0].inputs[0] is not readers[1].inputs[0]


def test_small_ones_are_made_once() -> None:
    unbound = read(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {MASKED}'))
    unbound.bind(unbound.model, {"T": 64}, {})
    assert not large(whole_graph(unbound.model))


def test_shapes_behind_computed_bounds_are_found() -> None:
    loaded = _open(
        """(float[N,8] x) => (float[M,8] y) <int64[1] zero = {0}, int64[1] two = {2}> {
            size = Shape<start=0, end=1>(x)
            half = Div(size, two)
            double = Mul(half, two)
            a = Slice(x, zero, double, zero)
            again = Shape(a)
            b = Reshape(a, again)
            y = Relu(b)
        }""",
        N=9,
    )
    assert loaded.graph.shape("y") == (8, 8)


def test_a_size_that_inference_takes_for_0_is_found() -> None:
    """ONNX's inference multiplies the width of the values by the heads, also where it does not know it."""
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 24]> g (float[N,8] x) => (float[1,N,M] y)
        <int64[1] zero = {0}, int64[1] one = {1}> {
            size = Shape<start=0, end=1>(x)
            w = Slice(table, zero, size, one)
            q = Unsqueeze(x, zero)
            v = MatMul(q, w)
            y = Attention<q_num_heads=1, kv_num_heads=1>(q, q, v)
        }"""
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((8, 40), np.float32), "table"))
    loaded = load_open(model, dims={"N": 12})
    assert loaded.graph.shape("y") == (1, 12, 12) and loaded.dynamic is not None


def test_bodies_say_of_shapes_what_they_said() -> None:
    """ONNX Runtime wants to know how many axes a Loop carries."""
    loaded = _open(
        """(float[N,8] x) => (float[N,8] y) <int64 count = {2}> {
            y = Loop<body = round (int64 at, bool going, float[N,8] h) => (bool again, float[N,8] next) {
                again = Identity(going)
                next = Neg(h)
            }>(count, , x)
        }""",
        N=12,
    )
    made = released(loaded.model, loaded.dynamic)
    body = next(iter(made.graph)).attributes["body"].as_graph()
    assert [str(value.shape) for value in (body.inputs[2], body.outputs[1])] == ["[N,8]", "[N,8]"]


def test_a_dimension_without_a_name_still_needs_a_shape() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> g (float[N,4] x) => (float[N,4] y) { y = Neg(x) }'
    )
    model.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    with pytest.raises(UsageError, match="--input-shape x"):
        load_open(model)
    loaded = load_open(model, shapes={"x": (6, 4)})
    assert loaded.dynamic is not None and loaded.dims == {"x.0": 6}


def _old(opset: int, dims: str) -> onnx.ModelProto:
    text = f"(float[{dims}] x) => (float[{dims}] y) {{ u = Unsqueeze<axes=[0]>(x) y = Squeeze<axes=[0]>(u) }}"
    return onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["": {opset}]> g {text}')


@pytest.mark.parametrize("opset", [9, 11, 12])
def test_an_old_model_is_raised_to_where_sizes_can_be_computed(opset: int) -> None:
    loaded = load_open(_old(opset, "T,8"), dims={"T": 16})
    assert loaded.dynamic is not None and loaded.model.opset_imports[""] == ZERO_OPSET
    assert loaded.dynamic.accepted["x"] == ("T", 8)


def test_an_old_model_whose_sizes_are_fixed_keeps_its_opset() -> None:
    assert load_open(_old(12, "16,8")).model.opset_imports[""] == 12


def test_an_old_model_that_cannot_be_raised_takes_the_given_sizes_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: onnx.ModelProto, target: int) -> onnx.ModelProto:
        raise RuntimeError(f"no way to {target}")

    monkeypatch.setattr(onnx.version_converter, "convert_version", refuse)
    loaded = load_open(_old(12, "T,8"), dims={"T": 16})
    assert loaded.dynamic is None and loaded.graph.shape("y") == (16, 8)
    assert f"from opset {OLDEST_OPSET} on" in caplog.text
