"""The longest input that fits: bisection, and a small model under a small cap."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest

from onnx_autochunk.errors import ChildError
from tools.longest import longest, runs_within, weights_bytes

MIB = 2**20
ROWS = 1024  # of 1024 floats: 4 MiB a value
TEXT = f"""<ir_version: 8, opset_import: ["": 18]>
g (float[{ROWS},1024] x) => (float[{ROWS},1024] y) {{
    a = Exp(x) b = Abs(x) c = Add(a, b) y = MatMul(c, w) }}"""


@pytest.mark.parametrize(
    ("limit", "first", "most", "found"),
    [
        (100, 8, None, 100),  # doubled, then halved
        (7, 8, None, 4),
        (3, 8, None, 0),
        (100, 128, None, 100),  # the first does not fit
        (100, 8, 64, 64),
        (100, 96, 96, 96),  # enough
    ],
)
def test_bisection(limit: int, first: int, most: int | None, found: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    assert longest(fits, first, 4, most) == found
    assert len(tried) == len(set(tried)) and all(size % 4 == 0 for size in tried)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    proto = onnx.parser.parse_model(TEXT)
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, (1024, 1024), bytes(4 * MIB), raw=True)
    proto.graph.initializer.append(weight)
    onnx.save(proto, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_a_model_runs_within_what_it_needs_and_no_less(model: Path) -> None:
    assert weights_bytes(model) == 4 * MIB
    fits, why = runs_within(model, 24 * MIB, threads=1)
    assert (fits, why) == (True, "")
    fits, why = runs_within(model, 6 * MIB, threads=1)
    assert not fits and "Available memory" in why


def test_another_failure_is_no_answer(model: Path) -> None:
    proto = onnx.load(model)
    proto.graph.node[0].op_type = "Unheard"
    onnx.save(proto, model)
    with pytest.raises(ChildError):
        runs_within(model, 24 * MIB, threads=1)
