"""The model against what calibration measured, here and on another machine, and the profile's file."""

from __future__ import annotations

import pytest

from onnx_autochunk.cost.constants import SCHEMA, read_profile, to_constants, to_json
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.cost.points import Point, from_json
from onnx_autochunk.cost.points import to_json as point_to_json
from tests.cost.graphs import other_profile

PROFILE = read_profile("cpu")
PROFILES = {"package": PROFILE, "other machine": other_profile()}
POINTS = [(machine, from_json(row)) for machine, found in PROFILES.items() for row in found["points"]]
MODELS = {machine: CostModel(to_constants(found)) for machine, found in PROFILES.items()}
SHARED_S = 2e-4  # what takes less runs on one thread or on all, as ONNX Runtime finds worth it


@pytest.mark.parametrize(("machine", "point"), POINTS, ids=str)
def test_price_is_near_the_measurement(machine: str, point: Point) -> None:
    graph = point.graph()
    ratio = MODELS[machine].op_seconds(graph.ops[0], graph, graph.shape) / point.seconds
    most = 1.9 if point.seconds > SHARED_S else 2.5
    assert 1 / most < ratio < most


def test_profile_says_what_it_was_measured_with() -> None:
    assert PROFILE["schema"] == SCHEMA
    assert PROFILE.keys() == {"schema", "onnxruntime", "provider", "threads", "constants", "points"}


def test_prices_of_cuda_are_assumed_to_be_the_cpus_with_dearer_calls() -> None:
    cpu, cuda = (CostModel.load(provider).constants for provider in ("cpu", "cuda"))
    assert cuda.provider == "cuda"
    assert cuda.dispatch_s == pytest.approx(200 * 6e-6)
    assert cuda.iteration["scan"].base_s == pytest.approx(200 * 3e-5)
    assert (cuda.threads, cpu.threads) == (1, 2)
    assert (cuda.product_s, cuda.excess_s, cuda.load) == (cpu.product_s, cpu.excess_s, cpu.load)


def test_profile_survives_reading_and_writing() -> None:
    assert to_json(to_constants(PROFILE))["constants"]["product_s"] == PROFILE["constants"]["product_s"]
    constants = CostModel.load().constants
    assert to_constants(to_json(constants)) == constants
    _, point = POINTS[0]
    assert from_json(point_to_json(point)) == point
