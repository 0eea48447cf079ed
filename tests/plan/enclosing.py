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
    rounds: int = 3, *, tokens: int = 512, width: int = 32, heads: int = 4, carried: str = ""
) -> ModelProto:
    """A Loop that runs one transformer layer on its own result; its weights are captured.

    Args:
        carried: shape that the body says of what it carries; by default the right one.
    """
    value = f"float[1,{tokens},{width}]"
    body = LAYER.format(i="l_", x="h")
    text = f"""({value} x) => ({value} y) {{
        x0 = Neg(x)
        last = Loop <body = round (int64 at, bool going, {carried or value} h) => (bool again, {value} l_out) {{
            again = Identity(going) {body}
        }}> (count, , x0)
        y = Neg(last)
    }}"""
    weights: dict[str, Sequence[int]] = {"scale": ()}
    weights.update({f"l_{name}": shape for name, shape in layer_weights(width)})
    split, join = [1, tokens, heads, width // heads], [1, tokens, width]
    return model(text, weights, split=split, join=join, count=[rounds])


def branched(*, tokens: int = 512, width: int = 32) -> ModelProto:
    """An If with an attention in each branch."""
    value = f"float[1,{tokens},{width}]"
    branches = ", ".join(
        f"{name}_branch = {name}_ () => ({value} {i}out) {{ {ATTENTION.format(i=i)} }}"
        for name, i in (("then", "t_"), ("else", "e_"))
    )
    text = f"({value} x, bool which) => ({value} y) {{ x1 = Neg(x) found = If <{branches}> (which) y = Neg(found) }}"
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
