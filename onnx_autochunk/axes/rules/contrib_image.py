"""Convolutions and pools that ONNX Runtime fuses or turns to channels last, and other image operators.

    NhwcConv(kernel=3, pads=1): n s0~ s1~ c!, o t0! t1! t2!, o -> n s0 s1 o

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onnx_autochunk.axes.factor import Window
from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, Notation
from onnx_autochunk.axes.rules.contrib import contrib_rule, contrib_spec
from onnx_autochunk.axes.rules.sample import grid_sample
from onnx_autochunk.axes.rules.window import GROUPS, Space, in_channels, space_of
from onnx_autochunk.axes.rules.words import names, term

contrib_rule("GridSample")(grid_sample)
contrib_spec("CropAndResize", "n! c h! w!, r f!, r, () -> r c u! v!")  # a box may lie in any image


@contrib_rule("FusedConv")
def fused_conv(node: Node) -> Answer:
    """Conv with a residual and a function at its end, so partial results are never summed."""
    space = space_of(node, node.shape(1)[2:])
    values, result = _value(node, space.inputs), _result(space)
    return space.notation(f"{values}, {_weight(node, 1)}, (g o), {result} -> {result}", GROUPS)


@contrib_rule("NhwcConv")
def nhwc_conv(node: Node) -> Answer:
    """Channels are last in values and weights."""
    space = space_of(_channels_first(node), node.integers("kernel_shape") or node.shape(1)[1:-1])
    operands = f"{_value(node, space.inputs, last=True)}, {_weight(node, 1)}, (g o)"
    return space.notation(f"{operands} -> {_result(space, last=True)}", GROUPS)


@contrib_rule("NhwcFusedConv")
def nhwc_fused_conv(node: Node) -> Answer:
    """Channels are last in values, and in a residual."""
    space = space_of(_channels_first(node), node.shape(1)[2:])
    values, result = _value(node, space.inputs, last=True), _result(space, last=True)
    return space.notation(f"{values}, {_weight(node, 1)}, (g o), {result} -> {result}", GROUPS)


@contrib_rule("QLinearConv")
def q_linear_conv(node: Node) -> Answer:
    """QLinearConv whose values may have their channels last."""
    last = bool(node.integer("channels_last", 0))
    space = space_of(_channels_first(node) if last else node, node.shape(3)[2:])
    scale, point = ("(g o)" if node.shape(operand) not in ((), (1,)) else "()" for operand in (4, 5))
    operands = (
        f"{_value(node, space.inputs, last)}, (), (), {_weight(node, 3)}, {scale}, {point}, (), (), (g o)"
    )
    return space.notation(f"{operands} -> {_result(space, last)}", GROUPS)


@contrib_rule("NhwcMaxPool QLinearAveragePool")
def pool(node: Node) -> Answer:
    """Pools with channels last, or scales and zero points."""
    last = node.op.type == "NhwcMaxPool" or bool(node.integer("channels_last", 0))
    space = space_of(_channels_first(node) if last else node, node.integers("kernel_shape") or ())
    before, after = (_placed(words, "c", last) for words in (space.inputs, space.results))
    return space.notation(f"{before}, (), (), (), () -> {after}")


@contrib_rule("QLinearGlobalAveragePool")
def global_pool(node: Node) -> Answer:
    """Space shrinks to size 1; a rounded mean has no partial results."""
    last, rank = bool(node.integer("channels_last", 0)), len(node.shape(0)) - 2
    space = [f"{word}!" for word in names(rank, "s")]
    return f"{_placed(space, 'c', last)}, (), (), (), () -> {_placed(['1'] * rank, 'c', last)}"


@contrib_rule("ConvTransposeWithDynamicPads")
def conv_transpose(node: Node) -> Answer:
    """Padding is an operand, so space is whole."""
    rank = len(node.shape(0)) - 2
    space, taps, out = ([f"{word}!" for word in names(rank, prefix)] for prefix in "stu")
    values = term(["n", in_channels(node, added=node.has(3)), *space])
    text = f"{values}, {term(['(g c)', 'o', *taps])}, (), (g o) -> {term(['n', '(g o)', *out])}"
    return Notation(text, patches=GROUPS)


@contrib_rule("UnfoldTensor")
def unfold(node: Node) -> Answer:
    """Windows along one axis, each laid out on an axis of its own."""
    words = names(len(node.shape(0)))
    axis = node.integer("dim", -1) % len(words)
    window = Window(node.shape(0)[axis], node.integer("step", 1), span=node.integer("size", 1))
    seen = [f"{word}~" if place == axis else word for place, word in enumerate(words)]
    return Notation(f"{term(seen)} -> {term([*words, 't!'])}", windows={words[axis]: window})


def _channels_first(node: Node) -> Node:
    """The node as it would be with channels first, to read its windows."""
    values, result = node.shape(0), node.results[0] or ()
    return replace(node, operands=(_moved(values), *node.operands[1:]), results=(_moved(result),))


def _moved(shape: Shape) -> Shape:
    return (shape[0], shape[-1], *shape[1:-1])


def _placed(space: Sequence[str], channels: str, last: bool) -> str:
    return term(["n", *space, channels] if last else ["n", channels, *space])


def _value(node: Node, space: Sequence[str], last: bool = False) -> str:
    return _placed(space, in_channels(node, added=True), last)


def _result(space: Space, last: bool = False) -> str:
    return _placed(space.results, "(g o)", last)


def _weight(node: Node, operand: int) -> str:
    """Result channels lead, whatever the order of the others."""
    return term(["(g o)", *(f"{word}!" for word in names(len(node.shape(operand)) - 1, "w"))])
