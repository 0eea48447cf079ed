"""What all example models share: the record that a model's `build` returns, and its way into an ONNX file.

`seeded(gpt2.build, 0, torch.float32, layers=2)` -> `Example` -> `export(example, path)` -> `path` written.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_ir as ir
import torch

EXTERNAL_DATA_ABOVE_BYTES = 1_800_000_000  # protobuf ends at 2 GiB; the rest is for the graph itself


@dataclass(frozen=True, slots=True)
class Example:
    """A module and everything that its export needs to know.

    Attributes:
        inputs: argument name -> example tensor, in the order of the module's `forward`.
        outputs: names of the results.
        dynamic: argument name -> {axis: its name}, for axes that may have any size.
    """

    module: torch.nn.Module
    inputs: Mapping[str, torch.Tensor]
    outputs: tuple[str, ...]
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> Example:
        """The same example for inference, with weights and floating-point inputs in `dtype`."""
        inputs = {name: x.to(dtype) if x.is_floating_point() else x for name, x in self.inputs.items()}
        return replace(self, module=self.module.to(dtype).eval(), inputs=inputs)

    def run(self) -> tuple[torch.Tensor, ...]:
        """The module's results for the example inputs."""
        with torch.no_grad():
            result = self.module(*self.inputs.values())
        return result if isinstance(result, tuple) else (result,)


def seeded(build: Callable[..., Example], seed: int, dtype: torch.dtype, **sizes: int | bool) -> Example:
    """What `build(**sizes)` returns, with weights and inputs that depend on `seed` alone."""
    torch.manual_seed(seed)
    example = build(**sizes)
    _vary_vectors(example.module)
    return example.to(dtype)


def _vary_vectors(module: torch.nn.Module) -> None:
    """Moves biases and norms' scales off the zeros and ones that libraries start from.

    The exporter drops zero biases and merges equal vectors of different layers, which no trained model has.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.02)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the file, its number of nodes, and the bytes of its weights."""

    path: Path
    nodes: int
    weights_bytes: int

    def __str__(self) -> str:
        return f"{self.path}: {self.nodes} nodes, {self.weights_bytes / 2**20:.1f} MiB of weights"


def export(example: Example, path: Path, *, opset: int = 20, verbose: bool = False) -> Exported:
    """Writes `example` as ONNX; weights of more than 1.8 GB go to a data file beside it."""
    with contextlib.nullcontext() if verbose else quiet():
        program = torch.onnx.export(
            example.module,
            tuple(example.inputs.values()),
            input_names=list(example.inputs),
            output_names=list(example.outputs),
            opset_version=opset,
            dynamic_shapes=_dynamic_shapes(example),
            verbose=verbose,
            dynamo=True,
        )
    assert program is not None  # None comes from the TorchScript exporter only
    model = program.model
    weights_bytes = sum(tensor.nbytes for tensor in _weights(model))
    external = f"{path.name}.data" if weights_bytes > EXTERNAL_DATA_ABOVE_BYTES else None
    ir.save(model, path, external_data=external)
    return Exported(path, len(model.graph), weights_bytes)


def _weights(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            yield value.const_value


def _dynamic_shapes(example: Example) -> tuple[dict[int, str], ...] | None:
    if not example.dynamic:
        return None
    return tuple(dict(example.dynamic.get(name, {})) for name in example.inputs)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences the exporter, which prints, logs and warns about things that are not about the model."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
