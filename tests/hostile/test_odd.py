"""Odd but valid models come out smaller or as they were, with the same outputs and the same interface."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper

from onnx_autochunk import autochunk
from onnx_autochunk.graph.fold import RANDOM
from onnx_autochunk.verify.compare import compare

from .build import model

ROWS, COLUMNS = 2048, 16
X = f"float[{ROWS},{COLUMNS}]"
WIDE = "h = MatMul(x, w) g = Sigmoid(h)"  # 64 times as large as x
W = np.linspace(-1, 1, COLUMNS * 1024, dtype=np.float32).reshape(COLUMNS, 1024)
V = W.T.copy()


def mlp(nodes: str, inputs: str = "", outputs: str = "", **weights: object) -> ModelProto:
    """A block worth chunking, `x -> MatMul -> Sigmoid -> ... -> y`, with something odd in it."""
    text = f"({X} x{inputs}) => ({X} y{outputs}) {{ {nodes} }}"
    return model(text, **{"w": W, "v": V, **weights})


PLAIN = f"{WIDE} y = MatMul(g, v)"


def _weights_as_inputs() -> ModelProto:
    return mlp(PLAIN, f", float[{COLUMNS},1024] w")


def _same_names() -> ModelProto:
    proto = mlp(PLAIN)
    for node in proto.graph.node:
        node.name = "[/bold] a/b:0"
    return proto


def _says(shape: list[int] | None, elem_type: int = TensorProto.FLOAT) -> ModelProto:
    """Information about a value that is wrong, or only half there."""
    proto = mlp(PLAIN)
    proto.graph.value_info.append(helper.make_tensor_value_info("h", elem_type, shape))
    return proto


def _slashes() -> ModelProto:
    proto = mlp(PLAIN)
    for node in proto.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"/block.0/{name}:0" if name in ("h", "g") else name for name in names]
    return proto


BRANCH = """c = Constant<value=int64 {0}>() s = SequenceConstruct(x, x) a = SequenceAt(s, c)
h = MatMul(a, w) g = Sigmoid(h) y = MatMul(g, v)"""

ODD: dict[str, ModelProto] = {
    "plain": mlp(PLAIN),
    "a weight that is an input": _weights_as_inputs(),
    "Constant nodes": mlp(f"two = Constant<value=float {{2.0}}>() {WIDE} t = Mul(g, two) y = MatMul(t, v)"),
    "the same name for all nodes": _same_names(),
    "names with slashes": _slashes(),
    "wrong sizes": _says([3, 5]),
    "wrong rank": _says([7]),
    "no sizes": _says(None),
    "sizes of -1": _says([-1, -1]),
    "an absent operand": mlp(f"{WIDE} t = Clip(g, , top) y = MatMul(t, v)", top=np.float32(0.5)),
    "an absent result": mlp(f"{WIDE} t, m = Dropout(g) y = MatMul(t, v)"),
    "an unused result": mlp(f"{WIDE} n = Exp(g) y = MatMul(g, v)"),
    "an input that is an output": mlp(f"{PLAIN} z = Identity(x)", "", f", {X} z"),
    "an unused input": mlp(PLAIN, ", float[3] unused"),
    "a scalar input": mlp(f"{WIDE} t = Mul(g, s) y = MatMul(t, v)", ", float s"),
    "an empty input": mlp(f"{WIDE} y = MatMul(g, v) z = Neg(e)", ", float[0,4] e", ", float[0,4] z"),
    "an empty weight": mlp(
        f"{WIDE} t = Concat<axis=0>(g, e) y = MatMul(t, v)", e=np.zeros((0, 1024), np.float32)
    ),
    "a sequence": mlp(BRANCH),
    "an optional": mlp(f"o = Optional(x) a = OptionalGetElement(o) {WIDE} t = MatMul(g, v) y = Add(t, a)"),
    "a custom domain": mlp("h = MatMul(x, w) g = com.microsoft.Gelu(h) y = MatMul(g, v)"),
    "a batch of none": model("(float[0,16] x) => (float[0,16] y) { a = Exp(x) y = Neg(a) }"),
    "bodies": mlp(
        f"""{WIDE} t = MatMul(g, v)
        y = If(c) <then_branch = a () => ({X} p) {{ p = Neg(t) }},
                   else_branch = b () => ({X} q) {{ q = Exp(t) }}>""",
        ", bool c",
    ),
}  # fmt: skip


def _feeds(proto: ModelProto) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    generator, weights = np.random.default_rng(0), {tensor.name for tensor in proto.graph.initializer}
    found = {}
    for value in proto.graph.input:
        if value.name not in weights:
            kind = value.type.tensor_type
            array = generator.standard_normal([dim.dim_value for dim in kind.shape.dim])
            found[value.name] = np.asarray(array, helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return found


def _outputs(
    proto: ModelProto, feeds: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    proto = ModelProto.FromString(proto.SerializeToString())
    for node in proto.graph.node:
        node.name = ""  # ONNX Runtime takes no name twice
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("proto", ODD.values(), ids=ODD)
def test_odd_models_stay_equal(proto: ModelProto) -> None:
    result = autochunk(proto, budget="30%", best_effort=True, no_verify=True, threads=1)
    chunked = ir.to_proto(result.model)
    feeds = _feeds(proto)
    assert compare(_outputs(proto, feeds), _outputs(chunked, feeds)).passed
    for before, after in (
        (proto.graph.input, chunked.graph.input),
        (proto.graph.output, chunked.graph.output),
    ):
        assert [value.name for value in before] == [value.name for value in after]
    peak, was = result.report.chunked.predicted_peak_bytes, result.report.baseline.predicted_peak_bytes
    assert peak is None or (was is not None and peak < was)


def test_the_block_is_chunked_at_all() -> None:
    assert autochunk(ODD["plain"], budget="30%", no_verify=True).report.regions


RANDOM_NODES = {
    "RandomNormalLike": "r = RandomNormalLike(g)",
    "RandomUniformLike": "r = RandomUniformLike(g)",
    "Bernoulli": "r = Bernoulli(g)",
    "RandomNormal": f"n = RandomNormal<shape=[{ROWS},1024]>() r = Add(n, g)",
    "RandomUniform": f"n = RandomUniform<shape=[{ROWS},1024]>() r = Add(n, g)",
    "Dropout": "r = Dropout(g, ratio, yes)",
    "Multinomial": "m = Multinomial<sample_size=1024>(g) r = Cast<to=1>(m)",
}


@pytest.mark.parametrize(("kind", "nodes"), RANDOM_NODES.items(), ids=RANDOM_NODES)
def test_random_ops_are_in_no_region(kind: str, nodes: str) -> None:
    proto = mlp(f"{WIDE} {nodes} e = Exp(r) y = MatMul(e, v)", ratio=np.float32(0.5), yes=np.array(True))
    result = autochunk(proto, budget="30%", best_effort=True, no_verify=True)
    assert [node.op_type for node in result.model.graph.all_nodes()].count(kind) == 1
    assert [node.op_type for node in result.model.graph].count(kind) == 1, "in a body"


def test_every_random_op_is_tried() -> None:
    assert RANDOM_NODES.keys() == RANDOM
