"""Choose disjoint candidates by dynamic programming over the execution order.

Over intervals that do not overlap, costs add and peaks take the maximum:

    best[e] = min(best[e-1] if M(e) <= B else inf,
                  min over candidates (s, e) with peak <= B of best[s-1] + cost)

which is the optimum for the prices given. Source: DESIGN section 6, selection; arXiv 2401.10652 section 3.4.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf

from .candidates import Candidate, Option
from .plan import Burden


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate and the way it is to be written."""

    candidate: Candidate
    option: Option


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


class Selector:
    """Answers many budgets for one set of candidates.

    Args:
        live_bytes: held at each step of the unchunked graph.
        candidates: what may be chosen.
        load_price: seconds of running time that a second of loading is worth.
        resident_price: seconds of running time that a resident byte is worth.
    """

    def __init__(
        self,
        live_bytes: Sequence[int],
        candidates: Sequence[Candidate],
        load_price: float = 0.0,
        resident_price: float = 0.0,
    ) -> None:
        self._live = live_bytes
        self._load_price = load_price
        self._resident_price = resident_price
        self._ending: list[list[tuple[Candidate, list[int], list[Option]]]] = [[] for _ in live_bytes]
        for candidate in candidates:
            peaks = [option.peak_bytes for option in candidate.options]
            cheapest = list(accumulate(candidate.options, self._cheaper))
            self._ending[candidate.end].append((candidate, peaks, cheapest))

    def _price(self, option: Option) -> float:
        return (
            option.extra_seconds
            + self._load_price * option.load_seconds
            + self._resident_price * option.resident_bytes
        )

    def _cheaper(self, left: Option, right: Option) -> Option:
        return min(left, right, key=self._price)

    def floor_bytes(self) -> int:
        """The least budget that any selection meets."""
        best = [0]
        for step, live in enumerate(self._live):
            least = max(best[step], live)
            for candidate, peaks, _ in self._ending[step]:
                least = min(least, max(best[candidate.start], peaks[0]))
            best.append(least)
        return best[-1]

    def budgets(self) -> list[int]:
        """Every budget at which the best selection can change, ascending."""
        peaks = {peak for ending in self._ending for _, peaks, _ in ending for peak in peaks}
        floor = self.floor_bytes()
        return sorted(peak for peak in peaks | set(self._live) if peak >= floor)

    def select(self, budget_bytes: int) -> Selection | None:
        """The cheapest selection within the budget; None when there is none."""
        best: list[float] = [0.0]
        chosen: list[Choice | None] = [None]
        for step, live in enumerate(self._live):
            price, choice = (best[step] if live <= budget_bytes else inf), None
            for candidate, peaks, cheapest in self._ending[step]:
                usable = bisect_right(peaks, budget_bytes)
                if usable:
                    option = cheapest[usable - 1]
                    total = best[candidate.start] + self._price(option)
                    if total < price - 1e-12:
                        price, choice = total, Choice(candidate, option)
            best.append(price)
            chosen.append(choice)
        return None if best[-1] == inf else self._collect(chosen, budget_bytes)

    def _collect(self, chosen: Sequence[Choice | None], budget_bytes: int) -> Selection:
        choices: list[Choice] = []
        step = len(chosen) - 1
        while step > 0:
            choice = chosen[step]
            step = step - 1 if choice is None else choice.candidate.start
            if choice is not None:
                choices.append(choice)
        return Selection(
            tuple(reversed(choices)),
            budget_bytes,
            sum(choice.option.extra_seconds for choice in choices),
            sum(choice.option.load_seconds for choice in choices),
            sum(choice.option.resident_bytes for choice in choices),
        )

    def least_budget(self, allowed: Callable[[Selection], bool]) -> Selection | None:
        """The allowed selection of least budget; costs fall as budgets grow, so bisection finds it."""
        budgets = self.budgets()
        low, high, found = 0, len(budgets) - 1, None
        while low <= high:
            middle = (low + high) // 2
            selection = self.select(budgets[middle])
            if selection is not None and allowed(selection):
                found, high = selection, middle - 1
            else:
                low = middle + 1
        return found
