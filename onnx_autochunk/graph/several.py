"""Load a model whose sizes stay open: at the reference sizes for planning, at others for what holds at all.

    x[batch, tokens, 64] -> Shape -> Gather, Concat -> Reshape
becomes the same with the Shape of an input in place of that of a result: whatever is chunked, sizes can be
computed before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

import onnx_ir as ir

from ..errors import AutochunkError, ModelError
from .derive import derive, whole_graph
from .dynamic import Atom, Dims, Dynamic, bindings
from .load import Source, Unbound, check_sizes, read
from .loaded import Loaded
from .model import Graph, Origin
from .names import Names
from .numbers import OPEN, ZERO_OPSET, Numbers
from .quantised import fuse
from .repeated import Repeats, large, repeat
from .stand_ins import derived, write_out, written_out
from .written import taken

logger = logging.getLogger(__name__)

APART = 2  # choices besides the reference that have nothing in common with it or each other
USUAL_BATCH, USUAL_SIZE = 1, 512  # reference sizes where none are given
OLDEST_OPSET = 13  # of what computes sizes: Min of integers, Squeeze and its likes with axes as operands


def load_open(
    source: Source,
    *,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    examples: Mapping[str, tuple[int, ...]] | None = None,
    provider: str = "cpu",
) -> Loaded:
    """Read a model; where it has symbolic dimensions, with what is known of it at every size.

    Args:
        source: as for `load`.
        dims: reference sizes of symbolic dimensions; those that nothing says are chosen here.
        shapes: reference shapes of inputs, by name.
        examples: shapes of the user's own inputs, likewise.
        provider: the execution provider that is planned for.

    Raises:
        ModelError: as for `load`.
        UsageError: likewise.
    """
    unbound = _read(source)
    shapes = shapes or {}
    dims = {**_chosen(unbound.model, {**(examples or {}), **shapes}), **(dims or {})}
    model = unbound.model.clone()
    loaded = unbound.loaded(model, dims, shapes)
    if not loaded.dims:
        return loaded
    why = _obstacle(unbound.model)
    graphs = () if why else _at_every_choice(unbound, model, loaded.dims, provider)
    if len(graphs) <= APART:
        logger.warning("the result takes these sizes only: %s", why or "the model itself takes no others")
        return loaded
    dynamic = Dynamic(graphs, _inputs(unbound.model, graphs), _accepted(unbound.model))
    dynamic = _with_elements(_write_sizes(model, dynamic))  # the other way a size could come from itself
    _say(model, dynamic)
    return derive(model, loaded.dims, dynamic=dynamic)


def _say(model: ir.Model, dynamic: Dynamic) -> None:
    """Let each value say what its axes are at every size, in place."""
    for value in (*model.graph.inputs, *(value for node in model.graph for value in node.outputs)):
        sizes = dynamic.sizes(str(value.name))
        if sizes is not None:
            value.meta[OPEN] = tuple(map(dynamic.label, sizes))


def _read(source: Source) -> Unbound:
    """The model; raised, if that can be done, where its opset is too old to compute sizes."""
    unbound = read(source)
    if _is_old(unbound.model) and any(_labels(unbound.model)):
        try:
            return read(source, ZERO_OPSET)
        except ModelError as error:
            logger.info("it cannot be raised to opset %d: %s", ZERO_OPSET, error)
    return unbound


def _is_old(model: ir.Model) -> bool:
    return model.opset_imports.get("", 1) < OLDEST_OPSET


def _chosen(model: ir.Model, known: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Sizes of named dimensions: those of an input whose shape is known, or usual ones."""
    named = [(known.get(name, ())[axis : axis + 1], label) for name, axis, label in _labels(model)]
    found = {label: size for sizes, label in named for size in sizes}
    usual = {label: USUAL_BATCH if "batch" in label.lower() else USUAL_SIZE for _, label in named}
    return {**usual, **found}


def _obstacle(model: ir.Model) -> str:
    """Why sizes cannot be computed at run time; empty when they can."""
    if _is_old(model):
        return f"sizes are computed at run time from opset {OLDEST_OPSET} on"
    unranked = (value.name for value in model.graph.inputs if value.shape is None)
    name = next(unranked, None)
    return "" if name is None else f"the rank of {name!r} is unknown"


def _accepted(model: ir.Model) -> dict[str, tuple[int | str | None, ...]]:
    ends = (value for graph in model.graphs() for value in (*graph.inputs, *graph.outputs))
    return {
        str(value.name): tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)
        for value in ends
        if value.shape is not None
    }


def _labels(model: ir.Model) -> Iterator[tuple[str, int, str]]:
    """Every open dimension of an input: the input, the axis, and what the dimension is called."""
    for value in model.graph.inputs:
        if value.is_initializer() or value.shape is None:
            continue
        for axis, dim in enumerate(value.shape):
            if not isinstance(dim, int) or dim < 0:
                label = None if isinstance(dim, int) else dim.value
                yield str(value.name), axis, label or f"{value.name}.{axis}"


def _inputs(model: ir.Model, graphs: tuple[Graph, ...]) -> dict[tuple[int, ...], Atom]:
    atoms: dict[tuple[int, ...], Atom] = {}
    for name, axis, label in _labels(model):
        size = tuple((graph.shape(name) or ())[axis] for graph in graphs)
        atoms.setdefault(size, Atom(label, name, axis))
    return atoms


def _with_elements(dynamic: Dynamic) -> Dynamic:
    """With the sizes that the model itself computes, of parts of an image and the like."""
    for name in dynamic.graphs[0].values:
        data = [graph.values[name].data if name in graph.values else None for graph in dynamic.graphs]
        known = [array for array in data if array is not None and array.dtype.kind == "i"]
        if len(known) < len(data) or len({array.shape for array in known}) > 1:
            continue
        for at, size in enumerate(zip(*(map(int, array.flat) for array in known), strict=True)):
            if min(size) > 0 and dynamic.term(size) is None:
                dynamic = dynamic.with_atom(size, Atom(f"{name}.{at}", name, at, is_element=True))
    return dynamic


def _at_every_choice(unbound: Unbound, model: ir.Model, used: Dims, provider: str) -> tuple[Graph, ...]:
    """The graph at the reference sizes, and at others that the model takes; no others when it takes few."""
    repeats = large(whole_graph(model))
    reference = _with_written(model, repeats, provider)
    constants = (value for value in reference.values.values() if value.origin is Origin.CONSTANT)
    static = {size for value in constants for size in value.shape or ()}
    labels = {(name, axis): label for name, axis, label in _labels(unbound.model)}

    def shapes(dims: Dims) -> dict[str, tuple[int, ...]]:
        given = {name: list(reference.shape(name) or ()) for name in reference.inputs}
        for (name, axis), label in labels.items():
            given[name][axis] = dims[label]
        return {name: tuple(sizes) for name, sizes in given.items()}

    uneven = {dim: max(1, size - 1) for dim, size in used.items()}
    _, *choices = *bindings(used, static), uneven
    apart = [_at(unbound, shapes(dims), repeats, provider) for dims in choices[:APART]]
    if None in apart:
        return (reference,)
    others = (_at(unbound, shapes(dims), repeats, provider) for dims in choices[APART:])
    return (reference, *(graph for graph in (*apart, *others) if graph and _covers(graph, reference)))


def _covers(graph: Graph, reference: Graph) -> bool:
    """True where as many shapes are known: a window that is larger than its input has none."""
    return all(graph.shape(name) for name, value in reference.values.items() if value.shape)


def _at(
    unbound: Unbound, shapes: Mapping[str, tuple[int, ...]], repeats: Repeats, provider: str
) -> Graph | None:
    """The graph for inputs of these shapes; None where it takes no such inputs."""
    model = unbound.model.clone()
    try:
        unbound.bind(model, {}, shapes)
        graph = _with_written(model, repeats, provider)
        check_sizes(graph, unbound.where)
    except AutochunkError as error:
        logger.info("not for inputs of %s: %s", shapes, error)
        return None
    return graph if all(min(value.shape or (), default=1) > 0 for value in graph.values.values()) else None


def _with_written(model: ir.Model, repeats: Repeats, provider: str) -> Graph:
    """The graph of what `write_out_open` makes of a bound model, and the values of what that replaces.

    Args:
        model: stays as it is.
        repeats: what was found at the reference sizes.
        provider: the execution provider that is planned for.
    """
    plain = whole_graph(model)
    made = model.clone()
    if provider == "cpu":
        fuse(made)
    repeat(made, repeats)
    written_out(made)
    graph = whole_graph(made)
    return replace(graph, values={**plain.values, **graph.values})


def write_out_open(loaded: Loaded, provider: str = "cpu") -> Loaded:
    """As `write_out`, for a model whose sizes are open; what it says of shapes is computed at run time."""
    if loaded.dynamic is None:
        return write_out(loaded, provider)
    model, dynamic = loaded.model.clone(), loaded.dynamic
    if provider == "cpu":
        fuse(model)
    repeat(model, large(whole_graph(model)))
    written = written_out(model)
    new = {name for one in written for name in one.nodes}
    numbers = Numbers(model.graph, dynamic, Names(taken(model)).fresh)
    for node in model.graph:
        target = node.inputs[1] if node.name in new and node.op_type == "Reshape" else None
        if target is None or not target.is_initializer():
            continue
        sizes = dynamic.sizes(str(node.outputs[0].name))
        if sizes is None or any(dynamic.term(size) is None for size in sizes):
            return loaded
        node.replace_input_with(1, numbers.vector(sizes))
        numbers.allow_zero(node)
    numbers.place()
    _say(model, dynamic)
    return derived(loaded, model, written)


def _write_sizes(model: ir.Model, dynamic: Dynamic) -> Dynamic:
    """Let what asks for a shape have it computed from the shapes of inputs, in place, as far as possible."""
    graph, numbers = model.graph, Numbers(model.graph, dynamic, Names(taken(model)).fresh)
    asking = [node for node in graph if node.op_type == "Shape" and node.domain in ("", "ai.onnx")]
    for node in asking:
        value, asked = node.outputs[0], node.inputs[0]
        sizes = None if asked is None else dynamic.sizes(str(asked.name))
        if asked is None or sizes is None or value.is_graph_output():
            continue
        start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", None)
        for axis in range(len(sizes))[start:end]:
            if dynamic.term(sizes[axis]) is None:
                atom = Atom(f"{asked.name}.{axis}", str(asked.name), axis)
                dynamic = numbers.dynamic = dynamic.with_atom(sizes[axis], atom)
        value.replace_all_uses_with(numbers.vector(sizes[start:end]))
        graph.remove(node, safe=True)
    numbers.place()
    return dynamic
