"""Deep GPT-2s without an exporter, which needs minutes for what is written here in a second.

A layer is, op for op, what the exporter makes of one, with every shape declared. Its weights are all the
same number, because nothing here is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper, parser, shape_inference

HEADER = '<ir_version: 10, opset_import: ["": 20]>'
TOKENS = 512
WIDTH, HEADS = 48, 4  # of equal layers
NARROWEST, WIDEST = 16, 296  # of layers that differ, which have one head
OPS = 37  # of a layer

LAYER = """
    {i}n = LayerNormalization<axis=-1>({x}, {i}g1, {i}b1)  {i}n2 = Reshape({i}n, {i}flat)
    {i}a = Gemm({i}n2, {i}wa, {i}ba)  {i}a3 = Reshape({i}a, {i}triple)
    {i}q, {i}k, {i}v = Split<axis=2, num_outputs=3>({i}a3)
    {i}ks = Reshape({i}k, {i}heads)  {i}vs = Reshape({i}v, {i}heads)
    {i}vh = Transpose<perm=[0,2,1,3]>({i}vs)
    {i}qs = Reshape({i}q, {i}heads)  {i}qh = Transpose<perm=[0,2,1,3]>({i}qs)
    {i}kh = Transpose<perm=[0,2,3,1]>({i}ks)
    {i}s = MatMul({i}qh, {i}kh)  {i}scaled = Mul({i}s, half)  {i}masked = Add({i}scaled, mask)
    {i}p = Softmax<axis=-1>({i}masked)  {i}c = MatMul({i}p, {i}vh)
    {i}ct = Transpose<perm=[0,2,1,3]>({i}c)  {i}c2 = Reshape({i}ct, {i}flat)
    {i}o = Gemm({i}c2, {i}wo, {i}bo)  {i}o3 = Reshape({i}o, {i}stream)  {i}r = Add({i}o3, {x})
    {i}m = LayerNormalization<axis=-1>({i}r, {i}g2, {i}b2)  {i}m2 = Reshape({i}m, {i}flat)
    {i}u = Gemm({i}m2, {i}wu, {i}bu)  {i}u3 = Reshape({i}u, {i}wide)
    {i}h = Mul({i}u3, half)  {i}u_3 = Pow({i}u3, three)  {i}t0 = Mul({i}u_3, half)
    {i}t1 = Add({i}u3, {i}t0)  {i}t2 = Mul({i}t1, half)  {i}t3 = Tanh({i}t2)  {i}t4 = Add({i}t3, half)
    {i}act = Mul({i}h, {i}t4)  {i}act2 = Reshape({i}act, {i}wide2)
    {i}d = Gemm({i}act2, {i}wd, {i}bd)  {i}d3 = Reshape({i}d, {i}stream)  {i}y = Add({i}r, {i}d3)
"""
PROJECTION = "{i}x = MatMul({x}, {i}wx)"
SCALARS = (("half", 0.5), ("three", 3.0))
Weight: TypeAlias = Callable[[str, tuple[int, ...]], onnx.TensorProto]


def equal_layers(ops: int) -> onnx.ModelProto:
    """A GPT-2 of about so many ops, all layers alike."""
    return _model([WIDTH] * _layers(ops, OPS), HEADS, expansion=4)


def caching_layers(ops: int) -> onnx.ModelProto:
    """The same with the keys and values of every layer as results, as exported for generating text."""
    layers = _layers(ops, OPS)
    caches = [
        f"float[1,{TOKENS},{HEADS},{WIDTH // HEADS}] l{i}_{name}s" for i in range(layers) for name in "kv"
    ]
    return _model([WIDTH] * layers, HEADS, expansion=4, results=caches)


def different_layers(ops: int) -> onnx.ModelProto:
    """Each layer a little wider than the one before, behind a projection to its width."""
    layers = _layers(ops, OPS + 1)
    widest = max(WIDEST, NARROWEST + layers - 1)
    widths = np.linspace(NARROWEST, widest, layers).round().astype(int).tolist()
    return _model(widths, 1, expansion=2, projected=True)


def wide_layers(layers: int, width: int, heads: int, weight: Weight) -> onnx.ModelProto:
    """A GPT-2 of layers alike, `weight` making its tensors of floats, one after the other."""
    return _model([width] * layers, heads, expansion=4, weight=weight)


def _layers(ops: int, each: int) -> int:
    return max(2, round(ops / each))


def _weight(name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.full(shape, 0.01, np.float32), name)


def _model(
    widths: Sequence[int],
    heads: int,
    *,
    expansion: int,
    projected: bool = False,
    results: Sequence[str] = (),
    weight: Weight = _weight,
) -> onnx.ModelProto:
    before, source, text = widths[0], "x", []
    tensors = [numpy_helper.from_array(np.full((), number, np.float32), name) for name, number in SCALARS]
    tensors.append(weight("mask", (TOKENS, TOKENS)))
    for number, width in enumerate(widths):
        i = f"l{number}_"
        if projected:
            text.append(PROJECTION.format(i=i, x=source))
            tensors.append(weight(f"{i}wx", (before, width)))
            source = f"{i}x"
        text.append(LAYER.format(i=i, x=source))
        tensors += _tensors(i, width, heads, expansion, weight)
        before, source = width, f"{i}y"
    ends = [f"float[1,{TOKENS},{width}]" for width in (widths[0], widths[-1])]
    signature = f"({ends[0]} ids) => ({', '.join([f'{ends[1]} out', *results])})"
    whole = f"{HEADER} gpt2 {signature} {{ x = Neg(ids) {' '.join(text)} out = Neg({source}) }}"
    model = parser.parse_model(whole)
    model.graph.initializer.extend(tensors)
    return shape_inference.infer_shapes(model, data_prop=True)


def _tensors(i: str, width: int, heads: int, expansion: int, weight: Weight) -> Iterator[onnx.TensorProto]:
    wide = expansion * width
    shapes = {
        "g1": (width,), "b1": (width,), "g2": (width,), "b2": (width,),
        "wa": (width, 3 * width), "ba": (3 * width,), "wo": (width, width), "bo": (width,),
        "wu": (width, wide), "bu": (wide,), "wd": (wide, width), "bd": (width,),
    }  # fmt: skip
    yield from (weight(f"{i}{name}", shape) for name, shape in shapes.items())
    sizes = {
        "flat": (TOKENS, width), "triple": (1, TOKENS, 3 * width), "stream": (1, TOKENS, width),
        "heads": (1, TOKENS, heads, width // heads), "wide": (1, TOKENS, wide), "wide2": (TOKENS, wide),
    }  # fmt: skip
    for name, size in sizes.items():
        yield numpy_helper.from_array(np.array(size, np.int64), f"{i}{name}")
