"""Random valid ONNX graphs out of the pieces that real models are made of, to compare predictions on.

`random_graph(7, mib=16)` -> a model of some forty nodes over tensors of about 16 MiB: chains, branches with
shared values, attention, convolutions, masks, reshapes, bodies of Scan, Loop and If, several results. One
seed gives one graph, whatever else was made before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from .bodies import BODY_PIECES, branch, loop, scan, sweep
from .builder import Builder, Piece, Tensor, info
from .images import conv, grow_image, image_norm, pool, residual_conv, squeeze_excite
from .moves import flatten, pad, scatter, tile, where_rows
from .pointwise import arg, binary, cast, cumulate, outer, several, top, unary
from .products import attention, einsum, fused_attention, gated, gemm

OPSET = 24
IR_VERSION = 10
ITEM_BYTES = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2}
HALF_SHARE = 0.15  # of the graphs are in float16
STEPS = (10, 26)  # pieces in a graph, from and to
MOST_TIMES = 4  # a tensor is at most so many times as large as the inputs

PIECES: tuple[Piece, ...] = (
    *BODY_PIECES, unary, binary, binary, several, outer, cast, arg, top, cumulate, gemm, gated, einsum,
    attention, fused_attention, where_rows, flatten, pad, tile, scatter, conv, conv, residual_conv,
    residual_conv, grow_image, pool, image_norm, squeeze_excite, scan, scan, loop, branch, sweep,
)  # fmt: skip

# Shapes with one free size n, and the unit it comes in.
LAYOUTS: Mapping[str, Callable[[int, np.random.Generator], tuple[int, ...]]] = {
    "tokens": lambda n, rng: (1, *_sides(n, int(rng.choice([256, 384, 512, 768, 1000])))),
    "batch": lambda n, rng: (2, *_sides(n // 2, int(rng.choice([128, 256, 384])))),
    "matrix": lambda n, rng: _sides(n, int(rng.choice([512, 1024, 1536]))),
    "image": lambda n, rng: _image(n, int(rng.choice([8, 16, 24, 32, 64]))),
    "pair": lambda n, rng: (*_image(n, int(rng.choice([16, 32, 64])))[2:], int(rng.choice([16, 32]))),
}


def _sides(size: int, width: int) -> tuple[int, int]:
    return max(8, size // width // 8 * 8), width


def _image(size: int, channels: int) -> tuple[int, ...]:
    side = max(16, round((size / channels) ** 0.5) // 8 * 8)
    return 1, channels, side, side


def random_graph(seed: int, *, mib: float = 16) -> onnx.ModelProto:
    """A model whose inputs are tensors of about so many MiB."""
    rng = np.random.default_rng(seed)
    dtype = TensorProto.FLOAT16 if rng.random() < HALF_SHARE else TensorProto.FLOAT
    size = int(mib * 2**20 / ITEM_BYTES[dtype] * rng.uniform(0.5, 1.2))
    b = Builder(rng, dtype, MOST_TIMES * size)
    layouts = list(LAYOUTS)
    first = LAYOUTS[layouts[int(rng.integers(len(layouts)))]](size, rng)
    shapes = [first] * int(rng.integers(1, 3)) + [LAYOUTS[b.pick(*layouts)](size // 2, rng)] * int(
        b.chance(0.3)
    )
    inputs = [Tensor(f"x{index}", shape, dtype) for index, shape in enumerate(shapes)]
    b.tensors.extend(inputs)
    left = int(rng.integers(*STEPS))
    while left:
        left -= b.pick(*PIECES)(b, b.draw()) is not None
    return finished(b, inputs)


def finished(b: Builder, inputs: Sequence[Tensor]) -> onnx.ModelProto:
    """The model that was built: every value that nothing has read is a result."""
    given = {t.name for t in inputs}
    outputs = [t for t in b.tensors if not b.reads[t.name] and t.name not in given]
    read = [t for t in inputs if b.reads[t.name]]
    inner = [info(t) for t in b.tensors if t.name not in given and t not in outputs]
    graph = helper.make_graph(
        b.nodes, "random", [info(t) for t in read], [info(t) for t in outputs], b.weights, value_info=inner
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
