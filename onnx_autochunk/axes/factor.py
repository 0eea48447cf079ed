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
class Window:
    """How far steps of a result look into an operand that has the axis to itself.

    Steps [start, stop) read [start * step - before, (stop - 1) * step - before + span) of the operand,
    clipped to [0, size). A convolution has its stride as `step`, its leading padding as `before`
    and the reach of its dilated kernel as `span`.
    """

    size: int
    step: int = 1
    before: int = 0
    span: int = 1

    @property
    def after(self) -> int:
        """How far the window reaches beyond the end of the steps; negative when it falls short of it."""
        return self.span - self.step - self.before

    def reach(self, start: int, stop: int) -> tuple[int, int]:
        """The range of the operand that steps [start, stop) read, clipped to what there is."""
        low, high = start * self.step - self.before, stop * self.step + self.after
        first = min(max(low, 0), self.size)
        return first, max(min(high, self.size), first)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a factor of some extent lies in a value: `shape[axis] == outer * extent * unit`.

    A factor alone on its axis has outer 1 and unit 1. In `[N, H*D]` the factor H lies at
    Place(1, outer=1, unit=D) and D at Place(1, outer=H, unit=1). Operands that are seen through a window have
    the window's size instead.
    """

    axis: int
    outer: int = 1
    unit: int = 1
    window: Window | None = None

    @property
    def sliceable(self) -> bool:
        """True when a chunk of the factor is one contiguous range of the axis."""
        return self.outer == 1


@dataclass(frozen=True, slots=True)
class Linear:
    """A number that depends on the chunk: `base + start * s + stop * t + first * a + last * b`.

    Steps [s, t) of the factor are computed from [a, b) of the first operand that is seen through a window.
    The number is never more than `most`.
    """

    base: int = 0
    start: int = 0
    stop: int = 0
    first: int = 0
    last: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """What an operand or attribute becomes when the op computes a chunk.

    `Trilu(x, k)` on rows [s, t) is `Trilu(rows, k + s)`: Patch(1, Linear(k, start=1)).

    Attributes:
        target: index of the operand, whose shape and type are kept, or name of the attribute. An optional
            operand that the op lacks is supplied, as int64.
        numbers: its elements; a single one stands for an integer attribute or a scalar operand; None takes
            the attribute away.
    """

    target: int | str
    numbers: tuple[Linear, ...] | Linear | None


@dataclass(frozen=True, slots=True)
class Factor:
    """One named axis of an operator's rule.

    Attributes:
        operands: place in each operand; None where it lacks the factor or has it with size 1: read whole.
        results: place in each result; None where the result lacks it.
        patches: what changes in the op when a chunk of the factor is computed.
        crop: the op, given a window of the operand, computes all the steps that it is given; those outside
            the chunk are wrong and cut off.
    """

    name: str
    extent: int
    operands: tuple[Place | None, ...]
    results: tuple[Place | None, ...]
    mark: Mark = Mark.MAP
    patches: tuple[Patch, ...] = ()
    crop: bool = False


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
