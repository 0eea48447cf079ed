"""Calls that the GPU runs slowly or wrongly, seen by their shapes.

Paths of sources are below onnxruntime/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from types import MappingProxyType
from typing import TypeAlias

from ..graph.model import Op, Value
from ..options import CUDA_ELEMENTS
from .findings import Kind

MOST_PARTS = 32
ALIGNED_BYTES = 256  # CUDA C++ Programming Guide, "Size and Alignment Requirement": of what allocators return

Values: TypeAlias = Mapping[str, Value]
Said: TypeAlias = Iterator[tuple[str, str]]  # the value concerned, "" for the whole op; and why


def _scanned(op: Op, values: Values) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Name, known shape and axis of each tensor that a Scan takes or makes step by step."""
    states = len(op.inputs) - op.integer("num_scan_inputs", 0)
    sides = ((op.inputs, "scan_input_axes"), (op.outputs, "scan_output_axes"))
    for names, attribute in sides:
        axes = op.attributes.get(attribute)
        for position, name in enumerate(names[states:]):
            shape = values[name].shape if name in values else None
            axis = axes[position] if isinstance(axes, tuple) and axes else 0
            if shape:
                yield name, shape, axis % len(shape)


def _large(op: Op, values: Values) -> Said:
    """Most kernels count elements in 32 bits (core/providers/cuda/shared_inc/fast_divmod.h, CUDA_LONG)."""
    for name in dict.fromkeys((*op.inputs, *op.outputs)):
        shape = values[name].shape if name in values else None
        if shape is not None and prod(shape) > CUDA_ELEMENTS:
            yield name, f"{prod(shape)} elements, more than 2^31"


def _parts(op: Op, values: Values) -> Said:
    """Above 32 parts, or with unequal ones, pointers and sizes are copied to the GPU at each call.

    Three parts of the last axis have a kernel. Source: core/providers/cuda/tensor/{concat,split}.cc.
    """
    if op.domain or op.type not in {"Concat", "Split"}:
        return
    parts = [name for name in (op.inputs if op.type == "Concat" else op.outputs) if name]
    shapes = [values[name].shape for name in parts if name in values]
    if len(parts) > MOST_PARTS:
        yield "", f"{len(parts)} parts, more than {MOST_PARTS}"
    elif len(set(shapes)) > 1 and not (op.type == "Split" and len(parts) == 3 and _is_last(op, shapes[0])):
        yield "", f"{len(parts)} unequal parts"


def _is_last(op: Op, shape: tuple[int, ...] | None) -> bool:
    return bool(shape) and op.integer("axis", 0) in {-1, len(shape or ()) - 1}


def _strides(op: Op, values: Values) -> Said:
    """A Scan along axis 0 gives each iteration a view (core/providers/cpu/controlflow/scan_utils.cc).

    Views below 256 bytes are bounds and the like, whose place does not matter; nor does that of indices.
    """
    if op.type != "Scan":
        return
    indices = _indices(op)
    for name, shape, axis in _scanned(op, values):
        if name in indices:
            continue
        stride = values[name].nbytes // max(shape[0], 1)
        if axis == 0 and shape[0] > 1 and stride > ALIGNED_BYTES and stride % ALIGNED_BYTES:
            yield name, f"views {stride} bytes apart, not a multiple of {ALIGNED_BYTES}"


def _indices(op: Op) -> frozenset[str]:
    """What the body of a Scan reads as the indices of a Gather alone, whose kernel takes them one by one."""
    body = op.subgraphs["body"]
    return frozenset(
        name
        for name, inner in zip(op.inputs, body.inputs, strict=True)
        if all(
            reader.type == "Gather" and inner == reader.inputs[1] for reader in body.consumers.get(inner, ())
        )
    )


LOOKS: Mapping[Kind, Callable[[Op, Values], Said]] = MappingProxyType(
    {Kind.LARGE: _large, Kind.PARTS: _parts, Kind.STRIDE: _strides}
)
