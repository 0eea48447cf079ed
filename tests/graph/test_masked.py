"""Shares of a Softmax's operand that masks hide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.masked import CAUSAL_SHARE, masked_share, with_masks
from onnx_autochunk.graph.model import Graph
from tests.cost.graphs import graph

LENGTH = 64
LARGE = 128  # so many elements are not kept in the graph
SQUARE = (LENGTH, LENGTH)
CAUSAL = np.triu(np.full(SQUARE, -1e9, np.float32), 1)
HIDDEN = LENGTH * (LENGTH - 1) / 2 / LENGTH**2


def _softmax(*before: tuple[str, str, str]) -> Graph:
    nodes = [*before, ("Softmax", "m", "y")]
    values = {result: SQUARE for _, _, result in before}
    return graph({"x": SQUARE, "rows": (LENGTH, 1)}, {"mask": SQUARE, "low": ()}, nodes, y=SQUARE, **values)


def _share(built: Graph, mask: np.ndarray | None = None) -> float:
    masked = with_masks(built, lambda name: mask if name == "mask" else None)
    return masked_share(masked.ops[-1], masked)


@pytest.mark.parametrize(
    ("before", "mask", "share"),
    [
        ([("Add", "x mask", "m")], CAUSAL, HIDDEN),
        ([("Add", "mask x", "m")], CAUSAL, HIDDEN),
        ([("Add", "x mask", "m")], np.zeros(SQUARE, np.float32), 0.0),
        ([("Where", "mask x low", "m")], CAUSAL == 0, HIDDEN),
        ([("Mul", "x mask", "m")], CAUSAL, 0.0),
        ([("Less", "rows mask", "less"), ("Where", "less x low", "m")], None, CAUSAL_SHARE),
        ([("Relu", "rows", "r"), ("Where", "r x low", "m")], None, 0.0),
    ],
)
def test_share(before: list[tuple[str, str, str]], mask: np.ndarray | None, share: float) -> None:
    assert _share(_softmax(*before), mask) == pytest.approx(share, abs=0.02)


def test_a_large_mask_is_sampled() -> None:
    side = 2048
    mask = np.triu(np.full((side, side), -1e9, np.float32), 1)
    built = graph(
        {"x": mask.shape},
        {"mask": mask.shape},
        [("Add", "x mask", "m"), ("Softmax", "m", "y")],
        m=mask.shape,
        y=mask.shape,
    )
    assert _share(built, mask) == pytest.approx(0.5, abs=0.01)


def test_a_model_without_its_weights_has_no_shares(tmp_path: Path) -> None:
    (tmp_path / "zeros.data").touch()
    shape, kind = ir.Shape((LARGE, LARGE)), ir.TensorType(ir.DataType.FLOAT)
    x, mask, m, y = (ir.Value(name=name, shape=shape, type=kind) for name in "x mask m y".split())
    mask.const_value = ir.ExternalTensor(
        "zeros.data", 0, 4 * LARGE**2, kind.dtype, shape=shape, name="mask", base_dir=str(tmp_path)
    )
    nodes = ir.Node("", "Add", [x, mask], outputs=[m]), ir.Node("", "Softmax", [m], outputs=[y])
    built = ir.Graph([x], [y], nodes=nodes, initializers=[mask], opset_imports={"": 21}, name="g")
    assert derive(ir.Model(built, ir_version=10)).graph.values["mask"].masked == 0.0
