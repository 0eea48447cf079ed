"""The oracle: a rule is right when the operator itself, run on unequal chunks, gives back its own result.

For every flow that a rule lets pass: cut the operands, run the operator on each chunk (`run.py`), put the
parts together as the rule says, and compare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations

import numpy as np

from onnx_autochunk.axes import Mark, Place, Position, Range, Refusal, Rule, Step, call, carry, rule_for
from onnx_autochunk.axes.chunk import Numbers
from onnx_autochunk.graph.model import Graph, Op, Origin, Value
from tests.axes.run import OPSET, Array, Case, Run, names_of_results, runner, version

__all__ = [
    "OPSET", "Array", "Case", "Run",
    "assert_step", "check", "chunks", "flows", "graph_of", "rule_of", "runner", "version",
]  # fmt: skip


def graph_of(case: Case, results: Sequence[Array]) -> Graph:
    """The call as the package sees it."""
    values = {
        f"x{i}": Value(f"x{i}", str(a.dtype), a.shape, Origin.INPUT, a if i in case.known else None)
        for i, a in enumerate(case.operands)
        if a is not None
    }
    names = tuple(names_of_results(case))
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


@dataclass(frozen=True)
class Part:
    """What of a result a chunk must give.

    Attributes:
        computed: the range of the result that the op computes.
        wanted: the range of it that must be right.
    """

    result: int
    position: Position
    computed: Range
    wanted: Range


@dataclass(frozen=True)
class Chunk:
    """One run of the op: its operands, the attributes that change, and what must come out.

    Attributes:
        reads: the range that is read of each operand's cut axis; None where nothing is cut.
        parts: none where the results are partial and combine with those of the other chunks.
    """

    operands: tuple[Array | None, ...]
    reads: tuple[Range | None, ...]
    attributes: Mapping[str, Numbers]
    parts: tuple[Part, ...] = ()


def chunks(case: Case, rule: Rule, step: Step, whole: Sequence[Array]) -> Iterator[Chunk]:
    """The runs that prove a flow."""
    results = dict(zip((i for i, flag in enumerate(case.outputs) if flag == "1"), whole, strict=True))
    assert_fits(case, step, results)
    for start, stop in _spans(step):
        if step.mark is Mark.MAP:
            yield _chunk(case, rule, step, results, start, stop)
        else:
            yield _partial(case, step, start, stop)


def assert_fits(case: Case, step: Step, results: Mapping[int, Array]) -> None:
    """The flow lies in every operand and result as it says, and a mapped one lies in every result."""
    assert step.factor is not None
    for index, position in [*enumerate(step.operands)]:
        array, place = case.operands[index], step.factor.operands[index]
        if position is not None:
            assert array is not None and place is not None, f"{case}: {step}: operand {index}"
            fits = (
                place.window.size == array.shape[position.axis]
                if place.window
                else position.fits(array.shape)
            )
            assert fits, f"{case}: {step}: operand {index}"
    for index, array in results.items():
        position = step.results[index]
        assert (position is not None) is (step.mark is Mark.MAP), f"{case}: {step}: result {index}"
        assert position is None or position.fits(array.shape), f"{case}: {step}: result {index}"


def assert_step(case: Case, run: Run, rule: Rule, step: Step, whole: Sequence[Array]) -> None:
    """Compute in chunks and compare: mapped ones with their slices of the result, others put together."""
    made = chunks(case, rule, step, whole)
    if step.mark is Mark.MAP:
        for chunk in made:
            _assert_chunk(f"{case}: {step}", case, run, chunk, whole)
        return
    parts = [run(chunk.operands) for chunk in made]
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


def _chunk(case: Case, rule: Rule, step: Step, results: Mapping[int, Array], start: int, stop: int) -> Chunk:
    placed = [(index, step.results[index]) for index in results]
    wanted = [(index, place.range(start, stop, results[index].shape)) for index, place in placed if place]
    made = call(step, wanted)
    operands = [
        array if array is None or position is None or span is None else taken(array, position, span)
        for array, position, span in zip(case.operands, step.operands, made.operands, strict=True)
    ]
    for operand, result in rule.sizes.items():
        position, span = step.results[result], made.computed[result]
        assert position is not None and span is not None
        spelled = position.resized(results[result].shape, span[1] - span[0])
        operands[operand] = np.array(spelled, dtype=np.int64)
    for target, numbers in made.patches.items():
        if isinstance(target, int):
            operands += [None] * (target + 1 - len(operands))
            old = case.operands[target] if target < len(case.operands) else None
            new = np.array(numbers, dtype=np.int64 if old is None else old.dtype)
            operands[target] = new if old is None else new.reshape(old.shape)
    attributes = {target: numbers for target, numbers in made.patches.items() if isinstance(target, str)}
    parts = []
    for index, span in wanted:
        position, computed = step.results[index], made.computed[index]
        assert position is not None and computed is not None
        parts.append(Part(index, position, computed, span))
    return Chunk(tuple(operands), made.operands, attributes, tuple(parts))


def _assert_chunk(where: str, case: Case, run: Run, chunk: Chunk, whole: Sequence[Array]) -> None:
    used = [index for index, flag in enumerate(case.outputs) if flag == "1"]
    wholes = dict(zip(used, whole, strict=True))
    found = dict(zip(used, run(chunk.operands, **chunk.attributes), strict=True))
    for part in chunk.parts:
        (low, high), (start, stop), position = part.computed, part.wanted, part.position
        expected = taken(wholes[part.result], position, part.wanted)
        at = f"{where} {part.wanted}: result {part.result}"
        assert found[part.result].shape == position.resized(expected.shape, high - low), at
        _assert_close(taken(found[part.result], position, (start - low, stop - low)), expected, at)


def _partial(case: Case, step: Step, start: int, stop: int) -> Chunk:
    """The run for partial results: nothing but operands changes."""
    pairs = list(zip(case.operands, step.operands, strict=True))
    reads = [None if a is None or p is None else p.range(start, stop, a.shape) for a, p in pairs]
    operands = [
        a if a is None or p is None or span is None else taken(a, p, span)
        for (a, p), span in zip(pairs, reads, strict=True)
    ]
    return Chunk(tuple(operands), tuple(reads), {})


def taken(array: Array, position: Position, span: Range) -> Array:
    """A range of the cut axis, of each outer repetition where there are any."""
    axis, shape = position.axis, array.shape
    spread = array.reshape((*shape[:axis], position.outer, shape[axis] // position.outer, *shape[axis + 1 :]))
    part = spread[(slice(None),) * (axis + 1) + (slice(*span),)]
    return np.ascontiguousarray(part.reshape(position.resized(shape, span[1] - span[0])))


def _assert_close(found: Array, expected: Array, where: str) -> None:
    assert found.shape == expected.shape, f"{where}: {found.shape} instead of {expected.shape}"
    assert found.dtype == expected.dtype, f"{where}: {found.dtype} instead of {expected.dtype}"
    assert _close(found, expected), f"{where} differs"


def _close(found: Array, expected: Array) -> bool:
    if expected.dtype.isbuiltin == 2:  # numpy cannot compare what it does not know
        found, expected = found.astype(np.float32), expected.astype(np.float32)
    if expected.dtype.kind not in "fc":
        return bool(np.array_equal(found, expected))
    return bool(np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True))
