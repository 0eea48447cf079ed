"""Small versions of the example models: ONNX Runtime computes from the file what torch computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra `models`")

import torch

from models import export as exporting
from models.__main__ import MODELS, main
from models.export import Example

GPT2 = {"layers": 2, "tokens": 64, "width": 48, "heads": 4, "vocab": 128}
VIT = {"layers": 1, "image": 64, "width": 48, "heads": 4}

SIZES: dict[str, dict[str, int]] = {
    "gpt2": GPT2,
    "bert": GPT2,
    "vit": VIT,
    "evoformer": {"blocks": 1, "residues": 16, "sequences": 4},
    "unet": {"latent": 8, "width": 32, "heads": 2},
    "neighbours": {"points": 40, "width": 8, "nearest": 3},
    "pooling": {"queries": 3, "keys": 40, "heads": 2, "width": 8},
}


@dataclass(frozen=True, slots=True)
class Sample:
    example: Example
    path: Path


def example_of(
    model: str, sizes: dict[str, int], *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Example:
    return exporting.seeded(import_module(f"models.{model}").build, seed, dtype, **sizes)


@pytest.fixture(scope="module", params=SIZES)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    example = example_of(request.param, SIZES[request.param])
    path = tmp_path_factory.mktemp("models") / f"{request.param}.onnx"
    exporting.export(example, path)
    return Sample(example, path)


def run_onnx(path: Path, example: Example) -> list[NDArray[np.floating]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    results: list[NDArray[np.floating]] = session.run(
        list(example.outputs), {name: x.numpy() for name, x in example.inputs.items()}
    )
    return results


def check(path: Path, example: Example, *, rtol: float = 1e-3, atol: float = 1e-4) -> None:
    expected = [result.numpy() for result in example.run()]
    actual = run_onnx(path, example)
    assert len(actual) == len(expected) == len(example.outputs)
    for one, other in zip(actual, expected, strict=True):
        assert np.isfinite(other).all() and other.std() > 0.05
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def test_file_computes_what_torch_computes(sample: Sample) -> None:
    check(sample.path, sample.example)


def test_file_is_a_valid_model_of_standard_operators(sample: Sample) -> None:
    model = onnx.load(sample.path)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert [value.name for value in model.graph.input] == list(sample.example.inputs)
    assert [value.name for value in model.graph.output] == list(sample.example.outputs)


def halve(x: torch.Tensor, axes: Mapping[int, str]) -> torch.Tensor:
    """The first half of the elements along the named axes."""
    for axis in axes:
        x = x.narrow(axis, 0, x.shape[axis] // 2)
    return x


@pytest.mark.parametrize(
    ("model", "dims", "half"),
    [
        ("gpt2", ["batch", "tokens"], (1, 32)),
        ("bert", ["batch", "tokens"], (1, 32)),
        ("vit", ["batch", "", "height", "width"], (1, 3, 32, 40)),
    ],
)
def test_dynamic_axes_are_named_and_take_other_sizes(
    model: str, dims: list[str], half: tuple[int, ...], tmp_path: Path
) -> None:
    example = example_of(model, SIZES[model] | {"dynamic": True})
    path = tmp_path / "dynamic.onnx"
    exporting.export(example, path)
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    assert [dim.dim_param for dim in shape.dim] == dims
    check(path, example)
    halved = {name: halve(x, example.dynamic[name]) for name, x in example.inputs.items()}
    assert {tuple(x.shape) for x in halved.values()} == {half}
    check(path, replace(example, inputs=halved))


def test_half_precision_file_computes_nearly_the_same(tmp_path: Path) -> None:
    example = example_of("gpt2", GPT2, dtype=torch.float16)
    path = tmp_path / "half.onnx"
    exporting.export(example, path)
    (actual,) = run_onnx(path, example)
    (expected,) = example_of("gpt2", GPT2).run()
    assert actual.dtype == np.float16
    np.testing.assert_allclose(actual, expected.numpy(), rtol=0, atol=0.02)


@pytest.mark.parametrize(("model", "sizes"), [("gpt2", GPT2), ("vit", VIT)])
def test_fused_attention_is_one_operator(model: str, sizes: dict[str, int], tmp_path: Path) -> None:
    example = example_of(model, sizes | {"fused": True})
    path = tmp_path / "fused.onnx"
    exporting.export(example, path, opset=23)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("Attention") == sizes["layers"] and "Softmax" not in kinds
    check(path, example)


def test_contrib_attention_is_one_operator_of_onnx_runtime(tmp_path: Path) -> None:
    example = example_of("vit", VIT | {"contrib": True})
    path = tmp_path / "contrib.onnx"
    exporting.export(example, path)
    nodes = onnx.load(path).graph.node
    found = [(node.domain, node.op_type) for node in nodes if node.domain]
    assert found == [("com.microsoft", "MultiHeadAttention")] * VIT["layers"]
    assert "Softmax" not in {node.op_type for node in nodes}
    check(path, example)


def test_weights_and_inputs_depend_on_the_seed_alone() -> None:
    one, same, other = (example_of("vit", VIT, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.run()[0], same.run()[0])
    assert not torch.equal(one.run()[0], other.run()[0])
    assert not torch.equal(one.inputs["pixel_values"], other.inputs["pixel_values"])


@pytest.mark.parametrize(
    ("limit_bytes", "files"), [(10**9, ["vit.onnx"]), (10**4, ["vit.onnx", "vit.onnx.data"])]
)
def test_command_writes_one_file_or_weights_beside_it(
    limit_bytes: int, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "EXTERNAL_DATA_ABOVE_BYTES", limit_bytes)
    path = tmp_path / "vit.onnx"
    options = [f"--{name}={size}" for name, size in VIT.items()]
    result = CliRunner().invoke(main, ["vit", str(path), "--opset=18", *options], catch_exceptions=False)
    model = onnx.load(path)
    weights_mib = sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer) / 2**20
    assert result.output == f"{path}: {len(model.graph.node)} nodes, {weights_mib:.1f} MiB of weights\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == files
    assert [opset.version for opset in model.opset_import] == [18]
    check(path, example_of("vit", VIT))


def test_help_lists_every_model_and_its_sizes() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output
    assert set(MODELS) == set(SIZES) and all(model in listed for model in MODELS)
    for model, sizes in SIZES.items():
        options = CliRunner().invoke(main, [model, "--help"]).output
        assert all(f"--{name}" in options for name in [*sizes, "opset", "dtype", "seed"])
