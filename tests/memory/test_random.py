"""Predictions on ONNX Runtime's own graph of random models, against what it holds.

`python -m tools.predict --random 200` does the same on graphs in which no noise shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median

import onnx
import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.runtime.exact import read_optimized, simulate_optimized
from tests.memory import ort_truth
from tools.random_graphs import random_graph

COUNT = 30
INPUT_MIB = 3.0
LEAST_BYTES = 20 << 20  # below, the process' own memory shows
MEDIAN, WORST = 0.01, 0.10
OPTIMIZED = ".run.onnx"


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, float]:
    """Relative error of each prediction, by the seed of the graph."""
    models: dict[str, onnx.ModelProto] = {}
    for seed in range(4 * COUNT):
        model = random_graph(seed, mib=INPUT_MIB)
        if len(models) < COUNT and simulate(load(model).graph).peak_bytes > LEAST_BYTES:
            models[str(seed)] = model
    paths = ort_truth.save(models, tmp_path_factory.mktemp("random"))
    held = dict(zip(paths, ort_truth.peaks(paths.values(), optimized=OPTIMIZED), strict=True))
    graphs = {seed: read_optimized(Path(path + OPTIMIZED)) for seed, path in paths.items()}
    return {seed: simulate_optimized(graph).peak_bytes / held[seed] - 1 for seed, graph in graphs.items()}


def test_predictions_are_close(errors: Mapping[str, float]) -> None:
    worst = sorted(errors, key=lambda seed: -abs(errors[seed]))
    for seed in worst[:5]:
        print(f"seed {seed}: {errors[seed]:+.2%}")  # noqa: T201 - shown when the bounds are broken
    assert len(errors) == COUNT
    assert abs(errors[worst[0]]) <= WORST
    assert median(map(abs, errors.values())) <= MEDIAN


def test_a_seed_gives_one_graph() -> None:
    first, again = (random_graph(3, mib=INPUT_MIB).SerializeToString() for _ in range(2))
    assert first == again
