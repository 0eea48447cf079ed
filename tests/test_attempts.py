"""A budget is a promise: it holds as measured, or a sentence says what keeps it and what would help."""

from __future__ import annotations

import re
from dataclasses import replace

import onnx
import pytest

from onnx_autochunk import pipeline
from onnx_autochunk.attempts import BUDGET_ATTEMPTS
from onnx_autochunk.errors import BudgetError
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.report.record import Status
from tests.plan.graphs import model as graph_model
from tests.scripted import Bench, never

MIB = 2**20


@pytest.mark.parametrize("percent", [80, 50, 35, 25])
@pytest.mark.parametrize("factor", [1.0, 1.003, 1.02, 1.1, 1.4])
@pytest.mark.parametrize("more", [0, 20_000])
def test_a_budget_holds_as_measured_or_the_run_says_why(
    percent: int, factor: float, more: int, bench: Bench, model: onnx.ModelProto
) -> None:
    """However predictions are off, and not a byte above the budget."""
    bench.peak = lambda attempt, predicted: predicted * factor + more if attempt else predicted
    options = Options(budget=Budget(share=percent / 100), best_effort=True)
    report = pipeline.run(model, options).report
    if report.status is Status.MISSED:
        assert "cannot be met" in report.message and "What would help" in report.message
        assert min(bench.attempts) == _smallest(model)
        return
    assert (report.status, report.budget_met) == (Status.CHUNKED, True)
    assert report.budget_bytes and report.chunked.measured_peak_bytes
    assert report.chunked.measured_peak_bytes <= report.budget_bytes
    assert len(bench.attempts) <= BUDGET_ATTEMPTS + 1


@pytest.mark.usefixtures("bench")
def test_a_budget_is_missed_on_paper_too(model: onnx.ModelProto) -> None:
    options = Options(budget=Budget(absolute_bytes=_smallest(model) // 2), best_effort=True, no_verify=True)
    report = pipeline.run(model, options).report
    assert (report.status, report.budget_met) == (Status.MISSED, False)
    assert "cannot be met" in report.message and report.regions


def test_a_budget_that_the_smallest_plan_keeps_is_met(bench: Bench, model: onnx.ModelProto) -> None:
    """Whatever the others take, and however little is left to plan with."""
    floor = _smallest(model)
    bench.peak = lambda attempt, predicted: predicted * 1.3 if attempt and predicted > floor else predicted
    report = pipeline.run(model, Options(budget=Budget(absolute_bytes=int(1.05 * floor)))).report
    assert (report.status, report.budget_met) == (Status.CHUNKED, True)
    assert len(bench.attempts) >= 2 or bench.attempts == [floor]


@pytest.mark.usefixtures("bench")
def test_a_budget_that_the_smallest_plan_keeps_on_paper_is_met_without_measuring() -> None:
    """Here all plans are priced above what they hold as emitted."""
    nodes = "a = Exp(x) b = Transpose<perm=[0,2,1]>(a) c = Softmax<axis=1>(b) y = Add(c, b)"
    made = graph_model(f"(float[1,4,2] x) => (float[1,2,4] y) {{ {nodes} }}")
    options = Options(budget=Budget(absolute_bytes=_smallest(made)), no_verify=True)
    report = pipeline.run(made, options).report
    assert report.status is Status.CHUNKED and report.floor_bytes == report.budget_bytes
    with pytest.raises(BudgetError, match="cannot be met"):
        pipeline.run(made, replace(options, budget=Budget(absolute_bytes=_smallest(made) - 1)))


def _smallest(model: onnx.ModelProto) -> int:
    options = Options(budget=Budget(absolute_bytes=1), best_effort=True, no_verify=True)
    found = pipeline.run(model, options).report.chunked.predicted_peak_bytes
    assert found is not None
    return found


def test_what_is_predicted_to_miss_on_the_graph_that_runs_is_not_measured(
    bench: Bench, model: onnx.ModelProto
) -> None:
    bench.exact = lambda predicted: 1.3 * predicted
    bench.peak = lambda _, predicted: 1.3 * predicted
    report = pipeline.run(model, Options(budget=Budget(share=0.5))).report
    assert (report.budget_met, len(bench.attempts)) == (True, 1)
    assert report.chunked.predicted_peak_bytes == report.chunked.measured_peak_bytes
    assert report.baseline.predicted_peak_bytes == report.baseline.measured_peak_bytes


@pytest.mark.parametrize(("factor", "measured"), [(1.02, True), (1.04, False)])
def test_what_is_too_close_to_say_is_measured(
    factor: float, measured: bool, bench: Bench, model: onnx.ModelProto
) -> None:
    pipeline.run(model, Options(budget=Budget(share=0.5)))
    first = bench.attempts.pop()
    bench.exact = lambda predicted: factor * predicted
    pipeline.run(model, Options(budget=Budget(absolute_bytes=first)))
    assert (bench.attempts[0] == first) is measured


HEADS = """(float[8,2048,64] q, float[8,64,2048] k, float[8,2048,64] v) => (float[8,2048,64] y) {
    s = MatMul(q, k)  p = Softmax(s)  y = MatMul(p, v)
}"""


@pytest.mark.parametrize(
    ("first", "second", "tried", "taken"),
    [
        pytest.param(1.2, 1.01, 2, 1, id="the one that counts on none is faster"),
        pytest.param(1.2, 1.3, 2, 0, id="it is slower"),
        pytest.param(1.02, 0.9, 1, 0, id="the first is fast enough"),
    ],
)
def test_a_plan_that_ran_as_though_without_a_cache_is_held_against_one_that_counts_on_none(
    first: float, second: float, tried: int, taken: int, bench: Bench
) -> None:
    bench.ratio = lambda attempt, _: first if attempt == 1 else second
    report = pipeline.run(graph_model(HEADS), Options(budget=Budget(share=0.5))).report
    assert len(bench.attempts) == len(set(bench.attempts)) == tried and report.budget_met
    assert report.chunked.predicted_peak_bytes == bench.attempts[taken]
    assert report.slowdown_measured == (first, second)[taken]


def test_a_time_ratio_that_no_plan_keeps_with_a_cache_is_tried_without(bench: Bench) -> None:
    made = graph_model(HEADS)
    pipeline.run(made, Options(max_slowdown=1.01))
    with_cache = list(bench.attempts)
    bench.attempts.clear()
    bench.ratio = lambda _, peak: 1.3 if peak in with_cache else 1.0
    report = pipeline.run(made, Options(max_slowdown=1.01)).report
    assert (report.status, report.slowdown_measured) == (Status.CHUNKED, 1.0)


BARRED = """(float[1,1024,64] x) => (float[1,64] y) {
    a = Exp(x)  b = com.acme.Blur(a)  c = com.acme.Blur(b)  y = ReduceSum<keepdims=0>(c, axis)
}"""

OPTIONS: dict[str, tuple[Options, str]] = {
    "chunks": (Options(max_chunks=2), "more than --max-chunks 2"),
    "form": (Options(form=Form.UNROLL), "any form instead of --form unroll"),
    "opset": (Options(max_opset=21), "a higher opset than --max-opset 21"),
    "exclude": (Options(exclude="MatMul"), "chunking what --include or --exclude keeps out"),
    "load": (Options(form=Form.UNROLL, max_load_s=0.0), "--max-load-time"),
    "nothing": (Options(), "a budget above the floor; --best-effort"),
}


@pytest.mark.parametrize(("options", "help_"), OPTIONS.values(), ids=OPTIONS)
def test_what_would_help_is_said(options: Options, help_: str, bench: Bench, model: onnx.ModelProto) -> None:
    bench.peak = never
    named = onnx.ModelProto()
    named.CopyFrom(model)
    for at, node in enumerate(named.graph.node):
        node.name = f"{node.op_type}_{at}"
    with pytest.raises(BudgetError) as caught:
        pipeline.run(named, replace(options, budget=Budget(absolute_bytes=1000), plan_only=True))
    assert help_ in str(caught.value).split("What would help: ")[1]


def test_the_values_at_the_floor_say_why_they_are_there(bench: Bench) -> None:
    bench.peak = never
    budget = Options(budget=Budget(absolute_bytes=1000), plan_only=True)
    with pytest.raises(BudgetError, match=r"[bc] \(0.2 MiB: Blur is a barrier: .*\)") as caught:
        pipeline.run(_declared(BARRED), budget)
    assert re.search(r"The floor is about 0\.\d MiB; it is made by", str(caught.value))
    small = "(float[1,64,64] x) => (float[1,64,64] y) { y = Exp(x) }"
    with pytest.raises(BudgetError, match=r"y \(0.0 MiB: an output of the model\)"):
        pipeline.run(graph_model(small), budget)


def _declared(text: str) -> onnx.ModelProto:
    """The model with the shapes of results that no operator's rule infers."""
    made = graph_model(text, axis=[1])
    for name in "bc":
        made.graph.value_info.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1024, 64])
        )
    made.opset_import.append(onnx.helper.make_opsetid("com.acme", 1))
    return made
