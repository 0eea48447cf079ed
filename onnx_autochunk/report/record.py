"""What a run found and did, as frozen records: the source of tables, JSON and Python API alike.

Field names carry their units and are the keys of the JSON object; None means that it was not measured.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

SCHEMA = 1


class Status(enum.Enum):
    """How a run ended."""

    CHUNKED = "chunked"  # a rewritten model
    UNCHANGED = "unchanged"  # nothing to gain: the input, copied
    PLANNED = "planned"  # --plan-only: no model
    MISSED = "missed"  # the best plan, over budget


@dataclass(frozen=True, slots=True)
class Cost:
    """What one model takes to run.

    Attributes:
        predicted_peak_bytes: activation peak of one run, simulated.
        measured_peak_bytes: activation peak of one run above what is resident, measured.
        latency_s: median time of one run.
        resident_bytes: memory held after loading.
        load_s: time to load.
        default_session_rise_bytes: rise of the second run under ONNX Runtime's default session options.
    """

    predicted_peak_bytes: int | None = None
    measured_peak_bytes: int | None = None
    latency_s: float | None = None
    resident_bytes: int | None = None
    load_s: float | None = None
    default_session_rise_bytes: int | None = None

    @property
    def peak_bytes(self) -> int | None:
        """The measured peak where there is one, else the predicted one."""
        return self.predicted_peak_bytes if self.measured_peak_bytes is None else self.measured_peak_bytes


@dataclass(frozen=True, slots=True)
class Region:
    """One chunked region.

    Attributes:
        form: sweep, scan or unroll.
        axis: which axis is cut, in words: `"1"`, or `"1 (tokens)"` where the dim has a name.
        length: extent of one chunk along the axis.
        count: number of chunks.
        nodes: how many of the model's nodes run once per chunk.
        inputs: values read, sliced or whole.
        outputs: values that the region computes for the rest of the model.
        hoisted: nodes moved in front of the loop.
        peak_before_bytes: predicted peak within the region's nodes, unchunked.
        peak_after_bytes: the same, chunked.
    """

    name: str
    form: str
    axis: str
    length: int
    count: int
    nodes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    peak_before_bytes: int
    peak_after_bytes: int
    hoisted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A large value that was not chunked, the node that produces it, and why."""

    value: str
    bytes: int
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One plan of the Pareto front: no other is predicted to hold less and to be faster.

    Attributes:
        budget_bytes: the budget that the plan is the fastest for.
        predicted_peak_bytes: what it should hold, by the prices of its regions.
        predicted_slowdown: its time over the original's, by the cost model.
        regions: how many it chunks.
    """

    budget_bytes: int
    predicted_peak_bytes: int
    predicted_slowdown: float
    regions: int


@dataclass(frozen=True, slots=True)
class MeasuredPlan:
    """One plan that was carried out and measured.

    Attributes:
        budget_bytes: the budget by its prices that it was selected for.
        regions: how many it chunks.
        predicted_peak_bytes: activation peak as emitted, simulated.
        predicted_slowdown: its time over the original's, by the cost model.
        slowdown_measured: likewise, measured.
        taken: True for the one that the result is made by.
    """

    budget_bytes: int
    regions: int
    predicted_peak_bytes: int
    predicted_slowdown: float
    measured_peak_bytes: int
    slowdown_measured: float | None
    resident_bytes: int
    load_s: float
    taken: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """The comparison of original and result.

    Attributes:
        runs: number of different inputs compared.
        max_abs: largest absolute difference of any output element.
        max_rel: largest difference relative to the original's element.
        dims: sizes of the symbolic dims of each run.
    """

    passed: bool
    runs: int
    max_abs: float
    max_rel: float
    dims: tuple[Mapping[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one run has to say.

    Attributes:
        message: why nothing was changed, or what the budget missed; empty otherwise.
        slowdown_measured: median ratio of the times of the result and the original.
        floor_bytes: the peak that no number of chunks can go under.
        front: what less memory costs in time, by prediction, the fastest plan first.
        measured: every plan that was measured, in order.
        timings_s: seconds spent in each stage, in the order of the stages.
        plan: what `--plan` replays; None where nothing was chunked.
        dims: the reference sizes of symbolic dims.
        chosen: those of them that nobody gave.
        is_open: the result takes inputs of other sizes too.
    """

    status: Status
    message: str = ""
    baseline: Cost = Cost()
    chunked: Cost = Cost()
    weights_bytes: int = 0
    budget_bytes: int | None = None
    budget_met: bool | None = None
    slowdown_measured: float | None = None
    floor_bytes: int | None = None
    front: tuple[FrontPoint, ...] = ()
    measured: tuple[MeasuredPlan, ...] = ()
    regions: tuple[Region, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    verify: Verification | None = None
    timings_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    plan: Mapping[str, object] | None = None
    dims: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    chosen: tuple[str, ...] = ()
    is_open: bool = False
