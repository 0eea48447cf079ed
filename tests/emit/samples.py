"""Small models whose regions differ in everything that emission has to get right."""

from __future__ import annotations

from collections.abc import Mapping

from onnx_autochunk.options import Form
from tests.emit.regions import Sample, Stretch

ALL = (Form.SCAN, Form.UNROLL, Form.SWEEP)

SAMPLES: Mapping[str, Sample] = {
    "rows behind a batch of one": Sample(
        """(float[1,12,8] x) => (float[1,12,8] z) {
            t = Relu(x)  up = MatMul(t, w)  act = Erf(up)  down = MatMul(act, v)  y = Add(t, down)  z = Neg(y)
        }""",
        (Stretch("up act down y", 1),),
        weights={"w": (8, 32), "v": (32, 8)},
        forms=ALL,
    ),
    "a prime number of rows, outermost": Sample(
        """(float[13,8] x) => (float[13,8] z) {
            t = Relu(x)  n = LayerNormalization(t, g)  y = Add(t, n)  z = Neg(y)
        }""",
        (Stretch("n y", 0),),
        weights={"g": (8,)},
        lengths=(1, 4, 6, 12),
        forms=ALL,
    ),
    "an inner axis": Sample(
        """(float[3,10,6] x) => (float[3,10,6] z) {
            t = Relu(x)  m = MatMul(t, w)  y = Tanh(m)  z = Neg(y)
        }""",
        (Stretch("m y", 1),),
        weights={"w": (6, 6)},
        lengths=(2, 3, 9),
        forms=ALL,
    ),
    "the last axis": Sample(
        "(float[4,7] x) => (float[4,7] z) { t = Relu(x)  y = Tanh(t)  z = Neg(y) }",
        (Stretch("y", 1),),
        lengths=(1, 3, 6),
        forms=ALL,
    ),
    "the only axis": Sample(
        "(float[11] x) => (float[11] z) { t = Relu(x)  y = Tanh(t)  z = Neg(y) }",
        (Stretch("y", 0),),
        lengths=(1, 3, 10),
        forms=ALL,
    ),
    "heads in a merged axis": Sample(
        """(float[1,9,24] x) => (float[1,9,24] z) {
            t = Relu(x)
            split = Reshape(t, heads)  front = Transpose<perm=[0,2,1,3]>(split)  soft = Softmax<axis=2>(front)
            back = Transpose<perm=[0,2,1,3]>(soft)  y = Reshape(back, joined)  z = Neg(y)
        }""",
        (Stretch("split front soft back y", 2, steps=6),),
        integers={"heads": (0, -1, 6, 4), "joined": (1, 9, 24)},
        lengths=(1, 2, 4, 5),
        forms=ALL,
    ),
    "queries, with keys whole and a mask sliced": Sample(
        """(float[2,12,4] q, float[2,12,4] k, float[2,12,4] v) => (float[2,12,4] z) {
            t = Relu(q)  keys = Transpose<perm=[0,2,1]>(k)
            score = MatMul(t, keys)  masked = Add(score, mask)  soft = Softmax(masked)
            y = MatMul(soft, v)
            z = Neg(y)
        }""",
        (Stretch("score masked soft y", 1),),
        weights={"mask": (12, 12)},
        lengths=(4, 5, 11),
        forms=ALL,
    ),
    "graph input to graph output": Sample(
        "(float[1,12,8] x) => (float[1,12,8] y) { e = Exp(x)  y = Tanh(e) }", (Stretch("e y", 1),)
    ),
    "several outputs, one of the graph, of other ranks and types": Sample(
        """(float[12,6] x) => (float[12,6] e, float[12] z, bool[12,6] even) {
            e = Exp(x)  top = ReduceMax<keepdims=0>(e, last)  column = Unsqueeze(top, last)
            best = GreaterOrEqual(e, column)  z = Neg(top)  even = Not(best)
        }""",
        (Stretch("e top column best", 0),),
        integers={"last": (1,)},
    ),
    "results of an op with several": Sample(
        """(float[1,12,9] x) => (float[1,12,3] z, float[1,12,3] k) {
            t = Relu(x)  q, k, v = Split<axis=2, num_outputs=3>(t)  qe = Exp(q)  y = Add(qe, v)  z = Neg(y)
        }""",
        (Stretch("t q qe y", 1),),
    ),
    "a cheap op that is needed whole as well": Sample(
        """(float[1,12,8] x) => (float[1,12,8] z) {
            t = Relu(x)  n = LayerNormalization(t, g)  k = Transpose<perm=[0,2,1]>(n)
            q = MatMul(n, w)  score = MatMul(q, k)  soft = Softmax(score)
            mix = MatMul(soft, n)  y = Add(t, mix)
            z = Neg(y)
        }""",
        (Stretch("n q score soft mix y", 1),),
        weights={"g": (8,), "w": (8, 8)},
        forms=ALL,
    ),
    "sizes of Expand, nothing sliced": Sample(
        "(float[1,6] x) => (float[12,6] z) { t = Relu(x)  e = Expand(t, full)  y = Exp(e)  z = Neg(y) }",
        (Stretch("e y", 0),),
        integers={"full": (12, 6)},
    ),
    "columns of a weight": Sample(
        "(float[5,6] x) => (float[5,12] z) { t = Relu(x)  m = MatMul(t, w)  y = Tanh(m)  z = Neg(y) }",
        (Stretch("m y", 1),),
        weights={"w": (6, 12)},
    ),
    "one value along two axes": Sample(
        """(float[12,12] x) => (float[12,12] z) {
            t = Relu(x)  turned = Transpose<perm=[1,0]>(t)  y = Add(t, turned)  z = Neg(y)
        }""",
        (Stretch("turned y", 0),),
    ),
    "an absent operand": Sample(
        "(float[12,4] x) => (float[12,4] z) { t = Relu(x)  y = Clip(t, , w)  z = Neg(y) }",
        (Stretch("y", 0),),
        weights={"w": ()},
        forms=ALL,
    ),
    "two regions, the second on the first": Sample(
        """(float[1,12,8] x) => (float[1,12,8] z) {
            t = Relu(x)  a = Exp(t)  b = Add(t, a)  c = Transpose<perm=[0,2,1]>(b)  d = Softmax(c)
            e = Add(c, d)  z = Transpose<perm=[0,2,1]>(e)
        }""",
        (Stretch("a b", 1), Stretch("d e", 1)),
        lengths=(2, 3, 7),
        forms=ALL,
    ),
    "convolutions with what skips them": Sample(
        """(float[1,4,13,7] x) => (float[1,4,13,7] z) {
            t = Relu(x)  c = Conv<pads=[1,1,1,1]>(t, w, b)  r = Relu(c)
            d = Conv<pads=[2,0,2,0], dilations=[2,1]>(r, v)
            y = Add(t, d)  z = Neg(y)
        }""",
        (Stretch("c r d y", 2),),
        weights={"w": (6, 4, 3, 3), "b": (6,), "v": (4, 6, 3, 1)},
        forms=(Form.UNROLL,),
        lengths=(1, 2, 5, 12),
    ),
    "a convolution whose result is read with and without its neighbours, and outside": Sample(
        """(float[2,3,11,5] x) => (float[2,3,11,5] z) {
            c = Conv<auto_pad="SAME_UPPER">(x, w)  d = Conv<auto_pad="SAME_LOWER">(c, v)  y = Mul(c, d)
            n = Neg(y)  z = Add(n, c)
        }""",
        (Stretch("c d y", 2),),
        weights={"w": (3, 3, 3, 3), "v": (3, 3, 2, 2)},
        forms=(Form.UNROLL,),
    ),
    "strides, then pooling": Sample(
        """(float[1,3,29,9] x) => (float[1,5,7,4] z) {
            t = Relu(x)  c = Conv<pads=[1,1,1,1], strides=[2,2]>(t, w)  s = Sigmoid(c)  m = Mul(c, s)
            y = MaxPool<kernel_shape=[3,2], strides=[2,1]>(m)  z = Neg(y)
        }""",
        (Stretch("c s m y", 2),),
        weights={"w": (5, 3, 3, 3)},
        forms=(Form.UNROLL,),
        lengths=(1, 2, 3, 6),
    ),
    "images to tokens behind a convolution": Sample(
        """(float[1,3,9,4] x) => (float[1,36,6] z) {
            c = Conv<pads=[1,1,1,1]>(x, w)  flat = Reshape(c, tokens)  y = Transpose<perm=[0,2,1]>(flat)
            z = Neg(y)
        }""",
        (Stretch("c flat y", 1, steps=9),),
        weights={"w": (6, 3, 3, 3)},
        integers={"tokens": (1, 6, -1)},
        forms=(Form.UNROLL,),
        lengths=(1, 4, 8),
    ),
    "a triangle whose diagonal moves": Sample(
        "(float[2,9,8] x) => (float[2,9,8] z) { t = Relu(x)  cut = Trilu(t)  y = Tanh(cut)  z = Neg(y) }",
        (Stretch("cut y", 1),),
        lengths=(1, 4, 8),
        forms=ALL,
    ),
    "ones whose diagonal is an attribute": Sample(
        """(float[9,7] x) => (float[9,7] z) {
            t = Relu(x)  ones = EyeLike<k=1>(t)  y = Add(t, ones)  z = Neg(y)
        }""",
        (Stretch("ones y", 0),),
        lengths=(1, 4, 8),
        forms=(Form.UNROLL, Form.SWEEP),
    ),
    "groups counted by an attribute": Sample(
        """(float[2,12,5] x) => (float[2,12,5] z) <float[2,12,5] n, float[2,12,5] y> {
            t = Relu(x)  n = GroupNormalization<num_groups=6>(t, scale, bias)  y = Tanh(n)  z = Neg(y)
        }""",
        (Stretch("n y", 1, steps=6),),
        weights={"scale": (12,), "bias": (12,)},
        lengths=(1, 2, 4),
        forms=ALL,
    ),
    "rows that see no later keys": Sample(
        """(float[2,3,9,4] q, float[2,3,9,4] k) => (float[2,3,9,4] z) {
            t = Relu(q)  a = Attention<is_causal=1>(t, k, k)  y = Tanh(a)  z = Neg(y)
        }""",
        (Stretch("a y", 2),),
        lengths=(1, 4, 8),
        forms=ALL,
        opset=24,
    ),
    "rows picked from more of them": Sample(
        """(float[9,7] x, float[8,6] u) => (float[8,6] z) {
            t = Relu(x)  at = Cast<to=7>(u)  picked = GatherElements<axis=1>(t, at)  y = Tanh(picked)
            z = Neg(y)
        }""",
        (Stretch("picked y", 0),),
        lengths=(1, 2, 5),
        forms=(Form.UNROLL,),
    ),
}
