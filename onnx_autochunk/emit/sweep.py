"""The form sweep: chunks go back into the buffer they come from, `Slice(buf) -> body -> TensorScatter(buf)`.

Peak one X where other forms take two, because ORT runs TensorScatter in place; the chain of buffers also
forces the order of the chunks. Needs opset 24. Which input can be the buffer: `plan.hosts`; where there is
none, chunks go into a new one: one X as well, wherever the axis lies.
"""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from ..plan.hosts import sweep_hosts
from ..plan.plan import PlannedRegion
from ..plan.region import Cut
from .body import Weaving
from .calls import members
from .scope import Scope, Shape, shape_of
from .unroll import emit_chunk, emit_chunks

SWEEP_OPSET = 24


def emit_sweep(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """Write a region as a sweep; the whole outputs by their old names."""
    hosts = sweep_hosts(weaving.graph, planned.region)
    if hosts is None:
        return _into_new(weaving, scope, planned)
    inside = members(weaving.graph, planned.region, weaving.rules)
    buffers = {cut.value: weaving.values[cut.value] for cut in planned.region.sliced}
    for number, bounds in enumerate(planned.chunking.bounds):
        chunk = emit_chunk(weaving, scope, planned, inside, bounds, number, buffers)
        for output, host in hosts.items():
            buffers[host.value] = _scatter(
                scope.part(number), buffers[host.value], chunk[output.value], output, bounds[0]
            )
    return {output.value: buffers[host.value] for output, host in hosts.items()}


def _into_new(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """All chunks in new buffers.

    Behind all bodies in the file, so that ORT finishes each buffer before it begins the next body.
    """
    chunks, bounds = emit_chunks(weaving, scope, planned), planned.chunking.bounds
    found = {}
    for output in planned.region.outputs:
        name = output.value
        buffer = _started(scope.part(0), chunks[0][name], weaving.shape(name), name)
        for number, (chunk, (start, _)) in enumerate(zip(chunks, bounds, strict=True)):
            buffer = _scatter(scope.part(number), buffer, chunk[name], output, start)
        found[name] = buffer
    return found


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
