"""The simulated peak against what ONNX Runtime holds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.model import Graph, Op, Value
from onnx_autochunk.memory.lifetime import simulate
from tests.memory import ort_truth
from tests.memory.cases import BODIES, PLANS, model

CASES = {name: model(*case) for name, case in (PLANS | BODIES).items()}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    paths = ort_truth.save(CASES, tmp_path_factory.mktemp("plans"))
    return dict(zip(paths, ort_truth.peaks(paths.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_peak_is_what_ort_holds(name: str, measured: dict[str, int]) -> None:
    assert simulate(load(CASES[name]).graph).peak_bytes == pytest.approx(measured[name], rel=0.03)


@pytest.mark.parametrize("name", ["lengthened_by_reuse", "attention", "mlp", "scan_in_scan"])
def test_peak_without_reuse(name: str, tmp_path: Path) -> None:
    (held,) = ort_truth.peaks(ort_truth.save({name: CASES[name]}, tmp_path).values(), reuse=False)
    assert simulate(load(CASES[name]).graph, reuse=False).peak_bytes == pytest.approx(held, rel=0.03)


def test_timeline_shows_what_is_held() -> None:
    graph = load(CASES["lengthened_by_reuse"]).graph
    timeline = simulate(graph)
    assert timeline.order == tuple(range(len(graph.ops)))
    assert timeline.live_bytes[timeline.peak_step] == timeline.peak_bytes == max(timeline.live_bytes)
    assert {b.values for b in timeline.at(timeline.peak_step)} == {("a", "d"), ("b", "c"), ("s",), ("t",)}
    assert sum(b.nbytes for b in timeline.at(timeline.peak_step)) == timeline.peak_bytes


def test_inputs_and_constants_count_nothing() -> None:
    timeline = simulate(load(model("(float[4] x) => (float[4] y)", "y = Exp(x)")).graph)
    assert (timeline.peak_bytes, timeline.buffers[0].values) == (16, ("y",))


def test_empty_graph() -> None:
    assert simulate(Graph((), {}, (), ())).peak_bytes == 0


def test_ten_thousand_ops_take_less_than_a_second() -> None:
    shape = (64, 64)
    values = {f"v{i}": Value(f"v{i}", "float32", shape) for i in range(10_001)}
    ops = tuple(Op(i, f"n{i}", "Add", (f"v{i}", f"v{max(0, i - 50)}"), (f"v{i + 1}",)) for i in range(10_000))
    graph = Graph(ops, values, ("v0",), ("v10000",))
    assert min(_simulation_seconds(graph) for _ in range(3)) < 1
    assert simulate(graph).peak_bytes == 52 * 4 * 64 * 64


def _simulation_seconds(graph: Graph) -> float:
    """This thread's own: ONNX Runtime's threads, that earlier tests left behind, spin in the process."""
    before = time.thread_time()
    simulate(graph)
    return time.thread_time() - before
