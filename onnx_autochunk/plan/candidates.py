"""Every legal region worth its price, searched once for each repeated stretch of the graph.

A transformer's layers are equal up to names: the stretch that growth saw at one step is compared, as
numbers, with the stretch before a later step; where they agree the finished candidates are reused, moved by
the distance between them. Results of the graph that are only kept for the caller (caches of keys and values)
are left out of the comparison, and added to the peaks of what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..axes import positions
from ..graph.model import Graph, Op
from ..options import Form
from .body import has_body
from .grow import grow_all
from .hosts import hosted
from .menu import options_of
from .option import Option
from .recipes import ends
from .region import Region
from .search import Search
from .signature import signatures

STATES = 4  # buffers of the result that a loop holds which carries it


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

    def later(self, steps: int) -> Candidate:
        """The candidate so many steps further on."""
        return replace(self, shift=self.shift + steps) if steps else self

    @property
    def sweeps(self) -> bool:
        """True when an option of it does."""
        return any(option.sweeps for option in self.options)


@dataclass(slots=True)
class _Found:
    """What growth found at one step: the candidates, and how far back it looked."""

    end: int
    reach: int
    candidates: tuple[Candidate, ...] = field(default_factory=tuple)


def candidates(search: Search) -> Iterator[Candidate]:
    """All candidates, in order of the step they end at."""
    setting = search.setting
    graph, order, borders = setting.graph, setting.order, search.borders
    marks = signatures(graph, order, search.lifetimes, search.timeline, borders, setting.excluded)
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
        found += [Candidate(way, 0, options) for way in ways if (options := options_of(search, way))]
    return reach + 1, tuple(found)


def _regions(search: Search, end: int, op: Op) -> Iterator[Region]:
    """Cut along every axis of the op's result, then along those that it reduces."""
    setting, borders = search.setting, search.borders
    yield from grow_all(setting, end, positions(setting.rules[op.index], result=0), borders)
    if not shrinks(setting.graph, op):
        return
    for operand, seed in ends(setting.graph, op, setting.rules[op.index]):
        for region in grow_all(setting, end, [seed], borders, operand=operand):
            if has_body(setting.graph, region, setting.rules):
                yield region


def shrinks(graph: Graph, op: Op) -> bool:
    """True when an operand is so much larger than the result that carrying the result can pay."""
    largest = max((graph.values[name].nbytes for name in op.inputs if name), default=0)
    return largest > STATES * graph.values[op.outputs[0]].nbytes
