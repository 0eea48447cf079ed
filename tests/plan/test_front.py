"""The Pareto front: what less memory costs in time, by the prices of selection."""

from __future__ import annotations

import pytest

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.graph.load import load
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.front import MOST, front
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.plan.select import Selection, peak_of
from tests.plan.graphs import loaded, transformer


def _planner(layers: int = 2) -> Planner:
    forms = (Form.SCAN, Form.SWEEP, Form.UNROLL)
    return make_planner(load(transformer(layers)).graph, Options(), CostModel.load("cpu"), forms)


@pytest.fixture(scope="module")
def planner() -> Planner:
    return _planner()


def test_less_memory_takes_more_time(planner: Planner) -> None:
    points = front(planner)
    assert 3 <= len(points) <= MOST + 1
    peaks = [point.peak_bytes for point in points]
    slowdowns = [point.slowdown for point in points]
    assert peaks == sorted(set(peaks), reverse=True)
    assert slowdowns == sorted(set(slowdowns))
    assert peaks[-1] == planner.floor_bytes


def test_a_point_is_the_fastest_plan_for_its_budget_and_keeps_it(planner: Planner) -> None:
    for point in front(planner):
        assert point.peak_bytes <= point.budget_bytes
        again = planner.within(point.budget_bytes)
        assert again is not None and len(again.loops) == point.loops
        assert again.predicted_slowdown == point.slowdown
        tighter = planner.within(point.peak_bytes - 1)
        assert tighter is None or tighter.predicted_slowdown >= point.slowdown


def test_the_same_front_whenever_it_is_asked_for(planner: Planner) -> None:
    def numbers(of: Planner) -> list[tuple[int, int, float]]:
        return [(p.budget_bytes, p.peak_bytes, p.slowdown) for p in front(of)]

    assert numbers(planner) == numbers(planner) == numbers(_planner())


def test_no_plan_is_made_for_a_point(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Planner, "plan_of")  # what makes a thousand regions for each of twenty points
    assert front(planner)


def test_what_no_region_covers_counts(planner: Planner) -> None:
    assert peak_of(planner.timeline.live_bytes, Selection((), 0, 0.0, 0.0, 0)) == planner.timeline.peak_bytes
    selection = planner.selected(planner.floor_bytes)
    assert selection is not None
    assert peak_of(planner.timeline.live_bytes, selection) >= max(
        choice.option.peak_bytes for choice in selection.choices
    )


def test_a_model_with_nothing_to_chunk_has_one_point() -> None:
    graph = loaded("(float[4] x) => (float[4] y) { y = Relu(x) }").graph
    points = front(make_planner(graph, Options(), CostModel.load("cpu"), (Form.SCAN,)))
    assert [(point.peak_bytes, point.loops) for point in points] == [(16, 0)]
