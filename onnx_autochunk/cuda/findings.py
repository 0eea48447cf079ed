"""What the check finds, and the table that is printed of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What was found; the value is what reports call it."""

    FALLBACK = "runs on the CPU"
    KEPT = "kept on the CPU"
    COPY = "copied"
    PARTS = "slow parts"
    LARGE = "too large"
    STRIDE = "unaligned"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that would be slow, or wrong, on CUDA.

    Attributes:
        where: names of the ops whose bodies it lies in, outermost first.
        op: name of the op, or of the one whose body gets or gives the value.
        type: its type.
        why: in words, with sizes.
        value: the value concerned; "" for a finding about the whole op.
        repeated: it lies in the body of a Loop or Scan.
        times: how often it happens in a run; None where only the run itself knows.
    """

    kind: Kind
    where: tuple[str, ...]
    op: str
    type: str
    why: str
    value: str = ""
    repeated: bool = False
    times: int | None = 1

    @property
    def is_bad(self) -> bool:
        """Whether each iteration of a body leaves the GPU."""
        return self.repeated and self.kind in {Kind.FALLBACK, Kind.COPY}

    @property
    def row(self) -> tuple[str, str, str, str, str, str]:
        """Kind, place, op, value, reason and times as text."""
        place_ = "/".join(self.where) or "main graph"
        times = "?" if self.times is None else str(self.times)
        return self.kind.value, place_, f"{self.type} {self.op}", self.value, self.why, times


@dataclass(frozen=True, slots=True)
class CudaReport:
    """Everything found in a model, in the order of its nodes."""

    findings: tuple[Finding, ...]

    @property
    def bad(self) -> tuple[Finding, ...]:
        """What leaves the GPU at each iteration of a body."""
        return tuple(finding for finding in self.findings if finding.is_bad)

    def text(self) -> str:
        """A Markdown table, or one sentence where nothing was found."""
        if not self.findings:
            return "Nothing found.\n"
        head = ("found", "in", "op", "value", "why", "times a run")
        lines = [head, ("---",) * len(head), *(finding.row for finding in self.findings)]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
