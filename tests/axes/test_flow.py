"""Flows: one axis carried through chains of ops, and what stops it."""

from __future__ import annotations

import pytest

from onnx_autochunk.axes import Mark, Position, Refusal, Rule, Step, carry, positions
from onnx_autochunk.axes.fit import Shape, bind
from tests.axes.build import case
from tests.axes.oracle import Case, rule_of, runner

Hop = tuple[Case, int]  # an op and the operand by which the flow enters


def _rule(call: Case) -> Rule:
    return rule_of(call, runner(call)(call.operands))


N, H, D, B = 5, 4, 6, 2
CHAINS: list[tuple[str, Position, list[Hop], list[Position]]] = [
    ("GPT-2 rows: to heads, heads first, scores, softmax, back", Position(1, 1, N, 1), [
        (case("Reshape", (1, N, H * D), [1, N, H, D]), 0),
        (case("Transpose", (1, N, H, D), perm=[0, 2, 1, 3]), 0),
        (case("MatMul", (1, H, N, D), (1, H, D, N)), 0), (case("Softmax", (1, H, N, N)), 0),
        (case("MatMul", (1, H, N, N), (1, H, N, D)), 0),
        (case("Transpose", (1, H, N, D), perm=[0, 2, 1, 3]), 0),
        (case("Reshape", (1, N, H, D), [1, N, H * D]), 0),
    ], [Position(1, 1, N, 1), *[Position(2, 1, N, 1)] * 4, Position(1, 1, N, 1), Position(1, 1, N, 1)]),
    ("heads inside the hidden axis", Position(2, 1, H, D), [
        (case("Add", (1, N, H * D), (H * D,)), 0), (case("Reshape", (1, N, H * D), [1, N, H, D]), 0),
        (case("Transpose", (1, N, H, D), perm=[0, 2, 1, 3]), 0),
        (case("MatMul", (1, H, N, D), (1, H, D, N)), 0),
    ], [Position(2, 1, H, D), Position(2, 1, H, 1), Position(1, 1, H, 1), Position(1, 1, H, 1)]),
    ("rows of a Gemm export with batch 1", Position(1, 1, N, 1), [
        (case("Reshape", (1, N, D), [-1, D]), 0), (case("Gemm", (N, D), (D, 3), (3,)), 0),
        (case("Reshape", (N, 3), [1, N, 3]), 0),
    ], [Position(0, 1, N, 1), Position(0, 1, N, 1), Position(1, 1, N, 1)]),
    ("minor rows of a Gemm export with a batch", Position(1, 1, N, 1), [
        (case("Reshape", (B, N, D), [-1, D]), 0), (case("Gemm", (B * N, D), (D, 3), (3,)), 0),
        (case("Relu", (B * N, 3)), 0), (case("Reshape", (B * N, 3), [B, N, 3]), 0),
    ], [Position(0, B, N, 1), Position(0, B, N, 1), Position(0, B, N, 1), Position(1, 1, N, 1)]),
    ("batch and heads merged: heads are minor", Position(1, 1, H, 1), [
        (case("Reshape", (B, H, N, D), [B * H, N, D]), 0), (case("MatMul", (B * H, N, D), (B * H, D, N)), 0),
        (case("Reshape", (B * H, N, N), [B, H, N, N]), 0), (case("Add", (B, H, N, N), (1, 1, N, N)), 0),
    ], [Position(0, B, H, 1), Position(0, B, H, 1), Position(1, 1, H, 1), Position(1, 1, H, 1)]),
    ("channels in groups", Position(1, 1, 2, 3), [
        (case("Reshape", (1, 6, 4, 4), [1, 2, -1]), 0),
        (case("InstanceNormalization", (1, 2, 48), (2,), (2,)), 0),
        (case("Reshape", (1, 2, 48), [1, 6, 4, 4]), 0), (case("Mul", (1, 6, 4, 4), (6, 1, 1)), 0),
    ], [Position(1, 1, 2, 1), Position(1, 1, 2, 1), Position(1, 1, 2, 3), Position(1, 1, 2, 3)]),
    ("image rows become tokens", Position(2, 1, 4, 1), [
        (case("Conv", (1, 2, 4, 6), (3, 2, 1, 1)), 0), (case("Reshape", (1, 3, 4, 6), [1, 3, 24]), 0),
        (case("Transpose", (1, 3, 24), perm=[0, 2, 1]), 0), (case("LayerNormalization", (1, 24, 3), (3,)), 0),
    ], [Position(2, 1, 4, 1), Position(2, 1, 4, 6), Position(1, 1, 4, 6), Position(1, 1, 4, 6)]),
]  # fmt: skip


@pytest.mark.parametrize(("start", "hops", "expected"), [c[1:] for c in CHAINS], ids=[c[0] for c in CHAINS])
def test_chains(start: Position, hops: list[Hop], expected: list[Position]) -> None:
    position, seen = start, []
    for call, operand in hops:
        rule = _rule(call)
        step = carry(rule, operand=operand, position=position)
        assert isinstance(step, Step), f"{call}: {step}"
        found = step.results[0]
        assert found is not None
        assert carry(rule, result=0, position=found) == step
        seen.append(found)
        position = found
    assert seen == expected


REFUSED: list[tuple[Case, Position, str, Position | None]] = [
    (case("Softmax", (3, 5)), Position(1, 1, 5, 1), "needs all of axis 1 of operand 0 (factor a1)", None),
    (case("Reshape", (10, 3), [2, 5, 3]), Position(0, 1, 10, 1),
     "the 10 steps along axis 0 of operand 0 are not inside one factor of a0=2 a1=5", Position(0, 1, 2, 5)),
    (case("Reshape", (30,), [2, 5, 3]), Position(0, 2, 15, 1),
     "the 15 steps along axis 0 of operand 0 are not inside one factor of a1=5 a2=3", Position(0, 2, 5, 3)),
    (case("Reshape", (30,), [2, 5, 3]), Position(0, 1, 6, 5),
     "the 6 steps along axis 0 of operand 0 are not inside one factor of a0=2 a1=5", Position(0, 1, 2, 15)),
    (case("Reshape", (12,), [3, 4]), Position(0, 1, 4, 3),
     "the 4 steps along axis 0 of operand 0 are not inside one factor of a0=3 a1=4", None),
    (case("Reshape", (3, 4), [4, 3]), Position(0, 1, 3, 1), "no factor lies on axis 0 of operand 0", None),
    (case("Shape", (3, 4)), Position(0, 1, 3, 1), "Shape gives the extents of the whole value", None),
]  # fmt: skip


@pytest.mark.parametrize(("call", "position", "reason", "instead"), REFUSED, ids=[str(r[0]) for r in REFUSED])
def test_refusals_say_why_and_offer_what_passes(
    call: Case, position: Position, reason: str, instead: Position | None
) -> None:
    rule = _rule(call)
    assert carry(rule, operand=0, position=position) == Refusal(reason, instead)
    if instead is not None:
        assert call.operands[0] is not None and instead.fits(call.operands[0].shape)
        assert isinstance(carry(rule, operand=0, position=instead), Step)


def test_partial_results_carry_their_mark() -> None:
    rule = _rule(case("MatMul", (3, 4), (4, 5)))
    step = carry(rule, operand=0, position=Position(1, 1, 4, 1))
    assert step == Step((Position(1, 1, 4, 1), Position(0, 1, 4, 1)), (None,), Mark.SUM)


CONV_3 = case("Conv", (1, 2, 8), (2, 2, 3), pads=[1, 1])
CONV_5 = case("Conv", (1, 2, 8), (2, 2, 5), pads=[2, 2])
HALVED = case("MaxPool", (1, 2, 8), kernel_shape=[3], strides=[2], pads=[1, 0])
HALOS: list[tuple[str, Case, Position, Position]] = [
    ("of a window", CONV_3, Position(2, 1, 8, 1), Position(2, 1, 8, 1, 1, 1)),
    ("of a window on a halo", CONV_5, Position(2, 1, 8, 1, 1, 1), Position(2, 1, 8, 1, 3, 3)),
    ("of strides", HALVED, Position(2, 1, 4, 1), Position(2, 1, 4, 2, 1, 0)),
    ("of strides on a halo", HALVED, Position(2, 1, 4, 1, 1, 1), Position(2, 1, 4, 2, 3, 2)),
    ("of strides, chunks of two steps", HALVED, Position(2, 1, 2, 2), Position(2, 1, 2, 4, 1, 0)),
    ("in another unit", case("Reshape", (1, 2, 8), [1, 16]), Position(1, 1, 2, 8, 3, 1),
     Position(1, 1, 2, 1, 1, 1)),
    ("that passes", case("Relu", (1, 2, 8)), Position(2, 1, 8, 1, 2, 1), Position(2, 1, 8, 1, 2, 1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "position", "expected"), [halo[1:] for halo in HALOS], ids=[h[0] for h in HALOS]
)
def test_halos(call: Case, position: Position, expected: Position) -> None:
    step = carry(_rule(call), result=0, position=position)
    assert isinstance(step, Step)
    assert step.operands[0] == expected


def test_through_a_window_a_flow_is_followed_from_the_results_only() -> None:
    found = carry(_rule(CONV_3), operand=0, position=Position(2, 1, 8, 1))
    refused = "axis 2 of operand 0 is seen through windows: a flow comes from the result (factor s0)"
    assert found == Refusal(refused)


def test_a_halo_would_count_elements_twice() -> None:
    rule = _rule(case("ReduceSum", (3, 8), [1]))
    refused = "partial results over axis 1 of operand 0 would count elements twice"
    assert carry(rule, operand=0, position=Position(1, 1, 8, 1, 1, 0)) == Refusal(refused)


def test_what_is_counted_is_cut_as_one_range() -> None:
    """A minor part of rows would need another diagonal for each major step."""
    rule = _rule(case("Trilu", (8, 8), 0))
    refused = "axis 0 of operand 0 is counted from its start (factor m)"
    assert carry(rule, operand=0, position=Position(0, 2, 4, 1)) == Refusal(refused)
    assert isinstance(carry(rule, operand=0, position=Position(0, 1, 4, 2)), Step)


def test_a_halo_at_the_edges() -> None:
    position = Position(1, 1, 4, 2, 3, 1)
    ranges = [position.range(start, start + 1, (5, 8)) for start in range(4)]
    assert ranges == [(0, 3), (0, 5), (1, 7), (3, 8)]
    assert position.sliced_shape((5, 8), 1) == (5, 6) and position.sliced_shape((5, 8), 4) == (5, 8)
    assert position.has_halo and not position.core.has_halo


def test_the_hull_of_two_halos() -> None:
    left, right = Position(1, 1, 8, 1, 2, 0), Position(1, 1, 8, 1, 0, 1)
    assert left.hull(right) == Position(1, 1, 8, 1, 2, 1)
    assert left.hull(Position(0, 1, 8, 1)) is None


def test_coarser_steps() -> None:
    assert Position(1, 1, 8, 3).coarser(4) == Position(1, 1, 2, 12)
    assert Position(1, 1, 8, 3).coarser(3) is None and Position(1, 1, 8, 3).coarser(8) is None


def test_broadcast_operand_is_read_whole() -> None:
    step = carry(_rule(case("Add", (3, 4), (1, 4))), result=0, position=Position(0, 1, 3, 1))
    assert step == Step((Position(0, 1, 3, 1), None), (Position(0, 1, 3, 1),))


def test_positions_where_a_flow_can_start() -> None:
    rule = Rule(bind("n (h=2 d) s! -> n h d s", [(3, 10, 4)], [(3, 2, 5, 4)]))
    assert positions(rule, operand=0) == (Position(0, 1, 3, 1), Position(1, 1, 2, 5))
    assert positions(rule, result=0) == (Position(0, 1, 3, 1), Position(1, 1, 2, 1), Position(2, 1, 5, 1))


def test_a_position_in_a_shape() -> None:
    shape: Shape = (3, 12, 5)
    assert Position.whole(shape, 2) == Position(2, 1, 5, 1)
    assert Position(1, 1, 4, 3).sliced_shape(shape, 2) == (3, 6, 5)
    assert Position(1, 3, 4, 1).sliced_shape(shape, 2) == (3, 6, 5)
    tried = [Position(1, 3, 4, 1), Position(1, 3, 5, 1), Position(4, 1, 5, 1)]
    assert [position.fits(shape) for position in tried] == [True, False, False]
    assert [Position(1, 1, 4, 3).sliceable, Position(1, 3, 4, 1).sliceable] == [True, False]
