"""Products and elementwise operators that ONNX Runtime's optimizer fuses.

    FusedMatMul(transBatchA=1): m ... k+, ... k n -> ... m n

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, barrier, spec
from onnx_autochunk.axes.rules.contract import mat_mul
from onnx_autochunk.axes.rules.contrib import contrib_rule, contrib_spec
from onnx_autochunk.axes.rules.words import fitted, marked, names, term

contrib_spec("BiasAdd BiasGelu FastGelu GatedAdd Gelu QuickGelu", "... * -> ...")
contrib_spec("MurmurHash3 SampleOp", "... -> ...")
contrib_spec("ScaledSiLU", "..., () -> ...")
contrib_spec("MulInteger", "..., (), ..., () -> ...")
contrib_spec("BiasSplitGelu", "... d!, d -> ... e!")
contrib_spec("ComplexMul ComplexMulConj", "... c!, ... c -> ... c")
contrib_spec("GemmFastGelu", "... m k!, k n, n -> ... m n")
contrib_rule("MatMulInteger16")(mat_mul)

# ONNX dropped these, ONNX Runtime kept them
spec("Affine ParametricSoftplus Scale ScaledTanh", "... -> ...", until=10)
spec("Crop", "n c h! w! -> n c y! x!", until=10)
spec("ImageScaler", "n c! h w -> n c h w", until=10)


@contrib_rule("BiasDropout")
def bias_dropout(node: Node) -> Answer:
    """Elementwise in inference; in training the mask is drawn anew in each chunk."""
    if node.has(4) and node.known(4) != (0,):
        return barrier("random: BiasDropout in training mode")
    return "..., ..., ..., (), () -> ..., ..."


@contrib_rule("FusedMatMul TransposeMatMul")
def fused_mat_mul(node: Node) -> Answer:
    """MatMul with transposed operands; `transBatch` says that the first axis belongs behind the batch."""
    return _product(node, "+")


@contrib_rule("FusedMatMulActivation")
def fused_mat_mul_activation(node: Node) -> Answer:
    """The function at the end forbids adding partial results."""
    if node.text("activation", "") == "Softmax":
        return barrier("FusedMatMulActivation normalises an axis")
    return _product(node, "!")


def _product(node: Node, mark: str) -> str:
    a, b = node.shape(0), node.shape(1)
    left = [] if len(a) == 1 else ["m"]
    right = [] if len(b) == 1 else ["n"]
    batch = ["..."] if len(a) > 2 or len(b) > 2 else []
    return (
        f"{_side(node, 'A', batch, [*left, 'k' + mark])}, {_side(node, 'B', batch, ['k', *right])}"
        f" -> {term([*batch, *left, *right])}"
    )


def _side(node: Node, name: str, batch: list[str], words: list[str]) -> str:
    """One operand; a vector has no batch and nothing to transpose."""
    if len(words) == 1:
        return words[0]
    first, last = words[::-1] if node.integer(f"trans{name}", 0) else words
    moved = node.integer(f"transBatch{name}", 0)
    return term([first, *batch, last] if moved else [*batch, first, last])


@contrib_rule("FusedGemm")
def fused_gemm(node: Node) -> Answer:
    """Gemm with a function at its end, so k is never summed."""
    a = "k! m" if node.integer("transA", 0) else "m k!"
    b = "n k" if node.integer("transB", 0) else "k n"
    c = fitted(node.shape(2), ("m", "n")) if node.has(2) else "()"
    return f"{a}, {b}, {c} -> m n"


@contrib_rule("BiasSoftmax")
def bias_softmax(node: Node) -> Answer:
    """All axes from `axis` on are normalised as one."""
    rank = len(node.shape(0))
    words = names(rank)
    whole = marked(words, range(node.axis(1, rank), rank))
    return f"{term(whole)}, {fitted(node.shape(1), whole)} -> {term(words)}"


@contrib_rule("CDist")
def distances(node: Node) -> Answer:
    """Every row of one matrix against every row of the other."""
    mark = "+" if node.text("metric", "sqeuclidean") == "sqeuclidean" else "!"
    return f"m d{mark}, k d -> m k"
