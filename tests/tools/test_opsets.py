"""Three opsets by both exporters, chunked and equal; and what becomes of an exporter that refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.opsets import EXPORTERS, try_export

CASES = {"TorchScript": (11, 14, 17), "dynamo": (18, 21, 24)}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("number", range(3))
def test_exports_are_chunked_and_equal(exporter: str, number: int, tmp_path: Path) -> None:
    opset = CASES[exporter][number]
    row = try_export("transformer", exporter, opset, tmp_path)
    assert row.message == "" and row.equal and row.regions >= 1
    assert (row.opset_in, row.asked) == (opset, opset)
    assert row.opset_out == (24 if "sweep" in row.forms else opset)
    assert row.before_bytes is not None and row.after_bytes is not None
    assert row.after_bytes <= 0.4 * row.before_bytes


def test_a_refusal_says_who_refuses(tmp_path: Path) -> None:
    row = try_export("transformer", "TorchScript", 99, tmp_path)
    assert row.opset_in is None and row.message.startswith("the exporter refuses: ")
    assert str(row).startswith("| transformer | TorchScript | 99 | - |")
