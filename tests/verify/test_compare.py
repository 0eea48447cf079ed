from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from onnx_autochunk.verify.compare import BLOCK, compare, merge

NAN, INF = np.nan, np.inf
F16, F32, F64, BF16 = np.float16, np.float32, np.float64, ml_dtypes.bfloat16


@pytest.mark.parametrize(
    ("dtype", "expected", "actual", "passed"),
    [
        (F32, [1.0, 2.0], [1.0, 2.0], True),
        (F32, [0.0], [0.9e-4], True),  # atol
        (F32, [0.0], [1.1e-4], False),
        (F32, [1000.0], [1000.9], True),  # rtol
        (F32, [1000.0], [1001.1], False),
        (F32, [NAN, 1.0], [NAN, 1.0], True),
        (F32, [NAN], [1.0], False),
        (F32, [1.0], [NAN], False),
        (F32, [INF, -INF], [INF, -INF], True),
        (F32, [INF], [-INF], False),
        (F32, [INF], [3e38], False),
        (F32, [3e38], [INF], False),
        (F32, [], [], True),
        (F16, [1.0], [1.019], True),
        (F16, [1.0], [1.03], False),
        (BF16, [1.0], [1.0156], True),
        (BF16, [1.0], [1.03], False),
        (F64, [1.0], [1.0 + 0.9e-6], True),
        (F64, [1.0], [1.0 + 1.1e-6], False),
        (np.complex64, [1 + 1j], [1 + 1.0005j], True),
        (np.complex64, [1 + 1j], [1 - 1j], False),
        (np.int64, [2**60], [2**60], True),
        (np.int64, [2**60], [2**60 + 1], False),
        (np.uint8, [0], [255], False),
        (np.bool_, [True], [False], False),
        (object, ["a"], ["a"], True),
        (object, ["a"], ["b"], False),
        (ml_dtypes.float8_e4m3fn, [1.0], [1.125], False),
    ],
)
def test_elements(dtype: Any, expected: list[Any], actual: list[Any], *, passed: bool) -> None:
    result = compare({"y": np.array(expected, dtype)}, {"y": np.array(actual, dtype)})
    assert result.passed == passed
    assert (result.reason is None) == passed


@pytest.mark.parametrize(
    ("expected", "actual", "reason"),
    [
        ({"y": np.zeros(3, F32)}, {"y": np.zeros(3, F64)}, "output 'y' is float64 instead of float32"),
        ({"y": np.zeros((1, 3))}, {"y": np.zeros(3)}, "output 'y' has the shape (3,) instead of (1, 3)"),
        ({"y": np.zeros(3)}, {"z": np.zeros(3)}, "the outputs are z instead of y"),
        (
            {"y": np.array([[1.0, 2.0]], F32)},
            {"y": np.array([[1.0, 2.5]], F32)},
            "output 'y' at [0, 1]: 2.5 instead of 2.0; largest difference 0.5",
        ),
    ],
)
def test_reason(expected: dict[str, Any], actual: dict[str, Any], reason: str) -> None:
    assert compare(expected, actual).reason == reason


def test_figures_are_of_the_worst_element() -> None:
    expected = {"a": np.ones((2, 3), F32), "b": np.array([1e-5, 4.0], F32)}
    actual = {"a": np.ones((2, 3), F32), "b": np.array([5e-5, 4.002], F32)}
    result = compare(expected, actual)
    assert (result.passed, result.worst_output, result.worst_index) == (True, "b", (1,))
    assert result.max_abs == pytest.approx(2e-3, rel=1e-3)
    assert result.max_rel == pytest.approx(5e-4, rel=1e-3)  # not the 4.0 of the element below atol
    assert result.excess == pytest.approx(2e-3 / (1e-4 + 4e-3), rel=1e-3)


def test_position_beyond_the_first_block() -> None:
    expected = np.zeros((2, BLOCK), np.int8)
    actual = expected.copy()
    actual[1, 5] = 3
    result = compare({"y": expected}, {"y": actual})
    assert (result.passed, result.worst_index, result.max_abs) == (False, (1, 5), 3.0)


@pytest.mark.parametrize(("dtype", "difference"), [(F32, 0.05), (F16, 0.5), (F64, 5e-5)])
def test_given_tolerance_scales_all_types(dtype: Any, difference: float) -> None:
    expected, actual = {"y": np.ones(1, dtype)}, {"y": np.array([1 + difference], dtype)}
    assert not compare(expected, actual).passed
    assert compare(expected, actual, rtol=0.1).passed


def test_merge_keeps_a_failure_and_all_maxima() -> None:
    near = compare({"y": np.array([1e6], F32)}, {"y": np.array([1e6 + 500], F32)})
    far = compare({"y": np.array([1.0], F32)}, {"y": np.array([2.0], F32)})
    assert near.passed
    for total in (merge([near, far]), merge([far, near])):
        assert not total.passed
        assert (total.max_abs, total.max_rel, total.reason) == (500.0, 1.0, far.reason)
