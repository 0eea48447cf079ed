"""Normalisations: statistics need their axes whole, the others pass.

    LayerNormalization(axis=-1): a0 a1 a2!, a2, a2 -> a0 a1 a2, a0 a1 1, a0 a1 1

Source: https://onnx.ai/onnx/operators/onnx__LayerNormalization.html and its family.
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule, spec
from onnx_autochunk.axes.rules.words import fitted, marked, names, term

spec("InstanceNormalization", "n c ...!, c, c -> n c ...")


@rule("Softmax LogSoftmax Hardmax", since=13)
def softmax(node: Node) -> Answer:
    """One axis is normalised."""
    words = names(len(node.shape(0)))
    return f"{term(marked(words, {node.axis(-1, len(words))}))} -> {term(words)}"


@rule("Softmax LogSoftmax Hardmax", until=13)
def flat_softmax(node: Node) -> Answer:
    """Before opset 13 all axes from `axis` on are normalised as one."""
    words = names(len(node.shape(0)))
    return f"{term(marked(words, range(node.axis(1, len(words)), len(words))))} -> {term(words)}"


@rule("LpNormalization")
def lp_normalization(node: Node) -> Answer:
    """One axis is normalised."""
    words = names(len(node.shape(0)))
    return f"{term(marked(words, {node.axis(-1, len(words))}))} -> {term(words)}"


@rule("MeanVarianceNormalization")
def mean_variance_normalization(node: Node) -> Answer:
    """The listed axes are normalised together."""
    words = names(len(node.shape(0)))
    axes = node.integers("axes")
    whole = {axis % len(words) for axis in ((0, 2, 3) if axes is None else axes)}
    return f"{term(marked(words, whole))} -> {term(words)}"


@rule("LayerNormalization RMSNormalization")
def layer_normalization(node: Node) -> Answer:
    """All axes from `axis` on are normalised together; mean and deviation keep them with size 1."""
    rank = len(node.shape(0))
    axis = node.axis(-1, rank)
    words = marked(names(rank), range(axis, rank))
    scales = [fitted(shape or (), words) for shape in node.operands[1:]]
    flat = term([*words[:axis], *["1"] * (rank - axis)])
    return f"{', '.join([term(words), *scales])} -> {term(words)}, {flat}, {flat}"


@rule("GroupNormalization")
def group_normalization(node: Node) -> Answer:
    """Groups of channels and all of space are normalised together; an attribute counts the groups."""
    return "n c! ...!, (), () -> n c ..."


@rule("BatchNormalization", since=7)
def batch_normalization(node: Node) -> Answer:
    """Elementwise in inference; training computes statistics over the batch."""
    if node.integer("training_mode", 0) or sum(shape is not None for shape in node.results) > 1:
        return barrier("BatchNormalization in training mode")
    if len(node.shape(0)) < 2:
        return barrier("BatchNormalization without a channel axis")
    return "n c ..., c, c, c, c -> n c ..."


@rule("LRN")
def local_response_normalization(node: Node) -> Answer:
    """A window over the channels."""
    return "n c! ... -> n c ..."


@rule("SkipLayerNormalization SkipSimplifiedLayerNormalization", domain="com.microsoft")
def skip_layer_normalization(node: Node) -> Answer:
    """LayerNormalization of a sum over the last axis."""
    words = names(len(node.shape(0)))
    full = term(marked(words, {len(words) - 1}))
    last = f"{words[-1]}!"
    skip = fitted(node.shape(1), marked(words, {len(words) - 1}))
    flat = term([*words[:-1], "1"])
    return f"{full}, {skip}, {last}, {last}, {last} -> {full}, {flat}, {flat}, {full}"
