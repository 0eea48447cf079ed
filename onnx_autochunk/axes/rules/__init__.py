"""The rules, one module a family of operators. Importing this package fills the registry."""

from onnx_autochunk.axes.rules import (
    attention,
    contract,
    index,
    move,
    normalize,
    pointwise,
    quantize,
    recurrent,
    reduce,
    reshape,
    shapes,
    window,
)

__all__ = [
    "attention", "contract", "index", "move", "normalize", "pointwise", "quantize", "recurrent", "reduce",
    "reshape", "shapes", "window",
]  # fmt: skip
