"""The bench: one original, rewritten models against it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from onnx_autochunk.errors import UsageError, VerificationError
from onnx_autochunk.options import Budget, Options
from onnx_autochunk.verify import bench
from onnx_autochunk.verify.bench import Bench, open_bench
from onnx_autochunk.verify.measure import FEWEST_PAIRS, MOST_PAIRS, TimeMeasurement
from tests.runtime.small_models import save

HEAD = "g (float[4096, 256] x) => (float[4096, 256] y)"
DOUBLED = f"{HEAD} {{ y = Add(x, x) }}"
ANOTHER = f"{HEAD} {{ n = Neg(x)  y = Sub(x, n) }}"
WRONG = f"{HEAD} {{ n = Abs(x)  y = Add(x, n) }}"
ONE_THREAD = Options(threads=1)


def _model(folder: Path, text: str) -> ir.Model:
    return ir.load(save(folder, "model", text))


def test_models_are_verified_measured_and_timed_against_the_original(tmp_path: Path) -> None:
    original = save(tmp_path, "original", DOUBLED)
    with open_bench(original, _model(tmp_path, DOUBLED), ONE_THREAD) as bench:
        assert bench.original == original
        path = bench.write(_model(tmp_path, ANOTHER))
        found, peak, elapsed = bench.verify(path), bench.measure(path), bench.time(path)
        assert found.passed and found.max_abs == 0
        assert peak.activation_peak_bytes >= 0.9 * 4096 * 256 * 4
        assert bench.baseline.activation_peak_bytes >= 0.9 * 4096 * 256 * 4
        assert bench.baseline is bench.baseline  # measured once
        assert FEWEST_PAIRS <= len(elapsed.pairs) <= MOST_PAIRS and elapsed.ratio > 0
    assert not path.exists() and original.exists()


@pytest.mark.parametrize(
    ("options", "limit"),
    [(Options(), 1.05), (Options(max_slowdown=1.2), 1.2), (Options(budget=Budget(share=0.5)), None)],
)
def test_time_is_settled_where_it_decides(
    options: Options, limit: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def measured(*_: object, **keywords: object) -> TimeMeasurement:
        asked.update(keywords)
        return TimeMeasurement(1.0, 1.0, 1.0, ((1.0, 1.0),))

    monkeypatch.setattr(bench, "measure_time", measured)
    with open_bench(save(tmp_path, "original", DOUBLED), _model(tmp_path, DOUBLED), options) as opened:
        opened.time(opened.original)
    assert asked["limit"] == limit


def test_a_model_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    original = save(tmp_path, "original", DOUBLED)
    with open_bench(original, _model(tmp_path, DOUBLED), ONE_THREAD) as bench:
        path = bench.write(_model(tmp_path, WRONG))
        with pytest.raises(VerificationError, match=r"computes something else.*output 'y'.*--exclude"):
            bench.verify(path)


def test_a_tolerance_lets_it_pass(tmp_path: Path) -> None:
    original = save(tmp_path, "original", DOUBLED)
    options = Options(threads=1, atol=100.0)
    with open_bench(original, _model(tmp_path, DOUBLED), options) as bench:
        assert bench.verify(bench.write(_model(tmp_path, WRONG))).passed


def test_a_model_that_is_no_file_is_written_first(tmp_path: Path) -> None:
    with open_bench(None, _model(tmp_path, DOUBLED), ONE_THREAD) as bench:
        assert bench.original.parent == bench.folder
        assert bench.verify(bench.write(_model(tmp_path, ANOTHER))).passed
    assert not bench.folder.exists()


def test_the_folder_goes_when_a_run_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with open_bench(None, _model(tmp_path, DOUBLED), ONE_THREAD) as bench:
            seen.append(bench.folder)
            raise KeyError

    seen: list[Path] = []
    with pytest.raises(KeyError):
        fail()
    assert not seen[0].exists()


def test_each_verification_run_has_inputs_of_its_own(tmp_path: Path) -> None:
    original = save(tmp_path, "original", DOUBLED)
    with open_bench(original, _model(tmp_path, DOUBLED), Options(verify_runs=3)) as bench:
        first, second, third = (inputs["x"] for inputs in bench.inputs)
    assert first.shape == (4096, 256)
    assert not np.array_equal(first, second) and not np.array_equal(second, third)


def test_inputs_may_be_given(tmp_path: Path) -> None:
    original = save(tmp_path, "original", DOUBLED)
    given = np.ones((4096, 256), np.float32)
    np.savez(tmp_path / "in.npz", x=given)
    with open_bench(original, _model(tmp_path, DOUBLED), Options(input_data=tmp_path / "in.npz")) as bench:
        assert [np.array_equal(inputs["x"], given) for inputs in bench.inputs] == [True]


def test_given_inputs_must_be_the_models(tmp_path: Path) -> None:
    original = save(tmp_path, "original", DOUBLED)
    np.savez(tmp_path / "in.npz", other=np.ones(4, np.float32))
    bench = Bench(original, tmp_path, Options(input_data=tmp_path / "in.npz"))
    with pytest.raises(UsageError, match="x"):
        assert bench.inputs
