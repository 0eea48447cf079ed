"""Normalisations that ONNX Runtime fuses with what stands around them, and embeddings.

    SkipLayerNormalization: a0 a1 a2!, a0 a1 a2!, a2, a2, a2 -> a0 a1 a2, a0 a1 1, a0 a1 1, a0 a1 a2

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx_autochunk.axes.factor import Patch, Window
from onnx_autochunk.axes.registry import Answer, Node, Notation, rule
from onnx_autochunk.axes.rules.contrib import contrib_rule, contrib_spec, counted
from onnx_autochunk.axes.rules.normalize import layer_normalization
from onnx_autochunk.axes.rules.words import fitted, marked, names, over, term

rule("SimplifiedLayerNormalization")(layer_normalization)  # ONNX Runtime keeps it in ONNX's own domain
contrib_spec("LinearAttentionGate", "... h, h, h, ... h -> ... h, ... h")
contrib_spec("EngramGate", "b s m h!, b s m h, b s h, m h, m h, m h -> b s m h, b s m h")


@contrib_rule("SkipLayerNormalization SkipSimplifiedLayerNormalization")
def skip_layer_normalization(node: Node) -> Answer:
    """LayerNormalization of a sum over the last axis."""
    words = names(len(node.shape(0)))
    whole = marked(words, {len(words) - 1})
    full, last, flat = term(whole), whole[-1], term([*words[:-1], "1"])
    skip = fitted(node.shape(1), whole)
    return f"{full}, {skip}, {last}, {last}, {last} -> {full}, {flat}, {flat}, {full}"


@contrib_rule("GroupNorm")
def group_norm(node: Node) -> Answer:
    """All of space is normalised with the channels of a group."""
    value = _image(node)
    return Notation(f"{value}, (g c), (g c) -> {value}", patches=_GROUPS)


@contrib_rule("SkipGroupNorm")
def skip_group_norm(node: Node) -> Answer:
    """GroupNorm of a sum; what is added may be one number a channel."""
    value, shape = _image(node), node.shape(3)
    skip = "n (g c)" if len(shape) == 2 else "n 1 1 (g c)" if shape != node.shape(0) else value
    return Notation(f"{value}, (g c), (g c), {skip}, (g c) -> {value}, {value}", patches=_GROUPS)


_GROUPS = {"g": counted("groups")}


def _image(node: Node) -> str:
    channels = f"(g={node.integer('groups', 1)} c!)"
    return f"n h! w! {channels}" if node.integer("channels_last", 1) else f"n {channels} h! w!"


@contrib_rule("GatedRMSNorm")
def gated_rms_normalization(node: Node) -> Answer:
    """Each group of the last axis, as long as the scale, is normalised for itself."""
    size = node.shape(1)[0]
    value = f"... (h c={size}!)" if size > 1 else "... h"
    return f"{value}, {'c' if size > 1 else '()'}, {value} -> {value}"


@contrib_rule("BranchwiseRMSNorm")
def branchwise_rms_normalization(node: Node) -> Answer:
    """Branches are an axis, or counted by an attribute in a merged one; each has its own mean."""
    value, patches = _branches(node, "c", "h!")
    scale = node.shape(1) if node.has(1) else ()
    per_feature = scale == (_features(node),)
    word = "h" if per_feature else "(c h)" if len(scale) == 1 else "c h" if scale else "()"
    return Notation(f"{value}, {word} -> {value}", patches=patches)


@contrib_rule("HyperConnectionPreMix")
def mix_before(node: Node) -> Answer:
    """Branches are summed; a merged axis keeps them whole, because a sum leaves no place to count them."""
    value, _ = _branches(node, "c!" if node.integer("num_branches", 0) else "c+", "h")
    return f"{value}, {_gate(node, 1)} -> ... h"


@contrib_rule("HyperConnectionPostMix")
def mix_after(node: Node) -> Answer:
    """Branches are independent unless a matrix mixes them."""
    value, patches = _branches(node, "c!" if node.has(3) else "c", "h")
    return Notation(f"{value}, ... h, {_gate(node, 2)}, ... c k! -> {value}", patches=patches)


def _branches(node: Node, branch: str, feature: str) -> tuple[str, Mapping[str, tuple[Patch, ...]]]:
    """The term of a value with branches, and what changes when some of them are computed."""
    count = node.integer("num_branches", 0)
    if not count:
        return f"... {branch} {feature}", {}
    mark = branch[1:]
    return f"... (c={count}{mark} {feature})", {} if mark else {"c": counted("num_branches")}


def _features(node: Node) -> int:
    """The extent of one branch."""
    return node.shape(0)[-1] // (node.integer("num_branches", 0) or 1)


def _gate(node: Node, operand: int) -> str:
    """One number a branch, or one a branch and feature, in two axes or merged."""
    shape = node.shape(operand)
    rows = len(node.shape(0)) - (1 if node.integer("num_branches", 0) else 2)
    if len(shape) - rows == 2:
        return "... c 1" if shape[-1] == 1 else "... c h"
    branches = node.shape(0)[-1] // _features(node) if node.integer("num_branches", 0) else node.shape(0)[-2]
    return "... c" if shape[-1] == branches else "... (c h)"


@contrib_rule("EmbedLayerNormalization")
def embed_layer_normalization(node: Node) -> Answer:
    """Without position ids, row i takes row i of the position table; the mask index counts all rows."""
    return _embedded(node, node.has(8), ", b s" if node.has(8) and node.shape(8)[0] > 1 else ", 1 s")


@contrib_rule("QEmbedLayerNormalization")
def quantised_embed_layer_normalization(node: Node) -> Answer:
    """The same with quantised tables, whose scales and zero points follow, and no position ids."""
    return _embedded(node, False, ", ()" * 10)


def _embedded(node: Node, has_positions: bool, rest: str) -> Notation:
    rows, table = "s!", "p!"
    windows: Mapping[str, Window] = {}
    if not node.gives(1):
        rows = "s"
        if not has_positions:
            (table,), windows = over(["s"], node.shape(3)[:1], node.shape(0)[1:])
    ids = f"b {rows}, b s, v! h!, {table} h, g! h, h, h, b s{rest}"
    return Notation(f"{ids} -> b s h, b, b s h", windows=windows)
