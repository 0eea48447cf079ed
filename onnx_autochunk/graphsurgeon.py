"""`onnx_graphsurgeon.Graph` in, `onnx_graphsurgeon.Graph` out, for graphs that are edited there anyway.

GraphSurgeon writes a weight into every body that captures it: 8 loops over one weight -> 8 weights in the
file. So copies are merged on the way in, and on the way out a captured weight is the result of a node
Constant, which bodies know by its name; `onnx.save(..., save_as_external_data=True)` leaves those in the
file unless it is told `convert_attribute=True`.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir

from . import api
from .errors import UsageError
from .report.progress import Progress

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


def autochunk(graph: gs.Graph, *, progress: Progress | None = None, **options: Any) -> gs.Graph:
    """Rewrite a graph so that its activations need less memory.

    >>> graph = gs.import_onnx(onnx.load("in.onnx"))  # doctest: +SKIP
    >>> onnx.save(gs.export_onnx(autochunk(graph, budget="20%")), "out.onnx")  # doctest: +SKIP

    Args:
        graph: with shapes and types of its inputs; it is not modified.
        progress: who is told where the work is; nobody by default.
        options: as for `onnx_autochunk.autochunk`.

    Returns:
        A new graph, equal to the old one where there was nothing to gain.

    Raises:
        AutochunkError: one of its kinds; `UsageError` where onnx-graphsurgeon is not installed.
    """
    surgeon = _graphsurgeon()
    model = _exported(surgeon, graph)
    _merge_copies(model)
    chunked = api.autochunk(model, progress=progress, **options).model.clone()
    for scope in chunked.graphs():
        _compute_captured(scope)
    return surgeon.import_onnx(ir.to_proto(chunked))


def _graphsurgeon() -> ModuleType:
    try:
        return importlib.import_module("onnx_graphsurgeon")
    except ImportError as error:
        raise UsageError(
            f"onnx-graphsurgeon is needed for its graphs, but does not load ({error}); "
            "install it with pip install onnx_autochunk[graphsurgeon]"
        ) from error


def _exported(surgeon: ModuleType, graph: gs.Graph) -> onnx.ModelProto:
    domains = graph.import_domains
    graph.import_domains = None if domains is None else list(domains)  # exporting adds to the list
    try:
        model: onnx.ModelProto = surgeon.export_onnx(graph)
    finally:
        graph.import_domains = domains
    return model


def _merge_copies(model: onnx.ModelProto) -> None:
    """Leave one of equal weights of one name, in the main graph, where every body finds it."""
    graphs = list(_graphs(model.graph))
    computed = {name for graph in graphs for name in _computed(graph)}
    copies: defaultdict[str, list[onnx.TensorProto]] = defaultdict(list)
    for graph in graphs:
        for weight in graph.initializer:
            copies[weight.name].append(weight)
    shared = {name for name, found in copies.items() if name not in computed and _are_equal(found)}
    for name in shared - {weight.name for weight in model.graph.initializer}:
        model.graph.initializer.append(copies[name][0])
    for body in graphs[1:]:
        for at in reversed(range(len(body.initializer))):
            if body.initializer[at].name in shared:
                del body.initializer[at]


def _are_equal(weights: Sequence[onnx.TensorProto]) -> bool:
    return len(weights) > 1 and all(weight == weights[0] for weight in weights)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph, then all bodies in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _graphs(body)


def _computed(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (value.name for value in graph.input)
    for node in graph.node:
        yield from node.output


def _compute_captured(graph: ir.Graph) -> None:
    """Make weights that bodies capture the results of nodes."""
    for name, weight in list(graph.initializers.items()):
        if weight.is_graph_input() or all(use.node.graph is graph for use in weight.uses()):
            continue
        assert weight.const_value is not None, "a weight has a value"
        node = ir.node("Constant", [], {"value": weight.const_value}, name=f"{name}/constant")
        del graph.initializers[name]
        weight.replace_all_uses_with(node.outputs[0], replace_graph_outputs=True)
        node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = name, weight.type, weight.shape
        graph.insert_before(graph[0], node)
