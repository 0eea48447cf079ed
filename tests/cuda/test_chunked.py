"""The example models, chunked for CUDA in each form: no body leaves the GPU, or runs badly there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx.parser
import pytest

from onnx_autochunk import autochunk
from onnx_autochunk.cuda.check import check
from onnx_autochunk.cuda.findings import CudaReport, Kind
from onnx_autochunk.errors import UsageError
from onnx_autochunk.graph.functions import defined
from onnx_autochunk.graph.load import load
from onnx_autochunk.report.record import Status
from onnx_autochunk.verify.equality import compare_models
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from tests.example_models import exported
from tools.bench import count_alone
from tools.cuda_static import main

FORMS = ("auto", "scan", "unroll")
MODELS = [
    *(("gpt2", dtype, form) for dtype in ("float32", "float16", "bfloat16") for form in FORMS),
    *(("vit", dtype, form) for dtype in ("float32", "float16", "bfloat16") for form in FORMS),
    *(("evoformer", "float32", form) for form in FORMS),
    ("evoformer", "float16", "auto"),
    ("unet", "float16", "auto"),
    ("unet", "bfloat16", "auto"),  # an Evoformer of bfloat16 is no valid model: Einsum does not take it
    ("gpt2", "float32", "sweep"),
    ("vit", "float32", "sweep"),
]
TOKENS = {"batch": 2, "tokens": 512}
OPEN = [
    ("gpt2-open", "bfloat16", TOKENS),
    ("bert-open", "float16", TOKENS),
    ("vit-open", "float16", {"batch": 1, "height": 256, "width": 272}),
]
NO_DIMS: Mapping[str, int] = {}
WRITTEN_OUT = {Kind.PARTS}  # Concats of a last chunk that is shorter, and of the models: once in a run


def chunked(
    source: Path, form: str, target: Path, provider: str = "cuda", dims: Mapping[str, int] = NO_DIMS
) -> CudaReport:
    result = autochunk(
        source, budget="40%", form=form, provider=provider, dims=dims, no_verify=True, best_effort=True
    )
    forms = {region.form for region in result.report.regions}
    assert forms and (form == "auto" or forms == {form})
    result.save(target)
    return check(defined(load(target, dims=dims)).graph)


def check_found(report: CudaReport, source: Path, dims: Mapping[str, int] = NO_DIMS) -> None:
    """Bodies stay on the GPU, and the rest leaves it where the original does: UNet's Resize of bfloat16."""
    assert report.bad == ()
    assert {finding.times for finding in report.findings} <= {1}
    more = {(found.kind, found.type, found.why) for found in report.findings if found.kind not in WRITTEN_OUT}
    if more:
        own = check(defined(load(source, dims=dims)).graph).findings
        assert more <= {(found.kind, found.type, found.why) for found in own}


@pytest.mark.parametrize(("name", "dtype", "form"), MODELS)
def test_chunked_for_cuda_nothing_leaves_the_gpu(
    name: str, dtype: str, form: str, exports: Path, tmp_path: Path
) -> None:
    source = exported(name, exports, dtype)
    check_found(chunked(source, form, tmp_path / "out.onnx"), source)


@pytest.mark.parametrize(("name", "dtype", "dims"), OPEN)
def test_with_open_sizes_nothing_leaves_the_gpu_either(
    name: str, dtype: str, dims: Mapping[str, int], exports: Path, tmp_path: Path
) -> None:
    source = exported(name, exports, dtype)
    check_found(chunked(source, "auto", tmp_path / "out.onnx", dims=dims), source, dims)


# Masks, of 1024 keys, 1022, and 1025 (an export's, that hides nothing): a multiple of 4 is asked for.
FUSED = [
    ("gpt2-fused", "float16", False),
    ("gpt2-fused", "float32", False),
    ("gpt2-fused-uneven", "float16", True),
    ("vit-fused", "float16", True),
    ("vit-contrib", "float16", False),
    ("vit-contrib", "float32", False),
]


@pytest.mark.parametrize(("name", "dtype", "in_bodies"), FUSED)
def test_attention_is_chunked_where_no_kernel_is_linear(
    name: str, dtype: str, in_bodies: bool, exports: Path, tmp_path: Path
) -> None:
    source, target = exported(name, exports, dtype), tmp_path / "out.onnx"
    autochunk(source, budget="40%", provider="cuda", no_verify=True, best_effort=True).save(target)
    check_found(check(load(target).graph), source)
    kind = "MultiHeadAttention" if "contrib" in name else "Attention"
    assert count_alone(source, kind) == 2
    assert count_alone(target, kind) == (0 if in_bodies else 2)


@pytest.mark.parametrize("form", FORMS)
def test_group_normalization_is_chunked_by_groups(form: str, tmp_path: Path) -> None:
    """No provider has a kernel for it: it runs as ONNX defines it, in a body too."""
    x = "float[1,64,64,64]"
    source = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["": 21]> g ({x} x) => ({x} y)
        <{x} n, float[64] s = {{{", ".join(["1"] * 64)}}}> {{
            a = Relu(x)  n = GroupNormalization<num_groups=32>(a, s, s)  b = Exp(n)  y = Add(a, b)
        }}"""
    )
    target = tmp_path / "out.onnx"
    result = autochunk(source, budget="80%", provider="cuda", form=form, no_verify=True)
    result.save(target)
    assert result.report.status is Status.CHUNKED
    assert count_alone(target, "GroupNormalization") == 0
    assert check(defined(load(target)).graph).bad == ()


@pytest.mark.parametrize("name", ["gpt2", "vit", "evoformer"])
def test_chunked_for_cuda_a_model_computes_the_same(name: str, exports: Path, tmp_path: Path) -> None:
    source, target = exported(name, exports), tmp_path / "out.onnx"
    chunked(source, "scan", target)
    inputs = [random_inputs(read_specs(source), seed=0)]
    assert compare_models(source, target, inputs, threads=1).passed


def test_chunked_for_cuda_open_sizes_give_the_same(exports: Path, tmp_path: Path) -> None:
    source, target = exported("gpt2-open", exports), tmp_path / "out.onnx"
    check_found(chunked(source, "auto", target, dims=TOKENS), source, TOKENS)
    for sizes in (TOKENS, {"batch": 1, "tokens": 301}):
        inputs = [random_inputs(read_specs(source, dims=sizes), seed=0)]
        assert compare_models(source, target, inputs, threads=1).passed


def test_what_would_lose_its_kernel_keeps_its_opset(exports: Path) -> None:
    with pytest.raises(UsageError, match=r"InstanceNormalization .* would lose its CUDA kernel"):
        autochunk(exported("unet", exports), form="sweep", provider="cuda", no_verify=True)


def test_the_command_prints_a_table_and_fails_where_a_body_leaves_the_gpu(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = exported("gpt2", exports)
    report = chunked(source, "scan", tmp_path / "scan.onnx", provider="cpu")
    assert {(finding.kind, finding.type) for finding in report.bad} == {(Kind.COPY, "Scan")}
    assert main([str(source)]) == 0
    assert capsys.readouterr().out == f"## {source}\n\nNothing found.\n\n"
    assert main([str(source), str(tmp_path / "scan.onnx")]) == 1
    assert "| to the CPU | 1 |" in capsys.readouterr().out
