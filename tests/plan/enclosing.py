"""Models whose work is in bodies: a Loop of layers, an If of two attentions, a Scan over frames."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import ModelProto

from tests.plan.graphs import LAYER, layer_weights, model

ATTENTION = """
    {i}q = MatMul(x1, {i}wq)  {i}k = MatMul(x1, {i}wk)  {i}v = MatMul(x1, {i}wv)
    {i}kt = Transpose<perm=[0,2,1]>({i}k)
    {i}scores = MatMul({i}q, {i}kt)  {i}probs = Softmax<axis=-1>({i}scores)  {i}out = MatMul({i}probs, {i}v)
"""


def looped(
    rounds: int = 3,
    *,
    tokens: int = 512,
    width: int = 32,
    heads: int = 4,
    carried: str = "",
    around: bool = False,
) -> ModelProto:
    """A Loop that runs one transformer layer on its own result; its weights are captured.

    Args:
        rounds: of the Loop.
        tokens: rows of the value that it carries.
        width: columns of it.
        heads: of the attention.
        carried: shape that the body says of it; by default the right one.
        around: put a layer in front of the Loop and one behind it.
    """
    value = f"float[1,{tokens},{width}]"
    before, after = (LAYER.format(i=i, x=x) if around else "" for i, x in (("b_", "x0"), ("a_", "last")))
    text = f"""({value} x) => ({value} y) {{
        x0 = Neg(x) {before}
        last = Loop <
            body = round (int64 at, bool going, {carried or value} h) => (bool again, {value} l_out) {{
                again = Identity(going) {LAYER.format(i="l_", x="h")}
            }}
        > (count, , {"b_out" if around else "x0"}) {after}
        y = Neg({"a_out" if around else "last"})
    }}"""
    weights: dict[str, Sequence[int]] = {"scale": ()}
    for layer in ("l_", "b_", "a_") if around else ("l_",):
        weights.update({f"{layer}{name}": shape for name, shape in layer_weights(width)})
    split, join = [1, tokens, heads, width // heads], [1, tokens, width]
    return model(text, weights, split=split, join=join, count=[rounds])


def branched(*, tokens: int = 512, width: int = 32) -> ModelProto:
    """An If with an attention in each branch."""
    value = f"float[1,{tokens},{width}]"
    branches = ", ".join(
        f"{name}_branch = {name}_ () => ({value} {i}out) {{ {ATTENTION.format(i=i)} }}"
        for name, i in (("then", "t_"), ("else", "e_"))
    )
    text = f"""({value} x, bool which) => ({value} y) {{
        x1 = Neg(x) found = If <{branches}> (which) y = Neg(found)
    }}"""
    return model(text, {f"{i}{name}": (width, width) for i in ("t_", "e_") for name in ("wq", "wk", "wv")})


def scanned(frames: int = 3, *, rows: int = 512, width: int = 32, hidden: int = 512) -> ModelProto:
    """A Scan over frames with a perceptron in its body."""
    one, every = f"float[{rows},{width}]", f"float[{frames},{rows},{width}]"
    text = f"""({every} x) => ({every} y) {{
        x0 = Neg(x)
        found = Scan <num_scan_inputs = 1, body = frame ({one} f) => ({one} down) {{
            up = MatMul(f, wu) act = Erf(up) down = MatMul(act, wd)
        }}> (x0)
        y = Neg(found)
    }}"""
    return model(text, {"wu": (width, hidden), "wd": (hidden, width)})


def nested(rounds: int = 3, *, tokens: int = 512, width: int = 32) -> ModelProto:
    """A Loop whose body holds an If whose one branch is an attention with queries, keys and values in one."""
    value = f"float[1,{tokens},{width}]"
    text = f"""({value} x, bool which) => ({value} y) {{
        x0 = Neg(x)
        last = Loop <body = round (int64 at, bool going, {value} h) => (bool again, {value} next) {{
            again = Identity(going)
            next = If <
                then_branch = attend () => ({value} t_out) {{
                    qkv = MatMul(h, w) q, k, v = Split<axis=2, num_outputs=3>(qkv)
                    kt = Transpose<perm=[0,2,1]>(k)
                    scores = MatMul(q, kt) probs = Softmax<axis=-1>(scores) t_out = MatMul(probs, v)
                }},
                else_branch = pass () => ({value} e_out) {{ e_out = Mul(h, x0) }}
            > (which)
        }}> (count, , x0)
        y = Neg(last)
    }}"""
    return model(text, {"w": (width, 3 * width)}, count=[rounds])


def growing(*, rows: int = 512, width: int = 32, first: str = "x") -> ModelProto:
    """A Loop whose carried value has more rows in every round; `first` is what it begins with."""
    ends = f"(int64 at, bool going, float[N,{width}] h) => (bool again, float[M,{width}] more)"
    text = f"""(float[{rows},{width}] x, bool[{rows}] some) => (float[R,{width}] y) {{
        picked = Compress<axis=0>(x, some)
        y = Loop <body = round {ends} {{
            again = Identity(going)
            up = MatMul(h, wu) act = Erf(up) down = MatMul(act, wd)
            more = Concat<axis=0>(down, x)
        }}> (count, , {first})
    }}"""
    return model(text, {"wu": (width, 512), "wd": (512, width)}, count=[3])


def shared(*, tokens: int = 512, width: int = 32) -> ModelProto:
    """An If whose branches attend with one weight for queries, keys and values, in an Einsum as well.

    The shape that they reshape to is computed in front of the If.
    """
    value, flat = f"float[1,{tokens},{width}]", f"float[{tokens},{width}]"
    branches = ", ".join(
        f"""{name}_branch = {name}_ () => ({flat} {i}out) {{
            {i}qkv = MatMul(x1, w) {i}q, {i}k, {i}v = Split<axis=2, num_outputs=3>({i}qkv)
            {i}scores = Einsum<equation="bqd,bkd->bqk">({i}q, {i}k) {i}probs = Softmax<axis=-1>({i}scores)
            {i}heads = MatMul({i}probs, {i}v) {i}out = Reshape({i}heads, target)
        }}"""
        for name, i in (("then", "t_"), ("else", "e_"))
    )
    text = f"""({value} x, bool which) => ({flat} y) {{
        x1 = Neg(x) sizes = Shape(x1) target = Slice(sizes, one, three)
        found = If <{branches}> (which) y = Neg(found)
    }}"""
    return model(text, {"w": (width, 3 * width)}, one=[1], three=[3])
