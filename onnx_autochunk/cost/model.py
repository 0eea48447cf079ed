"""How long things take: an op at given shapes, an iteration of a form, slicing and joining, loading copies.

The search compares a region run whole with the same region in chunks: the *ratio* of two prices counts.

`CostModel.load().op_seconds(op, graph, graph.shape)` -> 0.0031
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from ..graph.fold import added_to_nothing
from ..graph.model import Graph, Op
from ..graph.rounds import rounds
from .call import Call, Shape, call_of
from .constants import Constants, read_profile, to_constants
from .prices import PRICES, copying, dot, other


@dataclass(frozen=True)
class CostModel:
    """Prices in seconds, for one provider's kernels as calibrated."""

    constants: Constants

    @classmethod
    def load(cls, provider: str = "cpu") -> Self:
        """The model of a provider.

        Raises:
            UsageError: nobody has calibrated the provider.
        """
        return cls(to_constants(read_profile(provider)))

    def uncached(self) -> Self:
        """The same prices with no cache to count on, as where other machines of a host use it up."""
        excess = self.constants.excess_s
        flat = replace(excess, heights=(max(excess.heights),) * len(excess.heights))
        return replace(self, constants=replace(self.constants, excess_s=flat))

    def op_seconds(self, op: Op, graph: Graph, shape_of: Callable[[str], Shape]) -> float:
        """Time of one call of an op.

        Args:
            op: the call to price.
            graph: where element types and neighbours are looked up.
            shape_of: shapes at which to price it: `graph.shape` for the whole, or those of a chunk.
        """
        call = call_of(op, graph, shape_of)
        if op.subgraphs:
            return self.constants.dispatch_s + self._bodies(call)
        if added_to_nothing(op, graph):
            return self.constants.dispatch_s
        return self.constants.dispatch_s + PRICES.get(op.type, other)(call, self.constants)

    def _bodies(self, call: Call) -> float:
        """The dearest body, as often as it runs."""
        once = max(sum(self.op_seconds(op, b, b.shape) for op in b.ops) for b in call.op.subgraphs.values())
        return once * often(call)

    def copy_seconds(self, kind: str, nbytes: int, *, run_bytes: int) -> float:
        """Time to slice (`prices.CUT`) or to join `nbytes` in contiguous runs of `run_bytes`."""
        features = copying(nbytes, run_bytes, 2 * nbytes, self.constants.excess_s)
        return self.constants.dispatch_s + dot(self.constants.copies[kind], features)

    def iteration_seconds(self, form: str, ops: int) -> float:
        """What one iteration of a body costs besides its ops, which `op_seconds` prices with their dispatch.

        Args:
            form: "scan", "unroll", "sweep" or "loop".
            ops: nodes in the body.
        """
        overhead = self.constants.iteration[form]
        return overhead.base_s + overhead.op_s * ops

    def load_seconds(self, form: str, nodes: int, copies: int, weights_bytes: int) -> float:
        """Extra time to load a region: each copy of the body is optimised and its weights are packed again.

        Args:
            form: as above.
            nodes: nodes of one copy, with those that slice and join.
            copies: bodies written out beside the one that stands in for the unchunked ops.
            weights_bytes: constants that one copy of the body multiplies with.
        """
        overhead = self.constants.load[form]
        return overhead.base_s + copies * (overhead.op_s * nodes + overhead.byte_s * weights_bytes)

    def resident_bytes(self, form: str, nodes: int, copies: int) -> int:
        """Extra memory that a region holds once loaded: nodes are records, and packed weights are shared.

        Args:
            form: as above.
            nodes: as above.
            copies: as above.
        """
        holding = self.constants.resident[form]
        return int(holding.base_bytes + copies * nodes * holding.node_bytes)


def often(call: Call) -> int:
    """How often an op's bodies run; once where only the run itself tells."""
    return rounds(call.op, call.graph.values, dict(zip(call.op.inputs, call.operands, strict=True)).get) or 1
