"""A model with its weights beside it is rewritten without holding them, and they are written once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from onnx_autochunk.graph.load import load
from tools.large import LAYER_BYTES, MB, measure, write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is written is found through /proc")


def test_weights_are_copied_once_and_not_held(tmp_path: Path) -> None:
    source = tmp_path / "large.onnx"
    write(source, 2 * LAYER_BYTES)
    weights_bytes = load(source).graph.weights_bytes
    assert weights_bytes == pytest.approx(2 * LAYER_BYTES, rel=0.01)
    row = measure(source, no_verify=True)
    assert {check.name for check in row.checks if not check.kept} <= {"seconds"}
    memory = next(check for check in row.checks if check.name == "MB of memory")
    assert memory.value * MB < weights_bytes
