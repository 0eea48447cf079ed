"""What the example models, chunked in each form, would do badly on CUDA: these kinds of findings only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onnx_autochunk import autochunk
from onnx_autochunk.cuda.check import check
from onnx_autochunk.cuda.findings import CudaReport
from onnx_autochunk.graph.load import load
from tests.example_models import exported
from tools.cuda_static import main

BOUNDS = (
    "copied Scan to the CPU"  # of the Slices in a body: they are scanned, and a Scan keeps them on the GPU
)
UNEQUAL = "slow parts Concat N unequal parts"  # a last chunk that is shorter, and Concats of the models
MANY = "slow parts Concat N parts, more than N"
VIEWS = "unaligned Scan views N bytes apart, not a multiple of N"
NORMS = {  # a sweep raises the opset to 24, and CUDA's kernel of this operator ends with opset 21
    "runs on the CPU InstanceNormalization no CUDA kernel for version N of the operator",
    "copied InstanceNormalization to the CPU",
    "copied Reshape to the GPU",
}
FINDINGS = [
    ("gpt2", "float32", "scan", {BOUNDS, UNEQUAL}),
    ("gpt2", "float32", "sweep", set()),
    ("gpt2", "float32", "unroll", {UNEQUAL}),
    ("gpt2", "float16", "scan", {BOUNDS}),
    ("gpt2", "float16", "sweep", set()),
    ("gpt2", "float16", "unroll", set()),
    ("gpt2", "bfloat16", "scan", {BOUNDS}),
    ("gpt2", "bfloat16", "sweep", set()),
    ("gpt2", "bfloat16", "unroll", set()),
    ("vit", "float32", "scan", {BOUNDS, UNEQUAL, VIEWS}),
    ("vit", "float32", "sweep", {UNEQUAL}),
    ("vit", "float32", "unroll", {UNEQUAL}),
    ("vit", "float16", "scan", {BOUNDS, UNEQUAL, VIEWS}),
    ("vit", "float16", "unroll", {UNEQUAL}),
    ("evoformer", "float32", "scan", {BOUNDS}),
    ("evoformer", "float32", "unroll", {UNEQUAL, MANY}),
    ("unet", "float32", "sweep", {UNEQUAL, *NORMS}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def chunked(source: Path, form: str, target: Path) -> CudaReport:
    result = autochunk(source, budget="40%", form=form, no_verify=True, best_effort=True)
    assert {region.form for region in result.report.regions} == {form}
    result.save(target)
    return check(load(target).graph)


def kinds(report: CudaReport) -> set[str]:
    return {re.sub(r"\d+", "N", f"{f.kind.value} {f.type} {f.why}") for f in report.findings}


@pytest.mark.parametrize(("name", "dtype", "form", "findings"), FINDINGS)
def test_findings_of_chunked_models(
    name: str, dtype: str, form: str, findings: set[str], folder: Path, tmp_path: Path
) -> None:
    report = chunked(exported(name, folder, dtype), form, tmp_path / "out.onnx")
    assert kinds(report) == findings
    assert kinds(CudaReport(report.bad)) == findings & {BOUNDS}


def test_the_command_prints_a_table_and_fails_where_a_body_leaves_the_gpu(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = exported("gpt2", folder)
    chunked(source, "scan", tmp_path / "scan.onnx")
    assert main([str(source)]) == 0
    assert capsys.readouterr().out == f"## {source}\n\nNothing found.\n\n"
    assert main([str(source), str(tmp_path / "scan.onnx")]) == 1
    assert "body/start | to the CPU | 1" in capsys.readouterr().out
