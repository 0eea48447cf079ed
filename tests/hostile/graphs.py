"""Graphs that are no program, or one that never ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from .build import NAME, WEIGHT, model, product, put

FLOATS = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])
AXES = ",".join(["1"] * 10_000)
OPSET = [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)]


def text(graph: str, folder: Path, **weights: object) -> None:
    put(folder, model(graph, **weights))


def body(nodes: str, folder: Path, **weights: object) -> None:
    """Nodes between x and y, both [4, 4]; `w` is a weight of that shape."""
    text(f"(float[4,4] x) => (float[4,4] y) {{ {nodes} }}", folder, w=WEIGHT, **weights)


def nodes_of(nodes: Sequence[NodeProto], inputs: Sequence[ValueInfoProto] = (FLOATS,)) -> ModelProto:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(
        helper.make_graph(nodes, "g", inputs, [output]), opset_imports=OPSET, ir_version=10
    )


def functions(calls: dict[str, list[str]], folder: Path) -> None:
    """Functions that call each other one after another; the graph calls `f0`."""
    proto = model("(float[4] x) => (float[4] y) { y = local.f0(x) }")
    for name, called in calls.items():
        values = ["a", *(f"v{i}" for i in range(1, len(called))), "b"]
        nodes = [
            helper.make_node(op, [values[i]], [values[i + 1]], domain="local" if op in calls else "")
            for i, op in enumerate(called)
        ]
        proto.functions.append(helper.make_function("local", name, ["a"], ["b"], nodes, OPSET))
    put(folder, proto)


def bomb() -> dict[str, list[str]]:
    """Ten functions, each of which calls the next one ten times."""
    return {f"f{i}": [f"f{i + 1}"] * 10 for i in range(9)} | {"f9": ["Neg"]}


def nested(levels: int, folder: Path) -> None:
    """An If in an If in an If."""
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 4])
    other = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "e", [], [output])
    inner = helper.make_node("Neg", ["x"], ["y"])
    for _ in range(levels):
        graph = helper.make_graph([inner], "b", [], [output])
        inner = helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=other)
    proto = nodes_of([inner], [FLOATS, helper.make_tensor_value_info("c", TensorProto.BOOL, [])])
    put(folder, proto)


def deep(folder: Path) -> None:
    """Messages in messages: bodies 60 deep are more than protobuf itself would write."""
    data = b""
    for _ in range(60):
        for field in (b"\x32", b"\x2a", b"\x0a"):
            data = field + _length(len(data)) + data
    (folder / NAME).write_bytes(b"\x3a" + _length(len(data)) + data)


def _length(value: int) -> bytes:
    """A protobuf varint."""
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def chain(links: int, folder: Path) -> None:
    """A large constant through many ops."""
    ops = " ".join(f"v{i + 1} = Neg(v{i})" for i in range(links))
    text(
        f"(float[20000,20000] x) => (float[20000,20000] y) {{ v0 = Expand(e, s) {ops} "
        f"y = Add(x, v{links}) }}",
        folder,
        e=np.float32(1),
        s=np.array([20000, 20000]),
    )


def op(
    op_type: str, folder: Path, inputs: Sequence[str] = ("x",), domain: str = "", **attributes: Any
) -> None:
    """One node."""
    proto = nodes_of([helper.make_node(op_type, inputs, ["y"], name="node", domain=domain, **attributes)])
    proto.graph.initializer.extend(product().graph.initializer)
    put(folder, proto)


def inputs_twice(folder: Path) -> None:
    proto = product()
    proto.graph.input.append(proto.graph.input[0])
    put(folder, proto)


def weights_twice(folder: Path) -> None:
    proto = product()
    proto.graph.initializer.append(proto.graph.initializer[0])
    put(folder, proto)


def deep_type(folder: Path, levels: int) -> None:
    proto = product()
    kind = proto.graph.input.add(name="s").type
    for _ in range(levels):
        kind = kind.sequence_type.elem_type
    kind.tensor_type.elem_type = 1
    put(folder, proto)


def element(folder: Path, elem_type: int) -> None:
    proto = product()
    proto.graph.input[0].type.tensor_type.elem_type = elem_type
    put(folder, proto)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a cycle": (partial(body, "a = Add(x, b) b = Neg(a) y = Neg(b)"), "cycle"),
    "a node that reads itself": (partial(body, "a = Add(x, a) y = Neg(a)"), "cycle"),
    "a value made twice": (partial(body, "y = Neg(x) y = Exp(x)"), "'y'"),
    "an operand from nowhere": (partial(body, "y = Neg(nowhere)"), "'nowhere'"),
    "an output from nowhere": (partial(body, "z = Neg(x)"), "'y'"),
    "an input twice": (inputs_twice, "'x'"),
    "a weight twice": (weights_twice, "'w'"),
    "no operator": (lambda folder: op("", folder), "operator"),
    "an operator of nobody": (lambda folder: op("Mystery", folder, domain="nobody"), "Mystery"),
    "too many operands": (lambda folder: op("Neg", folder, ["x", "w"]), "Neg"),
    "no operands": (lambda folder: op("Neg", folder, []), "Neg"),
    "a missing attribute": (lambda folder: op("Cast", folder), "to"),
    "an attribute of another type": (lambda folder: op("Transpose", folder, perm="10"), "perm"),
    "an attribute of a million numbers": (
        lambda folder: op("Transpose", folder, perm=list(range(1_000_000))),
        "perm",
    ),
    "an axis out of range": (lambda folder: op("Softmax", folder, axis=100), "xis"),
    "an absurd axis": (lambda folder: op("Softmax", folder, axis=-100), "xis"),
    "Einsum of nonsense": (lambda folder: op("Einsum", folder, equation="ij,,->@@->"), "Einsum"),
    "Einsum of too few operands": (lambda folder: op("Einsum", folder, equation="ij,jk->ik"), "Einsum"),
    "a strided convolution of stride zero": (
        partial(
            text,
            "(float[1,1,4,4] x) => (float[1,1,4,4] y) { y = Conv<strides=[0,0]>(x, k) }",
            k=np.ones((1, 1, 3, 3), np.float32),
        ),
        "stride",
    ),
    "no groups": (
        partial(
            text,
            "(float[1,1,4,4] x) => (float[1,1,4,4] y) { y = Conv<group=0>(x, k) }",
            k=np.ones((1, 1, 3, 3), np.float32),
        ),
        "Conv",
    ),
    "a pool of nothing": (
        partial(text, "(float[1,1,4,4] x) => (float[1,1,4,4] y) { y = MaxPool<kernel_shape=[0,0]>(x) }"),
        "MaxPool",
    ),
    "split into none": (lambda folder: op("Split", folder, num_outputs=0), "Split"),
    "products of other types": (
        partial(text, "(float[4,4] x) => (float[4,4] y) { y = MatMul(x, w) }", w=WEIGHT.astype(np.int64)),
        "MatMul",
    ),
    "products of other sizes": (
        partial(text, "(float[4,4] x) => (float[4,4] y) { y = MatMul(x, w) }", w=np.ones((5, 4), np.float32)),
        "MatMul",
    ),
    "sums of other sizes": (
        partial(text, "(float[4,4] x) => (float[4,4] y) { y = Add(x, w) }", w=np.ones((3, 4), np.float32)),
        "Add",
    ),
    "a cast to nothing": (lambda folder: op("Cast", folder, to=999), "Cast"),
    "an If without branches": (
        partial(text, "(float[4,4] x, bool c) => (float[4,4] y) { y = If(c) }"),
        "branch",
    ),
    "an If of a float": (
        partial(
            text,
            """(float[4,4] x, float c) => (float[4,4] y) {
                y = If(c) <then_branch = t () => (float[4,4] p) { p = Neg(x) },
                           else_branch = e () => (float[4,4] q) { q = Exp(x) }> }""",
        ),
        "If",
    ),
    "a body that reads what comes later": (
        partial(
            text,
            """(float[4,4] x, bool c) => (float[4,4] y) {
                a = If(c) <then_branch = t () => (float[4,4] p) { p = Neg(y) },
                           else_branch = e () => (float[4,4] q) { q = Exp(x) }>
                y = Neg(a) }""",
        ),
        "cycle",
    ),
    "a Scan over nothing": (
        partial(
            text,
            """(float[4,4] x) => (float[4,4] y) { y = Scan<num_scan_inputs=7,
        body = b (float[4] p) => (float[4] q) { q = Neg(p) }>(x) }""",
        ),
        "Scan",
    ),
    "a function that calls itself": (partial(functions, {"f0": ["Neg", "f0"]}), "ycl"),
    "functions that call each other": (partial(functions, {"f0": ["f1"], "f1": ["f0"]}), "ycl"),
    "functions of 10 billion nodes": (partial(functions, bomb()), "functions"),
    "bodies 60 deep": (deep, "not a readable"),
    "an unknown element type": (partial(element, elem_type=999), "999"),
    "no element type": (partial(element, elem_type=0), "type"),
    "a constant of 2^62 elements": (
        partial(body, "a = Expand(e, s) y = Add(a, x)", e=np.float32(1), s=np.array([1 << 31, 1 << 31])),
        "",
    ),
    "a filled constant that overflows": (
        partial(body, "a = ConstantOfShape(s) y = Add(a, x)", s=np.array([1 << 32, 1 << 32])),
        "",
    ),
    "a filled constant below zero": (
        partial(body, "a = ConstantOfShape(s) y = Add(a, x)", s=np.array([-5, 4])),
        "",
    ),
    "a reshape to less": (partial(body, "y = Reshape(x, s)", s=np.array([-5, 4])), "Reshape"),
    "a reshape of two unknowns": (partial(body, "y = Reshape(x, s)", s=np.array([-1, -1])), "Reshape"),
    "a reshape to other sizes": (partial(body, "y = Reshape(x, s)", s=np.array([5, 7])), "Reshape"),
    "an input of 2^62 elements": (
        partial(
            text,
            "(float[2147483648,2147483648] x) => (float[2147483648,2147483648] y) { a = Exp(x) y = Neg(a) }",
        ),
        "",
    ),
    "an input that overflows": (
        partial(
            text,
            "(float[4294967296,4294967296] x) => (float[4294967296,4294967296] y) { a = Exp(x) y = Neg(a) }",
        ),
        "",
    ),
    "an upsampling of 10^30": (
        partial(
            text,
            '(float[1,1,4,4] x) => (float[1,1,a,b] y) { y = Resize<mode="nearest">(x, , s) }',
            s=np.array([1, 1, 1e30, 1e30], np.float32),
        ),
        "",
    ),
}

# Without --no-verify: what ONNX Runtime refuses.
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "an unknown operator": (lambda folder: op("NoSuchOp", folder), "NoSuchOp"),
    "a Loop without results": (
        partial(
            text,
            """(float[4,4] x, int64 n, bool c) => (float[4,4] y) { y = Loop(n, c, x) <
        body = b (int64 i, bool d, float[4,4] p) => () { q = Neg(p) }> }""",
        ),
        "Loop",
    ),
}


def ranges(step: int, folder: Path) -> None:
    """Two Ranges up to 2^40."""
    nodes = "a = Range(o, n, i) b = Range(o, n, i) y = Add(a, b)"
    bounds = {"o": np.int64(0), "n": np.int64(1 << 40), "i": np.int64(step)}
    text(f"(float[4,4] x) => (int64[n] y) {{ {nodes} }}", folder, **bounds)


# What is a program, however odd: it is left as it is, in bounded time and memory.
BOUNDED: dict[str, tuple[Callable[[Path], object], str]] = {
    "bodies 25 deep": (partial(nested, 25), ""),
    "types 25 deep": (partial(deep_type, levels=25), ""),
    "a long chain of constants": (partial(chain, 3000), ""),
    "a range of 2^40": (partial(ranges, 1), ""),
    "a range without steps": (partial(ranges, 0), ""),
    "a tile of 2^40": (
        partial(
            text, "(float[4,4] x) => (float[a,b] y) { a = Tile(x, s) y = Neg(a) }", s=np.array([1 << 40, 1])
        ),
        "",
    ),
    "a pad of 2^40": (
        partial(
            text,
            "(float[4,4] x) => (float[a,b] y) { a = Pad(x, s) y = Neg(a) }",
            s=np.array([1 << 40, 0, 0, 0]),
        ),
        "",
    ),
    "an input of 10 thousand axes": (
        partial(
            text,
            f"(float[{AXES}] x) => (float[{AXES}] y) {{ a = Exp(x) y = Neg(a) }}",
        ),
        "",
    ),
}


def unsized(folder: Path) -> None:
    proto = product()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    put(folder, proto)


# What a size has to be given for.
UNSIZED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a size of -1": (unsized, "--input-shape"),
}

# Likewise where sizes are to be fixed; where not, one is chosen.
UNFIXED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a size without a name": (partial(text, '(float["?",4] x) => (float["?",4] y) { y = Neg(x) }'), "--dim"),
}
