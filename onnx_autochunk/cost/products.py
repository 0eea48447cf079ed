"""Matrix products in disguise: the sizes of what MatMul, Gemm, Einsum, Conv and Attention multiply.

`[12, 64, 64] x [12, 64, 4096]` -> Product("plain", batch=12, m=64, n=4096, k=64)

Source: onnxruntime/core/mlas/lib/sgemm.cpp: a right operand that is not constant is packed again at every
call; that, and reading it, is what a few rows cannot pay for. MlasGemmBatch: with fewer products than threads
each is split, by columns where these are more than the rows.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from ..graph.integer import KINDS
from .call import Call

LANES = 16  # columns that a kernel computes at once
PANEL_COLUMNS = 128
PANEL_DEPTHS = 256
PACKED, UNPACKED = "packed", "unpacked"  # the one right matrix: when the model is loaded, or at every call
PLAIN = "plain"  # a right matrix for each left one
RIGHT = {kind.integer: kind.operands[1][0] for kind in KINDS if len(kind.operands) > 1}
NEAR_ELEMENTS = 1 << 19  # right elements that stay in the second-level cache from call to call


class Move(enum.Enum):
    """How a transpose works: in blocks where one axis moves, else element by element."""

    NOTHING = ""
    RUNS = "Transpose of runs"
    INWARDS = "Transpose of an axis inwards"
    OUTWARDS = "Transpose of the last axis outwards"
    ELEMENTS = "Transpose of elements"


class Product(NamedTuple):
    """`batch` times `[m, k] x [k, n]`; `moved` elements are transposed before and after, by kind of move.

    `kind` is "packed" (one right matrix, constant), "unpacked" (one, computed), "plain" (one for each of the
    batch), "vector" (plain with m = 1: nothing is packed), "conv" or "depthwise". A convolution reads each
    left element for every place of its `window`, but fetches it once.
    """

    kind: str
    batch: int
    m: int
    n: int
    k: int
    moved: tuple[int, ...] = ()
    window: int = 1

    @property
    def columns(self) -> int:
        """Columns that are computed: whole registers."""
        return -(-self.n // LANES) * LANES

    @property
    def right(self) -> int:
        """Elements of all right operands."""
        return self.batch * self.k * self.columns

    @property
    def is_far(self) -> bool:
        """True when right operands come from beyond the second-level cache."""
        return self.right > NEAR_ELEMENTS

    def share(self, threads: int) -> float:
        """What the busiest thread does over an even part: where there are enough, products go out whole."""
        if self.kind != PLAIN or self.batch < threads:
            return 1.0
        return -(-self.batch // threads) * threads / self.batch

    def is_handed_over(self, threads: int) -> bool:
        """True where threads compute columns of the same rows: who reads these then waits for other cores."""
        return self.kind in (PACKED, UNPACKED, PLAIN) and self.batch < threads and self.n > self.m

    @property
    def fetched(self) -> tuple[int, int]:
        """Left elements, once for each panel of columns; result elements, once for each panel of `k`.

        A vector is multiplied as fast as the right operand comes from memory, which then is what is fetched.
        """
        columns, depths = -(-self.n // PANEL_COLUMNS), -(-self.k // PANEL_DEPTHS)
        rows = self.batch * self.m
        left = self.right if self.kind == "vector" else rows * (self.k // self.window * columns)
        return left, rows * self.n * depths


def features(product: Product) -> tuple[int, ...]:
    """What a product's seconds are proportional to.

    Multiplications; right elements, and once more those that are far; result elements;
    left elements; calls.
    """
    batch, m, k = product.batch, product.m, product.k
    right = product.right
    return right * m, right, right * product.is_far, batch * m * product.columns, batch * m * k, batch


def matmul(call: Call) -> Product | None:
    """`[..., m, k] x [..., k, n]`; when the right operand has no leading axes, those of the left are rows."""
    left, right = call.operand(0), call.operand(_right(call))
    if not left or not right:
        return None
    columns = right[-1] if len(right) > 1 else 1
    if len(right) <= 2:
        return Product(_kind(call), 1, prod(left[:-1]), columns, left[-1])
    batch = max(prod(left[:-2]), prod(right[:-2]))
    rows = left[-2] if len(left) > 1 else 1
    return Product(PLAIN if rows > 1 else "vector", batch, rows, columns, left[-1])


def gemm(call: Call) -> Product | None:
    """`op(A) [m, k] x op(B) [k, n]`."""
    left, right = call.operand(0), call.operand(_right(call))
    if len(left) != 2 or len(right) != 2:
        return None
    m, k = reversed(left) if call.op.integer("transA", 0) else left
    n = right[0] if call.op.integer("transB", 0) else right[1]
    return Product(_kind(call), 1, m, n, k)


def _kind(call: Call) -> str:
    """How a product of two matrices works on the right one."""
    return PACKED if call.is_constant(_right(call)) else UNPACKED


def _right(call: Call) -> int:
    """Where the right operand is: behind the scale and the zero point of the left one where it has these."""
    return RIGHT.get(call.op.type, 1)


def conv(call: Call) -> Product | None:
    """Pixels are rows, output channels columns; the window and the input channels are multiplied over."""
    weights, result = call.operand(_right(call)), call.result
    if len(weights) < 3 or len(result) != len(weights):
        return None
    groups = call.op.integer("group", 1)
    pixels, window = result[0] * prod(result[2:]), prod(weights[2:])
    if groups > 1 and weights[1] == 1:
        return Product("depthwise", 1, pixels, result[1], window, window=window)
    return Product("conv", groups, pixels, result[1] // groups, weights[1] * window, window=window)


def conv_transpose(call: Call) -> Product | None:
    """Input pixels are rows; every output channel at every place of the window is a column."""
    data, weights = call.operand(0), call.operand(1)
    if len(weights) < 3 or len(data) != len(weights):
        return None
    groups = call.op.integer("group", 1)
    pixels = data[0] * prod(data[2:])
    return Product("conv", groups, pixels, prod(weights[1:]), data[1] // groups)


def einsum(call: Call) -> Product | None:
    """Two operands: labels everywhere are the batch, labels in both operands only are multiplied over."""
    equation = call.op.attributes.get("equation")
    roles = _roles(equation) if isinstance(equation, str) else None
    if roles is None or None in call.operands:
        return None
    sizes = dict(zip(roles.left + roles.right, call.operand(0) + call.operand(1), strict=False))
    batch, m, n, k = (prod(sizes.get(label, 1) for label in group) for group in roles.groups)
    lengths = (batch * m * k, batch * k * n, batch * m * n)
    moved = tuple(
        sum(length * found.count(kind) for length, found in zip(lengths, roles.moves, strict=True))
        for kind in Move
        if kind is not Move.NOTHING
    )
    return Product(PLAIN, batch, m, n, k, moved)


class _Roles(NamedTuple):
    left: str
    right: str
    groups: tuple[str, str, str, str]  # batch, m, n, k
    moves: tuple[tuple[Move, ...], ...]  # of left, right (by the order in which labels appear), result


@lru_cache(maxsize=256)
def _roles(equation: str) -> _Roles | None:
    """Roles of the labels in `ij,jk->ik`; None for any other form of equation."""
    terms, arrow, out = equation.replace(" ", "").partition("->")
    left, comma, right = terms.partition(",")
    if not arrow or not comma or "," in right or "." in equation:
        return None
    batch = "".join(label for label in out if label in left and label in right)
    m = "".join(label for label in out if label in left and label not in right)
    n = "".join(label for label in out if label in right and label not in left)
    k = "".join(label for label in left if label in right and label not in out)
    common = "".join(label for label in left if label in right) + n
    moves = (
        (_move(left, batch + m + k),),
        (_move(right, common), _move(common, batch + k + n)),
        (_move(batch + m + n, out),),
    )
    return _Roles(left, right, (batch, m, n, k), moves)


def _move(given: str, needed: str) -> Move:
    return move_of([given.index(label) for label in needed], run=given[-1:] == needed[-1:])


def move_of(order: Sequence[int], *, run: bool) -> Move:
    """What it takes to bring axes into another order.

    Args:
        order: as in Transpose.
        run: whether elements that lie together stay so.

    Source: onnxruntime/core/providers/cpu/tensor/transpose.cc.
    """
    if _is_sorted(order):
        return Move.NOTHING
    if run:
        return Move.RUNS
    moving = [axis for axis in order if _is_sorted([other for other in order if other != axis])]
    if not moving:
        return Move.ELEMENTS
    return Move.OUTWARDS if moving == [max(order)] else Move.INWARDS


def _is_sorted(order: Sequence[int]) -> bool:
    return list(order) == sorted(order)
