"""Whole runs on example models with open sizes: equal at every size, and small at those planned for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from onnx_autochunk import autochunk
from onnx_autochunk.report.record import Status
from onnx_autochunk.verify.arrays import Array

pytest.importorskip("torch", reason="needs the extra `models`")

SMALL = {"layers": 1, "width": 32, "heads": 2, "dynamic": True}
TEXT = SMALL | {"tokens": 512, "vocab": 64}
MODELS: Mapping[str, Mapping[str, int]] = {"gpt2": TEXT, "bert": TEXT, "vit": SMALL | {"image": 64}}
REFERENCE: Mapping[str, Mapping[str, int]] = {
    "gpt2": {"batch": 1, "tokens": 256},
    "bert": {"batch": 1, "tokens": 256},
    "vit": {"batch": 1, "height": 256, "width": 256},
}
SIZES: Mapping[str, tuple[Mapping[str, int], ...]] = {
    **dict.fromkeys(
        ("gpt2", "bert"),
        tuple({"batch": b, "tokens": t} for b in (0, 1, 3) for t in (0, 1, 7, 127, 128, 256, 301)),
    ),
    "vit": tuple({"batch": b, "height": h, "width": w} for b in (0, 1, 3) for h, w in ((16, 16), (75, 130))),
}


@cache
def _exported(name: str, folder: Path) -> Path:
    import torch  # noqa: PLC0415 - takes seconds

    from models import export  # noqa: PLC0415

    path = folder / f"{name}.onnx"
    example = export.seeded(import_module(f"models.{name}").build, 0, torch.float32, **MODELS[name])
    export.export(example, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dynamic")


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _feeds(session: ort.InferenceSession, sizes: Mapping[str, int]) -> dict[str, Array]:
    generator = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for value in session.get_inputs():
        shape = [sizes.get(dim, dim) for dim in value.shape]
        if value.type == "tensor(float)":
            feeds[value.name] = generator.standard_normal(shape, dtype=np.float32)
        else:
            feeds[value.name] = generator.integers(0, 2 if "mask" in value.name else 64, shape)
            feeds[value.name][:, :1] = 1  # a mask that hides everything gives NaN
    return feeds


@pytest.mark.parametrize("name", MODELS)
def test_every_size_gives_what_the_original_gives(name: str, folder: Path) -> None:
    path = _exported(name, folder)
    result = autochunk(path, dims=REFERENCE[name], max_slowdown=3.0, no_verify=True)
    result.save(folder / f"{name}-chunked.onnx")
    report = result.report
    assert report.status is Status.CHUNKED and report.is_open
    assert (
        report.chunked.predicted_peak_bytes is not None and report.baseline.predicted_peak_bytes is not None
    )
    assert report.chunked.predicted_peak_bytes < 0.2 * report.baseline.predicted_peak_bytes
    original, chunked = _session(path), _session(folder / f"{name}-chunked.onnx")
    assert any(node.op_type == "Scan" for node in result.model.graph)
    for sizes in SIZES[name]:
        feeds = _feeds(original, sizes)
        for one, other in zip(original.run(None, feeds), chunked.run(None, feeds), strict=True):
            assert np.isfinite(one).all() and one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=str(sizes))


def test_a_run_compares_at_several_sizes_and_keeps_its_budget(folder: Path) -> None:
    path = _exported("gpt2", folder)
    report = autochunk(path, dims=REFERENCE["gpt2"], budget="40%", threads=1).report
    assert report.budget_met and report.verify is not None and report.verify.passed
    lengths = [dims["tokens"] for dims in report.verify.dims]
    assert report.verify.runs == len(lengths) and {256, 255, 1} <= set(lengths)


def test_fixed_sizes_are_still_to_be_had(folder: Path) -> None:
    path = _exported("gpt2", folder)
    result = autochunk(path, dims=REFERENCE["gpt2"], max_slowdown=3.0, no_verify=True, fix_dims=True)
    assert not result.report.is_open
    assert list(result.model.graph.inputs[0].shape or ()) == [1, 256]


@pytest.mark.parametrize("fix_dims", [False, True])
def test_a_saved_plan_gives_the_same_model(fix_dims: bool, folder: Path) -> None:
    path = _exported("gpt2", folder)
    first = autochunk(path, dims=REFERENCE["gpt2"], max_slowdown=3.0, no_verify=True, fix_dims=fix_dims)
    again = autochunk(path, plan=first.report.plan, no_verify=True)
    first.save(folder / "first.onnx")
    again.save(folder / "again.onnx")
    assert (folder / "first.onnx").read_bytes() == (folder / "again.onnx").read_bytes()
