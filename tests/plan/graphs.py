"""Graphs for the plan tests: short ones in ONNX's text form, and a transformer of any depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from onnx import ModelProto, numpy_helper, parser

from onnx_autochunk.axes import Position
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.graph.model import Graph
from onnx_autochunk.memory.order import execution_order
from onnx_autochunk.options import Form
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.grow import grow
from onnx_autochunk.plan.plan import PlannedRegion
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.rules import Rules
from onnx_autochunk.plan.setting import Setting

Shapes = Mapping[str, Sequence[int]]

HEADER = '<ir_version: 10, opset_import: ["": 21, "com.microsoft": 1]>'

LAYER = """
    {i}ln = LayerNormalization<axis=-1>({x}, {i}g1, {i}b1)
    {i}q0 = MatMul({i}ln, {i}wq)  {i}q = Add({i}q0, {i}bq)
    {i}k0 = MatMul({i}ln, {i}wk)  {i}k = Add({i}k0, {i}bk)
    {i}v0 = MatMul({i}ln, {i}wv)  {i}v = Add({i}v0, {i}bv)
    {i}qs = Reshape({i}q, split)  {i}qh = Transpose<perm=[0,2,1,3]>({i}qs)
    {i}ks = Reshape({i}k, split)  {i}kh = Transpose<perm=[0,2,3,1]>({i}ks)
    {i}vs = Reshape({i}v, split)  {i}vh = Transpose<perm=[0,2,1,3]>({i}vs)
    {i}scores = MatMul({i}qh, {i}kh)  {i}scaled = Mul({i}scores, scale)
    {i}probs = Softmax<axis=-1>({i}scaled)
    {i}heads = MatMul({i}probs, {i}vh)  {i}back = Transpose<perm=[0,2,1,3]>({i}heads)
    {i}context = Reshape({i}back, join)
    {i}o0 = MatMul({i}context, {i}wo)  {i}o = Add({i}o0, {i}bo)  {i}res = Add({x}, {i}o)
    {i}ln2 = LayerNormalization<axis=-1>({i}res, {i}g2, {i}b2)
    {i}up0 = MatMul({i}ln2, {i}wu)  {i}up = Add({i}up0, {i}bu)  {i}act = Erf({i}up)
    {i}down0 = MatMul({i}act, {i}wd)  {i}down = Add({i}down0, {i}bd)
    {i}out = Add({i}res, {i}down)
"""


def model(text: str, weights: Shapes | None = None, **integers: Sequence[int]) -> ModelProto:
    """A model from a signature and nodes, with float weights of the given shapes and int64 vectors."""
    signature, nodes = text.split("{", maxsplit=1)
    made = parser.parse_model(f"{HEADER} g {signature} {{{nodes}")
    tensors = [numpy_helper.from_array(_weight(shape), name) for name, shape in (weights or {}).items()]
    tensors += [numpy_helper.from_array(np.array(v, np.int64), name) for name, v in integers.items()]
    made.graph.initializer.extend(tensors)
    return made


def loaded(text: str, weights: Shapes | None = None, **integers: Sequence[int]) -> Loaded:
    return load(model(text, weights, **integers))


def _weight(shape: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    count = int(np.prod(shape, dtype=np.int64))
    return np.linspace(-0.1, 0.1, count, dtype=np.float32).reshape(shape)


def transformer(layers: int, *, tokens: int = 256, width: int = 32, heads: int = 4) -> ModelProto:
    """Pre-norm layers one after the other, each with weights of its own."""
    names = [f"l{number}_" for number in range(layers)]
    sources = ["x0", *(f"{name}out" for name in names)]
    body = "".join(LAYER.format(i=name, x=source) for name, source in zip(names, sources, strict=False))
    value = f"float[1,{tokens},{width}]"
    text = f"({value} x) => ({value} y) {{ x0 = Neg(x) {body} y = Neg({sources[-1]}) }}"
    weights: dict[str, Sequence[int]] = {"scale": ()}
    for name in names:
        weights.update({f"{name}{weight}": shape for weight, shape in layer_weights(width)})
    return model(text, weights, split=[1, tokens, heads, width // heads], join=[1, tokens, width])


def layer_weights(width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from ((name, (width,)) for name in "g1 b1 g2 b2 bq bk bv bo bd".split())
    yield from ((name, (width, width)) for name in "wq wk wv wo".split())
    yield from (("wu", (width, 4 * width)), ("bu", (4 * width,)), ("wd", (4 * width, width)))


def setting(graph: Graph, excluded: Sequence[int] = ()) -> Setting:
    """What growth reads, in the order in which ORT would run the graph."""
    order = execution_order(graph)
    return Setting(graph, order, Rules(graph, order), frozenset(excluded))


def grown(where: Setting, value: str, axis: int) -> list[Region]:
    """Regions that end with the op of `value`, cut along one of its axes, with every step a border."""
    graph = where.graph
    shape = graph.shape(value)
    assert shape is not None
    end = where.rules.step[graph.producer[value].index]
    return list(grow(where, end, Position.whole(shape, axis), range(len(where.order) + 1)))


def results(graph: Graph, ops: Iterable[int]) -> set[str]:
    """The first results of ops: their names in the tests."""
    return {graph.ops[index].outputs[0] for index in ops}


def planned(region: Region, form: Form, chunking: Chunking) -> PlannedRegion:
    """One region as a plan has it; `alongside` is empty, so that no frame holds more than the region."""
    return PlannedRegion("only", region, form, chunking, (), 0, 0, 0)
