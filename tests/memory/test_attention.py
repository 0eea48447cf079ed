"""Which kernel CUDA takes for an attention, and what it holds: the conditions of ONNX Runtime's source."""

from __future__ import annotations

import onnx.parser
import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.attention import Path, chosen, is_linear
from onnx_autochunk.memory.kernels import temporary_bytes
from onnx_autochunk.memory.temporaries import Call

FLASH, EFFICIENT, UNFUSED = Path
MS = "com.microsoft"
HALF, BFLOAT, FLOAT = "float16", "bfloat16", "float"
OPEN = "T[1,8,1024,64] q, T[1,8,1024,64] k, T[1,8,1024,64] v"
MERGED = "T[1,1024,512] q, T[1,1024,512] k, T[1,1024,512] v"
GROUPED = "T[1,8,1024,64] q, T[1,2,1024,64] k, T[1,2,1024,64] v"
MULTI = f"{MS}.MultiHeadAttention<num_heads=8>"
PROJECT = f"{MS}.Attention<num_heads=8>"
WEIGHTS = "T[64,1536] w, T[1536] b"
GROUP = f"{MS}.GroupQueryAttention<num_heads=8, kv_num_heads=2>"
GROUP_OPERANDS = "T[1,1024,512] q, T[1,1024,128] k, T[1,1024,128] v, int32[1] n, int32 t"


def call(dtype: str, operands: str, text: str) -> Call:
    """The op of a graph of one; T stands for the element type."""
    typed = operands.replace("T[", f"{dtype}[")
    source = f"""<ir_version: 10, opset_import: ["": 24, "{MS}": 1]>
        g ({typed}) => ({dtype} y) {{ y = {text} }}"""
    graph = load(onnx.parser.parse_model(source)).graph
    return Call(graph.ops[-1], graph, graph.shape)


PATHS: dict[str, tuple[str, str, str, Path]] = {
    "16 bits": (HALF, OPEN, "Attention(q, k, v)", FLASH),
    "bfloat16": (BFLOAT, OPEN, "Attention(q, k, v)", FLASH),
    "32 bits": (FLOAT, OPEN, "Attention(q, k, v)", EFFICIENT),
    "heads in the last axis": (HALF, MERGED, "Attention<q_num_heads=8, kv_num_heads=8>(q, k, v)", FLASH),
    "odd heads": (HALF, MERGED, "Attention<q_num_heads=128, kv_num_heads=128>(q, k, v)", UNFUSED),
    "odd heads of 32 bits": (FLOAT, MERGED, "Attention<q_num_heads=128, kv_num_heads=128>(q, k, v)", UNFUSED),
    "wide heads": (HALF, MERGED, "Attention<q_num_heads=1, kv_num_heads=1>(q, k, v)", EFFICIENT),
    "too wide heads": (HALF, OPEN.replace("64]", "1032]"), "Attention(q, k, v)", UNFUSED),
    "other values": (
        HALF,
        "T[1,8,1024,64] q, T[1,8,1024,64] k, T[1,8,1024,32] v",
        "Attention(q, k, v)",
        EFFICIENT,
    ),
    "a mask": (HALF, f"{OPEN}, T[1024,1024] m", "Attention(q, k, v, m)", EFFICIENT),
    "a mask of booleans": (HALF, f"{OPEN}, bool[1024,1024] m", "Attention(q, k, v, m)", EFFICIENT),
    "an uneven mask": (
        HALF,
        f"{OPEN.replace('1024', '1022')}, T[1022,1022] m",
        "Attention(q, k, v, m)",
        UNFUSED,
    ),
    "uneven without a mask": (HALF, OPEN.replace("1024", "1023"), "Attention(q, k, v)", FLASH),
    "causal": (HALF, OPEN, "Attention<is_causal=1>(q, k, v)", FLASH),
    "causal, fewer queries": (
        HALF,
        OPEN.replace("1024,64] q", "512,64] q"),
        "Attention<is_causal=1>(q, k, v)",
        EFFICIENT,
    ),
    "causal, lengths": (
        HALF,
        f"{OPEN.replace('1024,64] q', '512,64] q')}, int64[1] n",
        "Attention<is_causal=1>(q, k, v, , , , n)",
        FLASH,
    ),
    "grouped": (HALF, GROUPED, "Attention(q, k, v)", FLASH),
    "grouped, a mask": (HALF, f"{GROUPED}, T[1024,1024] m", "Attention(q, k, v, m)", EFFICIENT),
    "grouped, 32 bits": (FLOAT, GROUPED, "Attention(q, k, v)", UNFUSED),
    "MultiHeadAttention": (HALF, MERGED, f"{MULTI}(q, k, v)", FLASH),
    "MultiHeadAttention, 32 bits": (FLOAT, MERGED, f"{MULTI}(q, k, v)", EFFICIENT),
    "MultiHeadAttention, few of 32 bits": (
        FLOAT,
        MERGED.replace("1024", "128"),
        f"{MULTI}(q, k, v)",
        UNFUSED,
    ),
    "MultiHeadAttention, a bias": (
        HALF,
        f"{MERGED}, T[1,8,1024,1024] b",
        f"{MULTI}(q, k, v, , , b)",
        EFFICIENT,
    ),
    "MultiHeadAttention, an uneven bias": (
        HALF,
        f"{MERGED.replace('1024', '1020')}, T[1,8,1020,1020] b",
        f"{MULTI}(q, k, v, , , b)",
        UNFUSED,
    ),
    "MultiHeadAttention, padding": (HALF, f"{MERGED}, int32[1,1024] m", f"{MULTI}(q, k, v, , m)", UNFUSED),
    "Attention, projecting": (HALF, f"T[1,1024,64] x, {WEIGHTS}", f"{PROJECT}(x, w, b)", FLASH),
    "Attention, few": (HALF, f"T[1,512,64] x, {WEIGHTS}", f"{PROJECT}(x, w, b)", EFFICIENT),
    "Attention, few of bfloat16": (BFLOAT, f"T[1,512,64] x, {WEIGHTS}", f"{PROJECT}(x, w, b)", UNFUSED),
    "Attention, a mask": (
        HALF,
        f"T[1,1024,64] x, {WEIGHTS}, int32[1,1024] m",
        f"{PROJECT}(x, w, b, m)",
        UNFUSED,
    ),
    "GroupQueryAttention": (HALF, GROUP_OPERANDS, f"{GROUP}(q, k, v, , , n, t)", FLASH),
    "GroupQueryAttention, a bias": (
        HALF,
        f"{GROUP_OPERANDS}, T[1,1,1024,1024] b",
        f"{GROUP}(q, k, v, , , n, t, , , , b)",
        UNFUSED,
    ),
}


@pytest.mark.parametrize(("dtype", "operands", "text", "path"), PATHS.values(), ids=PATHS)
def test_the_kernel_that_is_taken(dtype: str, operands: str, text: str, path: Path) -> None:
    found = chosen(call(dtype, operands, text))
    assert found is not None and found.path is path


def test_what_is_no_attention_has_no_kernel_of_one() -> None:
    assert chosen(call(HALF, OPEN, "Add(q, k)")) is None


def test_a_result_of_scores_is_unfused() -> None:
    source = f"""<ir_version: 10, opset_import: ["": 24]> g ({OPEN.replace("T[", "float16[")})
        => (float16 y, float16 s) {{ y, a, b, s = Attention(q, k, v) }}"""
    graph = load(onnx.parser.parse_model(source)).graph
    found = chosen(Call(graph.ops[0], graph, graph.shape))
    assert found is not None and found.path is UNFUSED


LINEAR = {
    "flash": (OPEN, "Attention(q, k, v)", True),
    "a mask": (f"{OPEN}, T[1024,1024] m", "Attention(q, k, v, m)", True),
    "an uneven mask": (f"{OPEN.replace('1024', '1022')}, T[1022,1022] m", "Attention(q, k, v, m)", False),
    "a large mask": (f"{OPEN.replace('1024', '16384')}, T[16384,16384] m", "Attention(q, k, v, m)", False),
    "no attention": (OPEN, "Add(q, k)", False),
}


@pytest.mark.parametrize(("operands", "text", "linear"), LINEAR.values(), ids=LINEAR)
def test_what_is_linear_in_memory(operands: str, text: str, linear: bool) -> None:
    assert is_linear(call(HALF, operands, text)) is linear


ONE = 1024 * 512 * 2  # bytes of an operand of 16 bits
SCORES = 8 * 1024 * 1024
OWN = {
    "flash": (HALF, MERGED, "Attention<q_num_heads=8, kv_num_heads=8>(q, k, v)", 4 * 8 * 1024),
    "flash, heads first": (HALF, OPEN, "Attention(q, k, v)", 2 * ONE + 4 * 8 * 1024),
    "efficient": (FLOAT, MERGED, "Attention<q_num_heads=8, kv_num_heads=8>(q, k, v)", 0),
    "efficient, wide": (
        HALF,
        MERGED,
        "Attention<q_num_heads=1, kv_num_heads=1>(q, k, v)",
        4 * 1024 * 512,  # the result in float32
    ),
    "efficient, grouped": (
        HALF,
        f"{GROUPED}, T[1024,1024] m",
        "Attention(q, k, v, m)",
        2 * ONE + 2 * ONE,  # query and result turned; keys and values for each head
    ),
    "efficient, booleans": (
        HALF,
        f"{OPEN}, bool[1024,1024] m",
        "Attention(q, k, v, m)",
        2 * ONE + 2 * 1024 * 1024,
    ),
    "unfused": (
        HALF,
        MERGED,
        "Attention<q_num_heads=128, kv_num_heads=128>(q, k, v)",
        4 * ONE + 8 * 128 * 1024 * 1024,
    ),
    "MultiHeadAttention": (HALF, MERGED, f"{MULTI}(q, k, v)", 4 * 8 * 1024),
    "MultiHeadAttention, padding": (
        HALF,
        f"{MERGED}, int32[1,1024] m",
        f"{MULTI}(q, k, v, , m)",
        3 * ONE + 2 * 2 * SCORES,
    ),
    "Attention": (HALF, f"T[1,1024,64] x, {WEIGHTS}", f"{PROJECT}(x, w, b)", 2 * 3 * ONE + 4 * 8 * 1024),
    "GroupQueryAttention": (
        HALF,
        f"{GROUP_OPERANDS}, T[1,1,1024,1024] b",
        f"{GROUP}(q, k, v, , , n, t, , , , b)",
        2 * ONE + 8 * SCORES,
    ),
}


@pytest.mark.parametrize(("dtype", "operands", "text", "own_bytes"), OWN.values(), ids=OWN)
def test_what_the_kernel_takes_for_itself(dtype: str, operands: str, text: str, own_bytes: int) -> None:
    found = call(dtype, operands, text)
    assert temporary_bytes(found.op, found.graph, "cuda") == own_bytes
