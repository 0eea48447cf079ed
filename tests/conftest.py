"""What the tests of whole runs share: a model, and a bench that measures what a script says."""

from __future__ import annotations

import onnx
import pytest

from tests.plan.graphs import transformer
from tests.scripted import Bench, install


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return install(monkeypatch)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return transformer(2)
