"""Random graphs of tiny tensors: the pieces of `tools.random_graphs`, and calls of operators with a rule.

`tiny_graph(7)` -> a model of some twenty nodes over tensors of a hundred to a few thousand elements, with
odd and prime extents. Operators come from the calls on which the axis rules are proved (`tests.axes.cases`):
what a call reads is an input of the graph or a constant, what it makes goes on into other pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from onnx_autochunk.verify.compare import compare
from tests.axes.cases import CASES
from tests.axes.oracle import Array, Case
from tests.axes.run import VERSIONS, names_of_results
from tools.random_graphs import IR_VERSION, OPSET, PIECES, finished
from tools.random_graphs.builder import Builder, Piece, Tensor
from tools.random_graphs.products import attention

STEPS = (3, 12)  # pieces in a graph, from and to
MOST = 7 << 10  # elements of the largest tensor
HALF_SHARE = 0.1  # of the graphs are in float16
CALL_TIMES = 10  # how often a call is drawn, to each of the other pieces
ROWS = (7, 8, 9, 11, 12, 13, 16, 17, 23, 24, 30)
WIDTHS = (4, 6, 8, 12, 15, 16)
SIDES = (8, 9, 11, 12, 13, 16)

CALLS: dict[str, list[Case]] = {}
for _case in CASES:
    CALLS.setdefault(f"{_case.domain}:{_case.type}", []).append(_case)

Layouts: TypeAlias = Mapping[str, Callable[[Builder], tuple[int, ...]]]
LAYOUTS: Layouts = {
    "tokens": lambda b: (1, b.pick(*ROWS), b.pick(*WIDTHS)),
    "batch": lambda b: (b.pick(2, 3, 5), b.pick(*ROWS), b.pick(*WIDTHS)),
    "matrix": lambda b: (b.pick(*ROWS), b.pick(*WIDTHS)),
    "image": lambda b: (b.pick(1, 1, 2, 3), b.pick(2, 3, 4, 8), b.pick(*SIDES), b.pick(*SIDES)),
    "pair": lambda b: (*[b.pick(7, 8, 11, 12)] * 2, b.pick(4, 6, 8)),
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A model, and what it is run on.

    Attributes:
        feeds: of each run.
        dims: reference sizes of symbolic dimensions, which the first run has.
    """

    model: onnx.ModelProto
    feeds: tuple[Mapping[str, Array], ...]
    dims: Mapping[str, int] = field(default_factory=dict)


def fixed_graph(seed: int) -> Drawn:
    """A tiny graph of fixed sizes."""
    model = tiny_graph(seed)
    return Drawn(model, (random_feeds(model),))


def tiny_graph(seed: int) -> onnx.ModelProto:
    """A model that is valid and that ONNX Runtime computes soundly; one seed gives one graph."""
    return next(
        model for attempt in count() if is_sound(model := drawn(np.random.default_rng([seed, attempt])))
    )


def drawn(rng: np.random.Generator, layouts: Layouts = LAYOUTS) -> onnx.ModelProto:
    """A model whose inputs have one of the layouts, which need not be sound."""
    dtype = TensorProto.FLOAT16 if rng.random() < HALF_SHARE else TensorProto.FLOAT
    b = Builder(rng, dtype, MOST)
    shape = layouts[b.pick(*layouts)](b)
    inputs = [Tensor(f"x{at}", shape, dtype) for at in range(int(rng.integers(1, 3)))]
    b.tensors.extend(inputs)
    pieces: tuple[Piece, ...] = (
        *PIECES,
        attention,
        attention,
        *[lambda b, _: _called(b, inputs)] * CALL_TIMES,
    )
    left = int(rng.integers(*STEPS))
    while left:
        left -= b.pick(*pieces)(b, b.draw()) is not None
    return _imported(finished(b, inputs).graph)


def _imported(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A model of the graph that imports the domains of its operators."""
    versions = {
        "": OPSET,
        **{node.domain: VERSIONS.get(node.domain, 1) for node in graph.node if node.domain},
    }
    opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _called(b: Builder, inputs: list[Tensor]) -> Tensor | None:
    """A call of one operator, drawn by its name, on new inputs between 0 and 1 or on constants."""
    case = b.pick(*CALLS[b.pick(*CALLS)])
    results = _results(case)
    if not results:
        return None
    operands = [_operand(b, inputs, case, at) for at in range(len(case.operands))]
    names = [b.name() if name else "" for name in names_of_results(case)]
    b.nodes.append(
        helper.make_node(case.type, operands, names, b.name(), domain=case.domain, **case.attributes)
    )
    b.reads.update(operands)
    used = [name for name in names if name]
    made = [Tensor(n, a.shape, _code(a)) for n, a in zip(used, results, strict=True)]
    b.tensors.extend(made)
    for t in made:
        if t.dtype != b.dtype:
            b.op("Cast", [t], t.shape, to=b.dtype)
    return made[0]


def _operand(b: Builder, inputs: list[Tensor], case: Case, at: int) -> str:
    array = case.operands[at]
    if array is None:
        return ""
    is_quantized = any(a is not None and a.dtype in (np.int8, np.uint8) for a in case.operands)
    fixed = at in case.known or array.dtype != np.float32 or not array.ndim
    if fixed or (at and (is_quantized or b.chance(0.5))):  # ORT packs scales with the weights they belong to
        return b.constant(array)
    given = Tensor(f"x{len(inputs)}", array.shape, TensorProto.FLOAT)
    inputs.append(given)
    return b.op("Sigmoid", [given], array.shape, TensorProto.FLOAT).name


@cache
def _results(case: Case) -> tuple[Array, ...]:
    """What ONNX Runtime makes of a call; nothing where it has no kernel, or only one of another version."""
    arrays = {f"x{at}": a for at, a in enumerate(case.operands) if a is not None}
    if not _are_numbers(arrays.values()):
        return ()
    names = [f"x{at}" if a is not None else "" for at, a in enumerate(case.operands)]
    node = helper.make_node(case.type, names, names_of_results(case), domain=case.domain, **case.attributes)
    inputs = [helper.make_tensor_value_info(name, _code(a), a.shape) for name, a in arrays.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    model = _imported(helper.make_graph([node], "one", inputs, outputs))
    try:
        results = tuple(map(np.asarray, open_session(model, optimized=False).run(None, arrays)))
    except Exception:  # its types share no base class
        return ()
    return results if _are_numbers(results) else ()


def _are_numbers(arrays: Iterable[Array]) -> bool:
    """False for strings, complex numbers and the types that numpy lacks."""
    return all(a.dtype.isbuiltin == 1 and a.dtype.kind in "fiub" for a in arrays)


def open_session(model: onnx.ModelProto, *, optimized: bool) -> ort.InferenceSession:
    """A quiet session of one thread, with all of ONNX Runtime's optimizations or with none."""
    level, options = ort.GraphOptimizationLevel, ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = 1, 1, 4
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def random_feeds(model: onnx.ModelProto, dims: Mapping[str, int] | None = None) -> dict[str, Array]:
    """Normal numbers for the inputs, all of which are floats; `dims` are sizes of symbolic dimensions."""
    sizes = dims or {}
    dice = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for value in model.graph.input:
        shape = [sizes.get(dim.dim_param, dim.dim_value) for dim in value.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feeds[value.name] = dice.standard_normal(shape).astype(dtype)
    return feeds


def is_sound(model: onnx.ModelProto, given: Mapping[str, Array] | None = None) -> bool:
    """True when the model is valid, and ONNX Runtime computes the same for it whatever it does to save time.

    That is with its optimizations, whose fusions may be off, and when no buffer is written over.
    """
    feeds, kept = given or random_feeds(model), onnx.ModelProto()
    kept.CopyFrom(model)
    kept.graph.output.extend(model.graph.value_info)
    names = [value.name for value in model.graph.output]
    try:
        onnx.checker.check_model(model, full_check=True)
        found, fast, safe = (
            dict(zip(names, open_session(made, optimized=optimized).run(names, dict(feeds)), strict=True))
            for made, optimized in ((model, False), (model, True), (kept, False))
        )
    except Exception:  # neither's types share a base class
        return False
    return compare(safe, found, rtol=0, atol=0).passed and compare(safe, fast).passed


def _code(array: Array) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))
