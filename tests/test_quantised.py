"""Whole runs on quantised example models: in every form the outputs of the original, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from shutil import copyfile

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from onnx_autochunk import autochunk
from onnx_autochunk.report.record import Status
from onnx_autochunk.runtime.session import exact_options, open_session, run
from onnx_autochunk.verify.arrays import Array
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


CONVOLUTIONS = """<ir_version: 10, opset_import: ["": 21]>
g (float[1,8,96,80] x) => (float[1,8,96,80] y) {
    xq = QuantizeLinear(x, s, z)  a = DequantizeLinear(xq, s, z)
    w = DequantizeLinear<axis=0>(u, ss)  b = DequantizeLinear<axis=0>(o, tt)
    c = Conv<pads=[1,1,1,1]>(a, w, b)  cq = QuantizeLinear(c, s, z)  d = DequantizeLinear(cq, s, z)
    v = DequantizeLinear(p, s)  f = DequantizeLinear(q, t)
    e = Conv<pads=[1,1,1,1]>(d, v, f)  eq = QuantizeLinear(e, s, z)  y = DequantizeLinear(eq, s, z)
}"""


@pytest.mark.parametrize("form", ["unroll", "auto"])
def test_outputs_of_convolutions_with_several_scales_and_biases(form: str, tmp_path: Path) -> None:
    rng, proto = np.random.default_rng(0), onnx.parser.parse_model(CONVOLUTIONS)
    scales = np.linspace(0.001, 0.003, 128, dtype=np.float32)
    numbers = {
        "s": np.float32(0.02), "z": np.uint8(128), "t": np.float32(4e-4), "ss": scales, "tt": scales / 50,
        "u": rng.integers(-99, 99, (128, 8, 3, 3), np.int8), "o": rng.integers(-9999, 9999, 128, np.int32),
        "p": rng.integers(-9, 9, (8, 128, 3, 3), np.int8), "q": rng.integers(-999, 999, 8, np.int32),
    }  # fmt: skip
    proto.graph.initializer.extend(numpy_helper.from_array(np.array(a), name) for name, a in numbers.items())
    result = autochunk(proto, max_slowdown=9, form=form, no_verify=True)
    assert result.report.status is Status.CHUNKED
    result.save(tmp_path / "out.onnx")
    onnx.save(proto, tmp_path / "in.onnx")
    (first,), (second,) = _outputs(tmp_path / "in.onnx", tmp_path / "out.onnx")
    assert np.unique(first).size > 50
    np.testing.assert_array_equal(first, second)


def _outputs(*paths: Path) -> list[list[Array]]:
    """Of each model, for random inputs of the first."""
    feeds = random_inputs(read_specs(paths[0]), seed=1)
    return [list(run(open_session(p, options=exact_options(threads=1)), feeds).values()) for p in paths]


@pytest.mark.parametrize("form", ["scan", "unroll", "sweep", "auto"])
def test_outputs_are_those_of_the_original(form: str, source: Path, tmp_path: Path) -> None:
    result = autochunk(source, budget="20%", form=form, no_verify=True)
    assert result.report.status is Status.CHUNKED
    result.save(tmp_path / "out.onnx")
    (first,), (second,) = _outputs(source, tmp_path / "out.onnx")
    np.testing.assert_array_equal(first, second)


def test_the_plan_gives_the_same_bytes_again(source: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first.onnx", tmp_path / "again.onnx"
    result = autochunk(source, budget="20%", no_verify=True)
    result.save(first)
    result.save_plan(tmp_path / "plan.json")
    autochunk(source, plan=tmp_path / "plan.json", no_verify=True).save(again)
    assert first.read_bytes() == again.read_bytes()
