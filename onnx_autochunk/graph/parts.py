"""Matrix products that are cut into parts, written out as one product for each part.

    x -> MatMul(W [768, 2304]) -> Split -> q, k, v
    x -> MatMul(W[:, :768]) -> q;  x -> MatMul(W[:, 768:1536]) -> k;  x -> MatMul(W[:, 1536:]) -> v

Exporters compute queries, keys and values in one product. A loop that makes the keys would make the others
with them, and hold all three; but columns of a product do not depend on each other. A gate and what it gates
stay together: every loop needs both. Weights are sliced when they are read, not before; what no region took
in is put back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from math import prod

import numpy as np
import onnx_ir as ir

from .written import Shape, WrittenOut, is_known, shape_of, shared_constant, take_out

NARROWEST = 32  # columns: fewer are slow to compute by themselves
WEIGHTS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
POINTWISE = frozenset({"Add", "Mul"})
MIXING = frozenset({"MatMul", "Gemm", "Einsum", "Transpose"})
RESHAPES = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten"})

Steps = tuple[int, int]  # of an axis: the first, and the one behind the last


@dataclass(frozen=True, slots=True)
class _Link:
    """A node from the product on, up to where its result is cut into parts.

    Attributes:
        axis: of the node's result, along which the parts lie.
        unit: columns of the product in one step of that axis.
        cuts: constant operands that are cut like the result, each with its axis.
        takes: the operand that is the result of the link before.
    """

    node: ir.Node
    axis: int
    unit: int
    cuts: Mapping[int, int] = field(default_factory=dict)
    takes: int | None = 0

    @property
    def result(self) -> ir.Value:
        """What the node computes."""
        return self.node.outputs[0]


@dataclass(frozen=True, slots=True)
class _Parted:
    """A product that is cut into parts.

    Attributes:
        chain: the product, and what follows up to the cut.
        cutters: what cuts it.
        parts: the results that are read, each with its columns of the product.
    """

    chain: tuple[_Link, ...]
    cutters: tuple[ir.Node, ...]
    parts: Mapping[ir.Value, Steps]

    @property
    def weight(self) -> ir.Value:
        """The constant operand of the product."""
        weight = self.chain[0].node.inputs[1]
        assert weight is not None, "a product has two operands"
        return weight


def write_out(model: ir.Model) -> tuple[WrittenOut, ...]:
    """Replace, in place, every product that is cut into parts and whose weight nothing else reads."""
    found = [parted for node in model.graph if (parted := _parted(node)) is not None]
    reads = Counter(parted.weight for parted in found)
    apart = [parted for parted in found if reads[parted.weight] == len(parted.weight.uses())]
    return tuple(_write_out(model.graph, parted) for parted in apart)


def _parted(node: ir.Node) -> _Parted | None:
    link, chain, readers = _product(node), list[_Link](), list[ir.Node]()
    while link is not None:
        chain.append(link)
        readers = [use.node for use in link.result.uses()]
        if link.result.is_graph_output() or not readers:
            return None
        link = _link(link, readers[0]) if len(readers) == 1 else None
    parts = _parts(chain[-1], readers) if chain else {}
    columns = sorted(parts.values())
    overlap = any(before[1] > after[0] for before, after in pairwise(columns))
    if len(parts) < 2 or overlap or any(end - start < NARROWEST for start, end in columns):
        return None
    if set[ir.Node].intersection(*map(_combined, parts)):
        return None
    return _Parted(tuple(chain), tuple(readers), parts)


def _product(node: ir.Node) -> _Link | None:
    """The product of a value and a constant, whose columns are the last axis of its result."""
    if not _is_standard(node, {"MatMul", "Gemm"}):
        return None
    operand, weight, *bias = node.inputs
    if weight is None or operand is weight or not _is_constant(weight) or weight.dtype not in WEIGHTS:
        return None
    rank, axis = len(shape_of(weight)), len(shape_of(node.outputs[0])) - 1
    transposed = node.attributes.get_int("transB", 0)  # of a Gemm
    link = _Link(node, axis, 1, {1: 0 if transposed else rank - 1}, takes=None)
    return None if rank < 2 else _with_constant(link, 2) if bias and bias[0] is not None else link


def _link(before: _Link, node: ir.Node) -> _Link | None:
    """A node that leaves the parts apart; None where it does not, or cuts them."""
    takes = next(at for at, operand in enumerate(node.inputs) if operand is before.result)
    if _is_standard(node, POINTWISE) and shape_of(before.result) == shape_of(node.outputs[0]):
        link = _Link(node, before.axis, before.unit, takes=takes)
        return _with_constant(link, 1 - takes)
    if _is_standard(node, {"Transpose"}):
        order = node.attributes.get_ints("perm", tuple(reversed(range(len(shape_of(node.outputs[0]))))))
        return _Link(node, order.index(before.axis), before.unit)
    return _reshape(before, node) if _is_standard(node, RESHAPES) and not takes else None


def _with_constant(link: _Link, at: int) -> _Link | None:
    """The link with an operand that broadcasts to its result; None where that is no constant."""
    operand = link.node.inputs[at]
    if operand is None or not _is_constant(operand):
        return None
    axis = link.axis - len(shape_of(link.result)) + len(shape_of(operand))
    is_cut = axis >= 0 and shape_of(operand)[axis] != 1
    return replace(link, cuts={**link.cuts, at: axis}) if is_cut else link


def _reshape(before: _Link, node: ir.Node) -> _Link | None:
    """The axis with the parts stays, or is split; what is left of it may change."""
    here, there = shape_of(before.result), shape_of(node.outputs[0])
    left, extent = prod(here[: before.axis]), here[before.axis]
    axis = max((at for at in range(len(there)) if prod(there[:at]) == left), default=0)
    if prod(there[:axis]) != left or there[axis] < 2 or extent % there[axis]:
        return None
    return _Link(node, axis, before.unit * (extent // there[axis]))


def _parts(last: _Link, readers: Sequence[ir.Node]) -> dict[ir.Value, Steps]:
    """The results of what cuts a value that are read, with their columns; none where it is not just cut."""
    cut: list[tuple[ir.Value, Steps | None]] = []
    for node in readers:
        if not _is_standard(node, {"Split", "Gather", "Slice"}) or node.inputs[0] is not last.result:
            return {}
        if node.op_type == "Split":
            cut += _split(node, last.axis)
        else:
            cut.append((node.outputs[0], _taken(node, last.axis)))
    found = {value: steps for value, steps in cut if steps is not None}
    if len(found) != len(cut):
        return {}
    read = {part: steps for part, steps in found.items() if part.uses() or part.is_graph_output()}
    return {part: (start * last.unit, end * last.unit) for part, (start, end) in read.items()}


def _combined(part: ir.Value) -> set[ir.Node]:
    """What is made of a part element by element, as far as its shape stays."""
    found: set[ir.Node] = set()
    todo = [part]
    while todo:
        for node, _ in todo.pop().uses():
            same = all(is_known(value) and value.shape == part.shape for value in node.outputs)
            if node not in found and same and node.op_type not in MIXING:
                found.add(node)
                todo += node.outputs
    return found


def _split(node: ir.Node, axis: int) -> list[tuple[ir.Value, Steps | None]]:
    """The results of a Split, each with its steps of an axis."""
    if _axis(node) != axis:
        return [(value, None) for value in node.outputs]
    sizes = [shape_of(value)[axis] for value in node.outputs]
    return [
        (v, (end - size, end)) for v, size, end in zip(node.outputs, sizes, accumulate(sizes), strict=True)
    ]


def _taken(node: ir.Node, axis: int) -> Steps | None:
    """The steps of an axis that a Gather or Slice takes; None where that is not all it does."""
    shape, numbers = shape_of(node.inputs[0]), [_number(operand) for operand in node.inputs[1:]]
    match node.op_type, numbers:
        case "Gather", [int(at)] if _axis(node) == axis:
            return at % shape[axis], at % shape[axis] + 1
        case "Slice", [int(start), int(end), int(along), *step] if along % len(shape) == axis:
            first, last, stride = slice(start, end, *step).indices(shape[axis])
            return (first, last) if stride == 1 else None
    return None


def _axis(node: ir.Node) -> int:
    return node.attributes.get_int("axis", 0) % len(shape_of(node.inputs[0]))


def _number(value: ir.Value | None) -> int | None:
    """The only element of a constant."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return int(tensor.numpy().item()) if tensor is not None and tensor.size == 1 else None


def _is_standard(node: ir.Node, types: Collection[str]) -> bool:
    """True for one of these operators, with results of known shapes."""
    return node.domain in ("", "ai.onnx") and node.op_type in types and all(map(is_known, node.outputs))


def _is_constant(value: ir.Value) -> bool:
    """True for an initializer that no caller replaces."""
    return value.is_initializer() and not value.is_graph_input() and is_known(value)


def _write_out(graph: ir.Graph, parted: _Parted) -> WrittenOut:
    writers = [_Writer(graph, number, *part) for number, part in enumerate(parted.parts.items())]
    for writer in writers:
        writer.write(parted.chain)
        graph.insert_before(parted.cutters[0], writer.nodes)
        writer.hand_over()
    originals = [*(link.node for link in parted.chain), *parted.cutters]
    nodes = [node for writer in writers for node in writer.nodes]
    constants = [value for writer in writers for value in writer.constants]
    return take_out(graph, originals, nodes, constants, str(parted.weight.name))


@dataclass(slots=True)
class _Writer:
    """Writes the chain for one part: in order, the nodes and the constants that they read."""

    graph: ir.Graph
    number: int
    part: ir.Value
    columns: Steps
    nodes: list[ir.Node] = field(default_factory=list)
    constants: list[ir.Value] = field(default_factory=list)

    def write(self, chain: Sequence[_Link]) -> None:
        """All of it, and the part's own shape."""
        for link in chain:
            start, end = self._steps(link)
            shape = _resized(shape_of(link.result), link.axis, end - start)
            inputs = [self._operand(link, at) for at in range(len(link.node.inputs))]
            if link.node.op_type in RESHAPES:
                self._reshaped(link.node, shape)
            else:
                self._call(link.node, link.node.op_type, inputs, shape, link.node.attributes.values())
        if shape_of(self.part) != shape_of(self._result):
            self._reshaped(chain[-1].node, shape_of(self.part))

    def hand_over(self) -> None:
        """Let the readers of the part read what was written, under its name."""
        ir.convenience.replace_all_uses_with(self.part, self._result, replace_graph_outputs=True)
        self._result.name, self._result.doc_string = self.part.name, self.part.doc_string

    @property
    def _result(self) -> ir.Value:
        return self.nodes[-1].outputs[0]

    def _steps(self, link: _Link) -> Steps:
        return self.columns[0] // link.unit, self.columns[1] // link.unit

    def _operand(self, link: _Link, at: int) -> ir.Value | None:
        """What was written last, a slice of a constant, or what the node reads."""
        value = link.node.inputs[at]
        if at == link.takes:
            return self._result
        if at in link.cuts and value is not None and value.const_value is not None:
            axis, (start, end) = link.cuts[at], self._steps(link)
            name = f"{value.name}/axis{axis}/{start}-{end}"
            return self._constant(name, _cut(value.const_value, axis, (start, end)))
        return value

    def _reshaped(self, node: ir.Node, shape: Shape) -> None:
        target = self._constant(
            f"{node.name}/{self.number}/{len(self.nodes)}_shape", ir.Tensor(np.array(shape, np.int64))
        )
        self._call(node, "Reshape", [self._result, target], shape, ())

    def _constant(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        """An initializer; slices that several products read are one."""
        self.constants.append(shared_constant(self.graph, name, tensor))
        return self.constants[-1]

    def _call(
        self,
        node: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        shape: Shape,
        attributes: Iterable[ir.Attr],
    ) -> None:
        """A node in the place of another one; what is said of that is not repeated for every part."""
        name = f"{node.name}/{self.number}/{len(self.nodes)}_{op_type}"
        result = ir.Value(name=name, type=node.outputs[0].type, shape=ir.Shape(shape))
        metadata = {} if self.number else dict(node.metadata_props)
        self.nodes.append(
            ir.Node("", op_type, inputs, attributes, outputs=[result], name=name, metadata_props=metadata)
        )


def _cut(tensor: ir.TensorProtocol, axis: int, steps: Steps) -> ir.LazyTensor:
    """Steps of an axis of a tensor, taken when they are read."""

    def taken() -> ir.TensorProtocol:
        whole = copy(tensor)  # which unmaps what it maps of a file when it goes; `tensor` would keep it
        return ir.Tensor(whole.numpy()[(slice(None),) * axis + (slice(*steps),)].copy(), dtype=tensor.dtype)

    shape = _resized(tensor.shape.numpy(), axis, steps[1] - steps[0])
    return ir.LazyTensor(taken, tensor.dtype, ir.Shape(shape))


def _resized(shape: Sequence[int], axis: int, extent: int) -> Shape:
    return (*shape[:axis], extent, *shape[axis + 1 :])
