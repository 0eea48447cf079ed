"""Rules of symbolic shapes: what holds at every size is kept, what numbers made by chance is not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise
from math import gcd, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_autochunk.axes import Mark, Rule, written
from onnx_autochunk.axes.symbolic import Bound, bound, common
from onnx_autochunk.graph.dynamic import Dims, bindings
from onnx_autochunk.graph.model import Graph, Op, Value
from tests.axes.build import case
from tests.axes.oracle import Case, graph_of, runner

CallAt = Callable[[Dims], Case]
Sizes = list[str | int]  # steps of an axis: names of dims, and numbers


def _rule(call_at: CallAt, reference: Dims, static: tuple[int, ...] = ()) -> Rule:
    return common([_bound(call_at(dims), dims) for dims in bindings(reference, static)])


def _bound(call: Case, dims: Dims) -> Bound:
    graph = graph_of(call, runner(call)(call.operands))
    return bound(graph.ops[0], graph, dims)


CASES: list[tuple[str, CallAt, Dims, tuple[int, ...], str]] = [
    ("a batch merged with rows, both passing",
     lambda d: case("Reshape", (d["B"], d["S"], 6), [-1, 6]), {"B": 2, "S": 4}, (6,),
     "a0 a1 a2, () -> (a0 a1) a2 | a0=2 a1=4 a2=6 | operand 1 spells result 0"),
    ("rows behind a batch of 1 cannot be sliced behind another",
     lambda d: case("Reshape", (d["B"], d["S"], 6), [-1, 6]), {"B": 1, "S": 4}, (6,),
     "1 a0! a1, () -> a0! a1 | a0=4 a1=6 | operand 1 spells result 0"),
    ("heads of a static number",
     lambda d: case("Reshape", (1, d["S"], 12), [1, d["S"], 3, 4]), {"S": 4}, (12, 3, 4),
     "1 a0 (a1 a2), () -> 1 a0 a1 a2 | a0=4 a1=3 a2=4 | operand 1 spells result 0"),
    ("axes that regroup but at one size",
     lambda d: case("Reshape", (d["S"], 4), [4, d["S"]]), {"S": 4}, (4,),
     "a0! a1!, () -> a0! a1! | a0=4 a1=4 | operand 1 spells result 0"),
    ("a common divisor that is larger at one size",
     lambda d: case("Reshape", (2 * d["S"], 3), [6, d["S"]]), {"S": 3}, (2, 3, 6),
     "a0! a1!, () -> a0! a1! | a0=6 a1=3 | operand 1 spells result 0"),
    ("a dim that is a sum",
     lambda d: case("Reshape", (d["B"], d["S"] + 3, 4), [d["B"] * (d["S"] + 3), 4]), {"B": 2, "S": 2}, (3, 4),
     "a0 a1 a2, () -> (a0 a1) a2 | a0=2 a1=5 a2=4 | operand 1 spells result 0"),
    ("two dims that are equal at one size",
     lambda d: case("Concat", (d["S"], 5), (d["T"], 5), axis=0), {"S": 4, "T": 4}, (5,),
     "m! a1, m! a1 -> (k! m!) a1 | m=4 a1=5 k=2"),
    ("a product",
     lambda d: case("MatMul", (d["B"], d["S"], 6), (6, 5)), {"B": 2, "S": 4}, (6, 5),
     ".0 m k+, k+ n -> .0 m n | .0=2 m=4 k=6 n=5"),
    ("scores of queries and keys that are as long",
     lambda d: case("MatMul", (d["S"], 6), (6, d["T"])), {"S": 4, "T": 4}, (6,),
     "m k+, k+ n -> m n | m=4 k=6 n=4"),
    ("a window over a symbolic axis",
     lambda d: case("Conv", (d["B"], 2, 7 + d["S"]), (3, 2, 3), pads=[1, 1]), {"B": 2, "S": 4}, (2, 3, 7),
     ("n c+ s0~, o c+ t0! -> n o s0 | n=2 c=2 s0=11 o=3 t0=3"
      " | s0~ 1i-1+[0,3) of 11 | s0 changes pads, auto_pad")),
    ("padding that depends on the size",
     lambda d: case("Conv", (1, 2, d["S"]), (3, 2, 3), auto_pad="SAME_UPPER", strides=[2]), {"S": 8}, (2, 3),
     "1 c+, o c+ t0! -> 1 o s0! | c=2 s0=4 o=3 t0=3"),
    ("a barrier at one size",
     lambda d: case("Reshape", (d["S"], 4), [d["S"], 4]) if d["S"] > 1 else case("NonZero", (3,)),
     {"S": 4}, (4,), "barrier: NonZero finds as many elements as the data has"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "dims", "static", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_common(at: CallAt, dims: Dims, static: tuple[int, ...], expected: str) -> None:
    assert written(_rule(at, dims, static)) == expected


def test_bindings_have_nothing_in_common_with_the_reference() -> None:
    found = bindings({"B": 2, "S": 15, "T": 64}, (7, 64, 22))
    reference, *others = found
    assert reference == {"B": 2, "S": 15, "T": 64} and len(others) == 5
    sizes = [size for dims in others for size in dims.values() if size > 1]
    assert len(set(sizes)) == len(sizes) == 12
    assert all(gcd(a, b) == 1 for a, b in combinations(sizes, 2))
    assert all(gcd(size, other) == 1 for size in sizes for other in (7, 64, 22, 2, 15))
    assert [min(dims.values()) for dims in others[2:]] == [1, 1, 1]


@st.composite
def _regrouping(draw: st.DrawFn) -> tuple[list[Sizes], list[Sizes]]:
    """Two shapes of the same steps, some of which are symbolic: an axis is a product of its steps."""
    steps: Sizes = draw(st.lists(st.sampled_from(["B", "S", "T", 2, 3, 4]), min_size=2, max_size=5))
    return _grouped(draw, steps), _grouped(draw, draw(st.one_of(st.just(steps), st.permutations(steps))))


def _grouped(draw: st.DrawFn, steps: Sizes) -> list[Sizes]:
    cuts = sorted(draw(st.sets(st.integers(1, len(steps) - 1))))
    return [steps[i:j] for i, j in pairwise([0, *cuts, len(steps)])]


def _at(shape: list[Sizes], dims: Dims) -> tuple[int, ...]:
    return tuple(prod(dims[step] if isinstance(step, str) else step for step in axis) for axis in shape)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(_regrouping(), st.lists(st.integers(2, 6), min_size=3, max_size=3))
def test_what_is_kept_holds_at_sizes_that_were_not_tried(
    shapes: tuple[list[Sizes], list[Sizes]], sizes: list[int]
) -> None:
    left, right = shapes
    reference = dict(zip("BST", sizes, strict=True))
    choices = bindings(reference, (2, 3, 4))
    kept = common([_reshaped(left, right, dims) for dims in choices]).factors
    other = _reshaped(left, right, {"B": 103, "S": 107, "T": 109}).rule.factors
    there = {tuple(p and p.axis for p in (*f.operands, *f.results)): f for f in other}
    for factor in kept:
        if factor.mark is Mark.MAP:
            places = (*factor.operands, *factor.results)
            found = there[tuple(p and p.axis for p in places)]
            pairs = zip(places, (*found.operands, *found.results), strict=True)
            assert all(q is not None and q.sliceable for p, q in pairs if p and p.sliceable)


def _reshaped(left: list[Sizes], right: list[Sizes], dims: Dims) -> Bound:
    shapes = {"x": _at(left, dims), "s": (len(right),), "y": _at(right, dims)}
    values = {name: Value(name, "float32", shape) for name, shape in shapes.items()}
    op = Op(0, "n", "Reshape", ("x", "s"), ("y",), version=21)
    return bound(op, Graph((op,), values, ("x", "s"), ("y",)), dims)
