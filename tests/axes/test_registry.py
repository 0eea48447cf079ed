"""Which rule an op gets, and the golden text of the important ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnx_autochunk.axes import Rule, registry, rule_for, written
from onnx_autochunk.axes.registry import Answer, Node, barrier, rule, spec
from onnx_autochunk.errors import RuleError
from onnx_autochunk.graph.model import Graph, Op, Value
from tests.axes.build import MICROSOFT, case, ints
from tests.axes.oracle import Case, rule_of, runner

GOLDEN: list[tuple[Case, str]] = [
    (case("MatMul", (1, 12, 5, 4), (1, 12, 4, 5)),
     "1 .1 m k+, 1 .1 k+ n -> 1 .1 m n | .1=12 m=5 k=4 n=5"),
    (case("Gemm", (3, 4), (5, 4), (5,), transB=1), "m k!, n k!, n -> m n | m=3 k=4 n=5"),
    (case("Gemm", (3, 4), (4, 5)), "m k+, k+ n -> m n | m=3 k=4 n=5"),
    (case("Einsum", (3, 4, 2), (5, 4, 2), equation="ikc,jkc->ijc"),
     "i k+ c, j k+ c -> i j c | i=3 k=4 c=2 j=5"),
    (case("Softmax", (2, 3, 4)), "a0 a1 a2! -> a0 a1 a2! | a0=2 a1=3 a2=4"),
    (case("Softmax", (2, 3, 4), opset=12), "a0 a1! a2! -> a0 a1! a2! | a0=2 a1=3 a2=4"),
    (case("LayerNormalization", (2, 3), (3,), (3,), y="101"),
     "a0 a1!, a1!, a1! -> a0 a1!, (), a0 | a0=2 a1=3"),
    (case("Reshape", (1, 5, 12), [1, 5, 3, 4]),
     "1 a0 (a1 a2), () -> 1 a0 a1 a2 | a0=5 a1=3 a2=4 | operand 1 spells result 0"),
    (case("Expand", (3, 1), [2, 3, 5]), ".1, () -> .0 .1 .2 | .1=3 .0=2 .2=5 | operand 1 spells result 0"),
    (case("Transpose", (2, 3, 4), perm=[0, 2, 1]), "a0 a1 a2 -> a0 a2 a1 | a0=2 a1=3 a2=4"),
    (case("Concat", (2, 3), (2, 5), axis=1), "a0 b0!, a0 b1! -> a0 k! | a0=2 b0=3 b1=5 k=8"),
    (case("Split", (2, 6), axis=1, num_outputs=2, y="11"), "a0 (k! m) -> a0 m, a0 m | a0=2 k=2 m=3"),
    (case("Slice", (4, 5), [0, 1], [9, 3], [0, 1]),
     "a0 a1~, (), (), () -> a0 a1 | a0=4 a1=2 | a1~ 1i--1+[0,1) of 5 | a1 changes operand 1, operand 2"),
    (case("Gather", (5, 4), ints((2, 3), 5)), "a0! a1, b0 b1 -> b0 b1 a1 | a0=5 a1=4 b0=2 b1=3"),
    (case("ReduceSum", (2, 3), [1]), "a0 a1+, () -> a0 | a0=2 a1=3"),
    (case("ReduceMax", (2, 3), [0], keepdims=0), "a0^ a1, () -> a1 | a0=2 a1=3"),
    (case("ReduceMean", (2, 3), [1]), "a0 a1!, () -> a0 | a0=2 a1=3"),
    (case("Conv", (1, 3, 8, 8), (5, 3, 4, 4), strides=[4, 4]),
     "1 c+ (s0 t0!) (s1 t1!), o c+ t0! t1! -> 1 o s0 s1 | c=3 s0=2 t0=4 s1=2 t1=4 o=5"),
    (case("Conv", (2, 3, 8), (5, 3, 3), (5,), pads=[1, 1]),
     ("n c! s0~, o c! t0!, o -> n o s0 | n=2 c=3 s0=8 o=5 t0=3"
      " | s0~ 1i-1+[0,3) of 8 | s0 changes pads, auto_pad")),
    (case("Resize", (1, 3, 4, 5), None, [1.0, 1.0, 2.0, 2.0]),
     "1 a1 a2 a3, (), () -> 1 a1 (a2 t2!) (a3 t3!) | a1=3 a2=4 a3=5 t2=2 t3=2"),
    (case("Attention", (2, 4, 5, 6), (2, 4, 3, 6), (2, 4, 3, 2)),
     "b g s d!, b g t! d!, b g t! e! -> b g s e! | b=2 g=4 s=5 d=6 t=3 e=2"),
    (case("ConstantOfShape", [2, 3]), "() -> .0 .1 | .0=2 .1=3 | operand 0 spells result 0"),
    (case("Squeeze", (1, 5, 1)), "1 a0 -> a0 | a0=5 | a0 changes operand 1"),
    (case("FastGelu", (2, 3), (3,), domain=MICROSOFT), ".0 .1, .1 -> .0 .1 | .0=2 .1=3"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "expected"), GOLDEN, ids=[str(call) for call, _ in GOLDEN])
def test_golden(call: Case, expected: str) -> None:
    assert written(rule_of(call, runner(call)(call.operands))) == expected


def _graph(op: Op, shape: tuple[int, ...] | None = (2, 3)) -> Graph:
    values = {name: Value(name, "float32", shape) for name in (*op.inputs, *op.outputs)}
    return Graph((op,), values, op.inputs, op.outputs)


@pytest.fixture
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))


own_registry = pytest.mark.usefixtures("_own_registry")
RELU = Op(0, "n", "Relu", ("x",), ("y",), "", 21)
EMPTY = Graph((), {}, (), ())
BARRIERS: list[tuple[Op, tuple[int, ...] | None, str]] = [
    (replace(RELU, type="Bar", domain="com.foo"), (2, 3), "no rule for com.foo::Bar"),
    (replace(RELU, type="Bar"), (2, 3), "no rule for Bar"),
    (replace(RELU, type="Reshape", version=4), (2, 3), "no rule for Reshape at opset 4"),
    (RELU, None, "the shape of x is unknown"),
    (RELU, (0, 3), "a result is empty"),
    (replace(RELU, type="If", subgraphs={"then_branch": EMPTY}), (2, 3), "If has a subgraph"),
    (replace(RELU, type="NonZero"), (2, 3), "NonZero finds as many elements as the data has"),
]


@pytest.mark.parametrize(("op", "shape", "reason"), BARRIERS)
def test_barriers_say_why(op: Op, shape: tuple[int, ...] | None, reason: str) -> None:
    assert rule_for(op, _graph(op, shape)) == Rule(barrier=reason)


@pytest.mark.parametrize("slope", [(3, 1), (1, 2, 1, 5)])
def test_a_slope_is_no_longer_than_its_operand(slope: tuple[int, ...]) -> None:
    """ONNX Runtime takes it, and its result is longer than ONNX's inference says."""
    op = replace(RELU, type="PRelu", inputs=("x", "slope"))
    graph = _graph(op, (2, 1, 5))
    graph = replace(graph, values={**graph.values, "slope": Value("slope", "float32", slope)})
    assert rule_for(op, graph) == Rule(barrier="PRelu with a slope that does not broadcast to its operand")


def test_the_default_domain_has_two_names() -> None:
    op = replace(RELU, domain="ai.onnx")
    assert written(rule_for(op, _graph(op))) == ".0 .1 -> .0 .1 | .0=2 .1=3"


@own_registry
def test_opset_ranges() -> None:
    spec("Ranged", "a! b -> a b", domain="tests", until=5)
    spec("Ranged", "a b -> a b", domain="tests", since=5)
    op = replace(RELU, type="Ranged", domain="tests")
    found = [written(rule_for(replace(op, version=version), _graph(op))) for version in (4, 5)]
    assert found == ["a! b -> a! b | a=2 b=3", "a b -> a b | a=2 b=3"]
    with pytest.raises(RuleError, match="two rules for Ranged"):
        spec("Ranged", "a -> a", domain="tests", since=9)


WRONG: list[tuple[str, Answer, str]] = [
    ("Misfit", "a -> a", "Misfit 'n' (opset 21): rule 'a -> a' does not fit [(2, 3)] -> [(2, 3)]"),
    ("Lost", "a b -> a !", "cannot read '!'"),
    ("Summed", "a b+ -> a b", "Summed 'n': Factor(name='b'"),
    ("Uncut", "() -> a b", "Uncut 'n': Factor(name='a'"),
]


@own_registry
@pytest.mark.parametrize(("type_", "answer", "message"), WRONG)
def test_a_wrong_rule_is_our_bug(type_: str, answer: Answer, message: str) -> None:
    @rule(type_, domain="tests")
    def make(_: Node) -> Answer:
        return answer

    op = replace(RELU, type=type_, domain="tests")
    with pytest.raises(RuleError) as caught:
        rule_for(op, _graph(op))
    assert message in str(caught.value)


@own_registry
def test_a_rule_function_sees_the_node() -> None:
    @rule("Seen", domain="tests")
    def make(node: Node) -> Answer:
        assert node.shape(0) == (2, 3)
        assert [node.has(0), node.has(1), node.gives(0), node.gives(1)] == [True, False, True, False]
        assert [node.integer("axis", 7), node.integers("axes"), node.text("mode", "x")] == [
            -1,
            (1, 2),
            "fast",
        ]
        assert node.axis(0, 2) == 1
        return barrier("seen")

    op = replace(RELU, type="Seen", domain="tests", attributes={"axis": -1, "axes": (1, 2), "mode": b"fast"})
    assert rule_for(op, _graph(op)) == Rule(barrier="seen")
