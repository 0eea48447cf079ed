"""How far the planner's answer is from the optimum of `tests.plan.brute`, and what that is due to.

The optimum is found again among fewer and fewer regions, down to those that the planner chose from:

    every region > those that growth makes, with other copies > those that growth makes between any steps
        > those between valleys (ADR 0003) > the ways to write them that were kept > the planner's answer

A gap belongs to the step at which most of it opens.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf
from pathlib import Path

from onnx_autochunk.attempts import Attempts
from onnx_autochunk.axes import positions
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.goal import Goal
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.candidates import Candidate
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.feeders import front_of
from onnx_autochunk.plan.grow import grow_all
from onnx_autochunk.plan.moved import materialise
from onnx_autochunk.plan.plan import PlannedRegion
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.seconds import REGION_SECONDS
from onnx_autochunk.stages import Stages
from onnx_autochunk.trial import Trial, Trials
from onnx_autochunk.verify.bench import Bench
from tests.plan.brute import MOST_REGIONS, Brute, Piece, Way
from tests.plan.contract import Loop

MOST_CHUNKS = {False: None, True: 4}  # by whether the graph is large
SAME = 1e-9  # relative differences that do not count


class Mode(enum.Enum):
    """What is asked for."""

    BUDGET = "budget"  # least time within a peak
    SLOWDOWN = "slowdown"  # least peak within a time


class Cause(enum.Enum):
    """Why a plan is not the optimum; each is a choice of the planner, or an estimate that it goes by."""

    NONE = "equal"
    BEYOND = "none better: sums up or has loops inside"  # neither is among the ways
    REUSE = "as emitted holds more than its price"  # dead buffers kept for other regions
    PRICES = "priced above what is emitted"
    OVERLAP = "regions whose intervals overlap"
    FEEDERS = "feeders apart from what they feed"
    OPTIONS = "counts and forms left or priced out"
    BORDERS = "regions that do not end in valleys"
    COPIES = "other ops computed again"
    REGIONS = "regions that do not grow from one op"


@dataclass(frozen=True)
class Answer:
    """Peak and time of one answer; None where the goal is missed."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Outcome:
    """One question, the planner's answer and the best one.

    Attributes:
        limit: most bytes, or most seconds on top of the original.
        gap: by how much the answer's time, or peak, exceeds the optimum's; infinite where only one exists.
        steps: the gaps that open at each step.
        way: the optimum where it is better.
        mispriced_s: by how much the plan's own figure of its time is off.
        complete: every way was tried or ruled out; otherwise the optimum may be better still.
    """

    seed: int
    large: bool
    mode: Mode
    limit: float
    answer: Answer | None
    best: Answer | None
    gap: float
    cause: Cause
    steps: dict[Cause, float]
    way: Way | None
    mispriced_s: float
    complete: bool


Key = tuple[frozenset[int], frozenset[int], frozenset[tuple[str, int]]]


def key_of(region: Region) -> Key:
    """What makes two regions the same: ops, those computed again, and how the results are cut."""
    return (
        frozenset(region.ops),
        region.recomputed,
        frozenset((cut.value, cut.position.axis) for cut in region.outputs),
    )


def _is_beyond(planned: PlannedRegion) -> bool:
    """True for a loop that is not among the ways: it accumulates, or there are loops in its body."""
    return planned.region.accumulator is not None or planned.nested is not None


class Question:
    """One graph, with everything that answers it."""

    def __init__(self, seed: int, loaded: Loaded, model: CostModel, *, large: bool, most: int = 200) -> None:
        options = Options(max_chunks=MOST_CHUNKS[large])
        self.seed, self.large = seed, large
        self.dice = random.Random(seed)
        self.brute = Brute(loaded, options, model, most)
        self.planner: Planner = make_planner(loaded.graph, options, model, self.brute.forms)
        self.trials = Trials(self.planner, loaded)

    def ask(self, mode: Mode) -> Outcome:
        """Answer a goal drawn for this graph, and compare."""
        return self._within_budget() if mode is Mode.BUDGET else self._within_time()

    def _within_budget(self) -> Outcome:
        budget_bytes = int(self.brute.peak_bytes(()) * self.dice.uniform(0.45, 0.95))
        trial = self._asked(Goal.budget(budget_bytes, self.brute.peak_bytes(()), self.planner.limit))
        answer = None if trial is None else self._answer(trial)

        def better(known: Answer | None, pieces: Sequence[Piece] | None) -> Way | None:
            return self.brute.fastest(budget_bytes, known.seconds if known else inf, pieces)

        def worth(found: Answer | None) -> float:
            return inf if found is None else self.planner.baseline_seconds + found.seconds

        return self._compared(Mode.BUDGET, budget_bytes, trial, answer, better, worth)

    def _asked(self, goal: Goal) -> Trial | None:
        """What the tool takes where it measures nothing."""
        options = Options(no_verify=True)
        attempts = Attempts(Stages(options), self.trials, Bench(Path(), Path(), options), goal)
        attempts.reach()
        return attempts.best

    def _within_time(self) -> Outcome:
        slowest = self.planner.least(inf)
        most_s = (slowest.predicted_slowdown - 1) * self.planner.baseline_seconds if slowest else 0.0
        most_s = max(most_s, MOST_REGIONS * REGION_SECONDS) * self.dice.uniform(0.2, 1.2)
        slowdown = 1 + most_s / self.planner.baseline_seconds
        trial = self.trials.smallest_within(slowdown)
        if trial is not None and trial.plan.predicted_slowdown > slowdown:
            trial = None  # the mildest plan, which is then tried for what it measures
        answer = Answer(0.0, self.brute.peak_bytes(())) if trial is None else self._answer(trial)

        def better(known: Answer | None, pieces: Sequence[Piece] | None) -> Way | None:
            assert known is not None
            return self.brute.smallest(most_s, known.peak_bytes, pieces)

        def worth(found: Answer | None) -> float:
            return inf if found is None else float(found.peak_bytes)

        return self._compared(Mode.SLOWDOWN, most_s, trial, answer, better, worth)

    def _answer(self, trial: Trial) -> Answer:
        seconds = (trial.plan.predicted_slowdown - 1) * self.planner.baseline_seconds
        return Answer(seconds, trial.predicted_peak_bytes)

    def _compared(
        self,
        mode: Mode,
        limit: float,
        trial: Trial | None,
        answer: Answer | None,
        better: Callable[[Answer | None, Sequence[Piece] | None], Way | None],
        worth: Callable[[Answer | None], float],
    ) -> Outcome:
        way = better(answer, None)
        complete = self.brute.complete
        best = answer if way is None else Answer(way.seconds, way.peak_bytes)
        gap = 0.0 if worth(answer) == worth(best) else worth(answer) / worth(best) - 1
        if gap < SAME:
            way, gap = None, 0.0
        steps: dict[Cause, float] = {}
        known = answer
        for level, allowed in self._levels() if way is not None else ():
            found = better(known, None if allowed is None else self.brute.only(allowed))
            if found is not None:
                after = Answer(found.seconds, found.peak_bytes)
                most_bytes = limit if mode is Mode.BUDGET else found.peak_bytes
                cause = level or self._not_selected(found, most_bytes)
                steps[cause] = worth(known) / worth(after) - 1
                known = after
        beyond = trial is not None and any(map(_is_beyond, trial.plan.loops))
        equal = Cause.BEYOND if beyond else Cause.NONE
        cause = max(steps, key=lambda cause: steps[cause], default=equal)
        mispriced = 0.0 if trial is None or beyond else self._mispriced(trial)
        return Outcome(
            self.seed, self.large, mode, limit, answer, best, gap, cause, steps, way, mispriced, complete
        )

    def _mispriced(self, trial: Trial) -> float:
        """By how much a plan's time is off what its regions take each by itself."""
        loops = [Loop(planned.region, planned.form, planned.chunking) for planned in trial.plan.loops]
        return self._answer(trial).seconds - self.brute.extra_seconds(loops)

    def _not_selected(self, way: Way, most_bytes: float) -> Cause:
        """Why selection did not take what it could choose from."""
        found = [self._options[key_of(loop.region), loop.form, loop.chunking] for loop in way.loops]
        spans = sorted((one.start, one.end) for one, _ in found if one is not None)
        if len(spans) < len(found):
            return Cause.FEEDERS
        if any(end >= start for (_, end), (start, _) in pairwise(spans)):
            return Cause.OVERLAP
        inside = {step for start, end in spans for step in range(start, end + 1)}
        live = (held for step, held in enumerate(self.planner.timeline.live_bytes) if step not in inside)
        return Cause.PRICES if max([*live, *(peak for _, peak in found)]) > most_bytes else Cause.REUSE

    def _levels(self) -> Iterator[tuple[Cause | None, Callable[[Loop], bool] | None]]:
        """What is given up at each step, and the ways that are left then; from few to all."""
        yield None, lambda loop: (key_of(loop.region), loop.form, loop.chunking) in self._options
        yield Cause.OPTIONS, lambda loop: key_of(loop.region) in self._between_valleys
        yield Cause.BORDERS, lambda loop: key_of(loop.region) in self._grown
        shapes = {(ops, outputs) for ops, _, outputs in self._grown | self._between_valleys}
        sets = {ops for ops, _ in shapes}
        yield Cause.COPIES, lambda loop: frozenset(loop.region.ops) in sets
        yield Cause.REGIONS, None

    @cached_property
    def _options(self) -> dict[tuple[Key, Form, Chunking], tuple[Candidate | None, int]]:
        """What selection chose from: the candidate and its price in bytes; None for what feeds another."""
        found: dict[tuple[Key, Form, Chunking], tuple[Candidate | None, int]] = {}
        for candidate in self.planner.candidates:
            for option in candidate.options:
                for feed in option.feeds:
                    region = materialise(candidate, self.planner.setting, feed.region)
                    found.setdefault((key_of(region), feed.form, feed.chunking), (None, 0))
        for candidate in self.planner.candidates:
            own = key_of(materialise(candidate, self.planner.setting))
            for option in candidate.options:
                if not option.feeds:
                    found[own, option.form, option.chunking] = (candidate, option.peak_bytes)
                else:
                    found.setdefault((own, option.form, option.chunking), (None, 0))
        return found

    @cached_property
    def _between_valleys(self) -> set[Key]:
        return self._regions(self.planner.lifetimes.valleys())

    @cached_property
    def _grown(self) -> set[Key]:
        return self._regions(frozenset(range(len(self.planner.setting.order) + 1)))

    def _regions(self, borders: frozenset[int]) -> set[Key]:
        """Keys of all that growth finds between borders, and of what feeds it."""
        setting, found = self.planner.setting, set[Key]()
        for end, index in enumerate(setting.order):
            if end + 1 not in borders:
                continue
            seeds = positions(setting.rules[index], result=0)
            for shares in (False, True):
                for region in grow_all(setting, end, seeds, borders, shares=shares):
                    found.add(key_of(region))
                    front = front_of(setting, region, self.brute.forms) if region.hoisted else None
                    found.update(map(key_of, front.feeders if front else ()))
        return found
