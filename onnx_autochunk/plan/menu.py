"""Every way to write one region that is worth its price: forms, chunks, feeders in front, loops inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ..graph.model import Graph, Origin
from ..options import Form
from .chunking import Chunking
from .feeders import Front, front_of, in_place
from .hosts import sweep_hosts
from .option import Loop, Option, burdens, pareto, prices
from .price import Footprint, footprint
from .region import Region, in_front
from .search import Search
from .suited import aligned_steps, suited

WORTHWHILE = 0.95  # a candidate must lower its interval's peak at least to this share
DEEP = 0.25  # intervals above this share of the most in use have their bodies searched again

Footprints: TypeAlias = Mapping[bool, Footprint]  # with chunks of equal length, and with a shorter last one
Order: TypeAlias = Callable[[Option], tuple[float, ...]]  # what is compared first, second, ...


def options_of(search: Search, region: Region) -> tuple[Option, ...]:
    """The Pareto list of one region; empty when chunking it gains nothing."""
    graph, before = search.setting.graph, search.in_use_bytes(region.start, region.end)
    most = int(WORTHWHILE * before)
    if not search.covers(before) or region.extent < 2 or _border_bytes(graph, region) > most:
        return ()
    fronts = _fronts(search, region)
    found: list[Option] = []
    for form in _forms(search, region):
        ways = _menu(search, region, form)
        if not ways:
            continue
        costs = _footprints(search, region, ways)
        if search.nested and form is Form.SCAN and before > DEEP * search.most_in_use_bytes:
            ways += tuple(search.nested(search, region, _deep(search, ways, costs)))
        found += _priced(search, ways, costs)
        for front in fronts:
            found += _fed(search, ways, front, _footprints(search, region, ways, front, costs))
    return pareto([option for option in found if option.peak_bytes <= most])


def _fronts(search: Search, region: Region) -> list[Front]:
    """Ways to write the loops in front of a region."""
    front = front_of(search.setting, region, search.forms) if region.hoisted and not search.inside else None
    if front is None:
        return []
    other = in_place(search.setting.graph, front, search.forms)
    fronts = [front] if other is None else [front, other]
    return [front for front in fronts if all(_chunkings(search, *feeder) for feeder in _feeders(front))]


def _feeders(front: Front) -> Iterator[tuple[Region, Form]]:
    return zip(front.feeders, front.forms, strict=True)


def _chunkings(search: Search, region: Region, form: Form) -> tuple[Chunking, ...]:
    """Every way to cut a region that suits the provider."""
    setting, ladder = search.setting, search.seconds.ladder
    if search.provider != "cuda":
        return ladder(region.extent, search.max_chunks)
    aligned = ladder(region.extent, search.max_chunks, aligned_steps(setting.graph, region, form))
    return suited(setting.graph, setting.rules, region, form, aligned, inside=search.inside)


def _deep(search: Search, options: Sequence[Option], costs: Footprints) -> list[Option]:
    """Those ways to cut a region whose chunks hold more than half of what the loop does around them."""
    return [option for option in options if costs[_is_even(search, option)].is_deep(option.chunking.length)]


def _menu(search: Search, region: Region, form: Form) -> list[Option]:
    """Every way to cut a region; peaks are not known yet."""
    ladder, seconds = _chunkings(search, region, form), search.seconds
    return [
        Option(form, chunking, 0, *price, seconds.resident_bytes(region, form, chunking))
        for chunking, price in zip(ladder, seconds.of(region, form, ladder), strict=True)
    ]


def _priced(search: Search, options: Sequence[Option], costs: Footprints) -> Iterator[Option]:
    for option in options:
        yield replace(option, peak_bytes=_own_bytes(search, costs, option))


def _fed(search: Search, options: Sequence[Option], front: Front, costs: Footprints) -> Iterator[Option]:
    """The options with feeders in front, each as fast as the loop's own peak allows, and each as light.

    The fastest feeders may be hundreds of bodies written out, of which one region can carry the load but
    two cannot, where a few bodies are hardly slower. A Scan has one body however many chunks there are.
    """
    menus = [_menu(search, *feeder) for feeder in _feeders(front)]
    held = {
        even: [
            [cost.feeder_bytes(at, feed.chunking.length) for feed in menu] for at, menu in enumerate(menus)
        ]
        for even, cost in costs.items()
    }
    spared = sum(map(search.seconds.whole, front.spared))
    orders = (prices,) if set(front.forms) == {Form.SCAN} else (prices, burdens)
    for option in options:
        even = _is_even(search, option)
        own = _own_bytes(search, costs, option)
        for order in orders:
            chosen = [_least(*menu, own, order) for menu in zip(menus, held[even], strict=True)]
            yield _with_feeders(option, front, chosen, own, spared)


def _least(menu: Sequence[Option], held: Sequence[int], own_bytes: int, order: Order) -> tuple[Option, int]:
    """Of the options with which the least is held the first in an order, and what that is."""
    least = max(own_bytes, min(held))
    return min((feed for feed, there in zip(menu, held, strict=True) if there <= least), key=order), least


def _with_feeders(
    option: Option, front: Front, chosen: Sequence[tuple[Option, int]], own_bytes: int, spared_s: float
) -> Option:
    """An option with the feeders that were chosen, each with what is held while it runs."""
    feeds = [feed for feed, _ in chosen]
    return replace(
        option,
        peak_bytes=max(own_bytes, *(held for _, held in chosen)),
        extra_seconds=option.extra_seconds - spared_s + sum(feed.extra_seconds for feed in feeds),
        load_seconds=option.load_seconds + sum(feed.load_seconds for feed in feeds),
        resident_bytes=option.resident_bytes + sum(feed.resident_bytes for feed in feeds),
        feeds=tuple(Loop(f, c.form, c.chunking) for f, c in zip(front.feeders, feeds, strict=True)),
    )


def _own_bytes(search: Search, costs: Footprints, option: Option) -> int:
    """Peak of the interval without its feeders; a shorter last chunk has no loops inside."""
    cost, chunking = costs[_is_even(search, option)], option.chunking
    if option.nest is None:
        return cost.peak_bytes(chunking.length)
    shorter = chunking.tail if search.seconds.fixed else 0
    return max(cost.peak_bytes(shorter), cost.loop + option.nest.body_bytes)


def _is_even(search: Search, option: Option) -> bool:
    return search.seconds.is_even(option.form, option.chunking)


def _footprints(
    search: Search,
    region: Region,
    options: Sequence[Option],
    front: Front | None = None,
    without: Footprints | None = None,
) -> Footprints:
    """Footprints that the options need; feeders in front change nothing of the body found without them."""
    graph, around, provider = search.setting.graph, search.lifetimes, search.provider
    found: dict[bool, Footprint] = {}
    for even in {_is_even(search, option) for option in options}:
        found[even] = footprint(
            graph,
            region,
            options[0].form,
            around,
            provider,
            even=even,
            front=front,
            rules=search.setting.rules,
            body=None if without is None else without[even].body,
            other=next(iter(found.values()), None),
            most_elements=search.most_elements,
        )
    return found


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
