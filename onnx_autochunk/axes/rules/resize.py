"""Resize: axes whose extents have a ratio of whole numbers pass, with the halo that interpolation needs.

    nearest, 1 -> 2: a0 -> (a0 t0=2!)        linear, 1 -> 2: a0~ -> (a0 t0=2!), cropped

What a chunk computes of its halo is wrong and cut off, so its edges need no other treatment. `align_corners`
and `tf_crop_and_resize` depend on the length of an axis: there only axes that keep their extent pass.

Source: https://onnx.ai/onnx/operators/onnx__Resize.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from onnx_autochunk.axes.factor import Linear, Patch, Window
from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule
from onnx_autochunk.axes.rules.interpolation import Method, grows_evenly, is_exact
from onnx_autochunk.axes.rules.words import names, term

LENGTH = Linear(stop=1, start=-1)


@dataclass(frozen=True, slots=True)
class _Axis:
    """What is written for an axis; `entry` is its extent in a chunk, None where that is no linear number."""

    operand: str
    result: str
    window: Window | None = None
    entry: Linear | None = None


@rule("Resize", since=11)
def resize(node: Node) -> Answer:
    """`scales` stay; `sizes` are rewritten for each chunk, entry by entry where they list some axes only."""
    rank = len(node.shape(0))
    listed = tuple(axis % rank for axis in node.integers("axes") or range(rank))
    method = Method(
        node.text("mode", "nearest"),
        node.text("coordinate_transformation_mode", "half_pixel"),
        node.text("nearest_mode", "round_prefer_floor"),
        bool(node.integer("antialias", 0)),
    )
    if not node.has(3):
        scales = node.numbers(2)
        if scales is None:
            return barrier("the scales of Resize are unknown")
        return _notation(node, _axes(node, method, dict(zip(listed, scales, strict=True))))
    ratios = _ratios(node, listed)
    axes = _axes(node, method, {axis: float(np.float32(ratio)) for axis, ratio in ratios.items()})
    stretched = node.text("keep_aspect_ratio_policy", "stretch") == "stretch"
    if stretched and node.integers("axes") is None:
        return _notation(node, axes, sizes={3: 0})
    if not stretched and len(set(ratios.values())) > 1:
        axes = [_whole(i) if i in listed else axis for i, axis in enumerate(axes)]
    return _notation(node, *_by_entry(node, axes, listed))


@rule("Resize", since=10, until=11)
def resize_by_scales(node: Node) -> Answer:
    """The older form: coordinates i / scale, rounded towards the nearer end of the axis."""
    return _by_scales(node, node.numbers(1))


@rule("Upsample", since=9)
def upsample(node: Node) -> Answer:
    """As Resize was at first."""
    return _by_scales(node, node.numbers(1))


@rule("Upsample", since=7, until=9)
def upsample_by_attribute(node: Node) -> Answer:
    """The scales are an attribute."""
    scales = node.op.attributes.get("scales")
    return _by_scales(node, tuple(map(float, scales)) if isinstance(scales, Sequence) else None)


def _by_scales(node: Node, scales: tuple[float, ...] | None) -> Answer:
    if scales is None:
        return barrier(f"the scales of {node.op.type} are unknown")
    mode = node.text("mode", "nearest").replace("bilinear", "linear")
    upwards, down = Method(mode, "asymmetric", "floor"), Method(mode, "asymmetric", "ceil")
    given = dict(enumerate(scales))
    up, shrunk = _axes(node, upwards, given), _axes(node, down, given)
    return _notation(node, [shrunk[axis] if scale < 1 else up[axis] for axis, scale in given.items()])


def _ratios(node: Node, axes: Sequence[int]) -> dict[int, Fraction]:
    before, after = node.shape(0), node.results[0] or ()
    return {axis: Fraction(after[axis], before[axis]) for axis in axes}


def _notation(
    node: Node,
    axes: Sequence[_Axis],
    patches: Mapping[str, tuple[Patch, ...]] | None = None,
    sizes: Mapping[int, int] | None = None,
) -> Notation:
    operands = [term(axis.operand for axis in axes), *["()"] * (len(node.operands) - 1)]
    windows = {name: axis.window for name, axis in zip(names(len(axes)), axes, strict=True) if axis.window}
    text = f"{', '.join(operands)} -> {term(axis.result for axis in axes)}"
    return Notation(text, sizes or {}, windows, patches or {}, crops=tuple(windows))


def _axes(node: Node, method: Method, scales: Mapping[int, float]) -> list[_Axis]:
    """The words of every axis; those without a scale are not resized."""
    words = names(len(node.shape(0)))
    ratios = _ratios(node, range(len(words)))
    return [
        _axis(node, index, ratios[index], scales[index], method) if index in scales else _Axis(word, word)
        for index, word in enumerate(words)
    ]


def _axis(node: Node, index: int, ratio: Fraction, scale: float, method: Method) -> _Axis:
    if ratio == scale == 1:
        return _Axis(f"a{index}", f"a{index}", entry=LENGTH) if _keeps(node, index, method) else _whole(index)
    size = node.shape(0)[index]
    steps, up, down = size // ratio.denominator, ratio.numerator, ratio.denominator
    reads = method.reads(ratio, is_exact(scale))
    even = node.has(3) or grows_evenly(scale, ratio, steps)
    if reads is None or not even or steps == 1 or np.float32(scale) != np.float32(up / down):
        return _whole(index)
    before, after = max(0, -(reads[0] // down)), max(0, reads[1] // down)
    if method.coordinates == "pytorch_half_pixel" and up == 1:
        before, after = max(before, 1), max(after, 1)  # no chunk has a result of one element
    result = f"(a{index} t{index}={up}!)" if up > 1 else f"a{index}"
    if before == after == 0:
        operand = f"(a{index} u{index}={down}!)" if down > 1 else f"a{index}"
        return _Axis(operand, result, entry=Linear(stop=up, start=-up))
    window = Window(size, down, before * down, (1 + before + after) * down)
    return _Axis(f"a{index}~", result, window, Linear(last=up, first=-up) if down == 1 else None)


def _keeps(node: Node, index: int, method: Method) -> bool:
    """True when an axis that keeps its extent is copied: all of it is the region that is looked at."""
    if method.coordinates != "tf_crop_and_resize":
        return True
    region = node.numbers(1) or ()
    rank = len(node.shape(0))
    listed = [axis % rank for axis in node.integers("axes") or range(rank)]
    at = listed.index(index)
    return len(region) == 2 * len(listed) and (region[at], region[len(listed) + at]) == (0, 1)


def _whole(index: int) -> _Axis:
    return _Axis(f"a{index}!", f"b{index}!")


def _by_entry(
    node: Node, axes: Sequence[_Axis], listed: Sequence[int]
) -> tuple[list[_Axis], dict[str, tuple[Patch, ...]]]:
    """The axes that pass when `sizes` is rewritten entry by entry, and how."""
    after = node.results[0] or ()
    passing = list(axes)
    patches: dict[str, tuple[Patch, ...]] = {}
    for index in listed:
        entry = axes[index].entry
        if entry is None:
            passing[index] = _whole(index)
        else:
            sizes = tuple([entry if axis == index else Linear(after[axis]) for axis in listed])
            patches[f"a{index}"] = (Patch(3, sizes),)
    return passing, patches
