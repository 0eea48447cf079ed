"""Every legal region worth its price, searched once for each repeated stretch of the graph.

A transformer's layers are equal up to names: the stretch that growth saw at one step is compared, as
numbers, with the stretch before a later step; where they agree the finished candidates are reused, moved by
the distance between them. Results of the graph that are only kept for the caller (caches of keys and values)
are left out of the comparison, and added to the peaks of what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import TypeAlias

from ..axes import positions
from ..graph.model import Graph, Op, Origin
from ..memory.lifetime import Timeline
from ..options import Form
from .body import has_body
from .chunking import Chunking
from .feeders import Front, front_of, in_place
from .grow import Setting, grow_all
from .hosts import hosted, sweep_hosts
from .lifetimes import Lifetimes
from .price import Footprint, footprint
from .recipes import ends
from .region import Region, in_front
from .seconds import Seconds
from .signature import signatures

WORTHWHILE = 0.95  # a candidate must lower its interval's peak at least to this share
DEEP = 0.25  # intervals above this share of the most in use have their bodies searched again
STATES = 4  # buffers of the result that a loop holds which carries it
LOW = 0.02  # intervals that stay under this share of the most in use are left alone at first


@dataclass(frozen=True, slots=True)
class Loop:
    """A region in front of another one, or in its body, and how it is written.

    Attributes:
        peak_before_bytes: peak of its interval unchunked; 0 where it is that of the region it belongs to.
        peak_after_bytes: likewise, chunked.
    """

    region: Region
    form: Form
    chunking: Chunking
    peak_before_bytes: int = 0
    peak_after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops in the body of a region, for one length of its chunks.

    Attributes:
        loops: regions of the body's own graph.
        body_bytes: peak of the body with them.
    """

    loops: tuple[Loop, ...]
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Option:
    """One way to write a candidate: its price, with that of the feeders in front of it."""

    form: Form
    chunking: Chunking
    peak_bytes: int
    extra_seconds: float
    load_seconds: float
    resident_bytes: int
    feeds: tuple[Loop, ...] = ()
    nest: Nest | None = None

    @property
    def sweeps(self) -> bool:
        """True when a loop of it is a sweep."""
        return Form.SWEEP in (self.form, *(feed.form for feed in self.feeds))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region and the ways to write it that no other way beats in both memory and time.

    Attributes:
        region: the region where it was found; `shift` steps further on it is this candidate.
        options: from the least memory to the least time.
    """

    region: Region
    shift: int
    options: tuple[Option, ...]

    @property
    def start(self) -> int:
        """First step of the interval."""
        return self.region.start + self.shift

    @property
    def end(self) -> int:
        """Last step of the interval."""
        return self.region.end + self.shift

    @property
    def sweeps(self) -> bool:
        """True when an option of it does."""
        return any(option.sweeps for option in self.options)


@dataclass(frozen=True)
class Search:
    """Everything the search reads.

    Attributes:
        borders: steps at which an interval may start, or before which it may end.
        forms: forms that regions may take.
        max_chunks: most chunks of a region; None sets no limit.
        nested: searches the bodies of regions again; None leaves them as they are.
        low: intervals that stay under this share of the most in use are left alone.
        high: so are those that reach this share, which were searched before.
        feeds: regions may have feeders.
    """

    setting: Setting
    timeline: Timeline
    lifetimes: Lifetimes
    seconds: Seconds
    borders: frozenset[int]
    forms: tuple[Form, ...]
    max_chunks: int | None = None
    provider: str = "cpu"
    nested: Nested | None = None
    low: float = LOW
    high: float = inf
    feeds: bool = True

    @cached_property
    def most_in_use_bytes(self) -> int:
        """The most that is held at any step, without results that are only kept: what chunking can lower."""
        pairs = zip(self.timeline.live_bytes, self.lifetimes.kept_bytes, strict=True)
        return max((live - kept for live, kept in pairs), default=0)

    @property
    def low_bytes(self) -> float:
        """What an interval has to hold not to be left alone."""
        return self.low * self.most_in_use_bytes

    def lower(self, low: float) -> Search:
        """The search of what this one leaves alone, down to another share."""
        return replace(self, low=low, high=self.low)

    def covers(self, in_use_bytes: int) -> bool:
        """True for an interval that is not left alone."""
        return self.low_bytes <= in_use_bytes < self.high * self.most_in_use_bytes

    def in_use_bytes(self, start: int, end: int) -> int:
        """The most that is held while an interval runs, without results that are only kept all through it."""
        return max(self.timeline.live_bytes[start : end + 1]) - self.lifetimes.kept_bytes[start]


Footprints: TypeAlias = Mapping[bool, Footprint]  # with chunks of equal length, and with a shorter last one
Nested: TypeAlias = Callable[[Search, Region, Sequence[Option]], Iterator[Option]]


@dataclass(slots=True)
class _Found:
    """What growth found at one step: the candidates, and how far back it looked."""

    end: int
    reach: int
    candidates: tuple[Candidate, ...] = field(default_factory=tuple)


def candidates(search: Search) -> Iterator[Candidate]:
    """All candidates, in order of the step they end at."""
    setting = search.setting
    marks = signatures(setting.graph, setting.order, search.lifetimes, search.timeline, setting.excluded)
    known: dict[int, list[_Found]] = {}
    kept = search.lifetimes.kept_bytes
    for end in range(len(marks)):
        if found := _seen(known.get(marks[end], ()), marks, end):
            shift = end - found.end
            yield from (_placed(c, shift, kept) for c in found.candidates)
            continue
        fresh = _Found(end, *_explore(search, end))
        known.setdefault(marks[end], []).append(fresh)
        yield from (_placed(c, 0, kept) for c in fresh.candidates)


def _placed(candidate: Candidate, shift: int, kept_bytes: Sequence[int]) -> Candidate:
    """A candidate some steps further on, with what is kept there for the caller on top."""
    options, more = candidate.options, kept_bytes[candidate.start + shift]
    if more:
        options = tuple(replace(option, peak_bytes=option.peak_bytes + more) for option in options)
    return replace(candidate, shift=shift, options=options)


def _seen(known: Sequence[_Found], marks: Sequence[int], end: int) -> _Found | None:
    for found in known:
        reach = found.reach
        if end - reach >= 0 and marks[end - reach : end] == marks[found.end - reach : found.end]:
            return found
    return None


def _explore(search: Search, end: int) -> tuple[int, tuple[Candidate, ...]]:
    """Grow from one step along every axis of its result; also how many steps back growth looked."""
    setting = search.setting
    op = setting.graph.ops[setting.order[end]]
    reach, found = 0, []
    if not op.outputs or not op.outputs[0] or end + 1 not in search.borders:
        return 0, ()
    for region in _regions(search, end, op):
        reach = max(reach, end - region.start)
        other = hosted(setting, region) if Form.SWEEP in search.forms else None
        ways = (region, other) if other else (region,)
        found += [Candidate(way, 0, options) for way in ways if (options := _options(search, way))]
    return reach + 1, tuple(found)


def _regions(search: Search, end: int, op: Op) -> Iterator[Region]:
    """Cut along every axis of the op's result, then along those that it reduces."""
    setting, borders = search.setting, search.borders
    yield from grow_all(setting, end, positions(setting.rules[op.index], result=0), borders)
    if not _shrinks(setting.graph, op):
        return
    for operand, seed in ends(setting.graph, op, setting.rules[op.index]):
        for region in grow_all(setting, end, [seed], borders, operand=operand):
            if has_body(setting.graph, region, setting.rules):
                yield region


def _shrinks(graph: Graph, op: Op) -> bool:
    """True when an operand is so much larger than the result that carrying the result can pay."""
    largest = max((graph.values[name].nbytes for name in op.inputs if name), default=0)
    return largest > STATES * graph.values[op.outputs[0]].nbytes


def _options(search: Search, region: Region) -> tuple[Option, ...]:
    """The Pareto list of one region; empty when chunking it gains nothing."""
    graph, before = search.setting.graph, search.in_use_bytes(region.start, region.end)
    most = int(WORTHWHILE * before)
    if not search.covers(before) or region.extent < 2 or _border_bytes(graph, region) > most:
        return ()
    fronts = _fronts(search, region)
    found: list[Option] = []
    for form in _forms(search, region):
        ways = _menu(search, region, form)
        costs = _footprints(search, region, ways)
        if search.nested and form is Form.SCAN and before > DEEP * search.most_in_use_bytes:
            ways += tuple(search.nested(search, region, _deep(ways, costs)))
        found += _priced(ways, costs)
        for front in fronts:
            found += _fed(search, ways, front, _footprints(search, region, ways, front, costs))
    return pareto([option for option in found if option.peak_bytes <= most])


def _fronts(search: Search, region: Region) -> list[Front]:
    """Ways to write the loops in front of a region."""
    front = front_of(search.setting, region, search.forms) if search.feeds and region.hoisted else None
    if front is None:
        return []
    other = in_place(search.setting.graph, front, search.forms)
    return [front] if other is None else [front, other]


def _deep(options: Sequence[Option], costs: Footprints) -> list[Option]:
    """Those ways to cut a region whose chunks hold more inside than the loop does around them."""
    return [option for option in options if costs[_is_even(option)].is_deep(option.chunking.length)]


def _menu(search: Search, region: Region, form: Form) -> list[Option]:
    """Every way to cut a region; peaks are not known yet."""
    ladder, seconds = search.seconds.ladder(region.extent, search.max_chunks), search.seconds
    return [
        Option(form, chunking, 0, *price, seconds.resident_bytes(region, form, chunking))
        for chunking, price in zip(ladder, seconds.of(region, form, ladder), strict=True)
    ]


def _priced(options: Sequence[Option], costs: Footprints) -> Iterator[Option]:
    for option in options:
        yield replace(option, peak_bytes=_own_bytes(costs[_is_even(option)], option))


def _fed(search: Search, options: Sequence[Option], front: Front, costs: Footprints) -> Iterator[Option]:
    """The options with feeders in front, each as fast as the loop's own peak allows."""
    menus = [_menu(search, *feeder) for feeder in zip(front.feeders, front.forms, strict=True)]
    spared = sum(map(search.seconds.whole, front.spared))
    for option in options:
        cost = costs[_is_even(option)]
        own = _own_bytes(cost, option)
        chosen, peak = [], own
        for at, menu in enumerate(menus):
            feed, held = _cheapest(menu, [cost.feeder_bytes(at, feed.chunking.length) for feed in menu], own)
            chosen.append(feed)
            peak = max(peak, held)
        yield replace(
            option,
            peak_bytes=peak,
            extra_seconds=option.extra_seconds - spared + sum(feed.extra_seconds for feed in chosen),
            load_seconds=option.load_seconds + sum(feed.load_seconds for feed in chosen),
            resident_bytes=option.resident_bytes + sum(feed.resident_bytes for feed in chosen),
            feeds=tuple(Loop(f, c.form, c.chunking) for f, c in zip(front.feeders, chosen, strict=True)),
        )


def _own_bytes(cost: Footprint, option: Option) -> int:
    """Peak of the interval without its feeders; a shorter last chunk has no loops inside."""
    if option.nest is None:
        return cost.peak_bytes(option.chunking.length)
    return max(cost.peak_bytes(option.chunking.tail), cost.loop + option.nest.body_bytes)


def _cheapest(menu: Sequence[Option], held: Sequence[int], limit: int) -> tuple[Option, int]:
    """The fastest of the options that hold no more than the limit, or else the one that holds least."""
    return min(zip(menu, held, strict=True), key=lambda pair: (max(pair[1], limit), *_prices(pair[0])))


def _is_even(option: Option) -> bool:
    """False where the last chunk is shorter and that changes how the form puts its results together."""
    return not option.chunking.tail or option.form is not Form.SCAN


def _footprints(
    search: Search,
    region: Region,
    options: Sequence[Option],
    front: Front | None = None,
    without: Footprints | None = None,
) -> Footprints:
    """Footprints that the options need; feeders in front change nothing of the body found without them."""
    graph, around, provider = search.setting.graph, search.lifetimes, search.provider
    return {
        even: footprint(
            graph,
            region,
            options[0].form,
            around,
            provider,
            even=even,
            front=front,
            rules=search.setting.rules,
            body=None if without is None else without[even].body,
        )
        for even in set(map(_is_even, options))
    }


def _forms(search: Search, region: Region) -> Iterator[Form]:
    """Forms that can pay: unroll copies what scan writes in place, and is left where scan would transpose."""
    graph = search.setting.graph
    for form in search.forms:
        if form is Form.SCAN and region.varies:
            continue
        if form is Form.SWEEP and (region.accumulator or sweep_hosts(graph, region) is None):
            continue
        if form is Form.UNROLL and Form.SCAN in search.forms and not region.varies:
            values = [(graph.values[cut.value], cut.position) for cut in region.outputs]
            if all(in_front(value, position) for value, position in values):
                continue
        yield form


def _border_bytes(graph: Graph, region: Region) -> int:
    """What is held all through the loop, at the least."""
    names = {cut.value for cut in region.sliced} | {*region.results, *region.whole}
    return sum(graph.values[name].nbytes for name in names if graph.values[name].origin is Origin.COMPUTED)


def pareto(options: Sequence[Option]) -> tuple[Option, ...]:
    """Options that no other beats in every price, from the least memory to the least time."""
    kept: list[tuple[Option, tuple[float, ...]]] = []
    for option in sorted(options, key=lambda option: (option.peak_bytes, *_prices(option))):
        prices = _prices(option)
        if not any(all(k <= p for k, p in zip(known, prices, strict=True)) for _, known in kept):
            kept.append((option, prices))
    return tuple(option for option, _ in kept)


def _prices(option: Option) -> tuple[float, ...]:
    return option.extra_seconds, option.load_seconds, option.resident_bytes
