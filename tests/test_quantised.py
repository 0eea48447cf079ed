"""Whole runs on quantised example models: in every form the outputs of the original, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest

from onnx_autochunk import autochunk
from onnx_autochunk.report.record import Status
from onnx_autochunk.runtime.session import exact_options, open_session, run
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from tests.example_models import SIZES, exported

pytest.importorskip("torch", reason="needs the extra `models`")
MODELS: Mapping[str, Mapping[str, int]] = {name: SIZES[name] for name in ("gpt2", "vit")}


@pytest.fixture(scope="module", params=MODELS)
def source(request: pytest.FixtureRequest, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch  # noqa: PLC0415 - takes seconds

    from models import export, quantize  # noqa: PLC0415

    path: Path = tmp_path_factory.mktemp("quantised") / f"{request.param}.onnx"
    build = import_module(f"models.{request.param}").build
    example = export.seeded(build, 0, torch.float32, **MODELS[request.param])
    copyfile(exported(request.param, exports), path)
    quantize.quantize(path, example.inputs)
    return path


@pytest.mark.parametrize("form", ["scan", "unroll", "sweep", "auto"])
def test_outputs_are_those_of_the_original(form: str, source: Path, tmp_path: Path) -> None:
    result = autochunk(source, budget="20%", form=form, no_verify=True)
    assert result.report.status is Status.CHUNKED
    result.save(tmp_path / "out.onnx")
    feeds = random_inputs(read_specs(source), seed=1)
    first, second = (
        run(open_session(path, options=exact_options(threads=1)), feeds)["last_hidden_state"]
        for path in (source, tmp_path / "out.onnx")
    )
    np.testing.assert_array_equal(first, second)


def test_the_plan_gives_the_same_bytes_again(source: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first.onnx", tmp_path / "again.onnx"
    result = autochunk(source, budget="20%", no_verify=True)
    result.save(first)
    result.save_plan(tmp_path / "plan.json")
    autochunk(source, plan=tmp_path / "plan.json", no_verify=True).save(again)
    assert first.read_bytes() == again.read_bytes()
