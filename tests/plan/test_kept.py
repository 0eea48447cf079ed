"""Results that are only kept for the caller, such as caches of keys and values, do not slow planning down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.graph.model import Graph
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.plan.moved import materialise
from tests.plan.graphs import loaded
from tests.plan.test_candidates import WEIGHTS, X, all_different, alone, fresh, key, planner_of, written


def caching(layers: int) -> Loaded:
    """Equal layers, each of which also returns a part of what it computes."""
    names = ["x0", *(f"r{number}" for number in range(layers))]
    body = " ".join(
        f"k{n} = Softmax<axis=1>({names[n]}) a{n} = MatMul(k{n}, up) e{n} = Erf(a{n}) "
        f"d{n} = MatMul(e{n}, down) r{n} = Add({names[n]}, d{n})"
        for n in range(layers)
    )
    results = ", ".join(f"{X} {name}" for name in ["y", *(f"k{n}" for n in range(layers))])
    return loaded(f"({X} x) => ({results}) {{ x0 = Neg(x) {body} y = Neg({names[-1]}) }}", WEIGHTS)


def test_they_are_kept_and_not_held() -> None:
    found = planner_of(caching(8)).lifetimes
    assert max(map(len, found.held)) <= 3
    row = 4 * 256 * 32
    assert list(found.kept_bytes) == sorted(found.kept_bytes) and found.kept_bytes[-1] == 8 * row


def test_layers_are_searched_once_however_much_is_kept() -> None:
    few, many = planner_of(caching(5)), planner_of(caching(20))
    assert 0 < fresh(many) <= fresh(few)
    assert len(many.candidates) > 3 * len(few.candidates)


def test_moved_candidates_hold_what_is_kept_where_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    planner = planner_of(caching(5))
    moved = {key(materialise(c, planner.setting)): written(c, planner) for c in planner.candidates}
    monkeypatch.setattr("onnx_autochunk.plan.candidates.signatures", all_different)
    assert moved == {key(c.region): written(c, planner) for c in alone(planner)}
    for found in planner.candidates:
        kept = planner.lifetimes.kept_bytes[found.start]
        assert all(option.peak_bytes > kept for option in found.options)


def test_the_floor_includes_them() -> None:
    planner = planner_of(caching(8))
    assert planner.lifetimes.crossing_bytes[-1] <= planner.floor_bytes < planner.timeline.peak_bytes


class Unsearchable(tuple[str, ...]):
    """Names that may be gone through, but in which none may be looked for."""

    __slots__ = ()

    def __contains__(self, name: Any) -> bool:
        raise AssertionError(f"{name} is looked for among all outputs: Graph.results is the set of them")


def unsearchable(graph: Graph) -> Graph:
    return replace(graph, outputs=Unsearchable(graph.outputs))


def test_names_are_not_looked_for_among_all_outputs() -> None:
    source = caching(3)
    source = replace(source, graph=unsearchable(source.graph))
    assert planner_of(source).candidates
    gelu = "a = Erf(x) b = Add(a, one) c = Mul(x, b) d = Mul(c, one) y = MatMul(d, w)"
    graph = loaded(f"({X} x) => ({X} y, {X} d) {{ {gelu} }}", {"one": (), "w": (32, 32)}).graph
    assert simulate(unsearchable(graph)).live_bytes == simulate(graph).live_bytes
