"""`--include-subgraphs`: bodies of the model's own If, Loop and Scan are chunked, and nothing without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnx_autochunk import autochunk
from onnx_autochunk.errors import UsageError
from onnx_autochunk.graph.enclosed import with_bodies
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.rounds import rounds
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.options import Options
from onnx_autochunk.pipeline import make_trials
from onnx_autochunk.plan.plan import Plan
from onnx_autochunk.report.advice import why_held
from onnx_autochunk.report.record import Report, Status
from onnx_autochunk.verify.measure import measure_peak
from tests.emit.regions import bodies, nodes
from tests.plan.enclosing import branched, growing, looped, nested, scanned, shared

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]

MODELS: Mapping[str, Callable[[], onnx.ModelProto]] = {
    "if": branched,
    "if, one weight": shared,
    "loop": looped,
    "loop, shapes unsaid": lambda: looped(carried="float[1,N,32]"),
    "loop between layers": lambda: looped(around=True),
    "scan": scanned,
    "if in loop": nested,
}
OUTERMOST = {"loop between layers"}  # of which more than bodies is chunked


def _inputs(model: onnx.ModelProto, which: bool) -> dict[str, Array]:
    made: dict[str, Array] = {}
    for value in model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        made[value.name] = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        if value.type.tensor_type.elem_type == onnx.TensorProto.BOOL:
            made[value.name] = np.array(which)
    return made


def _outputs(model: onnx.ModelProto, which: bool) -> Array:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, _inputs(model, which))[0])


def _written(result: Any, path: Path) -> onnx.ModelProto:
    result.save(path)
    return onnx.load(path)


FORMS = [*product(MODELS, ["auto", "scan", "unroll"]), ("loop", "sweep"), ("loop between layers", "sweep")]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_bodies_are_chunked_and_compute_the_same(name: str, form: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    before = model.SerializeToString(deterministic=True)
    result = autochunk(model, budget="50%", form=form, include_subgraphs=True, no_verify=True)
    assert model.SerializeToString(deterministic=True) == before
    assert result.report.status is Status.CHUNKED and result.plan is not None
    assert any(region.home for region in result.plan.regions)
    assert all(region.home for region in result.plan.regions) or name in OUTERMOST
    chunked = _written(result, tmp_path / "out.onnx")
    onnx.checker.check_model(chunked, full_check=True)
    _check_names(model, chunked)
    for which in (True, False):
        np.testing.assert_allclose(_outputs(chunked, which), _outputs(model, which), rtol=1e-3, atol=1e-4)


def _check_names(model: onnx.ModelProto, chunked: onnx.ModelProto) -> None:
    """What is new has a name of its own in the whole model; nothing that is gone is still there."""
    made = [name for node in nodes(chunked.graph) for name in (node.name, *node.output) if "chunk/" in name]
    assert made and len(set(made)) == len(made)
    read = {name for node in nodes(chunked.graph) for name in node.input}
    outer = {weight.name for weight in chunked.graph.initializer}
    assert not outer & {weight.name for body in bodies(chunked.graph) for weight in body.initializer}
    assert outer <= read
    assert [value.name for value in chunked.graph.output] == [value.name for value in model.graph.output]


@pytest.mark.parametrize("name", MODELS)
def test_without_the_option_bodies_are_left_alone(name: str) -> None:
    report = autochunk(MODELS[name](), max_slowdown=4.0, no_verify=True).report
    inside = {node.output[0] for node in nodes(MODELS[name]().graph)}
    inside -= {node.output[0] for node in MODELS[name]().graph.node}
    assert not inside & {value for region in report.regions for value in region.outputs}
    assert report.status is (Status.CHUNKED if name in OUTERMOST else Status.UNCHANGED)


@pytest.mark.parametrize("name", MODELS)
def test_a_plan_with_bodies_is_carried_out_again(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    first = autochunk(model, budget="50%", include_subgraphs=True, no_verify=True)
    again = autochunk(model, plan=first.report.plan, no_verify=True)
    assert again.plan == first.plan and again.report.plan == first.report.plan
    files = [_written(result, tmp_path / "out.onnx").SerializeToString() for result in (first, again)]
    assert files[0] == files[1]


def test_a_plan_for_a_body_that_is_not_there_is_refused() -> None:
    plan = autochunk(looped(), budget="50%", include_subgraphs=True, no_verify=True).report.plan
    assert plan is not None
    bodies = [{"body": "another", "regions": []}]
    with pytest.raises(UsageError, match=r"bodies\[0\].body names a body that the model lacks"):
        autochunk(looped(), plan={**plan, "bodies": bodies}, no_verify=True)


LARGE: Mapping[str, onnx.ModelProto] = {
    "if": branched(tokens=1024),
    "loop": looped(tokens=1024),
    "scan": scanned(rows=2048),
}


@pytest.mark.parametrize("name", LARGE)
def test_less_is_held_as_measured(name: str, tmp_path: Path) -> None:
    model = LARGE[name]
    result = autochunk(model, budget="35%", include_subgraphs=True, no_verify=True)
    result.save(tmp_path / "out.onnx")
    onnx.save(model, tmp_path / "in.onnx")
    before, after = (
        measure_peak(tmp_path / file, _inputs(model, True), threads=1, default_session=False)
        for file in ("in.onnx", "out.onnx")
    )
    assert after.activation_peak_bytes <= 0.4 * before.activation_peak_bytes
    _check_close(before.activation_peak_bytes, result.report.baseline.predicted_peak_bytes)
    _check_close(after.activation_peak_bytes, result.report.chunked.predicted_peak_bytes)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("carried", ["", "float[1,N,512]"])
def test_a_loop_of_several_rounds_holds_what_is_predicted(count: int, carried: str, tmp_path: Path) -> None:
    """What a round was given is there beside what it makes, and ONNX infers no shape of either."""
    model = looped(count, width=512, carried=carried)
    onnx.save(model, tmp_path / "in.onnx")
    found = measure_peak(tmp_path / "in.onnx", _inputs(model, True), threads=1, default_session=False)
    graph = with_bodies(load(model)).graph
    assert simulate(graph).peak_bytes == pytest.approx(found.activation_peak_bytes, rel=0.03)


@pytest.mark.parametrize("name", MODELS)
def test_what_bodies_give_has_a_shape(name: str) -> None:
    graph = with_bodies(load(MODELS[name]())).graph
    assert all(graph.shape(output) is not None for op in graph.ops for output in op.outputs)


def _check_close(measured: int, predicted: int | None) -> None:
    assert predicted is not None and abs(measured - predicted) <= max(0.03 * measured, 2**20)


def _reasons(report: Report) -> list[str]:
    return [refusal.reason for refusal in report.refusals if "left as it is: " in refusal.reason]


GIVES = {"If": (branched(), "found"), "Loop": (looped(heads=1), "last"), "Scan": (scanned(), "found")}


@pytest.mark.parametrize(("model", "value"), GIVES.values(), ids=GIVES)
def test_an_op_whose_bodies_are_chunked_is_called_no_barrier(model: onnx.ModelProto, value: str) -> None:
    report = autochunk(model, budget="50%", include_subgraphs=True, no_verify=True).report
    (refusal,) = (refusal for refusal in report.refusals if refusal.value == value)
    assert refusal.reason.endswith(" gives it whole: what is chunked is in its bodies")


def test_a_result_of_a_body_is_none_of_the_model() -> None:
    known = with_bodies(load(branched()))
    planner = make_trials(Options(include_subgraphs=True), known, searches=False).planner
    said = [why_held(planner, Plan.nothing(0), name) for name in ("t_out", "y")]
    assert said == ["a result of the body", "an output of the model"]


def test_a_body_whose_shapes_may_change_is_left_alone() -> None:
    report = autochunk(growing(), include_subgraphs=True, no_verify=True).report
    assert report.status is Status.UNCHANGED
    assert _reasons(report) == ["its body is left as it is: the shape of 'h' may change from round to round"]


def test_a_body_of_unknown_shapes_is_left_alone() -> None:
    report = autochunk(growing(first="picked"), include_subgraphs=True, no_verify=True).report
    assert _reasons(report) == ["its body is left as it is: the shape of 'h' is not known"]


def test_bodies_are_left_alone_where_sizes_are_open() -> None:
    model = looped()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    report = autochunk(model, include_subgraphs=True, no_verify=True).report
    (reason,) = _reasons(report)
    assert "sizes are open" in reason and "--fix-dims" in reason


def test_what_is_not_chunked_is_what_was_given(tmp_path: Path) -> None:
    """Shapes that are found in bodies are not written into it."""
    model = looped(carried="float[1,N,32]")
    results = [
        autochunk(model, budget="1GB", include_subgraphs=option, no_verify=True) for option in (True, False)
    ]
    assert [result.report.status for result in results] == [Status.UNCHANGED] * 2
    files = [
        _written(result, tmp_path / "out.onnx").SerializeToString(deterministic=True) for result in results
    ]
    assert files[0] == files[1]


AS_PLANNED = sorted(MODELS.keys() - {"if, one weight"})  # plans write its Einsums out


@pytest.mark.parametrize("name", AS_PLANNED)
def test_all_graphs_together_hold_what_the_model_holds(name: str) -> None:
    options = Options(include_subgraphs=True)
    known = with_bodies(load(MODELS[name]()))
    planner = make_trials(options, known, searches=False).planner
    assert len(planner.graphs) == 1 + len(list(known.every_body)) > 1
    assert max(planner.live_bytes) == pytest.approx(planner.timeline.peak_bytes, rel=0.06)


def test_a_body_runs_as_often_as_can_be_known() -> None:
    for model, times in ((looped(7), 7), (scanned(5), 5), (branched(), 1)):
        graph = with_bodies(load(model)).graph
        (op,) = (op for op in graph.ops if op.subgraphs)
        assert rounds(op, graph.values) == times


def test_what_chunking_takes_counts_for_every_round() -> None:
    options = Options(include_subgraphs=True)
    once, often = (make_trials(options, with_bodies(load(looped(n))), searches=True).planner for n in (1, 10))
    (one,), (many,) = once.bodies.values(), often.bodies.values()
    assert one.candidates and len(one.candidates) == len(many.candidates)
    for few, more in zip(one.candidates, many.candidates, strict=True):
        seconds = [10 * option.extra_seconds for option in few.options]
        assert [option.extra_seconds for option in more.options] == pytest.approx(seconds)
    assert often.baseline_seconds == pytest.approx(once.baseline_seconds + 9 * one.baseline_seconds)
