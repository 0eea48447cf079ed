"""The calls that calibration times: every kind of op, few rows and many, inside the cache and beyond."""

from __future__ import annotations

from collections.abc import Iterable

from .points import Point

SHORTEST = 1e6  # multiplications and additions of a product that takes much longer than its dispatch
LONGEST = 1.3e9  # the same of the largest one, but for the few that must exceed the cache
ROWS = (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
LAYERS = ((768, 3072), (3072, 768), (768, 768), (128, 512), (128, 128))  # k, n of constant right operands
HEADS = (
    (1, 64, 4096),
    (1, 4096, 64),
    (12, 64, 4096),
    (12, 4096, 64),
    (8, 16, 4096),
    (8, 4096, 16),
)  # batch, k, n
LOOSE = (64, 256, 1024)  # rows of products with a weight that is not packed
WIDE = ((4096, 768, 3072), (4096, 3072, 768), (16384, 128, 512))  # m, k, n
BIASED = ((512, 128, 128), (4096, 128, 128), (65536, 128, 128), (512, 768, 3072), (4096, 768, 3072))
TALL = ((12, 512), (12, 1024), (12, 4096), (8, 4096))  # batch, m
IMAGES = (
    (128, 64, 4),
    (128, 64, 16),
    (128, 64, 64),
    (256, 32, 4),
    (256, 32, 32),
    (64, 256, 256),
    (32, 512, 512),
)
TRANSPOSES = (
    ((1, 0), (2048, 768)),
    ((0, 2, 3, 1), (1, 2048, 12, 64)),
    ((0, 2, 3, 1), (1, 128, 64, 64)),
    ((0, 2, 1, 3), (1, 512, 12, 64)),
    ((0, 2, 1, 3), (1, 2048, 12, 64)),
    ((1, 0, 2), (128, 128, 128)),
    ((2, 0, 1), (256, 256, 128)),
    ((2, 1, 0), (256, 256, 128)),
    ((2, 1, 0), (64, 64, 128)),
    ((2, 1, 0), (64, 64, 16)),
)
CUTS = (  # shape, axis, length
    ((12, 4096, 64), 1, 128),
    ((12, 64, 4096), 2, 128),
    ((12, 4096, 64), 1, 1024),
    ((4096, 4096), 0, 24),
    ((4096, 4096), 0, 256),
    ((4096, 4096), 1, 128),
    ((768, 768), 1, 64),
    ((4096, 512), 1, 64),
)
EINSUMS = (
    ("sihc,sjhc->shij", (8, 128, 8, 32), (8, 128, 8, 32), (8, 8, 128, 128)),
    ("shij,sjhc->sihc", (8, 8, 128, 128), (8, 128, 8, 32), (8, 128, 8, 32)),
    ("ikc,jkc->ijc", (64, 128, 64), (64, 128, 64), (64, 64, 64)),
    ("kic,kjc->ijc", (128, 64, 64), (128, 64, 64), (64, 64, 64)),
    ("sic,sjd->ijcd", (64, 64, 32), (64, 64, 32), (64, 64, 32, 32)),
    ("ikc,jkc->ijc", (256, 256, 128), (256, 256, 128), (256, 256, 128)),
    ("kic,kjc->ijc", (256, 256, 128), (256, 256, 128), (256, 256, 128)),
    ("sihc,sjhc->shij", (128, 256, 8, 32), (128, 256, 8, 32), (128, 8, 256, 256)),
    ("shij,sjhc->sihc", (128, 8, 256, 256), (128, 256, 8, 32), (128, 256, 8, 32)),
)
UNARY = "Exp Erf Tanh Sigmoid Gelu Relu Sqrt Neg Sin Log Softplus".split()


def cases() -> list[Point]:
    """All points, not yet measured."""
    groups = (_layers, _batches, _convolutions, _arithmetic, _functions, _normalizations, _moves)
    return [point for group in groups for point in group()]


def _layers() -> Iterable[Point]:
    """Products with a weight."""
    for k, n in LAYERS:
        for m in ROWS:
            if SHORTEST <= m * n * k * 2 <= LONGEST or (m, k, n) in WIDE:
                yield Point("MatMul", ((m, k), (k, n)), (m, n), (1,))
    yield from (Point("MatMul", ((m, k), (k, n)), (m, n)) for k, n in (*LAYERS[:2], LAYERS[3]) for m in LOOSE)
    for m, k, n in BIASED:
        yield Point("Gemm", ((m, k), (k, n), (n,)), (m, n), (1, 2))


def _batches() -> Iterable[Point]:
    """Products of two computed operands."""
    for batch, k, n in HEADS:
        for m in ROWS[:9]:
            if batch * m * n * k * 2 <= LONGEST or (batch, m) in TALL:
                yield _batch(batch, m, k, n)
    yield from (_batch(batch, 1, k, n) for batch, k, n in (*HEADS, (128, 256, 256), (32, 256, 256)))
    yield from (_batch(batch, 256, k, n) for batch in (16, 128) for k, n in ((32, 256), (256, 32)))
    yield from (_batch(batch, m, 256, 256) for batch, m in ((128, 8), (128, 32), (32, 256)))
    for equation, left, right, result in EINSUMS:
        yield Point("Einsum", (left, right), result, (), {"equation": equation})


def _batch(batch: int, m: int, k: int, n: int) -> Point:
    return Point("MatMul", ((batch, m, k), (batch, k, n)), (batch, m, n))


def _convolutions() -> Iterable[Point]:
    for channels, width, height in IMAGES:
        shape = (1, channels, height, width)
        for window, group in ((3, 1), (1, 1), (3, channels)):
            attributes = {"group": group, "pads": (window // 2,) * 4, "kernel_shape": (window,) * 2}
            weights = (channels, channels // group, window, window)
            yield Point("Conv", (shape, weights), shape, (1,), attributes)


def _arithmetic() -> Iterable[Point]:
    for power in range(15, 26):  # to the largest third-level caches
        yield Point("Add", ((1 << power,),) * 2, (1 << power,))
    for rows, columns in ((8192, 128), (2048, 128), (16384, 32)):
        yield Point("Add", ((rows, columns), (columns,)), (rows, columns), (1,))
    for type_ in ("Pow", "Div"):
        for rows in (1024, 4096):
            yield Point(type_, ((rows, 256), ()), (rows, 256), (1,))


def _functions() -> Iterable[Point]:
    for type_ in UNARY:
        for rows in (1024, 4096):
            yield Point(type_, ((rows, 256),), (rows, 256))
    for rows in (1024, 12288):
        yield Point("Softmax", ((rows, 4096),), (rows, 4096))


def _normalizations() -> Iterable[Point]:
    for rows, columns in ((128, 768), (1024, 768), (8192, 128), (65536, 128)):
        weights = ((columns,), (columns,))
        yield Point("LayerNormalization", ((rows, columns), *weights), (rows, columns), (1, 2))
    for shape in ((64, 4096), (384, 4096), (4, 64, 4096), (4096, 256)):
        yield Point("Softmax", (shape,), shape)
    for size in (16384, 49152):
        shape = (1, 32, size)
        yield Point("InstanceNormalization", (shape, (32,), (32,)), shape, (1, 2))
    for type_ in ("ReduceSum", "ReduceMean", "ReduceMax"):
        yield Point(type_, ((1024, 768),), (1024, 1), (), {"keepdims": 1})


def _moves() -> Iterable[Point]:
    for order, shape in TRANSPOSES:
        yield Point("Transpose", (shape,), tuple(shape[axis] for axis in order), (), {"perm": order})
    for shape, axis, length in CUTS:
        result = (*shape[:axis], length, *shape[axis + 1 :])
        yield Point("Slice", (shape,), result, (), {"axis": axis})
    for rows, columns in ((4096, 16), (4096, 64), (512, 512), (1024, 1024), (16384, 64), (256, 16384)):
        yield Point("Concat", ((rows, columns),) * 2, (rows, 2 * columns), (), {"axis": 1})
