"""What one op is called with to compute one chunk: exact ranges of its operands, and what changes in it.

`carry` says where a flow lies; here the flow meets the edges of the values, where windows are clipped:

    Conv(kernel 3, pads 1) for rows [0, 4) of 8  ->  reads rows [0, 5), pads (1, 0)
    Conv(kernel 3, pads 1) for rows [4, 8) of 8  ->  reads rows [3, 8), pads (0, 1)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onnx_autochunk.axes.factor import Factor, Linear, Place
from onnx_autochunk.axes.flow import Range, Step

Numbers = tuple[int, ...] | int | None


@dataclass(frozen=True, slots=True)
class Call:
    """One op on one chunk; ranges are in elements of the cut axis, None where nothing is cut.

    Attributes:
        operands: what of each operand is read.
        computed: what of each result the op computes.
        results: what of each result is right, the rest is to be cut off.
        patches: new values of operands (by index) and attributes (by name); None takes an attribute away.
    """

    operands: tuple[Range | None, ...]
    computed: tuple[Range | None, ...]
    results: tuple[Range | None, ...]
    patches: Mapping[int | str, Numbers]


def call(step: Step, wanted: Iterable[tuple[int, Range]]) -> Call:
    """How to compute at least the wanted ranges of results.

    Args:
        step: where the flow lies.
        wanted: (index of the result, range in elements); one or more.
    """
    factor = step.factor
    assert factor is not None, "steps that `carry` returns know their factor"
    start, stop = _steps(factor, wanted)
    operands = tuple([None if place is None else _read(place, start, stop) for place in factor.operands])
    first, last = _seen(factor, operands) or (start, stop)
    computed = _computed(factor, first, last) if factor.crop else (start, stop)
    return Call(
        operands,
        computed=tuple([None if place is None else _scaled(place, *computed) for place in factor.results]),
        results=tuple([None if place is None else _scaled(place, start, stop) for place in factor.results]),
        patches={
            patch.target: _numbers(patch.numbers, (start, stop, first, last)) for patch in factor.patches
        },
    )


def _steps(factor: Factor, wanted: Iterable[tuple[int, Range]]) -> Range:
    """The least range of the factor's steps that covers what is wanted."""
    bounds = [(factor.results[index], low, high) for index, (low, high) in wanted]
    starts = [low // place.unit for place, low, _ in bounds if place]
    stops = [-(-high // place.unit) for place, _, high in bounds if place]
    return min(starts), max(stops)


def _read(place: Place, start: int, stop: int) -> Range:
    return place.window.reach(start, stop) if place.window else _scaled(place, start, stop)


def _scaled(place: Place, start: int, stop: int) -> Range:
    return start * place.unit, stop * place.unit


def _seen(factor: Factor, operands: tuple[Range | None, ...]) -> Range | None:
    """What is read of the first operand that is seen through a window."""
    windowed = (read for place, read in zip(factor.operands, operands, strict=True) if place and place.window)
    return next(windowed, None)


def _computed(factor: Factor, first: int, last: int) -> Range:
    """The steps that the op makes of [first, last): windows to crop begin and end between steps."""
    step = next(place.window.step for place in factor.operands if place and place.window)
    return first // step, last // step


def _numbers(numbers: tuple[Linear, ...] | Linear | None, at: tuple[int, int, int, int]) -> Numbers:
    if numbers is None:
        return None
    return _number(numbers, at) if isinstance(numbers, Linear) else tuple([_number(n, at) for n in numbers])


def _number(number: Linear, at: tuple[int, int, int, int]) -> int:
    start, stop, first, last = at
    steps, read = number.start * start + number.stop * stop, number.first * first + number.last * last
    found = number.base + steps + read
    return found if number.most is None else min(found, number.most)
