"""What a file becomes: records that correspond to its nodes, without what is not an activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper, parser

from onnx_autochunk.errors import ModelError
from onnx_autochunk.graph.load import Source, load
from onnx_autochunk.graph.model import Graph, Origin

HEADER = '<ir_version: 10, opset_import: ["": 21, "local": 1]>'


def proto(text: str, **initializers: object) -> ModelProto:
    model = parser.parse_model(f"{HEADER} g {text}")
    for name, data in initializers.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(data), name))
    return model


def types(graph: Graph) -> list[str]:
    return [op.type for op in graph.ops]


FLOATS = np.ones((3,), np.float32)
TABLE = np.ones((4, 4), np.float32)

# Model, the ops that are left to run, and the names that are constants.
FOLDED: dict[str, tuple[ModelProto, list[str], set[str]]] = {
    "a Constant node is no op": (
        proto("(float[3] x) => (float[3] y) { c = Constant<value=float {2.0}>() y = Mul(x, c) }"),
        ["Mul"], {"c"},
    ),
    "an initializer that is an input is a constant": (
        proto("(float[3] x, float[3] w) => (float[3] y) { y = Mul(x, w) }", w=FLOATS), ["Mul"], {"w"},
    ),
    "ops of constants only, through several": (
        proto("(float[4,4] x) => (float[4,4] y) { a = Exp(w) b = Add(a, w) y = Mul(x, b) }", w=TABLE),
        ["Mul"], {"w", "a", "b"},
    ),
    "sizes of static shapes": (
        proto("(float[2,6] x) => (float[12] y) { s = Shape(x) n = ReduceProd(s) y = Reshape(x, n) }"),
        ["Reshape"], {"s", "n"},
    ),
    "random ops run, whatever they read": (
        proto("(float[4,4] x) => (float[4,4] y) { a = Bernoulli(w) b = Exp(a) y = Add(x, b) }", w=TABLE),
        ["Bernoulli", "Exp", "Add"], {"w"},
    ),
    "what reads an input runs": (
        proto("(float[4,4] x) => (float[4,4] y) { a = Exp(w) b = Neg(x) y = Mul(a, b) }", w=TABLE),
        ["Neg", "Mul"], {"w", "a"},
    ),
    "a subgraph runs, even of constants": (
        proto("""(float[4,4] x) => (float[4,4] y) {
            a = If(c) <then_branch = t () => (float[4,4] p) { p = Exp(w) },
                       else_branch = e () => (float[4,4] q) { q = Neg(w) }>
            y = Mul(x, a) }""", w=TABLE, c=np.array(True)),
        ["If", "Mul"], {"w", "c"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("model", "left", "constants"), FOLDED.values(), ids=FOLDED)
def test_what_is_left_to_run(model: ModelProto, left: list[str], constants: set[str]) -> None:
    graph = load(model).graph
    assert types(graph) == left
    assert {name for name, value in graph.values.items() if value.origin is Origin.CONSTANT} == constants
    assert graph.inputs == ("x",)


def test_what_is_too_large_to_fold_runs() -> None:
    model = proto("(float[1] x) => (float y) { a = Expand(w, s) b = ReduceSum<keepdims=0>(a) y = Mul(x, b) }")
    model.graph.initializer.append(numpy_helper.from_array(FLOATS[:1], "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 29], np.int64), "s"))
    assert types(load(model).graph)[0] == "Expand"


VECTOR = "c = Constant<value=int64[1] {-1}>() z = Constant<value=int64 {0}>()"
# Nodes that compute the vector `v` from x [2, 3, 4]; its elements.
VECTORS: dict[str, tuple[str, list[int]]] = {
    "part of a shape": ("v = Shape<start=1>(x)", [3, 4]),
    "last of a shape": ("v = Shape<start=-1>(x)", [4]),
    "an entry and minus one": (
        "s = Shape(x) a = Constant<value=int64[1] {0}>() d = Gather(s, a) v = Concat<axis=0>(d, c)", [2, -1],
    ),
    "arithmetic": ("s = Shape(x) t = Mul(s, s) v = Sub(t, s)", [2, 6, 12]),
    "through a cast": ("s = Shape(x) f = Cast<to=1>(s) h = Div(f, f) v = Cast<to=7>(h)", [1, 1, 1]),
    "size as a vector": ("n = Size(x) v = Unsqueeze(n, z)", [24]),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "expected"), VECTORS.values(), ids=VECTORS)
def test_shape_vectors_are_evaluated(nodes: str, expected: list[int]) -> None:
    graph = load(
        proto(f"(float[2,3,4] x) => (float[2,3,4] y, int64[n] v) {{ {VECTOR} {nodes} y = Neg(x) }}")
    ).graph
    data = graph.values["v"].data
    assert data is not None and data.tolist() == expected
    assert graph.shape("v") == (len(expected),)


def test_a_vector_of_fed_numbers_stays_unknown() -> None:
    graph = load(
        proto("(float[6] x, int64[2] s) => (float[a,b] y) { t = Add(s, s) y = Reshape(x, t) }")
    ).graph
    assert graph.values["t"].data is None
    assert types(graph) == ["Add", "Reshape"]


def test_small_constants_keep_their_elements_and_large_ones_do_not() -> None:
    small, large = np.arange(4096.0), np.arange(4097.0)
    graph = load(
        proto(
            "(double[1] x) => (double[4096] y, double[4097] z) { y = Sum(x, s) z = Sum(x, l) }",
            s=small,
            l=large,
        )
    ).graph
    data = graph.values["s"].data
    assert data is not None and np.array_equal(data, small)
    assert graph.values["l"].data is None
    assert graph.weights_bytes == small.nbytes + large.nbytes


def _function() -> ModelProto:
    return parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21, "local": 1]>
        g (float[4] x) => (float[4] y) { a = local.twice(x) y = local.twice(a) }
        <domain: "local", opset_import: ["": 21]> twice (p) => (q) { h = Add(p, p) q = Neg(h) }"""
    )


BODY = """(float[4] x, bool c) => (float[4] y) {
    a = Exp(x) b = Neg(x)
    y = If(c) <then_branch = t () => (float[4] p) { p = Add(a, w) },
               else_branch = e () => (float[4] q) { k = Constant<value=float {2.0}>() q = Mul(b, k) }> }"""


def test_functions_are_inlined() -> None:
    graph = load(_function()).graph
    assert types(graph) == ["Add", "Neg", "Add", "Neg"]
    assert all(graph.shape(name) == (4,) for name in graph.values)


def test_a_subgraph_says_what_it_captures() -> None:
    graph = load(proto(BODY, w=np.ones(4, np.float32))).graph
    branch = graph.producer["y"]
    assert branch.inputs == ("c",)
    assert sorted(branch.captures) == ["a", "b", "w"]
    assert branch.reads == (*branch.inputs, *branch.captures)
    assert {name: types(body) for name, body in branch.subgraphs.items()} == {
        "then_branch": ["Add"], "else_branch": ["Mul"],
    }  # fmt: skip
    assert graph.consumers["a"] == (branch,)


CORRESPONDENCE: dict[str, ModelProto] = {
    "functions": _function(),
    "bodies": proto(BODY, w=np.ones(4, np.float32)),
    **{name: model for name, (model, _, _) in FOLDED.items()},
}


@pytest.mark.parametrize("model", CORRESPONDENCE.values(), ids=CORRESPONDENCE)
def test_ops_and_nodes_correspond(model: ModelProto) -> None:
    loaded = load(model)
    assert len(loaded.nodes) == len(loaded.graph.ops)
    places = {id(node): place for place, node in enumerate(loaded.model.graph)}
    assert [places[id(node)] for node in loaded.nodes] == sorted(places[id(node)] for node in loaded.nodes)
    for index, (op, node) in enumerate(zip(loaded.graph.ops, loaded.nodes, strict=True)):
        assert (op.index, op.type, op.domain) == (index, node.op_type, node.domain)
        assert op.outputs == tuple(value.name for value in node.outputs)
        assert op.inputs == tuple("" if value is None else value.name for value in node.inputs)
    assert len({op.name for op in loaded.graph.ops}) == len(loaded.graph.ops)


def test_ops_are_sorted_and_absent_operands_are_empty() -> None:
    model = proto("(float[4] x) => (float[4] y) { a = Neg(x) y = Clip(a, , h) }", h=np.float32(1))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    graph = load(model).graph
    assert types(graph) == ["Neg", "Clip"]
    assert graph.ops[1].inputs == ("a", "", "h") and graph.ops[1].reads == ("a", "h")


def test_what_is_no_tensor_or_has_no_size_has_no_shape() -> None:
    text = "(seq(float[4]) s, int64 i) => (int64[1,m] y) { a = SequenceAt(s, i) y = NonZero(a) }"
    graph = load(proto(text)).graph
    assert graph.shape("y") is None
    assert graph.shape("s") is None
    assert graph.values["s"].nbytes == 0


@pytest.mark.parametrize("convert", [ir.from_proto, lambda proto: proto], ids=["ir", "proto"])
def test_the_source_is_not_modified(convert: Callable[[ModelProto], Source]) -> None:
    model = proto("(float[n,4] x) => (float[n,4] y) { a = Neg(x) y = Exp(a) }")
    before = model.SerializeToString()
    source = convert(model)
    assert load(source, dims={"n": 3}).graph.shape("y") == (3, 4)
    after = ir.to_proto(source) if isinstance(source, ir.Model) else source
    assert isinstance(after, ModelProto)
    assert after.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert model.SerializeToString() == before


def _missing(folder: Path) -> Source:
    return folder / "missing.onnx"


def _garbage(folder: Path) -> Source:
    path = folder / "garbage.onnx"
    path.write_bytes(b"this is not a protobuf message" * 20)
    return str(path)


def _directory(folder: Path) -> Source:
    return folder


def _lost_weights(folder: Path) -> Source:
    path = folder / "lost.onnx"
    model = proto(
        "(float[40,40] x) => (float[40,40] y) { y = MatMul(x, w) }", w=np.ones((40, 40), np.float32)
    )
    onnx.save(model, path, save_as_external_data=True, location="lost.data", size_threshold=0)
    (folder / "lost.data").unlink()
    return path


def _twice(_: Path) -> Source:
    return proto("(float[4] x) => (float[4] y) { y = Neg(x) y = Exp(x) }")


def _dangling(_: Path) -> Source:
    return proto("(float[4] x) => (float[4] y) { a = Neg(nowhere) y = Add(x, a) }")


# What is given, and what the message says.
BAD: Mapping[str, tuple[Callable[[Path], Source], Sequence[str]]] = {
    "missing": (_missing, ["missing.onnx", "no such file", "give the path"]),
    "directory": (_directory, ["directory", "give the path"]),
    "garbage": (_garbage, ["garbage.onnx", "not a readable ONNX model"]),
    "weights": (_lost_weights, ["lost.onnx", "'w'", "lost.data", "no such file", "put it there"]),
    "an operand from nowhere": (_dangling, ["the model", "Neg", "'nowhere'"]),
    "a value made twice": (_twice, ["the model", "not a readable ONNX model", "'y'"]),
}


@pytest.mark.parametrize(("make", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_said(
    make: Callable[[Path], Source], said: Sequence[str], tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as caught:
        load(make(tmp_path))
    assert all(words in str(caught.value) for words in said)
    assert "\n" not in str(caught.value)
