"""Regions whose chunks give parts of a result: what is there so far goes from chunk to chunk.

    y = MatMul(a, b), k cut in 32  ->  Scan(y = 0; a, b in chunks of k){y + MatMul(chunk of a, chunk of b)}

As a Scan with state variables, and an uneven rest written out behind it; or all chunks written out. A start
of many elements is made when the model runs, because a constant would stay in memory for good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from ..graph.model import Graph, Op, Origin, Value
from ..options import Form
from ..plan.body import Body, body_of
from ..plan.combine import Combining, State
from ..plan.lines import ONNX_TYPES, version_of
from ..plan.plan import PlannedRegion
from .body import Weaving
from .scan import Loop
from .scope import Scope, shape_of

SMALL_BYTES = 1 << 16  # starts up to this size are constants
COMPARED = frozenset({"float16", "float32", "float64", "int32", "int64"})
SPLIT_BY_OPERAND = 13  # the opset that made the sizes of a Split an operand

Values = dict[str, ir.Value]


def emit_accumulating(weaving: Weaving, scope: Scope, planned: PlannedRegion) -> Values:
    """Write a region that accumulates; its result by its old name."""
    region, chunking = planned.region, planned.chunking
    body = body_of(weaving.graph, region, weaving.rules, chunking.length)
    reached = [_start(weaving, scope, planned, body, state) for state in body.states]
    rest = chunking.bounds
    if planned.form is Form.SCAN:
        reached, rest = _scan(weaving, scope, planned, body, reached), rest[chunking.count :]
    early: list[ir.Node] = []
    for number, bounds in enumerate(rest, chunking.total - len(rest)):
        tied = reached if number == chunking.total - len(rest) else _tied(weaving, scope, body, reached)
        reached = _chunk(weaving, scope, planned, bounds, number, tied, early)
    scope.nodes[:0] = early
    assert region.accumulator is not None
    ending = Combining(weaving.graph, region, weaving.rules).ending(body.graph.values)
    values = {state.leaves: value for state, value in zip(body.states, reached, strict=True)}
    made = _write(weaving, scope, ending.ops, ending.sources, ending.values, values)
    return {region.accumulator.value: made[ending.ops[-1].outputs[0]] if ending.ops else reached[-1]}


def _scan(
    weaving: Weaving, scope: Scope, planned: PlannedRegion, body: Body, starts: Sequence[ir.Value]
) -> list[ir.Value]:
    """The Scan node; what its last chunk leaves."""
    inner = Scope(f"{scope.prefix}/body", scope.names)
    loop = Loop(weaving, planned, scope, inner)
    values = {name: loop.chunk(cut) for cut, name in body.slices.items()}
    if not loop.feeds:
        loop.bounds(1)
    found = [_like(inner, body, state.value) for state in body.states]
    values |= _held(weaving, body, found)
    made = _write(weaving, inner, body.graph.ops, body.sources, body.graph.values, values)
    reads, seen = zip(*loop.feeds, strict=True)
    left = [made[state.leaves] for state in body.states]
    outputs = [_like(scope, body, state.leaves) for state in body.states]
    scope.scan(inner, [*found, *seen], left, [*starts, *reads], outputs, len(found))
    return outputs


def _chunk(
    weaving: Weaving,
    scope: Scope,
    planned: PlannedRegion,
    bounds: tuple[int, int],
    number: int,
    reached: Sequence[ir.Value],
    early: list[ir.Node],
) -> list[ir.Value]:
    """One chunk written out; what it leaves.

    Of what a node reads ONNX Runtime computes first what stands last in the file. For one chunk to run after
    another, all that does not wait for the chunk before goes to the front: to `early`.
    """
    inner = Scope(f"{scope.prefix}/{number}", scope.names)
    inner.constants = scope.constants
    body = body_of(weaving.graph, planned.region, weaving.rules, bounds[1] - bounds[0])
    values = {
        name: inner.slice(
            weaving.values[cut.value],
            cut.position.axis,
            cut.position.range(*bounds, weaving.shape(cut.value)),
            f"{cut.value}/slice",
        )
        for cut, name in body.slices.items()
    }
    values |= _held(weaving, body, reached)
    made = _write(weaving, inner, body.graph.ops, body.sources, body.graph.values, values, number == 0)
    waiting = set(reached)
    for node in inner.nodes:
        waits = any(value in waiting for value in node.inputs)
        waiting.update(node.outputs if waits else ())
        (scope.nodes if waits else early).append(node)
    return [made[state.leaves] for state in body.states]


def _held(weaving: Weaving, body: Body, reached: Sequence[ir.Value]) -> dict[str, ir.Value]:
    """What a chunk reads besides its slices, by the body's names: its states, and what it reads whole."""
    states = {state.value: value for state, value in zip(body.states, reached, strict=True)}
    return states | {known: weaving.values[name] for name, known in body.wholes.items()}


def _tied(weaving: Weaving, scope: Scope, body: Body, reached: Sequence[ir.Value]) -> list[ir.Value]:
    """What is carried, by way of one value, so that no chain of states runs ahead of the others."""
    alike = len({value.dtype for value in reached}) == 1
    if len(reached) == 1 or not alike or version_of(weaving.graph) < SPLIT_BY_OPERAND:
        return list(reached)
    names, shapes = [state.value for state in body.states], [shape_of(value) for value in reached]
    sizes = [prod(shape) for shape in shapes]
    flat = [
        scope.reshape(value, (size,), f"{name}/flat")
        for value, size, name in zip(reached, sizes, names, strict=True)
    ]
    tied = scope.value("tied", reached[0].dtype, (sum(sizes),))
    tied = scope.call("Concat", flat, tied, {"axis": 0})
    parts = [
        scope.value(f"{name}/part", tied.dtype, (size,)) for name, size in zip(names, sizes, strict=True)
    ]
    name = scope.names.fresh(f"{tied.name}/Split")
    scope.nodes.append(ir.Node("", "Split", [tied, scope.constant(sizes)], outputs=parts, name=name))
    return [scope.reshape(part, shape, name) for part, shape, name in zip(parts, shapes, names, strict=True)]


def _write(
    weaving: Weaving,
    scope: Scope,
    ops: Sequence[Op],
    sources: Sequence[int | None],
    records: Mapping[str, Value],
    values: Values,
    is_first: bool = True,
) -> Values:
    """Add ops as nodes; the values by their names in the records."""
    made = dict(values)
    for op, source in zip(ops, sources, strict=True):
        inputs = [_read(weaving, scope, records, made, name) for name in op.inputs]
        node = None if source is None else weaving.nodes[source]
        copied = node is not None and node.op_type == op.type
        for at, name in enumerate(op.outputs):
            if name:
                dtype = node.outputs[at].dtype if node is not None and copied else _dtype(records[name])
                made[name] = scope.value(name, dtype, records[name].shape or ())
        attributes = list(node.attributes.values()) if node is not None and copied else _attributes(op)
        scope.nodes.append(ir.Node(
            op.domain, op.type, inputs, attributes, overload=node.overload if node is not None else "",
            outputs=[made[name] if name else ir.Value(name="") for name in op.outputs],
            name=scope.names.fresh(f"{scope.prefix}/{op.name}{'' if node is not None else f'/{op.type}'}"),
            metadata_props=dict(node.metadata_props) if node is not None and is_first else {},
        ))  # fmt: skip
    return made


def _attributes(op: Op) -> list[ir.Attr]:
    return [
        ir.convenience.convert_attribute(name, value)
        for name, value in op.attributes.items()
        if isinstance(value, int | tuple)
    ]


def _read(
    weaving: Weaving, scope: Scope, records: Mapping[str, Value], made: Values, name: str
) -> ir.Value | None:
    """A value of the chunk, one of the model, or a constant of the chunk's own."""
    if not name or name in made:
        return made.get(name)
    if name in weaving.values:
        return weaving.values[name]
    data = records[name].data
    assert data is not None, "what no op makes and the model lacks is a constant"
    return scope.constant(data)


def _start(weaving: Weaving, scope: Scope, planned: PlannedRegion, body: Body, state: State) -> ir.Value:
    """What the first chunk finds."""
    record = body.graph.values[state.value]
    one = np.array(state.start, record.dtype)
    source = _number(weaving.graph, planned)
    if record.nbytes <= SMALL_BYTES or source is None:
        return scope.constant(np.full(record.shape or (), one))
    return _made_at_run_time(scope, weaving.values[source], record, one)


def _number(graph: Graph, planned: PlannedRegion) -> str | None:
    """A value with numbers in it that are not known before the model runs, and that can be compared."""
    region = planned.region
    known = (graph.values[name] for name in (*(cut.value for cut in region.sliced), *region.whole))
    found = (v.name for v in known if v.origin is not Origin.CONSTANT and v.dtype in COMPARED and v.shape)
    return next(found, None)


def _made_at_run_time(
    scope: Scope, source: ir.Value, record: Value, one: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
) -> ir.Value:
    """`one` everywhere, by way of `x < x` so that nothing is computed when the model is loaded."""
    label, axes = record.name, list(range(len(source.shape or ())))
    bounds = [scope.constant([number] * len(axes)) for number in (0, 1)]
    first = scope.value(f"{label}/first", source.dtype, [1] * len(axes))
    first = scope.call("Slice", [source, *bounds, scope.constant(axes)], first)
    first = scope.reshape(first, (1,), f"{label}/single")
    no = scope.call("Less", [first, first], scope.value(f"{label}/no", ir.DataType.BOOL, (1,)))
    zero = scope.value(f"{label}/zero", _dtype(record), (1,))
    zero = scope.call("Cast", [no], zero, {"to": ONNX_TYPES[record.dtype]})
    start = scope.value(f"{label}/one", zero.dtype, (1,))
    start = scope.call("Add", [zero, scope.constant(one.reshape(1))], start)
    shape = record.shape or ()
    whole = scope.value(label, zero.dtype, shape)
    return scope.call("Expand", [start, scope.constant(shape)], whole)


def _like(scope: Scope, body: Body, name: str) -> ir.Value:
    record = body.graph.values[name]
    return scope.value(name, _dtype(record), record.shape or ())


def _dtype(record: Value) -> ir.DataType:
    return ir.DataType(ONNX_TYPES[record.dtype])
