"""When a model is left as it is: it fits, or too little is gained. Only the measurements are scripted."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from onnx_autochunk import attempts, pipeline
from onnx_autochunk.emit.weave import METADATA
from onnx_autochunk.goal import WORTHWHILE
from onnx_autochunk.graph.load import load
from onnx_autochunk.options import Budget, Options
from onnx_autochunk.report.record import Status
from onnx_autochunk.trial import Trial
from tests.scripted import HALF, SMALL, Bench, predicted


def test_a_model_that_fits_on_paper_only_is_chunked(bench: Bench, model: onnx.ModelProto) -> None:
    on_paper = predicted(load(model).model)
    bench.peak = lambda attempt, predicted: predicted if attempt else 1.2 * predicted
    budget = Options(budget=Budget(absolute_bytes=int(1.1 * on_paper)))
    assert pipeline.run(model, budget).report.status is Status.CHUNKED
    fits = Options(budget=Budget(absolute_bytes=int(1.3 * on_paper)))
    report = pipeline.run(model, fits).report
    assert (report.status, report.message) == (Status.UNCHANGED, "The model fits the budget as it is.")
    assert len(bench.attempts) == 1  # of the first run


@pytest.mark.parametrize("options", [Options(), Options(max_slowdown=5.0), Options(plan_only=True)])
def test_nothing_is_changed_where_nothing_is_gained(bench: Bench, options: Options) -> None:
    report = pipeline.run(SMALL, options).report
    assert (report.status, report.message) == (Status.UNCHANGED, "Nothing in it is worth chunking.")
    assert bench.attempts == []


@pytest.mark.parametrize("share", [WORTHWHILE + 0.01, 1.0, 1.2])
def test_nothing_is_changed_for_a_gain_that_is_none(
    share: float, bench: Bench, model: onnx.ModelProto
) -> None:
    """Whatever a plan promises: what is measured decides."""
    on_paper = predicted(load(model).model)
    bench.peak = lambda attempt, _: share * on_paper if attempt else on_paper
    result = pipeline.run(model, Options(max_slowdown=3.0))
    assert result.report.status is Status.UNCHANGED and result.plan is None
    assert result.report.message.startswith("The best plan still takes ")
    assert result.report.chunked.measured_peak_bytes is None and result.report.regions == ()
    assert 1 <= len(bench.attempts) <= attempts.ATTEMPTS
    if share >= 1:  # nothing is written in its place either
        forced = pipeline.run(model, Options(budget=Budget(share=0.5), best_effort=True))
        assert (forced.report.status, forced.plan) == (Status.MISSED, None)
        assert METADATA not in forced.model.metadata_props


def test_a_plan_that_promises_no_gain_is_not_measured(
    bench: Bench, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_paper = predicted(load(model).model)
    monkeypatch.setattr(Trial, "predicted_peak_bytes", property(lambda _: on_paper))
    for options in (Options(max_slowdown=3.0), Options(max_slowdown=3.0, no_verify=True)):
        report = pipeline.run(model, options).report
        assert (report.status, report.message) == (Status.UNCHANGED, "Nothing in it is worth chunking.")
    assert bench.attempts == []


def test_a_model_that_fits_is_left_alone_whatever_is_predicted(bench: Bench, model: onnx.ModelProto) -> None:
    on_paper = predicted(load(model).model)
    bench.peak = lambda *_: 0.5 * on_paper
    report = pipeline.run(model, Options(budget=Budget(absolute_bytes=on_paper // 2))).report
    assert (report.status, report.message) == (Status.UNCHANGED, "The model fits the budget as it is.")
    assert bench.attempts == []


def test_a_chunked_model_is_left_as_it_is(bench: Bench, model: onnx.ModelProto, tmp_path: Path) -> None:
    pipeline.run(model, HALF).save(tmp_path / "once.onnx")
    again = pipeline.run(tmp_path / "once.onnx", Options(budget=Budget(share=0.1)))
    assert again.report.status is Status.UNCHANGED
    assert again.report.message == "onnx_autochunk has chunked this model before."
    again.save(tmp_path / "twice.onnx")
    assert (tmp_path / "twice.onnx").read_bytes() == (tmp_path / "once.onnx").read_bytes()
    assert len(bench.attempts) == 1
