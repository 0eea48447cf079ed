"""Nodes that stand for others while plans are made; where no region took them in, the others come back.

Einsum -> Transpose, MatMul, Transpose
MatMul, Split -> MatMul, MatMul, MatMul
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import onnx_ir as ir

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WrittenOut:
    """A few nodes of a model, and what stands for them.

    Attributes:
        originals: the nodes; in no graph, they name the values that they read and give.
        nodes: names of the nodes that stand for them.
        constants: names of the initializers that only those read.
        shares: a name: of those with the same one all are put back, or none.
    """

    originals: tuple[ir.Node, ...]
    nodes: tuple[str, ...]
    constants: tuple[str, ...]
    shares: str


def take_out(
    graph: ir.Graph,
    originals: Sequence[ir.Node],
    nodes: Sequence[ir.Node],
    constants: Iterable[ir.Value],
    shares: str,
) -> WrittenOut:
    """Take nodes out of a graph whose results nobody reads any more, and constants that only they read.

    Args:
        graph: has both the old nodes and the new ones.
        originals: the old nodes.
        nodes: the new ones.
        constants: initializers that the new nodes read.
        shares: see `WrittenOut`.
    """
    kept = tuple(map(_detached, originals))
    read = {value for node in originals for value in node.inputs if value is not None}
    graph.remove(originals, safe=True)
    for value in read:
        if value.is_initializer() and not value.is_graph_input() and is_unread(value):
            del graph.initializers[str(value.name)]
    names = tuple(str(value.name) for value in constants)
    return WrittenOut(kept, tuple(str(node.name) for node in nodes), names, shares)


def is_known(value: ir.Value) -> bool:
    """True when no dimension is left open."""
    return value.shape is not None and value.shape.is_static()


def shape_of(value: ir.Value | None) -> Shape:
    """The shape of a value that has a known one."""
    assert value is not None and value.shape is not None, "only known shapes are written out"
    return value.shape.numpy()


def constant(name: str, tensor: ir.TensorProtocol) -> ir.Value:
    """An initializer, to be registered."""
    tensor.name = name
    shape = ir.Shape(tensor.shape.numpy())
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=shape, const_value=tensor)


def shared_constant(graph: ir.Graph, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    """An initializer of the graph; what several ask for by the same name is one."""
    if name not in graph.initializers:
        graph.register_initializer(constant(name, tensor))
    return graph.initializers[name]


def put_back(
    model: ir.Model, written: Sequence[WrittenOut], homes: Mapping[ir.Node, Hashable]
) -> dict[ir.Node, tuple[ir.Node, ...]]:
    """Put the originals back, in place, where all that stands for them still stands in the model's graph.

    Args:
        model: what a plan made of the model that they were written out in.
        written: what was written out.
        homes: where nodes are to be moved together; what stands in several places stays as it is.

    Returns:
        For each node that went, those that took its place.
    """
    graph, nodes = model.graph, {node.name: node for node in model.graph}
    values = {value.name: value for value in (*graph.inputs, *graph.initializers.values())}
    values |= {value.name: value for node in graph for value in node.outputs}
    replaced: dict[ir.Node, tuple[ir.Node, ...]] = {}
    by_share = sorted(written, key=lambda one: one.shares)
    for _, group in groupby(by_share, key=lambda one: one.shares):
        standing = [(one, [nodes[name] for name in one.nodes if name in nodes]) for one in group]
        if all(_is_whole(one, found, homes) for one, found in standing):
            for one, found in standing:
                replaced |= dict.fromkeys(found, _put_back(graph, values, one, found))
    for name in {name for one in written for name in one.constants}:
        if name in graph.initializers and is_unread(graph.initializers[name]):
            del graph.initializers[name]
    return replaced


def _is_whole(one: WrittenOut, found: Sequence[ir.Node], homes: Mapping[ir.Node, Hashable]) -> bool:
    """True when all nodes are there and together, and what only they give is read by none but them."""
    given = {value.name for node in one.originals for value in node.outputs}
    inner = (value for node in found for value in node.outputs if value.name not in given)
    return (
        len(found) == len(one.nodes)
        and len({homes.get(node) for node in found}) == 1
        and all(user in found for value in inner for user, _ in value.uses())
    )


def _put_back(
    graph: ir.Graph, values: dict[str | None, ir.Value], one: WrittenOut, parts: Sequence[ir.Node]
) -> tuple[ir.Node, ...]:
    """Put one back; `values` are those of the graph by name."""
    made: list[ir.Node] = []
    for original in one.originals:
        for stub in filter(None, original.inputs):
            if stub.name not in values:
                values[stub.name] = _registered(graph, stub)
        made.append(copied(original, [stub and values[stub.name] for stub in original.inputs]))
        values |= {value.name: value for value in made[-1].outputs}
    graph.insert_before(parts[-1], made)
    for old in (value for node in parts for value in node.outputs):
        if (new := values[old.name]) is not old:
            ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove(parts[::-1], safe=True)
    return tuple(made)


def _registered(graph: ir.Graph, stub: ir.Value) -> ir.Value:
    """An initializer that was taken out with the nodes that read it."""
    value = _stub(stub)
    graph.register_initializer(value)
    return value


def _detached(node: ir.Node) -> ir.Node:
    return copied(node, [value and _stub(value) for value in node.inputs])


def copied(node: ir.Node, inputs: Sequence[ir.Value | None]) -> ir.Node:
    """A node like this one that reads other values and is in no graph."""
    return ir.Node(
        node.domain,
        node.op_type,
        inputs,
        node.attributes.values(),
        overload=node.overload,
        outputs=list(map(_stub, node.outputs)),
        name=node.name,
        doc_string=node.doc_string,
        metadata_props=dict(node.metadata_props),
    )


def _stub(value: ir.Value) -> ir.Value:
    """A value like this one that nothing gives or reads."""
    return ir.Value(
        name=value.name,
        type=value.type,
        shape=value.shape,
        const_value=value.const_value,
        doc_string=value.doc_string,
        metadata_props=dict(value.metadata_props),
    )


def is_unread(value: ir.Value) -> bool:
    """True when no node reads a value, and whoever runs the model does not get it."""
    return not value.uses() and not value.is_graph_output()


def taken(model: ir.Model) -> set[str]:
    """Names that values and nodes of a model have."""
    names = {v.name for g in model.graphs() for v in (*g.inputs, *g.initializers.values())}
    for node in model.graph.all_nodes():
        names |= {node.name, *(v.name for v in node.outputs)}
    return {name for name in names if name}
