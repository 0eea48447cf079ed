"""Ops between dequantised and quantised values: while plans are made, one integer operator of each group.

    MatMul(DequantizeLinear(a), DequantizeLinear(b)) -> QuantizeLinear    becomes    QLinearMatMul(a, b)

ONNX Runtime makes the same of a group that stands in one graph, and it then rounds once; of a group in two
graphs it cannot, and the result is another. As one op, a group is never parted: what goes from loop to loop
is quantised, and a quarter as large. In the model that is written, every group is itself again.

On x86 ONNX Runtime fuses products of signed values only where it can make the pairs of QuantizeLinear and
DequantizeLinear around them unsigned, which takes both ends in one graph: those pairs are made unsigned here.

Source: onnxruntime/core/optimizer/qdq_transformer/selectors_actions/qdq_selectors.cc, qdq_s8_to_u8.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from .integer import KINDS, Kind
from .numbers import OPEN, open_shape
from .written import shared_constant

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
STANDS_IN = "onnx_autochunk.stands_in"  # an attribute: tells these operators from the model's own
UNSIGNED = ir.DataType.UINT8
SHIFT = 128  # from signed numbers to unsigned ones

_FUSED: Mapping[tuple[str, bool], Kind] = {(kind.type, kind.result is not None): kind for kind in KINDS}
_STANDING: Mapping[tuple[str, bool], Kind] = {(k.integer, k.result is not None): k for k in KINDS}


def fuse(model: ir.Model) -> bool:
    """Put integer operators in the place of groups, in place; True where there was one."""
    for node in tuple(model.graph):
        _make_unsigned(model.graph, node)
    found = [(node, kind) for node in model.graph if (kind := _kind_of(node))]
    for node, kind in found:
        _fuse(model.graph, node, kind)
    return bool(found)


def unfuse(model: ir.Model, fresh: Callable[[str], str]) -> None:
    """Put groups in the place of what `fuse` made, in place, in whichever graphs a plan has put it.

    Args:
        model: what a plan made of the model.
        fresh: makes a name that nothing in the model has.
    """
    for graph in model.graphs():
        for node in tuple(graph):
            if STANDS_IN in node.attributes:
                _unfuse(graph, node, fresh)


def _make_unsigned(graph: ir.Graph, node: ir.Node) -> None:
    """Make a signed QuantizeLinear and the one DequantizeLinear of its result unsigned, in place."""
    reader = _only_reader(node) if _is(node, QUANTIZE) else None
    if reader is None or not _is(reader, DEQUANTIZE) or len(_readers(reader)) > 1:
        return
    zero, same = _signed_zero(node), _signed_zero(reader)
    if zero is None or same is None or zero != same:
        return
    tensor = ir.tensor(np.array(zero + SHIFT, np.uint8))
    unsigned = shared_constant(graph, f"{node.name}/unsigned", tensor)
    node.outputs[0].type = ir.TensorType(ir.DataType.UINT8)
    for end in (node, reader):
        end.replace_input_with(2, unsigned)


def _signed_zero(node: ir.Node) -> int | None:
    """The zero point of what has one scale and one signed zero point."""
    zero = node.inputs[2] if len(node.inputs) > 2 and _has_one_scale(node) else None
    if zero is None or zero.dtype is not ir.DataType.INT8 or zero.const_value is None:
        return None
    return int(zero.const_value.numpy().item())


def _readers(node: ir.Node) -> list[ir.Node | None]:
    """What reads the first result; None stands for whoever runs the model."""
    value = node.outputs[0]
    return [*(user for user, _ in value.uses()), *([None] if value.is_graph_output() else [])]


def _only_reader(node: ir.Node) -> ir.Node | None:
    """What alone reads the first result, if it stands in the same graph."""
    first, *others = _readers(node) or [None]
    return first if first is not None and not others and first.graph is node.graph else None


def _kind_of(node: ir.Node) -> Kind | None:
    """What ONNX Runtime makes of an op and what is around it; None where it makes nothing of them."""
    end = _quantizer(node)
    kind = _FUSED.get((node.op_type, end is not None))
    if kind is None or node.domain not in ("", "ai.onnx"):
        return None
    makers = [None if value is None else value.producer() for value in node.inputs]
    first = makers[0]
    if first is None or not all(_is(maker, DEQUANTIZE) for maker in makers) or not _has_one_scale(first):
        return None
    outer = [first.inputs[0], *(end.outputs if end is not None else ())]
    return kind if all(value is not None and value.dtype is UNSIGNED for value in outer) else None


def _quantizer(node: ir.Node) -> ir.Node | None:
    """What quantises the result, if nothing else reads it."""
    reader = _only_reader(node)
    return reader if reader is not None and _is(reader, QUANTIZE) and _has_one_scale(reader) else None


def _is(node: ir.Node | None, op_type: str) -> bool:
    return node is not None and node.op_type == op_type and node.domain in ("", "ai.onnx")


def _has_one_scale(node: ir.Node) -> bool:
    """True when scale and zero point are single numbers, known before the run, and say all there is."""
    numbers = [value.const_value for value in node.inputs[1:] if value is not None]
    known = all(tensor is not None and tensor.size == 1 for tensor in numbers)
    return known and node.attributes.keys() <= {"axis"}


def _fuse(graph: ir.Graph, node: ir.Node, kind: Kind) -> None:
    """Put the integer form in the place of a group; operands with several scales stay dequantised."""
    inputs: list[ir.Value | None] = [None] * kind.places
    for operand, (at, *numbers) in zip(node.inputs, kind.operands, strict=False):
        maker = operand.producer() if operand is not None else None
        inputs[at] = operand
        if maker is not None and _has_one_scale(maker):
            for place, value in zip((at, *numbers), maker.inputs, strict=False):
                inputs[place] = value
    if kind.bias is not None and len(node.inputs) > len(kind.operands):
        inputs[kind.bias] = node.inputs[-1]
    end = _quantizer(node) if kind.result else None
    if end is not None and kind.result is not None:
        for place, value in zip(kind.result, end.inputs[1:], strict=False):
            inputs[place] = value
    old = (end or node).outputs[0]
    new = _like(old, str(old.name), old.dtype)
    attributes = [*node.attributes.values(), ir.AttrInt64(STANDS_IN, 1)]
    stand_in = ir.Node(kind.domain, kind.integer, inputs, attributes, outputs=[new], name=node.name)
    stand_in.metadata_props.update(node.metadata_props)
    graph.insert_before(node, stand_in)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    makers = [value.producer() for value in node.inputs if value is not None]
    for gone in (end, node, *dict.fromkeys(makers)):
        if gone is not None and not any(v.uses() or v.is_graph_output() for v in gone.outputs):
            graph.remove(gone, safe=True)


def _unfuse(graph: ir.Graph, node: ir.Node, fresh: Callable[[str], str]) -> None:
    kind = _STANDING[node.op_type, node.outputs[0].dtype is UNSIGNED]
    made: list[ir.Node] = []

    def add(op_type: str, inputs: list[ir.Value | None], result: ir.Value) -> ir.Value:
        made.append(ir.Node("", op_type, inputs, outputs=[result], name=fresh(f"{node.name}/{op_type}")))
        return result

    scales = (node.inputs[scale] for _, scale, _ in kind.operands)
    dtype = next(scale.dtype for scale in scales if scale is not None)
    operands = []
    for at, *numbers in kind.operands:
        value = node.inputs[at]
        if value is not None and node.inputs[numbers[0]] is not None:
            inputs = [value, *(node.inputs[place] for place in numbers)]
            value = add(DEQUANTIZE, inputs, _like(value, fresh(f"{value.name}/dequantised"), dtype))
        operands.append(value)
    if kind.bias is not None and node.inputs[kind.bias] is not None:
        operands.append(node.inputs[kind.bias])
    old = node.outputs[0]
    new = _like(old, str(old.name), old.dtype)
    result = new if kind.result is None else _like(old, fresh(f"{old.name}/unquantised"), dtype)
    attributes = [kept for kept in node.attributes.values() if kept.name != STANDS_IN]
    core = ir.Node("", kind.type, operands, attributes, outputs=[result], name=node.name)
    core.metadata_props.update(node.metadata_props)
    made.append(core)
    if kind.result is not None:
        add(QUANTIZE, [result, *(node.inputs[place] for place in kind.result)], new)
    graph.insert_before(node, made)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _like(value: ir.Value, name: str, dtype: ir.DataType | None) -> ir.Value:
    """A value of the same shape."""
    kind = None if dtype is None else ir.TensorType(dtype)
    new = ir.Value(name=name, type=kind, shape=value.shape)
    known = value.shape.numpy() if value.is_initializer() and value.shape is not None else open_shape(value)
    if known is not None:
        new.meta[OPEN] = known
    return new
