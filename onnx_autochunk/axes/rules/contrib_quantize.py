"""Quantised operators: what ONNX Runtime's quantizer writes, and products with packed weights.

    MatMulNBits(K=64, N=512): ... k!, n p! q!, n p -> ... n

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier
from onnx_autochunk.axes.rules.contrib import contrib_rule, contrib_spec, counted
from onnx_autochunk.axes.rules.quantize import quantize
from onnx_autochunk.axes.rules.words import fitted, marked, names, term

IN_8_BITS = 4  # accuracy level of MatMulNBits

contrib_rule("QuantizeLinear DequantizeLinear")(quantize)  # 16 and 4 bits came here before ONNX
contrib_spec("QLinearAdd QLinearMul", "..., (), (), ..., (), (), (), () -> ...")
contrib_spec("QLinearLeakyRelu QLinearSigmoid", "..., (), (), (), () -> ...")
contrib_spec("QLinearWhere", "..., ..., (), (), ..., (), (), (), () -> ...")
contrib_spec("MatMulFpQ4", "... k!, (), () -> ... n!")


@contrib_rule("QLinearSoftmax")
def q_linear_softmax(node: Node) -> Answer:
    """One axis is normalised; all from it on, in the form before opset 13."""
    rank = len(node.shape(0))
    axis = node.axis(-1, rank)
    whole = range(axis, rank) if node.integer("opset", 0) < 13 else {axis}
    return f"{term(marked(names(rank), whole))}, (), (), (), () -> {term(names(rank))}"


@contrib_rule("QLinearConcat")
def q_linear_concat(node: Node) -> Answer:
    """Operands come in threes: a value, its scale and its zero point."""
    rank = len(node.shape(2))
    axis = node.axis(0, rank)
    words = names(rank)
    *values, result = (
        term([*words[:axis], f"b{n}!", *words[axis + 1 :]]) for n in range(len(node.operands) // 3 + 1)
    )
    return f"(), (), {', '.join(f'{value}, (), ()' for value in values)} -> {result}"


@contrib_rule("QLinearReduceMean ReduceSumInteger")
def q_linear_reduce(node: Node) -> Answer:
    """Sums of integers add up, rounded means do not."""
    rank = len(node.shape(0))
    reduced = {axis % rank for axis in node.integers("axes") or range(rank)}
    mark = "+" if node.op.type == "ReduceSumInteger" else "!"
    keep = node.integer("keepdims", 1)
    kept = [
        ("1" if axis in reduced else word)
        for axis, word in enumerate(names(rank))
        if keep or axis not in reduced
    ]
    return f"{term(marked(names(rank), reduced, mark))}, (), (), (), () -> {term(kept)}"


@contrib_rule("DynamicQuantizeMatMul")
def dynamic_quantize_mat_mul(node: Node) -> Answer:
    """All of A has one scale, which its least and greatest elements give; columns of B pass."""
    if _has_own_scales(node, 2, 3):
        return barrier("DynamicQuantizeMatMul with a scale for each matrix of a batch")
    return f"...! m! k!, ... k n, {_column(node, 2)}, {_column(node, 3)}, n -> ... m n"


@contrib_rule("MatMulIntegerToFloat")
def mat_mul_integer_to_float(node: Node) -> Answer:
    """MatMulInteger with scales; a bias would be added to every partial result."""
    if _has_own_scales(node, 2, 3, 4, 5):
        return barrier("MatMulIntegerToFloat with a scale for each matrix of a batch")
    mark = "!" if node.has(6) else "+"
    points = f"(), {_column(node, 3)}, (), {_column(node, 5)}"
    return f"... m k{mark}, ... k n, {points}, n -> ... m n"


@contrib_rule("QGemm")
def q_gemm(node: Node) -> Answer:
    """Gemm of quantised matrices."""
    a = "k! m" if node.integer("transA", 0) else "m k!"
    b = "n k" if node.integer("transB", 0) else "k n"
    c = fitted(node.shape(6), ("m", "n")) if node.has(6) else "()"
    return f"{a}, (), (), {b}, {_column(node, 4)}, {_column(node, 5)}, {c}, (), () -> m n"


def _has_own_scales(node: Node, *operands: int) -> bool:
    return any(len(node.shape(operand)) > 1 for operand in operands if node.has(operand))


def _column(node: Node, operand: int) -> str:
    """Scales and zero points: one for all, or one a column."""
    shape = node.shape(operand) if node.has(operand) else ()
    return "n" if shape and shape != (1,) else "()"


@contrib_rule("MatMulNBits")
def mat_mul_n_bits(node: Node) -> Answer:
    """Weights are packed in blocks along k, row by row: rows of A and columns of the result pass.

    In 8 bits only rows of A do: ONNX Runtime multiplies constant weights so, and a slice of them in float.
    """
    scales, zeros = ("()" if not node.has(operand) else _packed(node, operand) for operand in (2, 3))
    is_whole = node.integer("accuracy_level", 0) == IN_8_BITS or node.integer("weight_prepacked", 0)
    rest = ["n!" if is_whole else "n"]
    weight = term([*rest, *(f"{word}!" for word in names(len(node.shape(1)) - 1, "p"))])
    return Notation(f"... k!, {weight}, {scales}, {zeros}, i!, n -> ... n", patches={"n": counted("N")})


def _packed(node: Node, operand: int) -> str:
    """Scales or zero points, row by row; once they were one axis."""
    shape, prefix = node.shape(operand), "rs"[operand - 2]
    return f"n {prefix}!" if len(shape) == 2 else f"(n {prefix}!)"


@contrib_rule("MatMulBnb4")
def mat_mul_bnb4(node: Node) -> Answer:
    """Weights are packed row by row: columns pass where rows hold whole blocks."""
    block, depth = node.integer("block_size", 16), node.integer("K", 1)
    if depth % block or not node.integer("transB", 1):
        return "... k!, (), () -> ... n!"
    return Notation("... k!, (n p!), (n q!) -> ... n", patches={"n": counted("N")})


@contrib_rule("GatherBlockQuantized")
def gather_block_quantized(node: Node) -> Answer:
    """Only the axes of the indices pass: others are quantised in blocks, packed, or indexed."""
    data, picked = names(len(node.shape(0))), names(len(node.shape(1)), "b")
    axis = node.integer("gather_axis", 0) % len(data)
    rest = [f"c{index}!" for index in range(len(data))]
    result = term([*rest[:axis], *picked, *rest[axis + 1 :]])
    return f"(), {term(picked)}, (), () -> {result}"


@contrib_rule("MoE")
def mixture_of_experts(node: Node) -> Answer:
    """Every token for itself; what experts compute in between adds up, unless it is gated or biased."""
    value, rows = _tokens(node)
    gated = node.has(5) or node.has(6) or node.text("activation_type", "relu") == "swiglu"
    if gated:
        return f"{value}, {rows} e!, (), (), (), (), (), () -> {value}"
    return f"{value}, {rows} e!, e! i+ d!, e! i, e! d! i -> {value}"


@contrib_rule("QMoE")
def quantised_mixture_of_experts(node: Node) -> Answer:
    """MoE with packed weights, and weights of the experts beside what chooses them."""
    if node.has(19) or node.has(20):
        return barrier("QMoE with a scale for each block of tokens is not proved")
    value, rows = _tokens(node)
    return f"{value}, {rows} e!, {'(), ' * 12}{rows} e!{', ()' * 4} -> {value}"


def _tokens(node: Node) -> tuple[str, str]:
    """A term of tokens, and the word for the router's rows: those of all sequences, one after the other."""
    return ("b s d!", "(b s)") if len(node.shape(0)) == 3 else ("s d!", "s")
