"""Operators that no provider of ONNX Runtime has a kernel for, written out by their definitions as it does.

    GroupNormalization(x) -> Cast, Reshape, ReduceMean, Sub, Div, Cast, Mul, Add, Reshape

Source: onnxruntime/core/framework/graph_partitioner.cc, `InlineFunctionsAOT`; docs/OperatorKernels.md.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from . import forward, infer
from .derive import derive, whole_graph
from .loaded import Loaded

WITHOUT_KERNEL = frozenset(
    "Bernoulli CastLike CenterCropPad GroupNormalization Mish NegativeLogLikelihoodLoss "
    "SoftmaxCrossEntropyLoss Swish".split()
)


def defined(loaded: Loaded) -> Loaded:
    """The model with such operators written out, those in definitions too; the same where it has none."""
    if not any(map(_is_function, loaded.model.graph.all_nodes())):
        return loaded
    model = loaded.model.clone()
    while functions := _functions(model):
        model.functions.update((function.identifier(), function) for function in functions)
        passes.InlinePass()(model)
        passes.NameFixPass()(model)
        infer.infer_shapes(model, whole_graph(model))
        forward.complete(model, whole_graph(model))
    return derive(model, loaded.dims, dynamic=loaded.dynamic)


def _is_function(node: ir.Node) -> bool:
    return not node.domain and node.op_type in WITHOUT_KERNEL


def _functions(model: ir.Model) -> list[ir.Function]:
    """A function for each call of such an operator, which names it from now on."""
    version, found = model.opset_imports.get("", 1), []
    for number, node in enumerate(model.graph.all_nodes()):
        if _is_function(node):
            node.overload = str(number)
            found += _definition(node, version)
    return found


def _definition(node: ir.Node, version: int) -> list[ir.Function]:
    """What ONNX defines an operator to be, for the types and attributes of one call; empty before it did."""
    schema: Any = onnx.defs.get_schema(node.op_type, version)  # its stubs lack what is asked of it here
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.name:
            node.attributes[name] = ir.serde.deserialize_attribute(attribute.default_value)
    opset = max((known for known in schema.all_function_opset_versions if known <= version), default=None)
    if opset is None:
        return []
    if schema.has_context_dependent_function:
        types = [_type(value) for value in node.inputs]
        call = ir.to_proto(node).SerializeToString()
        made = schema.get_context_dependent_function_with_opset_version(opset, call, types)
    else:
        made = schema.get_function_with_opset_version(opset)
    function: ir.Function = ir.from_proto(onnx.FunctionProto.FromString(made))
    function.overload = node.overload
    function.opset_imports[""] = version
    return [function]


def _type(value: ir.Value | None) -> bytes:
    if value is None or value.dtype is None:
        return b""
    return bytes(onnx.helper.make_tensor_type_proto(value.dtype.value, None).SerializeToString())
