"""The form sweep: chunks go back into the buffer they come from, `Slice(buf) -> body -> TensorScatter(buf)`.

Peak one X where other forms take two, because ORT runs TensorScatter in place; the chain of buffers also
forces the order of the chunks. Needs opset 24. Which input can be the buffer: `plan.hosts`; where there is
none, chunks go into a new one: one X as well, wherever the axis lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TypeAlias

import onnx_ir as ir

from ..plan.hosts import sweep_hosts
from ..plan.plan import PlannedRegion
from ..plan.region import Cut
from .body import Weaving, copy_ops
from .calls import chunk_calls, members
from .scope import Scope, Shape, shape_of

SWEEP_OPSET = 24

_Chunk: TypeAlias = tuple[Scope, int, Mapping[Cut, ir.Value]]  # its first step, and what is written of it


def emit_sweep(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """Write a region as a sweep; the whole outputs by their old names."""
    region = planned.region
    hosts = sweep_hosts(weaving.graph, region)
    chunks: list[_Chunk] = []
    buffers = {cut.value: weaving.values[cut.value] for cut in region.sliced}
    inside = members(weaving.graph, region, weaving.rules)
    for number, bounds in enumerate(planned.chunking.bounds):
        inner = Scope(f"{scope.prefix}/{number}", scope.names)
        inner.nodes, inner.constants = scope.nodes, scope.constants
        chunk = chunk_calls(weaving.graph, region, inside, *bounds)
        slices = {
            cut: inner.slice(buffers[cut.value], cut.position.axis, span, f"{cut.value}/slice")
            for cut, span in chunk.slices.items()
        }
        made = copy_ops(weaving, inner, region, inside, chunk, slices, is_first=number == 0)
        updates = {}
        for output in region.outputs:
            span = output.position.range(*bounds, weaving.shape(output.value))
            updates[output] = made[output.value].part(inner, output.position, span, output.value)
        chunks.append((inner, bounds[0], updates))
        for output, host in (hosts or {}).items():
            buffers[host.value] = _scatter(inner, buffers[host.value], updates[output], output, bounds[0])
    if hosts is None:
        return {
            output.value: _gathered(output, weaving.shape(output.value), chunks) for output in region.outputs
        }
    return {output.value: buffers[host.value] for output, host in hosts.items()}


def _gathered(output: Cut, shape: Shape, chunks: Sequence[_Chunk]) -> ir.Value:
    """All chunks in a new buffer.

    Behind all bodies in the file, so that ORT finishes each buffer before it begins the next body.
    """
    scope, _, updates = chunks[0]
    buffer = _started(scope, updates[output], shape, output.value)
    for scope, start, updates in chunks:
        buffer = _scatter(scope, buffer, updates[output], output, start)
    return buffer


def _started(scope: Scope, update: ir.Value, shape: Shape, label: str) -> ir.Value:
    """A buffer to be overwritten: of run-time data, because ORT would hold one made of constants for ever."""
    flat = scope.reshape(update, (prod(shape_of(update)),), f"{label}/flat")
    element = scope.slice(flat, 0, (0, 1), f"{label}/element")
    started = scope.value(f"{label}/started", update.dtype, shape)
    return scope.call("Expand", [element, scope.constant(shape)], started)


def _scatter(scope: Scope, buffer: ir.Value, update: ir.Value, cut: Cut, start: int) -> ir.Value:
    """Write a chunk into the buffer; TensorScatter wants a batch axis in front of the one it writes along."""
    shape = shape_of(buffer)
    axis = cut.position.axis
    if axis:
        return _tensor_scatter(scope, buffer, update, axis, start * cut.position.unit, cut.value)
    batched = scope.reshape(buffer, (1, *shape), f"{cut.value}/batched")
    rows = scope.reshape(update, (1, *shape_of(update)), f"{cut.value}/rows")
    written = _tensor_scatter(scope, batched, rows, 1, start * cut.position.unit, cut.value)
    return scope.reshape(written, shape, f"{cut.value}/swept")


def _tensor_scatter(
    scope: Scope, buffer: ir.Value, update: ir.Value, axis: int, start: int, label: str
) -> ir.Value:
    shape = shape_of(buffer)
    where = scope.constant([start] * shape[0])
    result = scope.value(f"{label}/written", buffer.dtype, shape)
    return scope.call("TensorScatter", [buffer, update, where], result, {"axis": axis})
