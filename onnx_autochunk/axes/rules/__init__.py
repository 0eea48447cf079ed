"""The rules, one module a family of operators. Importing this package fills the registry."""

from onnx_autochunk.axes.rules import (
    attention,
    contract,
    count,
    crop,
    einsum,
    index,
    loss,
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
    scatter,
    shapes,
    spectrum,
    text,
    transposed,
    window,
)

__all__ = [
    "attention", "contract", "count", "crop", "einsum", "index", "loss", "move", "normalize", "pointwise",
    "pool", "quantize", "recurrent", "reduce", "reshape", "resize", "sample", "scatter", "shapes",
    "spectrum", "text", "transposed", "window",
]  # fmt: skip
