"""The form unroll: every chunk written out, `Slice -> body -> ... -> Concat`.

Works along any axis and with any tail; peak two of each output; every copy is optimised and prepacked when
loading.
"""

from __future__ import annotations

import onnx_ir as ir

from ..plan.plan import PlannedRegion
from .body import Weaving, copy_ops
from .calls import Member, chunk_calls, members
from .scope import Scope


def emit_unroll(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """Write a region out; the whole outputs by their old names."""
    inside = members(weaving.graph, planned.region, weaving.rules)
    chunks = [
        emit_chunk(weaving, scope, planned, inside, bounds, number)
        for number, bounds in enumerate(planned.chunking.bounds)
    ]
    return {
        cut.value: concat(weaving, scope, planned, at, [chunk[cut.value] for chunk in chunks])
        for at, cut in enumerate(planned.region.outputs)
    }


def emit_chunk(
    weaving: Weaving,
    scope: Scope,
    planned: PlannedRegion,
    inside: tuple[Member, ...],
    bounds: tuple[int, int],
    number: int,
) -> dict[str, ir.Value]:
    """One chunk between two steps of the flow; its part of every output, by name."""
    region = planned.region
    inner = Scope(f"{scope.prefix}/{number}", scope.names)
    inner.nodes, inner.constants = scope.nodes, scope.constants
    chunk = chunk_calls(weaving.graph, region, inside, *bounds)
    slices = {
        cut: inner.slice(weaving.values[cut.value], cut.position.axis, span, f"{cut.value}/slice")
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
