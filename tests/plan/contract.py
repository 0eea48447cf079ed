"""A graph with regions drawn together into single nodes, and what has to be held around each node at least.

`x -> [Relu, MatMul, Relu] -> y`, the first two a region: x -> region -> v2 -> Relu -> y holds at least x + v2
while the region runs as a Scan, and v2 + y afterwards; what fusion takes away counts as nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from onnx_autochunk.graph.model import Graph, Op, Origin
from onnx_autochunk.memory.fused import ops_as_run
from onnx_autochunk.memory.kernels import inplace_operands
from onnx_autochunk.options import Form
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.price import is_view
from onnx_autochunk.plan.region import Region


@dataclass(frozen=True)
class Loop:
    """A region as it is written."""

    region: Region
    form: Form
    chunking: Chunking


@dataclass(frozen=True)
class Node:
    """An op, or the region of this number."""

    reads: frozenset[str]
    makes: tuple[str, ...]
    op: Op | None
    region: int = -1


@dataclass(frozen=True)
class Contractor:
    """Contracts one graph whose ops have one result each."""

    graph: Graph
    provider: str

    @cached_property
    def _run(self) -> tuple[Op | None, ...]:
        return ops_as_run(self.graph)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Bytes that a value holds for certain once it is computed."""
        gone = {name for op in self.graph.ops if self._run[op.index] is None for name in op.outputs}
        return {
            name: value.nbytes if value.origin is Origin.COMPUTED and name not in gone else 0
            for name, value in self.graph.values.items()
        }

    def nodes(self, regions: Sequence[Region]) -> list[Node] | None:
        """Regions and the ops left, in an order in which they can run; None when there is none."""
        found = [
            Node(
                frozenset([*(cut.value for cut in region.sliced), *region.whole]),
                tuple(cut.value for cut in region.outputs),
                None,
                number,
            )
            for number, region in enumerate(regions)
        ]
        gone = {index for region in regions for index in set(region.ops) - region.recomputed}
        again = {index for region in regions for index in region.recomputed}
        found += [Node(frozenset(op.reads), op.outputs, op) for op in self.graph.ops if op.index not in gone]
        return _sorted(self._read(found, again))

    def _read(self, nodes: list[Node], again: set[int]) -> list[Node]:
        """Without copies that nobody reads."""
        while True:
            read = set(self.graph.outputs).union(*(node.reads for node in nodes))
            unread = [n for n in nodes if n.op and n.op.index in again and not read & set(n.makes)]
            if not unread:
                return nodes
            nodes = [node for node in nodes if node not in unread]

    def before(self, nodes: Sequence[Node]) -> set[int]:
        """The ops that run before the only region."""
        at = next(at for at, node in enumerate(nodes) if node.op is None)
        ancestors, _ = _relations(nodes)
        return {op.index for other, node in enumerate(nodes) if ancestors[at] >> other & 1 if (op := node.op)}

    def too_large(self, most_bytes: int) -> set[int]:
        """Ops that cannot stay as they are."""
        return {op.index for op in self.graph.ops if self._op_bytes(op) > most_bytes}

    def held(self, nodes: Sequence[Node], regions: int) -> tuple[int, list[int]]:
        """The most that ops hold with what is kept for later; and what is kept while each region runs."""
        ancestors, descendants = _relations(nodes)
        makers = {name: at for at, node in enumerate(nodes) for name in node.makes}
        readers: dict[str, int] = {}
        for at, node in enumerate(nodes):
            for name in node.reads:
                readers[name] = readers.get(name, 0) | 1 << at
        most, through = 0, [0] * regions
        for at, node in enumerate(nodes):
            kept = sum(
                self._sizes[name]
                for name, maker in makers.items()
                if ancestors[at] >> maker & 1 and name not in node.reads
                if name in self.graph.outputs or readers.get(name, 0) & descendants[at]
            )
            if node.op is None:
                through[node.region] = kept
            else:
                most = max(most, kept + self._op_bytes(node.op))
        return most, through

    def _op_bytes(self, op: Op) -> int:
        """What an op reads and writes, which it may write in place; nothing where ORT runs another op."""
        if self._run[op.index] is not op:
            return 0
        made = self._sizes[op.outputs[0]]
        read = sum(map(self._sizes.__getitem__, set(op.reads)))
        return max(made, read) if inplace_operands(op, self.provider) else made + read

    def loop_bytes(self, loop: Loop) -> int:
        """What a region reads and writes, and its body, at the least."""
        region, chunking = loop.region, loop.chunking
        read = sum(map(self._sizes.__getitem__, {cut.value for cut in region.sliced} | set(region.whole)))
        made = [self.graph.values[cut.value].nbytes for cut in region.outputs]
        share, whole = Fraction(chunking.length, chunking.extent), self._body_bytes(loop)
        short = int(whole * Fraction(chunking.tail or chunking.length, chunking.extent))
        if loop.form is Form.SWEEP:
            return read + short  # before the last chunk, which waits for all that is read
        if loop.form is Form.UNROLL:
            if len(made) > 1:
                return 2 * max(made)  # one may be done and read before the others are begun
            begun, waiting = int(made[0] * (1 - share)), int(made[0] * max(Fraction(0), 1 - 2 * share))
            return max(2 * made[0], read + begun, read + waiting + short, begun + short)
        body = max(0, int((whole - sum(made)) * share))
        if not chunking.tail:
            return read + sum(made) + body
        scanned = sum(int(size * share) * chunking.count for size in made)
        return max(read + scanned + body, sum(made) + max(made))

    @staticmethod
    def holds_on(loop: Loop) -> bool:
        """Whether what is kept for later is kept all the while: no result can be read before the others."""
        return loop.form is not Form.UNROLL or len(loop.region.outputs) == 1

    def _body_bytes(self, loop: Loop) -> int:
        """What some op of the body reads and writes of values and copies of slices, if one chunk were all.

        A Scan hands out views of its inputs and writes its results where they belong.
        """
        region, is_scan = loop.region, loop.form is Form.SCAN
        inner = set(region.flow) - ({cut.value for cut in region.outputs} if is_scan else set())
        for cut in region.sliced:
            is_constant = self.graph.values[cut.value].origin is Origin.CONSTANT
            even = not loop.chunking.tail
            if not is_view(self.graph, cut, even, self.provider) if is_scan else not is_constant:
                inner.add(cut.value)
        inner -= set(region.whole)  # who reads those may not read the slice
        most = 0
        for op in (self.graph.ops[index] for index in region.ops):
            if self._run[op.index] is op:
                made = sum(self._chunked_bytes(name) for name in op.outputs if name in inner)
                read = sum(map(self._chunked_bytes, set(op.reads) & inner))
                most = max(most, max(made, read) if inplace_operands(op, self.provider) else made + read)
        return most

    def _chunked_bytes(self, name: str) -> int:
        """Bytes that a value holds for certain where it is made chunk by chunk."""
        value = self.graph.values[name]
        return self._sizes[name] if value.origin is Origin.COMPUTED else value.nbytes


def _relations(nodes: Sequence[Node]) -> tuple[list[int], list[int]]:
    """Bits of the nodes before and after each one, by what they read."""
    makers = {name: at for at, node in enumerate(nodes) for name in node.makes}
    ancestors, descendants = [0] * len(nodes), [0] * len(nodes)
    for at, node in enumerate(nodes):
        for name in node.reads & makers.keys():
            ancestors[at] |= ancestors[makers[name]] | 1 << makers[name]
        for other in range(at):
            if ancestors[at] >> other & 1:
                descendants[other] |= 1 << at
    return ancestors, descendants


def _sorted(nodes: list[Node]) -> list[Node] | None:
    made = {name for node in nodes for name in node.makes}
    done: list[Node] = []
    there: set[str] = set()
    while len(done) < len(nodes):
        ready = [node for node in nodes if node not in done and node.reads & made <= there]
        if not ready:
            return None
        done += ready
        there.update(name for node in ready for name in node.makes)
    return done
