"""What the tests of whole runs share: a model and its plans, and a bench that measures what a script says."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.trial import Trials
from tests.plan.graphs import transformer
from tests.scripted import PRICES, Bench, install

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is tested here is planned, and measured, for the CPU


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for exported models, which all processes of a test session share."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exports"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return install(monkeypatch)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return transformer(2)


@pytest.fixture(scope="module")
def loaded(model: onnx.ModelProto) -> Loaded:
    return load(model)


@pytest.fixture(scope="module")
def planner(loaded: Loaded) -> Planner:
    return make_planner(loaded.graph, Options(), PRICES, (Form.SCAN, Form.SWEEP, Form.UNROLL))


@pytest.fixture
def trials(planner: Planner, loaded: Loaded) -> Trials:
    return Trials(planner, loaded)
