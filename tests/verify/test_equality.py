from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnx_autochunk.errors import ChildError
from onnx_autochunk.verify.equality import compare_models
from tests.runtime.small_models import save

HEAD = "g (float[N, 4] x) => (float[N, 4] y, int64[2] s)"


@pytest.mark.parametrize(
    ("body", "passed"),
    [
        ("y = Add(x, x)\n s = Shape(x)", True),
        ("t = Neg(x)\n y = Sub(x, t)\n s = Shape(t)", True),
        (
            "t = Relu(x)\n y = Add(t, x)\n s = Shape(x)",
            False,
        ),  # differs where x is negative: in the second run
    ],
)
def test_compare_models(tmp_path: Path, body: str, *, passed: bool) -> None:
    original = save(tmp_path, "a", f"{HEAD} {{ y = Add(x, x)\n s = Shape(x) }}")
    rewritten = save(tmp_path, "b", f"{HEAD} {{ {body} }}")
    ones = np.ones((3, 4), np.float32)
    result = compare_models(original, rewritten, [{"x": ones}, {"x": -ones[:2]}], threads=1)
    assert result.passed == passed
    assert passed or (result.worst_output, result.max_abs) == ("y", 1.0)


def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    path = save(tmp_path, "a", f"{HEAD} {{ y = Add(x, x)\n s = Shape(x) }}")
    with pytest.raises(ChildError, match=r"(?s)_run_all: .*Got invalid dimensions for input: x"):
        compare_models(path, path, [{"x": np.ones((3, 5), np.float32)}], threads=1)
