"""File -> ONNX IR -> `Graph`: the only way a model gets in.

`load("m.onnx")` keeps the IR model for emission (weights stay on disk, mapped) and derives from it the
`Graph` that the rest of the package reads; `Loaded.nodes[i]` is the IR node of `graph.ops[i]`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from graphlib import TopologicalSorter
from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray

from ..errors import AutochunkError, ModelError
from . import einsum, forward, infer, parts, quantised, remade, shapes, untrusted
from .dynamic import Dynamic
from .fold import run_time_ops
from .masked import with_masks
from .model import ITEM_BITS, Graph, Op, Origin, Value
from .numbers import open_shape
from .sizes import bind_dims, evaluate_shape_vectors
from .written import WrittenOut

SMALL_ELEMENTS = 4096  # constants up to this many elements keep their data in the Graph
MOST_SAID = 300  # characters of another library's message
LOOPS_OPSET = 11
MOST_NODES = 200_000  # after inlining
MOST_BYTES = 1 << 47  # of one value: what a process can address

Source: TypeAlias = str | os.PathLike[str] | onnx.ModelProto | ir.Model


@dataclass(frozen=True)
class Loaded:
    """A model in both forms.

    Attributes:
        model: the IR model, cleaned: functions inlined, names unique, shapes inferred.
        nodes: IR node of each op of `graph`.
        dims: sizes given to symbolic dimensions.
        written: what `write_out` replaced.
        dynamic: the sizes that the model can have; None for those of `dims` alone.
        bodies: of its own If, Loop and Scan, where they are to be chunked.
        closed: those that cannot be.
    """

    model: ir.Model
    graph: Graph
    nodes: tuple[ir.Node, ...]
    dims: Mapping[str, int]
    written: tuple[WrittenOut, ...] = ()
    dynamic: Dynamic | None = None
    bodies: tuple[Enclosed, ...] = ()
    closed: tuple[Closed, ...] = ()

    @property
    def every_body(self) -> Iterator[Enclosed]:
        """The bodies and those in them."""
        for body in self.bodies:
            yield body
            yield from body.loaded.every_body


@dataclass(frozen=True)
class Enclosed:
    """A body of an If, Loop or Scan, as a model of its own.

    Attributes:
        home: names the body, in the whole model: `loop.body`, or `if.then_branch/loop.body`.
        op: name of the node around it.
        attribute: of that node.
        loaded: the model: its inputs are the body's, then what the body reads of the graphs around it.
        inputs: how many are the body's.
        captures: names of what it reads of the graphs around it.
    """

    home: str
    op: str
    attribute: str
    loaded: Loaded
    inputs: int
    captures: tuple[str, ...]

    @property
    def homes(self) -> frozenset[str]:
        """Names of the body and of those in it."""
        return frozenset((self.home, *(body.home for body in self.loaded.every_body)))


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a body is left as it is; the node around it, with a result of that and the bytes it takes."""

    op: str
    value: str
    nbytes: int
    reason: str


def load(
    source: Source,
    *,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Loaded:
    """Read a model and derive its `Graph`.

    Args:
        source: a path, a `ModelProto` or an IR model (which is not modified).
        dims: reference sizes of symbolic dimensions.
        shapes: reference shapes of inputs, by name; for those whose dimensions have no name.

    Raises:
        ModelError: the file is missing, is not ONNX, or is not a valid graph.
        UsageError: a symbolic dimension has no size, or a name is not the model's.
    """
    unbound = read(source)
    return unbound.loaded(unbound.model, dims or {}, shapes or {})


@dataclass(frozen=True, slots=True)
class Unbound:
    """A model that was read and cleaned, its symbolic dimensions still open.

    Attributes:
        where: what errors call it.
        is_file: it may be from a stranger.
    """

    model: ir.Model
    where: str
    is_file: bool

    def loaded(
        self, model: ir.Model, dims: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]
    ) -> Loaded:
        """The model or a copy of it, bound in place, with its `Graph`; raises what `bind` does."""
        loaded = derive(model, self.bind(model, dims, shapes))
        check_sizes(loaded.graph, self.where)
        return loaded

    def bind(
        self, model: ir.Model, dims: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, int]:
        """Give sizes to the model or a copy of it, in place, and shapes to all of its values.

        Raises:
            ModelError: the graph is not valid, or not at these sizes.
            UsageError: a symbolic dimension has no size, or a name is not the model's.
        """
        with _said_of(self.where):
            bound = bind_dims(model, dims, shapes)
            if self.is_file:
                infer.check_types(model)
            loops = any(node.op_type == "Loop" for node in model.graph)
            fill_in_shapes(model, every_size=bool(bound) or loops)
        return bound


def fill_in_shapes(model: ir.Model, *, every_size: bool) -> None:
    """Infer the shapes that the file does not tell, in place.

    Args:
        model: its inputs have shapes.
        every_size: look for those that ONNX's inference leaves open, too.
    """
    if not _has_all_shapes(model):
        infer.infer_shapes(model, whole_graph(model))
    if every_size and not _has_all_shapes(model):
        forward.complete(model, whole_graph(model))


def read(source: Source) -> Unbound:
    """Read and clean a model; an IR model is copied.

    Raises:
        ModelError: the file is missing, is not ONNX, or is not a valid graph.
    """
    model, where = _read(source), _describe(source)
    _check(model, where)
    with _said_of(where):
        _clean(model)
    return Unbound(model, where, not isinstance(source, ir.Model))


@contextmanager
def _said_of(where: str) -> Iterator[None]:
    """What other libraries raise about a graph becomes a `ModelError`."""
    try:
        yield
    except AutochunkError:
        raise
    except Exception as error:
        raise ModelError(f"{where}: the graph is not valid: {_first_line(error)}") from error


def derive(
    model: ir.Model, dims: Mapping[str, int] | None = None, *, dynamic: Dynamic | None = None
) -> Loaded:
    """The `Graph` of an IR model whose values have shapes; the model itself is kept, not copied."""
    nodes = _nodes(model)
    whole = with_masks(whole_graph(model), lambda name: _elements(model, name))
    running = run_time_ops(whole, fixed=dynamic is None)
    kept = tuple(nodes[index] for index in running.kept)
    return Loaded(model, running.graph, kept, dims or {}, dynamic=dynamic)


def _elements(model: ir.Model, name: str) -> NDArray[np.generic] | None:
    """Elements of an initializer; None where the model comes without them (`runtime.weightless`)."""
    value = model.graph.initializers.get(name)
    tensor = None if value is None else value.const_value
    if tensor is None or (isinstance(tensor, ir.ExternalTensor) and not Path(tensor.path).stat().st_size):
        return None
    return _small_data(tensor)


def whole_graph(model: ir.Model) -> Graph:
    """The `Graph` of an IR model with every op in it, those of constants too."""
    graph = _graph(model.graph, _nodes(model), model.opset_imports, outer=frozenset())
    return evaluate_shape_vectors(graph)


def _nodes(model: ir.Model) -> tuple[ir.Node, ...]:
    return tuple(node for node in model.graph if node.op_type != "Constant")


def write_out(loaded: Loaded, provider: str = "cpu") -> Loaded:
    """The same model as plans are made for: with Einsums as products, and a product of parts as several.

    And what ORT would hold for ever and can be made from little is made for every op that reads it; known
    shapes are constants, and quantised groups one op where the provider fuses them. `loaded` stays as it is,
    and shares its weights.
    """
    model = loaded.model.clone()
    changed = shapes.write_out(model, loaded.graph) | remade.write_out(model)
    changed |= provider == "cpu" and quantised.fuse(model)
    written = written_out(model)
    return derived(loaded, model, written) if written or changed else loaded


def written_out(model: ir.Model) -> tuple[WrittenOut, ...]:
    """Write Einsums out as products, and products of parts as several, in place."""
    return (*einsum.write_out(model), *parts.write_out(model))


def derived(loaded: Loaded, model: ir.Model, written: tuple[WrittenOut, ...]) -> Loaded:
    """What stands for a model in plans: the same with some of it written out."""
    new = derive(model, loaded.dims, dynamic=loaded.dynamic)
    graph = replace(new.graph, originals=_originals(new.graph, loaded.graph, written))
    return replace(new, graph=graph, written=written, bodies=loaded.bodies, closed=loaded.closed)


def _originals(new: Graph, old: Graph, written: Sequence[WrittenOut]) -> dict[tuple[int, ...], Graph]:
    """What ops of the new graph stand for."""
    indices = {op.name: op.index for op in new.ops}
    ops = {op.name: op for op in old.ops}
    return {
        tuple(indices[name] for name in one.nodes if name in indices): replace(
            old, ops=tuple(ops[str(node.name)] for node in one.originals)
        )
        for one in written
    }


def _read(source: Source) -> ir.Model:
    if isinstance(source, ir.Model):
        return source.clone()
    folder, where = Path(), _describe(source)
    if isinstance(source, onnx.ModelProto):
        proto = source
        untrusted.check(proto, folder, where)
    else:
        folder = Path(source).parent
        proto = untrusted.read(Path(source))
    try:
        model = ir.from_proto(_raised(proto))
    except Exception as error:
        raise ModelError(f"{where}: not a readable ONNX model: {_first_line(error)}") from error
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        ir.external_data.set_base_dir(graph, folder)
    return model


def _raised(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A model of the first opsets in one that has what loops are written in: Scan is of 9, Slice of 10."""
    old = any(entry.domain in ("", "ai.onnx") and entry.version < LOOPS_OPSET for entry in proto.opset_import)
    return onnx.version_converter.convert_version(proto, LOOPS_OPSET) if old else proto


def _check(model: ir.Model, where: str) -> None:
    """What reading leaves open: every weight's file is there, and every operand is something's result."""
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if isinstance(tensor, ir.ExternalTensor) and not Path(tensor.path).is_file():
            raise ModelError(f"{where}: weight {name!r} is in {tensor.path}: no such file; put it there")
    for node in model.graph.all_nodes():
        if not node.op_type:
            raise ModelError(f"{where}: the graph is not valid: node {node.name!r} names no operator")
        for operand in node.inputs:
            if operand is not None and not _has_source(operand):
                raise ModelError(
                    f"{where}: the graph is not valid: {node.op_type} {node.name!r} reads {operand.name!r}, "
                    "which nothing computes"
                )
    for value in (value for graph in model.graphs() for value in graph.outputs):
        if not _has_source(value):
            raise ModelError(f"{where}: the graph is not valid: nothing computes the output {value.name!r}")


def check_sizes(graph: Graph, where: str) -> None:
    """What inference leaves open: sizes that no process could hold, and elements out of nothing."""
    for value in graph.values.values():
        if min(value.shape or (), default=0) < 0 or value.nbytes > MOST_BYTES:
            raise ModelError(
                f"{where}: {value.name!r} of the sizes {list(value.shape or ())} takes more than any process "
                "can address; are the sizes right?"
            )
    for op in graph.ops:
        shapes = [graph.shape(name) for name in (*op.inputs[:1], *op.outputs)]
        if op.type == "Reshape" and len({prod(shape) for shape in shapes if shape is not None}) > 1:
            raise ModelError(
                f"{where}: the graph is not valid: Reshape {op.name!r} makes {shapes[1]} of {shapes[0]}"
            )


def _has_source(value: ir.Value) -> bool:
    return value.producer() is not None or value.is_graph_input() or value.is_initializer()


def _clean(model: ir.Model) -> None:
    """Inline functions, give every node and value a unique name, sort topologically."""
    if model.functions:
        inline = passes.InlinePass()
        inline.requires(model)
        if (nodes := _inlined_nodes(model)) > MOST_NODES:
            raise ValueError(
                f"its functions call each other {nodes} times; more than {MOST_NODES} are refused"
            )
        inline(model)
    passes.NameFixPass()(model)
    passes.TopologicalSortPass()(model)


def _inlined_nodes(model: ir.Model) -> int:
    """Nodes there will be without functions, which do not call themselves."""
    calls = {
        name: [node.op_identifier() for node in function.all_nodes()]
        for name, function in model.functions.items()
    }
    nodes: dict[ir.OperatorIdentifier, int] = {}
    for name in TopologicalSorter(calls).static_order():  # what is called comes first
        nodes[name] = sum(nodes[callee] for callee in calls[name]) if name in calls else 1
    return sum(nodes.get(node.op_identifier(), 1) for node in model.graph.all_nodes())


def _has_all_shapes(model: ir.Model) -> bool:
    """True when the file tells the type and the sizes of every result, so that inference adds nothing."""
    results = (value for node in model.graph.all_nodes() for value in node.outputs if value.name)
    return all(
        value.dtype is not None and value.shape is not None and value.shape.is_static() for value in results
    )


def _graph(
    source: ir.Graph, nodes: tuple[ir.Node, ...], opsets: Mapping[str, int], outer: frozenset[str]
) -> Graph:
    values: dict[str, Value] = {}
    for name, initializer in source.initializers.items():
        values[name] = _constant(name, initializer, initializer.const_value)
    for value in source.inputs:
        values.setdefault(_name(value), _value(value, Origin.INPUT))
    for node in source:
        for output in node.outputs:
            if not output.name:
                continue
            if node.op_type == "Constant":
                values[output.name] = _constant(output.name, output, ir.convenience.get_const_tensor(output))
            else:
                values[output.name] = _value(output, Origin.COMPUTED)
    known = outer | values.keys()
    ops = tuple(_op(index, node, opsets, known) for index, node in enumerate(nodes))
    inputs = tuple(name for v in source.inputs if values[name := _name(v)].origin is Origin.INPUT)
    return Graph(ops, values, inputs, tuple(_name(v) for v in source.outputs))


def _op(index: int, node: ir.Node, opsets: Mapping[str, int], known: frozenset[str]) -> Op:
    domain = "" if node.domain == "ai.onnx" else node.domain
    attributes = tuple(node.attributes.data.values())
    bodies = {a.name: a.as_graph() for a in attributes if a.type == ir.AttributeType.GRAPH}
    subgraphs = {
        name: _graph(body, tuple(n for n in body if n.op_type != "Constant"), opsets, known)
        for name, body in bodies.items()
    }
    return Op(
        index=index,
        name=node.name or "",
        type=node.op_type,
        inputs=tuple(map(_name, node.inputs)),
        outputs=tuple(map(_name, node.outputs)),
        domain=domain,
        version=opsets.get(domain, 1),
        attributes={a.name: _plain(a) for a in attributes if a.name not in bodies},
        captures=tuple(dict.fromkeys(name for g in subgraphs.values() for name in _free(g))),
        subgraphs=subgraphs,
    )


def _free(graph: Graph) -> Iterator[str]:
    """Names a body reads but does not define."""
    for op in graph.ops:
        yield from (name for name in op.reads if name not in graph.values)
    yield from (name for name in graph.outputs if name not in graph.values)


def _name(value: ir.Value | None) -> str:
    return "" if value is None or value.name is None else value.name


def _value(value: ir.Value, origin: Origin) -> Value:
    dtype = _dtype(value.dtype)
    is_tensor = dtype in ITEM_BITS and isinstance(value.type, ir.TensorType)
    shape, dims = (_shape(value.shape), open_shape(value)) if is_tensor else (None, None)
    return Value(_name(value), dtype, shape, origin, dims=dims)


def _constant(name: str, value: ir.Value, tensor: ir.TensorProtocol | None) -> Value:
    if tensor is None:
        return _value(value, Origin.CONSTANT)
    shape = tuple(tensor.shape.numpy())
    data = _small_data(tensor) if tensor.size <= SMALL_ELEMENTS else None
    return Value(name, _dtype(tensor.dtype), shape, Origin.CONSTANT, data)


def _small_data(tensor: ir.TensorProtocol) -> NDArray[np.generic] | None:
    return None if tensor.dtype == ir.DataType.STRING else tensor.numpy()


@cache
def _dtype(dtype: ir.DataType | None) -> str:
    name = "undefined" if dtype is None else dtype.name.lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _shape(shape: ir.Shape | None) -> tuple[int, ...] | None:
    if shape is None or not all(isinstance(dim, int) for dim in shape):
        return None
    return shape.dims  # type: ignore[return-value]  # checked on the line above


def _plain(attribute: ir.Attr) -> object:
    value = attribute.value
    if attribute.type == ir.AttributeType.TENSOR:
        return value.numpy() if value.dtype != ir.DataType.STRING else None
    return tuple(value) if isinstance(value, list | tuple) else value


def _describe(source: Source) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else "the model"


def _first_line(error: BaseException) -> str:
    """What went wrong first: libraries wrap it in where they were at that time."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MOST_SAID]
