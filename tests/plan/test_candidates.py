"""Repeated layers are searched once, and what is found for one holds for all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import pytest

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.graph.model import Graph
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.candidates import Candidate, candidates
from onnx_autochunk.plan.moved import materialise
from onnx_autochunk.plan.nest import Bodies
from onnx_autochunk.plan.plan import Burden, Plan
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.search import Search
from onnx_autochunk.plan.signature import signatures
from tests.plan.graphs import loaded, transformer

FORMS = (Form.SCAN, Form.UNROLL)
ROOM = Burden(
    5.0, 2**30
)  # what 200 layers hold once loaded, were their weights as large as those of real ones
SEARCH_LIMIT_S = 20.0  # for 200 layers on a busy machine; it takes well under one


def planner_of(source: Loaded, forms: tuple[Form, ...] = FORMS) -> Planner:
    return make_planner(source.graph, Options(), CostModel.load(), forms)


def fresh(planner: Planner) -> int:
    """How many candidates were searched rather than moved."""
    return sum(candidate.shift == 0 for candidate in planner.candidates)


def steps(plan: Plan) -> list[tuple[object, ...]]:
    """Each region from its own start: what it holds, and how it is chunked."""
    return [
        (
            r.region.end - r.region.start,
            len(r.region.ops),
            len(r.region.hoisted),
            r.region.extent,
            r.form,
            r.chunking,
        )
        for r in plan.regions
    ]


def parts(found: Sequence[tuple[object, ...]]) -> tuple[list[tuple[object, ...]], ...]:
    """Regions of four layers as those of the first, of one of the two equal ones between, and of the last."""
    rows = list(found)
    for size in range(len(rows) // 2, 0, -1):
        for at in range(len(rows) - 2 * size + 1):
            if rows[at : at + size] == rows[at + size : at + 2 * size]:
                return rows[:at], rows[at : at + size], rows[at + 2 * size :]
    raise AssertionError(f"no two layers of {rows} are equal")


def least(planner: Planner) -> Plan:
    plan = planner.within(planner.floor_bytes, ROOM)
    assert plan is not None
    return plan


@pytest.fixture(scope="module")
def four() -> Planner:
    return planner_of(load(transformer(4)))


@pytest.mark.parametrize("layers", [2, 12, 200])
def test_any_number_of_layers_gives_the_same_regions_layer_by_layer(layers: int, four: Planner) -> None:
    source = load(transformer(layers))
    start = time.perf_counter()
    planner = planner_of(source)
    plan = least(planner)
    assert time.perf_counter() - start < SEARCH_LIMIT_S
    first, layer, last = parts(steps(least(four)))
    assert layer
    assert steps(plan) == [*first, *layer * (layers - 2), *last]
    assert plan.budget_bytes == least(four).budget_bytes
    assert fresh(planner) <= fresh(four)


def test_the_peak_does_not_grow_with_depth(four: Planner) -> None:
    deep = planner_of(load(transformer(12)))
    assert deep.floor_bytes == four.floor_bytes
    assert deep.timeline.peak_bytes == four.timeline.peak_bytes


X = "float[1,256,32]"
WEIGHTS = {"up": (32, 256), "down": (256, 32)}


def masked(masks: Sequence[str]) -> Loaded:
    """Equal layers, but for which of two masks each reads the second time."""
    names = ["x0", *(f"r{number}" for number in range(len(masks)))]
    body = " ".join(
        f"p{n} = Softmax<axis=1>({names[n]}) a{n} = MatMul(p{n}, up) t{n} = Add(a{n}, m1) e{n} = Erf(t{n}) "
        f"f{n} = Mul(e{n}, {mask}) r{n} = MatMul(f{n}, down)"
        for n, mask in enumerate(masks)
    )
    inputs = f"{X} x, float[1,256,256] m1, float[1,256,256] m2"
    return loaded(f"({inputs}) => ({X} y) {{ x0 = Neg(x) {body} y = Neg({names[-1]}) }}", WEIGHTS)


def mixers(layers: int) -> Loaded:
    names = ["x0", *(f"r{number}" for number in range(layers))]
    body = " ".join(
        f"a{n} = MatMul({names[n]}, up) e{n} = Erf(a{n}) d{n} = MatMul(e{n}, down) "
        f"r{n} = Add({names[n]}, d{n})"
        for n in range(layers)
    )
    return loaded(f"({X} x) => ({X} y) {{ x0 = Neg(x) {body} y = Neg({names[-1]}) }}", WEIGHTS)


SOURCES: dict[str, Loaded] = {
    "transformer": load(transformer(5)),
    "one mask read twice": masked(["m1"] * 5),
    "two masks in one layer": masked(["m1", "m1", "m2", "m1", "m2"]),
    "two masks at first": masked(["m2", "m2", "m1", "m2"]),
    "rows that nothing mixes": mixers(5),
}

Found = tuple[int, int, tuple[int, ...], frozenset[str], frozenset[str], frozenset[str]]


def key(region: Region) -> Found:
    """A region by everything that emission reads of it."""
    sliced, written = (frozenset(map(repr, found)) for found in (region.sliced, region.outputs))
    return region.start, region.end, region.ops, sliced, written, frozenset(region.whole)


def written(candidate: Candidate, planner: Planner) -> list[tuple[object, ...]]:
    """Every way to write a candidate, with its feeders where they stand and how its body is cut."""
    return [
        (
            replace(option, feeds=(), nest=None),
            option.nest and (option.nest.body_bytes, [(n.form, n.chunking) for n in option.nest.loops]),
            [(key(materialise(candidate, planner.setting, f.region)), f.chunking) for f in option.feeds],
        )
        for option in candidate.options
    ]


def all_different(_: Graph, order: Sequence[int], *__: object) -> list[int]:
    return list(range(len(order)))


def alone(planner: Planner) -> list[Candidate]:
    """The candidates of each step searched for itself, as if no step looked like another."""
    search = Search(
        planner.setting,
        planner.timeline,
        planner.lifetimes,
        planner.seconds,
        planner.lifetimes.valleys(),
        FORMS,
        nested=Bodies().nested,
    )
    return list(candidates(search))


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_moved_candidates_are_those_found_on_the_spot(
    source: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner = planner_of(source)
    moved = {key(materialise(c, planner.setting)): written(c, planner) for c in planner.candidates}
    monkeypatch.setattr("onnx_autochunk.plan.candidates.signatures", all_different)
    searched = {key(c.region): written(c, planner) for c in alone(planner)}
    assert moved == searched
    assert len(searched) >= 4


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_moved_candidates_can_be_emitted(source: Loaded) -> None:
    planner = planner_of(source)
    plan = least(planner)
    assert simulate(derive(weave(source, plan)).graph).peak_bytes < planner.timeline.peak_bytes


def marks(source: Loaded) -> list[int]:
    planner = planner_of(source)
    borders = planner.lifetimes.valleys()
    return signatures(source.graph, planner.setting.order, planner.lifetimes, planner.timeline, borders)


def layer(source: Loaded, results: Sequence[str]) -> list[int]:
    """Marks of the steps that compute some values."""
    graph: Graph = source.graph
    planner, found = planner_of(source), marks(source)
    return [found[planner.setting.rules.step[graph.producer[name].index]] for name in results]


PARTS = "ln q0 k0 scores scaled probs context res ln2 up act down".split()


def test_signatures_of_equal_layers_are_equal() -> None:
    source = SOURCES["transformer"]
    second, third = (layer(source, [f"l{number}_{part}" for part in PARTS]) for number in (1, 2))
    assert second == third
    assert len(set(second)) == len(second)


def test_signatures_tell_one_mask_from_two() -> None:
    source = SOURCES["two masks in one layer"]
    assert layer(source, ["f1"]) != layer(source, ["f2"])
    assert layer(source, ["p1"]) == layer(source, ["p3"])


def test_options_go_from_little_memory_to_little_time(four: Planner) -> None:
    for candidate in islice(four.candidates, 30):
        peaks = [option.peak_bytes for option in candidate.options]
        assert peaks == sorted(peaks) and peaks
        before = max(four.timeline.live_bytes[candidate.start : candidate.end + 1])
        assert peaks[-1] < before
