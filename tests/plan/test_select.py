"""Dynamic programming finds what trying everything finds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any

import pytest

from onnx_autochunk.options import Form
from onnx_autochunk.plan.candidates import Candidate
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.option import Option, pareto
from onnx_autochunk.plan.plan import Burden
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.select import UNLIMITED, Selection, Selector


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

    @property
    def seconds(self) -> float:
        return sum(one.extra_seconds for _, one in self.choices)

    @property
    def burden(self) -> Burden:
        taken = [one for _, one in self.choices]
        return Burden(sum(one.load_seconds for one in taken), sum(one.resident_bytes for one in taken))


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
    """It is one of the ways, in order, within the budget, at the costs it states."""
    pairs = tuple((choice.candidate, choice.option) for choice in selection.choices)
    way = next(way for way in ways(given) if way.choices == pairs)
    assert way.peak <= budget == selection.budget_bytes
    assert (selection.extra_seconds, selection.burden) == (way.seconds, way.burden)


# Limits on loading and resident memory: none, either, both, and none that anything but the original keeps.
LIMITS = {
    "none": UNLIMITED,
    "loading": Burden(1.5, inf),
    "resident": Burden(inf, 7),
    "both": Burden(2.0, 9),
    "tight": Burden(0.75, 4),
    "nothing": Burden(0.0, 0.0),
}
SEEDS = [range(start, start + 50) for start in range(0, 300, 50)]


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_the_fastest_within_every_budget(seeds: range, limit: Burden) -> None:
    for given in map(puzzle, seeds):
        selector = Selector(given.live, given.candidates)
        every = list(ways(given))
        assert selector.floor_bytes() == min(way.peak for way in every)
        for budget in range(22):
            fitting = [way.seconds for way in every if way.peak <= budget and way.burden.within(limit)]
            selection = selector.select(budget, limit)
            assert (None if selection is None else selection.extra_seconds) == min(fitting, default=None)
            if selection is not None:
                assert selection.burden.within(limit)
                check_sound(selection, given, budget)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_the_least_budget_within_every_time(seeds: range, limit: Burden) -> None:
    for given in map(puzzle, seeds):
        selector = Selector(given.live, given.candidates)
        every = [way for way in ways(given) if way.burden.within(limit)]
        for allowed in (-2.0, -0.01, 0.0, 0.5, 1.0, 2.5, inf):
            selection = selector.least(allowed, limit)
            fitting = [way.peak for way in every if way.seconds <= allowed]
            assert (None if selection is None else selection.budget_bytes) == min(fitting, default=None)
            if selection is not None:
                assert selection.extra_seconds <= allowed and selection.burden.within(limit)
                assert selection == selector.select(selection.budget_bytes, limit)
                check_sound(selection, given, selection.budget_bytes)


class Unread(tuple[int, ...]):
    """What is held at each step, to be read while a selector is made and not again."""

    __slots__ = ()
    closed = False

    def __getitem__(self, key: Any) -> Any:
        assert not Unread.closed
        return super().__getitem__(key)


def test_a_selection_looks_at_no_step_between_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Unread([3] * 50 + [9] + [2] * 49)
    selector = Selector(live, [candidate(40, 60, [option(4, 1.0, load=2.0), option(4, 2.0)])])
    monkeypatch.setattr(Unread, "closed", True)
    assert selector.floor_bytes() == 4
    for limit, seconds in ((UNLIMITED, 1.0), (Burden(1.0, inf), 2.0)):
        selection = selector.select(4, limit)
        assert selection is not None and selection.extra_seconds == seconds


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
