"""The oracle: a rule is right when the operator itself, run on unequal chunks, gives back its own result.

For every flow that a rule lets pass: cut the operands, run the operator in ONNX Runtime (the ONNX reference
evaluator where ORT has no kernel) on each chunk, put the parts together as the rule says, and compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from itertools import combinations
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from onnx_autochunk.axes import Mark, Place, Position, Range, Refusal, Rule, Step, call, carry, rule_for
from onnx_autochunk.axes.chunk import Numbers
from onnx_autochunk.graph.model import Graph, Op, Origin, Value

Array = NDArray[np.generic]
Run = Callable[..., list[Array]]
OPSET = 23


@dataclass(frozen=True, eq=False)
class Case:
    """One operator call; two are equal only if they are the same object.

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


def version(case: Case) -> int:
    """The opset version of the case's own domain."""
    return 1 if case.domain else case.opset


def runner(case: Case) -> Run:
    """The operator as a function of its operands and of changed attributes; shapes are free."""

    @cache
    def opened(changed: frozenset[tuple[str, Numbers]]) -> Callable[..., Any]:
        attributes = {**case.attributes, **dict(changed)}
        kept = {name: value for name, value in attributes.items() if value is not None}
        return _open(_model(replace(case, attributes=kept)))

    def run(operands: Sequence[Array | None], **attributes: Numbers) -> list[Array]:
        call = opened(frozenset(attributes.items()))
        feeds = {f"x{i}": array for i, array in enumerate(operands) if array is not None}
        return [np.asarray(array) for array in call(None, feeds)]

    return run


def _open(model: onnx.ModelProto) -> Callable[..., Any]:
    """ORT where it has a kernel, else the reference evaluator."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session: Any = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # ORT raises its own types, all plain exceptions, for a missing kernel
        session = ReferenceEvaluator(model)
    run: Callable[..., Any] = session.run
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
    op = Op(0, "node", case.type, inputs, names, case.domain, version(case), case.attributes)
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
        sides = [("result", i, p) for i, p in enumerate(factor.results) if p is not None]
        sides += [("operand", i, p) for i, p in enumerate(factor.operands) if p is not None]
        side, index, place = sides[0]
        for part in _parts(place, factor.extent):
            step = carry(rule, position=part, **{side: index})
            if isinstance(step, Refusal) and "counted from its start" in step.reason:
                continue
            assert isinstance(step, Step), f"{rule}: {part} is refused: {step}"
            _agrees_from_every_side(rule, step)
            yield step


def _parts(place: Place, extent: int) -> Iterator[Position]:
    yield Position(place.axis, place.outer, extent, place.unit)
    divisor = next((d for d in range(2, extent) if extent % d == 0), 0)
    if divisor:
        rest = extent // divisor
        yield Position(place.axis, place.outer, divisor, place.unit * rest)
        yield Position(place.axis, place.outer * divisor, rest, place.unit)


def _agrees_from_every_side(rule: Rule, step: Step) -> None:
    assert step.factor is not None
    sides = (("operand", step.operands, step.factor.operands), ("result", step.results, step.factor.results))
    for side, found, places in sides:
        for index, (position, place) in enumerate(zip(found, places, strict=True)):
            if position is not None and place is not None and not place.window:
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
    """Compute in chunks and compare: mapped ones with their slices of the result, others put together."""
    spans = list(_spans(step))
    if step.mark is Mark.MAP:
        for start, stop in spans:
            _assert_chunk(case, run, rule, step, whole, start, stop)
        return
    parts = [run(_cut_operands(case, step, start, stop)) for start, stop in spans]
    for index, expected in enumerate(whole):
        combine = {Mark.SUM: np.add, Mark.MAX: np.maximum, Mark.MIN: np.minimum}[step.mark]
        _assert_close(reduce(combine, [part[index] for part in parts]), expected, f"{case}: {step}: {index}")


def _spans(step: Step) -> Iterator[tuple[int, int]]:
    """Chunks: unequal ones that make the whole; every one there is where a window or a count is involved."""
    extent = next(p.extent for p in (*step.operands, *step.results) if p is not None)
    factor = step.factor
    if factor and (factor.crop or factor.patches or any(p.window for p in factor.operands if p)):
        yield from combinations(range(extent + 1), 2)
        return
    stop = 0
    for length in lengths(extent):
        yield stop, stop + length
        stop += length


def _assert_chunk(
    case: Case, run: Run, rule: Rule, step: Step, whole: Sequence[Array], start: int, stop: int
) -> None:
    used = [index for index, flag in enumerate(case.outputs) if flag == "1"]
    placed = [(index, step.results[index]) for index in used]
    arrays = dict(zip(used, whole, strict=True))
    wanted = [(index, place.range(start, stop, arrays[index].shape)) for index, place in placed if place]
    made = call(step, wanted)
    operands = [
        array if array is None or position is None or span is None else taken(array, position, span)
        for array, position, span in zip(case.operands, step.operands, made.operands, strict=True)
    ]
    for operand, result in rule.sizes.items():
        position, span = step.results[result], made.computed[result]
        assert position is not None and span is not None
        spelled = position.resized(arrays[result].shape, span[1] - span[0])
        operands[operand] = np.array(spelled, dtype=np.int64)
    for target, numbers in made.patches.items():
        if isinstance(target, int):
            old = case.operands[target]
            assert old is not None
            operands[target] = np.array(numbers, dtype=old.dtype).reshape(old.shape)
    attributes = {target: numbers for target, numbers in made.patches.items() if isinstance(target, str)}
    parts = dict(zip(used, run(operands, **attributes), strict=True))
    for index, span in wanted:
        position, computed = step.results[index], made.computed[index]
        assert position is not None and computed is not None
        found = taken(parts[index], position, (span[0] - computed[0], span[1] - computed[0]))
        expected = taken(arrays[index], position, span)
        where = f"{case}: {step} [{start}, {stop}): result {index}"
        assert parts[index].shape == position.resized(expected.shape, computed[1] - computed[0]), where
        _assert_close(found, expected, where)


def _cut_operands(case: Case, step: Step, start: int, stop: int) -> list[Array | None]:
    return [
        array
        if array is None or position is None
        else taken(array, position, position.range(start, stop, array.shape))
        for array, position in zip(case.operands, step.operands, strict=True)
    ]


def taken(array: Array, position: Position, span: Range) -> Array:
    """A range of the cut axis, of each outer repetition where there are any."""
    axis, shape = position.axis, array.shape
    spread = array.reshape((*shape[:axis], position.outer, shape[axis] // position.outer, *shape[axis + 1 :]))
    part = spread[(slice(None),) * (axis + 1) + (slice(*span),)]
    return np.ascontiguousarray(part.reshape(position.resized(shape, span[1] - span[0])))


def _assert_close(found: Array, expected: Array, where: str) -> None:
    assert found.shape == expected.shape, f"{where}: {found.shape} instead of {expected.shape}"
    assert _close(found, expected), f"{where} differs"


def _close(found: Array, expected: Array) -> bool:
    if expected.dtype.kind != "f":
        return bool(np.array_equal(found, expected))
    return bool(np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True))
