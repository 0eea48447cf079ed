"""Small models whose regions end in an op that reduces the cut axis: its parts are put together."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from tests.emit.regions import Sample, Stretch

LENGTHS = (1, 4, 6, 12)


def _reduced(nodes: str, result: str = "float[3,1]", opset: int = 21, made: str = "Exp") -> Sample:
    """13 columns of a chain that ends in a reduction."""
    text = f"(float[3,13] x) => ({result} z) {{ t = Relu(x)  e = {made}(t)  {nodes} }}"
    stretch = Stretch("e y", 1, operand=0)
    return Sample(text, (stretch,), integers={"last": (1,)}, lengths=LENGTHS, opset=opset)


def _soft(
    scores: str,
    values: str,
    made: str = "s p y",
    opset: int = 21,
    axis: int = 2,
    rtol: float = 1e-5,
    **numbers: float,
) -> Sample:
    """Two heads, five queries and 13 keys; in `keep` and `rows` about half the numbers are negative."""
    inputs = "float[2,5,4] q, float[2,13,4] k, float[2,13,3] v, float[5,13] keep, float[5,1] rows"
    text = f"""({inputs}) => (float[2,5,3] z) {{
        t = Relu(q)  kt = Transpose<perm=[0,2,1]>(k)  {scores} {values} z = Neg(y)
    }}"""
    return Sample(
        text,
        (Stretch(made, axis, operand=0),),
        weights={"bias": (1, 5, 13)},
        numbers={"zero": 0.0, "ninf": -inf, **numbers},
        lengths=LENGTHS,
        opset=opset,
        rtol=rtol,
    )


MASK = "hide = Less(keep, zero)  s = MatMul(t, kt)  m = Where(hide, ninf, s)"

ACCUMULATING: Mapping[str, Sample] = {
    "sums": _reduced("y = ReduceSum(e, last)  z = Neg(y)"),
    "sums, with the axes as an attribute": _reduced("y = ReduceSum<axes=[1]>(e)  z = Neg(y)", opset=12),
    "the largest": _reduced("y = ReduceMax<keepdims=0>(e, last)  z = Neg(y)", "float[3]", made="Log"),
    "the smallest of whole numbers": Sample(
        """(float[3,13] x) => (float[3,1] z) {
            t = Relu(x)  w = Mul(t, hundred)  i = Cast<to=7>(w)  y = ReduceMin(i, last)  z = Cast<to=1>(y)
        }""",
        (Stretch("w i y", 1, operand=0),),
        integers={"last": (1,)},
        numbers={"hundred": 100.0},
        lengths=LENGTHS,
    ),
    "the mean, with other axes of size one": Sample(
        """(float[3,13,1] x) => (float[3] z) {
            t = Relu(x)  e = Exp(t)  y = ReduceMean<keepdims=0>(e, both)  z = Neg(y)
        }""",
        (Stretch("e y", 1, operand=0),),
        integers={"both": (1, 2)},
        lengths=LENGTHS,
    ),
    "the mean, before its axes were an operand": _reduced(
        "y = ReduceMean<axes=[1]>(e)  z = Neg(y)", opset=17
    ),
    "lengths": _reduced("y = ReduceL2(e, last)  z = Neg(y)"),
    "lengths, before their axes were an operand": _reduced("y = ReduceL2<axes=[1]>(e)  z = Neg(y)", opset=17),
    "logarithms of sums": _reduced("y = ReduceLogSum(e, last)  z = Neg(y)"),
    "logarithms of sums of powers, minus infinity among them": _reduced(
        "y = ReduceLogSumExp(e, last)  z = Neg(y)", made="Log"
    ),
    "products": _reduced("y = ReduceProd(e, last)  z = Neg(y)"),
    "what chunks read whole and compute a part of": Sample(
        """(float[13,3] x) => (float[1,3] z) {
            t = Relu(x)  e = Exp(t)  et = Transpose(e)  s = MatMul(e, et)  m = MatMul(s, e)
            y = ReduceSum(m, rows)  z = Neg(y)
        }""",
        (Stretch("e s m y", 0, operand=0),),
        integers={"rows": (0,)},
        lengths=LENGTHS,
    ),
    "a contraction, with a weight": Sample(
        """(float[3,13] x) => (float[3,4] z) { t = Relu(x)  e = Exp(t)  y = MatMul(e, w)  z = Neg(y) }""",
        (Stretch("e y", 1, operand=0),),
        weights={"w": (13, 4)},
        lengths=LENGTHS,
    ),
    "a contraction of a Gemm": Sample(
        """(float[13,3] x) => (float[3,4] z) {
            t = Relu(x)  e = Exp(t)  y = Gemm<transA=1, alpha=0.5>(e, w)  z = Neg(y)
        }""",
        (Stretch("e y", 0, operand=0),),
        weights={"w": (13, 4)},
        lengths=LENGTHS,
    ),
    "channels of a convolution": Sample(
        """(float[1,13,6,5] x) => (float[1,4,6,5] z) {
            t = Relu(x)  e = Exp(t)  y = Conv<pads=[1,1,1,1]>(e, w)  z = Neg(y)
        }""",
        (Stretch("e y", 1, operand=0),),
        weights={"w": (4, 13, 3, 3)},
        lengths=LENGTHS,
    ),
    "a sum larger than what is kept as a constant": Sample(
        """(float[130,13] x, float[13,130] w) => (float[130,130] z) {
            t = Relu(x)  e = Exp(t)  y = MatMul(e, w)  z = Neg(y)
        }""",
        (Stretch("e y", 1, operand=0),),
        lengths=(1, 5),
    ),
    "keys": _soft("s = MatMul(t, kt)  p = Softmax(s)", "y = MatMul(p, v)"),
    "keys of large scores": _soft(
        "s = MatMul(t, kt)  c = Mul(s, eighty)  p = Softmax(c)", "y = MatMul(p, v)", "s c p y", eighty=80.0
    ),
    "keys with a mask and a bias": _soft(
        f"{MASK}  b = Add(m, bias)  p = Softmax(b)", "y = MatMul(p, v)", "hide s m b p y"
    ),
    "keys, some queries seeing none of them": _soft(
        f"{MASK}  none = Less(rows, zero)  n = Where(none, ninf, m)  p = Softmax(n)",
        "y = MatMul(p, v)",
        "hide s m n p y",
    ),
    "keys, with 0 for queries that see none of them": _soft(
        f"{MASK}  none = Less(rows, zero)  n = Where(none, ninf, m)  p = Softmax(n)",
        "i = IsNaN(p)  g = Where(i, zero, p)  y = MatMul(g, v)",
        "hide s m n p i g y",
    ),
    "keys in halves": _soft(
        "s = MatMul(t, kt)  h = Cast<to=10>(s)  p = Softmax(h)",
        "hv = Cast<to=10>(v)  hy = MatMul(p, hv)  y = Cast<to=1>(hy)",
        "s h p hv hy",
        rtol=2e-3,
    ),
    "a cast behind the Softmax": _soft(
        "s = MatMul(t, kt)  d = Cast<to=11>(s)  p = Softmax(d)",
        "f = Cast<to=1>(p)  y = MatMul(f, v)",
        "s d p f y",
    ),
    "the Softmax turned": _soft(
        "tt = Transpose<perm=[0,2,1]>(t)  s = MatMul(k, tt)  p = Softmax<axis=1>(s)",
        "pt = Transpose<perm=[0,2,1]>(p)  y = MatMul(pt, v)",
        "s p pt y",
    ),
    "the Softmax of old": _soft("s = MatMul(t, kt)  p = Softmax<axis=2>(s)", "y = MatMul(p, v)", opset=12),
    "between the opsets that changed reductions": _soft(
        "s = MatMul(t, kt)  p = Softmax(s)", "y = MatMul(p, v)", opset=17
    ),
    "heads merged with a batch": Sample(
        """(float[2,3,5,4] q, float[2,3,4,13] k, float[6,13,4] v) => (float[6,5,4] z) {
            t = Relu(q)  s = MatMul(t, k)  p = Softmax(s)  r = Reshape(p, merged)  y = MatMul(r, v)
            z = Neg(y)
        }""",
        (Stretch("s p r y", 2, operand=0),),
        integers={"merged": (6, 5, 13)},
        lengths=LENGTHS,
    ),
    "pooling by attention": Sample(
        """(float[2,13,4] x) => (float[2,4] z) {
            t = Relu(x)  s = MatMul(t, w)  p = Softmax<axis=1>(s)  m = Mul(p, x)
            y = ReduceSum<keepdims=0>(m, middle)  z = Neg(y)
        }""",
        (Stretch("t s p m y", 1, operand=0),),
        weights={"w": (4, 1)},
        integers={"middle": (1,)},
        lengths=LENGTHS,
    ),
}
