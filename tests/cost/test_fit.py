"""Fitting finds constants again that made the measurements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from onnx_autochunk.cost.cases import cases
from onnx_autochunk.cost.constants import Constants
from onnx_autochunk.cost.fit import fit, non_negative
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.cost.points import Point
from onnx_autochunk.cost.prices import MASKED


def _price(point: Point, constants: Constants) -> float:
    graph = point.graph()
    return CostModel(constants).op_seconds(graph.ops[0], graph, graph.shape)


def test_prices_come_back() -> None:
    truth = CostModel.load().constants
    points = [replace(point, seconds=_price(point, truth)) for point in cases()]
    fitted = fit(
        points,
        provider="cpu",
        threads=truth.threads,
        dispatch_s=truth.dispatch_s,
        iteration=truth.iteration,
        load=truth.load,
        resident=truth.resident,
        masked_s=truth.element_s[MASKED],
    )
    ratios = {str(point): _price(point, fitted) / point.seconds for point in points}
    assert {name: ratio for name, ratio in ratios.items() if abs(ratio - 1) > 0.1} == {}


@pytest.mark.parametrize(
    ("rows", "seconds", "expected"),
    [
        ([[1, 0], [0, 1], [1, 1]], [2, 3, 5], [2, 3]),
        ([[1, 1], [2, 1], [4, 1]], [1, 2, 4], [1, 0]),
        ([[1, 2], [2, 1], [3, 0]], [1, 2, 3], [1, 0]),
    ],
)
def test_non_negative(rows: list[list[float]], seconds: list[float], expected: list[float]) -> None:
    found = non_negative(np.array(rows, float), np.array(seconds, float))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_no_coefficient_is_negative() -> None:
    found = non_negative(np.array([[1.0, 1.0], [1.0, 2.0]]), np.array([2.0, 1.0]))
    assert found.min() >= 0
