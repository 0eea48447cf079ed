from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from onnx_autochunk.errors import UsageError
from onnx_autochunk.runtime import launch
from onnx_autochunk.verify import measure
from onnx_autochunk.verify.measure import (
    MOST_PAIRS,
    MOST_RUNS,
    is_settled,
    measure_peak,
    measure_time,
    sign_test,
)
from tests.runtime.small_models import save

MIB = 2**20
ROWS = 16384
X = {"x": np.random.default_rng(0).standard_normal((ROWS, 16), dtype=np.float32)}  # 1 MiB
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")


def _model(folder: Path, name: str, body: str, **weights: tuple[int, ...]) -> Path:
    return save(folder, name, f"g (float[N, 16] x) => (float[N, 16] y) {{ {body} }}", **weights)


@linux
@pytest.mark.parametrize(
    ("body", "weights", "peak_mib", "resident_mib"),
    [
        ("y = Neg(x)", {}, 1, 0),  # the output alone
        # 64 MiB wide, in place, then the output
        ("h = MatMul(x, w)\n r = Relu(h)\n y = MatMul(r, v)", {"w": (16, 1024), "v": (1024, 16)}, 65, 0),
        # not in place: twice 64 MiB
        ("h = MatMul(x, w)\n e = Add(h, h)\n y = MatMul(e, v)", {"w": (16, 1024), "v": (1024, 16)}, 128, 0),
        # 32 MiB of weights that no kernel packs; Shape(x) is an index that cannot be folded
        (
            "i = Shape(x)\n r = Gather(w, i)\n s = ReduceSum <keepdims = 0> (r)\n y = Add(x, s)",
            {"w": (32768, 256)},
            1,
            32,
        ),
    ],
    ids=["output", "in place", "twice", "weight"],
)
def test_peak(
    tmp_path: Path, body: str, weights: dict[str, tuple[int, ...]], peak_mib: int, resident_mib: int
) -> None:
    result = measure_peak(_model(tmp_path, "m", body, **weights), X, threads=1, default_session=False)
    assert result.activation_peak_bytes / MIB == pytest.approx(peak_mib, abs=3)
    assert result.resident_bytes / MIB == pytest.approx(resident_mib, abs=3)
    assert result.load_s > 0
    assert result.default_session_rise_bytes is None


@linux
def test_peak_repeats_and_the_arena_never_holds_less(tmp_path: Path) -> None:
    body = "h = MatMul(x, w)\n e = Add(h, h)\n y = MatMul(e, v)"
    path = _model(tmp_path, "m", body, w=(16, 256), v=(256, 16))
    results = [measure_peak(path, X, threads=1, default_session=index == 0) for index in range(3)]
    peaks = [result.activation_peak_bytes for result in results]
    assert max(peaks) - min(peaks) <= MIB
    rise = results[0].default_session_rise_bytes
    assert rise is not None
    assert rise >= max(peaks)


def _touched(nbytes: int) -> mmap.mmap:
    """A mapping that is resident."""
    mapping = mmap.mmap(-1, nbytes)
    for offset in range(0, nbytes, mmap.PAGESIZE):
        mapping[offset] = 1
    return mapping


@linux
@pytest.mark.parametrize(
    ("calls_that_keep", "calls", "rise_mib"),
    [(0, 1, 4), (1, 2, 4), (2, 3, 4), (MOST_RUNS, MOST_RUNS, 6)],
    ids=["steady", "maps code in its first call", "in two calls", "in every call"],
)
def test_what_a_call_leaves_behind_is_no_activation(calls_that_keep: int, calls: int, rise_mib: int) -> None:
    kept: list[mmap.mmap] = []
    counted: list[int] = []

    def once() -> None:
        if len(counted) < calls_that_keep:
            kept.append(_touched(2 * MIB))
        counted.append(len(kept))
        _touched(4 * MIB).close()

    rise = measure._steady_rise(once)
    assert len(counted) == calls
    assert rise / MIB == pytest.approx(rise_mib, abs=0.5)


def test_measuring_memory_needs_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "CLEAR_REFS", tmp_path / "absent")
    with pytest.raises(UsageError, match="which only Linux has"):
        measure_peak(tmp_path / "m.onnx", {})


def test_time_ratio(tmp_path: Path) -> None:
    light = _model(tmp_path, "light", "y = Neg(x)")
    heavy = _model(tmp_path, "heavy", "h = MatMul(x, w)\n y = MatMul(h, v)", w=(16, 512), v=(512, 16))
    result = measure_time(light, heavy, X, pairs=5, threads=1)
    assert len(result.pairs) == len(result.ratios) == 5
    assert result.ratio == sorted(result.ratios)[2]
    assert result.ratio > 3
    assert result.chunked_s > result.baseline_s > 0


@linux
@pytest.mark.parametrize(
    ("limit", "settled", "pairs"),
    [(None, False, 3), (1.0, True, 3), (1.0, False, MOST_PAIRS)],
    ids=["nothing to settle", "settled", "open"],
)
def test_pairs_go_on_while_the_side_of_the_limit_is_open(
    limit: float | None, settled: bool, pairs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _model(tmp_path, "light", "y = Neg(x)")
    monkeypatch.setattr(launch, "call", lambda function, request, **_: function(request))
    monkeypatch.setattr(measure, "is_settled", lambda _, at: at is None or settled)
    assert len(measure_time(path, path, X, limit=limit, pairs=3, threads=1).pairs) == pairs


def test_pairs_are_spread_over_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def call(_: object, request: dict[str, object], **__: object) -> dict[str, object]:
        asked.append((request["pairs"], request["swapped"]))
        return {"pairs": [(1.0, 2.0)] * int(str(request["pairs"]))}

    monkeypatch.setattr(launch, "call", call)
    found = measure_time(tmp_path / "a", tmp_path / "b", X, pairs=7)
    assert asked == [(3, False), (3, True), (1, False)]
    assert (found.ratio, len(found.pairs)) == (2.0, 7)


def test_pairs_end_when_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _model(tmp_path, "light", "y = Neg(x)")
    monkeypatch.setattr(launch, "call", lambda function, request, **_: function(request))
    monkeypatch.setattr(measure, "is_settled", lambda *_: False)
    monkeypatch.setattr(measure, "LONGEST_S", 0.0)
    assert len(measure_time(path, path, X, limit=1.0, pairs=4, threads=1).pairs) == 4


@pytest.mark.parametrize(
    ("above", "below", "probability"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 5, 1.0),
        (7, 0, 2 / 128),
        (0, 7, 2 / 128),
        (6, 1, 16 / 128),
        (8, 1, 20 / 512),
        (21, 10, 0.0708),
    ],
)
def test_sign_test(above: int, below: int, probability: float) -> None:
    assert sign_test(above, below) == pytest.approx(probability, rel=1e-3)


@pytest.mark.parametrize(
    ("ratios", "limit", "settled"),
    [
        ([1.0] * 7, 1.05, True),
        ([1.1] * 7, 1.05, True),
        ([1.0] * 6 + [1.1], 1.05, False),
        ([1.0] * 8 + [1.1], 1.05, True),
        ([1.05] * 31, 1.05, False),
        ([1.0, 1.1], None, True),
    ],
)
def test_when_a_ratio_is_settled(ratios: list[float], limit: float | None, settled: bool) -> None:
    assert is_settled([(1.0, ratio) for ratio in ratios], limit) is settled


def test_time_needs_a_pair(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pairs=0"):
        measure_time(tmp_path / "a", tmp_path / "b", {}, pairs=0)
