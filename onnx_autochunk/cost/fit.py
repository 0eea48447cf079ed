"""From measured points to constants.

The steps:
    1. Add over growing sizes gives the in-cache price of an element and the excess of a byte beyond it.
    2. Slice and Concat give the price of a copied byte and of a run.
    3. Every other op without a product: the price of an element is what is left without the excess.
    4. Matrix products: non-negative least squares on their features, every point weighing the same.
    5. Einsum: what is left without its product is the price of the elements that it transposes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from . import products
from .call import Call
from .constants import Constants, Holding, Overhead
from .curve import Curve
from .points import Point
from .prices import ITEM_BYTES, LONG_RUN, TRANSPOSED_RUNS, multiply, transposed_run
from .products import Product

Rows = NDArray[np.float64]
FINDERS = {
    "MatMul": products.matmul,
    "Gemm": products.gemm,
    "Conv": products.conv,
}
COPIES = ("Slice", "Concat")
CACHED_BYTES = 16 << 20  # below this the elementwise points tell the price of an element, above it the excess


def fit(
    points: Sequence[Point],
    *,
    provider: str,
    threads: int,
    dispatch_s: float,
    iteration: Mapping[str, Overhead],
    load: Mapping[str, Overhead],
    resident: Mapping[str, Holding],
) -> Constants:
    """Constants that the points agree with."""
    plain = [p for p in points if p.type == "Add" and p.operands[0] == p.operands[1]]
    unit, excess = _elementwise(plain, dispatch_s)
    move_s, run_s = _copies([p for p in points if p.type in COPIES], excess, dispatch_s)
    constants = Constants(
        provider, threads, dispatch_s, excess, {}, {"": unit}, 0.0, move_s, run_s, iteration, load, resident
    )
    spans = [p for p in points if p.type == "Add" and p.operands[0] != p.operands[1]]
    constants = replace(constants, span_s=_span(spans, constants))
    singles = [p for p in points if p.type not in (*FINDERS, *COPIES, "Add", "Einsum")]
    elements = {"": unit} | _elements(singles, constants)
    constants = replace(constants, product_s=_products([p for p in points if p.type in FINDERS], constants))
    einsum_s = _moved([p for p in points if p.type == "Einsum"], constants)
    return replace(constants, element_s=elements | {"Einsum": einsum_s})


def _elementwise(points: Iterable[Point], dispatch_s: float) -> tuple[float, Curve]:
    """Seconds for an element in the cache, and the excess over that for a byte of a larger working set."""
    sized = sorted((p.call().touched_bytes(), p) for p in points)
    rates = [(size, (p.seconds - dispatch_s) / size) for size, p in sized]
    floor = min(rate for size, rate in rates if size <= CACHED_BYTES)
    heights, highest = [], 0.0
    for size, rate in rates:
        highest = max(highest, rate - floor if size > CACHED_BYTES // 4 else 0.0)
        heights.append(highest)
    return floor * sized[0][0] / prod(sized[0][1].result), Curve(tuple(s for s, _ in rates), tuple(heights))


def _copies(points: Iterable[Point], excess: Curve, dispatch_s: float) -> tuple[float, float]:
    rows, seconds = [], []
    for point in points:
        moved = point.call().result_bytes()
        rows.append((moved, moved / (4 * _run(point))))
        seconds.append(point.seconds - dispatch_s - 2 * moved * excess(2 * moved))
    move_s, run_s = non_negative(np.array(rows, float), np.array(seconds))
    return float(move_s), float(run_s)


def _run(point: Point) -> int:
    """Elements of a contiguous run that a Slice of the last axis or a Concat along it copies."""
    return min(shape[-1] for shape in (*point.operands, point.result) if len(shape) == len(point.result))


def _rest(point: Point, constants: Constants) -> float:
    """Seconds that neither dispatch nor excess accounts for."""
    touched = point.call().touched_bytes()
    return max(0.0, point.seconds - constants.dispatch_s - touched * constants.excess_s(touched))


def _span(points: Iterable[Point], constants: Constants) -> float:
    rates = []
    for point in points:
        rest = _rest(point, constants) - point.call().elements() * constants.element_s[""]
        rates.append(max(0.0, rest) * point.operands[1][-1] / prod(point.result))
    return median(rates)


def _elements(points: Iterable[Point], constants: Constants) -> dict[str, float]:
    rates: dict[str, list[float]] = {}
    for point in points:
        rates.setdefault(_unit(point), []).append(_rest(point, constants) / point.call().elements())
    return {type_: fmean(found) for type_, found in rates.items()}


def _unit(point: Point) -> str:
    has_runs = point.type == "Transpose" and transposed_run(point.call()) >= LONG_RUN
    return TRANSPOSED_RUNS if has_runs else point.type


def _moved(points: Iterable[Point], constants: Constants) -> float:
    """Seconds for an element that Einsum transposes: what the product leaves over."""
    rates = []
    for point in points:
        found = products.einsum(point.call())
        assert found is not None
        product_s = multiply(found._replace(moved=0), point.call().touched_bytes(), constants)
        rates.append(max(0.0, point.seconds - constants.dispatch_s - product_s) / found.moved)
    return median(rates)


def _products(points: Iterable[Point], constants: Constants) -> dict[str, tuple[float, ...]]:
    rows: dict[str, list[tuple[float, ...]]] = {}
    seconds: dict[str, list[float]] = {}
    for point in points:
        call = point.call()
        found = FINDERS[point.type](call)
        assert found is not None
        rows.setdefault(found.kind, []).append(_row(found, call, constants))
        seconds.setdefault(found.kind, []).append(point.seconds - constants.dispatch_s)
    return {
        kind: tuple(map(float, non_negative(np.array(rows[kind], float), np.array(seconds[kind]))))
        for kind in rows
    }


def _row(found: Product, call: Call, constants: Constants) -> tuple[float, ...]:
    excess_s = constants.excess_s(call.touched_bytes())
    return (*products.features(found), found.fetched * ITEM_BYTES * excess_s)


def non_negative(rows: Rows, seconds: Rows) -> Rows:
    """Coefficients >= 0 of least relative error: solve, drop what came out most negative, solve again.

    What no point has is not known, and priced at nothing.
    """
    weighed = rows / seconds[:, None]
    scale = weighed.max(axis=0)
    kept = [column for column in range(rows.shape[1]) if scale[column] > 0]
    coefficients = np.zeros(rows.shape[1])
    while kept:
        solved, *_ = np.linalg.lstsq(weighed[:, kept] / scale[kept], np.ones(len(seconds)), rcond=None)
        if solved.min() >= 0:
            coefficients[kept] = solved / scale[kept]
            break
        kept.pop(int(solved.argmin()))
    return coefficients
