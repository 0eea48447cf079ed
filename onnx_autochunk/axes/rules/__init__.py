"""The rules, one module a family of operators. Importing this package fills the registry."""

from onnx_autochunk.axes.rules import (
    attention,
    contract,
    crop,
    index,
    move,
    normalize,
    pointwise,
    pool,
    quantize,
    recurrent,
    reduce,
    reshape,
    resize,
    sample,
    shapes,
    spectrum,
    transposed,
    window,
)

__all__ = [
    "attention", "contract", "crop", "index", "move", "normalize", "pointwise", "pool", "quantize",
    "recurrent", "reduce", "reshape", "resize", "sample", "shapes", "spectrum", "transposed", "window",
]  # fmt: skip
