"""From a graph to plans: run it on paper, search candidates once, then answer any budget or slowdown.

Source: DESIGN section 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

from ..cost.model import CostModel
from ..cuda.placement import place
from ..graph.dynamic import Dynamic
from ..graph.model import Graph
from ..memory.kernels import is_linear
from ..memory.lifetime import Timeline, simulate
from ..memory.order import execution_order
from ..options import Form, Options
from .body import body_of
from .candidates import Candidate, candidates
from .lifetimes import Lifetimes, lifetimes
from .moved import materialise, moved
from .nest import Bodies
from .option import Nest
from .oversize import UNBEARABLE, charged, oversize
from .plan import Burden, Nested, Plan, PlannedRegion
from .region import Region
from .search import Search
from .seconds import Seconds
from .select import Choice, Selection, Selector
from .setting import Setting, make_setting

RESIDENT_SHARE = 0.1  # of the weights: the result may hold this much more once loaded, or ...
RESIDENT_BYTES = 64 * 2**20  # ... this much, whichever is more
SAVING = 0.8  # of the unchunked peak: a plan that leaves more is not worth its trouble


@dataclass(frozen=True)
class Planner:
    """Everything that is known about one graph.

    Attributes:
        timeline: memory of the unchunked graph.
        candidates: every region worth its price.
        home: the body of the model's own that the graph is; empty for the model's graph.
        bodies: of its own If, Loop and Scan, by op and attribute; their bytes are with what is held around
            them (`plan.enclosed`).
        rounds: how often the graph runs.
    """

    graph: Graph
    options: Options
    setting: Setting
    timeline: Timeline
    lifetimes: Lifetimes
    seconds: Seconds
    candidates: Sequence[Candidate]
    home: str = ""
    bodies: Mapping[tuple[int, str], Planner] = field(default_factory=dict)
    rounds: int = 1

    @cached_property
    def graphs(self) -> tuple[Planner, ...]:
        """This one and those of all bodies, theirs included."""
        return (self, *(inner for body in self.bodies.values() for inner in body.graphs))

    @cached_property
    def live_bytes(self) -> tuple[int, ...]:
        """Held at each step of the unchunked graph; the steps of bodies follow."""
        return tuple(held for planner in self.graphs for held in planner.timeline.live_bytes)

    @cached_property
    def _charged_bytes(self) -> tuple[int, ...]:
        """The same with what oversize values cost on top."""
        most = self.options.most_elements
        return tuple(
            held
            for planner in self.graphs
            for held in charged(
                planner.timeline.live_bytes, planner.graph, planner.timeline.order, most, planner.bodies
            )
        )

    @cached_property
    def _every_candidate(self) -> tuple[Candidate, ...]:
        """Candidates of all graphs, at their steps among `live_bytes`."""
        return tuple(
            found.later(start)
            for start, planner in zip(self.starts, self.graphs, strict=True)
            for found in planner.candidates
        )

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """For each graph the first of its steps among `live_bytes`."""
        return tuple(accumulate((len(planner.timeline.order) for planner in self.graphs[:-1]), initial=0))

    @cached_property
    def oversize(self) -> tuple[str, ...]:
        """Values of the unchunked graph with more elements than a tensor may have."""
        return tuple(oversize(self.graph, self.options.most_elements))

    @cached_property
    def unavoidable(self) -> tuple[str, ...]:
        """Those that no plan avoids, or all where no plan avoids them all; none where one does."""
        if self.floor_bytes < UNBEARABLE:
            return ()
        chunked = {step for found in self.candidates for step in range(found.start, found.end + 1)}
        made = (
            self.graph.ops[index].outputs
            for step, index in enumerate(self.timeline.order)
            if step not in chunked
        )
        return tuple(name for names in made for name in names if name in self.oversize) or self.oversize

    @cached_property
    def limit(self) -> Burden:
        """How much more than the original the result may take to load, and hold from then on."""
        most_bytes = max(RESIDENT_SHARE * self.graph.weights_bytes, RESIDENT_BYTES)
        return Burden(self.options.max_load_s, most_bytes)

    @cached_property
    def _selectors(self) -> tuple[Selector, ...]:
        """Of loops with memory of their own; then of everything, where sweeps are asked for or come on top.

        Sweeps hold less, but what their chunks leave behind is predicted less well.
        """
        live_bytes, candidates = self._charged_bytes, self._every_candidate
        every = Selector(live_bytes, candidates)
        if self.options.form is Form.SWEEP or not any(found.sweeps for found in candidates):
            return (every,)
        return Selector(live_bytes, tuple(_without_sweeps(candidates))), every

    @cached_property
    def baseline_seconds(self) -> float:
        """Predicted time of the unchunked graph."""
        own = self.seconds.total() - sum(self.seconds.whole(op) for op in {op for op, _ in self.bodies})
        return self.rounds * own + sum(body.baseline_seconds for body in self.bodies.values())

    @cached_property
    def floor_bytes(self) -> int:
        """Predicted peak that no plan goes under."""
        return min(self.floors_bytes)

    @cached_property
    def floors_bytes(self) -> tuple[int, ...]:
        """The same with and without sweeps: which plan holds less as emitted is not known before."""
        return tuple(selector.floor_bytes() for selector in self._selectors)

    def within(self, budget_bytes: int, limit: Burden | None = None) -> Plan | None:
        """The fastest plan whose predicted peak is within the budget; None when there is none.

        Args:
            budget_bytes: most bytes at any time.
            limit: other limits than `self.limit` on what comes on top of the original.
        """
        selection = self.selected(budget_bytes, limit)
        return None if selection is None else self.plan_of(selection)

    def selected(self, budget_bytes: int, limit: Burden | None = None) -> Selection | None:
        """What the plan of `within` carries out."""
        found = (selector.select(budget_bytes, limit or self.limit) for selector in self._selectors)
        return next((selection for selection in found if selection is not None), None)

    def mildest(self, limit: Burden | None = None) -> Plan | None:
        """The fastest plan that is worth its trouble; every one is that avoids oversize values."""
        share = 1.0 if self.oversize else SAVING
        return self.within(int(share * self.timeline.peak_bytes), limit)

    def least(self, slowdown: float, limit: Burden | None = None) -> Plan | None:
        """The plan of least predicted peak whose predicted time ratio is at most `slowdown`."""
        allowed = (slowdown - 1) * self.baseline_seconds
        selection = self._selectors[0].least(allowed, limit or self.limit)
        if selection is None or selection.budget_bytes >= UNBEARABLE:
            return None
        return self.plan_of(selection)

    def slowdown_of(self, selection: Selection) -> float:
        """Predicted time of what a selection gives over that of the unchunked graph."""
        return 1 + selection.extra_seconds / max(self.baseline_seconds, 1e-9)

    def plan_of(self, selection: Selection) -> Plan:
        """The plan that carries out a selection, which may have been made elsewhere."""
        regions: list[PlannedRegion] = []
        for first, planner in zip(self.starts, self.graphs, strict=True):
            steps = range(first, first + len(planner.timeline.order))
            regions += planner._regions([c.later(-first) for c in selection.choices if c.start in steps])
        return Plan(
            tuple(regions),
            selection.budget_bytes,
            self.slowdown_of(selection),
            selection.load_seconds,
            resident_bytes=selection.resident_bytes,
        )

    def _regions(self, choices: Sequence[Choice]) -> Iterator[PlannedRegion]:
        """What is chosen in the graph itself."""
        after = (0, *(choice.candidate.end + 1 for choice in choices))
        for number, (start, choice) in enumerate(zip(after, choices, strict=False)):
            yield self._region(number, start, choice)

    def _region(self, number: int, start: int, choice: Choice) -> PlannedRegion:
        region, option = materialise(choice.candidate, self.setting), choice.option
        before = max(self.timeline.live_bytes[region.start : region.end + 1])
        inside = f"{_readable(self.home)}_" if self.home else ""
        name = f"{inside}{number:03d}_{_readable(region.results[-1])}"
        in_loop = set(region.ops) - region.recomputed
        alongside = tuple(
            index for index in self.timeline.order[start : region.end + 1] if index not in in_loop
        )
        crossing, peak = self.lifetimes.crossing_bytes[region.end + 1], option.peak_bytes
        feeders = []
        for at, feed in enumerate(option.feeds):
            made = materialise(choice.candidate, self.setting, feed.region)
            feeders.append(
                PlannedRegion(
                    f"{name}_feeder{at}",
                    made,
                    feed.form,
                    feed.chunking,
                    (),
                    crossing,
                    before,
                    peak,
                    home=self.home,
                )
            )
        return PlannedRegion(
            name,
            region,
            option.form,
            option.chunking,
            alongside,
            crossing,
            before,
            peak,
            tuple(feeders),
            None if option.nest is None else self._nested(choice, region, option.nest, name),
            self.home,
        )

    def _nested(self, choice: Choice, region: Region, nest: Nest, name: str) -> Nested:
        """The loops of a body at the place that the region stands for."""
        rules, length = self.setting.rules, choice.option.chunking.length
        there = body_of(self.graph, region, rules, length)
        here = body_of(self.graph, choice.candidate.region, rules, length)
        regions = tuple(
            PlannedRegion(
                f"{name}_inner{at}",
                moved(loop.region, here.graph, there.graph),
                loop.form,
                loop.chunking,
                (),
                0,
                loop.peak_before_bytes,
                loop.peak_after_bytes,
            )
            for at, loop in enumerate(nest.loops)
        )
        return Nested(there, regions)


def _without_sweeps(found: Sequence[Candidate]) -> Iterator[Candidate]:
    for candidate in found:
        if not candidate.sweeps:
            yield candidate
        elif kept := tuple(option for option in candidate.options if not option.sweeps):
            yield replace(candidate, options=kept)


def make_planner(
    graph: Graph,
    options: Options,
    model: CostModel,
    forms: tuple[Form, ...],
    *,
    searches: bool = True,
    dynamic: Dynamic | None = None,
) -> Planner:
    """Analyse a graph and search its candidates.

    Args:
        graph: what runs.
        options: which ops may be chunked, how finely, and for which provider.
        model: prices.
        forms: forms that regions may take.
        searches: False leaves the search out, for plans that were made before.
        dynamic: the sizes that the graph can have; None for those that it has.
    """
    timeline = _best_order(graph, options.provider)
    order = timeline.order
    setting = make_setting(graph, order, _excluded(graph, options), dynamic)
    seconds = Seconds(graph, setting.rules, model, options.provider, fixed=dynamic is None)
    around = lifetimes(graph, order)
    search = Search(
        setting, timeline, around, seconds, around.valleys(), forms, options.max_chunks,
        options.most_elements, options.provider, Bodies().nested,
    )  # fmt: skip
    found = _found(search) if searches else ()
    return Planner(graph, options, setting, timeline, around, seconds, found)


def _found(search: Search) -> tuple[Candidate, ...]:
    """The candidates of every interval that the floor can come to depend on.

    What is small beside the unchunked graph need not be small beside what chunking leaves of it: where the
    floor lies among what was left alone, that is searched too, down to half the floor.
    """
    found = tuple(candidates(search))
    while (floor := _floor_in_use_bytes(search, found)) < search.low_bytes:
        search = search.lower(floor / (2 * search.most_in_use_bytes))
        found += tuple(candidates(search))
    return found


def _floor_in_use_bytes(search: Search, found: Sequence[Candidate]) -> int:
    """The least that is in use at the worst step of a selection, without results that are only kept."""
    floor = Selector(search.charged_bytes, found).floor_bytes()
    return max(0, floor - max(search.lifetimes.kept_bytes, default=0))


def _best_order(graph: Graph, provider: str) -> Timeline:
    """The unchunked graph in ORT's order or in the file's, whichever holds less over the run.

    ORT may run an op long before its only reader (Evoformer: the scores of a block before the pair stack
    that biases them); a region that holds both brings them together again, which the file's order already
    does. Without reuse, because which dead buffers are kept for later values depends on what the plan
    leaves of them.
    """
    orders = (execution_order(graph), tuple(range(len(graph.ops))))
    timelines = (simulate(graph, order=order, provider=provider, reuse=False) for order in orders)
    return min(timelines, key=lambda timeline: sum(timeline.live_bytes))


def _excluded(graph: Graph, options: Options) -> frozenset[int]:
    """Ops that are kept out of regions.

    By `--include` and `--exclude`, by a kernel that is linear in memory already, or because the CPU runs them
    where CUDA is planned for: each iteration would copy what they read and give.
    """
    elsewhere = place(graph).reasons if options.provider == "cuda" else {}
    return frozenset(
        op.index
        for op in graph.ops
        if options.keeps_out(op.name) or is_linear(op, graph, options.provider) or op.index in elsewhere
    )


def _readable(name: str) -> str:
    """A value's name without what would nest it deeper in a viewer."""
    return re.sub(r"[^\w.-]+", "_", name)
