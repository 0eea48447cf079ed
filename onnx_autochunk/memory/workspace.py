"""What the CUDA kernels of an attention allocate for themselves.

    Attention, float32, heads 12 wide, (1, 4, 4096, 12) -> 4 * 4096 * 4096 scores, twice: 512 MiB

Source: below onnxruntime/, `RunUnfusedAttention` and its siblings in core/providers/cuda/llm/attention.cc;
`GetUnfusedAttentionWorkspaceSize` in contrib_ops/cuda/bert/unfused_attention.cu, `GetAttentionWorkspaceSize`
in attention_impl.cu there, `need_workspace` in cutlass_fmha/memory_efficient_attention.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .attention import HALVES, OPERATORS, Heads, Path, chosen
from .temporaries import FLOAT_BYTES, Call, Rule

ONE_PASS_WIDTH = 128  # wider results of 16 bits are added up in float32


def attention_bytes(call: Call) -> int:
    """Scores, or what stands for them; operands and results in another order; a mask as numbers."""
    found = chosen(call)
    if found is None:
        return 0
    copies = _COPIES[call.op.domain, call.op.type](call, found.heads, found.path)
    return copies + found.numbers_bytes + _OWN[found.path](call, found.heads)


def _sums(_: Call, heads: Heads) -> int:
    """A sum of exponentials for each row of scores."""
    return FLOAT_BYTES * heads.batch * heads.heads * heads.queries


def _results(_: Call, heads: Heads) -> int:
    """Wide results before they are rounded, and keys and values once for each head of queries."""
    rows, columns = heads.batch * heads.heads * heads.queries, heads.width + heads.value_width
    wide = heads.value_width > ONE_PASS_WIDTH and heads.dtype in HALVES
    repeated = heads.heads != heads.groups
    return wide * FLOAT_BYTES * rows * heads.value_width + (
        repeated * heads.item_bytes * heads.batch * heads.keys * heads.heads * columns
    )


def _scores(call: Call, heads: Heads) -> int:
    """Twice, before and behind the Softmax: newer kernels make room for float32 whatever the type."""
    is_older = call.op.type in {"MultiHeadAttention", "Attention"} and bool(call.op.domain)
    return 2 * heads.scores * (heads.item_bytes if is_older else FLOAT_BYTES)


_OWN: Mapping[Path, Callable[[Call, Heads], int]] = {
    Path.FLASH: _sums,
    Path.EFFICIENT: _results,
    Path.UNFUSED: _scores,
}


def _moved(call: Call, heads: Heads, path: Path) -> int:
    """The unfused kernel takes heads before tokens, the others take them behind."""
    if heads.merged:
        return _operands(call) + call.result_bytes() if path is Path.UNFUSED else 0
    return 0 if path is Path.UNFUSED else call.operand_bytes(0) + call.result_bytes()


def _with_bias(call: Call, heads: Heads, path: Path) -> int:
    return _operands(call) if path is Path.UNFUSED or heads.past or call.has(3) else 0


def _projected(_: Call, heads: Heads, __: Path) -> int:
    """Queries, keys and values as they are computed, and once more with the bias, in another order."""
    columns = heads.heads * (2 * heads.width + heads.value_width)
    return 2 * heads.item_bytes * heads.batch * heads.queries * columns


def _turned(_: Call, heads: Heads, path: Path) -> int:
    queries = heads.batch * heads.heads * heads.queries * heads.width
    return 2 * heads.item_bytes * queries if path is Path.UNFUSED else 0


def _operands(call: Call) -> int:
    return sum(call.operand_bytes(index) for index in range(3))


_COPIES: Mapping[tuple[str, str], Callable[[Call, Heads, Path], int]] = {
    ("", "Attention"): _moved,
    ("com.microsoft", "MultiHeadAttention"): _with_bias,
    ("com.microsoft", "Attention"): _projected,
    ("com.microsoft", "GroupQueryAttention"): _turned,
}

ATTENTION: Mapping[str, Rule] = dict.fromkeys(OPERATORS, attention_bytes)
