"""Chunk lengths worth trying: a geometric ladder of counts, each with the length whose tail is smallest.

A different last length is a second full set of body buffers (ORT reuses by shape), so 4097 steps in about
32 chunks are cut into 32 of 128 and one of 1 rather than 31 of 129 and one of 98.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

_STEPS = (1.0, 1.25, 1.5, 1.75)  # counts per octave: fine enough to come within an eighth of a budget
_SLACK = 0.1  # how far a length may move from extent / count to shorten the tail
_MOST_STEPS = 1 << 14  # and no farther than this, however large the extent


@dataclass(frozen=True, slots=True)
class Chunking:
    """How an extent is cut: `count` chunks of `length`, then one of `tail` steps when it is not 0."""

    extent: int
    length: int

    @property
    def count(self) -> int:
        """Chunks of full length."""
        return self.extent // self.length

    @property
    def tail(self) -> int:
        """Steps of the last, shorter chunk; 0 when there is none."""
        return self.extent % self.length

    @property
    def total(self) -> int:
        """All chunks."""
        return self.count + bool(self.tail)

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Start and end of every chunk."""
        starts = range(0, self.extent, self.length)
        return tuple((start, min(start + self.length, self.extent)) for start in starts)


def ladder(
    extent: int, max_chunks: int | None = None, unit: int = 1, *, fixed: bool = True
) -> tuple[Chunking, ...]:
    """Chunkings of `extent`, from few chunks to many.

    Args:
        extent: steps.
        max_chunks: most chunks; None sets no limit.
        unit: steps that every length is to be a multiple of.
        fixed: False where sizes are open, and the last chunk is as long as the others.
    """
    limit = min(extent, max_chunks or extent)
    counts = {round(2**octave * step) for octave in range(limit.bit_length()) for step in _STEPS}
    usable = takewhile(lambda count: count <= limit, sorted(count for count in counts if count > 1))
    found = {length_for(extent, count, unit, fixed=fixed) for count in usable}
    return tuple(
        Chunking(extent, length)
        for length in sorted(found, reverse=True)
        if length < extent and (max_chunks is None or -(-extent // length) <= max_chunks)
    )


def length_for(extent: int, count: int, unit: int = 1, *, fixed: bool = True) -> int:
    """The multiple of the unit near `extent / count` with the shortest tail; among equals the nearest.

    Where sizes are open, that with the longest one: what it lacks is computed twice.
    """
    sign = 1 if fixed else -1
    ideal = extent / count
    slack = min(_SLACK * ideal, _MOST_STEPS)
    shortest, longest = max(1, int(ideal - slack)), max(1, int(ideal + slack))
    lengths = range(-(-shortest // unit) * unit, longest + 1, unit) or (unit * max(1, round(ideal / unit)),)
    return min(lengths, key=lambda length: ((sign * extent) % length, abs(length - ideal)))
