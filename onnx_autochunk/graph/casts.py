"""Casts to a wider type and back, which change nothing: what was cast back is read from the start.

    x float16 -> Cast float32 -> Cast float16 -> y    becomes    x, which the readers of y read

ONNX Runtime drops them, too, but forgets readers in bodies where x is an input of the graph or the body.

Source: onnxruntime/core/optimizer/insert_cast_transformer.cc, RemoveDuplicateCastTransformer.
"""

from __future__ import annotations

from typing import TypeGuard

import onnx_ir as ir

from .written import is_unread


def drop_returns(model: ir.Model) -> None:
    """Drop them in place; types of values are known."""
    for graph in model.graphs():
        for back in filter(_is_cast, tuple(graph)):
            wide = back.inputs[0]
            there = None if wide is None else wide.producer()
            source = there.inputs[0] if _is_cast(there) else None
            if wide is None or there is None or source is None or not _returns(source, wide, back.outputs[0]):
                continue
            back.outputs[0].replace_all_uses_with(source)
            graph.remove(back, safe=True)
            if there.graph is not None and is_unread(wide):
                there.graph.remove(there, safe=True)


def _is_cast(node: ir.Node | None) -> TypeGuard[ir.Node]:
    return node is not None and node.op_type == "Cast" and node.domain in ("", "ai.onnx")


def _returns(source: ir.Value, wide: ir.Value, back: ir.Value) -> bool:
    """True where the last value has the elements of the first."""
    if source.dtype is None or wide.dtype is None or back.dtype != source.dtype or back.is_graph_output():
        return False
    floats = source.dtype.is_floating_point() and wide.dtype.is_floating_point()
    return wide.dtype == source.dtype or (floats and wide.dtype.bitwidth > source.dtype.bitwidth)
