"""The form scan where sizes are open: as many chunks as the input asks for.

    starts [n, 1] -> Scan(Slice(x, start, start + length) -> body) -> [n, batch, length, 768]
                  -> Reshape [n*batch*length, 768] -> Gather rows [batch, tokens] -> [batch, tokens, 768]

One Gather turns the axes round, drops what the last chunk computed again, and puts the result together.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from ..graph.numbers import OPEN, Extent, open_shape
from ..plan.plan import PlannedRegion
from ..plan.region import Cut
from .body import Nest, Weaving, copy_ops
from .calls import chunk_calls, members
from .chunks import Chunks
from .frame import ASSEMBLES
from .scan import within
from .scope import Scope, shape_of

SHORT = 16  # elements of a row; the number of one takes as much as one or two


def emit_opened(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> dict[str, ir.Value]:
    """Write a region as a Scan over as many chunks as there are; the whole outputs by their old names."""
    region, chunks = planned.region, Chunks.of(weaving, planned)
    body = Scope(f"{scope.prefix}/body", scope.names)
    handed: dict[ir.Value, ir.Value] = {}
    slices = {cut: _sliced(weaving, body, chunks, planned, cut, handed) for cut in region.sliced}
    if not handed:
        _hand(body, chunks.bounds((1,))[0], handed)
    inside = members(weaving.graph, region, weaving.rules)
    first = chunk_calls(weaving.graph, region, inside, 0, planned.chunking.length)
    made = copy_ops(weaving, body, region, inside, first, slices, sizes=chunks)
    for node in body.nodes:
        if node.op_type == "Reshape":
            chunks.numbers.allow_zero(node)
    results = {cut: made[cut.value].value for cut in region.outputs}
    stacked = {cut: _stacked(scope, chunks, cut, value) for cut, value in results.items()}
    inner = scope.scan(body, [*handed.values()], [*results.values()], [*handed], [*stacked.values()])
    if planned.nested is not None:
        there = within(weaving, planned, inner, slices, made, chunks.length)
        weaving.nests.append(Nest(there, planned.nested, body))
    written = len(scope.nodes)
    whole = {cut.value: _assembled(scope, chunks, cut, value) for cut, value in stacked.items()}
    for node in scope.nodes[written:]:
        node.meta[ASSEMBLES] = True
    return whole


def _sliced(
    weaving: Weaving,
    body: Scope,
    chunks: Chunks,
    planned: PlannedRegion,
    cut: Cut,
    handed: dict[ir.Value, ir.Value],
) -> ir.Value:
    """A chunk of an input, sliced by the body between bounds that are handed to it.

    For CUDA it is gathered, as `emit.scan.Loop.slice` has it.
    """
    whole, position, unit = weaving.values[cut.value], cut.position, chunks.unit(cut)
    shape = position.sliced_shape(weaving.shape(cut.value), planned.chunking.length)
    result = body.value(f"{cut.value}/slice", whole.dtype, shape)
    chunks.declare(result, cut)
    if weaving.provider == "cuda":
        indices = _hand(body, chunks.indices(unit), handed)
        return body.call("Gather", [whole, indices], result, {"axis": position.axis})
    bounds = [_hand(body, bound, handed) for bound in chunks.bounds(unit)]
    return body.call("Slice", [whole, *bounds, body.constant([position.axis])], result)


def _hand(body: Scope, bound: ir.Value, handed: dict[ir.Value, ir.Value]) -> ir.Value:
    """What a body sees of bounds or indices that are handed to it chunk by chunk."""
    if bound not in handed:
        handed[bound] = body.value("bound", bound.dtype, shape_of(bound)[1:])
        handed[bound].meta[OPEN] = (open_shape(bound) or ())[1:]
    return handed[bound]


def _stacked(scope: Scope, chunks: Chunks, cut: Cut, value: ir.Value) -> ir.Value:
    """What the Scan gives of an output, `(count, *chunk)`.

    Its first axis has a name that no other region's has: ORT would keep the buffer for theirs.
    """
    stacked = scope.value(f"{cut.value}/stacked", value.dtype, (chunks.axis.number, *shape_of(value)))
    stacked.meta[OPEN] = (f"{scope.prefix}:{chunks.axis.label}", *(open_shape(value) or ()))
    return stacked


def _assembled(scope: Scope, chunks: Chunks, cut: Cut, stacked: ir.Value) -> ir.Value:
    """`(count, .., length, ..)` -> `(.., steps, ..)`.

    Where a row is so short that the numbers of all rows would be as large as the rows, axes are turned first.
    """
    numbers, axis, sizes = chunks.numbers, cut.position.axis, chunks.sizes(cut)
    unit = () if set(chunks.unit(cut)) == {1} else (chunks.unit(cut),)
    within = (*unit, *sizes[axis + 1 :])
    outer, before = sizes[:0], sizes[:axis]
    if before and prod(size[0] for size in within) < SHORT:
        stacked, outer, before = _turned(scope, cut, stacked), before, outer
    every = Extent(prod(shape_of(stacked)) // prod(size[0] for size in (*outer, *within)), None)
    shape = [*map(numbers.extent, outer), every, *map(numbers.extent, within)]
    rows = _value(scope, cut, stacked, "rows", shape)
    the_rest = chunks.every(before) if numbers.zero else (-1,) * len(chunks.steps)
    scope.call("Reshape", [stacked, numbers.vector([*outer, the_rest, *within])], rows, numbers.zero)
    extents = [numbers.extent(size) for size in (*outer, *before, chunks.steps, *within)]
    found = _value(scope, cut, stacked, "gathered" if unit else "", extents)
    scope.call("Gather", [rows, chunks.rows(before)], found, {"axis": len(outer)})
    if not unit:
        return found
    whole = _value(scope, cut, stacked, "", list(map(numbers.extent, sizes)))
    return scope.call("Reshape", [found, numbers.vector(sizes)], whole, numbers.zero)


def _turned(scope: Scope, cut: Cut, stacked: ir.Value) -> ir.Value:
    """`(count, .., length, ..)` -> `(.., count, length, ..)`."""
    axis, shape, dims = cut.position.axis, shape_of(stacked), open_shape(stacked) or ()
    order = (*range(1, axis + 1), 0, *range(axis + 1, len(shape)))
    extents = [Extent(shape[at], dims[at]) for at in order]
    return scope.call("Transpose", [stacked], _value(scope, cut, stacked, "turned", extents), {"perm": order})


def _value(scope: Scope, cut: Cut, like: ir.Value, label: str, extents: Sequence[Extent]) -> ir.Value:
    name = f"{cut.value}/{label}" if label else cut.value
    value = scope.value(name, like.dtype, [extent.number for extent in extents])
    value.meta[OPEN] = tuple(extent.label for extent in extents)
    return value
