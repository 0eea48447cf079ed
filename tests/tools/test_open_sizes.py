"""Models with open sizes are held against their originals and against limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from onnx_autochunk.verify.compare import Comparison
from tools import open_sizes
from tools.open_sizes import HEADER, Row, Subject, examine

ROW = Row("m", 3, Comparison(max_abs=2e-6), 100 << 20, 10 << 20, 12 << 20, 48 << 20, None)
ATTENTION = """(float[batch,tokens,256] q) => (float[batch,tokens,256] y) {
    keys = Transpose<perm=[0,2,1]>(q)
    scores = MatMul(q, keys)
    shares = Softmax(scores)
    y = MatMul(shares, q)
}"""


def test_a_row_is_kept_where_no_limit_is_broken() -> None:
    assert ROW.kept
    assert not replace(ROW, comparison=Comparison(passed=False)).kept
    assert not replace(ROW, open_bytes=14 << 20).kept
    assert not replace(ROW, long_bytes=80 << 20).kept


def test_a_row_fits_its_header() -> None:
    assert str(ROW) == "| m | 3 | 2.0e-06 | 100.0 MiB | 10.0 MiB | 12.0 MiB | 1.20 | 48.0 MiB | 4.00 |"
    assert str(ROW).count("|") == HEADER.splitlines()[0].count("|")


def test_a_model_is_compared_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'<ir_version: 10, opset_import: ["": 21]> g {ATTENTION}'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "attention.onnx")
    reference, other, long = ({"batch": 1, "tokens": tokens} for tokens in (2048, 77, 4096))
    subject = Subject((), reference, (reference, other), long)
    monkeypatch.setattr(open_sizes, "SUBJECTS", {"attention": subject})
    row = examine("attention", tmp_path, timed=False)
    assert row.sizes == 4 and row.comparison.passed and row.slowdown is None
    assert row.open_bytes < 0.5 * row.original_bytes
    assert 1.5 < row.growth < 3  # twice for chunks of a fixed length, four times for whole squares
