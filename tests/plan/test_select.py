"""Dynamic programming finds what trying everything finds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pytest

from onnx_autochunk.options import Form
from onnx_autochunk.plan.candidates import Candidate, Option, pareto
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.plan import Burden
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.select import Selection, Selector


@dataclass(frozen=True)
class Puzzle:
    live: tuple[int, ...]
    candidates: tuple[Candidate, ...]


def candidate(start: int, end: int, options: Sequence[Option], shift: int = 0) -> Candidate:
    region = Region(start - shift, end - shift, (), frozenset(), (), (), (), (), (), {}, 8)
    return Candidate(region, shift, pareto(options))


def option(peak: int, seconds: float, load: float = 0.0, resident: int = 0) -> Option:
    return Option(Form.SCAN, Chunking(8, 2), peak, seconds, load, resident)


@lru_cache
def puzzle(seed: int) -> Puzzle:
    """A few intervals over a few steps; costs may be negative, peaks may lie above what they replace."""
    draw = random.Random(seed)
    steps = draw.randint(3, 10)
    live = tuple(draw.randint(1, 20) for _ in range(steps))
    found = []
    for _ in range(draw.randint(0, 7)):
        start = draw.randrange(steps)
        end = draw.randrange(start, min(steps, start + 5))
        options = [
            option(draw.randint(1, 15), draw.randint(-4, 30) / 8, draw.randint(0, 8) / 4, draw.randint(0, 9))
            for _ in range(draw.randint(1, 4))
        ]
        found.append(candidate(start, end, options, shift=draw.randint(0, start)))
    return Puzzle(live, tuple(found))


@dataclass(frozen=True)
class Way:
    """One way to write the whole graph."""

    choices: tuple[tuple[Candidate, Option], ...]
    peak: int

    def price(self, load_price: float, resident_price: float = 0.0) -> float:
        return sum(
            o.extra_seconds + load_price * o.load_seconds + resident_price * o.resident_bytes
            for _, o in self.choices
        )


def ways(given: Puzzle, step: int = 0) -> Iterator[Way]:
    """Every set of disjoint candidates with every option of each."""
    if step == len(given.live):
        yield Way((), 0)
        return
    for rest in ways(given, step + 1):
        yield Way(rest.choices, max(rest.peak, given.live[step]))
    for found in given.candidates:
        if found.start == step:
            for rest in ways(given, found.end + 1):
                for one in found.options:
                    yield Way(((found, one), *rest.choices), max(rest.peak, one.peak_bytes))


def check_sound(selection: Selection, given: Puzzle, budget: int) -> None:
    """It is one of the ways, in order, within the budget, at the price it states."""
    pairs = tuple((choice.candidate, choice.option) for choice in selection.choices)
    way = next(way for way in ways(given) if way.choices == pairs)
    assert way.peak <= budget == selection.budget_bytes
    assert selection.extra_seconds == pytest.approx(way.price(0.0))
    assert selection.load_seconds == pytest.approx(sum(one.load_seconds for _, one in pairs))
    assert selection.resident_bytes == sum(one.resident_bytes for _, one in pairs)
    assert selection.burden == Burden(selection.load_seconds, selection.resident_bytes)


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(0, 200, 25)], ids=str)
@pytest.mark.parametrize("prices", [(0.0, 0.0), (0.5, 0.0), (0.0, 0.25), (0.5, 0.25)])
def test_the_cheapest_within_every_budget(seeds: range, prices: tuple[float, float]) -> None:
    for given in map(puzzle, seeds):
        selector = Selector(given.live, given.candidates, *prices)
        every = list(ways(given))
        assert selector.floor_bytes() == min(way.peak for way in every)
        for budget in range(22):
            fitting = [way.price(*prices) for way in every if way.peak <= budget]
            selection = selector.select(budget)
            assert (selection is None) == (not fitting)
            if selection is not None:
                check_sound(selection, given, budget)
                load, resident = selection.load_seconds, selection.resident_bytes
                price = selection.extra_seconds + prices[0] * load + prices[1] * resident
                assert price == pytest.approx(min(fitting))


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(0, 200, 25)], ids=str)
def test_the_least_budget_within_every_time(seeds: range) -> None:
    for given in map(puzzle, seeds):
        selector = Selector(given.live, given.candidates)
        every = list(ways(given))
        for allowed in (-2.0, -0.01, 0.01, 0.8, 2.6, 1e9):
            selection = selector.least_budget(lambda s, limit=allowed: s.extra_seconds <= limit)  # type: ignore[misc]
            fitting = [way.peak for way in every if way.price(0.0) <= allowed]
            assert (selection is None) == (not fitting)
            if selection is not None:
                assert selection.budget_bytes == min(fitting)
                check_sound(selection, given, selection.budget_bytes)


def test_budgets_are_all_that_matter() -> None:
    for given in map(puzzle, range(40)):
        selector = Selector(given.live, given.candidates)
        budgets = selector.budgets()
        assert budgets == sorted(set(budgets)) and budgets[0] == selector.floor_bytes()
        prices = [_price(selector, budget) for budget in range(22)]
        changes = [b for b in range(1, 22) if prices[b] != prices[b - 1]]
        assert set(changes) <= set(budgets)


def _price(selector: Selector, budget: int) -> float | None:
    selection = selector.select(budget)
    return None if selection is None else selection.extra_seconds


def test_equal_questions_have_equal_answers() -> None:
    for given in map(puzzle, range(40)):
        asked = [Selector(given.live, given.candidates).select(budget) for budget in range(22)]
        again = Selector(given.live, given.candidates)
        assert asked == [again.select(budget) for budget in range(22)]


def test_a_tie_is_left_unchunked() -> None:
    free = candidate(0, 1, [option(3, 0.0)])
    selection = Selector((5, 5), [free]).select(5)
    assert selection is not None and selection.choices == ()


# Options as (peak, seconds, load, resident), and those that are kept.
Listed = tuple[int, float, float] | tuple[int, float, float, int]
FRONTS: dict[str, tuple[list[Listed], list[Listed]]] = {
    "one": ([(3, 1.0, 0.0)], [(3, 1.0, 0.0)]),
    "beaten in all": ([(4, 2.0, 1.0), (3, 1.0, 0.0)], [(3, 1.0, 0.0)]),
    "memory against time": ([(2, 5.0, 0.0), (4, 1.0, 0.0)], [(2, 5.0, 0.0), (4, 1.0, 0.0)]),
    "time against load": ([(3, 1.0, 2.0), (3, 2.0, 0.0)], [(3, 1.0, 2.0), (3, 2.0, 0.0)]),
    "time against resident memory": (
        [(3, 1.0, 0.0, 9), (3, 2.0, 0.0, 1)],
        [(3, 1.0, 0.0, 9), (3, 2.0, 0.0, 1)],
    ),
    "equal ones once": ([(3, 1.0, 0.0), (3, 1.0, 0.0)], [(3, 1.0, 0.0)]),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("given", "kept"), FRONTS.values(), ids=FRONTS)
def test_only_options_that_nothing_beats_are_kept(given: list[Listed], kept: list[Listed]) -> None:
    assert pareto([option(*each) for each in given]) == tuple(option(*each) for each in kept)
