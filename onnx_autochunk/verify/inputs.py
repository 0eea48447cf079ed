"""What a model is run on: seeded random arrays that make sense to it, or the user's own.

`read_specs("m.onnx", dims={"S": 64})` -> one `InputSpec` an input -> `random_inputs(specs, seed=0)`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import onnx

from ..errors import ModelError, UsageError
from .arrays import Array
from .indices import index_bounds


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What one graph input accepts.

    Attributes:
        shape: sizes; the name of a symbolic dimension where no size was given, "?" where it has no name; None
            when the rank is unknown.
        bound: number of values, from 0 on, that integers may take: the table they index, or 2 for a mask.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...] | None
    bound: int

    def __str__(self) -> str:
        """As in `input_ids int64[1, S]`."""
        sizes = "[...]" if self.shape is None else f"[{', '.join(map(str, self.shape))}]"
        return f"{self.name} {self.dtype}{sizes}"


def read_specs(
    path: str | os.PathLike[str],
    *,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[InputSpec, ...]:
    """What the inputs of a model accept.

    Args:
        path: the ONNX file; weights are not read if they stand in a file of their own.
        dims: sizes of symbolic dimensions, by name.
        shapes: sizes of whole inputs, by name; they go before `dims`.

    Raises:
        ModelError: the file is not an ONNX model, or an input is not a tensor.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf and the file system raise classes without a common base
        raise ModelError(f"{os.fspath(path)}: cannot be read as an ONNX model: {error}") from error
    bounds = index_bounds(model, dims or {})
    constants = {tensor.name for tensor in model.graph.initializer}
    given = shapes or {}
    return tuple(
        _spec(value, given.get(value.name), dims or {}, bounds.get(value.name, 2))
        for value in model.graph.input
        if value.name not in constants
    )


def _spec(
    value: onnx.ValueInfoProto, given: tuple[int, ...] | None, dims: Mapping[str, int], bound: int
) -> InputSpec:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "unknown type"
        raise ModelError(
            f"input {value.name!r} is of {kind}: only models whose inputs are tensors can be run"
        )
    tensor = value.type.tensor_type
    declared = tuple(_size(d, dims) for d in tensor.shape.dim) if tensor.HasField("shape") else None
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return InputSpec(value.name, dtype, declared if given is None else given, bound)


def _size(dim: onnx.TensorShapeProto.Dimension, dims: Mapping[str, int]) -> int | str:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return dims.get(dim.dim_param, dim.dim_param) if dim.dim_param else "?"


def random_inputs(specs: Sequence[InputSpec], *, seed: int) -> dict[str, Array]:
    """Random arrays: normal floats, indices within their tables, masks that leave the first position open.

    Raises:
        UsageError: a size is unknown, or an input holds strings.
    """
    generator = np.random.default_rng(seed)
    return {spec.name: np.asarray(_random(spec, generator)) for spec in specs}


def _random(spec: InputSpec, generator: np.random.Generator) -> Array:
    shape = _sizes(spec)
    if spec.dtype.kind == "O":
        raise UsageError(f"input {spec}: strings cannot be made up; give the inputs with --input-data")
    if spec.dtype == bool or (np.issubdtype(spec.dtype, np.integer) and spec.bound == 2):
        return _mask(shape, generator).astype(spec.dtype)
    if np.issubdtype(spec.dtype, np.integer):
        high = min(spec.bound, int(np.iinfo(spec.dtype).max) + 1)
        return generator.integers(0, high, size=shape).astype(spec.dtype)
    if np.issubdtype(spec.dtype, np.complexfloating):
        return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(spec.dtype)
    return generator.standard_normal(size=shape, dtype=np.float32).astype(spec.dtype)


def _sizes(spec: InputSpec) -> tuple[int, ...]:
    if spec.shape is None:
        raise UsageError(f"input {spec}: its rank is unknown; give the inputs with --input-data")
    sizes = tuple(size for size in spec.shape if isinstance(size, int))
    if len(sizes) < len(spec.shape):
        unknown = next(size for size in spec.shape if isinstance(size, str))
        raise UsageError(f"input {spec}: the size of {unknown!r} is not given; add --dim {unknown}=SIZE")
    return sizes


def _mask(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Three quarters ones. Position 0 is one, because a causal mask with an empty first row gives NaN."""
    if not shape:
        return np.asarray(True)
    mask = generator.random(size=shape) < 0.75
    mask[..., :1] = True
    return mask


def load_inputs(path: str | os.PathLike[str], specs: Sequence[InputSpec]) -> dict[str, Array]:
    """The user's own inputs from an .npz file, checked against what the model declares.

    Raises:
        UsageError: the file cannot be read, or an array is missing, unknown, of another type or shape.
    """
    file = Path(path)
    arrays = _stored(file)
    expected = ", ".join(map(str, specs))
    if unknown := sorted(arrays.keys() - {spec.name for spec in specs}):
        raise UsageError(f"{file}: the model has no input {unknown[0]!r}; it expects {expected}")
    if missing := [spec.name for spec in specs if spec.name not in arrays]:
        raise UsageError(f"{file}: there is no array for input {missing[0]!r}; the model expects {expected}")
    bound: dict[str, int] = {}
    return {spec.name: _checked(file, spec, arrays[spec.name], bound) for spec in specs}


def read_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of the user's own inputs.

    Raises:
        UsageError: the file cannot be read.
    """
    return {name: array.shape for name, array in _stored(Path(path)).items()}


def _stored(file: Path) -> dict[str, Array]:
    try:
        with np.load(file) as stored:
            arrays: dict[str, Array] = dict(stored)
    except (OSError, ValueError, TypeError, BadZipFile) as error:
        raise UsageError(f"{file}: cannot be read as an .npz file: {error}") from error
    return arrays


def _checked(file: Path, spec: InputSpec, array: Array, bound: dict[str, int]) -> Array:
    array = _as_declared(array, spec.dtype)
    got = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
    if array.dtype != spec.dtype or not _fits(spec.shape, array.shape, bound):
        sizes = "".join(f"; {name} is {size} in another input" for name, size in bound.items())
        raise UsageError(f"{file}: the model expects {spec}, the file has {got}{sizes}")
    return array


def _as_declared(array: Array, dtype: np.dtype[Any]) -> Array:
    """An .npz file keeps strings as fixed width, and bfloat16 and float8 as bare bytes."""
    if dtype.kind == "O" and array.dtype.kind == "U":
        return array.astype(object)
    if array.dtype.kind == "V" and array.dtype.itemsize == dtype.itemsize:
        return array.view(dtype)
    return array


def _fits(declared: tuple[int | str, ...] | None, shape: tuple[int, ...], bound: dict[str, int]) -> bool:
    """True when the sizes agree and every symbolic dimension has the same size wherever it stands."""
    if declared is None:
        return True
    if len(declared) != len(shape):
        return False
    for size, got in zip(declared, shape, strict=True):
        expected = bound.setdefault(size, got) if isinstance(size, str) and size != "?" else size
        if expected not in {got, "?"}:
            return False
    return True
