"""Nested regions: a loop's body is a graph, and is searched again.

    attention of 512 queries at once, 12 heads           scores of a chunk: 12 x 512 x 4096
    the same, and in each chunk one head after another   1 x 512 x 4096: long rows, little memory

Few long chunks with a loop inside run faster than many short ones: matrix products want rows, and what one
head needs fits the cache.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from ..memory.lifetime import simulate
from ..options import Form
from .body import Body, body_of, has_body
from .candidates import Candidate, candidates
from .chunking import length_for
from .lifetimes import lifetimes
from .moved import materialise
from .option import Loop, Nest, Option
from .price import is_view
from .region import Region
from .search import Search
from .seconds import Seconds
from .select import Choice, Selector, peak_of
from .setting import Setting, inside

COUNTS = (8, 16)  # of the outer loop, or all its steps: fewer leave too much in a chunk, more too few rows
BUDGETS = 5  # ways to cut a body that are offered for each length


class Bodies:
    """Searches bodies, each once: regions may differ in what stands around their loops and not in these."""

    def __init__(self) -> None:
        self._searched: dict[Hashable, tuple[Search, tuple[Candidate, ...]] | None] = {}

    def nested(self, search: Search, region: Region, options: Sequence[Option]) -> Iterator[Option]:
        """The options of a scan again, with loops inside its body.

        Args:
            search: of the graph that the region lies in.
            region: whose chunks are alike.
            options: how it can be cut.
        """
        setting = search.setting
        if region.accumulator or not has_body(setting.graph, region, setting.rules):
            return
        fixed = search.seconds.fixed
        lengths = {length_for(region.extent, min(n, region.extent), fixed=fixed) for n in COUNTS}
        for option in options:
            if option.chunking.length in lengths:
                body = body_of(setting.graph, region, setting.rules, option.chunking.length)
                yield from self._again(search, region, option, body)

    def _again(self, search: Search, region: Region, option: Option, body: Body) -> Iterator[Option]:
        flow = tuple(region.flow.items())
        key = region.ops, region.sliced, region.whole, region.outputs, flow, option.chunking.length
        if key not in self._searched:
            there = inside(search.setting, region, body, option.chunking.length)
            self._searched[key] = None if there is None else _explored(search, there)
        if (known := self._searched[key]) is None:
            return
        inner, found = known
        beside = _copied_bytes(search, region, option, body) - _written_bytes(body)
        selector = Selector(inner.charged_bytes, found)
        budgets = [budget for budget in selector.budgets() if budget < inner.timeline.peak_bytes]
        for budget in budgets[:: max(1, len(budgets) // BUDGETS)]:
            selection = selector.select(budget)
            if selection is None or not selection.choices:
                continue
            loops = tuple(_loop(inner, choice) for choice in selection.choices)
            yield replace(
                option,
                extra_seconds=option.extra_seconds + option.chunking.count * selection.extra_seconds,
                load_seconds=option.load_seconds + selection.load_seconds,
                resident_bytes=option.resident_bytes + selection.resident_bytes,
                nest=Nest(loops, max(0, beside + peak_of(inner.charged_bytes, selection))),
            )


def _loop(inner: Search, choice: Choice) -> Loop:
    region, option = materialise(choice.candidate, inner.setting), choice.option
    before = max(inner.timeline.live_bytes[region.start : region.end + 1])
    return Loop(region, option.form, option.chunking, before, option.peak_bytes)


def _explored(search: Search, setting: Setting) -> tuple[Search, tuple[Candidate, ...]] | None:
    """The candidates of a body; None where there are none."""
    graph, order = setting.graph, setting.order
    around = lifetimes(graph, order)
    timeline = simulate(graph, order=order, provider=search.provider)
    inner = Search(
        setting,
        timeline,
        around,
        Seconds(graph, setting.rules, search.seconds.model, search.provider, fixed=search.seconds.fixed),
        around.valleys() | around.cliffs(),
        (Form.SCAN,),
        search.max_chunks,
        search.most_elements,
        search.provider,
        inside=True,
    )
    found = tuple(candidates(inner))
    return (inner, found) if found else None


def _copied_bytes(search: Search, region: Region, option: Option, body: Body) -> int:
    """Slices that are no views stand beside the body's own values."""
    even = search.seconds.is_even(option.form, option.chunking)
    cuts = [cut for cut in region.sliced if not is_view(search.setting.graph, cut, even, search.provider)]
    return sum(body.graph.values[body.slices[cut]].nbytes for cut in cuts)


def _written_bytes(body: Body) -> int:
    """Results of the last chunk take no memory until it writes them, and are counted around the loop."""
    return sum(body.graph.values[name].nbytes for name in body.graph.outputs)
