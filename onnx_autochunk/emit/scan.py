"""The form scan: one body, run by a Scan over the chunks; an uneven rest is written out behind it.

    x [1, 4096, 768] -Reshape-> [32, 1, 128, 768] -Scan-> [32, 1, 128, 768] -Reshape-> [1, 4096, 768]

Scan hands views of its inputs to the body and lets the body write into the output, so nothing is copied when
the cut axis is outermost. Any other input is sliced inside the body, at a start that Scan hands in; any other
output is transposed afterwards. Weights are captured, packed once, and no copy of the body costs time to
load. Source: onnxruntime/core/providers/cpu/controlflow/scan_utils.cc.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..plan.plan import PlannedRegion
from ..plan.price import in_front, is_view
from ..plan.region import Cut
from .body import Weaving, copy_ops
from .scope import Scope, shape_of
from .unroll import concat, emit_chunk


def emit_scan(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """Write a region as a Scan; the whole outputs by their old names."""
    chunking, outputs = planned.chunking, planned.region.outputs
    stacked = _scan(weaving, scope, planned)
    whole = {cut.value: _unstack(weaving, scope, planned, cut, value) for cut, value in stacked.items()}
    if not chunking.tail:
        return whole
    rest = emit_chunk(weaving, scope, planned, chunking.bounds[-1], chunking.count)
    return {
        cut.value: concat(weaving, scope, planned, at, [whole[cut.value], rest[cut.value]])
        for at, cut in enumerate(outputs)
    }


def _scan(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[Cut, ir.Value]:
    """The Scan node; its stacked outputs `(count, *chunk shape)`."""
    region, chunking = planned.region, planned.chunking
    body = Scope(f"{scope.prefix}/body", scope.names)
    feeds: list[tuple[ir.Value, ir.Value]] = []  # what Scan reads, what the body sees
    slices = {}
    for cut in region.sliced:
        view = is_view(weaving.graph, cut, even=not chunking.tail)
        slices[cut] = (_view if view else _slice_inside)(weaving, scope, body, planned, cut, feeds)
    if not feeds:
        feeds.append(_starts(scope, body, planned, 1)[0])
    made = copy_ops(weaving, body, region, chunking.length, slices)
    results = [made[cut.value] for cut in region.outputs]
    inner = ir.Graph(
        [seen for _, seen in feeds],
        results,
        nodes=body.nodes,
        initializers=list(body.constants.values()),
        name=body.prefix,
    )
    outputs = [
        scope.value(f"{cut.value}/stacked", value.dtype, (chunking.count, *(value.shape or ())))
        for cut, value in zip(region.outputs, results, strict=True)
    ]
    attributes = [ir.AttrGraph("body", inner), ir.AttrInt64("num_scan_inputs", len(feeds))]
    name = scope.names.fresh(f"{scope.prefix}/Scan")
    scope.nodes.append(
        ir.Node("", "Scan", [read for read, _ in feeds], attributes, outputs=outputs, name=name)
    )
    return dict(zip(region.outputs, outputs, strict=True))


def _view(
    weaving: Weaving,
    scope: Scope,
    body: Scope,
    planned: PlannedRegion,
    cut: Cut,
    feeds: list[tuple[ir.Value, ir.Value]],
) -> ir.Value:
    value, chunking = weaving.values[cut.value], planned.chunking
    shape = cut.position.sliced_shape(weaving.shape(cut.value), chunking.length)
    stacked = scope.reshape(value, (chunking.count, *shape), f"{cut.value}/chunks")
    seen = body.value(f"{cut.value}/slice", value.dtype, shape)
    feeds.append((stacked, seen))
    return seen


def _slice_inside(
    weaving: Weaving,
    scope: Scope,
    body: Scope,
    planned: PlannedRegion,
    cut: Cut,
    feeds: list[tuple[ir.Value, ir.Value]],
) -> ir.Value:
    value, unit = weaving.values[cut.value], cut.position.unit
    bounds = _starts(scope, body, planned, unit)
    known = {read.name: seen for read, seen in feeds}
    feeds += [pair for pair in bounds if pair[0].name not in known]
    start, end = (known.get(read.name, seen) for read, seen in bounds)
    shape = cut.position.sliced_shape(weaving.shape(cut.value), planned.chunking.length)
    result = body.value(f"{cut.value}/slice", value.dtype, shape)
    return body.call("Slice", [value, start, end, body.constant([cut.position.axis])], result)


def _starts(scope: Scope, body: Scope, planned: PlannedRegion, unit: int) -> list[tuple[ir.Value, ir.Value]]:
    """Where each chunk starts and ends, as inputs of the Scan and of its body."""
    length = planned.chunking.length * unit
    starts = np.arange(planned.chunking.count, dtype=np.int64)[:, None] * length
    return [
        (scope.constant(array), body.value(label, ir.DataType.INT64, (1,)))
        for array, label in ((starts, "start"), (starts + length, "end"))
    ]


def _unstack(weaving: Weaving, scope: Scope, planned: PlannedRegion, cut: Cut, stacked: ir.Value) -> ir.Value:
    """`(count, ..., length, ...)` -> `(..., count * length, ...)`: free when the axis is outermost."""
    axis, chunking = cut.position.axis, planned.chunking
    whole = cut.position.sliced_shape(weaving.shape(cut.value), chunking.length * chunking.count)
    if not in_front(weaving.graph.values[cut.value], cut.position):
        shape = shape_of(stacked)
        order = (*range(1, axis + 1), 0, *range(axis + 1, len(shape)))
        turned = scope.value(f"{cut.value}/turned", stacked.dtype, [shape[a] for a in order])
        stacked = scope.call("Transpose", [stacked], turned, {"perm": order})
    return scope.reshape(stacked, whole, cut.value)
