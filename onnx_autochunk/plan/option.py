"""One way to write a region, with what it costs: memory, time, and what it takes to load.

scan in 64 chunks          33 MiB   -0.02 s
sweep in 23 chunks         21 MiB   +0.01 s, 0.6 s and 57 MiB to load
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..options import Form
from .chunking import Chunking
from .region import Region


@dataclass(frozen=True, slots=True)
class Loop:
    """A region in front of another one, or in its body, and how it is written.

    Attributes:
        peak_before_bytes: peak of its interval unchunked; 0 where it is that of the region it belongs to.
        peak_after_bytes: likewise, chunked.
    """

    region: Region
    form: Form
    chunking: Chunking
    peak_before_bytes: int = 0
    peak_after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops in the body of a region, for one length of its chunks.

    Attributes:
        loops: regions of the body's own graph.
        body_bytes: peak of the body with them.
    """

    loops: tuple[Loop, ...]
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Option:
    """One way to write a candidate: its price, with that of the feeders in front of it."""

    form: Form
    chunking: Chunking
    peak_bytes: int
    extra_seconds: float
    load_seconds: float
    resident_bytes: int
    feeds: tuple[Loop, ...] = ()
    nest: Nest | None = None

    @property
    def sweeps(self) -> bool:
        """True when a loop of it is a sweep."""
        return Form.SWEEP in (self.form, *(feed.form for feed in self.feeds))


def pareto(options: Sequence[Option]) -> tuple[Option, ...]:
    """Options that no other beats in every price, from the least memory to the least time."""
    kept: list[tuple[Option, tuple[float, ...]]] = []
    for option in sorted(options, key=lambda option: (option.peak_bytes, *prices(option))):
        own = prices(option)
        if not any(all(k <= p for k, p in zip(known, own, strict=True)) for _, known in kept):
            kept.append((option, own))
    return tuple(option for option, _ in kept)


def prices(option: Option) -> tuple[float, float, int]:
    """What an option costs besides its peak: seconds of a run, seconds to load, resident bytes."""
    return option.extra_seconds, option.load_seconds, option.resident_bytes


def burdens(option: Option) -> tuple[float, int, float]:
    """The same, with what comes on top of the original however seldom it runs first."""
    return option.load_seconds, option.resident_bytes, option.extra_seconds
