"""Plans against every way to chunk small random graphs; and that every way is a way."""

from __future__ import annotations

import random

import pytest

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.options import Options
from tests.emit.regions import check_close, outputs_of
from tests.plan.brute import Brute, counts
from tests.plan.drawn import FEWEST, MOST, draw
from tests.plan.graphs import loaded

MODEL = CostModel.load()


def test_regions_of_a_chain() -> None:
    chain = loaded(
        "(float[2,4,4] x) => (float[2,4,4] y) { a = Relu(x) b = MatMul(a, w) y = Exp(b) }", {"w": (4, 4)}
    )
    pieces = Brute(chain, Options(), MODEL).pieces
    found = sorted((p.region.ops, p.region.outputs[0].position.axis) for p in pieces)
    alone = [((op,), axis) for op in range(3) for axis in range(3)]
    rows = [(ops, axis) for ops in ((0, 1), (0, 1, 2)) for axis in (0, 1)]  # columns need all of `a`
    assert found == sorted([*alone, *rows, *(((1, 2), axis) for axis in range(3))])


def test_what_somebody_else_reads_is_put_together_or_computed_again() -> None:
    fork = loaded("(float[1,4] x) => (float[1,4] y, float[1,4] z) { a = Relu(x) y = Exp(a) z = Neg(a) }")
    regions = [piece.region for piece in Brute(fork, Options(), MODEL).pieces]
    found = {
        (tuple(sorted(r.ops)), tuple(r.recomputed), *sorted(cut.value for cut in r.outputs)) for r in regions
    }
    both = {((0, 1, 2), (), "y", "z"), ((1, 2), (), "y", "z")}
    one = {((0, 1), (), "a", "y"), ((0, 1), (0,), "y"), ((0, 2), (), "a", "z"), ((0, 2), (0,), "z")}
    assert found == both | one | {((0,), (), "a"), ((1,), (), "y"), ((2,), (), "z")}


@pytest.mark.parametrize(
    ("extent", "most", "lengths"),
    [
        (8, None, {4, 3, 2, 1}),
        (7, None, {4, 3, 2, 1}),
        (512, 4, {256, 171, 170, 128}),
        (2, 4, {1}),
        (1, 4, set()),
    ],
)
def test_counts(extent: int, most: int | None, lengths: set[int]) -> None:
    assert {chunking.length for chunking in counts(extent, most)} == lengths


@pytest.mark.parametrize("seed", range(12))
def test_every_way_computes_the_same(seed: int) -> None:
    source = draw(seed)
    brute, dice = Brute(source, Options(), MODEL), random.Random(seed)
    expected = outputs_of(source.model)
    assert FEWEST <= len(source.graph.ops) <= MOST
    for piece in dice.sample(brute.pieces, k=min(8, len(brute.pieces))):
        _, _, loop = dice.choice(piece.menu)
        found = outputs_of(weave(source, brute.plan((loop,)), brute.rules))
        for name, array in expected.items():
            check_close(found[name], array)
