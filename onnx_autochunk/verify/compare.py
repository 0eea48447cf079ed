"""Numerical equality of two sets of outputs.

`compare({"y": a}, {"y": b})` -> `Comparison(passed=True, max_abs=3e-7, ...)`. An element agrees when
`|a - b| <= atol + rtol * |a|`; NaN agrees with NaN and an infinity with itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array

BLOCK = 1 << 20  # elements compared at a time, so that large outputs need no copies of their size


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far apart two elements may be."""

    rtol: float
    atol: float


EXACT = Tolerance(0, 0)
TOLERANCES: Mapping[str, Tolerance] = {
    "float64": Tolerance(1e-6, 1e-8),
    "complex128": Tolerance(1e-6, 1e-8),
    "float32": Tolerance(1e-3, 1e-4),
    "complex64": Tolerance(1e-3, 1e-4),
    "float16": Tolerance(1e-2, 1e-2),
    "bfloat16": Tolerance(1e-2, 1e-2),
}
"""By element type; what is not here (integers, bool, strings, float8) has to be equal."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How well two sets of outputs agree.

    Attributes:
        max_abs: largest |expected - actual| over finite elements.
        max_rel: largest |expected - actual| / |expected| over finite elements with |expected| > atol; below
            that a relative difference says nothing.
        excess: largest |expected - actual| in units of what is tolerated; above 1 the check fails.
        worst_output: the output with that element; None when all are equal.
        worst_index: its position there.
        reason: why the check failed; None when it passed.
    """

    passed: bool = True
    max_abs: float = 0.0
    max_rel: float = 0.0
    excess: float = 0.0
    worst_output: str | None = None
    worst_index: tuple[int, ...] | None = None
    reason: str | None = None


def compare(
    expected: Mapping[str, Array],
    actual: Mapping[str, Array],
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> Comparison:
    """Compare outputs by name.

    Args:
        expected: outputs of the original.
        actual: outputs of the rewritten model.
        rtol: relative tolerance for float32; other types' are scaled alike. None: the default.
        atol: absolute tolerance for float32; likewise.
    """
    if expected.keys() != actual.keys():
        return _failed(
            f"the outputs are {', '.join(actual) or 'none'} instead of {', '.join(expected) or 'none'}"
        )
    scaled = {dtype: _scaled(tolerance, rtol, atol) for dtype, tolerance in TOLERANCES.items()}
    return merge(
        _compare_output(name, array, actual[name], scaled.get(str(array.dtype), EXACT))
        for name, array in expected.items()
    )


def merge(comparisons: Iterable[Comparison]) -> Comparison:
    """The worst of several comparisons; each maximum is over all of them."""
    total = Comparison()
    for one in comparisons:
        worse = one if (not one.passed, one.excess) > (not total.passed, total.excess) else total
        total = replace(
            worse, max_abs=max(total.max_abs, one.max_abs), max_rel=max(total.max_rel, one.max_rel)
        )
    return total


def _scaled(tolerance: Tolerance, rtol: float | None, atol: float | None) -> Tolerance:
    base = TOLERANCES["float32"]
    return Tolerance(
        tolerance.rtol if rtol is None else tolerance.rtol * (rtol / base.rtol),
        tolerance.atol if atol is None else tolerance.atol * (atol / base.atol),
    )


def _failed(reason: str, output: str | None = None) -> Comparison:
    return Comparison(passed=False, excess=float("inf"), worst_output=output, reason=reason)


def _compare_output(name: str, expected: Array, actual: Array, tolerance: Tolerance) -> Comparison:
    if expected.dtype != actual.dtype:
        return _failed(f"output {name!r} is {actual.dtype} instead of {expected.dtype}", name)
    if expected.shape != actual.shape:
        return _failed(f"output {name!r} has the shape {actual.shape} instead of {expected.shape}", name)
    result = merge(
        _compare_block(a, b, start, expected.shape, tolerance) for start, a, b in _blocks(expected, actual)
    )
    if result.worst_index is None:
        return result
    reason = None if result.passed else _explain(name, result, expected, actual)
    return replace(result, worst_output=name, reason=reason)


def _blocks(expected: Array, actual: Array) -> Iterator[tuple[int, Array, Array]]:
    flat_expected, flat_actual = expected.reshape(-1), actual.reshape(-1)
    for start in range(0, flat_expected.size, BLOCK):
        yield start, flat_expected[start : start + BLOCK], flat_actual[start : start + BLOCK]


def _compare_block(
    expected: Array, actual: Array, start: int, shape: tuple[int, ...], tolerance: Tolerance
) -> Comparison:
    excess, max_abs, max_rel = (
        _exact(expected, actual) if tolerance == EXACT else _close(expected, actual, tolerance)
    )
    worst = int(np.argmax(excess))
    if excess[worst] == 0:
        return Comparison()
    index = tuple(int(i) for i in np.unravel_index(start + worst, shape))
    return Comparison(bool(excess[worst] <= 1), max_abs, max_rel, float(excess[worst]), None, index)


def _exact(expected: Array, actual: Array) -> tuple[Array, float, float]:
    """Excess of each element, largest absolute and relative difference."""
    differs = (expected != actual) & ~((expected != expected) & (actual != actual))  # noqa: PLR0124 true for NaN only
    excess = np.where(differs, np.inf, 0.0)
    if expected.dtype.kind not in "iub" or not differs.any():
        return excess, 0.0, 0.0
    a, b = expected[differs].astype(np.float64), actual[differs].astype(np.float64)
    difference = np.abs(a - b)
    return excess, float(difference.max()), float((difference / np.maximum(np.abs(a), 1)).max())


def _close(expected: Array, actual: Array, tolerance: Tolerance) -> tuple[Array, float, float]:
    """Excess of each element, largest absolute and relative difference."""
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = expected.astype(wide), actual.astype(wide)
    finite = np.isfinite(a) & np.isfinite(b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", divide="ignore"):  # infinities are judged by `same`
        difference = np.where(finite, np.abs(a - b), 0.0)
        size = np.abs(a)
        allowed = tolerance.atol + tolerance.rtol * size
        excess = np.where(same, 0.0, np.where(finite, difference / allowed, np.inf))
        relative = np.where(finite & (size > tolerance.atol), difference / size, 0.0)
    return excess, float(difference.max()), float(relative.max())


def _explain(name: str, result: Comparison, expected: Array, actual: Array) -> str:
    at = result.worst_index
    return (
        f"output {name!r} at {list(at or ())}: {actual[at]} instead of {expected[at]}; "
        f"largest difference {result.max_abs:.3g}"
    )
