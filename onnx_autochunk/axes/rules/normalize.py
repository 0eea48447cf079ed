"""Normalisations: statistics need their axes whole, the others pass.

    LayerNormalization(axis=-1): a0 a1 a2!, a2, a2 -> a0 a1 a2, a0 a1 1, a0 a1 1

Source: https://onnx.ai/onnx/operators/onnx__LayerNormalization.html and its family.
"""

from __future__ import annotations

from onnx_autochunk.axes.factor import Patch, Window
from onnx_autochunk.axes.registry import Answer, Node, Notation, rule, spec
from onnx_autochunk.axes.rules.words import fitted, marked, names, steps, term

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


@rule("GroupNormalization", since=18)
def group_normalization(node: Node) -> Answer:
    """Groups of channels are normalised together; an attribute counts them. Before 21, so do scales."""
    scale = "g" if node.op.version < 21 else "(g c!)"
    channels = f"(g={node.integer('num_groups', 1)} c!)"
    return Notation(
        f"n {channels} ...!, {scale}, {scale} -> n (g c) ...", patches={"g": (Patch("num_groups", steps()),)}
    )


@rule("BatchNormalization", since=7)
def batch_normalization(node: Node) -> Answer:
    """Elementwise in inference; in training every channel has statistics over all the rest."""
    rank, more = len(node.shape(0)), sum(shape is not None for shape in node.results) > 1
    mark = "!" if node.integer("training_mode", 0) or more else ""
    if rank == 1:  # one channel
        return f"n{mark}, (), (), (), () -> n, (), (), (), ()"
    words = ["n" + mark, "c", *marked(names(rank - 2), range(rank - 2), mark)]
    scale = "c" if node.integer("spatial", 1) else term(words[1:])
    scales = ", ".join([scale] * 4)
    return f"{term(words)}, {scales} -> {term(words)}, {scales}"


@rule("LRN")
def local_response_normalization(node: Node) -> Answer:
    """A window over the channels, the longer half of an even one behind."""
    size = node.integer("size", 1)
    window = Window(node.shape(0)[1], before=(size - 1) // 2, span=size)
    return Notation("n c~ ... -> n c ...", windows={"c": window}, crops=("c",))
