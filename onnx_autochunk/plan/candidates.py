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
from .grow import Setting, grow_all
from .hosts import sweep_hosts
from .lifetimes import Lifetimes
from .price import footprint, in_front
from .region import Cut, Region
from .seconds import Seconds
from .signature import signatures

WORTHWHILE = 0.95  # a candidate must lower its interval's peak at least to this share
LOW = 0.02  # intervals that stay under this share of the model's peak are left alone


@dataclass(frozen=True, slots=True)
class Option:
    """One way to write a candidate: its price."""

    form: Form
    chunking: Chunking
    peak_bytes: int
    extra_seconds: float
    load_seconds: float
    resident_bytes: int


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
    ladder = search.seconds.ladder(region.extent, search.max_chunks)
    found: list[Option] = []
    for form in _forms(search, region):
        peaks = _peaks(search, region, form, ladder)
        if min(peaks) <= most:
            prices = search.seconds.of(region, form, ladder)
            found += [
                Option(form, chunking, peak, *price, search.seconds.resident_bytes(region, form, chunking))
                for chunking, peak, price in zip(ladder, peaks, prices, strict=True)
                if peak <= most
            ]
    return pareto(found)


def _peaks(search: Search, region: Region, form: Form, ladder: Sequence[Chunking]) -> list[int]:
    """Peak of each chunking; only a scan cares whether the last chunk is shorter."""
    evens = [not chunking.tail or form is not Form.SCAN for chunking in ladder]
    costs = {
        even: footprint(search.setting.graph, region, form, search.lifetimes, search.provider, even=even)
        for even in set(evens)
    }
    return [costs[even].peak_bytes(chunking.length) for even, chunking in zip(evens, ladder, strict=True)]


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


def materialise(candidate: Candidate, setting: Setting) -> Region:
    """The candidate's region with the ops and names of the place it stands for."""
    if not candidate.shift:
        return candidate.region
    region, shift, order, graph = candidate.region, candidate.shift, setting.order, setting.graph
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
