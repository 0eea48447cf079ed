"""The predicted order against the one that ONNX Runtime's profiler records."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.model import Graph, Op
from onnx_autochunk.memory.order import execution_order
from tests.memory import ort_truth
from tests.memory.cases import model

NODES = 40

# Nodes by name, in file order, and the order they run in.
TIES = {
    "two_producers": ("a = Exp(x) b = Neg(x) y = Add(a, b)", "b a y"),
    "producers_swapped_in_the_call": ("a = Exp(x) b = Neg(x) y = Add(b, a)", "b a y"),
    "last_leaf_first": ("y = Exp(x) a = Neg(x) z = Neg(a)", "a z y"),
    "subtree_before_sibling": ("a = Exp(x) b = Neg(a) c = Sqrt(x) d = Abs(c) y = Add(b, d)", "c d a b y"),
    "shared_producer": ("a = Exp(x) b = Neg(a) c = Abs(a) y = Add(b, c)", "a c b y"),
    "shape_gets_no_priority": (
        """a = NonZero(x) s = Shape(a) b = Neg(a) c = Reshape(b, s) d = Cast<to=1>(c) e = ReduceSum(d)
        y = Add(x, e)""",
        "a b s c d e y",
    ),
    "body_reads_outside": (
        """a = Exp(x) c = Constant<value = bool {1}>() b = Neg(x)
        y = If<then_branch = t () => (float[2,2] p) { p = Abs(a) }, else_branch = e () => (float[2,2] q)
        { q = Abs(b) }>(c)""",
        "b a y",
    ),
}


def _named(proto: onnx.ModelProto) -> onnx.ModelProto:
    for node in proto.graph.node:
        node.name = node.output[0]
    return proto


def _tie(nodes: str) -> onnx.ModelProto:
    outputs = "float[2,2] y, float[2,2] z" if " z = " in nodes else "float[2,2] y"
    return _named(model(f"(float[2,2] x) => ({outputs})", nodes, opset=20))


def _random(seed: int) -> onnx.ModelProto:
    """A graph in which every op reads up to three of the values before it."""
    rng = np.random.default_rng(seed)
    nodes = []
    for index in range(NODES):
        count = int(rng.integers(1, 4))
        reads = [f"v{i}" if i >= 0 else "x" for i in rng.integers(max(-1, index - 8), index, count)]
        nodes.append(helper.make_node("Sum", reads, [f"v{index}"]))
    read = {name for node in nodes for name in node.input}
    leaves = [node.output[0] for node in nodes if node.output[0] not in read]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in leaves]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    graph = helper.make_graph(nodes, "random", [x], outputs)
    return _named(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


CASES = {name: _tie(nodes) for name, (nodes, _) in TIES.items()} | {
    f"random{s}": _random(s) for s in range(8)
}


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    paths = ort_truth.save(CASES, tmp_path_factory.mktemp("orders"))
    return dict(zip(paths, ort_truth.sequences(paths.values()), strict=True))


def _predicted(proto: onnx.ModelProto) -> list[str]:
    graph = load(proto).graph
    return [graph.ops[index].outputs[0] for index in execution_order(graph)]


@pytest.mark.parametrize("name", CASES)
def test_order_is_orts(name: str, observed: dict[str, list[str]]) -> None:
    predicted = _predicted(CASES[name])
    assert predicted == [node for node in observed[name] if node in predicted]  # without those in bodies


@pytest.mark.parametrize("name", TIES)
def test_ties(name: str) -> None:
    nodes, order = TIES[name]
    assert _predicted(_tie(nodes)) == order.split()


def test_deep_graph_takes_no_recursion() -> None:
    ops = tuple(Op(i, f"n{i}", "Exp", (f"v{i}",), (f"v{i + 1}",)) for i in range(50_000))
    assert execution_order(Graph(ops, {}, ("v0",), ("v50000",))) == tuple(range(50_000))
