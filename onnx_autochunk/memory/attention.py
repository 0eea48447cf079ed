"""Which kernel ONNX Runtime's CUDA provider takes for an attention: whether it writes all scores to memory.

    Attention, float16, heads 64 wide                    -> flash: no score is written
    Attention, float16, heads 64 wide, a mask            -> efficient: nor here; the mask is added in blocks
    Attention, float16, heads 64 wide, mask of 1001 keys -> unfused: all scores lie in memory

What is assumed, here and nowhere else: a device of compute capability 8.0 or more, and that neither the
provider option `sdpa_kernel` nor environment variables switch kernels off. Kernels that only newer devices or
special cases take (cuDNN's from 9.0 on, TensorRT's) are not counted on; they would be linear too.
docs/cuda-attention.md has the conditions as a table, with the operators that are in no region.

Source: below onnxruntime/, core/providers/cuda/llm/attention.cc; below its contrib_ops/cuda/bert/,
multihead_attention.cc, attention.cc, group_query_attention.cc, flash_attention/flash_api.h,
cutlass_fmha/memory_efficient_attention.h.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..graph.model import ITEM_BITS
from ..graph.remade import LARGE_BYTES
from .temporaries import Call

HALVES = frozenset({"float16", "bfloat16"})
TYPES = HALVES | {"float32"}
WIDTHS = 8  # heads are a multiple of this wide, for both kernels
FLASH_WIDTH = 256  # at most: flash_api.h, `is_supported`
EFFICIENT_WIDTH = 1024  # at most: memory_efficient_attention.h, `kEfficientAttentionMaxHeadSize`
ADDED_ELEMENTS = 4  # a row of what is added to the scores is a multiple of this long: attention.cc
ADDED_BYTES = 4  # for contrib operators, of this many times the bytes of an element
PACKED_TOKENS = 513  # fewer are left to TensorRT's kernel: contrib_ops/cpu/bert/attention_common.h
LONG_TOKENS = 256  # fewer of float32 are left to the unfused kernel: likewise


class Path(enum.Enum):
    """What becomes of the scores."""

    FLASH = "flash"
    EFFICIENT = "memory-efficient"
    UNFUSED = "unfused"


@dataclass(frozen=True, slots=True)
class Heads:
    """What the choice of a kernel depends on.

    Attributes:
        keys: with those of the past.
        groups: heads of keys and values.
        width: of a head of queries and keys.
        merged: heads lie in the last axis, `(batch, tokens, heads * width)`.
        added: something is added to the scores, or says which of them count.
        masked: something else says which keys count.
        past: keys and values come from an earlier call, or go to the next.
        shown: the scores are a result.
        causal: a query does not see the keys behind it.
    """

    dtype: str
    batch: int
    queries: int
    keys: int
    heads: int
    groups: int
    width: int
    value_width: int
    merged: bool = True
    added: bool = False
    masked: bool = False
    past: bool = False
    shown: bool = False
    causal: bool = False

    @property
    def item_bytes(self) -> int:
        """Bytes of one element."""
        return ITEM_BITS[self.dtype] // 8

    @property
    def scores(self) -> int:
        """One for each query and key of every head."""
        return self.batch * self.heads * self.queries * self.keys


@dataclass(frozen=True, slots=True)
class _Operator:
    """How a call is read, and what an operator asks for besides what the kernels do.

    Attributes:
        read: None where a shape is unknown, or heads are laid out in a way that no rule takes.
        bias: operand that is added to the scores.
    """

    read: Callable[[Call], Heads | None]
    flash: Callable[[Heads], bool]
    efficient: Callable[[Heads], bool]
    bias: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A call and the kernel that runs it.

    Attributes:
        numbers_bytes: of what a mask of booleans becomes: numbers that can be added.
    """

    path: Path
    heads: Heads
    mask_bytes: int
    numbers_bytes: int


def chosen(call: Call) -> Choice | None:
    """The kernel of an attention; None for other ops, and where it is not known."""
    op = call.op
    operator = OPERATORS.get(f"{op.domain}.{op.type}" if op.domain else op.type)
    heads = None if operator is None else operator.read(call)
    if operator is None or heads is None or heads.dtype not in TYPES:
        return None
    mask_bytes = call.operand_bytes(operator.bias)
    numbers = heads.item_bytes * mask_bytes if call.operand_dtype(operator.bias) == "bool" else 0
    return Choice(_path(operator, heads), heads, mask_bytes, numbers)


def is_linear(call: Call) -> bool:
    """Whether chunks of an attention gain nothing: no scores, and no large mask that has to be whole."""
    found = chosen(call)
    if found is None or found.path is Path.UNFUSED:
        return False
    return found.mask_bytes + found.numbers_bytes <= LARGE_BYTES


def _path(operator: _Operator, heads: Heads) -> Path:
    if operator.flash(heads) and _can_flash(heads):
        return Path.FLASH
    return Path.EFFICIENT if operator.efficient(heads) and _can_block(heads) else Path.UNFUSED


def _can_flash(heads: Heads) -> bool:
    fits = heads.width == heads.value_width <= FLASH_WIDTH and heads.width % WIDTHS == 0
    return heads.dtype in HALVES and fits and not (heads.added or heads.masked or heads.shown)


def _can_block(heads: Heads) -> bool:
    widths = (heads.width, heads.value_width)
    fits = all(width % WIDTHS == 0 and width <= EFFICIENT_WIDTH for width in widths)
    return fits and not (heads.masked or heads.shown)


def _standard(call: Call) -> Heads | None:
    query, key, value = (call.operand(index) or () for index in range(3))
    if not (len(query) == len(key) == len(value) and len(query) in {3, 4}):
        return None
    merged = len(query) == 3
    heads, groups = (
        (call.integer("q_num_heads", 1), call.integer("kv_num_heads", 1)) if merged else (query[1], key[1])
    )
    return Heads(
        call.operand_dtype(0), query[0], query[-2], key[-2] + _past(call, 4), heads, groups,
        width=query[-1] // heads if merged else query[-1],
        value_width=value[-1] // groups if merged else value[-1],
        merged=merged,
        added=call.has(3),
        past=call.has(4) or call.has(6),
        shown=call.gives(3),
        causal=bool(call.integer("is_causal", 0)),
    )  # fmt: skip


def _multi_head(call: Call) -> Heads | None:
    query, key, value = (call.operand(index) or () for index in range(3))
    if len(query) != 3 or len(key) != len(value) or len(key) not in {3, 4}:
        return None
    heads = call.integer("num_heads", 1)
    return Heads(
        call.operand_dtype(0), query[0], query[1], key[-2] + _past(call, 6), heads, heads,
        width=query[2] // heads,
        value_width=value[-1] // heads if len(value) == 3 else value[-1],
        added=call.has(5),
        masked=any(map(call.has, (4, 8, 9))),
        past=call.has(6) or call.gives(1),
        shown=call.gives(3),
    )  # fmt: skip


def _projecting(call: Call) -> Heads | None:
    data, weight = call.operand(0) or (), call.operand(1) or ()
    if len(data) != 3 or len(weight) != 2:
        return None
    heads, sizes = call.integer("num_heads", 1), call.op.attributes.get("qkv_hidden_sizes")
    width, _, value_width = sizes if isinstance(sizes, tuple) else (weight[1] // 3,) * 3
    return Heads(
        call.operand_dtype(0), data[0], data[1], data[1] + _past(call, 4), heads, heads,
        width=width // heads,
        value_width=value_width // heads,
        added=call.has(5),
        masked=call.has(3),
        past=call.has(4) or call.gives(1),
    )  # fmt: skip


def _grouped(call: Call) -> Heads | None:
    query, key = call.operand(0) or (), call.operand(1)
    if len(query) != 3:
        return None
    heads, groups = call.integer("num_heads", 1), call.integer("kv_num_heads", 1)
    width = query[2] // (heads + 2 * groups if key is None else heads)
    keys = (query if key is None else key)[1] + _past(call, 3)
    added = call.has(10)
    return Heads(call.operand_dtype(0), query[0], query[1], keys, heads, groups, width, width, added=added)


def _past(call: Call, index: int) -> int:
    shape = call.operand(index)
    return shape[-2] if shape else 0


def _even(heads: Heads) -> bool:
    return not heads.added or heads.queries % (ADDED_BYTES * heads.item_bytes) == 0


def _long(heads: Heads) -> bool:
    return heads.dtype in HALVES or max(heads.queries, heads.keys) >= LONG_TOKENS


OPERATORS: Mapping[str, _Operator] = MappingProxyType(
    {
        "Attention": _Operator(
            _standard,
            # Flash attention lines up last queries and keys, the standard first ones.
            flash=lambda h: h.past or not h.causal or h.queries == h.keys,
            efficient=lambda h: (
                not (h.added and h.keys % ADDED_ELEMENTS)
                and (h.width == h.value_width or not (h.past or h.heads != h.groups))
                and (h.dtype in HALVES or h.heads == h.groups)
            ),
            bias=3,
        ),
        "com.microsoft.MultiHeadAttention": _Operator(
            _multi_head,
            flash=lambda _: True,
            efficient=lambda h: _even(h) and _long(h),
            bias=5,
        ),
        "com.microsoft.Attention": _Operator(
            _projecting,
            flash=lambda h: not h.past and h.queries >= PACKED_TOKENS,
            efficient=lambda h: not h.past and _even(h) and _long(h) and h.dtype != "bfloat16",
            bias=5,
        ),
        "com.microsoft.GroupQueryAttention": _Operator(
            _grouped,
            flash=lambda _: True,
            efficient=lambda h: not h.added,
            bias=10,
        ),
    }
)
