"""The plan: which regions are chunked, how long the chunks are and how each region is written."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace

from ..options import Form
from .body import Body
from .chunking import Chunking
from .region import Region


class Frames(enum.Enum):
    """What is put into frames (`emit.frame`): bodies that run once, with memory of their own."""

    NONE = "none"
    REGIONS = "regions"  # each region with the ops alongside it
    GROUPS = "groups"  # regions between two places where little crosses, together
    NESTED = "nested"  # both, one inside the other


@dataclass(frozen=True, slots=True)
class Burden:
    """What a result takes beyond the original, however seldom it runs: to load, and in memory then on."""

    load_s: float
    resident_bytes: float

    def within(self, limit: Burden) -> bool:
        """True when neither is more than the limit's."""
        return self.load_s <= limit.load_s and self.resident_bytes <= limit.resident_bytes


@dataclass(frozen=True)
class Nested:
    """Loops inside the body of a region.

    Attributes:
        body: the chunk that they lie in.
        regions: in the body's graph, in execution order.
    """

    body: Body = field(compare=False)  # follows from the region and the length of its chunks
    regions: tuple[PlannedRegion, ...]


@dataclass(frozen=True)
class PlannedRegion:
    """One region as it is to be emitted.

    Attributes:
        name: unique, used in node names: `chunk/<name>/<node>`.
        alongside: ops that run once between the end of the region before and the end of this one.
        crossing_bytes: what is held after the end of this region.
        peak_before_bytes: predicted peak of the interval unchunked.
        peak_after_bytes: predicted peak of the interval chunked.
        feeders: regions that run before this one and compute in chunks what it needs whole.
        nested: loops inside its body; a shorter last chunk does without.
        home: the body of the model's own that it lies in; empty for the model's graph.
    """

    name: str
    region: Region
    form: Form
    chunking: Chunking
    alongside: tuple[int, ...]
    crossing_bytes: int
    peak_before_bytes: int
    peak_after_bytes: int
    feeders: tuple[PlannedRegion, ...] = ()
    nested: Nested | None = None
    home: str = ""


@dataclass(frozen=True)
class Plan:
    """Disjoint regions in execution order, those in bodies last, with what they should cost.

    Attributes:
        budget_bytes: the budget that the selection was made for.
        predicted_slowdown: time of the result over the original's, by the cost model.
        load_seconds: extra time to load, by the cost model.
        frames: what is put into frames.
        resident_bytes: extra memory once loaded, by the cost model.
    """

    regions: tuple[PlannedRegion, ...]
    budget_bytes: int
    predicted_slowdown: float
    load_seconds: float
    frames: Frames = Frames.NONE
    resident_bytes: int = 0

    @classmethod
    def nothing(cls, budget_bytes: int) -> Plan:
        """The plan that leaves everything as it is."""
        return cls((), budget_bytes, 1.0, 0.0)

    def at(self, home: str) -> Plan:
        """What of it lies in one graph: the model's own, or a body."""
        return replace(self, regions=tuple(region for region in self.regions if region.home == home))

    @property
    def loops(self) -> tuple[PlannedRegion, ...]:
        """Every region that becomes a loop, feeders before what they feed."""
        return tuple(loop for region in self.regions for loop in (*region.feeders, region))

    @property
    def burden(self) -> Burden:
        """Both of what comes on top of the original."""
        return Burden(self.load_seconds, self.resident_bytes)

    @property
    def groups(self) -> tuple[tuple[PlannedRegion, ...], ...]:
        """Regions of the model's graph between two ends at which no more is held than at those around."""
        regions = self.at("").regions
        crossing = [region.crossing_bytes for region in regions]
        found: list[list[PlannedRegion]] = [[]]
        for at, region in enumerate(regions):
            found[-1].append(region)
            if crossing[at] <= min(crossing[max(at - 1, 0)], crossing[min(at + 1, len(crossing) - 1)]):
                found.append([])
        return tuple(tuple(group) for group in found if group)
