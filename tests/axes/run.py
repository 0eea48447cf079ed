"""One operator call as a function: ONNX Runtime where it has a kernel, else the ONNX reference evaluator.

Arrays of types that numpy lacks (bfloat16, float8, int4) come from `ml_dtypes`. ORT's Python side knows none
of them, so they enter and leave a session as a wider type and are cast inside the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from onnx_autochunk.axes.chunk import Numbers
from tests.axes.models import MODELS

Array = NDArray[np.generic]
Run = Callable[..., list[Array]]
OPSET = 23
VERSIONS = {"ai.onnx.ml": 5}  # of the domains where it is not 1


@dataclass(frozen=True, eq=False)
class Case:
    """One operator call; two are equal only if they are the same object.

    Attributes:
        operands: None where an optional one is absent.
        known: operands whose elements the rule may read.
        outputs: a 1 for each result that is used, a 0 for one that is not.
        rigid: ORT takes the operator only with its shapes declared, so each run gets a session of its own.
    """

    type: str
    operands: tuple[Array | None, ...]
    known: frozenset[int] = frozenset()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: str = "1"
    opset: int = OPSET
    domain: str = ""
    rigid: bool = False

    def __str__(self) -> str:
        shapes = ",".join("-" if a is None else "x".join(map(str, a.shape)) for a in self.operands)
        return f"{self.type}-{self.opset}-{shapes}-{list(self.attributes.items())}"


def version(case: Case) -> int:
    """The opset version of the case's own domain."""
    return VERSIONS.get(case.domain, 1) if case.domain else case.opset


def names_of_results(case: Case) -> list[str]:
    """Names of the results, "" for one that is not used."""
    return [f"y{i}" if used == "1" else "" for i, used in enumerate(case.outputs)]


def runner(case: Case) -> Run:
    """The operator as a function of its operands and of changed attributes; shapes are free.

    Optional operands that the case lacks may be given too, as int64.
    """

    @cache
    def opened(changed: frozenset[tuple[str, Numbers]], ranks: tuple[int | None, ...]) -> Run:
        return _open(_changed(case, dict(changed), _supplied(case.operands, ranks)))

    def run(operands: Sequence[Array | None], **attributes: Numbers) -> list[Array]:
        if case.rigid:
            return _open(_changed(case, attributes, tuple(operands)))(operands)
        ranks = tuple(None if array is None else array.ndim for array in operands)
        return opened(frozenset(attributes.items()), ranks)(operands)

    return run


def _changed(case: Case, attributes: Mapping[str, Numbers], operands: tuple[Array | None, ...]) -> Case:
    merged = {**case.attributes, **attributes}
    kept = {name: value for name, value in merged.items() if value is not None}
    return replace(case, attributes=kept, operands=operands)


def _supplied(own: tuple[Array | None, ...], ranks: tuple[int | None, ...]) -> tuple[Array | None, ...]:
    """The case's own operands, and int64 ones where the call has more."""
    padded = (*own, *[None] * (len(ranks) - len(own)))
    return tuple(
        np.zeros((1,) * rank, np.int64) if array is None and rank is not None else array
        for array, rank in zip(padded, ranks, strict=True)
    )


def _open(case: Case) -> Run:
    model = _model(case)
    try:
        carried = _carried(model)
        session = _session(carried)
    except Exception:  # ORT raises its own types, all plain exceptions, for a missing kernel
        return _function(ReferenceEvaluator(model, new_ops=MODELS).run, model)
    return _function(session.run, model)


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _function(call: Any, model: onnx.ModelProto) -> Run:
    """Feed and fetch; a session's narrow operands and results travel as their carriers."""
    is_session = not isinstance(getattr(call, "__self__", None), ReferenceEvaluator)
    narrow = _narrow_results(model) if is_session else {}

    def run(operands: Sequence[Array | None]) -> list[Array]:
        feeds = {f"x{i}": _wide(a) if is_session else a for i, a in enumerate(operands) if a is not None}
        found = map(np.asarray, call(None, feeds))
        names = (value.name for value in model.graph.output)
        return [a.astype(narrow[n]) if n in narrow else a for n, a in zip(names, found, strict=True)]

    return run


def _model(case: Case) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(
            f"x{i}", helper.np_dtype_to_tensor_dtype(a.dtype), a.shape if case.rigid else [None] * a.ndim
        )
        for i, a in enumerate(case.operands)
        if a is not None
    ]
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(case.operands)]
    node = helper.make_node(case.type, names, names_of_results(case), domain=case.domain, **case.attributes)
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    opsets = [helper.make_opsetid("", case.opset)]
    if case.domain:
        opsets.append(helper.make_opsetid(case.domain, VERSIONS.get(case.domain, 1)))
    graph = helper.make_graph([node], "one", inputs, outputs)
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _is_narrow(dtype: np.dtype[Any]) -> bool:
    return dtype.isbuiltin == 2  # registered with numpy from outside


def _carrier(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The numpy type that holds every value of a type which numpy lacks."""
    return np.dtype(np.int8 if "int" in dtype.name else np.float32)


def _wide(array: Array) -> Array:
    return array.astype(_carrier(array.dtype)) if _is_narrow(array.dtype) else array


def _narrow_results(model: onnx.ModelProto) -> dict[str, np.dtype[Any]]:
    """Results of types that numpy lacks."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.output
    types = {value.name: value.type.tensor_type.elem_type for value in inferred}
    dtypes = {name: helper.tensor_dtype_to_np_dtype(type_) for name, type_ in types.items() if type_}
    return {name: dtype for name, dtype in dtypes.items() if _is_narrow(dtype)}


def _carried(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with casts around narrow operands and results."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    node = made.graph.node[0]
    for value in made.graph.input:
        type_ = value.type.tensor_type.elem_type
        dtype = helper.tensor_dtype_to_np_dtype(type_)
        if _is_narrow(dtype):
            value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(_carrier(dtype))
            made.graph.node.insert(0, helper.make_node("Cast", [value.name], [f"{value.name}n"], to=type_))
            node.input[:] = [f"{name}n" if name == value.name else name for name in node.input]
    for name, dtype in _narrow_results(model).items():
        to = helper.np_dtype_to_tensor_dtype(_carrier(dtype))
        node.output[:] = [f"{found}n" if found == name else found for found in node.output]
        made.graph.node.append(helper.make_node("Cast", [f"{name}n"], [name], to=to))
    return made
