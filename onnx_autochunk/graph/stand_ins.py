"""The model as plans are made for: nodes that stand for others, and that make what would be held for ever.

Einsum -> Transpose, MatMul, Transpose
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from . import alike, einsum, parts, quantised, remade, shapes
from .derive import derive
from .loaded import Loaded
from .model import Graph
from .repeated import large, repeat
from .written import WrittenOut


def write_out(loaded: Loaded, provider: str = "cpu") -> Loaded:
    """The same model as plans are made for: with Einsums as products, and a product of parts as several.

    And what ORT would hold for ever, or from one reader to the next, and can be made from little is made for
    every op that reads it; of constants that repeat one step is read, known shapes are constants, and
    quantised groups one op where the provider fuses them. `loaded` stays as it is, and shares its weights.
    """
    model = loaded.model.clone()
    fewer = alike.write_out(model, loaded.graph)
    repeats = large(loaded.graph)
    repeat(model, repeats)
    changed = shapes.write_out(model, loaded.graph) | remade.write_out(model) | bool(repeats)
    changed |= provider == "cpu" and quantised.fuse(model)
    written = written_out(model)
    return derived(loaded, model, written, fewer) if written or changed or fewer else loaded


def written_out(model: ir.Model) -> tuple[WrittenOut, ...]:
    """Write Einsums out as products, and products of parts as several, in place."""
    return (*einsum.write_out(model), *parts.write_out(model))


def derived(
    loaded: Loaded, model: ir.Model, written: tuple[WrittenOut, ...], stays: tuple[WrittenOut, ...] = ()
) -> Loaded:
    """What stands for a model in plans: the same with some of it written out.

    Args:
        loaded: the model.
        model: as written out.
        written: what is put back where no region takes it in.
        stays: what is not.
    """
    new = derive(model, loaded.dims, dynamic=loaded.dynamic)
    graph = replace(new.graph, originals=_originals(new.graph, loaded.graph, (*stays, *written)))
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
