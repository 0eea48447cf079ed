"""Keep the epsilon of a normalization in float16 from being lost in a body.

    Pow(x, 2) -> ReduceMean -> Add(epsilon) -> Sqrt -> Div    becomes    Mul(x, x) -> ReduceMean -> ...

The CPU provider computes such a chain in float32, between casts. Those of constants it folds in the model's
graph and not in a body, and its fusions take 1e-5 for an epsilon that is no constant. They look for the Pow.

Source: onnxruntime/core/optimizer/layer_norm_fusion.cc; measured on ONNX Runtime 1.31.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .own import WRITTEN

ASSUMED = 1e-5  # by the fusions


def keep_epsilons(graph: ir.Graph) -> None:
    """Write squares in front of another epsilon as products, in all bodies that were written into a graph."""
    for node in tuple(graph.all_nodes()):
        body = node.graph
        if body is not None and body.name and body.name.startswith(WRITTEN) and _is_square(node):
            epsilon = _epsilon(node)
            if epsilon is not None and epsilon != np.float16(ASSUMED):
                _multiply(node)


def _is_square(node: ir.Node) -> bool:
    base, exponent = (*node.inputs, None)[:2]
    if node.op_type != "Pow" or base is None or exponent is None or base.dtype is not ir.DataType.FLOAT16:
        return False
    return exponent.const_value is not None and bool((exponent.const_value.numpy() == 2).all())


def _epsilon(square: ir.Node) -> float | None:
    """What is added to the mean of a square; None where no normalization follows."""
    for mean in square.outputs[0].consumers():
        for added in mean.outputs[0].consumers() if mean.op_type == "ReduceMean" else ():
            numbers = [value.const_value for value in added.inputs if value is not None]
            known = [number for number in numbers if number is not None and number.size == 1]
            if added.op_type == "Add" and known:
                return float(known[0].numpy().flat[0])
    return None


def _multiply(node: ir.Node) -> None:
    base = node.inputs[0]
    node.op_type = "Mul"
    node.replace_input_with(1, base)
