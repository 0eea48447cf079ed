"""From measured points to constants.

The steps:
    1. Add over growing sizes gives the in-cache price of an element and the excess of a byte beyond it.
    2. Slice and Concat give the price of a copied byte and of a run.
    3. Every other op without a product: the price of an element is what is left without the excess.
    4. Matrix products: non-negative least squares on their features, every point weighing the same.
    5. Gemm with a bias: what is left without its product is the price of the elements that the bias fills.
    6. Einsum: what is left without its product is the price of the elements that it transposes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from statistics import fmean, median
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import products
from .constants import Constants, Holding, Overhead
from .curve import Curve
from .points import Point
from .prices import (
    BIAS,
    COPIES,
    ITEM_BYTES,
    MASKED,
    copying,
    far_bias,
    fetches,
    memory,
    moving,
    multiply,
    run_of,
    transposed,
)

Rows: TypeAlias = list[tuple[str, tuple[float, ...], float]]  # kind, features, seconds
Table: TypeAlias = NDArray[np.float64]
FINDERS = {
    "MatMul": products.matmul,
    "Conv": products.conv,
}
LOOSE_FEATURES = range(3)  # that few points tell apart: multiplications, right elements, those that are far
SMALL_BYTES = 16 << 20  # below this the elementwise points tell the price of an element, above it the excess


def fit(
    points: Sequence[Point],
    *,
    provider: str,
    threads: int,
    dispatch_s: float,
    iteration: Mapping[str, Overhead],
    load: Mapping[str, Overhead],
    resident: Mapping[str, Holding],
    masked_s: float,
) -> Constants:
    """Constants that the points agree with."""
    plain = [p for p in points if p.type == "Add" and p.operands[0] == p.operands[1]]
    unit, excess = _elementwise(plain, dispatch_s)
    constants = Constants(
        provider=provider,
        threads=threads,
        dispatch_s=dispatch_s,
        excess_s=excess,
        product_s={},
        moves=(),
        element_s={"": unit},
        strides={},
        span_s=0.0,
        handover_s=0.0,  # no single op shows it
        copies=_copies([p for p in points if p.type in COPIES], excess, dispatch_s),
        iteration=iteration,
        load=load,
        resident=resident,
    )
    spans = [p for p in points if p.type == "Add" and p.operands[0] != p.operands[1]]
    constants = replace(constants, span_s=_span(spans, constants))
    singles = [p for p in points if p.type not in (*FINDERS, *COPIES, "Add", "Einsum", "Gemm", "Transpose")]
    transposes = _transposes([p for p in points if p.type == "Transpose"], constants)
    elements = {"": unit, MASKED: masked_s} | _elements(singles, constants)
    elements |= {kind: element_s for kind, (element_s, _) in transposes.items()}
    constants = replace(constants, strides={kind: times for kind, (_, times) in transposes.items()})
    constants = replace(constants, product_s=_products([p for p in points if p.type in FINDERS], constants))
    bias_s = _bias([p for p in points if p.type == "Gemm"], constants)
    moves = _moves([p for p in points if p.type == "Einsum"], constants)
    return replace(constants, element_s=elements | {BIAS: bias_s}, moves=moves)


def _elementwise(points: Iterable[Point], dispatch_s: float) -> tuple[float, Curve]:
    """Seconds for an element in the cache, and the excess over that for a byte of a larger working set.

    No size costs more than a larger one: what else happened while a point was measured only made it slower.
    """
    sized = sorted((p.call().touched_bytes(), p) for p in points)
    rates = [(size, (p.seconds - dispatch_s) / p.call().traffic_bytes()) for size, p in sized]
    floor = min(rate for size, rate in rates if size <= SMALL_BYTES)
    heights: list[float] = []
    lowest = float("inf")
    for size, rate in reversed(rates):
        lowest = min(lowest, rate - floor if size > SMALL_BYTES // 4 else 0.0)
        heights.insert(0, max(0.0, lowest))
    smallest = sized[0][1].call()
    return floor * smallest.traffic_bytes() / smallest.elements(), Curve(
        tuple(s for s, _ in rates), tuple(heights)
    )


def _copies(points: Iterable[Point], excess: Curve, dispatch_s: float) -> dict[str, tuple[float, ...]]:
    rows: Rows = []
    for point in points:
        call = point.call()
        run_bytes = ITEM_BYTES * run_of(call)
        features = copying(call.result_bytes(), run_bytes, call.touched_bytes(), excess)
        rows.append((point.type, features, point.seconds - dispatch_s))
    return _rates(rows)


def _rest(point: Point, constants: Constants) -> float:
    """Seconds that neither dispatch nor excess accounts for."""
    return max(0.0, point.seconds - constants.dispatch_s - memory(point.call(), constants))


def _span(points: Iterable[Point], constants: Constants) -> float:
    rates = []
    for point in points:
        rest = _rest(point, constants) - point.call().elements() * constants.element_s[""]
        rates.append(max(0.0, rest) * point.operands[1][-1] / prod(point.result))
    return median(rates)


def _elements(points: Iterable[Point], constants: Constants) -> dict[str, float]:
    rates: dict[str, list[float]] = {}
    for point in points:
        rates.setdefault(point.type, []).append(_rest(point, constants) / point.call().elements())
    return {type_: fmean(found) for type_, found in rates.items()}


def _transposes(points: Iterable[Point], constants: Constants) -> dict[str, tuple[float, float]]:
    """By kind: seconds for an element, and how often the excess is paid."""
    rows: Rows = []
    for point in points:
        call = point.call()
        features = call.elements(), memory(call, constants)
        rows.append((transposed(call).value, features, point.seconds - constants.dispatch_s))
    return {kind: (element_s, times) for kind, (element_s, times) in _rates(rows).items()}


def _bias(points: Iterable[Point], constants: Constants) -> float:
    """Seconds for an element that a bias is written over, in the cache."""
    rates = []
    for point in points:
        call, found = point.call(), products.gemm(point.call())
        assert found is not None
        known_s = constants.dispatch_s + multiply(found, call.touched_bytes(), constants)
        known_s += far_bias(call, constants)
        rates.append(max(0.0, point.seconds - known_s) / prod(point.result))
    return median(rates)


def _moves(points: Iterable[Point], constants: Constants) -> tuple[float, ...]:
    """What Einsum's product leaves over: seconds to transpose an element, by kind of move."""
    rows: Rows = []
    for point in points:
        found, touched = products.einsum(point.call()), point.call().touched_bytes()
        assert found is not None
        known_s = constants.dispatch_s + multiply(found._replace(moved=()), touched, constants)
        features = moving(found, touched, constants.excess_s)
        rows.append((point.type, features, max(point.seconds - known_s, constants.dispatch_s)))
    (moves,) = _rates(rows).values()
    return moves


def _products(points: Iterable[Point], constants: Constants) -> dict[str, tuple[float, ...]]:
    rows: Rows = []
    for point in points:
        call = point.call()
        found = FINDERS[point.type](call)
        assert found is not None
        features: tuple[float, ...] = (
            *products.features(found),
            *fetches(found, call.touched_bytes(), constants.excess_s),
        )
        if found.kind == products.UNPACKED:
            features = tuple(x if at in LOOSE_FEATURES else 0.0 for at, x in enumerate(features))
        rows.append((found.kind, features, point.seconds - constants.dispatch_s))
    return _rates(rows)


def _rates(rows: Rows) -> dict[str, tuple[float, ...]]:
    """Seconds for each feature, by kind."""
    kinds = dict.fromkeys(kind for kind, _, _ in rows)
    return {kind: _fitted([row for row in rows if row[0] == kind]) for kind in kinds}


def _fitted(rows: Rows) -> tuple[float, ...]:
    features, seconds = ([row[at] for row in rows] for at in (1, 2))
    return tuple(map(float, non_negative(np.array(features, float), np.array(seconds, float))))


def non_negative(rows: Table, seconds: Table) -> Table:
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
