"""The stages in order: load, search, plan and emit, verify, measure; again until what is measured fits.

Everything a stage does stands in its own package; this page says what follows what.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from .attempts import Attempts
from .collection import collection_put_off, spare
from .cost.model import CostModel
from .emit.weave import METADATA, usable_forms
from .ending import Ending
from .goal import Goal
from .graph.enclosed import with_bodies
from .graph.load import Source, load
from .graph.loaded import Loaded
from .graph.several import load_open, write_out_open
from .memory.lifetime import simulate
from .options import Options
from .plan.enclosed import enclosing
from .plan.front import front
from .plan.oversize import UNBEARABLE, counts
from .plan.plan import Plan
from .plan.planner import Planner, make_planner
from .plan.saved import restore
from .replay import SavedPlan, made_with, read_plan
from .report.advice import elements_message
from .report.build import describe_cost
from .report.progress import Progress, Silent
from .report.record import Cost, Report, Status
from .result import Result
from .stages import Stages
from .trial import Trials
from .tune import tune
from .verify.bench import Bench, open_bench
from .verify.inputs import read_shapes


@collection_put_off()
def run(source: Source, options: Options, progress: Progress | None = None) -> Result:
    """Rewrite a model so that its activations need less memory.

    Args:
        source: a path, a `ModelProto` or an IR model; it is not modified.
        options: the budget and everything else that can be asked for.
        progress: who is told where the work is.

    Raises:
        ModelError: the input is not a valid model.
        UsageError: the options do not fit the model.
        BudgetError: no plan meets the budget, and the best one was not asked for.
        VerificationError: the result computes something else.
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    options = options.validate()
    saved = None if options.plan is None else read_plan(options.plan, options)
    stages = Stages(options if saved is None else saved.options, progress or Silent())
    with stages.stage("load"):
        loaded = _loaded(source, stages.options)
    if saved is None and METADATA in loaded.model.metadata_props:
        report = Report(Status.UNCHANGED, "onnx_autochunk has chunked this model before.")
        return Result(loaded.model, None, replace(report, timings_s=stages.timings_s), options, path)
    is_as_written = not loaded.dims or loaded.dynamic is not None
    original = path if is_as_written else None
    with open_bench(original, loaded.model, stages.options, loaded.dynamic) as bench:
        if saved is not None:
            return _replayed(stages, loaded, path, saved, bench)
        return _searched(stages, loaded, path, bench)


def _searched(stages: Stages, loaded: Loaded, path: Path | None, bench: Bench) -> Result:
    """Plan and measure until the goal is met, and say what came of it."""
    options, (known, predicted) = stages.options, _analyzed(stages, loaded)
    with stages.stage("search"):
        trials, excess = make_trials(options, known, searches=True), ""
        if options.best_effort and (left := trials.planner.unavoidable):
            excess = elements_message(trials.planner, left, Plan.nothing(0))
            trials = _least_oversize(trials, known)
            excess += f". A limit of {trials.planner.options.most_elements} can be kept"
    spare()
    before = _before(stages, loaded, predicted, bench)
    goal = _goal(options, before, trials)
    attempts = Attempts(stages, trials, bench, goal, _cautious(trials, known))
    attempts.reach()
    trials = attempts.trials
    if options.best_effort and attempts.best is None:
        attempts.take_smallest()
    with stages.stage("select"):
        points = front(trials.planner)
    if options.tune:
        tune(attempts, points)
    ending = Ending(stages, loaded, path, trials, before, goal, made_with(options))
    ending = replace(
        ending, floor_bytes=trials.planner.floor_bytes, points=points, tried=attempts.tried, excess=excess
    )
    return ending.found(attempts.best, attempts.met)


def _least_oversize(trials: Trials, loaded: Loaded) -> Trials:
    """The same for the smallest limit on elements that can be kept, of those that are tried.

    They are what values of the original have, and up to that the limit asked for, doubled and doubled again.
    """
    options = trials.planner.options
    most = options.most_elements
    assert most is not None, "something is oversize"
    sizes = set(counts(trials.planner.graph, most))
    limits = sorted(sizes | {most << times for times in range(1, (max(sizes) // most).bit_length())})

    @cache
    def relaxed(limit: int) -> Trials:
        return make_trials(replace(options, max_elements=limit), loaded, searches=True)

    at = bisect_left(limits[:-1], True, key=lambda limit: not relaxed(limit).planner.unavoidable)
    return relaxed(limits[at])


def _replayed(stages: Stages, loaded: Loaded, path: Path | None, saved: SavedPlan, bench: Bench) -> Result:
    """Carry out a plan that was made before."""
    options, (known, predicted) = stages.options, _analyzed(stages, loaded)
    trials = make_trials(options, known, searches=False)
    plan = restore(trials.planner, usable_forms(loaded, options), saved.record)
    before = _before(stages, loaded, predicted, bench)
    goal = _goal(options, before, trials)
    attempts = Attempts(stages, trials, bench, goal)
    attempts.take(trials.replayed(plan))
    ending = Ending(stages, loaded, path, trials, before, goal, saved.made_with)
    return ending.found(attempts.best, attempts.met)


def _loaded(source: Source, options: Options) -> Loaded:
    if options.fix_dims:
        return load(source, dims=options.dims, shapes=options.input_shapes)
    examples = {} if options.input_data is None else read_shapes(options.input_data)
    return load_open(
        source, dims=options.dims, shapes=options.input_shapes, examples=examples, provider=options.provider
    )


def _analyzed(stages: Stages, loaded: Loaded) -> tuple[Loaded, int]:
    """The model, with its bodies if they are to be chunked, and the predicted peak of the original."""
    options = stages.options
    with stages.stage("analyze"):
        known = with_bodies(loaded, options.provider) if options.include_subgraphs else loaded
        return known, simulate(known.graph, provider=options.provider).peak_bytes


def make_trials(options: Options, loaded: Loaded, *, searches: bool, cached: bool = True) -> Trials:
    """Everything that plans for the model are made of and tried with."""
    rewritable, forms = write_out_open(loaded, options.provider), usable_forms(loaded, options)
    prices = CostModel.load(options.provider)
    if not cached:
        prices = prices.uncached()

    def planner(model: Loaded) -> Planner:
        made = make_planner(model.graph, options, prices, forms, searches=searches, dynamic=loaded.dynamic)
        bodies = {
            (body.op, body.attribute): replace(planner(body.loaded), home=body.home) for body in model.bodies
        }
        return enclosing(made, bodies) if bodies else made

    return Trials(planner(rewritable), rewritable)


def _cautious(trials: Trials, loaded: Loaded) -> Callable[[], Trials]:
    """The same by prices that do not count on a cache."""
    return lambda: make_trials(trials.planner.options, loaded, searches=True, cached=False)


def _before(stages: Stages, loaded: Loaded, predicted_bytes: int, bench: Bench) -> Cost:
    """What the original takes."""
    if not stages.measures:
        return describe_cost(predicted_bytes, None, None)
    with stages.stage("measure"):
        baseline = bench.baseline
    with stages.stage("predict"):
        return describe_cost(bench.predict(loaded.model), baseline, None)


def _goal(options: Options, before: Cost, trials: Trials) -> Goal:
    assert before.peak_bytes is not None, "predicted at the least"
    original_bytes = UNBEARABLE if trials.planner.oversize else before.peak_bytes
    if options.budget is not None:
        limit_bytes = options.budget.limit_bytes(before.peak_bytes)
        return Goal.budget(limit_bytes, original_bytes, trials.planner.limit)
    if options.plan is not None:
        return Goal.any(original_bytes)
    assert options.slowdown_limit is not None, "without a budget there is a time ratio"
    return Goal.ratio(options.slowdown_limit, original_bytes, trials.planner.limit)
