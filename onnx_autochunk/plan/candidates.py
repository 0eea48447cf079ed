"""Every legal region worth its price, searched once for each repeated stretch of the graph.

A transformer's layers are equal up to names: the stretch that growth saw at one step is compared, as
numbers, with the stretch before a later step; where they agree the finished candidates are reused, moved by
the distance between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..axes import positions
from ..graph.model import Graph, Origin
from ..memory.lifetime import Timeline
from ..options import Form
from .chunking import Chunking
from .feeders import Front, front_of
from .grow import Setting, grow_all
from .hosts import sweep_hosts
from .lifetimes import Lifetimes
from .price import Footprint, footprint, in_front
from .region import Cut, Region
from .seconds import Seconds
from .signature import signatures

WORTHWHILE = 0.95  # a candidate must lower its interval's peak at least to this share
LOW = 0.02  # intervals that stay under this share of the model's peak are left alone


@dataclass(frozen=True, slots=True)
class Feed:
    """A feeder and how it is written."""

    region: Region
    form: Form
    chunking: Chunking


@dataclass(frozen=True, slots=True)
class Option:
    """One way to write a candidate: its price, with that of the feeders in front of it."""

    form: Form
    chunking: Chunking
    peak_bytes: int
    extra_seconds: float
    load_seconds: float
    resident_bytes: int
    feeds: tuple[Feed, ...] = ()


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


@dataclass(frozen=True)
class Search:
    """Everything the search reads.

    Attributes:
        borders: steps at which an interval may start, or before which it may end.
        forms: forms that regions may take.
        max_chunks: most chunks of a region; None sets no limit.
    """

    setting: Setting
    timeline: Timeline
    lifetimes: Lifetimes
    seconds: Seconds
    borders: frozenset[int]
    forms: tuple[Form, ...]
    max_chunks: int | None = None
    provider: str = "cpu"


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
    for end in range(len(marks)):
        if found := _seen(known.get(marks[end], ()), marks, end):
            shift = end - found.end
            yield from (replace(c, shift=shift) for c in found.candidates)
            continue
        fresh = _Found(end, *_explore(search, end))
        known.setdefault(marks[end], []).append(fresh)
        yield from fresh.candidates


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
    for region in grow_all(setting, end, positions(setting.rules[op.index], result=0), search.borders):
        reach = max(reach, end - region.start)
        if options := _options(search, region):
            found.append(Candidate(region, 0, options))
    return reach + 1, tuple(found)


def _options(search: Search, region: Region) -> tuple[Option, ...]:
    """The Pareto list of one region; empty when chunking it gains nothing."""
    graph, before = search.setting.graph, max(search.timeline.live_bytes[region.start : region.end + 1])
    most = int(WORTHWHILE * before)
    if before < LOW * search.timeline.peak_bytes or region.extent < 2 or _border_bytes(graph, region) > most:
        return ()
    front = front_of(search.setting, region, search.forms) if region.hoisted else None
    found: list[Option] = []
    for form in _forms(search, region):
        prices = _menu(search, region, form)
        found += _priced(search, region, prices)
        if front is not None:
            found += _fed(search, region, prices, front)
    return pareto([option for option in found if option.peak_bytes <= most])


def _menu(search: Search, region: Region, form: Form) -> list[Option]:
    """Every way to cut a region; peaks are not known yet."""
    ladder, seconds = search.seconds.ladder(region.extent, search.max_chunks), search.seconds
    return [
        Option(form, chunking, 0, *price, seconds.resident_bytes(region, form, chunking))
        for chunking, price in zip(ladder, seconds.of(region, form, ladder), strict=True)
    ]


def _priced(search: Search, region: Region, options: Sequence[Option]) -> Iterator[Option]:
    costs = _footprints(search, region, options, None)
    for option in options:
        yield replace(option, peak_bytes=costs[_is_even(option)].peak_bytes(option.chunking.length))


def _fed(search: Search, region: Region, options: Sequence[Option], front: Front) -> Iterator[Option]:
    """The options with feeders in front, each as fast as the loop's own peak allows."""
    costs = _footprints(search, region, options, front)
    menus = [_menu(search, *feeder) for feeder in zip(front.feeders, front.forms, strict=True)]
    spared = sum(map(search.seconds.whole, front.spared))
    for option in options:
        cost = costs[_is_even(option)]
        own = cost.peak_bytes(option.chunking.length)
        chosen, peak = [], own
        for at, menu in enumerate(menus):
            feed, held = _cheapest(menu, [cost.feeder_bytes(at, feed.chunking.length) for feed in menu], own)
            chosen.append(feed)
            peak = max(peak, held)
        yield Option(
            option.form,
            option.chunking,
            peak,
            option.extra_seconds - spared + sum(feed.extra_seconds for feed in chosen),
            option.load_seconds + sum(feed.load_seconds for feed in chosen),
            option.resident_bytes + sum(feed.resident_bytes for feed in chosen),
            tuple(Feed(f, c.form, c.chunking) for f, c in zip(front.feeders, chosen, strict=True)),
        )


def _cheapest(menu: Sequence[Option], held: Sequence[int], limit: int) -> tuple[Option, int]:
    """The fastest of the options that hold no more than the limit, or else the one that holds least."""
    return min(zip(menu, held, strict=True), key=lambda pair: (max(pair[1], limit), *_prices(pair[0])))


def _is_even(option: Option) -> bool:
    """False where the last chunk is shorter and that changes how the form puts its results together."""
    return not option.chunking.tail or option.form is not Form.SCAN


def _footprints(
    search: Search, region: Region, options: Sequence[Option], front: Front | None
) -> dict[bool, Footprint]:
    graph, around, provider = search.setting.graph, search.lifetimes, search.provider
    form = options[0].form
    return {
        even: footprint(graph, region, form, around, provider, even=even, front=front)
        for even in set(map(_is_even, options))
    }


def _forms(search: Search, region: Region) -> Iterator[Form]:
    """Forms that can pay: unroll copies what scan writes in place, and is left where scan would transpose."""
    graph = search.setting.graph
    for form in search.forms:
        if form is Form.SCAN and region.varies:
            continue
        if form is Form.SWEEP and sweep_hosts(graph, region) is None:
            continue
        if form is Form.UNROLL and Form.SCAN in search.forms and not region.varies:
            values = [(graph.values[cut.value], cut.position) for cut in region.outputs]
            if all(in_front(value, position) for value, position in values):
                continue
        yield form


def _border_bytes(graph: Graph, region: Region) -> int:
    """What is held all through the loop, at the least."""
    names = {cut.value for cut in (*region.sliced, *region.outputs)} | set(region.whole)
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


def materialise(candidate: Candidate, setting: Setting, feeder: Region | None = None) -> Region:
    """The candidate's region, or a feeder of it, with the ops and names of the place it stands for."""
    region, shift, order, graph = feeder or candidate.region, candidate.shift, setting.order, setting.graph
    if not shift:
        return region
    step = setting.rules.step
    names = _renamed(graph, order, region, shift)

    def op(index: int) -> int:
        return order[step[index] + shift]

    def cuts(found: tuple[Cut, ...]) -> tuple[Cut, ...]:
        return tuple(Cut(names[cut.value], cut.position) for cut in found)

    return Region(
        start=candidate.start,
        end=candidate.end,
        ops=tuple(map(op, region.ops)),
        recomputed=frozenset(map(op, region.recomputed)),
        hoisted=tuple(map(op, region.hoisted)),
        sunk=tuple(map(op, region.sunk)),
        sliced=cuts(region.sliced),
        whole=tuple(names[name] for name in region.whole),
        outputs=cuts(region.outputs),
        flow={names[name]: position for name, position in region.flow.items()},
        extent=region.extent,
        varies=region.varies,
    )


def _renamed(graph: Graph, order: Sequence[int], region: Region, shift: int) -> dict[str, str]:
    names: dict[str, str] = {}
    for step in range(region.start, region.end + 1):
        here, there = graph.ops[order[step]], graph.ops[order[step + shift]]
        names.update(zip((*here.inputs, *here.outputs), (*there.inputs, *there.outputs), strict=True))
    return names
