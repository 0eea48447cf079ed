"""Attention of few queries to many keys, cut along the keys: hidden rows and large scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `models`")

import torch

from models import export as exporting
from models import pooling
from onnx_autochunk import autochunk
from tests.models.test_models import run_onnx

KEYS, WIDTH = 20_000, 4


def test_hidden_rows_and_large_scores_give_what_the_original_gives(tmp_path: Path) -> None:
    example = exporting.seeded(
        pooling.build, 0, torch.float32, queries=4, keys=KEYS, heads=2, width=WIDTH, masked=True
    )
    example.inputs["seen"][1] = False
    queries, keys = example.inputs["queries"], example.inputs["keys"]
    keys.clamp_(-1, 1)[:, ::7] = 1.0
    queries[:, 2], queries[:, 3] = 80 / WIDTH, -80 / WIDTH  # scores from -80 to 80
    original, chunked = tmp_path / "original.onnx", tmp_path / "chunked.onnx"
    exporting.export(example, original)
    result = autochunk(original, budget="64KiB", no_verify=True)
    assert any(region.axis.endswith("accumulated") for region in result.report.regions)
    result.save(chunked)
    (expected,), (found,) = run_onnx(original, example), run_onnx(chunked, example)
    assert np.isnan(expected[:, 1]).all() and np.isfinite(expected[:, [0, 2, 3]]).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
