"""Images sampled at given points, and the grids of such points.

Source: https://onnx.ai/onnx/operators/onnx__GridSample.html, onnx__AffineGrid.html
"""

from __future__ import annotations

from onnx_autochunk.axes.factor import Linear, Patch
from onnx_autochunk.axes.registry import Answer, Node, Notation, rule
from onnx_autochunk.axes.rules.words import names, term


@rule("GridSample", since=16)
def grid_sample(node: Node) -> Answer:
    """Every point of the grid may look anywhere in its image."""
    rank = len(node.shape(0)) - 2
    space, points = [f"{word}!" for word in names(rank, "s")], names(rank, "p")
    return f"{term(['n', 'c', *space])}, {term(['n', *points, 'd!'])} -> {term(['n', 'c', *points])}"


@rule("AffineGrid")
def affine_grid(node: Node) -> Answer:
    """Points are spaced by the extents of the image; its size names the batch and the channels as well."""
    space = (node.results[0] or ())[1:-1]
    size = (Linear(stop=1, start=-1), Linear(1), *map(Linear, space))  # any number of channels will do
    points = [f"{word}!" for word in names(len(space), "p")]
    return Notation(f"n r! k!, () -> {term(['n', *points, 'd!'])}", patches={"n": (Patch(1, size),)})
