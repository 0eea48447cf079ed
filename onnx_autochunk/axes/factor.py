"""What one operator does to its axes, as data: a rule is a list of factors.

A factor is a named axis of one operator's rule. It lies at one place (or none) of every operand and result:
`MatMul: "... m k+, ... k n -> ... m n"` has the factors m, k and n and one factor for each leading axis. The
engine in `flow.py` walks these records and never looks at an operator's type.

Source: the idea is openxla/shardy, `docs/propagation.md` (factor-based sharding rules).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Mark(enum.Enum):
    """What happens to a factor when only a chunk of it is computed. The value is the mark in the notation."""

    MAP = ""  # each chunk computes its own slice of every result that has the factor
    WHOLE = "!"  # the operator needs all of it at once
    SUM = "+"  # partial results combine by addition
    MAX = "^"  # ... by maximum
    MIN = "_"  # ... by minimum


@dataclass(frozen=True, slots=True)
class Place:
    """Where a factor of some extent lies in a value: `shape[axis] == outer * extent * unit`.

    A factor alone on its axis has outer 1 and unit 1. In `[N, H*D]` the factor H lies at
    Place(1, outer=1, unit=D) and D at Place(1, outer=H, unit=1).
    """

    axis: int
    outer: int = 1
    unit: int = 1

    @property
    def sliceable(self) -> bool:
        """True when a chunk of the factor is one contiguous range of the axis."""
        return self.outer == 1


@dataclass(frozen=True, slots=True)
class Factor:
    """One named axis of an operator's rule.

    Attributes:
        operands: place in each operand; None where it lacks the factor or has it with size 1: read whole.
        results: place in each result; None where the result lacks it.
    """

    name: str
    extent: int
    operands: tuple[Place | None, ...]
    results: tuple[Place | None, ...]
    mark: Mark = Mark.MAP


@dataclass(frozen=True, slots=True)
class Rule:
    """All factors of one op, or the reason why it has none.

    Attributes:
        sizes: {operand: result}: that operand spells the shape of that result (Reshape, Expand) and must be
            replaced when the result is computed in chunks.
        barrier: why no axis passes; None for an ordinary rule.
    """

    factors: tuple[Factor, ...] = ()
    sizes: Mapping[int, int] = field(default_factory=dict)
    barrier: str | None = None
