"""Einsum written out as Transpose, Reshape and MatMul: what each chunk needs whole is then transposed once.

    "ikc,jkc->ijc":  a [i,k,c] -> [c,i,k],  b [j,k,c] -> [c,k,j],  MatMul [c,i,j] -> [i,j,c]

ORT's kernel does the same inside; in a loop it would transpose the whole operand again in every chunk
(measured on Evoformer's triangle multiplication: 5 times the time). What no region took in is put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from .written import Shape, WrittenOut, constant, is_known, shape_of, take_out


@dataclass(frozen=True, slots=True)
class _Letters:
    """Letters of a two-operand equation by what they do, in the order of the result or of the operand."""

    batch: str
    rows: str
    columns: str
    summed: str


def write_out(model: ir.Model) -> tuple[WrittenOut, ...]:
    """Replace, in place, every Einsum of two operands that is a batched matrix product."""
    return tuple(done for node in tuple(model.graph) if (done := _write_out(model.graph, node)) is not None)


def _write_out(graph: ir.Graph, node: ir.Node) -> WrittenOut | None:
    if node.op_type != "Einsum" or node.domain not in ("", "ai.onnx") or len(node.inputs) != 2:
        return None
    equation = node.attributes["equation"].as_string()
    left, right = node.inputs
    if left is None or right is None or left is right or not (is_known(left) and is_known(right)):
        return None
    letters = _letters(equation)
    if letters is None or not is_known(node.outputs[0]):
        return None
    sizes = dict(zip(_terms(equation)[0], shape_of(left), strict=True))
    others = dict(zip(_terms(equation)[1], shape_of(right), strict=True))
    if sizes | others != others | sizes:
        return None  # one operand is broadcast
    writer = _Writer(node, sizes | others)
    product = writer.product(left, right, letters, _terms(equation))
    graph.insert_before(node, writer.nodes)
    for target in writer.targets:
        graph.register_initializer(target)
    ir.convenience.replace_all_uses_with(node.outputs[0], product, replace_graph_outputs=True)
    product.name = node.outputs[0].name
    return take_out(graph, [node], writer.nodes, writer.targets, str(node.name))


def _terms(equation: str) -> tuple[str, str, str]:
    operands, _, result = equation.replace(" ", "").partition("->")
    left, right = operands.split(",")
    return left, right, result


def _letters(equation: str) -> _Letters | None:
    """What each letter does; None unless each is in the result or in both operands, and in none twice."""
    if "->" not in equation or "." in equation:
        return None
    left, right, result = _terms(equation)
    if any(len(set(term)) != len(term) for term in (left, right, result)):
        return None
    both = set(left) & set(right)
    if (set(left) ^ set(right)) - set(result) or not both - set(result):
        return None
    return _Letters(
        batch="".join(c for c in result if c in both),
        rows="".join(c for c in result if c in left and c not in both),
        columns="".join(c for c in result if c in right and c not in both),
        summed="".join(c for c in left if c in both and c not in result),
    )


class _Writer:
    """Makes the nodes for one Einsum, in order, and the shapes that they read."""

    def __init__(self, node: ir.Node, sizes: dict[str, int]) -> None:
        self._node = node
        self._sizes = sizes
        self.nodes: list[ir.Node] = []
        self.targets: list[ir.Value] = []

    def product(
        self, left: ir.Value, right: ir.Value, letters: _Letters, terms: tuple[str, str, str]
    ) -> ir.Value:
        """The whole of it: operands in the order of a matrix product, the product, the result's order."""
        batch, rows, columns, summed = letters.batch, letters.rows, letters.columns, letters.summed
        a = self._merged(self._ordered(left, terms[0], batch + rows + summed), batch, rows, summed)
        b = self._merged(self._ordered(right, terms[1], batch + summed + columns), batch, summed, columns)
        shape = (*self._shape(batch), prod(self._shape(rows)), prod(self._shape(columns)))
        product = self._call("MatMul", [a, b], shape)
        if len(rows) != 1 or len(columns) != 1:
            product = self._reshaped(product, self._shape(batch + rows + columns))
        return self._ordered(product, batch + rows + columns, terms[2])

    def _shape(self, letters: str) -> Shape:
        return tuple(self._sizes[c] for c in letters)

    def _ordered(self, value: ir.Value, have: str, want: str) -> ir.Value:
        if have == want:
            return value
        order = tuple(have.index(c) for c in want)
        return self._call("Transpose", [value], self._shape(want), ir.AttrInt64s("perm", order))

    def _merged(self, value: ir.Value, batch: str, rows: str, columns: str) -> ir.Value:
        """`(batch..., rows..., columns...)` as `(batch..., rows, columns)`."""
        if len(rows) == 1 and len(columns) == 1:
            return value
        return self._reshaped(
            value, (*self._shape(batch), prod(self._shape(rows)), prod(self._shape(columns)))
        )

    def _reshaped(self, value: ir.Value, shape: Shape) -> ir.Value:
        name = f"{self._node.name}/{len(self.nodes)}_shape"
        target = constant(name, ir.tensor(shape, ir.DataType.INT64))
        self.targets.append(target)
        return self._call("Reshape", [value, target], shape)

    def _call(self, op_type: str, inputs: Sequence[ir.Value], shape: Shape, *attributes: ir.Attr) -> ir.Value:
        name = f"{self._node.name}/{len(self.nodes)}_{op_type}"
        result = ir.Value(name=name, type=self._node.outputs[0].type, shape=ir.Shape(shape))
        self.nodes.append(ir.Node("", op_type, inputs, attributes, outputs=[result], name=name))
        return result
