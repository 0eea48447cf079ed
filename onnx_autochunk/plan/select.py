"""Choose disjoint candidates by dynamic programming over the execution order.

Over intervals that do not overlap, costs add and peaks take the maximum:

    best[s] = min(best[s+1] if M(s) <= B else inf,
                  min over candidates (s, e) with peak <= B of cost + best[e+1])

which is the optimum for the prices given. Only the steps at which candidates start and end matter, here
called stops; between two of them M(s) counts by its highest. Where the fastest selection takes too much to
load or to hold once loaded, `plan.limited` finds the fastest of those that do not.

Source: DESIGN section 6, selection; arXiv 2401.10652 section 3.4.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import inf

from .candidates import Candidate
from .limited import Move, fastest
from .option import Option
from .plan import Burden

TIE_S = 1e-12  # seconds that do not matter: of equally fast selections the one that chunks less is taken
UNLIMITED = Burden(inf, inf)


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate and the way it is to be written."""

    candidate: Candidate
    option: Option

    @property
    def start(self) -> int:
        """First step of the interval."""
        return self.candidate.start

    def later(self, steps: int) -> Choice:
        """The choice so many steps further on."""
        return replace(self, candidate=self.candidate.later(steps))


@dataclass(frozen=True, slots=True)
class Selection:
    """Disjoint choices in execution order, with what they cost by their prices."""

    choices: tuple[Choice, ...]
    budget_bytes: int
    extra_seconds: float
    load_seconds: float
    resident_bytes: int

    @property
    def burden(self) -> Burden:
        """What comes on top of the original, however seldom it runs."""
        return Burden(self.load_seconds, self.resident_bytes)


def peak_of(live_bytes: Sequence[int], selection: Selection) -> int:
    """The highest of what was chosen and of the steps that none of it covers.

    Args:
        live_bytes: held at each step of the unchunked graph.
        selection: of its candidates.
    """
    after, peak = 0, 0
    for choice in selection.choices:
        peak = max(peak, choice.option.peak_bytes, *live_bytes[after : choice.candidate.start])
        after = choice.candidate.end + 1
    return max(peak, *live_bytes[after:], 0)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A candidate and the stop behind it; its peaks, ascending, and the fastest of its first one, two, ..."""

    candidate: Candidate
    to: int
    peaks: Sequence[int]
    fastest: Sequence[Option]


class Selector:
    """Answers many budgets for one set of candidates.

    Args:
        live_bytes: held at each step of the unchunked graph.
        candidates: what may be chosen.
    """

    def __init__(self, live_bytes: Sequence[int], candidates: Sequence[Candidate]) -> None:
        self._live = live_bytes
        ends = {0, len(live_bytes)} | {step for found in candidates for step in (found.start, found.end + 1)}
        stops = {step: at for at, step in enumerate(sorted(ends))}
        self._between = [max(live_bytes[start:end]) for start, end in pairwise(stops)]
        self._starting: list[list[_Entry]] = [[] for _ in self._between]
        for found in candidates:
            peaks = [option.peak_bytes for option in found.options]
            quickest = list(accumulate(found.options, _faster))
            self._starting[stops[found.start]].append(_Entry(found, stops[found.end + 1], peaks, quickest))

    def floor_bytes(self) -> int:
        """The least budget that any selection meets."""
        least = [0] * (len(self._between) + 1)
        for stop in reversed(range(len(self._between))):
            peaks = [max(entry.peaks[0], least[entry.to]) for entry in self._starting[stop]]
            least[stop] = min([max(self._between[stop], least[stop + 1]), *peaks])
        return least[0]

    def budgets(self) -> list[int]:
        """Every budget at which the best selection can change, ascending."""
        peaks = {peak for starting in self._starting for entry in starting for peak in entry.peaks}
        floor = self.floor_bytes()
        return sorted(peak for peak in peaks | set(self._live) if peak >= floor)

    def select(self, budget_bytes: int, limit: Burden = UNLIMITED) -> Selection | None:
        """The fastest selection within the budget and the limit; None when there is none."""
        found = self._fastest(budget_bytes)
        if found is None or found.burden.within(limit):
            return found
        return self._limited(budget_bytes, limit, inf)

    def least(self, seconds: float, limit: Burden = UNLIMITED) -> Selection | None:
        """The fastest selection of the least budget that allows one within the seconds and the limit.

        What keeps a budget keeps every larger one, so bisection finds it.
        """
        budgets = self.budgets()
        low, high, found = 0, len(budgets) - 1, None
        while low <= high:
            middle = (low + high) // 2
            selection = self._allowed(budgets[middle], seconds, limit)
            if selection is not None:
                found, high = selection, middle - 1
            else:
                low = middle + 1
        return found

    def _allowed(self, budget_bytes: int, seconds: float, limit: Burden) -> Selection | None:
        """The fastest selection that keeps all three; None when there is none."""
        found = self._fastest(budget_bytes)
        if found is None or found.extra_seconds > seconds:
            return None
        return found if found.burden.within(limit) else self._limited(budget_bytes, limit, seconds)

    def _fastest(self, budget_bytes: int) -> Selection | None:
        """The fastest selection within the budget, whatever it takes to load."""
        best = [0.0] * (len(self._between) + 1)
        chosen: list[tuple[int, Choice] | None] = [None] * len(self._between)
        for stop in reversed(range(len(self._between))):
            best[stop] = best[stop + 1] if self._between[stop] <= budget_bytes else inf
            for entry in self._starting[stop]:
                if usable := bisect_right(entry.peaks, budget_bytes):
                    option = entry.fastest[usable - 1]
                    total = option.extra_seconds + best[entry.to]
                    if total < best[stop] - TIE_S:
                        best[stop], chosen[stop] = total, (entry.to, Choice(entry.candidate, option))
        return None if best[0] == inf else _selection(_followed(chosen), budget_bytes)

    def _limited(self, budget_bytes: int, limit: Burden, seconds: float) -> Selection | None:
        """The fastest selection that keeps all three, by trying more than the fastest one."""
        moves = [list(self._moves(starting, budget_bytes)) for starting in self._starting]
        for stop, held in enumerate(self._between):
            if held <= budget_bytes:
                moves[stop].append(Move(stop + 1))
        chosen = fastest(moves, limit, seconds)
        return None if chosen is None else _selection(chosen, budget_bytes)

    @staticmethod
    def _moves(starting: Sequence[_Entry], budget_bytes: int) -> Iterator[Move[Choice]]:
        """The ways on by what may be chosen at a stop."""
        for entry in starting:
            for option in entry.candidate.options[: bisect_right(entry.peaks, budget_bytes)]:
                costs = (option.extra_seconds, option.load_seconds, float(option.resident_bytes))
                yield Move(entry.to, costs, Choice(entry.candidate, option))


def _faster(left: Option, right: Option) -> Option:
    return min(left, right, key=lambda option: option.extra_seconds)


def _followed(chosen: Sequence[tuple[int, Choice] | None]) -> Iterator[Choice]:
    """The choices on the way from the first stop to the last."""
    stop = 0
    while stop < len(chosen):
        taken = chosen[stop]
        stop = stop + 1 if taken is None else taken[0]
        if taken is not None:
            yield taken[1]


def _selection(found: Iterator[Choice] | Sequence[Choice], budget_bytes: int) -> Selection:
    choices = tuple(found)
    return Selection(
        choices,
        budget_bytes,
        sum(choice.option.extra_seconds for choice in choices),
        sum(choice.option.load_seconds for choice in choices),
        sum(choice.option.resident_bytes for choice in choices),
    )
