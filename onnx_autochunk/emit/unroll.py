"""The form unroll: every chunk written out, `Slice -> body -> ... -> Concat`.

Works along any axis and with any tail; peak two of each output; every copy is optimised and prepacked when
loading.
"""

from __future__ import annotations

import onnx_ir as ir

from ..plan.plan import PlannedRegion
from .body import Weaving, copy_ops
from .scope import Scope


def emit_unroll(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """Write a region out; the whole outputs by their old names."""
    chunks = [
        emit_chunk(weaving, scope, planned, bounds, number)
        for number, bounds in enumerate(planned.chunking.bounds)
    ]
    return {
        cut.value: concat(weaving, scope, planned, at, [chunk[cut.value] for chunk in chunks])
        for at, cut in enumerate(planned.region.outputs)
    }


def emit_chunk(
    weaving: Weaving, scope: Scope, planned: PlannedRegion, bounds: tuple[int, int], number: int
) -> dict[str, ir.Value]:
    """One chunk between two steps of the flow."""
    inner = Scope(f"{scope.prefix}/{number}", scope.names)
    inner.nodes, inner.constants = scope.nodes, scope.constants
    slices = {
        cut: inner.slice(
            weaving.values[cut.value],
            cut.position.axis,
            (bounds[0] * cut.position.unit, bounds[1] * cut.position.unit),
            f"{cut.value}/slice",
        )
        for cut in planned.region.sliced
    }
    return copy_ops(weaving, inner, planned.region, bounds[1] - bounds[0], slices)


def concat(
    weaving: Weaving, scope: Scope, planned: PlannedRegion, at: int, pieces: list[ir.Value]
) -> ir.Value:
    """Put the pieces of one output together."""
    cut = planned.region.outputs[at]
    whole = scope.value(cut.value, weaving.values[cut.value].dtype, weaving.shape(cut.value))
    return scope.call("Concat", pieces, whole, {"axis": cut.position.axis})
