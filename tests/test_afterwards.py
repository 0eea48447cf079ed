"""Results stay what they are under other tools: onnx's checker, onnxsim, onnxslim, ONNX Runtime's levels.

A result that a simplifier has gone over, or that is loaded at another level, computes the same within the
same memory. Without any optimization both models hold more: what is folded otherwise is computed then.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk import autochunk
from onnx_autochunk.report.record import Status
from onnx_autochunk.verify.arrays import Array
from onnx_autochunk.verify.compare import compare
from tests.example_models import exported
from tests.levels import BETWEEN, NONE, peak_and_outputs

pytest.importorskip("torch", reason="needs the extra `models`")

MIB = 2**20
MOST = 0.5  # of the original's peak: the budget, and what measuring adds to small models
SIMPLIFIERS: Mapping[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "onnxsim": lambda model: importlib.import_module("onnxsim").simplify(model)[0],
    "onnxslim": lambda model: importlib.import_module("onnxslim").slim(model),
}


@dataclass(frozen=True, slots=True)
class Chunked:
    """A result, and what it takes and gives."""

    original: Path
    path: Path
    peak_bytes: int
    outputs: Mapping[str, Array]

    @property
    def largest_bytes(self) -> int:
        """Of a value that a chunk computes."""
        bodies = (graph for graph in ir.load(self.path).graphs() if str(graph.name).startswith("chunk/"))
        values = (value for body in bodies for node in body for value in node.outputs)
        return max(
            4 * prod(value.shape.numpy()) for value in values if value.shape and value.shape.is_static()
        )


@pytest.fixture(scope="module", params=["gpt2", "vit", "evoformer", "unet"])
def chunked(
    request: pytest.FixtureRequest, exports: Path, tmp_path_factory: pytest.TempPathFactory
) -> Chunked:
    original = exported(request.param, exports)
    result = autochunk(original, budget="40%", no_verify=True)
    assert result.report.status is Status.CHUNKED
    path = tmp_path_factory.mktemp(request.param) / "out.onnx"
    result.save(path)
    before, _ = peak_and_outputs(original)
    peak, outputs = peak_and_outputs(path)
    assert peak < MOST * before
    return Chunked(original, path, peak, outputs)


def test_the_checker_passes(chunked: Chunked) -> None:
    onnx.checker.check_model(chunked.path, full_check=True)


@pytest.mark.parametrize("name", SIMPLIFIERS)
def test_simplifiers_change_nothing(chunked: Chunked, name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    path = tmp_path / "simplified.onnx"
    onnx.save(SIMPLIFIERS[name](onnx.load(chunked.path)), path)
    _check_same(chunked, *peak_and_outputs(path))


@pytest.mark.parametrize("level", BETWEEN)
def test_no_level_changes_anything(chunked: Chunked, level: str) -> None:
    """One does not fuse a product of scores with its scale: without a mask the scores are there twice."""
    peak, outputs = peak_and_outputs(chunked.path, level)
    twice = chunked.largest_bytes if (chunked.original.stem, level) == ("vit", "ORT_ENABLE_BASIC") else 0
    _check_same(chunked, peak - twice, outputs)


def test_without_optimizations_half_the_memory_is_saved_all_the_same(chunked: Chunked) -> None:
    before, _ = peak_and_outputs(chunked.original, NONE)
    peak, outputs = peak_and_outputs(chunked.path, NONE)
    assert peak < MOST * before
    assert (found := compare(chunked.outputs, outputs)).passed, found.reason


def _check_same(chunked: Chunked, peak_bytes: int, outputs: Mapping[str, Array]) -> None:
    assert peak_bytes <= 1.05 * chunked.peak_bytes + MIB
    assert (found := compare(chunked.outputs, outputs)).passed, found.reason
