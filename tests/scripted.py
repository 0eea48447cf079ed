"""A bench that measures what a script says: the pipeline runs, and no model does.

Scripts answer plans, so the plans are made with prices of their own, whatever the last calibration says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk import pipeline
from onnx_autochunk.cost.constants import to_constants
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.errors import VerificationError
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.dynamic import Dynamic
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Budget, Options
from onnx_autochunk.verify.compare import Comparison
from onnx_autochunk.verify.measure import PeakMeasurement, TimeMeasurement

PRICES = CostModel(to_constants(json.loads(Path(__file__).with_name("prices.json").read_text("utf-8"))))

HALF = Options(budget=Budget(share=0.5))
SMALL = onnx.parser.parse_model(  # nothing in it is worth chunking
    '<ir_version: 10, opset_import: ["": 21]> g (float[4] x) => (float[4] y) { y = Relu(x) }'
)

Measure = Callable[[int, int], float]  # (number of the attempt, predicted peak) -> what is measured


@dataclass
class Bench:
    """Measures what a script says; attempts count from 1, and the original is attempt 0."""

    peak: Measure = lambda _, predicted: predicted
    ratio: Measure = lambda *_: 1.0
    resident: Measure = lambda *_: 0.0  # bytes
    load: Measure = lambda *_: 0.0  # seconds
    comparison: Comparison = field(default_factory=Comparison)
    exact: Callable[[int], float] = lambda predicted: predicted  # on ONNX Runtime's own graph
    original: ir.Model | None = None
    files: list[Path | None] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)  # predicted peaks of what was measured
    verified: int = 0

    @contextmanager
    def open(
        self, original: Path | None, model: ir.Model, options: Options, _: Dynamic | None
    ) -> Iterator[Bench]:
        assert options is not None
        self.files.append(original)
        self.original = model
        yield self

    @property
    def baseline(self) -> PeakMeasurement:
        assert self.original is not None
        return self._memory(0, predicted(self.original))

    def predict(self, model: ir.Model) -> int:
        return int(self.exact(predicted(model)))

    def write(self, model: ir.Model) -> Path:
        self.attempts.append(predicted(model))
        return Path("chunked.onnx")

    def verify(self, path: Path) -> Comparison:
        assert path == Path("chunked.onnx")
        self.verified += 1
        if not self.comparison.passed:
            raise VerificationError("differs")
        return self.comparison

    def measure(self, path: Path) -> PeakMeasurement:
        assert path == Path("chunked.onnx")
        return self._memory(len(self.attempts), self.attempts[-1])

    def _memory(self, *at: int) -> PeakMeasurement:
        return PeakMeasurement(int(self.peak(*at)), int(self.resident(*at)), self.load(*at))

    def time(self, path: Path) -> TimeMeasurement:
        assert path == Path("chunked.onnx")
        ratio = self.ratio(len(self.attempts), self.attempts[-1])
        return TimeMeasurement(ratio, 1.0, ratio, ((1.0, ratio),))


def predicted(model: ir.Model) -> int:
    return simulate(derive(model).graph, provider="cpu").peak_bytes


def never(*_: object) -> float:
    """For what must not be asked."""
    raise AssertionError("nothing is measured")


def install(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The bench and the prices of every run from now on."""
    found = Bench()
    monkeypatch.setattr(CostModel, "load", lambda *_: PRICES)
    monkeypatch.setattr(pipeline, "open_bench", found.open)
    return found
