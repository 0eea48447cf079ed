"""Every rule against the oracle: what it lets pass is right, and what it holds back is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import onnx
import pytest

from onnx_autochunk.axes import Factor, Mark, Position, Rule, Step, carry
from onnx_autochunk.axes.registry import registered
from tests.axes.build import case, ints
from tests.axes.cases import CASES
from tests.axes.oracle import Array, Case, Run, assert_step, check, flows, rule_of, runner

BARRIERS = """
    Bernoulli BlackmanWindow Compress ConcatFromSequence Constant DynamicQuantizeLinear EyeLike HammingWindow
    HannWindow If Loop MelWeightMatrix Multinomial NonMaxSuppression NonZero Optional OptionalGetElement
    OptionalHasElement RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Scan SequenceAt
    SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape Size
    SplitToSequence StringSplit Unique
""".split()
UNRULED = {
    "AffineGrid": "small result",
    "CausalConvWithState": "rare", "Col2Im": "rare", "DFT": "rare", "DeformConv": "rare",
    "LinearAttention": "rare",
    "MaxRoiPool": "RoiAlign replaced it", "MaxUnpool": "indices count through the whole value",
    "NegativeLogLikelihoodLoss": "training", "SoftmaxCrossEntropyLoss": "training",
    "QLinearConv": "rare", "STFT": "windows overlap", "ImageDecoder": "not a tensor operator",
    "StringNormalizer": "strings", "TfIdfVectorizer": "strings",
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_chunks_give_the_whole(case: Case) -> None:
    check(case)


def test_every_rule_has_two_cases_and_one_that_passes_something() -> None:
    called = Counter((call.domain, call.type) for call in CASES)
    passing = {(call.domain, call.type) for call in CASES if any(flows(check(call)))}
    ruled = {key for key in registered() if key[1] not in BARRIERS}
    assert {key for key in ruled if called[key] < 2} == set()
    assert ruled - passing == set()


def test_every_standard_operator_has_a_rule_or_a_reason() -> None:
    standard = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    ruled = {type_ for domain, type_ in registered() if domain == ""}
    assert standard - ruled == set(UNRULED)


WHOLE_THOUGH_IT_PASSES = {
    ("Attention", "e"): "columns of the values: each chunk would compute all scores again",
    ("CumSum", "a0"): "the axis is unknown to the rule",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_needed_whole_cannot_be_cut(case: Case) -> None:
    run = runner(case)
    whole = run(case.operands)
    rule = rule_of(case, whole)
    passing = {
        (case.type, factor.name)
        for factor, step in _forbidden(rule, case.outputs.count("1"))
        if _holds(case, run, rule, step, whole)
    }
    assert passing <= set(WHOLE_THOUGH_IT_PASSES)


def _forbidden(rule: Rule, results: int) -> Iterator[tuple[Factor, Step]]:
    """Steps that the rule holds back: whole axes mapped, or combined when no result has them."""
    for factor in rule.factors:
        if factor.mark is not Mark.WHOLE or not any(factor.operands):
            continue
        everywhere = sum(place is not None for place in factor.results) == results
        marks = [Mark.MAP] if everywhere else [] if any(factor.results) else [Mark.SUM, Mark.MAX, Mark.MIN]
        yield from ((factor, _step(rule, replace(factor, mark=mark))) for mark in marks)


def _step(rule: Rule, factor: Factor) -> Step:
    operand, place = next((i, place) for i, place in enumerate(factor.operands) if place is not None)
    position = Position(place.axis, place.outer, factor.extent, place.unit)
    step = carry(Rule((factor,), rule.sizes), operand=operand, position=position)
    assert isinstance(step, Step)
    return step


def _holds(case: Case, run: Run, rule: Rule, step: Step, whole: Sequence[Array]) -> bool:
    try:
        assert_step(case, run, rule, step, whole)
    except Exception:  # a wrong cut may fail in any way
        return False
    return True


SWAPPED = [
    case("MatMul", (2, 3, 4), (4, 3)), case("Gemm", (3, 4), (4, 3), transA=0), case("Transpose", (3, 3)),
    case("Einsum", (3, 4, 2), (3, 4, 2), equation="ikc,jkc->ijc"), case("Gather", (5, 3), ints((3,), 5)),
    case("Reshape", (3, 3), [9]), case("Concat", (2, 3, 3), (1, 3, 3), axis=0),
]  # fmt: skip


@pytest.mark.parametrize("case", SWAPPED, ids=str)
def test_oracle_catches_two_factors_swapped_in_the_result(case: Case) -> None:
    run = runner(case)
    whole = run(case.operands)
    rule = rule_of(case, whole)
    first, second = (f for f in rule.factors if f.mark is Mark.MAP and f.extent == 3)
    swapped = replace(first, results=second.results), replace(second, results=first.results)
    assert [_holds(case, run, rule, _step(rule, factor), whole) for factor in (first, second)] == [True, True]
    assert [_holds(case, run, rule, _step(rule, factor), whole) for factor in swapped] == [False, False]
