"""The oracle: a rule is right when the operator itself, run on unequal chunks, gives back its own result.

For every flow that a rule lets pass: cut the operands, run the operator in ONNX Runtime (the ONNX reference
evaluator where ORT has no kernel) on each chunk, put the parts together as the rule says, and compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from onnx_autochunk.axes import Mark, Position, Rule, Step, carry, rule_for
from onnx_autochunk.graph.model import Graph, Op, Origin, Value

Array = NDArray[np.generic]
Run = Callable[[Sequence[Array | None]], list[Array]]
OPSET = 23


@dataclass(frozen=True)
class Case:
    """One operator call.

    Attributes:
        operands: None where an optional one is absent.
        known: operands whose elements the rule may read.
        outputs: a 1 for each result that is used, a 0 for one that is not.
    """

    type: str
    operands: tuple[Array | None, ...]
    known: frozenset[int] = frozenset()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: str = "1"
    opset: int = OPSET
    domain: str = ""

    def __str__(self) -> str:
        shapes = ",".join("-" if a is None else "x".join(map(str, a.shape)) for a in self.operands)
        return f"{self.type}-{self.opset}-{shapes}-{list(self.attributes.items())}"


def runner(case: Case) -> Run:
    """The operator as a function of its operands; shapes are free."""
    model = _model(case)
    names = [f"x{i}" for i in range(len(case.operands))]
    try:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        call = session.run
    except Exception:  # ORT raises its own types, all plain exceptions, for a missing kernel
        call = ReferenceEvaluator(model).run

    def run(operands: Sequence[Array | None]) -> list[Array]:
        feeds = {name: array for name, array in zip(names, operands, strict=True) if array is not None}
        return [np.asarray(array) for array in call(None, feeds)]

    return run


def _model(case: Case) -> onnx.ModelProto:
    inputs = [
        onnx.helper.make_tensor_value_info(
            f"x{i}", onnx.helper.np_dtype_to_tensor_dtype(a.dtype), [None] * a.ndim
        )
        for i, a in enumerate(case.operands)
        if a is not None
    ]
    node = onnx.helper.make_node(
        case.type,
        [f"x{i}" if a is not None else "" for i, a in enumerate(case.operands)],
        _outputs(case),
        domain=case.domain,
        **case.attributes,
    )
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    opsets = [onnx.helper.make_opsetid("", case.opset), onnx.helper.make_opsetid("com.microsoft", 1)]
    return onnx.helper.make_model(
        onnx.helper.make_graph([node], "one", inputs, outputs), opset_imports=opsets, ir_version=10
    )


def _outputs(case: Case) -> list[str]:
    return [f"y{i}" if used == "1" else "" for i, used in enumerate(case.outputs)]


def graph_of(case: Case, results: Sequence[Array]) -> Graph:
    """The call as the package sees it."""
    values = {
        f"x{i}": Value(f"x{i}", str(a.dtype), a.shape, Origin.INPUT, a if i in case.known else None)
        for i, a in enumerate(case.operands)
        if a is not None
    }
    names = tuple(_outputs(case))
    used = [name for name in names if name]
    values |= {n: Value(n, str(a.dtype), a.shape) for n, a in zip(used, results, strict=True)}
    inputs = tuple(f"x{i}" if a is not None else "" for i, a in enumerate(case.operands))
    version = case.opset if not case.domain else 1
    op = Op(0, "node", case.type, inputs, names, case.domain, version, case.attributes)
    return Graph((op,), values, inputs, tuple(used))


def rule_of(case: Case, results: Sequence[Array]) -> Rule:
    """The registered rule."""
    graph = graph_of(case, results)
    return rule_for(graph.ops[0], graph)


def flows(rule: Rule) -> Iterator[Step]:
    """Every flow the rule lets pass: each factor, and of composite ones a major and a minor part."""
    for factor in rule.factors:
        if factor.mark is Mark.WHOLE:
            continue
        sides = [("operand", i, p) for i, p in enumerate(factor.operands) if p is not None]
        sides += [("result", i, p) for i, p in enumerate(factor.results) if p is not None]
        side, index, place = sides[0]
        divisor = next((d for d in range(2, factor.extent) if factor.extent % d == 0), 0)
        parts = [Position(place.axis, place.outer, factor.extent, place.unit)]
        if divisor:
            rest = factor.extent // divisor
            parts.append(Position(place.axis, place.outer, divisor, place.unit * rest))
            parts.append(Position(place.axis, place.outer * divisor, rest, place.unit))
        for part in parts:
            step = carry(rule, position=part, **{side: index})
            assert isinstance(step, Step), f"{rule}: {part} is refused: {step}"
            _agrees_from_every_side(rule, step)
            yield step


def _agrees_from_every_side(rule: Rule, step: Step) -> None:
    for side, found in (("operand", step.operands), ("result", step.results)):
        for index, position in enumerate(found):
            if position is not None:
                assert carry(rule, position=position, **{side: index}) == step


def lengths(extent: int) -> tuple[int, ...]:
    """Unequal chunks, one of length 1."""
    return (1, extent - 1) if extent < 4 else (2, 1, extent - 3)


def check(case: Case) -> Rule:
    """Run the oracle on one case; returns the rule it proved."""
    run = runner(case)
    whole = run(case.operands)
    rule = rule_of(case, whole)
    for step in flows(rule):
        assert_step(case, run, rule, step, whole)
    return rule


def assert_step(case: Case, run: Run, rule: Rule, step: Step, whole: Sequence[Array]) -> None:
    """Compute in chunks, put together, compare."""
    used = [step.results[i] for i, flag in enumerate(case.outputs) if flag == "1"]
    parts = [_chunk(case, run, rule, step, used, whole, start, stop) for start, stop in _ranges(step)]
    for index, (position, expected) in enumerate(zip(used, whole, strict=True)):
        found = _combined([part[index] for part in parts], position, step.mark)
        assert found.shape == expected.shape, f"{case}: {step}: {found.shape} instead of {expected.shape}"
        assert _close(found, expected), f"{case}: {step}: result {index} differs"


def _ranges(step: Step) -> list[tuple[int, int]]:
    extent = next(p.extent for p in (*step.operands, *step.results) if p is not None)
    ends = np.cumsum(lengths(extent))
    return [(int(end) - length, int(end)) for end, length in zip(ends, lengths(extent), strict=True)]


def _chunk(
    case: Case, run: Run, rule: Rule, step: Step, used: Sequence[Position | None], whole: Sequence[Array],
    start: int, stop: int,
) -> list[Array]:  # fmt: skip
    operands = [
        taken(array, position, start, stop) if array is not None and position is not None else array
        for array, position in zip(case.operands, step.operands, strict=True)
    ]
    for operand, result in rule.sizes.items():
        position, shape = used[result], whole[result].shape
        spelled = shape if position is None else position.sliced_shape(shape, stop - start)
        operands[operand] = np.array(spelled, dtype=np.int64)
    return run(operands)


def _split_axis(array: Array, position: Position, extent: int) -> Array:
    shape = array.shape
    inside = (position.outer, extent, position.unit)
    return array.reshape(shape[: position.axis] + inside + shape[position.axis + 1 :])


def taken(array: Array, position: Position, start: int, stop: int) -> Array:
    """A chunk of a value: a range of the flow's steps, gathered when they are not contiguous."""
    parts = np.split(_split_axis(array, position, position.extent), [start, stop], axis=position.axis + 1)
    return np.ascontiguousarray(parts[1].reshape(position.sliced_shape(array.shape, stop - start)))


def _combined(parts: list[Array], position: Position | None, mark: Mark) -> Array:
    if mark is not Mark.MAP:
        return reduce({Mark.SUM: np.add, Mark.MAX: np.maximum, Mark.MIN: np.minimum}[mark], parts)
    assert position is not None, "a mapped flow is in every result"
    spread = [
        _split_axis(part, position, part.shape[position.axis] // (position.outer * position.unit))
        for part in parts
    ]
    joined = np.concatenate(spread, axis=position.axis + 1)
    return joined.reshape(position.sliced_shape(parts[0].shape, position.extent))


def _close(found: Array, expected: Array) -> bool:
    if expected.dtype.kind != "f":
        return bool(np.array_equal(found, expected))
    return bool(np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True))
