"""Put a stretch of the model into a frame: a Scan of one iteration, whose body has memory of its own.

ORT keeps a dead buffer for any later value of the same shape, so a model of equal layers holds, all the time,
as many buffers of each shape as any one moment needs. A body is planned by itself and gives everything back
when it ends:

    LayerNorm -> k, v -> Scan(chunks) -> x'    becomes    Scan(once){LayerNorm -> k, v -> Scan(chunks)} -> x'

Measured on a ViT of 4 layers: 138 MiB without frames, 77 MiB with. Weights are captured and packed once; a
frame costs microseconds and no time to load. Source: onnxruntime/core/framework/allocation_planner.cc,
FindReusableTensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from ..graph.numbers import OPEN, open_shape
from .scope import Scope, shape_of

# ORT's blocked convolutions on CPU need their weights in the graph they run in (ORT: NchwcTransformer).
UNFRAMED = frozenset({"Conv", "ConvTranspose", "FusedConv", "QLinearConv"})
# What puts results together stays outside: as the last op of a body it would copy a view, or, measured for
# Concat, hold one more buffer of the result's size.
ASSEMBLES = "onnx_autochunk.assembles"  # said of other ops, among what an IR node carries
AXES_OPSET = 13  # the opset that made the axes of a Squeeze an operand
ASSEMBLY = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity", "Concat"})


def frame(graph: ir.Graph, nodes: Sequence[ir.Node], scope: Scope) -> list[ir.Node]:
    """Move `nodes` into a frame; the nodes that stand in their place, none when they cannot be framed.

    Args:
        graph: the model's graph; sort it afterwards.
        nodes: a stretch of a topological order, so that no path leaves it and comes back.
        scope: where new names and constants come from.
    """
    inside, results = set(_with_bodies(nodes)), _results(nodes)
    if not results:
        return []
    outer = [_framed(scope, value) for value in results]
    _hand_over(graph, results, outer, inside, scope)
    body = Scope(f"{scope.prefix}/body", scope.names)
    once, seen = scope.constant(np.zeros((1, 1), np.int64)), body.value("once", ir.DataType.INT64, (1,))
    graph.insert_after(nodes[-1], scope.nodes)
    graph.remove(nodes)
    inner = ir.Graph([seen], results, nodes=nodes, name=body.prefix)
    attributes = [ir.AttrGraph("body", inner), ir.AttrInt64("num_scan_inputs", 1)]
    name = scope.names.fresh(f"{scope.prefix}/Scan")
    scan = ir.Node("", "Scan", [once], attributes, outputs=outer, name=name)
    graph.insert_before(scope.nodes[0], scan)
    return [scan, *scope.nodes]


def can_frame(nodes: Sequence[ir.Node]) -> bool:
    """Whether `frame` moves these nodes."""
    return bool(_results(nodes))


def frameable(nodes: Sequence[ir.Node]) -> list[ir.Node]:
    """What of a stretch may be framed: all after the last barred op, but for the assembly of its results."""
    barred = (at for at, node in enumerate(nodes) if node.op_type in UNFRAMED)
    kept = dict.fromkeys(nodes[max(barred, default=-1) + 1 :])
    inside = set(_with_bodies(kept))
    for node in reversed(tuple(kept)):
        used_inside = any(user in inside for value in node.outputs for user, _ in value.uses())
        if assembles(node) and not used_inside:
            del kept[node]
            inside.remove(node)
    return list(kept)


def assembles(node: ir.Node) -> bool:
    """True for what puts results together, by what it is or by what it was written for."""
    return node.op_type in ASSEMBLY or node.meta.get(ASSEMBLES, False)


def _results(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """What leaves a frame of these nodes; nothing where that cannot be.

    A frame's result is viewed in its own shape, which ORT copies for an output of the model.
    """
    inside = set(_with_bodies(nodes))
    results = [value for node in nodes for value in node.outputs if _leaves(value, inside)]
    barred = any(value.is_graph_output() or not _can_be_viewed(value) for value in results)
    return [] if barred else results


def _with_bodies(nodes: Iterable[ir.Node]) -> Iterator[ir.Node]:
    for node in nodes:
        yield node
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _with_bodies(attribute.as_graph())


def _leaves(value: ir.Value, inside: set[ir.Node]) -> bool:
    return value.is_graph_output() or any(user not in inside for user, _ in value.uses())


def _can_be_viewed(value: ir.Value) -> bool:
    """True where all sizes are known and none is 0, which a Reshape takes for the size that there was."""
    return value.shape is not None and value.shape.is_static() and 0 not in value.shape.numpy()


def _framed(scope: Scope, value: ir.Value) -> ir.Value:
    """What a frame gives of a result."""
    framed = scope.value(f"{value.name}/framed", value.dtype, (1, *shape_of(value)))
    if (dims := open_shape(value)) is not None:
        framed.meta[OPEN] = (1, *dims)
    return framed


def _viewed(graph: ir.Graph, scope: Scope, framed: ir.Value, value: ir.Value) -> ir.Value:
    """The same in the result's own shape."""
    name = str(value.name)
    if (dims := open_shape(value)) is None:
        return scope.reshape(framed, shape_of(value), name)
    viewed = scope.value(name, value.dtype, shape_of(value))
    viewed.meta[OPEN] = dims
    if graph.opset_imports.get("", 1) < AXES_OPSET:
        return scope.call("Squeeze", [framed], viewed, {"axes": (0,)})
    return scope.call("Squeeze", [framed, scope.constant([0])], viewed)


def _hand_over(
    graph: ir.Graph,
    results: Sequence[ir.Value],
    outer: Sequence[ir.Value],
    inside: set[ir.Node],
    scope: Scope,
) -> None:
    """Let readers outside the frame read its outputs, in the results' own shapes and under their names."""
    for value, framed in zip(results, outer, strict=True):
        name = str(value.name)
        viewed = _viewed(graph, scope, framed, value)
        for user, index in tuple(value.uses()):
            if user not in inside and user not in scope.nodes:
                user.replace_input_with(index, viewed)
        value.name, viewed.name = viewed.name, name
