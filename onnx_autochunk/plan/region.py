"""What is chunked: a set of ops with one flow through them, and where it is cut off from the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from ..axes import Position, Refusal, Rule, Step, carry
from ..errors import RuleError
from ..graph.model import Op, Value
from .recipes import relaxed


@dataclass(frozen=True, slots=True)
class Cut:
    """A value read or written chunk by chunk: which of its axes is cut."""

    value: str
    position: Position


def in_front(value: Value, position: Position) -> bool:
    """True when every chunk is one contiguous run of the value."""
    return prod((value.shape or ())[: position.axis]) == 1 and position.sliceable


@dataclass(frozen=True, slots=True)
class Accumulator:
    """How a region ends whose last op reduces the flow's axis: chunks give parts of its result.

    Attributes:
        value: the result.
        operand: of the last op, from which the flow is followed.
        position: where it lies there.
        softmax: index of the Softmax along the flow that is computed on the way; None where there is none.
    """

    value: str
    operand: int
    position: Position
    softmax: int | None = None


@dataclass(frozen=True)
class Region:
    """Ops that run once per chunk.

    An interval of the execution order becomes prefix | loop | suffix: `hoisted` ops run before the loop,
    `ops` in it, `sunk` ops after it. All are indices into `Graph.ops`, in execution order.

    Attributes:
        start: first step of the interval.
        end: last step of the interval.
        ops: the loop's body.
        recomputed: those of `ops` that also run before the loop, because somebody needs the whole result.
        sliced: inputs of which each chunk reads its slice.
        whole: computed inputs of which each chunk reads everything.
        outputs: results that are put together again.
        flow: where the cut lies in every chunked value inside.
        extent: steps of the flow, the same in every value.
        varies: chunks of one length are not alike, because they are clipped at the edges or have attributes
            of their own: they cannot share one body.
        accumulator: how chunks combine; None where each computes its own slice of `outputs`. With one there
            are no other outputs.
    """

    start: int
    end: int
    ops: tuple[int, ...]
    recomputed: frozenset[int]
    hoisted: tuple[int, ...]
    sunk: tuple[int, ...]
    sliced: tuple[Cut, ...]
    whole: tuple[str, ...]
    outputs: tuple[Cut, ...]
    flow: Mapping[str, Position] = field(hash=False)
    extent: int
    varies: bool = False
    accumulator: Accumulator | None = None

    @property
    def results(self) -> tuple[str, ...]:
        """Every value that the region computes for others."""
        carried = () if self.accumulator is None else (self.accumulator.value,)
        return (*(cut.value for cut in self.outputs), *carried)

    def step(self, op: Op, rule: Rule) -> Step:
        """The flow across one of the region's ops.

        Raises:
            RuleError: the rule refuses it: a bug of this package.
        """
        if self.accumulator is not None and op.index == self.ops[-1]:
            carried = self.accumulator
            step = carry(relaxed(op, rule), position=carried.position, operand=carried.operand)
        else:
            at, name = next((at, name) for at, name in enumerate(op.outputs) if name)
            online = self.accumulator is not None and op.index == self.accumulator.softmax
            step = carry(relaxed(op, rule) if online else rule, position=self.flow[name], result=at)
        if isinstance(step, Refusal):
            raise RuleError(f"{op.type} {op.name!r} is in a region but refuses its flow: {step.reason}")
        return step
