"""The command that checks models on a GPU, run on the CPU: every step, what it writes, and how it ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from onnx_autochunk.errors import ModelError
from onnx_autochunk.runtime import launch
from onnx_autochunk.verify import device
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from tests.runtime.small_models import save
from tools import cuda_check, cuda_models
from tools.cuda_check import NO_GPU, Check
from tools.cuda_models import QUICK, Job

TINY = "--layers 1 --tokens 512 --width 64 --heads 4 --vocab 128"


def _invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cuda_check.main, arguments)


def test_without_a_gpu_it_says_so() -> None:
    result = _invoke()
    assert result.exit_code == NO_GPU
    assert "Nothing was run: the NVIDIA driver shows no GPU here" in result.stderr


def test_every_step_runs_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"gpt2": TINY}
    sizes = replace(QUICK, small=table, large=table, side=64)
    monkeypatch.setattr(cuda_check, "QUICK", sizes)
    monkeypatch.setattr(cuda_models, "FORMS", ("scan", "sweep"))
    small, large = cuda_models.jobs(sizes, ["gpt2"], ["float32"], tmp_path, "cpu")
    cuda_models.export("gpt2", small[0].file("original"), TINY)
    shutil.copy(small[0].file("original"), large[0].file("original"))  # exports take seconds
    out = tmp_path / "results.json"
    options = (
        f"--provider cpu --quick --model gpt2 --dtype float32 --workers 1 --out {out} --folder {tmp_path}"
    )
    result = _invoke(*options.split())
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["failed"] == []
    assert found["environment"]["gpu"] is None and found["environment"]["provider"] == "cpu"
    assigned = found["assignment"]["gpt2 float32"]
    assert assigned.keys() == {"original", "scan", "sweep"}
    assert {tuple(form["nodes"]) for form in assigned.values()} == {("CPUExecutionProvider",)}
    assert assigned["scan"]["nodes"]["CPUExecutionProvider"]["Scan"] >= 1
    assert assigned["sweep"]["nodes"]["CPUExecutionProvider"]["TensorScatter"] >= 2
    large = found["large"]["gpt2 float32"]
    assert large["same"]["passed"] and len(large["time"]["pairs"]) == cuda_check.PAIRS
    assert 0 < large["in_use_share"] < 0.5
    assert found["longest"]["gpt2"]["times"] == 2
    assert found["constants"]["cpu"]["dispatch_s"] > 0


@pytest.fixture
def checks(tmp_path: Path) -> Check:
    return Check(tmp_path / "results.json", "cpu", QUICK, tmp_path, 100)


def test_an_error_is_a_result_and_the_rest_goes_on(checks: Check) -> None:
    def lacking() -> dict[str, Any]:
        raise AttributeError("module 'onnxruntime' has no attribute 'OrtValue'")

    checks.step("constants", "cpu", lacking)
    checks.step("constants", "again", lambda: {"dispatch_s": 1.0})
    found = json.loads(checks.out.read_text(encoding="utf-8"))["constants"]
    assert found["cpu"]["error"].startswith("AttributeError: module 'onnxruntime'")
    assert found["again"] == {"dispatch_s": 1.0}
    assert len(checks.failed) == 1 and "constants, cpu: not checked: AttributeError" in checks.failed[0]


def test_no_step_is_started_when_time_is_up(checks: Check) -> None:
    checks.end = 0
    assert checks.step("large", "gpt2", lambda: pytest.fail("started")) == {"skipped": "no time left"}
    assert checks.failed == ["large, gpt2: not checked: no time left"]


def _told(provider: str, op: str, copies: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    return {"nodes": {provider: {op: 1}}, "copy_nodes": copies[0], "copy_calls": copies[1]}


@pytest.mark.parametrize(
    ("scan", "failed"),
    [
        (_told("CUDAExecutionProvider", "Scan"), []),
        (_told("CPUExecutionProvider", "Gather"), []),
        (_told("CPUExecutionProvider", "Acos"), ["gpt2 float32 scan: Acos not on cuda"]),
        (
            _told("CUDAExecutionProvider", "Scan", (2, 18)),
            ["gpt2 float32 scan: 16 copies between devices in bodies"],
        ),
        ({"error": "no kernel"}, ["gpt2 float32 scan: no kernel"]),
    ],
)
def test_what_leaves_the_gpu_fails(
    scan: dict[str, Any], failed: list[str], checks: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("gpt2", TINY, "float32", ("scan",), checks.folder, "cuda")
    checks.provider = "cuda"
    original = _told("CPUExecutionProvider", "Gather")
    monkeypatch.setattr(launch, "call", lambda *_, **__: {"original": original, "scan": scan})
    checks.assignment(job)
    assert checks.failed == failed


def test_what_an_arena_handed_out_is_told_without_a_gpu(tmp_path: Path) -> None:
    path = save(tmp_path, "m", "g (float[1024,256] x) => (float[1024,256] y) { e = Exp(x)  y = Neg(e) }")
    found = device.measure_device(path, random_inputs(read_specs(path), seed=0), provider="cpu", threads=1)
    assert found.bytes == found.in_use_bytes == 2 * 1024 * 256 * 4
    assert (found.held_bytes, found.resident_bytes) == (None, None)
    (tmp_path / "n.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="does not load"):
        device.measure_device(tmp_path / "n.onnx", {}, provider="cpu")
