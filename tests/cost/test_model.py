"""Prices: what they must obey, whatever the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from onnx_autochunk.cost.constants import to_constants
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.cost.prices import COPIES, CUT, JOIN
from onnx_autochunk.errors import UsageError
from onnx_autochunk.graph.model import Graph
from tests.cost.graphs import Node, Shape, attention, graph, mlp, other_profile, seconds

MODEL = CostModel.load()
APART = CostModel(replace(MODEL.constants, handover_s=2.6e-10))  # two threads whose cores share no cache
ROWS = (8, 16, 32, 64, 128, 256, 512, 1024, 4096)


@pytest.mark.parametrize("build", [attention, mlp])
def test_more_rows_take_longer(build: Callable[[int], Graph]) -> None:
    times = [seconds(MODEL, build(rows)) for rows in ROWS]
    assert all(short < long for short, long in pairwise(times))


@pytest.mark.parametrize(
    ("build", "whole", "rows", "low", "high"),
    [  # as measured in loops over four layers: attention 0.8, 1.0, 1.4, 1.7 times the time of the whole,
        # MLP 0.9, 0.95, 1.3, 1.5 times
        (attention, 4097, 256, 0.8, 1.05),
        (attention, 4097, 64, 0.85, 1.1),
        (attention, 4097, 32, 1.2, 1.55),
        (attention, 4097, 16, 1.45, 1.95),
        (mlp, 4097, 512, 0.85, 1.05),
        (mlp, 4097, 128, 0.85, 1.05),
        (mlp, 4097, 32, 1.1, 1.4),
        (mlp, 4097, 16, 1.3, 1.7),
    ],
)
def test_price_of_few_rows(
    build: Callable[[int], Graph], whole: int, rows: int, low: float, high: float
) -> None:
    model = CostModel(to_constants(other_profile()))
    ratio = seconds(model, build(rows)) * whole / rows / seconds(model, build(whole))
    assert low <= ratio <= high


def _seconds(shape: Shape, *nodes: Node, **constants: Shape) -> float:
    """Time of a chain of elementwise ops."""
    results = {name: shape for _, _, results in nodes for name in results.split()}
    return seconds(MODEL, graph({"x": shape, "z": shape}, constants, nodes, **results))


BIG = (4096, 4096)


def test_elements_cost_more_beyond_the_cache() -> None:
    small, big = _seconds((256, 1024), ("Add", "x z", "y")), _seconds(BIG, ("Add", "x z", "y"))
    assert big > 1.5 * 64 * small


def test_without_a_cache_a_byte_costs_what_it_costs_beyond_it() -> None:
    excess, without = MODEL.constants.excess_s, MODEL.uncached().constants.excess_s
    assert without(1) == without(1 << 40) == excess(1 << 40) > excess(1)


def _product(heads: int, rows: int, columns: int = 4096, depth: int = 64, reader: bool = True) -> float:
    """Time of a product on two threads for each head and row."""
    shape = (heads, rows, columns)
    nodes = [("MatMul", "q k", "s"), *([("Identity", "s", "y")] if reader else [])]
    made = graph({"q": (heads, rows, depth), "k": (heads, depth, columns)}, {}, nodes, s=shape, y=shape)
    return APART.op_seconds(made.ops[0], made, made.shape) / heads / rows


def test_rows_that_threads_share_cost_more_than_those_of_their_own() -> None:
    """As measured: 8.7 microseconds a row and head with one head at a time, 6.2 with two (ADR 17)."""
    assert APART.constants.threads == 2
    assert _product(1, 256) > 1.3 * _product(2, 256)
    assert _product(1, 256, reader=False) < 1.1 * _product(2, 256)


def test_nothing_is_waited_for_beyond_the_cache_behind_arithmetic_or_where_rows_are_split() -> None:
    assert _product(1, 4096, columns=65536) == pytest.approx(_product(1, 4096, 65536, reader=False))
    assert _product(1, 256, depth=256) == _product(1, 256, depth=256, reader=False)
    assert _product(1, 4096, columns=2048) == _product(1, 4096, columns=2048, reader=False)


def test_three_products_on_two_threads_take_as_long_as_four() -> None:
    three, four = 3 * _product(3, 64), 4 * _product(4, 64)
    assert three == pytest.approx(four, rel=0.02)


def test_unknown_op_costs_about_what_reading_and_writing_does() -> None:
    unknown, known = _seconds(BIG, ("Mystery", "x z", "y")), _seconds(BIG, ("Add", "x z", "y"))
    assert unknown == pytest.approx(known)


def test_unknown_shape_costs_a_dispatch() -> None:
    one = graph({"x": (4, 4)}, {}, [("Mystery", "x", "y")], y=(4, 4))
    priced = MODEL.op_seconds(one.ops[0], one, lambda _: None)
    assert priced == pytest.approx(MODEL.constants.dispatch_s, rel=0.01)


def test_views_cost_a_dispatch() -> None:
    assert _seconds(BIG, ("Reshape", "x", "y")) == MODEL.constants.dispatch_s


def test_transpose_of_long_runs_is_cheaper_than_of_elements() -> None:
    swapped = graph({"x": (64, 64, 64)}, {}, [("Transpose", "x", "y")], y=(64, 64, 64))
    op = swapped.ops[0]
    assert op.attributes == {}
    runs = type(op)(0, "t", "Transpose", ("x",), ("y",), attributes={"perm": (1, 0, 2)})
    assert MODEL.op_seconds(runs, swapped, swapped.shape) < MODEL.op_seconds(op, swapped, swapped.shape)


def test_scan_pays_for_its_body_each_time() -> None:
    body = mlp(64)
    outer = graph({"x": (8, 64, 768)}, {}, [("Scan", "x", "y")], y=(8, 64, 768))
    op = outer.ops[0]
    scan = type(op)(0, "scan", "Scan", ("x",), ("y",), subgraphs={"body": body})
    expected = 8 * seconds(MODEL, body) + MODEL.constants.dispatch_s
    assert MODEL.op_seconds(scan, outer, outer.shape) == pytest.approx(expected)


@pytest.mark.parametrize("kind", COPIES)
def test_copy_in_short_runs_takes_longer(kind: str) -> None:
    times = [MODEL.copy_seconds(kind, 1 << 20, run_bytes=run) for run in (1 << 20, 1 << 12, 1 << 6)]
    assert all(long < short for long, short in pairwise(times))
    small, large = (MODEL.copy_seconds(kind, size, run_bytes=4096) for size in (1 << 20, 1 << 22))
    assert large > 3 * small


def test_one_thread_copies_what_is_cut_out() -> None:
    cut, joined = (MODEL.copy_seconds(kind, 1 << 22, run_bytes=1 << 16) for kind in (CUT, JOIN))
    assert cut > 1.5 * joined


def test_one_row_packs_nothing() -> None:
    one, few = (_scores(rows) for rows in (1, 8))
    assert one < 0.7 * few


def _scores(rows: int) -> float:
    """Time of a product of two computed operands."""
    shapes = {"x": (128, rows, 256), "z": (128, 256, 256)}
    return seconds(MODEL, graph(shapes, {}, [("MatMul", "x z", "y")], y=(128, rows, 256)))


@pytest.mark.parametrize("form", ["scan", "loop", "unroll", "sweep"])
def test_overheads_of_a_form(form: str) -> None:
    assert 0 < MODEL.iteration_seconds(form, 4) <= MODEL.iteration_seconds(form, 40) < 1e-4
    none, few, many = (MODEL.load_seconds(form, 20, copies, 28 << 20) for copies in (0, 4, 64))
    assert 0 == none < few < many < 10


@pytest.mark.parametrize("form", ["scan", "loop", "unroll", "sweep"])
def test_what_a_form_keeps_in_memory(form: str) -> None:
    none, few, many = (MODEL.resident_bytes(form, 20, copies) for copies in (0, 4, 64))
    assert 0 <= none < few < many < 64 << 20
    assert (none > 0) == (form in ("scan", "loop"))
    assert many - none == pytest.approx(2 * (MODEL.resident_bytes(form, 20, 32) - none), abs=2)
    assert many - none == pytest.approx(2 * (MODEL.resident_bytes(form, 10, 64) - none), abs=2)


def test_resident_bytes_of_written_out_chunks_are_those_measured() -> None:
    # a U-Net of 64 x 64: 7,090 more nodes in sweeps added 43 MiB, 8,616 in written-out chunks 65 MiB
    assert MODEL.resident_bytes("sweep", 7090, 1) == pytest.approx(43 * 2**20, rel=0.25)
    assert MODEL.resident_bytes("unroll", 8616, 1) == pytest.approx(65 * 2**20, rel=0.1)


def test_only_calibrated_providers_have_a_model() -> None:
    with pytest.raises(UsageError, match="no cost profile for provider 'abacus'; there is cpu, cuda"):
        CostModel.load("abacus")


@pytest.mark.parametrize("build", [attention, mlp])
def test_pricing_is_fast(build: Callable[[int], Graph]) -> None:
    priced = build(64)
    best = min(_pricing_seconds(priced) for _ in range(50))
    assert best / len(priced.ops) < 20e-6


def _pricing_seconds(priced: Graph) -> float:
    before = time.thread_time()
    seconds(MODEL, priced)
    return time.thread_time() - before
