"""Small graphs for cost tests, what a chunk of them costs, and what calibration found on another machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.graph.model import Graph, Op, Origin, Value

Shape = tuple[int, ...]
Node = tuple[str, str, str]  # type, operands, results


def graph(
    inputs: Mapping[str, Shape], constants: Mapping[str, Shape], nodes: Sequence[Node], **shapes: Shape
) -> Graph:
    """A float32 graph; `shapes` are those of computed values."""
    origins = ((inputs, Origin.INPUT), (constants, Origin.CONSTANT), (shapes, Origin.COMPUTED))
    values = {
        name: Value(name, "float32", shape, origin)
        for group, origin in origins
        for name, shape in group.items()
    }
    ops = tuple(
        Op(index, f"n{index}", type_, tuple(operands.split()), tuple(results.split()), version=20)
        for index, (type_, operands, results) in enumerate(nodes)
    )
    return Graph(ops, values, tuple(inputs), ops[-1].outputs)


def attention(rows: int, heads: int = 12, tokens: int = 4097, depth: int = 64) -> Graph:
    """`softmax(q k' / 8) v` for some rows of q."""
    scores = (heads, rows, tokens)
    return graph(
        {"q": (heads, rows, depth), "k": (heads, depth, tokens), "v": (heads, tokens, depth)},
        {"scale": ()},
        [("MatMul", "q k", "s"), ("Mul", "s scale", "t"), ("Softmax", "t", "p"), ("MatMul", "p v", "y")],
        s=scores,
        t=scores,
        p=scores,
        y=(heads, rows, depth),
    )


def mlp(rows: int, width: int = 768, hidden: int = 3072) -> Graph:
    """`gelu(x a + b) c` for some rows of x."""
    middle = (rows, hidden)
    return graph(
        {"x": (rows, width)},
        {"a": (width, hidden), "b": (hidden,), "c": (hidden, width)},
        [("MatMul", "x a", "h"), ("Add", "h b", "i"), ("Gelu", "i", "g"), ("MatMul", "g c", "y")],
        h=middle,
        i=middle,
        g=middle,
        y=(rows, width),
    )


def seconds(model: CostModel, priced: Graph) -> float:
    """Time of all ops."""
    return sum(model.op_seconds(op, priced, priced.shape) for op in priced.ops)


def other_profile() -> dict[str, Any]:
    """The profile of the machine on which the times in these tests were measured."""
    profile: dict[str, Any] = json.loads(Path(__file__).with_name("other_machine.json").read_text("utf-8"))
    return profile
