"""What ONNX Runtime computes in float32 of a float16 graph on the CPU, and the casts around it.

`y = Exp(x)` -> `x@32 = Cast(x)`, `y@32 = Exp(x@32)`, `y = Cast(y@32)`; between two such ops there is no cast.

Source: onnxruntime/core/optimizer/insert_cast_transformer.cc; graph_partitioner.cc inlines functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from ..graph.half import DTYPE, lacks_kernel
from ..graph.model import Graph, Op, Origin, Value
from .blocking import Layout

# Ops without a kernel that ONNX defines by others, one step a line: result, op, operands; `x` is read and the
# last result written. A result in capitals has one element along the op's axis. Scalars are left out.
FUNCTIONS = {
    "Softmax": ("M ReduceMax x", "d Sub x M", "e Exp d", "S ReduceSum e", "y Div e S"),
    "LogSoftmax": ("M ReduceMax x", "d Sub x M", "e Exp d", "S ReduceSum e", "L Log S", "y Sub d L"),
    "Gelu": ("a Div x", "b Erf a", "c Sum b", "d Mul x", "y Mul d c"),
    "Mish": ("a Softplus x", "b Tanh a", "y Mul x b"),
    "HardSwish": ("a HardSigmoid x", "y Mul x a"),
    "Swish": ("a Mul x", "b Sigmoid a", "y Mul x b"),
}
FIRST_VERSION = {"Softmax": 13, "LogSoftmax": 13}  # before, ONNX does not define them by others


def has_halves(graph: Graph) -> bool:
    """True when a value of the graph is float16."""
    return any(value.dtype == DTYPE for value in graph.values.values())


@dataclass(frozen=True, slots=True)
class Constants:
    """What becomes of the float16 constants of a graph that ops compute in float32 with.

    Attributes:
        cast: those that are cast in every run: they lie around a body, or several ops read them.
        converted: whether others were converted when the model was loaded. Only then does ORT look again for
            what to fuse among the ops in float32.
    """

    cast: frozenset[str]
    converted: bool


def constants_in_halves(graph: Graph, outer: Collection[str], *, converted: bool = False) -> Constants:
    """What becomes of them; ORT makes one constant of equal scalars first.

    Args:
        graph: as exported.
        outer: values of the graphs around it, if it is a body.
        converted: whether a constant of those was converted.
    """
    readers: Counter[tuple[object, ...]] = Counter()
    keys: dict[str, tuple[object, ...]] = {}
    wide: set[str] = set()
    for op in graph.ops:
        for name in dict.fromkeys(op.reads):
            value = graph.values[name]
            if value.dtype == DTYPE and value.origin is Origin.CONSTANT:
                keys[name] = (name,) if value.data is None else (value.shape, value.data.tobytes())
                readers[keys[name]] += 1
                wide.update([name] if lacks_kernel(op, graph) else [])
    cast = frozenset(name for name, key in keys.items() if readers[key] > 1 or name in outer)
    return Constants(cast, converted or not wide <= cast)


@dataclass(frozen=True, slots=True)
class Inlined:
    """A graph in which functions are written out.

    Attributes:
        ops: what runs at each place of the graph.
        owners: index of the op of the original graph that each place belongs to.
        added: places of what is not in the original graph.
    """

    graph: Graph
    ops: list[Op | None]
    owners: tuple[int, ...]
    added: frozenset[int]


def inlined(graph: Graph, ops: Sequence[Op | None]) -> Inlined:
    """Write out the functions among the ops that lack a kernel for float16, and the views around a Gemm."""
    values = dict(graph.values)
    places: list[tuple[Op, Op | None]] = []
    owners: list[int] = []
    for original, op in zip(graph.ops, ops, strict=True):
        parts: list[Op | None] = [None] if op is None else list(_parts(op, original, graph, values))
        for part in parts:
            place = len(places)
            there = original if part is None or len(parts) == 1 else part
            run = None if part is None else replace(part, index=place)
            places.append((replace(there, index=place), run))
            owners.append(original.index)
    whole = Graph(tuple(op for op, _ in places), values, graph.inputs, graph.outputs)
    count = Counter(owners)
    added = frozenset(place for place, owner in enumerate(owners) if count[owner] > 1)
    return Inlined(whole, [op for _, op in places], tuple(owners), added)


def _parts(op: Op, original: Op, graph: Graph, values: dict[str, Value]) -> Iterator[Op]:
    if not lacks_kernel(op, graph):
        yield op
    elif _is_function(op):
        yield from _written_out(op, values)
    elif op.type == "Gemm" and original.type != "Gemm" and len(graph.shape(op.outputs[0]) or ()) > 2:
        yield from _between_views(op, values)
    else:
        yield op


def _between_views(op: Op, values: dict[str, Value]) -> Iterator[Op]:
    """A product of matrices, made of a MatMul of more axes and an Add."""
    source, result = values[op.inputs[0]], values[op.outputs[0]]
    rows, made = f"{result.name}/rows", f"{result.name}/matrix"
    for name, value in ((rows, source), (made, result)):
        shape = value.shape and (prod(value.shape[:-1]), value.shape[-1])
        values[name] = Value(name, value.dtype, shape)
    yield Op(op.index, op.name, "Reshape", (source.name,), (rows,))
    yield replace(op, inputs=(rows, *op.inputs[1:]), outputs=(made,))
    yield Op(op.index, op.name, "Reshape", (made,), (result.name,))


def _is_function(op: Op) -> bool:
    if op.type not in FUNCTIONS or op.version < FIRST_VERSION.get(op.type, 0) or op.domain:
        return False
    return op.attributes.get("approximate") not in {"tanh", b"tanh"}


def _written_out(op: Op, values: dict[str, Value]) -> Iterator[Op]:
    source = values[op.inputs[0]]
    names = {"x": source.name, "y": op.outputs[0]}
    for line in FUNCTIONS[op.type]:
        result, kind, *operands = line.split()
        if result not in names:
            shape = _reduced(op, source.shape) if result.isupper() else source.shape
            names[result] = f"{op.outputs[0]}/{result}"
            values[names[result]] = Value(names[result], source.dtype, shape)
        yield Op(op.index, op.name, kind, tuple(names[name] for name in operands), (names[result],))


def _reduced(op: Op, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    axis = op.attributes.get("axis", -1)
    if shape is None or not isinstance(axis, int):
        return None
    return tuple(1 if at == axis % len(shape) else size for at, size in enumerate(shape))


def bring_into_float32(layout: Layout, cast: frozenset[str], added: frozenset[int] = frozenset()) -> None:
    """Find which ops run in float32, and the casts around them.

    The rules it follows:
        1. An op on float16 without a kernel for it runs in float32; so does one with a kernel, if all it
           reads comes from such ops, all that read it are such ops, and no result of the run is its own.
        2. A value is cast once for all readers, in front of the first.
        3. A constant in float16 is converted before the run, unless it is among `cast`.
    """
    single = _in_single(layout, added)
    wide = [op for index in sorted(single) if (op := layout.run[index]) is not None]
    made = {name for op in wide for name in op.outputs}
    names = made.union(*(op.inputs for op in wide))
    halves = {name for name in names if name and layout.values[name].dtype == DTYPE}
    values = layout.values = dict(layout.values)
    folded = {name for op in layout.graph.ops if layout.run[op.index] is None for name in op.outputs}
    for name in halves:
        value = values[name]
        free = (value.origin is Origin.CONSTANT and name not in cast) or name in folded
        origin = Origin.CONSTANT if free else Origin.COMPUTED
        values[_wide(name)] = replace(value, name=_wide(name), dtype="float32", origin=origin, data=None)
    for op in wide:
        for name in halves.intersection(op.inputs) - made:
            if values[_wide(name)].origin is Origin.COMPUTED and _wide(name) not in layout.copies:
                layout.copies[_wide(name)] = Op(op.index, "", "Cast", (name,), (_wide(name),))
        for name in halves.intersection(op.outputs):
            layout.copies[name] = Op(op.index, "", "Cast", (_wide(name),), (name,))
        layout.run[op.index] = replace(
            op,
            inputs=tuple(_wide(name) if name in halves else name for name in op.inputs),
            outputs=tuple(_wide(name) if name in halves else name for name in op.outputs),
        )


def _wide(name: str) -> str:
    return f"{name}@32"


def _in_single(layout: Layout, added: frozenset[int]) -> set[int]:
    """Places of what runs in float32."""
    graph, ops = layout.graph, [op for op in layout.run if op is not None]
    single = {op.index for op in ops if lacks_kernel(op, graph)}
    made = {name: op.index for op in ops for name in op.outputs if name}
    readers: dict[str, set[int]] = {}
    for op in ops:
        for name in op.reads:
            readers.setdefault(name, set()).add(op.index)
    for op in sorted(ops, key=lambda op: (op.index in added, op.index)):
        if op.index in single or op.subgraphs or not graph.results.isdisjoint(op.outputs):
            continue
        if made.keys().isdisjoint(op.inputs):
            continue
        read = [name for name in op.inputs if name and layout.values[name].dtype == DTYPE]
        given = {name for name in read if _is_weight(layout, name)}
        left = [name for name in op.outputs if name and layout.values[name].dtype == DTYPE]
        after = set[int]().union(*(readers.get(name, set()) for name in left))
        if read and after and after <= single and all(made.get(n) in single for n in read if n not in given):
            single.add(op.index)
    return single


def _is_weight(layout: Layout, name: str) -> bool:
    """True for what is no input and not computed in this very graph."""
    return name in layout.outer or layout.values[name].origin is Origin.CONSTANT
