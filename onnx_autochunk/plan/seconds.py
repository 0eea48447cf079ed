"""What chunking does to the running time: the same ops on shorter operands, more often, plus the copying.

Source: DESIGN section 6, cost of a candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import cache, partial
from math import prod

from ..axes import Position, Refusal, Step, carry
from ..cost.model import CostModel
from ..cost.prices import CUT, JOIN
from ..graph.model import Graph, Op
from ..options import Form
from .body import body_of
from .chunking import Chunking, ladder
from .price import is_block, is_view
from .region import Cut, Region, in_front
from .rules import Rules

Shape = tuple[int, ...]
Lengths = tuple[int, ...]
REGION_SECONDS = 1e-4  # one more region: a loop to start, and a plan that is harder to read


class Seconds:
    """Prices regions of one graph with one cost model; what it computes for an op it keeps.

    Of ops that compute the same, which `graph.repeated` and `remade` give, ONNX Runtime runs one if none is
    chunked.

    Attributes:
        fixed: False where sizes are open: Scans copy every slice and put every result together.
    """

    def __init__(
        self, graph: Graph, rules: Rules, model: CostModel, provider: str = "cpu", *, fixed: bool = True
    ) -> None:
        self._graph = graph
        self._rules = rules
        self.model = model
        self._provider = provider
        self.fixed = fixed
        self._shares = self._shares_of_originals() | dict.fromkeys(_again(graph), 0.0)
        self._whole: dict[int, float] = {}
        self._columns: dict[tuple[int, Position, Lengths], tuple[float, ...]] = {}
        self.ladder = cache(partial(ladder, fixed=fixed))

    def total(self) -> float:
        """Time of one unchunked run."""
        return sum(self.whole(op.index) for op in self._graph.ops)

    def whole(self, index: int) -> float:
        """Time of one unchunked op, or its share of what is put back in its place."""
        if index not in self._whole:
            seconds = self._called(self._graph, self._graph.ops[index])
            self._whole[index] = seconds * self._shares.get(index, 1.0)
        return self._whole[index]

    def _called(self, graph: Graph, op: Op) -> float:
        return self.model.op_seconds(op, graph, graph.shape)

    def _shares_of_originals(self) -> dict[int, float]:
        """By op that stands for others: their time over that of all that stand for them."""
        shares = dict[int, float]()
        for indices, originals in self._graph.originals.items():
            standing = sum(self._called(self._graph, self._graph.ops[index]) for index in indices)
            original = sum(self._called(originals, op) for op in originals.ops)
            shares |= dict.fromkeys(indices, original / standing if standing else 1.0)
        return shares

    def of(self, region: Region, form: Form, ladder: tuple[Chunking, ...]) -> list[tuple[float, float]]:
        """For each chunking: extra seconds of a run and to load, against leaving the region unchunked."""
        bodies = self._bodies(region, ladder)
        before = sum(self.whole(index) for index in region.ops if index not in region.recomputed)
        fixed = self._border(region) - before
        iteration = self.model.iteration_seconds(form.value, len(region.ops))
        weights = self._weights(region)
        moves = {even: self._moves(region, form, even) for even in (False, True)}
        found = []
        for chunking, body in zip(ladder, bodies, strict=True):
            moved = sum(
                self.model.copy_seconds(kind, nbytes, run_bytes=run * self._steps_at_once(kind, chunking))
                for kind, nbytes, run in moves[self.is_even(form, chunking)]
            )
            load = self.model.load_seconds(form.value, _nodes(region), _written(form, chunking), weights)
            found.append((body + chunking.total * iteration + moved + fixed, load))
        return found

    def resident_bytes(self, region: Region, form: Form, chunking: Chunking) -> int:
        """Extra memory once loaded, against leaving the region unchunked."""
        return self.model.resident_bytes(form.value, _nodes(region), _written(form, chunking))

    def _bodies(self, region: Region, ladder: tuple[Chunking, ...]) -> list[float]:
        """The ops' time over all chunks, for each chunking."""
        if region.accumulator is None:
            lengths = tuple(chunking.length for chunking in ladder)
            columns = (self._column(region, index, ladder, lengths) for index in region.ops)
            return [sum(column) for column in zip(*columns, strict=True)]
        return [self._every(chunking, partial(self._chunk, region)) for chunking in ladder]

    def _every(self, chunking: Chunking, seconds: Callable[[int], float]) -> float:
        """What all chunks take; where sizes are open, the last is as long as the others."""
        if not self.fixed:
            return chunking.total * seconds(chunking.length)
        return chunking.count * seconds(chunking.length) + (seconds(chunking.tail) if chunking.tail else 0.0)

    def _steps_at_once(self, kind: str, chunking: Chunking) -> int:
        """Steps that are copied as one; where sizes are open, results are put together step by step."""
        return chunking.length if self.fixed or kind == CUT else 1

    def _chunk(self, region: Region, length: int) -> float:
        """One chunk of a region that accumulates."""
        body = body_of(self._graph, region, self._rules, length).graph
        return sum(self.model.op_seconds(op, body, body.shape) for op in body.ops)

    def _column(
        self, region: Region, index: int, ladder: tuple[Chunking, ...], lengths: Lengths
    ) -> tuple[float, ...]:
        """One op's time over all chunks, for each chunking."""
        place = region.flow[next(name for name in self._graph.ops[index].outputs if name)]
        key = (index, place, lengths)
        if key not in self._columns:
            step = carry(self._rules[index], position=place, result=0)
            assert not isinstance(step, Refusal), "a region holds only ops whose rule carries the flow"
            self._columns[key] = tuple(
                self._every(chunking, partial(self._op, index, step)) for chunking in ladder
            )
        return self._columns[key]

    def _border(self, region: Region) -> float:
        """What enters and leaves the loop comes from memory, however well a chunk fits the cache."""
        names = (*(cut.value for cut in region.sliced), *region.results)
        touched = sum(self._graph.values[name].nbytes for name in names)
        written = sum(self._graph.values[name].nbytes for name in region.results)
        return REGION_SECONDS + (touched + written) * self.model.constants.excess_s(touched)

    def _op(self, index: int, step: Step, length: int) -> float:
        """One chunk of an op."""
        shapes = self._shapes(index, step, length)
        return self.model.op_seconds(self._graph.ops[index], self._graph, shapes.get)

    def _shapes(self, index: int, step: Step, length: int) -> dict[str, Shape | None]:
        op = self._graph.ops[index]
        shapes: dict[str, Shape | None] = {}
        for name, place in zip((*op.inputs, *op.outputs), (*step.operands, *step.results), strict=True):
            shape = self._graph.shape(name)
            shapes[name] = shape if place is None or shape is None else place.sliced_shape(shape, length)
        return shapes

    def _moves(self, region: Region, form: Form, even: bool) -> list[tuple[str, int, int]]:
        """What is sliced and is no view, and results that are put together: the kind, its bytes, a step's."""
        scan, graph, provider = form is Form.SCAN, self._graph, self._provider
        ins = [c for c in region.sliced if not (scan and is_view(graph, c, even, provider))]
        outs = [c for c in region.outputs if not (scan and even and self._front(c))]
        kinds = [JOIN if scan and is_block(graph, cut, even, provider) else CUT for cut in ins]
        return [*map(self._move, kinds, ins), *(self._move(JOIN, cut) for cut in outs)]

    def is_even(self, form: Form, chunking: Chunking) -> bool:
        """False where the form puts its results together in another way than with chunks of equal length."""
        return form is not Form.SCAN or (self.fixed and not chunking.tail)

    def _front(self, cut: Cut) -> bool:
        return in_front(self._graph.values[cut.value], cut.position)

    def _move(self, kind: str, cut: Cut) -> tuple[str, int, int]:
        value = self._graph.values[cut.value]
        assert value.shape is not None, "a cut value has a shape"
        item = value.nbytes // max(1, prod(value.shape))
        return kind, value.nbytes, prod(value.shape[cut.position.axis + 1 :]) * cut.position.unit * item

    def _weights(self, region: Region) -> int:
        reads = {name for index in region.ops for name in self._graph.ops[index].reads}
        return sum(
            value.nbytes for name in reads if (value := self._graph.values[name]).origin.value == "constant"
        )


def _again(graph: Graph) -> Iterator[int]:
    """Ops that compute what one before them does."""
    known: dict[Hashable, Op] = {}
    same: dict[str, str] = {}
    for op in graph.ops:
        attributes = tuple(sorted((name, repr(value)) for name, value in op.attributes.items()))
        first = known.setdefault((op.domain, op.type, *(same.get(n, n) for n in op.inputs), attributes), op)
        if first is not op and not op.subgraphs:
            same |= dict(zip(op.outputs, first.outputs, strict=True))
            yield op.index


def _nodes(region: Region) -> int:
    """Nodes of one chunk that is written out: its ops, its slices, and what puts its results in place."""
    return len(region.ops) + len(region.sliced) + len(region.results)


def _written(form: Form, chunking: Chunking) -> int:
    """Bodies written out beside the first; a Scan has one, and one more for a tail."""
    return bool(chunking.tail) if form is Form.SCAN else chunking.total - 1
