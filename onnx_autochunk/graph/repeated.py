"""Large results of small values, computed again for every op that reads them.

    Range(tokens) -> Greater -> Where -> mask [tokens, tokens] -> Add in each of n layers
    n times: Range(tokens) -> Greater -> Where -> Add

A region of the reader's layer then computes what a chunk needs of it, and the whole of it never exists. What
no region takes in, ONNX Runtime finds to be the same, and computes once. `remade` does this for constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import onnx_ir as ir

from .model import Graph, Op
from .remade import CHEAP, FILLED, MOST_OPS, POINTWISE, RUN_BYTES, SMALL_SHARE, TRIANGLE

Repeats: TypeAlias = Mapping[str, tuple[str, ...]]
REPEATED = CHEAP - {TRIANGLE}  # of a few rows it would need another offset in each chunk


def large(graph: Graph) -> Repeats:
    """Large values that several ops read, with the cheap ops that make them of small ones, by name."""
    found = {}
    for name, readers in graph.consumers.items():
        value = graph.values.get(name)
        if value is None or len(readers) < 2 or value.nbytes <= RUN_BYTES or name in graph.results:
            continue
        if ops := tuple(_makers(graph, name)):
            found[name] = tuple(op.name for op in ops)
    return found


def repeat(model: ir.Model, found: Repeats) -> None:
    """Give every reader but the first a copy of its own of what `large` found, in place."""
    nodes = {str(node.name): node for node in model.graph}
    values = {str(value.name): value for node in model.graph for value in node.outputs}
    for name, makers in found.items():
        value, inside = values[name], {nodes[maker] for maker in makers}
        readers = dict.fromkeys(
            node for node, _ in value.uses() if node not in inside and node.graph is model.graph
        )
        for reader in tuple(readers)[1:]:
            copies: dict[ir.Value, ir.Value] = {}
            for maker in makers:
                copy = _copied(nodes[maker], str(reader.name), copies)
                model.graph.insert_before(reader, copy)
            for at, operand in enumerate(reader.inputs):
                if operand is value:
                    reader.replace_input_with(at, copies[value])


def _makers(graph: Graph, name: str) -> Iterator[Op]:
    """The cheap ops that make a large value, in order; none where others are needed, or too many."""
    limit = SMALL_SHARE * graph.values[name].nbytes
    ops: dict[int, Op] = {}
    todo = [name]
    while todo:
        one = todo.pop()
        if graph.values[one].nbytes <= limit:
            continue
        op = graph.producer.get(one)
        if op is None or op.domain or op.type not in REPEATED or len(ops) > MOST_OPS:
            return
        ops[op.index] = op
        todo += op.inputs if op.type in POINTWISE else op.inputs[: 0 if op.type == FILLED else 1]
    yield from (ops[index] for index in sorted(ops))


def _copied(node: ir.Node, reader: str, copies: dict[ir.Value, ir.Value]) -> ir.Node:
    """The node once more; `copies` are what stands for the values of the original, those of this one too."""
    for value in node.outputs:
        copies[value] = ir.Value(name=f"{reader}/{value.name}", type=value.type, shape=value.shape)
    return ir.Node(
        node.domain,
        node.op_type,
        [value and copies.get(value, value) for value in node.inputs],
        node.attributes.values(),
        outputs=[copies[value] for value in node.outputs],
        name=f"{reader}/{node.name}",
    )
