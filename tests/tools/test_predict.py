"""The comparison of predictions and measurements: its figures, what is not done again, one small graph."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools import predict
from tools.predict import MIB, Row, Summary

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")

ROWS = [
    Row("a", raw_bytes=90 * MIB, exact_bytes=100 * MIB, measured_bytes=100 * MIB),
    Row("b", raw_bytes=100 * MIB, exact_bytes=98 * MIB, measured_bytes=100 * MIB),
    Row("c", raw_bytes=200 * MIB, exact_bytes=202 * MIB, measured_bytes=200 * MIB),
    Row("d", error="does not load"),
]


def test_summary() -> None:
    summary = Summary.of(ROWS)
    assert (summary.rows, summary.failed, summary.worst_name) == (4, 1, "b")
    assert summary.median == pytest.approx(0.01)
    assert summary.worst == pytest.approx(0.02)
    assert (summary.raw_median, summary.raw_worst) == pytest.approx((0.0, 0.1))


def test_table_shows_errors_in_place_of_figures() -> None:
    columns = [list(column.cells) for column in predict.table(ROWS).columns]
    assert columns[1] == ["100.0", "100.0", "200.0", "-"]
    assert columns[2] == ["-10.00%", "+0.00%", "+0.00%", "-"]
    assert columns[3] == ["+0.00%", "-2.00%", "+1.00%", "-"]
    assert columns[5][3] == "does not load"


@linux
def test_one_random_graph(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    options = ["--random", "1", "--seed", "2", "--input-mib", "4", "--least-mib", "30", "--json", str(out)]
    result = CliRunner().invoke(predict.main, options)
    assert result.exit_code == 0, result.output
    whole, chunked = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert (whole["name"], chunked["name"]) == ("random 3", "random 3 unroll")
    assert whole["exact_bytes"] == pytest.approx(whole["measured_bytes"], rel=0.05)


def test_rows_in_the_file_are_kept(tmp_path: Path) -> None:
    names = ["gpt2 float32", *(f"gpt2 float32 {form}" for form in predict.FORMS)]
    path = tmp_path / "found.json"
    rows = [{**asdict(ROWS[0]), "name": name} for name in names]
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    (tmp_path / "gpt2.onnx").write_bytes(b"never read")
    options = ["gpt2", "--dtype", "float32", "--models-dir", str(tmp_path), "--json", str(path)]
    CliRunner().invoke(predict.main, options)
    assert [row.name for row in predict._saved_rows(path)] == names


@linux
def test_a_model_that_does_not_load_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "gpt2.onnx"
    path.write_bytes(b"nothing")
    row = predict.compare("gpt2", path)
    assert "not a readable ONNX model" in row.error
