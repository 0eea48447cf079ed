"""What calibration runs, and that the profile says what is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.runtime.session import default_options, open_session, runner
from tools import calibrate
from tools.calibration_models import COPY_NODES, framed, numbers, scans, written_out

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")


@pytest.mark.parametrize("build", [written_out, framed, scans])
@pytest.mark.parametrize("count", [1, 5])
def test_models_of_many_blocks_run(
    build: Callable[[int, int], onnx.ModelProto], count: int, tmp_path: Path
) -> None:
    model = build(count, 64)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "m.onnx")
    session = open_session(tmp_path / "m.onnx", options=default_options(threads=1))
    (value,) = session.get_inputs()
    runner(session, {value.name: numbers(tuple(value.shape))})()


def test_copies_of_a_block_are_so_many_nodes() -> None:
    few, many = (len(written_out(count, 64).graph.node) for count in (2, 5))
    assert many - few == 3 * COPY_NODES


@linux
def test_the_profile_holds_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "COPIES", (2, 34))
    found, known = calibrate._resident(tmp_path), CostModel.load().constants.resident
    assert found.keys() == known.keys()
    for form, holding in found.items():
        np.testing.assert_allclose(holding.node_bytes, known[form].node_bytes, rtol=0.3)
        np.testing.assert_allclose(holding.base_bytes, known[form].base_bytes, rtol=0.5)
