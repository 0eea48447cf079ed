"""The fastest way through a chain of moves whose burdens, added up, keep two limits.

Labels are carried forward: at each step the ways to get there of which none is better than another in time,
loading and resident memory at once. A label goes when what it needs at the least to reach the end breaks a
limit or the time that is known to be enough. The least is known exactly for each cost by itself, and for
time plus burdens at a price: prices (Lagrange multipliers) from chords of the front of time over burden.

Exact as long as no step has more than `MOST_LABELS`; beyond that at least as fast as the best way that the
chords came by, which in a chain of many equal layers is off by a part of what one layer takes. If that is
proved to be `NEAR` the fastest, it is taken as soon as there are too many labels, of one step or in all.

Source: resource-constrained shortest paths; Handler and Zang, Networks 10 (1980), for the prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeAlias, TypeVar

from .plan import Burden

T = TypeVar("T")
Costs: TypeAlias = tuple[float, float, float]  # seconds, seconds to load, resident bytes; or a price of each

MOST_LABELS = 64  # of one step: far more than a graph needs whose layers differ
ROUNDING = 1e-9  # share of a limit that sums may be off by
MANY_LABELS = 20 * MOST_LABELS  # of all steps together
NEAR = 0.01  # of the time that the limits cost: a way off by no more will do where labels are too many
CHORDS = 12  # prices that are tried for one burden
BY_TIME: Costs = (1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Move(Generic[T]):
    """A way on: to which step, at what costs; `chosen` is None where nothing is chosen."""

    to: int
    costs: Costs = (0.0, 0.0, 0.0)
    chosen: T | None = None


Moves: TypeAlias = Sequence[Sequence[Move[T]]]  # the ways on from each step but the last


@dataclass(frozen=True, slots=True)
class _Label(Generic[T]):
    """A way to some step."""

    costs: Costs = (0.0, 0.0, 0.0)
    before: _Label[T] | None = None
    move: Move[T] = Move(0)

    def then(self, move: Move[T]) -> _Label[T]:
        return _Label(_added(self.costs, move.costs), self, move)

    @property
    def labels(self) -> list[_Label[T]]:
        """The labels on the way, from its start."""
        found, at = [self], self.before
        while at is not None:
            found.append(at)
            at = at.before
        return found[::-1]


@dataclass(frozen=True, slots=True)
class _Bound:
    """No way from a step to the end costs less, by these prices, than `rest`; in all it may cost `most`."""

    prices: Costs
    rest: Sequence[float]
    most: float

    def least(self, costs: Costs, step: int) -> float:
        return _priced(costs, self.prices) + self.rest[step]

    def admits(self, costs: Costs, step: int) -> bool:
        return self.least(costs, step) <= self.most


def fastest(moves: Moves[T], limit: Burden, seconds: float = inf) -> list[T] | None:
    """What is chosen on the fastest way within the limit and the seconds; None when there is no way.

    Args:
        moves: the ways on from each step; every one leads to a later step.
        limit: on what the costs add up to.
        seconds: likewise.
    """
    limits = (seconds, limit.load_s, float(limit.resident_bytes))
    moves = [_worthwhile(ways) for ways in moves]
    prices, known = _search(moves, limits)
    most = (min([seconds, *(label.costs[0] for label in known)]), *limits[1:])
    bounds = [_bound(moves, price, most) for price in prices]
    arrived = _walk(moves, bounds, near=bool(known) and _is_near(bounds))
    found = [label for label in (*arrived, *known) if _keeps(label.costs, limits)]
    best = min(found, key=lambda label: label.costs, default=None)
    taken = [] if best is None else [label.move.chosen for label in best.labels]
    return None if best is None else [chosen for chosen in taken if chosen is not None]


def _worthwhile(ways: Sequence[Move[T]]) -> list[Move[T]]:
    """Moves without those that another one to the same step beats in all costs."""
    kept: list[Move[T]] = []
    for move in sorted(ways, key=lambda move: move.costs):
        _, load, resident = move.costs
        if not any(k.to == move.to and k.costs[1] <= load and k.costs[2] <= resident for k in kept):
            kept.append(move)
    return kept


def _is_near(bounds: Sequence[_Bound]) -> bool:
    """True when a known way is off by little of what the limits cost: of the fastest way without them."""
    by_time, *others = (bound.most - bound.rest[0] for bound in bounds if bound.prices[0])
    return min([by_time, *others]) <= NEAR * by_time


def _walk(moves: Moves[T], bounds: Sequence[_Bound], *, near: bool) -> list[_Label[T]]:
    """Carry labels to the end; those that arrive. None do when there are too many and a known way is near."""
    labels: list[list[_Label[T]]] = [[] for _ in range(len(moves) + 1)]
    labels[0] = [_Label()]
    carried = 0
    for step, ways in enumerate(moves):
        kept = _undominated(labels[step])
        carried += len(kept)
        if near and (len(kept) > MOST_LABELS or carried > MANY_LABELS):
            return []
        if len(kept) > MOST_LABELS:
            kept = _promising(kept, bounds[-1], step)
        for label in kept:
            for move in ways:
                costs = _added(label.costs, move.costs)
                if all(bound.admits(costs, move.to) for bound in bounds):
                    labels[move.to].append(label.then(move))
        labels[step] = []
    return labels[-1]


def _undominated(labels: list[_Label[T]]) -> list[_Label[T]]:
    """Those that no other beats in all costs."""
    kept: list[_Label[T]] = []
    for label in sorted(labels, key=lambda label: label.costs):
        _, load, resident = label.costs
        if not any(k.costs[1] <= load and k.costs[2] <= resident for k in kept):
            kept.append(label)
    return kept


def _promising(labels: list[_Label[T]], bound: _Bound, step: int) -> list[_Label[T]]:
    return sorted(labels, key=lambda label: bound.least(label.costs, step))[:MOST_LABELS]


def _search(moves: Moves[T], limits: Costs) -> tuple[list[Costs], list[_Label[T]]]:
    """Prices that bound well, the best last, and ways that keep the limits."""
    prices: list[Costs] = [BY_TIME, (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    known: list[_Label[T]] = []
    for load, resident in ((1, 0), (0, 1), (1, 1)):
        direction = (0.0, load / max(limits[1], 1e-9), resident / max(limits[2], 1.0))
        price, quick, light = _chord(moves, direction, float(load + resident))
        prices.append(price)
        if quick is not None and light is not None:
            ways = (light, _crossing(quick, light, limits), _crossing(light, quick, limits))
            known += [way for way in ways if way is not None and _keeps(way.costs, limits)]
    return prices, known


def _chord(
    moves: Moves[T], direction: Costs, most: float
) -> tuple[Costs, _Label[T] | None, _Label[T] | None]:
    """A price of a burden at which two ways are about equally good, one that uses more of it than `most`."""
    prices, quick, light = BY_TIME, _best(moves, BY_TIME), _best(moves, direction)
    for _ in range(CHORDS):
        if quick is None or light is None:
            break
        more, less = _priced(quick.costs, direction), _priced(light.costs, direction)
        if more <= less:
            break
        rate = (light.costs[0] - quick.costs[0]) / (more - less)
        prices = (1.0, rate * direction[1], rate * direction[2])
        way = _best(moves, prices)
        before = _priced(quick.costs, prices)
        if way is None or _priced(way.costs, prices) >= before - ROUNDING * abs(before):
            break
        if _priced(way.costs, direction) <= most:
            light = way
        else:
            quick = way
    return prices, quick, light


def _crossing(first: _Label[T], second: _Label[T], limits: Costs) -> _Label[T] | None:
    """The fastest way within the limits that begins as one and goes on as the other."""
    there = {label.move.to: label for label in second.labels}
    found: list[tuple[Costs, _Label[T]]] = []
    for label in first.labels:
        if other := there.get(label.move.to):
            costs = _added(label.costs, _added(second.costs, other.costs, -1.0))
            if _keeps(costs, limits):
                found.append((costs, label))
    if not found:
        return None
    _, way = min(found, key=lambda pair: pair[0])
    for label in second.labels:
        if label.move.to > way.move.to:
            way = way.then(label.move)
    return way


def _best(moves: Moves[T], prices: Costs) -> _Label[T] | None:
    """The way that is cheapest by these prices."""
    rest = _rest(moves, prices)
    if rest[0] == inf:
        return None
    way: _Label[T] = _Label()
    step = 0
    while step < len(moves):
        move = min(moves[step], key=lambda move: (_priced(move.costs, prices) + rest[move.to], move.costs))
        step, way = move.to, way.then(move)
    return way


def _bound(moves: Moves[T], prices: Costs, limits: Costs) -> _Bound:
    used = [price * most for price, most in zip(prices, limits, strict=True) if price]
    return _Bound(prices, _rest(moves, prices), sum(used) + ROUNDING * sum(map(abs, used)))


def _rest(moves: Moves[T], prices: Costs) -> list[float]:
    """What it costs from each step to the end, at the least."""
    rest = [0.0] * (len(moves) + 1)
    for step in reversed(range(len(moves))):
        ways = (_priced(move.costs, prices) + rest[move.to] for move in moves[step])
        rest[step] = min(ways, default=inf)
    return rest


def _priced(costs: Costs, prices: Costs) -> float:
    return costs[0] * prices[0] + costs[1] * prices[1] + costs[2] * prices[2]


def _added(left: Costs, right: Costs, times: float = 1.0) -> Costs:
    return left[0] + times * right[0], left[1] + times * right[1], left[2] + times * right[2]


def _keeps(costs: Costs, limits: Costs) -> bool:
    return all(cost <= most for cost, most in zip(costs, limits, strict=True))
