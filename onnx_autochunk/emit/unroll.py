"""The form unroll: every chunk written out, `Slice -> body -> ... -> Concat`.

Works along any axis and with any tail; peak two of each output; every copy is optimised and prepacked when
loading.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from ..plan.plan import PlannedRegion
from .body import Weaving, copy_ops
from .calls import Member, chunk_calls, members
from .scope import Scope


def emit_unroll(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """Write a region out; the whole outputs by their old names."""
    chunks = emit_chunks(weaving, scope, planned)
    return {
        cut.value: concat(weaving, scope, planned, at, [chunk[cut.value] for chunk in chunks])
        for at, cut in enumerate(planned.region.outputs)
    }


def emit_chunks(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> list[dict[str, ir.Value]]:
    """Every chunk; see `emit_chunk`."""
    inside = members(weaving.graph, planned.region, weaving.rules)
    return [
        emit_chunk(weaving, scope, planned, inside, bounds, number)
        for number, bounds in enumerate(planned.chunking.bounds)
    ]


def emit_chunk(
    weaving: Weaving,
    scope: Scope,
    planned: PlannedRegion,
    inside: tuple[Member, ...],
    bounds: tuple[int, int],
    number: int,
    buffers: Mapping[str, ir.Value] | None = None,
) -> dict[str, ir.Value]:
    """One chunk between two steps of the flow; its part of every output, by name.

    `buffers` are what to slice in place of the region's sliced inputs, by their names.
    """
    region, inner, read = planned.region, scope.part(number), buffers or weaving.values
    chunk = chunk_calls(weaving.graph, region, inside, *bounds)
    slices = {
        cut: inner.slice(read[cut.value], cut.position.axis, span, f"{cut.value}/slice")
        for cut, span in chunk.slices.items()
    }
    made = copy_ops(weaving, inner, region, inside, chunk, slices, is_first=number == 0)
    return {
        cut.value: made[cut.value].part(
            inner, cut.position, cut.position.range(*bounds, weaving.shape(cut.value)), cut.value
        )
        for cut in region.outputs
    }


def concat(
    weaving: Weaving, scope: Scope, planned: PlannedRegion, at: int, pieces: list[ir.Value]
) -> ir.Value:
    """Put the pieces of one output together."""
    cut = planned.region.outputs[at]
    whole = scope.value(cut.value, weaving.values[cut.value].dtype, weaving.shape(cut.value))
    return scope.call("Concat", pieces, whole, {"axis": cut.position.axis})
