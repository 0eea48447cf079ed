"""Shapes of values in the blocked channel layout into which ONNX Runtime brings convolutions on the CPU.

A graph that ORT wrote has ops of the domain com.microsoft.nchwc, for which ONNX infers no shape, so
everything up to the next ReorderOutput would count as nothing. `ReorderInput [1,3,64,64]` -> `[1,16,64,64]`.

Source: onnxruntime/core/graph/contrib_ops/nchwc_schema_defs.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from ..graph.model import Graph, Op, Value

DOMAIN = "com.microsoft.nchwc"
BLOCK = 16  # channels in a block; 8 on processors without AVX-512, where few-channel inputs are smaller

Shape: TypeAlias = tuple[int, ...]
Infer: TypeAlias = Callable[[Op, list[Shape]], Shape]


def with_blocked_shapes(graph: Graph) -> Graph:
    """The graph with the shapes of blocked values filled in; the same graph when it has none."""
    if not any(op.domain == DOMAIN for op in graph.ops):
        return graph
    values = dict(graph.values)
    for op in graph.ops:
        if op.outputs:
            _infer(op, values)
    return Graph(graph.ops, values, graph.inputs, graph.outputs)


def blocked_shape(op: Op, shapes: list[Shape]) -> Shape | None:
    """Shape of an op's first result from those of its operands, absent ones left out; None without a rule."""
    rule = _RULES.get(op.type)
    return None if rule is None else rule(op, shapes)


def _infer(op: Op, values: dict[str, Value]) -> None:
    output = values[op.outputs[0]]
    known = [shape for name in op.inputs if name and (shape := values[name].shape) is not None]
    if output.shape is not None or op.type not in _RULES or len(known) < sum(map(bool, op.inputs)):
        return
    dtype = values[op.inputs[0]].dtype if output.dtype == "undefined" else output.dtype
    values[op.outputs[0]] = replace(output, shape=blocked_shape(op, known), dtype=dtype)


def _reorder_input(op: Op, shapes: list[Shape]) -> Shape:
    batch, *rest = shapes[0]
    if op.attributes.get("channels_last", 0):
        rest = [rest[-1], *rest[:-1]]
    return (batch, -(-rest[0] // BLOCK) * BLOCK, *rest[1:])


def _reorder_output(op: Op, shapes: list[Shape]) -> Shape:
    """Back to the channels that there really are."""
    batch, _, *rest = shapes[0]
    channels = int(str(op.attributes["channels"]))
    return (batch, *rest, channels) if op.attributes.get("channels_last", 0) else (batch, channels, *rest)


def _conv(op: Op, shapes: list[Shape]) -> Shape:
    return (shapes[0][0], shapes[1][0], *_windows(op, shapes[0][2:], shapes[1][2:]))


def _pool(op: Op, shapes: list[Shape]) -> Shape:
    return (*shapes[0][:2], *_windows(op, shapes[0][2:], (1,) * (len(shapes[0]) - 2)))


def _global_pool(_: Op, shapes: list[Shape]) -> Shape:
    return (*shapes[0][:2], *(1 for _ in shapes[0][2:]))


def _upsample(op: Op, shapes: list[Shape]) -> Shape:
    scales = _integers(op, "scales", (1,) * len(shapes[0]))
    return tuple(size * scale for size, scale in zip(shapes[0], scales, strict=True))


def _concat(op: Op, shapes: list[Shape]) -> Shape:
    axis = int(str(op.attributes.get("axis", 1))) % len(shapes[0])
    return tuple(sum(shape[i] for shape in shapes) if i == axis else size for i, size in enumerate(shapes[0]))


def _elementwise(_: Op, shapes: list[Shape]) -> Shape:
    return shapes[0]


def _windows(op: Op, sizes: Shape, kernel: Shape) -> Shape:
    """Number of window positions along each axis."""
    ones = (1,) * len(sizes)
    kernel = _integers(op, "kernel_shape", kernel)
    steps, dilations = _integers(op, "strides", ones), _integers(op, "dilations", ones)
    if str(op.attributes.get("auto_pad", "")).startswith("SAME"):
        return tuple(-(-size // step) for size, step in zip(sizes, steps, strict=True))
    pads = _integers(op, "pads", (0,) * (2 * len(sizes)))
    up = op.attributes.get("ceil_mode", 0)
    counts = []
    for axis, size in enumerate(sizes):
        room = size + pads[axis] + pads[axis + len(sizes)] - dilations[axis] * (kernel[axis] - 1) - 1
        counts.append((-(-room // steps[axis]) if up else room // steps[axis]) + 1)
    return tuple(counts)


def _integers(op: Op, name: str, default: Shape) -> Shape:
    value = op.attributes.get(name)
    return tuple(int(v) for v in value) if isinstance(value, tuple) else default


_RULES: Mapping[str, Infer] = {
    "ReorderInput": _reorder_input,
    "ReorderOutput": _reorder_output,
    "Conv": _conv,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalMaxPool": _global_pool,
    "GlobalAveragePool": _global_pool,
    "Upsample": _upsample,
    "Concat": _concat,
    **dict.fromkeys("Add Sum Mul Relu Sigmoid Tanh QuickGelu LeakyRelu Clip".split(), _elementwise),
}
