"""What is chunked: a set of ops with one flow through them, and where it is cut off from the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..axes import Position


@dataclass(frozen=True, slots=True)
class Cut:
    """A value read or written chunk by chunk: which of its axes is cut."""

    value: str
    position: Position


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
