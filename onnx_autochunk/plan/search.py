"""What the search for candidates reads, and which intervals it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import TypeAlias

from ..memory.lifetime import Timeline
from ..options import Form
from .lifetimes import Lifetimes
from .option import Option
from .oversize import charged
from .region import Region
from .seconds import Seconds
from .setting import Setting

LOW = 0.02  # intervals that stay under this share of the most in use are left alone at first


@dataclass(frozen=True)
class Search:
    """Everything the search reads.

    Attributes:
        borders: steps at which an interval may start, or before which it may end.
        forms: forms that regions may take.
        max_chunks: most chunks of a region; None sets no limit.
        most_elements: of a value; None sets no limit.
        nested: searches the bodies of regions again; None leaves them as they are.
        low: intervals that stay under this share of the most in use are left alone.
        high: so are those that reach this share, which were searched before.
        inside: it is a body's; regions have no feeders there.
    """

    setting: Setting
    timeline: Timeline
    lifetimes: Lifetimes
    seconds: Seconds
    borders: frozenset[int]
    forms: tuple[Form, ...]
    max_chunks: int | None = None
    most_elements: int | None = None
    provider: str = "cpu"
    nested: Nested | None = None
    low: float = LOW
    high: float = inf
    inside: bool = False

    @cached_property
    def most_in_use_bytes(self) -> int:
        """The most that is held at any step, without results that are only kept: what chunking can lower."""
        pairs = zip(self.timeline.live_bytes, self.lifetimes.kept_bytes, strict=True)
        return max((live - kept for live, kept in pairs), default=0)

    @cached_property
    def charged_bytes(self) -> tuple[int, ...]:
        """What each step counts for: what is held, and what oversize values cost on top."""
        timeline = self.timeline
        return charged(timeline.live_bytes, self.setting.graph, timeline.order, self.most_elements)

    @property
    def low_bytes(self) -> float:
        """What an interval has to hold not to be left alone."""
        return self.low * self.most_in_use_bytes

    def lower(self, low: float) -> Search:
        """The search of what this one leaves alone, down to another share."""
        return replace(self, low=low, high=self.low)

    def covers(self, in_use_bytes: int) -> bool:
        """True for an interval that is not left alone."""
        return self.low_bytes <= in_use_bytes < self.high * self.most_in_use_bytes

    def in_use_bytes(self, start: int, end: int) -> int:
        """The most that an interval counts for, without results that are only kept all through it."""
        return max(self.charged_bytes[start : end + 1]) - self.lifetimes.kept_bytes[start]


Nested: TypeAlias = Callable[[Search, Region, Sequence[Option]], Iterator[Option]]
