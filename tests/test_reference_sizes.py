"""Which sizes a run plans for, and which file it measures. Only the measurements are scripted."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_autochunk import pipeline
from onnx_autochunk.options import Options
from onnx_autochunk.report import text as report_text
from tests.scripted import SMALL, Bench


def test_the_file_itself_is_measured_unless_sizes_are_fixed(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "in.onnx"
    onnx.save(SMALL, path)
    pipeline.run(path, Options())
    pipeline.run(SMALL, Options())
    open_ended = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> g (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    onnx.save(open_ended, path)
    pipeline.run(path, Options(dims={"N": 4}))
    pipeline.run(path, Options(dims={"N": 4}, fix_dims=True))
    assert bench.files == [path, None, path, None]


OPEN = """<ir_version: 10, opset_import: ["": 21]>
    g (float[batch, N] x) => (float[batch, N] y) { y = Relu(x) }"""


def test_sizes_that_nothing_gives_are_chosen_and_stated(bench: Bench) -> None:
    made = pipeline.run(onnx.parser.parse_model(OPEN), Options(dims={"N": 4}))
    report = made.report
    assert (report.dims, report.chosen, report.is_open) == ({"batch": 1, "N": 4}, ("batch",), True)
    assert "Planned for batch=1, N=4 (batch chosen here: --dim gives others); other sizes are taken too." in (
        report_text.to_text(report)
    )
    assert [str(dim) for dim in made.model.graph.inputs[0].shape or ()] == ["batch", "N"]
    assert bench.files == [None]


def test_sizes_come_from_the_users_own_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.zeros((3, 5), np.float32))
    options = Options(input_data=tmp_path / "in.npz", plan_only=True)
    report = pipeline.run(onnx.parser.parse_model(OPEN), options).report
    assert (report.dims, report.chosen) == ({"batch": 3, "N": 5}, ())


def test_a_model_that_takes_no_other_sizes_is_planned_for_these(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "onnx_autochunk")
    text = """<ir_version: 10, opset_import: ["": 21]>
        g (float[N] x) => (float[2, 2] y) <int64[2] square = {2, 2}> { y = Reshape(x, square) }"""
    made = pipeline.run(onnx.parser.parse_model(text), Options(dims={"N": 4}))
    assert not made.report.is_open
    assert "takes no others" in caplog.text
    assert bench.files == [None]
