"""File -> ONNX IR: read, check, clean, give sizes and shapes; the only way a model gets in.

`load("m.onnx")` keeps the IR model for emission (weights stay on disk, mapped), with its `Graph` (`derive`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from math import prod
from pathlib import Path
from typing import TypeAlias

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from ..errors import AutochunkError, ModelError
from . import forward, infer, untrusted
from .casts import drop_returns
from .derive import derive, whole_graph
from .loaded import Loaded
from .model import Graph
from .sizes import bind_dims

MOST_SAID = 300  # characters of another library's message
LOOPS_OPSET = 11
MOST_NODES = 200_000  # after inlining
MOST_BYTES = 1 << 47  # of one value: what a process can address

Source: TypeAlias = str | os.PathLike[str] | onnx.ModelProto | ir.Model


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
        """Give sizes to the model or a copy of it, in place, and shapes to all of its values; tidy its casts.

        Raises:
            ModelError: the graph is not valid, or not at these sizes.
            UsageError: a symbolic dimension has no size, or a name is not the model's.
        """
        with _said_of(self.where):
            bound = bind_dims(model, dims, shapes)
            if self.is_file:
                infer.check_types(model)
            loops = any(node.op_type in ("Loop", "Scan") for node in model.graph)
            fill_in_shapes(model, every_size=bool(bound) or loops)
            drop_returns(model)
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


def read(source: Source, oldest: int = LOOPS_OPSET) -> Unbound:
    """Read and clean a model; an IR model is copied.

    Args:
        source: as for `load`.
        oldest: opset to which older files are raised; by default the first in which loops can be written.

    Raises:
        ModelError: the file is missing, is not ONNX, or is not a valid graph.
    """
    model, where = _read(source, oldest), _describe(source)
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


def _read(source: Source, oldest: int) -> ir.Model:
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
        model = ir.from_proto(_raised(proto, oldest))
    except Exception as error:
        raise ModelError(f"{where}: not a readable ONNX model: {_first_line(error)}") from error
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        ir.external_data.set_base_dir(graph, folder)
    return model


def _raised(proto: onnx.ModelProto, oldest: int) -> onnx.ModelProto:
    """A model of the first opsets in one that has what loops are written in: Scan is of 9, Slice of 10."""
    old = any(entry.domain in ("", "ai.onnx") and entry.version < oldest for entry in proto.opset_import)
    return onnx.version_converter.convert_version(proto, oldest) if old else proto


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


def _describe(source: Source) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else "the model"


def _first_line(error: BaseException) -> str:
    """What went wrong first: libraries wrap it in where they were at that time."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MOST_SAID]
