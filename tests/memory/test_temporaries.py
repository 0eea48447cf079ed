"""What each kernel takes for itself, against ONNX Runtime: one op that reads only inputs of the graph."""

from __future__ import annotations

import onnx
import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.einsum import einsum_elements
from onnx_autochunk.memory.kernels import alias_of, inplace_operands, temporary_bytes
from onnx_autochunk.memory.lifetime import simulate
from tests.memory import ort_truth
from tests.memory.cases import model, with_weights

X = "float[1,8,1024,512]"
M = "bool[1,8,1024,512]"
HEADS = "float[1,8,1024,64]"
TOKENS = "float[1,2048,512]"
SCALAR = "c = Constant<value = float {2.0}>()"
QUANTIZED = "s = Constant<value = float {0.1}>() n = Constant<value = uint8 {128}>()"
MS = "com.microsoft"

CASES = {
    "relu": (f"({X} x) => ({X} y)", "y = Relu(x)"),
    "add": (f"({X} x, float[512] b) => ({X} y)", "y = Add(x, b)"),
    "matmul": ("(float[16,512,512] x, float[16,512,512] z) => (float[16,512,512] y)", "y = MatMul(x, z)"),
    "many_small_matmuls": (
        "(float[262144,2,16] x, float[262144,16,2] z) => (float[262144,2,2] y)",
        "y = MatMul(x, z)",
    ),
    "rows_by_one_matrix": (
        "(float[65536,2,16] x, float[16,32] z) => (float[65536,2,32] y)",
        "y = MatMul(x, z)",
    ),
    "integer_matmul": (
        "(uint8[16,512,512] x, uint8[16,512,512] z) => (uint8[16,512,512] y)",
        f"{QUANTIZED} y = QLinearMatMul(x, s, n, z, s, n, s, n)",
    ),
    "integer_rows_by_one_matrix": (
        "(uint8[65536,2,16] x, uint8[16,32] z) => (uint8[65536,2,32] y)",
        f"{QUANTIZED} y = QLinearMatMul(x, s, n, z, s, n, s, n)",
    ),
    "softmax_last": (f"({X} x) => ({X} y)", "y = Softmax(x)"),
    "softmax_inner": (f"({X} x) => ({X} y)", "y = Softmax<axis=2>(x)"),
    "log_softmax_inner": (f"({X} x) => ({X} y)", "y = LogSoftmax<axis=1>(x)"),
    "where": (f"({X} x, {M} m, {X} z) => ({X} y)", "y = Where(m, x, z)"),
    "where_scalar": (f"({X} x, {M} m) => ({X} y)", f"{SCALAR} y = Where(m, c, x)"),
    "where_mask_over_heads": (f"({X} x, bool[1024,512] m) => ({X} y)", f"{SCALAR} y = Where(m, x, c)"),
    "where_mask_over_rows": (f"({X} x, bool[512] m) => ({X} y)", f"{SCALAR} y = Where(m, c, x)"),
    "where_two_scalars": (f"({M} m) => ({X} y)", f"{SCALAR} y = Where(m, c, c)"),
    "where_outer": (
        f"(float[1,8,1024,1] p, float[1,8,1,512] x, float[1,1,1024,512] z) => ({X} y)",
        "m = Cast<to=9>(p) y = Where(m, x, z)",
    ),
    "layer_norm": (f"({X} x, float[512] w) => ({X} y)", "y = LayerNormalization(x, w)"),
    "group_norm": (f"({X} x, float[8] w) => ({X} y)", "y = GroupNormalization<num_groups=4>(x, w, w)"),
    "instance_norm": (f"({X} x, float[8] w) => ({X} y)", "y = InstanceNormalization(x, w, w)"),
    "hard_swish": (f"({X} x) => ({X} y)", "y = HardSwish(x)"),
    "mish": (f"({X} x) => ({X} y)", "y = Mish(x)"),
    "gelu": (f"({X} x) => ({X} y)", "y = Gelu(x)"),
    "bias_gelu": (f"({X} x, float[512] b) => ({X} y)", f"y = {MS}.BiasGelu(x, b)"),
    "fast_gelu": (f"({X} x) => ({X} y)", f"y = {MS}.FastGelu(x)"),
    "fast_gelu_bias": (f"({X} x, float[512] b) => ({X} y)", f"y = {MS}.FastGelu(x, b)"),
    "sum_of_two": (f"({X} x) => ({X} y)", "y = Sum(x, x)"),
    "sum_of_three": (f"({X} x) => ({X} y)", "y = Sum(x, x, x)"),
    "conv": (
        "(float[1,64,256,256] x, float[64,64,3,3] w) => (float[1,64,256,256] y)",
        "y = Conv<pads=[1,1,1,1]>(x, w)",
    ),
    "conv_transpose": (
        "(float[1,64,128,128] x, float[64,64,2,2] w) => (float[1,64,256,256] y)",
        "y = ConvTranspose<strides=[2,2]>(x, w)",
    ),
    "einsum_scores": (
        "(float[1,512,16,64] x, float[1,512,16,64] z) => (float[1,16,512,512] y)",
        'y = Einsum<equation="bihd,bjhd->bhij">(x, z)',
    ),
    "einsum_values": (
        "(float[1,16,512,512] x, float[1,512,16,64] z) => (float[1,512,16,64] y)",
        'y = Einsum<equation="bhij,bjhd->bihd">(x, z)',
    ),
    "einsum_triangle": (
        "(float[512,512,16] x, float[512,512,16] z) => (float[512,512,16] y)",
        'y = Einsum<equation="ikc,jkc->ijc">(x, z)',
    ),
    "einsum_of_three": (
        "(float[2048,1024] x, float[1024,1536] z, float[1536,512] w) => (float[2048,512] y)",
        'y = Einsum<equation="ij,jk,kl->il">(x, z, w)',
    ),
    "einsum_ellipsis": (
        "(float[16,512,64] x, float[16,512,64] z) => (float[16,512,512] y)",
        'y = Einsum<equation="...id,...jd->...ij">(x, z)',
    ),
    "attention": (f"({HEADS} q, {HEADS} k, {HEADS} v) => ({HEADS} y)", "y = Attention(q, k, v)"),
    "attention_causal": (
        f"({HEADS} q, {HEADS} k, {HEADS} v) => ({HEADS} y)",
        "y = Attention<is_causal=1>(q, k, v)",
    ),
    "attention_masked": (
        f"({HEADS} q, {HEADS} k, {HEADS} v, bool[1024,1024] m) => ({HEADS} y)",
        "y = Attention(q, k, v, m)",
    ),
    "attention_masked_by_head": (
        f"({HEADS} q, {HEADS} k, {HEADS} v, bool[1,8,1024,1024] m) => ({HEADS} y)",
        "y = Attention(q, k, v, m)",
    ),
    "attention_biased": (
        f"({HEADS} q, {HEADS} k, {HEADS} v, float[1,1,1024,1024] m) => ({HEADS} y)",
        "y = Attention(q, k, v, m)",
    ),
    "attention_of_tokens": (
        f"({TOKENS} q, {TOKENS} k, {TOKENS} v) => ({TOKENS} y)",
        "y = Attention<q_num_heads=8, kv_num_heads=8>(q, k, v)",
    ),
    "multi_head_attention": (
        f"({TOKENS} q, {TOKENS} k, {TOKENS} v) => ({TOKENS} y)",
        f"y = {MS}.MultiHeadAttention<num_heads=8>(q, k, v)",
    ),
    "multi_head_attention_bias": (
        f"({TOKENS} q, {TOKENS} k, {TOKENS} v, float[1,1,2048,2048] b) => ({TOKENS} y)",
        f"y = {MS}.MultiHeadAttention<num_heads=8>(q, k, v, , , b)",
    ),
    "packed_attention": (
        f"({TOKENS} x, float[512,1536] w, float[1536] b) => ({TOKENS} y)",
        f"y = {MS}.Attention<num_heads=8>(x, w, b)",
    ),
}

# The shapes of values, weights and result, the type and zero point of weights, and attributes.
LAST, AROUND = "channels_last=1", "pads=[1,1,1,1]"
CONVOLUTIONS = {
    "by_address": ("1,512,512,32", "64,32,3,3", "1,512,512,64", "int8", 0, f"{LAST}, {AROUND}"),
    "depthwise": ("1,512,512,64", "64,1,3,3", "1,512,512,64", "int8", 0, f"{LAST}, {AROUND}, group=64"),
    "shifted": ("1,512,512,32", "64,32,3,3", "1,512,512,64", "int8", 7, f"{LAST}, {AROUND}"),
    "of_three": ("2,512,512,3", "64,3,3,3", "2,256,256,64", "int8", 0, f"{LAST}, strides=[2,2], {AROUND}"),
    "pointwise": ("1,512,512,32", "64,32,1,1", "1,512,512,64", "int8", 0, LAST),
    "unsigned": ("1,512,512,32", "64,32,1,1", "1,512,512,64", "uint8", 0, LAST),
    "in_front": ("1,32,512,512", "64,32,3,3", "1,64,512,512", "int8", 0, AROUND),
}


def _convolution(name: str) -> onnx.ModelProto:
    values, weights, result, dtype, zero, attributes = CONVOLUTIONS[name]
    domain = f"{MS}." if "last" in attributes else ""
    scale = f"{QUANTIZED} m = Constant<value = {dtype} {{{zero}}}>()"
    node = f"y = {domain}QLinearConv<{attributes}>(x, s, n, w, s, m, s, n)"
    signature = f"(uint8[{values}] x, {dtype}[{weights}] w) => (uint8[{result}] y)"
    return with_weights(model(signature, f"{scale} {node}"), "w")


EINSUMS = [
    ("ij->ij", [(3, 4)], 0),
    ("ij->ji", [(3, 4)], 12),
    ("ij,jk->ik", [(3, 4), (4, 5)], 20 + 15),  # k moves before i in the second operand
    ("ij,jk", [(3, 4), (4, 5)], 20 + 15),  # the result's labels are those that occur once
    ("ijb,jkb->ikb", [(3, 4, 2), (4, 5, 2)], 40 + 24 + 40 + 30 + 30),  # nothing is in order
    ("ij,jk,kl->il", [(3, 4), (4, 5), (5, 6)], 15 + 15 + 30 + 18),  # the first product and a copy
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    models = {name: model(*case) for name, case in CASES.items()}
    models |= {name: _convolution(name) for name in CONVOLUTIONS}
    paths = ort_truth.save(models, tmp_path_factory.mktemp("kernels"))
    return dict(zip(paths, ort_truth.peaks(paths.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_one_op_holds_its_result_and_its_temporaries(name: str, measured: dict[str, int]) -> None:
    assert simulate(load(model(*CASES[name])).graph).peak_bytes == pytest.approx(measured[name], rel=0.03)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_of_8_bits_hold_what_is_summed_or_where_it_lies(
    name: str, measured: dict[str, int]
) -> None:
    assert simulate(load(_convolution(name)).graph).peak_bytes == pytest.approx(measured[name], rel=0.03)


@pytest.mark.parametrize(("equation", "shapes", "elements"), EINSUMS)
def test_einsum(equation: str, shapes: list[tuple[int, ...]], elements: int) -> None:
    assert einsum_elements(equation, shapes) == elements


def test_a_chunk_is_priced_at_its_own_shape() -> None:
    graph = load(model(*CASES["where"])).graph
    (op,) = graph.ops
    whole = temporary_bytes(op, graph)
    chunk = temporary_bytes(op, graph, shape_of=lambda _: (1, 8, 16, 512))
    assert (whole, chunk) == (2 * 4 * 8 * 1024 * 512, 2 * 4 * 8 * 16 * 512)


KERNELS = [
    # type, aliased operand, operands overwritten on cpu, on cuda
    ("Reshape", 0, (), ()),
    ("Relu", None, (0,), (0,)),
    ("Softmax", None, (0,), ()),
    ("Gelu", None, (), (0,)),
    ("Add", None, (), ()),
    ("ScatterND", None, (), (0,)),
    ("TensorScatter", None, (0,), (0,)),
]


@pytest.mark.parametrize(("kind", "alias", "cpu", "cuda"), KERNELS)
def test_tables(kind: str, alias: int | None, cpu: tuple[int, ...], cuda: tuple[int, ...]) -> None:
    graph = load(model(f"({X} x) => ({X} y)", "y = Relu(x)")).graph
    op = type(graph.ops[0])(0, "", kind, ("x",), ("y",))
    assert (alias_of(op), inplace_operands(op, "cpu"), inplace_operands(op, "cuda")) == (alias, cpu, cuda)
