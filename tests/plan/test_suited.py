"""Chunkings that run well on CUDA."""

from __future__ import annotations

import pytest

from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.chunking import Chunking, ladder
from onnx_autochunk.plan.planner import make_planner
from onnx_autochunk.plan.suited import aligned_steps, suited
from tests.plan.graphs import grown, loaded, setting
from tests.scripted import PRICES


def _text(rows: int, width: int) -> str:
    shape = f"float[{rows},{width}]"
    return f"({shape} x) => ({shape} y) {{ a = Relu(x)  y = Exp(a) }}"


@pytest.mark.parametrize(
    ("form", "inside", "lengths"),
    [
        (Form.SCAN, False, {32, 64, 128, 256, 512, 800}),
        (Form.SCAN, True, {32}),
        (Form.SWEEP, False, {1, 8, 12, 16, 24, 32, 33, 64, 128, 256, 512, 800, 801}),
        (Form.UNROLL, False, {33, 64, 128, 256, 512, 800, 801}),
    ],
)
def test_lengths(form: Form, inside: bool, lengths: set[int]) -> None:
    """Of 1,056 rows of 24 bytes, multiples of 32 are multiples of 256 bytes; 33 go into 32 chunks."""
    graph = loaded(_text(1056, 6)).graph
    where = setting(graph)
    region = grown(where, "y", 0)[-1]
    every = [Chunking(1056, n) for n in (1, 8, 12, 16, 24, 32, 33, 64, 128, 256, 512, 800, 801)]
    found = suited(graph, where.rules, region, form, every, inside=inside)
    assert {chunking.length for chunking in found} == lengths


@pytest.mark.parametrize("rows", [1057, 1056, 1009])
def test_lengths_are_chosen_so_that_views_are_aligned(rows: int) -> None:
    graph = loaded(_text(rows, 6)).graph
    where = setting(graph)
    region = grown(where, "y", 0)[-1]
    assert aligned_steps(graph, region, Form.SCAN) == 32 and aligned_steps(graph, region, Form.UNROLL) == 1
    rungs = ladder(rows, unit=32)
    assert len(rungs) > 5
    assert suited(graph, where.rules, region, Form.SCAN, rungs, inside=False) == rungs


@pytest.mark.parametrize(("text", "scans"), [("y = Trilu(x, one)", False), ("y = Reshape(x, turned)", True)])
def test_what_changes_from_chunk_to_chunk_and_is_read_on_the_cpu_is_not_scanned(
    text: str, scans: bool
) -> None:
    graph = loaded(f"(float[64,64] x) => (float[64,64] y) {{ {text} }}", one=(1,), turned=(64, 64)).graph
    where = setting(graph)
    region = grown(where, "y", 0)[-1]
    assert bool(suited(graph, where.rules, region, Form.SCAN, [Chunking(64, 8)], inside=False)) is scans


def test_ops_that_the_cpu_runs_are_in_no_region() -> None:
    graph = loaded("(float[64,64] x) => (float[64,64] y) { a = Relu(x)  b = Acos(a)  y = Exp(b) }").graph
    excluded = {
        provider: make_planner(graph, Options(provider=provider), PRICES, (Form.SCAN,)).setting.excluded
        for provider in ("cpu", "cuda")
    }
    assert excluded == {"cpu": frozenset(), "cuda": frozenset({1})}
