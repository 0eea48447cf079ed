"""Whole runs on the example models: same outputs, and as little memory as was asked for, as measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import onnx
import pytest

from onnx_autochunk import autochunk
from onnx_autochunk.report.record import Report, Status
from onnx_autochunk.verify import bench
from onnx_autochunk.verify.arrays import Array
from onnx_autochunk.verify.measure import PeakMeasurement, TimeMeasurement, measure_peak
from tests.example_models import exported

pytest.importorskip("torch", reason="needs the extra `models`")

MIB = 2**20


@cache
def _baseline(path: Path) -> PeakMeasurement:
    return measure_peak(path, _inputs[path], threads=1, default_session=False)


_inputs: dict[Path, Mapping[str, Array]] = {}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, exports: Path) -> None:
    """Leave out of runs what tests do not look at: default sessions, and time, on which no budget depends."""

    def peak(path: Path, inputs: Mapping[str, Array], **options: Any) -> PeakMeasurement:
        if path.parent == exports:
            _inputs.setdefault(path, inputs)
            return _baseline(path)
        return measure_peak(path, inputs, **options, default_session=False)

    def untimed(*_: object, **__: object) -> TimeMeasurement:
        return TimeMeasurement(1.0, 1.0, 1.0, ((1.0, 1.0),))

    monkeypatch.setattr(bench, "measure_peak", peak)
    monkeypatch.setattr(bench, "measure_time", untimed)


RUNS = [
    *[("gpt2", form, 20) for form in ("auto", "scan", "sweep", "unroll")],
    *[("vit", form, 40) for form in ("auto", "scan", "sweep", "unroll")],
    *[("evoformer", form, 40) for form in ("auto", "unroll")],
    *[("unet", form, 40) for form in ("auto", "sweep")],
    *[(f"{name}-fused", "auto", 20) for name in ("gpt2", "vit")],  # one operator holds all scores
    ("neighbours", "auto", 2),  # all distances are many times what goes in and comes out
]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("name", "form", "percent"), RUNS)
def test_a_budget_is_met_as_measured(
    name: str, form: str, percent: int, exports: Path, tmp_path: Path
) -> None:
    source = exported(name, exports)
    result = autochunk(source, budget=f"{percent}%", form=form, threads=1)
    report = result.report
    assert (report.status, report.message) == (Status.CHUNKED, "")
    assert report.verify is not None and report.verify.passed
    assert form == "auto" or {region.form for region in report.regions} == {form}
    _check_memory(report, percent / 100)
    result.save(tmp_path / "out.onnx")
    _check_interface(source, tmp_path / "out.onnx")


def _check_memory(report: Report, share: float) -> None:
    """Enough activations to measure, the budget met, and the prediction right."""
    before, after = report.baseline, report.chunked
    assert before.measured_peak_bytes is not None and before.predicted_peak_bytes is not None
    assert after.measured_peak_bytes is not None and after.predicted_peak_bytes is not None
    assert before.measured_peak_bytes > 24 * MIB
    assert report.budget_met is True
    assert after.measured_peak_bytes <= share * before.measured_peak_bytes
    for cost in (before, after):
        measured, predicted = cost.measured_peak_bytes or 0, cost.predicted_peak_bytes or 0
        assert abs(measured - predicted) <= max(0.03 * measured, 1 * MIB)


def _check_interface(source: Path, out: Path) -> None:
    onnx.checker.check_model(out, full_check=True)
    before, after = onnx.load(source), onnx.load(out)
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)


@pytest.fixture(scope="session")
def gpt2(exports: Path) -> Path:
    return exported("gpt2", exports)


def test_within_a_time_ratio_the_least_memory_is_taken(gpt2: Path) -> None:
    report = autochunk(gpt2, max_slowdown=4.0, threads=1).report
    assert report.status is Status.CHUNKED
    assert report.slowdown_measured is not None and report.slowdown_measured <= 4.0
    assert report.baseline.latency_s and report.chunked.latency_s
    _check_memory_against(report, 0.2)


def _check_memory_against(report: Report, share: float) -> None:
    before, after = report.baseline.measured_peak_bytes, report.chunked.measured_peak_bytes
    assert before and after and after <= share * before


_command = partial(subprocess.run, capture_output=True, text=True, check=False, timeout=240)


def _run(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "onnx_autochunk", *map(str, arguments), "--threads", "1"]
    return _command(line, cwd=folder, env=_environment(folder) | environment)


def _environment(folder: Path) -> dict[str, str]:
    """The package importable from anywhere, and a folder for temporary files whose contents can be seen."""
    (folder / "tmp").mkdir(exist_ok=True)
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(folder / "tmp")}


def _left(folder: Path) -> list[str]:
    """Files that are there; but for one that ONNX Runtime keeps beside temporary files."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in files if name not in ("tmp", "tmp/.ses"))


def test_the_command_chunks_once_and_then_leaves_alone(gpt2: Path, tmp_path: Path) -> None:
    first = _run(gpt2, "out.onnx", "--budget", "30%", "--report", "r.json", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert _left(tmp_path) == ["out.onnx", "r.json"]
    assert json.loads((tmp_path / "r.json").read_text())["status"] == "chunked"
    second = _run("out.onnx", "again.onnx", "--budget", "10%", "--json", folder=tmp_path)
    assert second.returncode == 0, second.stderr
    report = json.loads(second.stdout)
    assert report["status"] == "unchanged"
    assert "has chunked this model before" in report["message"]
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "out.onnx").read_bytes()


def test_a_saved_plan_is_carried_out_to_the_same_bytes(gpt2: Path, tmp_path: Path) -> None:
    first = _run(gpt2, "out.onnx", "--budget", "30%", "--report", "r.json", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    for number, options in enumerate((("--no-verify",), ("--budget", "30%", "--json"))):
        again = _run(gpt2, f"{number}.onnx", "--plan", "r.json", *options, folder=tmp_path)
        assert again.returncode == 0, again.stderr
        assert (tmp_path / f"{number}.onnx").read_bytes() == (tmp_path / "out.onnx").read_bytes()
    report = json.loads(again.stdout)
    assert report["verify"]["passed"] and report["budget_met"]
    other = _run("out.onnx", "other.onnx", "--plan", "r.json", folder=tmp_path)
    assert other.returncode == 2
    assert "the plan is for another model: there are" in other.stderr
    assert not (tmp_path / "other.onnx").exists()


def test_a_budget_below_the_floor_names_the_floor_and_writes_nothing(gpt2: Path, tmp_path: Path) -> None:
    result = _run(gpt2, "out.onnx", "--budget", "200KiB", folder=tmp_path)
    assert result.returncode == 3
    assert "the budget of 0.2 MiB cannot be met. The floor is about 1.0 MiB; it is made by" in result.stderr
    assert "Traceback" not in result.stderr
    assert _left(tmp_path) == []


def test_best_effort_writes_the_smallest_plan_verified_and_measured(gpt2: Path, tmp_path: Path) -> None:
    result = _run(
        gpt2, "out.onnx", "--budget", "200KiB", "--best-effort", "--report", "r.json", folder=tmp_path
    )
    assert result.returncode == 3, result.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["status"], report["budget_met"]) == ("missed", False)
    assert report["verify"]["passed"] and report["regions"]
    assert report["chunked"]["measured_peak_bytes"] < 0.15 * report["baseline"]["measured_peak_bytes"]
    assert _left(tmp_path) == ["out.onnx", "r.json"]
    _check_interface(gpt2, tmp_path / "out.onnx")


def test_the_plan_can_be_read_before_anything_runs(gpt2: Path, tmp_path: Path) -> None:
    result = _run(gpt2, "--plan-only", "--json", "--budget", "20%", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["status"] == "planned"
    assert report["chunked"]["predicted_peak_bytes"] < 0.2 * report["baseline"]["predicted_peak_bytes"]
    assert report["chunked"]["measured_peak_bytes"] is None
    assert len(report["regions"]) >= 2  # one for the attention of each layer at least
    for region in report["regions"]:
        assert region["axis"].startswith("1 of ")  # (batch, tokens, channels)
        assert region["count"] == -(-1024 // region["length"])
    attention = report["regions"][0]
    made_whole = {name.removeprefix("node_") for name in attention["hoisted"]}
    read_whole = {"transpose_1", "transpose_3"} - made_whole  # keys and values of the first layer
    assert read_whole <= set(attention["inputs"])
    assert any("transpose" in name.lower() for name in attention["hoisted"])
    assert _left(tmp_path) == []


def _chunked_values(source: Path, options: Mapping[str, Any]) -> set[str]:
    plan = autochunk(source, plan_only=True, max_slowdown=9.0, **options).plan
    return set() if plan is None else {value for planned in plan.regions for value in planned.region.flow}


def test_only_nodes_that_are_asked_for_are_chunked(gpt2: Path) -> None:
    chunked = _chunked_values(gpt2, {})
    assert {"softmax", "softmax_1", "tanh", "tanh_1"} <= chunked
    without = _chunked_values(gpt2, {"exclude": "tanh"})
    assert {"softmax", "softmax_1"} <= without and not without & {"tanh", "tanh_1"}
    only = _chunked_values(gpt2, {"include": "(?<!softmax_1)$"})
    # What stays whole sets the least peak that can be had, so nothing else has to be chunked to reach it.
    assert "softmax_1" not in only
    assert _chunked_values(gpt2, {"exclude": "."}) == set()


BLOCKED = """
import sys
sys.modules["onnxruntime"] = None
from onnx_autochunk.cli import main
main()
"""


def test_without_verification_onnxruntime_is_not_needed(gpt2: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-c", BLOCKED, str(gpt2), "out.onnx", "--no-verify", "--json"]
    result = _command(line, cwd=tmp_path, env=_environment(tmp_path))
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["status"] == "chunked"
    assert report["verify"] is None and report["chunked"]["measured_peak_bytes"] is None
    _check_interface(gpt2, tmp_path / "out.onnx")


def test_a_failed_run_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    result = _run("bad.onnx", "out.onnx", folder=tmp_path)
    assert result.returncode == 1
    assert "not a readable ONNX model" in result.stderr
    assert _left(tmp_path) == ["bad.onnx"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_run_leaves_the_old_file_as_it_was(
    number: signal.Signals, gpt2: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.onnx").write_bytes(b"the old model")
    line = [sys.executable, "-m", "onnx_autochunk", str(gpt2), "out.onnx", "--threads", "1"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            line,
            cwd=tmp_path,
            env=_environment(tmp_path),
            stderr=log,
            stdout=log,
            start_new_session=True,
            preexec_fn=_hear_interrupts,  # noqa: PLW1509 - no thread runs yet
        )
        _wait_for_a_child(tmp_path / "tmp", process)
        os.killpg(process.pid, number)  # as a terminal does
        assert process.wait(timeout=60) == (1 if number == signal.SIGINT else -number)
    assert (tmp_path / "out.onnx").read_bytes() == b"the old model"
    if number == signal.SIGINT:
        assert _left(tmp_path) == ["log", "out.onnx"]
        assert "Aborted!" in (tmp_path / "log").read_text()
    else:
        assert [name for name in _left(tmp_path) if not name.startswith("tmp/")] == ["log", "out.onnx"]


def _hear_interrupts() -> None:
    """What a shell starts in the background ignores them, and so would the run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait_for_a_child(temporary: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not any(temporary.glob("onnx_autochunk-*/log.txt")):  # what a child prints goes there
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
