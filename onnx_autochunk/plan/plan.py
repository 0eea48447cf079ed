"""The plan: which regions are chunked, how long the chunks are and how each region is written."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import Form
from .chunking import Chunking
from .region import Region


@dataclass(frozen=True)
class PlannedRegion:
    """One region as it is to be emitted.

    Attributes:
        name: unique, used in node names: `chunk/<name>/<node>`.
        alongside: ops that run once between the end of the region before and the end of this one.
        peak_before_bytes: predicted peak of the interval unchunked.
        peak_after_bytes: predicted peak of the interval chunked.
    """

    name: str
    region: Region
    form: Form
    chunking: Chunking
    alongside: tuple[int, ...]
    peak_before_bytes: int
    peak_after_bytes: int


@dataclass(frozen=True)
class Plan:
    """Disjoint regions in execution order, with what they should cost.

    Attributes:
        budget_bytes: the budget that the selection was made for.
        predicted_slowdown: time of the result over the original's, by the cost model.
        load_seconds: extra time to load, by the cost model.
        framed: whether each region is put into a frame with the ops alongside it (`emit.frame`).
    """

    regions: tuple[PlannedRegion, ...]
    budget_bytes: int
    predicted_slowdown: float
    load_seconds: float
    framed: bool = False
