"""Matrix products in disguise: the sizes of what MatMul, Gemm, Einsum, Conv and Attention multiply.

`[12, 64, 64] x [12, 64, 4096]` -> Product("plain", batch=12, m=64, n=4096, k=64)

Source: onnxruntime/core/mlas/lib/sgemm.cpp: a right operand that is not constant is packed again at every
call; that, and reading it, is what a few rows cannot pay for.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

from .call import Call

LANES = 16  # columns that a kernel computes at once
SCATTERED = 4  # how much more a transposed element costs when it leaves its run
PANEL_COLUMNS = 128
PANEL_DEPTHS = 256
NEAR_ELEMENTS = 1 << 19  # right elements that stay in the second-level cache from call to call


class Product(NamedTuple):
    """`batch` times `[m, k] x [k, n]`; `moved` elements are transposed before and after.

    `kind` is "packed" (constant right operand), "plain", "conv" or "depthwise". A convolution reads each left
    element for every place of its `window`, but fetches it once.
    """

    kind: str
    batch: int
    m: int
    n: int
    k: int
    moved: int = 0
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

    @property
    def fetched(self) -> int:
        """Left elements, once for each panel of columns, and result elements, once for each panel of `k`."""
        columns, depths = -(-self.n // PANEL_COLUMNS), -(-self.k // PANEL_DEPTHS)
        return self.batch * self.m * (self.k // self.window * columns + self.n * depths)


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
    left, right = call.operand(0), call.operand(1)
    if not left or not right:
        return None
    columns = right[-1] if len(right) > 1 else 1
    if len(right) <= 2:
        return Product("packed" if call.is_constant(1) else "plain", 1, prod(left[:-1]), columns, left[-1])
    batch = max(prod(left[:-2]), prod(right[:-2]))
    return Product("plain", batch, left[-2] if len(left) > 1 else 1, columns, left[-1])


def gemm(call: Call) -> Product | None:
    """`op(A) [m, k] x op(B) [k, n]`."""
    left, right = call.operand(0), call.operand(1)
    if len(left) != 2 or len(right) != 2:
        return None
    m, k = reversed(left) if call.integer("transA", 0) else left
    n = right[0] if call.integer("transB", 0) else right[1]
    return Product("packed" if call.is_constant(1) else "plain", 1, m, n, k)


def conv(call: Call) -> Product | None:
    """Pixels are rows, output channels columns; the window and the input channels are multiplied over."""
    weights, result = call.operand(1), call.result
    if len(weights) < 3 or len(result) != len(weights):
        return None
    groups = call.integer("group", 1)
    pixels, window = result[0] * prod(result[2:]), prod(weights[2:])
    if groups > 1 and weights[1] == 1:
        return Product("depthwise", 1, pixels, result[1], window, window=window)
    return Product("conv", groups, pixels, result[1] // groups, weights[1] * window, window=window)


def conv_transpose(call: Call) -> Product | None:
    """Input pixels are rows; every output channel at every place of the window is a column."""
    data, weights = call.operand(0), call.operand(1)
    if len(weights) < 3 or len(data) != len(weights):
        return None
    groups = call.integer("group", 1)
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
    moved = sum(length * weight for length, weight in zip(lengths, roles.moved, strict=True))
    return Product("plain", batch, m, n, k, moved)


class _Roles(NamedTuple):
    left: str
    right: str
    groups: tuple[str, str, str, str]  # batch, m, n, k
    moved: tuple[int, int, int]  # of left, right and result: 0, 1 or, where the last axis changes, SCATTERED


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
    moved = _move(left, batch + m + k), _move(right, batch + k + n), _move(out, batch + m + n)
    return _Roles(left, right, (batch, m, n, k), moved)


def _move(given: str, needed: str) -> int:
    """What it takes to bring axes into another order: nothing, moving runs, moving single elements."""
    if given == needed:
        return 0
    return 1 if given[-1:] == needed[-1:] else SCATTERED
