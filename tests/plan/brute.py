"""Every way to chunk a small graph, priced without the planner: the optimum that a plan is measured by.

Up to three regions (`tests.plan.pieces`) at once, in each form and with each count of chunks. The peak of a
way is that of the model as emitted, run on paper, framed in the best way; its seconds add up. Ways are tried
in order, the fastest first or those with the lowest bound on the peak first, until none can be better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import count, product
from math import inf
from typing import TypeAlias

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import Woven, chunk, usable_forms
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.hosts import sweep_hosts
from onnx_autochunk.plan.lifetimes import lifetimes
from onnx_autochunk.plan.plan import Frames, Plan, PlannedRegion
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.rules import Rules
from onnx_autochunk.plan.seconds import Seconds
from tests.plan.contract import Contractor, Loop, Node
from tests.plan.pieces import Pieces

MOST_REGIONS = 3
MOST_PICKS = 200_000  # combinations that are kept in mind
SAME_S = 1e-12  # seconds that do not count as a difference


@dataclass(frozen=True)
class Piece:
    """One region with all the ways to write it (seconds, a bound on the peak, loop), the fastest first.

    Attributes:
        joined: bits of the ops inside.
        covered: bits of those that run nowhere else.
        least_s: what it takes at the least, if nobody reads what it computes again.
        least_bytes: what it holds at the least.
    """

    region: Region
    joined: int
    covered: int
    menu: tuple[tuple[float, int, Loop], ...]
    least_s: float
    least_bytes: int


@dataclass(frozen=True, slots=True)
class Way:
    """Regions as they are written, with their prices."""

    loops: tuple[Loop, ...]
    seconds: float
    peak_bytes: int


Pick: TypeAlias = tuple[Piece, ...]
Menu: TypeAlias = Sequence[tuple[float, int, Loop]]  # seconds, bound on the peak
Rated: TypeAlias = tuple[float, int, tuple[Loop, ...]]  # seconds, a bound on the peak, loops
Rank: TypeAlias = Callable[[float, int], float]  # seconds and bound -> what is tried first


def counts(extent: int, most: int | None) -> tuple[Chunking, ...]:
    """For each count of chunks, chunks as equal as can be, and shorter ones with a rest behind them."""
    limit = min(extent, most or extent)
    lengths = {length: None for n in range(2, limit + 1) for length in (-(-extent // n), extent // n)}
    return tuple(cut for length in lengths if (cut := Chunking(extent, length)).total <= limit)


def _bits(indices: Sequence[int] | set[int]) -> int:
    return sum(1 << index for index in indices)


class Brute:
    """All ways to chunk one graph.

    Attributes:
        most_emitted: a search that would emit more models than that ends early, and is not complete.
    """

    def __init__(self, loaded: Loaded, options: Options, model: CostModel, most_emitted: int = 400) -> None:
        self.loaded, self.graph, self.options = loaded, loaded.graph, options
        self.forms = usable_forms(loaded, options)
        self.order = simulate(self.graph, provider=options.provider).order
        self.rules = Rules(self.graph, self.order)
        self.model = model
        self.seconds = Seconds(self.graph, self.rules, model)
        self.contractor = Contractor(self.graph, options.provider)
        self.most_emitted = most_emitted
        self.emitted = 0  # models that were run on paper for the question at hand
        self.complete = True  # nothing was left out of it
        self._peaks: dict[tuple[Loop, ...], int] = {}

    def fastest(
        self, budget_bytes: int, known_s: float = inf, pieces: Sequence[Piece] | None = None
    ) -> Way | None:
        """The fastest way within the budget that is faster than what is known; of all pieces or of some."""
        ranked = self._ranked(pieces, known_s - SAME_S, budget_bytes, lambda seconds, _: seconds)
        for seconds, bound, loops in ranked:
            if (peak := self.peak_bytes(loops, bound)) <= budget_bytes:
                return Way(loops, seconds, peak)
        return None

    def smallest(self, most_s: float, known_bytes: int, pieces: Sequence[Piece] | None = None) -> Way | None:
        """The way of least peak, below what is known, that takes no more than so many seconds."""
        best: Way | None = None
        for seconds, bound, loops in self._ranked(pieces, most_s, known_bytes - 1, lambda _, bound: bound):
            least = known_bytes if best is None else best.peak_bytes
            if bound >= least:
                break
            if (peak := self.peak_bytes(loops, bound)) < least:
                best = Way(loops, seconds, peak)
        return best

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Every region by itself, the fastest first."""
        found = (self._piece(region) for region in Pieces(self.graph, self.rules).all())
        return tuple(sorted((p for p in found if p is not None), key=lambda piece: piece.least_s))

    def _piece(self, region: Region) -> Piece | None:
        """None where the region would have to wait for itself."""
        nodes = self.contractor.nodes([region])
        if nodes is None:
            return None
        inside = set(region.ops)
        region = replace(region, hoisted=tuple(sorted(self.contractor.before(nodes) - inside)))
        ladder = counts(region.extent, self.options.max_chunks)
        forms = [f for f in self.forms if f is not Form.SWEEP or sweep_hosts(self.graph, region) is not None]
        menu = [
            (seconds, self.contractor.loop_bytes(loop), loop)
            for form in forms
            for chunking, (seconds, _) in zip(ladder, self.seconds.of(region, form, ladder), strict=True)
            for loop in (Loop(region, form, chunking),)
        ]
        return self._made(region, menu)

    def _made(self, region: Region, menu: Iterable[tuple[float, int, Loop]]) -> Piece:
        listed = tuple(sorted(menu, key=lambda entry: entry[0]))
        inside = set(region.ops)
        return Piece(
            region,
            _bits(inside),
            _bits(inside - region.recomputed),
            listed,
            listed[0][0] - sum(map(self.seconds.whole, region.recomputed)),
            min(held for _, held, _ in listed),
        )

    def only(self, allowed: Callable[[Loop], bool]) -> tuple[Piece, ...]:
        """The pieces that are left when some ways to write them are not allowed."""
        menus = [(p.region, [entry for entry in p.menu if allowed(entry[2])]) for p in self.pieces]
        made = (self._made(region, menu) for region, menu in menus if menu)
        return tuple(sorted(made, key=lambda piece: piece.least_s))

    def extra_seconds(self, loops: Sequence[Loop]) -> float:
        """What regions, wherever they come from, add to the running time."""
        nodes = self.contractor.nodes([loop.region for loop in loops])
        assert nodes is not None, "a plan's regions go together"
        left = {node.op.index for node in nodes if node.op is not None}
        again = {index for loop in loops for index in loop.region.recomputed}
        total = -sum(map(self.seconds.whole, again - left))
        for loop in loops:  # prices are kept by the length of the list of chunkings: not for lists of one
            alone = Seconds(self.graph, self.rules, self.model)
            total += alone.of(loop.region, loop.form, (loop.chunking,))[0][0]
        return total

    def _ranked(
        self, pieces: Sequence[Piece] | None, most_s: float, most_bytes: int, rank: Rank
    ) -> Iterator[Rated]:
        """Ways whose seconds and bounds are not too much, in order."""
        number = count()
        todo: list[tuple[float, int, tuple[Menu, ...], Rated]] = []
        for pick in self._picks(self.pieces if pieces is None else pieces, most_s, most_bytes):
            if menus := self._menus(pick, most_bytes):
                seconds = sum(min(s for s, _, _ in menu) for menu in menus)
                bound = max(min(held for _, held, _ in menu) for menu in menus)
                if seconds <= most_s:
                    todo.append((rank(seconds, bound), next(number), menus, (seconds, bound, ())))
        heapify(todo)
        self.emitted, self.complete = 0, len(todo) <= MOST_PICKS
        while todo and self.complete:
            _, _, menus, rated = heappop(todo)
            if not menus:
                self.complete = self.emitted < self.most_emitted and len(todo) < MOST_PICKS
                yield rated
            for entries in product(*menus) if menus else ():
                seconds, bound = sum(s for s, _, _ in entries), max(held for _, held, _ in entries)
                if seconds <= most_s:
                    loops = tuple(loop for _, _, loop in entries)
                    heappush(todo, (rank(seconds, bound), next(number), (), (seconds, bound, loops)))

    def _picks(self, pieces: Sequence[Piece], most_s: float, most_bytes: int) -> Iterator[Pick]:
        """Combinations of pieces that go together and leave out no op that is too large as it is."""
        required = _bits(self.contractor.too_large(most_bytes))
        usable = [piece for piece in pieces if piece.least_bytes <= most_bytes]
        spare_s = min([0.0, *(piece.least_s for piece in usable[:1])])  # what another piece may save
        todo: list[tuple[Pick, int, int, int, float]] = [((), 0, 0, 0, 0.0)]
        while todo:
            pick, after, joined, covered, seconds = todo.pop()
            if pick and not required & ~covered:
                yield pick
            left = MOST_REGIONS - len(pick) - 1
            for at in range(after, len(usable)) if left >= 0 else ():
                piece = usable[at]
                if seconds + piece.least_s + left * spare_s > most_s:
                    break
                if joined & piece.covered or covered & piece.joined:
                    continue
                if left or not required & ~(covered | piece.covered):
                    todo.append((
                        (*pick, piece), at + 1, joined | piece.joined, covered | piece.covered,
                        seconds + piece.least_s,
                    ))  # fmt: skip

    def _menus(self, pick: Pick, most_bytes: int) -> tuple[Menu, ...]:
        """For each piece, as part of this pick, seconds, bound and loop; none where a bound is too high.

        Time of what nobody has to compute outside any more is taken off the first.
        """
        nodes = self.contractor.nodes([piece.region for piece in pick])
        if nodes is None:
            return ()
        most, through = self.contractor.held(nodes, len(pick))
        if most > most_bytes:
            return ()
        menus: list[Menu] = []
        for piece, kept in zip(pick, through, strict=True):
            spared = 0.0 if menus else self._spared(nodes, pick)
            rows = [
                (s - spared, max(most, held + kept * self.contractor.holds_on(loop)), loop)
                for s, held, loop in piece.menu
            ]
            menus.append([row for row in rows if row[1] <= most_bytes])
        return tuple(menus) if all(menus) else ()

    def _spared(self, nodes: Sequence[Node], pick: Pick) -> float:
        left = {node.op.index for node in nodes if node.op is not None}
        again = {index for piece in pick for index in piece.region.recomputed}
        return sum(map(self.seconds.whole, again - left))

    def peak_bytes(self, loops: tuple[Loop, ...], bound: int = 0) -> int:
        """The peak as emitted, in the best way of framing."""
        if loops not in self._peaks:
            plan = self.plan(loops)
            woven = chunk(self.loaded, plan, self.rules)
            peaks = (self._on_paper(woven, frames) for frames in _framings(plan))
            self._peaks[loops] = min(peak for peak in peaks if peak is not None)
            self.emitted += 1
        assert self._peaks[loops] >= bound, f"the bound {bound} is not one for {loops}"
        return self._peaks[loops]

    def _on_paper(self, woven: Woven, frames: Frames) -> int | None:
        """The peak of the emitted model; None where frames would wait in a circle, as regions interleave."""
        try:
            model = woven.framed(frames)
        except ValueError:
            if frames is Frames.NONE:
                raise
            return None
        return simulate(derive(model).graph, provider=self.options.provider).peak_bytes

    def plan(self, loops: Sequence[Loop]) -> Plan:
        """The plan for the emitter: each region with the ops that run once between it and the one before."""
        inside = {index for loop in loops for index in set(loop.region.ops) - loop.region.recomputed}
        crossing, after, regions = lifetimes(self.graph, self.order).crossing_bytes, 0, []
        for number, loop in enumerate(sorted(loops, key=lambda loop: loop.region.end)):
            region, end = loop.region, loop.region.end + 1
            alongside = tuple(index for index in self.order[after:end] if index not in inside)
            regions.append(
                PlannedRegion(f"r{number}", region, loop.form, loop.chunking, alongside, crossing[end], 0, 0)
            )
            after = max(after, end)
        return Plan(tuple(regions), 0, 1.0, 0.0)


def _framings(plan: Plan) -> Iterable[Frames]:
    """Ways of framing that differ: only a Scan is framed, and groups of one region are regions."""
    if all(planned.form is not Form.SCAN for planned in plan.regions):
        return [Frames.NONE]
    if all(len(group) == 1 for group in plan.groups):
        return [Frames.NONE, Frames.REGIONS]
    return Frames
